"""The table of an app's routes, apps mounted in it included."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from asgi_rt.routing.router import Route, Router

__all__ = ["format_routes"]

_TITLES: Final = ("METHODS", "PATH", "NAME", "HANDLER")


def format_routes(router: Router) -> str:
    """One line for each route and mount: methods, path, name and where the handler is."""
    rows = [_TITLES, *_rows(router, "")]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _rows(router: Router, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for each in router:
        path = prefix + each.pattern.text
        if isinstance(each, Route):
            yield ",".join(each.methods), path, each.name, _where(each.handler)
        elif isinstance(each.app, Router):
            yield from _rows(each.app, path.rstrip("/"))
        else:
            yield "*", path.rstrip("/") + "/...", each.name, _where(each.app)


def _where(target: Any) -> str:
    """Where a function, or the class of an object, is defined."""
    if not hasattr(target, "__qualname__"):
        return _where(type(target))
    return f"{target.__module__}:{target.__qualname__}"


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
