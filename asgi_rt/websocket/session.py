"""Tasks that live as long as one WebSocket connection."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from asgi_rt.errors import LifecycleError, WebSocketClosed
from asgi_rt.websocket.closing import CRASHED, closing_for
from asgi_rt.websocket.ending import Ending, the_error

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["Session"]


class Session:
    """A task group for one connection: `async with ws.session() as session`.

    The tasks started in it, and the block itself, are cancelled when the connection is over; the
    block then ends without an error, and `ws.closed` tells how it was. The first that fails ends
    the connection, cancels the others, and its error is raised from the block, not in a group: a
    crash closes with 1011, an HTTPError with the code for its status, and a WebSocketClosed, which
    is not raised again, with what it says. The block waits for its tasks.

    For one task to enter and leave; `start` and `cancel` are for any task of the event loop.
    """

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self._group: TaskGroup | None = None
        self._error: BaseException | None = None
        self._was_entered = False

    async def __aenter__(self) -> Self:
        if self._was_entered:
            raise LifecycleError("a session is entered once; make another with `ws.session()`")
        self._was_entered = True
        self._ending.require_open("a session cannot begin")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._ending.tell(self.cancel)
        self._ending.look()
        return self

    def start(self, func: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run `func(*args)` in a task of the session. Raises LifecycleError outside the block."""
        if self._group is None:
            raise LifecycleError("tasks are started inside `async with ws.session() as session`")
        self._group.start_soon(self._run, func, args)

    def cancel(self) -> None:
        """End the block and its tasks; the connection stays as it is."""
        if self._group is not None:
            self._group.cancel_scope.cancel()

    async def _run(self, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            await func(*args)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._error is None:
            error = the_error(error)
            is_expected = self._ending.is_expected(error)
            if not (is_expected and isinstance(error, WebSocketClosed)):
                self._error = error
            self._ending.fail(*(closing_for(error) if is_expected else CRASHED))
        self.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._group is not None
        if isinstance(error, Exception):
            self._failed(error)
            kind = error = traceback = None
        try:
            swallowed = await self._group.__aexit__(kind, error, traceback)
        finally:
            self._ending.untell(self.cancel)
            self._group = None
        failed, self._error = self._error, None
        if failed is not None:
            try:
                raise failed
            finally:
                del failed
        return True if kind is None else swallowed
