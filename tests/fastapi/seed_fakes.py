"""The world around the documents' programs: clients, databases and caches that answer anything.

Whatever is asked of a `Fake` is there: it is called, awaited, entered, iterated and taken for a
mapping, and it is a str, so that it can be JSON. Names of classes and of exceptions give classes.
"""

import asyncio
import concurrent.futures
import importlib
import random
import sys
import time
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self
from unittest.mock import patch

from pydantic_core import core_schema

from asgi_rt.fastapi.alias import aliased

__all__ = ["SIDES", "Side", "faked_world", "provided"]

_TEXT = '{"name": "alpha"}'
_FIELDS = {"id": 1, "name": "alpha"}
_NUMBERS = {"status": 200, "status_code": 200, "id": 1, "size": 10}
_OWN = {"fastapi", "starlette", "sse_starlette", "pydantic", "anyio", "asgi_rt", "tests"}
_ITEMS = 2


def _named(name: str) -> Any:
    """What an attribute of a stub is: an exception, a class, a number, or anything."""
    if name.endswith(("Error", "Exception", "Timeout")) and name[0].isupper():
        return type(name, (Exception,), {})
    if name in _NUMBERS:
        return _NUMBERS[name]
    return _FakeType(name, (Fake,), {}) if name[0].isupper() and not name.isupper() else Fake()


class _FakeType(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        setattr(cls, name, _named(name))
        return cls.__dict__[name]


class Fake(str, metaclass=_FakeType):
    """One thing that answers."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        return str.__new__(cls, _TEXT)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(
            lambda given: cls(), serialization=core_schema.to_string_ser_schema()
        )

    def __getattr__(self, name: str) -> Any:
        # It is no future: who waits for it as for one learns that.
        if name.startswith("_") or name == "add_done_callback":
            raise AttributeError(name)
        return _named(name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return Fake()

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return self

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> Any:
        return iter([Fake() for _ in range(_ITEMS)])

    async def __aiter__(self) -> AsyncIterator[Any]:
        for _ in range(_ITEMS):
            yield Fake()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def count(self, *args: Any) -> Any:  # a database's, not a str's
        return Fake()

    find = index = count

    def keys(self) -> Any:
        return _FIELDS.keys()

    def __getitem__(self, key: Any) -> Any:
        return _FIELDS.get(key, Fake()) if isinstance(key, str) else Fake()


class _Stub(ModuleType):
    """A module that is not installed, or that would reach for the network."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, _named(name))
        return self.__dict__[name]


class _StubFinder:
    """Finds a stub for each module that is neither Python's nor one of those under test."""

    def __init__(self) -> None:
        self.stubs: dict[str, ModuleType] = {}

    def module(self, name: str) -> ModuleType:
        return self.stubs.setdefault(name, _Stub(name))

    def importer(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """The `__import__` of a block."""

        def fake_import(
            name: str, scope: Any = None, own: Any = None, names: Any = (), level: int = 0
        ) -> Any:
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top in _OWN:
                return real(name, scope, own, names, level)
            return self.module(name) if names else self.module(top)

        return fake_import


class Side:
    """Whose framework a block runs on, and what of the block is changed for that."""

    def __init__(self, name: str, package: str | None, *, is_aliased: bool = False) -> None:
        self.name = name
        self.package = package
        self._is_aliased = is_aliased

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def entered(self) -> Iterator[None]:
        """With the modules of this side where the block looks for them."""
        if not self._is_aliased:
            yield
            return
        with _hidden("fastapi", "starlette", "sse_starlette"), aliased():
            yield


REAL = Side("real", None)
SIDES = [Side("imports", "asgi_rt.fastapi"), Side("alias", None, is_aliased=True)]


@contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """As if these had never been imported."""
    hidden = {
        name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages
    }
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(hidden)


@contextmanager
def faked_world() -> Iterator[None]:
    """Time passes quickly, chance is the same each time, and there is one process."""
    real_sleep = asyncio.sleep

    async def sleep(delay: float, result: Any = None) -> Any:
        return await real_sleep(min(delay, 0.002), result)

    with ExitStack() as patches:
        patches.enter_context(patch.object(asyncio, "sleep", sleep))
        patches.enter_context(patch.object(time, "sleep", lambda seconds: None))
        threads = concurrent.futures.ThreadPoolExecutor
        patches.enter_context(patch.object(concurrent.futures, "ProcessPoolExecutor", threads))
        random.seed(1)
        yield


def provided(side: Side, folder: Path) -> dict[str, Any]:
    """The globals that every block begins with."""

    def fake_open(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        inside = folder / Path(path).name
        if "r" in mode and not inside.exists():
            inside.write_text("what is in the file\n" * 10)
        return open(inside, mode, *args, **options)

    builtins = dict(vars(importlib.import_module("builtins")))
    builtins["__import__"] = _StubFinder().importer(builtins["__import__"])
    builtins["print"] = lambda *args, **options: None
    return {"__name__": "seed_block", "__builtins__": builtins, "open": fake_open}


def stand_in(name: str, side: Side, *, is_awaited: bool) -> Any:
    """What a name stands for that a block and those before it leave undefined."""
    package = side.package or "fastapi"
    if name in ("app", "router"):
        return importlib.import_module(package).FastAPI()
    for module in ("", ".responses", ".security", ".websockets"):
        found = getattr(importlib.import_module(package + module), name, None)
        if found is not None and not isinstance(found, ModuleType):
            return found
    if name == "datetime":
        return importlib.import_module(name).datetime
    if name in sys.stdlib_module_names:
        return importlib.import_module(name)
    if hasattr(typing, name):
        return getattr(typing, name)
    return _awaitable if is_awaited else _named(name)


async def _awaitable(*args: Any, **options: Any) -> Any:
    return Fake()
