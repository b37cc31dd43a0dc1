"""One exchange's messages, shared by readers of the body and watchers of the disconnect."""

from collections import deque
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_rt.errors import BodyOverrun, ClientDisconnected
from asgi_rt.http.inbox import Inbox

KIB = 1024
DISCONNECT = {"type": "http.disconnect"}


def body(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


class Client:
    """Messages in order, as a server hands them out: waits where there is none, loses none."""

    def __init__(self, *messages: dict[str, Any], checkpoints: int = 0) -> None:
        self.unread = deque(messages)
        self.checkpoints = checkpoints
        self.waiting = 0
        self._arrived: anyio.Event | None = None

    def send(self, message: dict[str, Any]) -> None:
        self.unread.append(message)
        if self._arrived is not None:
            self._arrived.set()

    async def receive(self) -> dict[str, Any]:
        for _ in range(self.checkpoints):
            await checkpoint()
        self.waiting += 1
        assert self.waiting == 1, "two tasks were in receive at once"
        try:
            while not self.unread:
                self._arrived = anyio.Event()
                await self._arrived.wait()
            return self.unread.popleft()
        finally:
            self.waiting -= 1


class Recorder:
    """What a task got, once it got it."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    async def run(self, func: Any) -> None:
        self.results.append(await func())


def test_inbox_of_an_inbox_is_that_inbox():
    inbox = Inbox(Client().receive)
    assert Inbox.of(inbox) is inbox
    assert Inbox.of(Client().receive) is not inbox


async def test_body_is_handed_out_in_order_and_then_the_disconnect():
    inbox = Inbox(Client(body(b"a"), body(b"b", more=False), DISCONNECT).receive)
    assert (await inbox())["body"] == b"a"
    assert (await inbox())["body"] == b"b"
    assert await inbox() == DISCONNECT
    assert await inbox() == DISCONNECT
    assert inbox.is_disconnected


async def test_chunk_tells_whether_more_follows():
    inbox = Inbox(Client(body(b"a"), body(b"b", more=False)).receive)
    assert await inbox.chunk() == (b"a", True)
    assert await inbox.chunk() == (b"b", False)


async def test_chunk_of_a_message_without_members_is_the_empty_end():
    assert await Inbox(Client({"type": "http.request"}).receive).chunk() == (b"", False)


async def test_chunk_after_the_end_is_the_end_again_without_waiting():
    inbox = Inbox(Client(body(b"a", more=False)).receive)
    await inbox.chunk()
    assert await inbox.chunk() == (b"", False)


async def test_chunk_of_a_client_that_left_is_client_disconnected():
    inbox = Inbox(Client(body(b"a"), DISCONNECT).receive)
    await inbox.chunk()
    with pytest.raises(ClientDisconnected, match="before its request was complete"):
        await inbox.chunk()


async def test_chunk_of_a_complete_body_comes_even_after_the_client_left():
    inbox = Inbox(Client(body(b"a", more=False), DISCONNECT).receive)
    await inbox.disconnected()
    assert await inbox.chunk() == (b"a", False)
    assert await inbox.chunk() == (b"", False)


async def test_poll_keeps_body_that_arrives_meanwhile():
    inbox = Inbox(Client(body(b"a"), body(b"b", more=False)).receive)
    assert not await inbox.poll()
    assert not await inbox.poll()
    assert await inbox.chunk() == (b"a", True)
    assert await inbox.chunk() == (b"b", False)


async def test_poll_of_a_silent_client_returns_and_loses_nothing():
    client = Client()
    inbox = Inbox(client.receive)
    assert not await inbox.poll()
    client.send(body(b"a", more=False))
    assert await inbox.chunk() == (b"a", False)


async def test_poll_sees_a_disconnect_that_is_there():
    inbox = Inbox(Client(DISCONNECT).receive)
    assert await inbox.poll()
    assert inbox.is_disconnected
    assert await inbox.poll()


@pytest.mark.parametrize("checkpoints", [1, 2, 5])
async def test_poll_gets_through_a_receive_that_begins_with_checkpoints(checkpoints):
    inbox = Inbox(Client(body(b"a", more=False), DISCONNECT, checkpoints=checkpoints).receive)
    # A turn of a busy loop may take the whole millisecond, so one poll alone may see nothing.
    for _ in range(100):
        if await inbox.poll():
            break
    assert inbox.is_disconnected
    assert await inbox.chunk() == (b"a", False)


async def test_poll_while_another_task_receives_leaves_it_alone():
    client, reader = Client(), Recorder()
    inbox = Inbox(client.receive)
    async with anyio.create_task_group() as group:
        group.start_soon(reader.run, inbox.chunk)
        await anyio.wait_all_tasks_blocked()
        assert not await inbox.poll()
        client.send(body(b"a", more=False))
    assert reader.results == [(b"a", False)]


async def test_poll_stops_receiving_when_the_kept_body_is_full():
    client = Client(body(b"x" * 64 * KIB), body(b"y"), DISCONNECT)
    inbox = Inbox(client.receive)
    assert not await inbox.poll()
    assert not await inbox.poll()
    assert list(client.unread) == [body(b"y"), DISCONNECT]


async def test_disconnected_returns_when_the_client_leaves():
    client, watcher = Client(), Recorder()
    inbox = Inbox(client.receive)
    async with anyio.create_task_group() as group:
        group.start_soon(watcher.run, inbox.disconnected)
        await anyio.wait_all_tasks_blocked()
        assert watcher.results == []
        client.send(DISCONNECT)
    assert watcher.results == [None]
    assert inbox.is_disconnected


async def test_disconnected_keeps_the_body_for_a_later_reader():
    client = Client(body(b"a"), body(b"b", more=False), DISCONNECT)
    inbox = Inbox(client.receive)
    await inbox.disconnected()
    assert [await inbox.chunk(), await inbox.chunk()] == [(b"a", True), (b"b", False)]


@pytest.mark.parametrize("reader_first", [True, False])
async def test_a_watcher_and_a_reader_share_one_receive(reader_first):
    client, watcher, reader = Client(), Recorder(), Recorder()
    inbox = Inbox(client.receive)
    calls = [(watcher.run, inbox.disconnected), (reader.run, inbox.chunk)]
    async with anyio.create_task_group() as group:
        for call in reversed(calls) if reader_first else calls:
            group.start_soon(*call)
            await anyio.wait_all_tasks_blocked()
        client.send(body(b"a", more=False))
        await anyio.wait_all_tasks_blocked()
        assert reader.results == [(b"a", False)]
        assert watcher.results == []
        client.send(DISCONNECT)
    assert watcher.results == [None]


async def test_a_disconnect_is_seen_by_everybody_who_waits():
    client, watchers = Client(), [Recorder(), Recorder()]
    inbox = Inbox(client.receive)
    async with anyio.create_task_group() as group:
        for watcher in watchers:
            group.start_soon(watcher.run, inbox.disconnected)
        group.start_soon(watchers[0].run, inbox)
        await anyio.wait_all_tasks_blocked()
        client.send(DISCONNECT)
    assert len(watchers[0].results) == 2
    assert watchers[1].results == [None]


async def test_cancelling_whoever_receives_hands_the_receive_over():
    client, reader = Client(), Recorder()
    inbox = Inbox(client.receive)
    scope = anyio.CancelScope()

    async def watch() -> None:
        with scope:
            await inbox.disconnected()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(reader.run, inbox.chunk)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert client.waiting == 1
        client.send(body(b"a", more=False))
    assert reader.results == [(b"a", False)]


async def test_cancelling_whoever_waits_for_another_loses_nothing():
    client, reader = Client(), Recorder()
    inbox = Inbox(client.receive)
    async with anyio.create_task_group() as group:
        group.start_soon(reader.run, inbox.chunk)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            await inbox.chunk()
        client.send(body(b"a", more=False))
    assert reader.results == [(b"a", False)]


async def test_a_receive_that_raises_lets_the_others_try():
    client, reader = Client(), Recorder()
    fail = anyio.Event()
    calls = 0

    async def receive() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 1:
            await fail.wait()
            raise OSError("broken")
        return await client.receive()

    inbox = Inbox(receive)

    async def watch() -> None:
        with pytest.raises(OSError, match="broken"):
            await inbox.disconnected()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(reader.run, inbox.chunk)
        await anyio.wait_all_tasks_blocked()
        fail.set()
        client.send(body(b"a", more=False))
    assert reader.results == [(b"a", False)]


async def test_a_body_that_nobody_reads_is_discarded_beyond_64_kib_and_the_disconnect_seen():
    chunks = [body(b"x" * 16 * KIB) for _ in range(100)]
    client = Client(*chunks, DISCONNECT)
    inbox = Inbox(client.receive)
    await inbox.disconnected()
    for _ in range(2):
        with pytest.raises(BodyOverrun, match="65536 bytes"):
            await inbox.chunk()
    with pytest.raises(BodyOverrun):
        await inbox()


@pytest.mark.parametrize(
    "sizes", [[64, 0], [32, 32, 0, 0], [100]], ids=["exact", "exact-in-parts", "in-one-message"]
)
async def test_a_body_that_fits_is_kept_whole_however_it_ends(sizes):
    chunks = [body(b"x" * size * KIB) for size in sizes]
    chunks[-1]["more_body"] = False
    inbox = Inbox(Client(*chunks, DISCONNECT).receive)
    await inbox.disconnected()
    read = [await inbox.chunk() for _ in chunks]
    assert sum(len(data) for data, _ in read) == sum(sizes) * KIB
    assert [more for _, more in read][-1] is False


async def test_a_body_that_is_being_read_is_never_discarded_but_makes_the_client_wait():
    client, watcher = Client(body(b"first")), Recorder()
    inbox = Inbox(client.receive)
    assert await inbox.chunk() == (b"first", True)
    for _ in range(10):
        client.send(body(b"x" * 16 * KIB))
    async with anyio.create_task_group() as group:
        group.start_soon(watcher.run, inbox.disconnected)
        await anyio.wait_all_tasks_blocked()
        assert len(client.unread) == 6
        await inbox.chunk()
        await anyio.wait_all_tasks_blocked()
        assert len(client.unread) == 5
        client.send(body(b"", more=False))
        client.send(DISCONNECT)
        received, more = 16 * KIB, True
        while more:
            data, more = await inbox.chunk()
            received += len(data)
    assert received == 160 * KIB
    assert watcher.results == [None]


async def test_a_disconnect_after_a_complete_body_is_seen_however_much_of_it_is_unread():
    client = Client(body(b"first"), body(b"x" * 64 * KIB, more=False), DISCONNECT)
    inbox = Inbox(client.receive)
    await inbox.chunk()
    await inbox.disconnected()
    assert await inbox.chunk() == (b"x" * 64 * KIB, False)


async def test_poll_sees_a_disconnect_behind_a_complete_body_that_is_full():
    inbox = Inbox(Client(body(b"x" * 64 * KIB, more=False), DISCONNECT).receive)
    assert not await inbox.poll()
    assert await inbox.poll()


async def test_two_readers_get_each_chunk_once_and_both_see_the_end():
    client, reader = Client(), Recorder()
    inbox = Inbox(client.receive)

    async def read_all() -> None:
        more = True
        while more:
            data, more = await inbox.chunk()
            reader.results.append(data)

    async with anyio.create_task_group() as group:
        group.start_soon(read_all)
        group.start_soon(read_all)
        for number in range(5):
            await anyio.wait_all_tasks_blocked()
            client.send(body(b"%d" % number, more=number < 4))
    assert b"".join(reader.results) == b"01234"
    assert inbox.is_disconnected is False


async def test_messages_after_the_complete_body_are_not_body():
    inbox = Inbox(Client(body(b"a", more=False), body(b"stray"), DISCONNECT).receive)
    assert await inbox.chunk() == (b"a", False)
    assert await inbox() == DISCONNECT
