"""What runs while an app does: its lifespan, its event handlers, and those of its routers."""

import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import Any, Self, TypeAlias

__all__ = ["Lifespan", "Lifespans"]

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


class Lifespans:
    """A lifespan and event handlers: of both, all run, the lifespan first and last."""

    def __init__(
        self,
        lifespan: Any,
        on_startup: Sequence[Callable[[], Any]] | None,
        on_shutdown: Sequence[Callable[[], Any]] | None,
    ) -> None:
        self._own = _context(lifespan)
        self._included: list[Lifespans] = []
        self.on_startup = list(on_startup or ())
        self.on_shutdown = list(on_shutdown or ())

    def include(self, other: Self) -> None:
        """Run what another one has as well, inside; its handlers after those that are here."""
        self._included.append(other)
        self.on_startup += other.on_startup
        self.on_shutdown += other.on_shutdown

    @asynccontextmanager
    async def run(self, app: Any) -> AsyncGenerator[Mapping[str, Any] | None, None]:
        """Everything, around the block; gives what the lifespans gave, the outer ones' first."""
        async with AsyncExitStack() as stack:
            given = await stack.enter_async_context(self._own(app))
            state = dict(given or {})
            await _call_all(self.on_startup)
            stack.push_async_callback(_call_all, self.on_shutdown)
            for each in self._below():
                given = await stack.enter_async_context(each._own(app))
                state = {**(given or {}), **state}
            yield state or None

    def _below(self) -> "Iterator[Lifespans]":
        for each in self._included:
            yield each
            yield from each._below()


async def _call_all(handlers: list[Callable[[], Any]]) -> None:
    for handler in handlers:
        result = handler()
        if inspect.isawaitable(result):
            await result


def _context(lifespan: Any) -> Lifespan:
    if inspect.isasyncgenfunction(lifespan):
        return asynccontextmanager(lifespan)
    if not inspect.isgeneratorfunction(lifespan):
        given: Lifespan = lifespan or (lambda app: nullcontext())
        return given
    sync = contextmanager(lifespan)

    @asynccontextmanager
    async def lifted(app: Any) -> AsyncGenerator[Any, None]:
        with sync(app) as state:
            yield state

    return lifted
