"""What a handler receives, and who reads while it does not."""

import asyncio
from itertools import product
from random import Random

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import WebSocketClosed
from asgi_rt.http.pull import on_asyncio
from websocket.fake_server import (
    KINDS,
    QUICK_BACKENDS,
    FakeServer,
    SteppedRounds,
    a_round,
    connection,
)

WITHIN = 3.0
"""Seconds after which a wait that ought to end has failed."""

kinds = pytest.mark.parametrize("kind", KINDS)


async def turns(count):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def impatient(monkeypatch):
    """A server that tells nothing is given up soon."""
    monkeypatch.setattr("asgi_rt.websocket.outgoing._LEARN_SECONDS", 0.02)
    monkeypatch.setattr("asgi_rt.websocket.link._TELL_SECONDS", 0.02)
    monkeypatch.setattr("asgi_rt.websocket.link._LINGER_SECONDS", 0.02)


@pytest.fixture
def rounds(monkeypatch):
    """Those in which connections are looked after, when the test says so."""
    stepped = SteppedRounds()
    monkeypatch.setattr("asgi_rt.websocket.beside.rounds_of_this_loop", lambda: stepped)
    return stepped


# Waits that end with the connection


@kinds
async def test_a_handler_that_gave_up_receiving_sees_the_end(kind):
    async def handler(ws):
        await ws.accept()
        with anyio.CancelScope() as scope:
            receiving.set()
            cancel.append(scope.cancel)
            await ws.receive()
        with anyio.fail_after(WITHIN):
            await ws.wait_closed()

    receiving, cancel = anyio.Event(), []
    async with connection(handler, kind) as server:
        await receiving.wait()
        await a_round()
        cancel[0]()
        await a_round()
        server.leave(4000)


@kinds
async def test_a_send_timeout_ends_a_wait_for_a_message(kind, impatient):
    """The client is frozen, so the server has nothing to tell."""
    seen = []

    async def receive(ws):
        with anyio.fail_after(WITHIN):
            try:
                await ws.receive()
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(receive, ws)
            await server.receiving()
            server.freeze()
            with pytest.raises(WebSocketClosed):
                await ws.send_text("x")

    async with connection(handler, kind, send_timeout=0.02) as server:
        pass
    assert seen == [1008]


async def test_a_server_that_refuses_a_send_ends_a_wait_for_a_message(impatient):
    """A server that raises OSError from `send`, but tells `receive` nothing."""
    seen = []

    async def receive(ws):
        with anyio.fail_after(WITHIN):
            try:
                await ws.receive()
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(receive, ws)
            await server.receiving()
            server.vanish()
            with pytest.raises(WebSocketClosed):
                await ws.send_text("x")

    async with connection(handler, FakeServer) as server:
        pass
    assert seen == [1006]


async def test_a_close_ends_a_wait_for_a_message_in_a_generator(impatient):
    """The server tells nothing of a close of the app's own."""

    async def handler(ws):
        async def messages():
            async for message in ws:
                yield message

        async def close():
            await server.receiving()
            await ws.close()

        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(close)
            with anyio.fail_after(WITHIN):
                async for _ in messages():
                    pass

    async with connection(handler, FakeServer, server={"tells": False}) as server:
        pass


async def test_the_end_of_the_handler_ends_a_wait_for_a_message_in_another_task(impatient):
    seen = []

    async def receive(ws):
        with anyio.fail_after(WITHIN):
            try:
                await ws.receive()
            except WebSocketClosed as closed:
                seen.append(closed.code)

    async def handler(ws):
        await ws.accept()
        others.start_soon(receive, ws)
        await server.receiving()

    async with (
        anyio.create_task_group() as others,
        connection(handler, FakeServer, server={"tells": False}) as server,
    ):
        pass
    assert seen == [1000]


# The inbox


async def let_read(server, rounds):
    """Return when all that may be read has been."""
    begun = -1
    while begun != server.receives_begun:
        begun = server.receives_begun
        rounds.step()
        await turns(10)


@kinds
@pytest.mark.parametrize(
    ("options", "kept"), [({"max_unread_messages": 3}, 3), ({"max_unread_bytes": 5}, 3)]
)
async def test_a_full_inbox_makes_the_client_wait(kind, rounds, options, kept):
    texts = ["0-", "1-", "2-", "3-", "4-", "5-"]

    async def handler(ws):
        await ws.accept()
        server.send_text(*texts)
        await let_read(server, rounds)
        # One receive is for the connect; a callback reads no further, a task neither.
        assert server.receives_begun == 1 + kept
        assert [await ws.receive() for _ in texts] == texts
        assert ws.discarded == 0

    async with connection(handler, kind, **options) as server:
        pass


@kinds
async def test_a_full_inbox_can_discard_what_comes(kind, rounds):
    async def handler(ws):
        await ws.accept()
        server.send_text(*"abcdefg")
        await let_read(server, rounds)
        assert ws.discarded == 4
        assert [await ws.receive() for _ in range(3)] == ["a", "b", "c"]
        server.send_text("h")
        assert await ws.receive() == "h"

    async with connection(handler, kind, unread="discard", max_unread_messages=3) as server:
        pass


@kinds
async def test_a_full_inbox_can_close_the_connection(kind, rounds):
    async def handler(ws):
        await ws.accept()
        server.send_text(*"abcd")
        await let_read(server, rounds)
        with pytest.raises(WebSocketClosed):
            await ws.receive()

    async with connection(handler, kind, unread="close", max_unread_messages=3) as server:
        pass
    assert server.close == (1013, "messages come faster than they are received")


@kinds
async def test_what_came_before_the_client_left_can_be_received(kind, rounds):
    async def handler(ws):
        await ws.accept()
        server.send_text(*"abc")
        server.leave(4000, "bye")
        await let_read(server, rounds)
        assert ws.closed.code == 4000
        assert not ws.is_open
        assert [text async for text in ws.iter_text()] == ["a", "b", "c"]
        with pytest.raises(WebSocketClosed):
            await ws.receive()

    async with connection(handler, kind) as server:
        pass


@kinds
async def test_what_came_before_our_own_end_is_dropped(kind, rounds):
    async def handler(ws):
        await ws.accept()
        server.send_text(*"abc")
        await let_read(server, rounds)
        await ws.close()
        with pytest.raises(WebSocketClosed):
            await ws.receive()

    async with connection(handler, kind) as server:
        pass


# Nothing is lost, nothing comes twice

MESSAGES = 10_000


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", QUICK_BACKENDS)
@kinds
@pytest.mark.parametrize("receivers", [1, 3])
async def test_all_messages_come_in_order_whoever_reads(kind, rounds, receivers):
    """In and out of the pauses of the handler, and while it waits for the server itself."""
    random = Random(receivers)
    received = []

    async def receive(ws):
        while len(received) < MESSAGES:
            for _ in range(random.choice([1, 1, 2, 10, 200])):
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    received.append(await ws.receive())
                if len(received) == MESSAGES:
                    everything.cancel()
            await turns(random.choice([0, 1, 2, 5]))

    async def send():
        sent = 0
        while True:
            count = min(random.choice([0, 1, 1, 2, 20, 500]), MESSAGES - sent)
            server.send_text(*map(str, range(sent, sent + count)))
            sent += count
            await turns(random.choice([0, 1, 2]))
            if random.random() < 0.3:
                rounds.step()
            if random.random() < 0.3 and scopes:
                random.choice(scopes).cancel()
            await turns(random.choice([0, 1]) if sent < MESSAGES else 1)

    async def handler(ws):
        nonlocal everything
        await ws.accept()
        async with anyio.create_task_group() as group:
            everything = group.cancel_scope
            group.start_soon(send)
            for _ in range(receivers):
                group.start_soon(receive, ws)

    scopes, everything = [], None
    async with connection(handler, kind) as server:
        pass
    assert received == [str(number) for number in range(MESSAGES)]


async def in_scope(receive, cancel_later):
    with anyio.CancelScope() as scope:
        cancel_later(scope.cancel)
        await receive()


async def in_timeout(receive, cancel_later):
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as timeout:
            cancel_later(lambda: timeout.reschedule(loop.time()))
            await receive()
    except TimeoutError:
        pass


async def in_task(receive, cancel_later):
    """As `asyncio.wait_for` does it."""
    task = asyncio.create_task(receive())
    cancel_later(task.cancel)
    await asyncio.wait([task])


@kinds
@pytest.mark.parametrize("guard", [in_scope, in_timeout, in_task])
async def test_a_receive_that_is_cancelled_at_any_point_loses_nothing(kind, rounds, guard):
    received, sent = [], 0

    async def handler(ws):
        async def receive():
            received.append(await ws.receive())

        async def disturb(message_at, cancel_at, round_at):
            nonlocal sent
            for turn in range(8):
                if turn == message_at:
                    server.send_text(str(sent))
                    sent += 1
                if turn == cancel_at:
                    cancel()
                if turn == round_at:
                    rounds.step()
                await turns(1)

        def cancel_later(found):
            nonlocal cancel
            cancel = found

        await ws.accept()
        for at in product(range(4), range(6), range(6)):
            cancel = bool  # until there is something to cancel
            async with anyio.create_task_group() as group:
                group.start_soon(disturb, *at)
                await turns(1)
                await guard(receive, cancel_later)
                cancel = bool
        while len(received) < sent:
            received.append(await ws.receive())
        if on_asyncio():
            assert asyncio.current_task().cancelling() == 0

    if guard is not in_scope and not on_asyncio():
        guard = in_scope
    async with connection(handler, kind) as server:
        pass
    assert received == [str(number) for number in range(sent)]
    assert sent == 4 * 6 * 6


@kinds
@pytest.mark.parametrize("how", ["move_on_after", "timeout", "wait_for"])
async def test_a_timeout_around_each_receive_loses_nothing(kind, how):
    """With the real clock, and messages that come just when the time is over."""
    received = []

    async def receive(ws):
        if how == "move_on_after" or not on_asyncio():
            with anyio.move_on_after(0.002):
                received.append(await ws.receive())
        elif how == "timeout":
            async with asyncio.timeout(0.002):
                received.append(await ws.receive())
        else:
            received.append(await asyncio.wait_for(ws.receive(), 0.002))

    async def send():
        for number in range(40):
            server.send_text(str(number))
            await anyio.sleep(0.002)

    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(send)
            while len(received) < 40:
                try:
                    await receive(ws)
                except TimeoutError:
                    continue

    async with connection(handler, kind) as server:
        pass
    assert received == [str(number) for number in range(40)]


@kinds
async def test_one_receives_at_a_time_however_many_wait(kind, rounds):
    """One who got a message and asks for the next must not ask beside another who waits."""
    received = []

    async def receive(ws):
        for _ in range(2):
            received.append(await ws.receive())
            await turns(1)

    async def handler(ws):
        await ws.accept()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(receive, ws)
            await server.receiving()
            for text in "abcdef":
                server.send_text(text)
                await turns(5)

    async with connection(handler, kind) as server:
        pass
    assert received == list("abcdef")


# Limits


async def receives(ws):
    await ws.accept()
    async for _ in ws:
        pass


async def sends(ws):
    """Never receives."""
    await ws.accept()
    await ws.wait_closed()


@kinds
@pytest.mark.parametrize("handler", [receives, sends])
@pytest.mark.parametrize(
    ("options", "text", "code"),
    [
        ({"max_message_bytes": 5}, "ääa", None),
        ({"max_message_bytes": 5}, "äää", 1009),
        ({"max_message_bytes": 5}, "aaaaaa", 1009),
        ({"messages_per_second": 100}, "a", None),
        ({"messages_per_second": 0.001}, "a", 1008),
        ({"idle_timeout": 60}, "a", None),
    ],
)
async def test_a_limit_that_is_passed_closes_the_connection(kind, handler, options, text, code):
    async with connection(handler, kind, **options) as server:
        await server.accepted()
        server.send_text(text, text)
        await a_round()
        await turns(20)
        server.leave()
    assert (server.close and server.close[0]) == code


@kinds
@pytest.mark.parametrize("handler", [receives, sends])
async def test_a_client_that_is_silent_for_too_long_is_closed(kind, handler):
    async with connection(handler, kind, idle_timeout=0.02) as server:
        with anyio.fail_after(WITHIN):
            await server.done()
    assert server.close == (1008, "no message for 0.02 seconds")


# What a message must be

KINDS_OF_CALLS = [
    ("receive_text", b"x", 1003, "a text message was expected, a binary one came"),
    ("receive_bytes", "x", 1003, "a binary message was expected, a text one came"),
    ("receive_json", "{", 1007, "the message is not JSON"),
    ("receive_json", b"\xff", 1007, "the message is not JSON"),
]


@kinds
@pytest.mark.parametrize(("call", "message", "code", "reason"), KINDS_OF_CALLS)
@pytest.mark.parametrize("iterates", [False, True])
async def test_a_message_of_the_wrong_kind_closes(kind, call, message, code, reason, iterates):
    async def handler(ws):
        await ws.accept()
        if iterates:
            found = [each async for each in getattr(ws, call.replace("receive", "iter"))()]
            assert found == []
        else:
            with pytest.raises(WebSocketClosed):
                await getattr(ws, call)()
        assert (ws.closed.code, ws.closed.reason, ws.closed.by) == (code, reason, "server")

    async with connection(handler, kind) as server:
        await server.accepted()
        send = server.send_text if isinstance(message, str) else server.send_bytes
        send(message)
    assert server.close == (code, reason)


@kinds
async def test_messages_come_as_they_are_asked_for(kind):
    async def handler(ws):
        await ws.accept()
        got = [await ws.receive(), await ws.receive(), await ws.receive_text()]
        got += [await ws.receive_bytes(), await ws.receive_json(), await ws.receive_json()]
        assert got == ["a", b"b", "", b"", {"a": [1]}, None]

    async with connection(handler, kind) as server:
        await server.accepted()
        server.send_text("a")
        server.send_bytes(b"b")
        server.send_text("")
        server.send_bytes(b"", b'{"a": [1]}')
        server.send_text("null")


# How it ended, to those who send


@kinds
@pytest.mark.parametrize("is_told_first", [True, False])
async def test_a_send_that_the_server_refuses_raises_how_it_ended(kind, is_told_first):
    seen = []

    async def handler(ws):
        await ws.accept()
        if is_told_first:
            server.leave(4000, "bye")
        else:
            server.vanish()
            others.start_soon(tell)
        try:
            await ws.send_text("x")
        except WebSocketClosed as closed:
            seen.append((closed.code, closed.reason, closed.by))

    async def tell():
        await turns(3)
        server.leave(4000, "bye")

    async with anyio.create_task_group() as others, connection(handler, kind) as server:
        pass
    assert seen == [(4000, "bye", "client")]
