"""Middleware, by Starlette's names."""

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Middleware"]


class Middleware:
    """A layer to be made: `cls(app, *args, **kwargs)`."""

    def __init__(self, cls: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.cls = cls
        self.args = args
        self.kwargs = kwargs

    def __iter__(self) -> Iterator[Any]:
        return iter((self.cls, self.args, self.kwargs))

    def __repr__(self) -> str:
        options = (f"{name}={value!r}" for name, value in self.kwargs.items())
        name = getattr(self.cls, "__name__", "")
        return f"Middleware({', '.join((name, *map(repr, self.args), *options))})"
