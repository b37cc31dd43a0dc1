"""A directory of files as an ASGI app."""

import errno
import os
import re
from typing import Final
from urllib.parse import quote

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.file_body import OPEN_FLAGS, open_path
from asgi_rt.http.files import FileResponse
from asgi_rt.http.headers import Headers, HeadersLike, raw_headers
from asgi_rt.http.response import RedirectResponse, Response, problem_response

__all__ = ["StaticFiles"]

# What the file system says where there is no file to serve under that name. All else, such as too
# many open files or a failing disk, is the server's fault and no 404.
_NOT_THERE: Final = frozenset(
    {
        errno.EACCES,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
    }
)
_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
# With O_PATH a directory can be walked that may be entered but not listed.
_DIRECTORY_FLAGS: Final[int] = (
    getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | OPEN_FLAGS | _NO_FOLLOW
)
_CAN_WALK: Final = os.open in os.supports_dir_fd and _NO_FOLLOW != 0
# Backslashes and drive letters are part of a name here and lead out of the directory on Windows,
# where a colon also names a stream of a file.
_UNSAFE: Final = re.compile(r"[\x00\\]|^[A-Za-z]:" + ("|:" if os.name == "nt" else ""))


class StaticFiles:
    """The regular files below a directory, by the path of the URL: `app.mount("/static", ...)`.

    An ASGI app for GET and HEAD, to be mounted anywhere; it answers errors itself (404, 405) as
    problem+json. The path of a directory is redirected to end with a slash, and with it gives the
    file named `index` in it; None is no index and no redirect. Names that start with a dot are not
    there, apart from `.well-known` (RFC 8615), unless `serve_hidden`.

    Symbolic links are followed as long as they stay in the directory; with `follow_symlinks`
    wherever they lead. `directory` itself may be a link that is moved to another place at times.
    Changing links in it meanwhile does not get around the check, except on Windows and where the
    server opens the file again (`http.response.pathsend`).

    What may not be read is a 404 as well. `headers` go with every file, such as `cache-control`;
    `send_timeout` is in seconds, see `FileResponse`. Raises NotADirectoryError where `directory`
    is none.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        follow_symlinks: bool = False,
        serve_hidden: bool = False,
        headers: HeadersLike | None = None,
        send_timeout: float | None = 30.0,
    ) -> None:
        self.directory: str = os.path.abspath(directory)
        if not os.path.isdir(self.directory):
            raise NotADirectoryError(
                errno.ENOTDIR, "StaticFiles needs a directory that exists", self.directory
            )
        self.index = index
        self.follow_symlinks = follow_symlinks
        self.serve_hidden = serve_hidden
        self.headers = Headers(raw_headers(headers))
        self.send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file. Raises as FileResponse does once the head is sent."""
        if scope["type"] == "lifespan":
            await _complete_lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"StaticFiles serves http, not {scope['type']}: check the mount")
        try:
            await self._serve(scope, receive, send)
        except HTTPError as error:
            await problem_response(error)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPError(405, headers={"allow": "GET, HEAD"})
        names, is_directory = self._names(scope)
        if is_directory:
            if self.index is None:
                raise HTTPError(404)
            names.append(self.index)
        file = FileResponse(
            os.path.join(self.directory, *names),
            headers=self.headers,
            send_timeout=self.send_timeout,
            opener=open_path if self.follow_symlinks else self._open_inside,
        )
        try:
            await file(scope, receive, send)
            return
        except OSError as error:
            if file.head_sent or error.errno not in _NOT_THERE:
                raise
            if not isinstance(error, IsADirectoryError) or is_directory or self.index is None:
                raise HTTPError(404) from None
        await _slash_redirect(scope)(scope, receive, send)

    def _names(self, scope: Scope) -> tuple[list[str], bool]:
        """The names of the path below the mount, and whether it ends with a slash. Raises 404."""
        path: str = scope["path"]
        root: str = scope.get("root_path", "").rstrip("/")
        if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
            path = path[len(root) :]
            if not path:
                return [], False
        names = path.removeprefix("/").split("/")
        is_directory = not names[-1]
        if is_directory:
            names.pop()
        # A slash that came encoded belongs to a name, and no file's name holds one.
        raw_path: bytes = scope.get("raw_path") or b""
        if b"%2f" in raw_path.lower() or not all(map(self._is_served, names)):
            raise HTTPError(404)
        return names, is_directory

    def _is_served(self, name: str) -> bool:
        if name in ("", ".", "..") or _UNSAFE.search(name):
            return False
        try:
            os.fsencode(name)
        except UnicodeEncodeError:
            return False
        return self.serve_hidden or name[0] != "." or name == ".well-known"

    def _open_inside(self, path: str) -> int:
        """Open it if it lies in the directory when every link is resolved. Blocks."""
        root = os.path.join(os.path.realpath(self.directory, strict=True), "")
        resolved = os.path.realpath(path, strict=True)
        if not os.path.join(resolved, "").startswith(root):
            raise FileNotFoundError(errno.ENOENT, "a link leads out of the directory", path)
        if not _CAN_WALK:
            return open_path(resolved)
        return _open_unlinked(root, (resolved[len(root) :] or os.curdir).split(os.sep))


def _open_unlinked(directory: str, names: list[str]) -> int:
    """Open a file below a directory, name by name, without following a single link."""
    parent = os.open(directory, _DIRECTORY_FLAGS)
    try:
        for name in names[:-1]:
            child = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
            os.close(parent)
            parent = child
        return os.open(names[-1], OPEN_FLAGS | _NO_FOLLOW, dir_fd=parent)
    finally:
        os.close(parent)


def _slash_redirect(scope: Scope) -> Response:
    # Relative to the URL that was asked for: right behind every proxy, and never another host.
    name = os.fsencode(scope["path"].rpartition("/")[2])
    query = scope.get("query_string", b"").decode("latin-1")
    return RedirectResponse(f"./{quote(name, safe='')}/" + (f"?{query}" if query else ""))


async def _complete_lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to start or to stop; say so, as some servers insist on an answer."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
