"""The table of an app's routes, apps mounted in it included."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from asgi_rt.routing.router import Route, Router

__all__ = ["format_routes", "has_routes"]

_TITLES: Final = ("METHODS", "PATH", "NAME", "HANDLER")


def format_routes(app: Any) -> str:
    """One line for each route and mount: methods, path, name and where the handler is.

    Of a Router, or of an app whose `routes` are as FastAPI's and Starlette's.
    """
    rows = [_TITLES, *_rows(app, "")]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _rows(app: Any, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    return _rows_of_router(app, prefix) if isinstance(app, Router) else _rows_of_list(app, prefix)


def _rows_of_router(router: Router, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for each in router:
        path = prefix + each.pattern.text
        if isinstance(each, Route):
            yield ",".join(each.methods), path, each.name, _where(each.handler)
        else:
            yield from _rows_of_mount(each, path)


def _rows_of_list(app: Any, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for each in app.routes:
        path = prefix + each.path
        mounted = getattr(each, "app", None)
        if mounted is not None and getattr(each, "endpoint", mounted) is mounted:
            yield from _rows_of_mount(each, path)
        else:
            methods = sorted(getattr(each, "methods", None) or ("websocket",))
            yield ",".join(methods), path, each.name, _where(each.endpoint)


def _rows_of_mount(mount: Any, path: str) -> Iterator[tuple[str, str, str, str]]:
    if has_routes(mount.app):
        yield from _rows(mount.app, path.rstrip("/"))
    else:
        yield "*", path.rstrip("/") + "/...", mount.name, _where(mount.app)


def has_routes(app: Any) -> bool:
    """Whether the routes of an app can be told."""
    return isinstance(app, Router) or hasattr(app, "routes")


def _where(target: Any) -> str:
    """Where a function, or the class of an object, is defined."""
    if not hasattr(target, "__qualname__"):
        return _where(type(target))
    return f"{target.__module__}:{target.__qualname__}"


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
