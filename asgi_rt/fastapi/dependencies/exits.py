"""Dependencies that yield: entered here, left when the stacks of their request are closed."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Final

import anyio
import anyio.lowlevel

__all__ = ["Exits"]

_CLEAN_UP_SECONDS: Final = 30.0


class Exits:
    """The stacks of one request, and the cancel scope around all of its async generators.

    What follows a `yield` is shielded: a request that is cancelled still gives back what it took.
    It then has 30 s for it. The scope is opened before the generators, since one opened when they
    end would lie across the scopes and task groups that they hold open.
    """

    def __init__(self, request: AsyncExitStack | None, function: AsyncExitStack | None) -> None:
        self._request = request
        self._function = function
        self._scope: anyio.CancelScope | None = None

    async def enter(
        self, manager: AbstractAsyncContextManager[Any], *, ends_early: bool, is_shielded: bool
    ) -> Any:
        """What it yields; it is left with the stack of the function or of the request.

        Raises RuntimeError where that stack is missing.
        """
        stack = self._function if ends_early else self._request
        if stack is None:
            raise RuntimeError(
                "a dependency that yields needs a stack that is closed after its use"
            )
        if not is_shielded:  # it sees to that itself
            return await stack.enter_async_context(manager)
        if self._scope is None:
            self._scope = (self._request or stack).enter_context(anyio.CancelScope())
        return await stack.enter_async_context(_Shielded(manager, self._scope))


class _Shielded(AbstractAsyncContextManager[Any]):
    def __init__(self, manager: AbstractAsyncContextManager[Any], scope: anyio.CancelScope) -> None:
        self._manager = manager
        self._scope = scope

    async def __aenter__(self) -> Any:
        return await self._manager.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        scope = self._scope
        was_shielded, scope.shield = scope.shield, True
        if isinstance(exc, anyio.get_cancelled_exc_class()):
            scope.deadline = min(scope.deadline, anyio.current_time() + _CLEAN_UP_SECONDS)
        try:
            is_handled = await self._manager.__aexit__(exc_type, exc, traceback)
        finally:
            scope.shield = was_shielded
        await anyio.lowlevel.checkpoint_if_cancelled()  # what it may have swallowed
        return is_handled
