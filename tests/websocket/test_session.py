"""Tasks that live as long as one WebSocket: `async with ws.session() as session`."""

from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import App, HTTPError, WebSocketClosed
from asgi_rt.errors import LifecycleError
from asgi_rt.testing import AsyncTestClient


@asynccontextmanager
async def connected(handler):
    """The client's side of a connection to this handler, which finds it accepted."""
    app = App()

    @app.websocket("/")
    async def accepted(ws):
        await ws.accept()
        await handler(ws)

    async with (
        AsyncTestClient(app, raise_server_exceptions=False) as client,
        client.websocket_connect("/") as ws,
    ):
        yield ws
        # What the handler does beyond the end of the connection belongs to the test.
        await ws.close()
        await ws.wait_done()


class Waiting:
    """Tasks that wait for ever, and note when they have begun and when they were ended."""

    def __init__(self, count=1):
        self.missing = count
        self.all_wait = anyio.Event()
        self.ended = []

    async def __call__(self, name="task"):
        self.missing -= 1
        if not self.missing:
            self.all_wait.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.ended.append(name)


async def fail_when(event, error):
    await event.wait()
    raise error


# The end of the connection


async def close(client):
    await client.close(4000, "bye")


async def lose(client):
    client.disconnect()


async def shut_down(client):
    client.server_close(1012)


ENDS = [(close, (4000, "bye")), (lose, (1006, "")), (shut_down, (1012, ""))]


@pytest.mark.parametrize(("end", "facts"), ENDS)
@pytest.mark.parametrize("body", ["waits for its tasks", "sleeps", "receives"])
async def test_the_end_of_the_connection_ends_the_tasks_and_the_block(end, facts, body):
    waiting = Waiting(2)
    after = []

    async def handler(ws):
        async with ws.session() as session:
            session.start(waiting, "a")
            session.start(waiting, "b")
            if body == "sleeps":
                await anyio.sleep_forever()
            elif body == "receives":
                await ws.receive()
        after.append((ws.closed.code, ws.closed.reason))

    async with connected(handler) as client:
        await waiting.all_wait.wait()
        await end(client)
        await client.wait_done()
    assert sorted(waiting.ended) == ["a", "b"]
    assert after == [facts]


@pytest.mark.parametrize("where", ["body", "task", "other task"])
async def test_closing_the_connection_ends_the_tasks_and_the_block(where):
    waiting = Waiting()
    after = []

    async def handler(ws):
        async def close():
            await waiting.all_wait.wait()
            await ws.close(4001, "enough")

        async with anyio.create_task_group() as others:
            async with ws.session() as session:
                session.start(waiting)
                if where == "body":
                    await close()
                elif where == "task":
                    session.start(close)
                else:
                    others.start_soon(close)
            after.append(ws.closed.by)

    async with connected(handler) as client:
        closed = await client.wait_closed()
        await client.wait_done()
    assert (closed.code, closed.reason) == (4001, "enough")
    assert (waiting.ended, after) == (["task"], ["server"])


async def test_a_task_that_meets_the_end_ends_quietly():
    after = []

    async def handler(ws):
        async def send_for_ever():
            while True:
                await ws.send_text("x")
                await anyio.lowlevel.checkpoint()

        async with ws.session() as session:
            session.start(send_for_ever)
            session.start(ws.receive)
        after.append(ws.closed.code)

    async with connected(handler) as client:
        assert await client.receive() == "x"
        await client.close(4000)
        await client.wait_done()
    assert len(after) == 1


async def test_what_a_task_raises_when_it_is_ended_is_not_lost():
    waiting = Waiting()
    raised = []

    async def failing_farewell():
        try:
            await waiting()
        finally:
            raise RuntimeError("deliberate")

    async def handler(ws):
        try:
            async with ws.session() as session:
                session.start(failing_farewell)
        except RuntimeError as error:
            raised.append((str(error), ws.closed.code))

    async with connected(handler) as client:
        await waiting.all_wait.wait()
        await client.close(4000)
        await client.wait_done()
    assert raised == [("deliberate", 4000)]


# Failures


FAILURES = [
    (RuntimeError("deliberate"), 1011, "internal error"),
    (HTTPError(403, "members only"), 1008, "members only"),
    (HTTPError(404), 1008, "Not Found"),
    (HTTPError(413), 1009, None),
    (HTTPError(503), 1013, None),
    (HTTPError(500, "sorry"), 1011, "sorry"),
    (WebSocketClosed(4005, "moved", by="server"), 4005, "moved"),
    # Of another connection: these can be told to nobody.
    (WebSocketClosed(1006, "", by="network"), 1011, None),
    (WebSocketClosed(1005, "", by="client"), 1011, None),
]


@pytest.mark.parametrize(("error", "code", "reason"), FAILURES, ids=lambda value: str(value))
@pytest.mark.parametrize("where", ["task", "body", "nested task"])
async def test_a_failure_ends_the_tasks_and_the_connection_with_its_code(
    where, error, code, reason
):
    waiting = Waiting(2)
    raised = []

    async def handler(ws):
        async def start_failing(session):
            session.start(fail_when, waiting.all_wait, error)

        try:
            async with ws.session() as session:
                session.start(waiting, "a")
                session.start(waiting, "b")
                if where == "task":
                    session.start(fail_when, waiting.all_wait, error)
                elif where == "nested task":
                    session.start(start_failing, session)
                else:
                    await fail_when(waiting.all_wait, error)
        except Exception as caught:
            raised.append(caught)
            raise

    async with connected(handler) as client:
        closed = await client.wait_closed()
        await client.wait_done()
    assert sorted(waiting.ended) == ["a", "b"]
    assert (closed.code, closed.by) == (code, "server")
    if reason is not None:
        assert closed.reason == reason
    assert raised == ([] if isinstance(error, WebSocketClosed) else [error])


async def test_the_client_is_told_of_a_failure_while_other_tasks_are_still_ending():
    begun, may_end = anyio.Event(), anyio.Event()

    async def slow_to_end():
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await may_end.wait()

    async def handler(ws):
        async with ws.session() as session:
            session.start(slow_to_end)
            session.start(fail_when, begun, HTTPError(403))

    async with connected(handler) as client:
        assert (await client.wait_closed()).code == 1008
        assert not client.is_done
        may_end.set()


async def test_the_first_failure_is_the_one_that_counts():
    waiting = Waiting()
    raised = []

    async def failing_farewell():
        try:
            await waiting()
        finally:
            raise RuntimeError("a consequence")

    async def handler(ws):
        try:
            async with ws.session() as session:
                session.start(failing_farewell)
                session.start(fail_when, waiting.all_wait, HTTPError(403, "the cause"))
        except Exception as error:
            raised.append(str(error))
            raise

    async with connected(handler) as client:
        closed = await client.wait_closed()
        await client.wait_done()
    assert (closed.code, closed.reason) == (1008, "the cause")
    assert raised == ["403 Forbidden: the cause"]


@pytest.mark.parametrize("error", [RuntimeError("deliberate"), WebSocketClosed(4005, by="server")])
async def test_a_failure_after_the_end_does_not_change_the_code(error):
    async def handler(ws):
        async with ws.session():
            await ws.close(4001, "first")
            raise error

    async with connected(handler) as client:
        closed = await client.wait_closed()
    assert (closed.code, closed.reason) == (4001, "first")


@pytest.mark.parametrize("where", ["task", "body"])
async def test_the_end_met_in_a_task_group_of_their_own_is_quiet(where):
    """`WebSocketClosed` comes out of a task group in an ExceptionGroup."""
    waiting = Waiting(2)
    raised = []

    async def handler(ws):
        async def say_farewell():
            try:
                await waiting()
            finally:
                await ws.send_text("farewell")

        async def talk():
            async with anyio.create_task_group() as group:
                group.start_soon(say_farewell)
                group.start_soon(say_farewell)

        try:
            async with ws.session() as session:
                if where == "task":
                    session.start(talk)
                else:
                    await talk()
        except Exception as error:
            raised.append(error)
            raise

    async with connected(handler) as client:
        await waiting.all_wait.wait()
        await client.close(4000)
        await client.wait_done()
    assert raised == []


# The block


async def test_the_block_waits_for_its_tasks():
    go_on = anyio.Event()
    log = []

    async def work(name, seconds=0):
        await go_on.wait()
        log.append(name)

    async def handler(ws):
        async with ws.session() as session:
            session.start(work, "a")
            session.start(work, "b")
            log.append("end of the block")
            go_on.set()
        log.append("after the block")
        await ws.send_text("still open")

    async with connected(handler) as client:
        assert await client.receive() == "still open"
        assert (await client.wait_closed()).code == 1000
    assert log[0] == "end of the block"
    assert sorted(log[1:3]) == ["a", "b"]
    assert log[3:] == ["after the block"]


async def test_a_task_may_start_others_also_while_the_block_waits():
    log = []

    async def count_down(session, number):
        log.append(number)
        await anyio.lowlevel.checkpoint()
        if number:
            session.start(count_down, session, number - 1)

    async def handler(ws):
        async with ws.session() as session:
            session.start(count_down, session, 3)
        log.append(ws.closed)

    async with connected(handler) as client:
        await client.wait_closed()
    assert log == [3, 2, 1, 0, None]


async def test_cancelling_the_session_ends_its_tasks_and_leaves_the_connection_open():
    waiting = Waiting(2)
    after = []

    async def handler(ws):
        async with ws.session() as session:
            session.start(waiting, "a")
            session.start(waiting, "b")
            await waiting.all_wait.wait()
            session.cancel()
            await anyio.lowlevel.checkpoint()
            after.append("not reached")
        await ws.send_text("still open")

    async with connected(handler) as client:
        assert await client.receive() == "still open"
    assert (sorted(waiting.ended), after) == (["a", "b"], [])


async def test_a_cancellation_from_outside_ends_the_tasks_and_goes_on_outwards():
    waiting = Waiting()
    after = []

    async def handler(ws):
        with anyio.CancelScope() as scope:
            async with ws.session() as session:
                session.start(waiting)
                await waiting.all_wait.wait()
                scope.cancel()
            after.append("not reached")
        assert scope.cancelled_caught
        await ws.send_text("still open")

    async with connected(handler) as client:
        assert await client.receive() == "still open"
    assert (waiting.ended, after) == (["task"], [])


async def test_a_time_limit_around_the_block_is_kept():
    waiting = Waiting()
    raised = []

    async def handler(ws):
        try:
            with anyio.fail_after(0.01):
                async with ws.session() as session:
                    session.start(waiting)
        except TimeoutError:
            raised.append(ws.closed)
        await ws.send_text("still open")

    async with connected(handler) as client:
        assert await client.receive() == "still open"
    assert (waiting.ended, raised) == (["task"], [None])


async def test_sessions_of_one_connection_end_with_it_one_inside_the_other():
    waiting = Waiting(2)
    after = []

    async def handler(ws):
        async with ws.session() as outer:
            outer.start(waiting, "outer")
            async with ws.session() as inner:
                inner.start(waiting, "inner")
                await waiting.all_wait.wait()
            after.append("inner")
        after.append("outer")

    async with connected(handler) as client:
        await waiting.all_wait.wait()
        await client.close()
        await client.wait_done()
    assert sorted(waiting.ended) == ["inner", "outer"]
    assert after[-1] == "outer"


async def test_a_failure_in_an_inner_session_ends_the_outer_one_too():
    waiting = Waiting()

    async def handler(ws):
        async with ws.session() as outer:
            outer.start(waiting)
            async with ws.session() as inner:
                inner.start(fail_when, waiting.all_wait, HTTPError(403))

    async with connected(handler) as client:
        assert (await client.wait_closed()).code == 1008
        await client.wait_done()
    assert waiting.ended == ["task"]


# Out of turn


async def test_tasks_can_only_be_started_inside_the_block():
    refused = []

    async def work():
        raise AssertionError("must not run")

    async def handler(ws):
        session = ws.session()
        for _ in range(2):
            try:
                session.start(work)
            except LifecycleError as error:
                refused.append(str(error))
            async with ws.session() as session:
                pass

    async with connected(handler):
        pass
    assert len(refused) == 2
    assert "async with ws.session() as session" in refused[0]


async def test_a_task_started_after_the_end_of_the_connection_does_nothing():
    done = []

    async def work():
        await anyio.lowlevel.checkpoint()
        done.append("work")

    async def handler(ws):
        async with ws.session() as session:
            with anyio.CancelScope(shield=True):
                await ws.close()
            session.start(work)
            done.append("started")

    async with connected(handler) as client:
        await client.wait_done()
    assert done == ["started"]


async def test_a_session_before_the_connection_is_accepted_is_refused():
    refused = []
    app = App()

    @app.websocket("/")
    async def handler(ws):
        try:
            async with ws.session():
                refused.append("not reached")
        except LifecycleError as error:
            refused.append(str(error))
        await ws.accept()

    async with AsyncTestClient(app) as client, client.websocket_connect("/"):
        pass
    assert refused == [
        "a session cannot begin before `await ws.accept()`: nothing is connected yet"
    ]


async def test_a_session_after_the_end_of_the_connection_says_that_it_is_over():
    met = []

    async def handler(ws):
        await ws.close(4001)
        try:
            async with ws.session():
                met.append("not reached")
        except WebSocketClosed as closed:
            met.append(closed.code)
            raise

    async with connected(handler) as client:
        assert (await client.wait_closed()).code == 4001
    assert met == [4001]


async def test_a_session_is_not_entered_within_itself():
    refused = []

    async def handler(ws):
        async with ws.session() as session:
            try:
                await session.__aenter__()
            except LifecycleError as error:
                refused.append(str(error))
        await ws.send_text("still open")

    async with connected(handler) as client:
        assert await client.receive() == "still open"
    assert refused == ["a session is entered once; make another with `ws.session()`"]
