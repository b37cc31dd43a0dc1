"""Two connections to one backplane, and who listens to them: what the suite for backplanes uses."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from asgi_rt.hub.backplane.protocol import Backplane, Listener
from asgi_rt.hub.history import Page
from asgi_rt.hub.message import Cursor, Message

__all__ = ["BackplanePairs", "Pair", "RecordingListener", "cancelled_after", "opened"]


class RecordingListener:
    """A listener that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lost: list[str] = []
        """The patterns of which it was told that messages may be missing."""
        self._changed = anyio.Event()

    def receive(self, message: Message) -> None:
        self.messages.append(message)
        self._ring()

    def lose(self, patterns: Sequence[str]) -> None:
        self.lost.extend(patterns)
        self._ring()

    @property
    def data(self) -> list[Any]:
        """The data of all messages that came."""
        return [message.data for message in self.messages]

    async def until(self, holds: Callable[["RecordingListener"], bool], *, within: float) -> None:
        """Return when something holds of it. Raises TimeoutError after `within` seconds."""
        with anyio.fail_after(within):
            while not holds(self):
                await self._changed.wait()

    def _ring(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class Pair:
    """Two connections, each opened for a listener."""

    def __init__(self, first: Backplane, second: Backplane, deadline: float) -> None:
        self.first = first
        self.second = second
        self.near = RecordingListener()
        """Who listens to the first."""
        self.far = RecordingListener()
        """Who listens to the second."""
        self._deadline = deadline

    async def publish(self, topic: str, data: Any, **more: Any) -> Cursor | None:
        return await self.first.publish(Message.of(topic, data, **more))

    async def far_has(self, *data: Any) -> None:
        """Assert that exactly these have come to the far listener, in this order."""
        await self.has(self.far, *data)

    async def near_has(self, *data: Any) -> None:
        await self.has(self.near, *data)

    async def far_gets(self, last: Any) -> None:
        """Assert that this comes to the far listener, after whatever else."""
        try:
            await self.far.until(lambda it: last in it.data, within=self._deadline)
        except TimeoutError:
            raise AssertionError(f"{_cut([last])} has not come") from None

    async def has(self, listener: RecordingListener, *data: Any) -> None:
        expected = list(data)
        try:
            await listener.until(lambda it: len(it.messages) >= len(data), within=self._deadline)
        except TimeoutError:
            raise AssertionError(f"only {_cut(listener.data)} of {_cut(expected)} came") from None
        assert listener.data == expected, f"{_cut(listener.data)} came, not {_cut(expected)}"


class BackplanePairs:
    """How the tests get at a backplane; see `BackplaneConformance`."""

    deadline: float = 10.0
    """Seconds that a message may take, at most, or that presence takes to be seen by all."""
    lasting: float = 0.2
    """Seconds for which one test goes on publishing. What repeats itself later is not noticed."""
    has_history: bool = True
    """Whether it gives cursors and keeps messages, at least the 100 newest of a topic."""
    history_count: int | None = None
    """How many messages of a topic are kept at most; None leaves out what is tested by it.

    That is, that who asks for more is told of a gap.
    """

    def connections(self) -> AbstractAsyncContextManager[tuple[Backplane, Backplane]]:
        """Two that carry each other's messages, not opened yet; they may be one and the same.

        Nothing of what other tests have published or left is to be seen in them: each call is
        another run, whose cursors mean nothing in those before and after it.
        """
        raise NotImplementedError("say how your backplane is connected to, twice")

    @asynccontextmanager
    async def _pair(self) -> AsyncGenerator[Pair, None]:
        async with self.connections() as (first, second):
            pair = Pair(first, second, self.deadline)
            async with opened(first, pair.near), opened(second, pair.far):
                yield pair
                lost = pair.near.lost + pair.far.lost
                assert not lost, f"messages to {lost} are said to be lost, and nothing was away"

    async def _read_all(
        self, backplane: Backplane, patterns: Sequence[str], after: Cursor
    ) -> list[Message]:
        """The messages of all pages of history after a place."""
        pages = await self._pages(backplane, patterns, after)
        return [message for page in pages for message in page.items]

    async def _pages(
        self, backplane: Backplane, patterns: Sequence[str], after: Cursor
    ) -> list[Page[Message]]:
        pages: list[Page[Message]] = []
        with anyio.fail_after(self.deadline):
            while not pages or not pages[-1].is_last:
                page = await backplane.history(patterns, after, limit=7)
                assert isinstance(page, Page), f"history after {after} is {page}"
                assert len(page.items) <= 7, "a page has more messages than were asked for"
                newest = await backplane.cursor()
                assert newest is not None, "there is history, and no cursor"
                _assert_in_order(page, after.position, newest.position)
                pages.append(page)
                after = Cursor(after.epoch, page.through)
        return pages


def _assert_in_order(page: Page[Message], after: int, newest: int) -> None:
    """Positions grow from page to page, and a page ends behind its messages, not beyond all."""
    places = [after, *(message.position for message in page.items)]
    assert places == sorted(set(places)), f"{places[1:]} come after {after}"
    assert places[-1] <= page.through <= newest, (
        f"a page of {places[1:]} goes through {page.through}, and the newest is {newest}"
    )
    assert page.is_last or page.through > after, "a page that is not the last goes nowhere"


@asynccontextmanager
async def opened(backplane: Backplane, listener: Listener) -> AsyncGenerator[None, None]:
    await backplane.open(listener)
    try:
        yield
    finally:
        with anyio.move_on_after(10, shield=True):
            await backplane.close(listener)


async def cancelled_after(turns: int, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Begin a call, and cancel it after so many turns of the event loop, if it still waits."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


def _cut(data: list[Any]) -> str:
    """Some data as it stands in an error, which messages of any size are to fit in."""
    text = repr(data)
    return text if len(text) <= 2000 else f"{text[:2000]}..."
