"""Directories of files as an ASGI app, by Starlette's names."""

import os
import stat
from importlib.util import find_spec
from typing import Any, TypeAlias

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.fastapi.concurrency import run_in_threadpool
from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.fastapi.responses import FileResponse, RedirectResponse, Response

__all__ = ["StaticFiles"]

_Path: TypeAlias = str | os.PathLike[str]


class StaticFiles:
    """The regular files below a directory, or several: `app.mount("/static", StaticFiles(...))`.

    `packages` are names of packages, or such names with a directory in each ("statics"). With
    `html` a directory stands for its index.html, and 404.html for what is not there. Symbolic links
    are followed as long as they stay in the directory; with `follow_symlink` wherever they lead.

    Raises HTTPException: 404, and 405 for other methods than GET and HEAD.
    """

    def __init__(
        self,
        *,
        directory: _Path | None = None,
        packages: list[str | tuple[str, str]] | None = None,
        html: bool = False,
        check_dir: bool = True,
        follow_symlink: bool = False,
    ) -> None:
        self.html = html
        self.follow_symlink = follow_symlink
        own = [] if directory is None else [directory]
        self.all_directories: list[_Path] = [*own, *map(_in_package, packages or ())]
        if check_dir and directory is not None and not os.path.isdir(directory):
            raise RuntimeError(f"Directory '{directory}' does not exist")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file; a WebSocket is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        response = await self.get_response(self.get_path(scope), scope)
        await response(scope, receive, send)

    def get_path(self, scope: Scope) -> str:
        """The path below the mount, as the file system has it."""
        return os.path.normpath(os.path.join(*HTTPConnection(scope).path.split("/")))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The response for a path below the directory. A subclass may give another."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        found, status = await run_in_threadpool(self.lookup_path, path)
        if self.html and status is not None and stat.S_ISDIR(status.st_mode):
            index = os.path.join(path, "index.html")
            found, status = await run_in_threadpool(self.lookup_path, index)
            if _is_file(status) and not scope["path"].endswith("/"):
                url = HTTPConnection(scope).url
                return RedirectResponse(url.replace(path=url.path + "/"))
        if _is_file(status):
            return FileResponse(found)
        if self.html:
            found, status = await run_in_threadpool(self.lookup_path, "404.html")
            if _is_file(status):
                return FileResponse(found, 404)
        raise HTTPException(404)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Where a path leads, and what is there; None where nothing may be served. Blocks."""
        resolve: Any = os.path.abspath if self.follow_symlink else os.path.realpath
        for directory in self.all_directories:
            try:
                root = os.path.join(resolve(directory), "")
                full: str = resolve(os.path.join(root, path.lstrip("/\\")))
                if os.path.join(full, "").startswith(root):
                    return full, os.stat(full)
            except PermissionError:
                raise HTTPException(401) from None
            except (OSError, ValueError):  # not there, or a name that no file can have
                continue
        return "", None


def _is_file(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISREG(status.st_mode)


def _in_package(package: str | tuple[str, str]) -> str:
    name, directory = package if isinstance(package, tuple) else (package, "statics")
    origin = getattr(find_spec(name), "origin", None)
    found = os.path.join(os.path.dirname(origin or ""), directory)
    if not origin or not os.path.isdir(found):
        raise RuntimeError(f"The package {name!r} with a directory {directory!r} was not found")
    return found
