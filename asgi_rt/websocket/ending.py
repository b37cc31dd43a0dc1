"""How one WebSocket connection stands and how it ended, for everybody who has to know."""

from collections.abc import Callable, Iterator
from typing import ClassVar, cast

import anyio

from asgi_rt.errors import HTTPError, LifecycleError, WebSocketClosed
from asgi_rt.websocket.closing import By
from asgi_rt.websocket.lifecycle import Lifecycle, State

__all__ = ["Ending", "the_error"]


def the_error(error: Exception) -> Exception:
    """What a group of errors comes to, where it does: its only error, or a connection's end.

    Tasks that use one connection in a task group of their own all meet its end.
    """
    leaves = list(_leaves(error))
    if len(leaves) == 1 or all(isinstance(leaf, WebSocketClosed) for leaf in leaves):
        return leaves[0]
    return error


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error


class Ending:
    """The state of one connection and, once it is over, its code, its reason and who ended it.

    All in one event loop, from any task of it.
    """

    __slots__ = ("_facts", "_told", "_waited_for", "is_noted", "is_open", "lifecycle")

    error_class: ClassVar[type[WebSocketClosed]] = WebSocketClosed
    """What is raised once it is over; a subclass of the connection may have one of its own."""

    def __init__(self) -> None:
        self.lifecycle = Lifecycle()
        self.is_open = False
        """Whether messages may be sent and received: it was accepted and is not over."""
        self.is_noted = False
        """Whether it will be looked after soon, or need not be."""
        self._facts: tuple[int, str, By] | None = None
        self._told: list[Callable[[], None]] | None = None
        self._waited_for: anyio.Event | None = None

    @property
    def is_over(self) -> bool:
        return self._facts is not None

    @property
    def facts(self) -> tuple[int, str, By] | None:
        """Code, reason and who ended it."""
        return self._facts

    def error(self) -> WebSocketClosed:
        """What to raise once it is over: a new one each time, as each gets a traceback."""
        assert self._facts is not None
        code, reason, by = self._facts
        error = self.error_class(code, reason, by=by)
        error.connection = self.lifecycle
        return error

    def is_expected(self, error: BaseException) -> bool:
        """Whether an error out of a handler, or a task of it, is a way to end this connection.

        The end of another connection is none: who sends to many must see to each of them.
        """
        if isinstance(error, WebSocketClosed):
            return error.connection in (None, self.lifecycle)
        return isinstance(error, HTTPError)

    def end(self, code: int, reason: str, by: By) -> bool:
        """It is over; whoever comes first says how. False where it was over already."""
        if self._facts is not None:
            return False
        self.is_open = False
        self._facts = (code, reason, by)
        if self._waited_for is not None:
            self._waited_for.set()
        told, self._told = self._told, None
        for tell in told or ():
            tell()
        return True

    def note(self) -> None:
        """Have the connection looked after soon, as it was used."""
        raise NotImplementedError

    def look(self) -> None:
        """See whether it has ended, as far as that takes no wait."""
        raise NotImplementedError

    def fail(self, code: int, reason: str) -> None:
        """End the connection from where nothing can be awaited; the client is told beside."""
        raise NotImplementedError

    def require_open(self, doing: str) -> None:
        """Raise what `doing` something meets where it is over, or not yet accepted."""
        if self._facts is not None:
            raise self.error()
        if not self.is_open:
            raise LifecycleError(f"{doing} before `await ws.accept()`: nothing is connected yet")

    def require_unanswered(self, doing: str) -> None:
        """Raise what answering the handshake meets where it is over, or was answered before."""
        if self._facts is not None:
            raise self.error()
        if self.lifecycle.app is not State.CONNECTING:
            raise LifecycleError(f"{doing}: the handshake was answered already")

    def tell(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when it is over; at once where it is."""
        if self._facts is not None:
            tell()
        elif self._told is None:
            self._told = [tell]
        else:
            self._told.append(tell)

    def untell(self, tell: Callable[[], None]) -> None:
        """Take back what `tell` was given."""
        if self._told is not None and tell in self._told:
            self._told.remove(tell)

    async def wait(self) -> None:
        """Return when it is over."""
        if self._facts is None:
            if self._waited_for is None:
                self._waited_for = anyio.Event()
            await self._waited_for.wait()
