"""One source of an app, run with the real FastAPI and with the adapter, and compared whole.

A case is a function that takes `api`, which has FastAPI's public names from the one side or from
the other, and returns the app; `differential` makes a test of it for each thing that is asked. The
app is built anew for each, so that nothing is shared but the source.

ASGI_RT_DIFFERENTIAL=fastapi in the environment compares the real one with itself, which shows that
the cases depend on nothing but the source.
"""

import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import anyio
import pytest

from tests.fastapi.asked import Ask, Script, Talk, script
from tests.fastapi.driver import run

__all__ = ["ADAPTER", "REAL", "Api", "compare", "differential", "outcomes"]

Build = Callable[["Api"], Any]


class Api:
    """A module of one side: its names, and its modules as the same again."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __getattr__(self, name: str) -> Any:
        inner = [f"{each}.{name}" for each in self._modules]
        found = [each for each in inner if _exists(each)]
        if found:
            return Api(*found)
        for module in self._modules:
            loaded = importlib.import_module(module)
            if hasattr(loaded, name):
                value = getattr(loaded, name)
                return Api(value.__name__) if isinstance(value, ModuleType) else value
        raise AttributeError(f"{name} is not in {self._modules}")


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


# What FastAPI does not hand on itself, as the middleware, a program takes from Starlette.
REAL = Api("fastapi", "starlette")
ADAPTER = Api(*os.environ.get("ASGI_RT_DIFFERENTIAL", "asgi_rt.fastapi").split(","))
if ADAPTER._modules == ("fastapi",):
    ADAPTER = REAL


@contextmanager
def _old_ways() -> Iterator[None]:
    """A program may use what is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def outcomes(api: Api, build: Build, asked: Ask | Talk | Script, backend: str = "asyncio") -> Any:
    """What came of each step of the script, of the app as it is with that side's names."""
    steps = asked if isinstance(asked, Script) else script(asked)
    with _old_ways():
        app = build(api)
        return anyio.run(run, app, steps, backend=backend)


def compare(build: Build, asked: Ask | Talk | Script, *, trio: bool = True) -> None:
    """That the adapter does the same, on either event loop."""
    expected = outcomes(REAL, build, asked)
    for backend in ("asyncio", "trio")[: 1 + trio]:
        found = outcomes(ADAPTER, build, asked, backend)
        if found != expected:
            pytest.fail(f"on {backend}:\n{_told(expected, found)}", pytrace=False)


def _told(expected: Any, found: Any) -> str:
    """Only what differs, step by step."""
    lines: list[str] = []
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one == other:
            continue
        if not isinstance(one, dict) or not isinstance(other, dict):
            lines.append(f"step {number}: expected {one}, found {other}")
            continue
        lines += [
            f"step {number}, {key}:\n  expected {one[key]!r}\n  found    {other[key]!r}"
            for key in one
            if one[key] != other[key]
        ]
    return "\n".join(lines) or f"expected {expected}, found {found}"


def differential(*asked: Ask | Talk | Script) -> Callable[[Build], Callable[..., None]]:
    """Make a test of the function for each of `asked`: the same source, the same outcome."""
    labels = [_label(index, each.label) for index, each in enumerate(asked)]

    def decorate(build: Build) -> Callable[..., None]:
        @pytest.mark.parametrize("asked", asked, ids=labels)
        def test(asked: Ask | Talk | Script) -> None:
            compare(build, asked)

        test.__name__ = build.__name__
        test.__qualname__ = build.__qualname__
        test.__doc__ = build.__doc__
        test.__module__ = build.__module__
        return test

    return decorate


def _label(index: int, label: str) -> str:
    return f"{index}: {label}" if len(label) > 1 else str(index)
