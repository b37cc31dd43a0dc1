"""The path in an ASGI scope: split into segments, and handed down to a mounted app.

`path` is decoded, so an encoded slash in it looks like one that separates; `raw_path` tells them
apart. `root_path` is what the app is mounted at. By the specification `path` begins with it; with
some servers it does not, and then it is read as if it did.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from asgi_rt.asgi import Scope
from asgi_rt.errors import HTTPError

__all__ = ["join_segments", "mounted_scope", "path_segments", "split_path"]


def path_segments(scope: Scope) -> list[str]:
    """The decoded segments of the path below the mount point.

    The mount point itself, without a slash after it, is the path `/` below it. Raises HTTPError 400
    where the path is not UTF-8.
    """
    if scope.get("root_path"):
        segments, depth = split_path(scope)
        below = segments[depth:]
    else:
        below = _segments(scope, "")
    return below or ([] if scope["path"] == "*" else [""])


def split_path(scope: Scope) -> tuple[list[str], int]:
    """The decoded segments of the whole path, and how many of them the mount point takes.

    Raises HTTPError 400 where the path is not UTF-8.
    """
    root: str = scope.get("root_path", "")
    segments = _segments(scope, root)
    if not root:
        return segments, 0
    for prefix in (root, root.rstrip("/")):
        depth = _depth_of(prefix, segments)
        if depth is not None:
            return segments, depth
    # What a proxy has cut off, and then stands only in `root_path`: all of it, or what was there
    # before a mount of Starlette's, which leaves the path as it is.
    outer: str = scope.get("app_root_path") or root
    below = _depth_of(root.removeprefix(outer), segments)
    above = outer.rstrip("/").split("/")[1:]
    return [*above, *segments], len(above) + (below or 0)


def join_segments(segments: list[str]) -> str:
    """The path of these segments, decoded as they are."""
    return "".join("/" + segment for segment in segments)


def mounted_scope(scope: Scope, depth: int, params: Mapping[str, Any]) -> Scope:
    """The scope that an app sees that is mounted `depth` segments below this one.

    As the ASGI specification has it, `root_path` grows and `path` stays whole.
    """
    segments, root_depth = split_path(scope)
    mounted = {
        **scope,
        "root_path": join_segments(segments[: root_depth + depth]),
        "path_params": {**scope.get("path_params", {}), **params},
    }
    path = join_segments(segments)
    if path not in (scope["path"], ""):  # the server left `root_path` out of it
        mounted["path"] = path
        raw: bytes | None = scope.get("raw_path")
        if raw is not None and unquote_to_bytes(raw) != path.encode():
            mounted["raw_path"] = quote(scope["root_path"].rstrip("/")).encode() + raw
    return mounted


def _segments(scope: Scope, root: str) -> list[str]:
    path: str = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    if raw is not None and b"%" in raw:
        segments = [_decode(segment) for segment in raw.split(b"/")[1:]]
        # Otherwise someone has rewritten `path` on the way, and `raw_path` is out of date.
        if join_segments(segments) in (path, root + path):
            return segments
    return path.split("/")[1:]


def _decode(segment: bytes) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise HTTPError(400, "the path is not UTF-8") from None


def _depth_of(prefix: str, segments: list[str]) -> int | None:
    """How many of the segments make up the prefix; None where the path does not begin with it."""
    length = 0
    for depth in range(len(segments) + 1):
        if length >= len(prefix):
            return depth if join_segments(segments[:depth]) == prefix else None
        if depth < len(segments):
            length += 1 + len(segments[depth])
    return None
