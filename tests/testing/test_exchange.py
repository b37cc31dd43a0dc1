"""One request under the test's control: backpressure, frozen readers, disconnects, insight."""

import contextlib

import anyio
import httpx2
import pytest

from asgi_rt.testing import AppError, AsyncTestClient, ClientGoneError, CloseTimeoutError, Exchange


def connect(app, **options):
    """A client for these apps, none of which has a lifespan."""
    return AsyncTestClient(app, lifespan=False, **options)


START = {"type": "http.response.start", "status": 200, "headers": []}


def part(data, more_body=True):
    return {"type": "http.response.body", "body": data, "more_body": more_body}


class EndlessApp:
    """Sends 1000 bytes for ever, ends on a disconnect, and writes down what it saw."""

    def __init__(self, *, starts=True):
        self.starts = starts
        self.seen = []

    async def __call__(self, scope, receive, send):
        with contextlib.suppress(ClientGoneError):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.watch, receive, tasks.cancel_scope)
                if not self.starts:
                    await anyio.sleep_forever()
                await send(START)
                async with contextlib.aclosing(self.chunks()) as chunks:
                    async for chunk in chunks:
                        await send(part(chunk))

    async def watch(self, receive, scope):
        while (await receive())["type"] != "http.disconnect":
            pass
        self.seen.append("disconnect")
        scope.cancel()

    async def chunks(self):
        try:
            while True:
                yield b"x" * 1000
        finally:
            self.seen.append("closed")


class SendingApp:
    """Sends until `send` fails or `limit` messages are out; never looks at `receive`."""

    def __init__(self, limit=200):
        self.limit = limit
        self.outcome = []

    async def __call__(self, scope, receive, send):
        try:
            await send(START)
            for _ in range(self.limit):
                await send(part(b"x" * 1000))
        except OSError as error:
            self.outcome.append(error)
            raise
        self.outcome.append((await receive())["type"])
        self.outcome.append((await receive())["type"])


async def test_three_chunks_of_an_endless_stream_then_leaving_closes_the_generator():
    app = EndlessApp()
    async with connect(app) as client:
        async with (
            client.stream("GET", "/") as response,
            contextlib.aclosing(response.aiter_bytes()) as chunks,
        ):
            read = [await anext(chunks) for _ in range(3)]
        assert app.seen == ["disconnect", "closed"]
    assert read == [b"x" * 1000] * 3


async def test_open_does_not_wait_for_the_head():
    app = EndlessApp(starts=False)
    async with connect(app) as client, client.open("GET", "/") as exchange:
        await anyio.wait_all_tasks_blocked()
        assert not exchange.is_started
        assert not exchange.is_done
        with pytest.raises(RuntimeError, match=r"GET /: there is no response yet"):
            _ = exchange.response
    assert exchange.is_done
    assert app.seen == ["disconnect"]


async def test_a_disconnect_before_the_head_is_a_read_error():
    app = EndlessApp(starts=False)
    async with connect(app) as client, client.open("GET", "/") as exchange:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self_disconnect, exchange)
            with pytest.raises(httpx2.ReadError, match="GET /: the client has disconnected"):
                await exchange.head()
        await exchange.wait_done()
    assert app.seen == ["disconnect"]


async def self_disconnect(exchange):
    await anyio.wait_all_tasks_blocked()
    exchange.disconnect()


async def test_head_and_read_give_the_response_by_and_by():
    app = EndlessApp()
    async with connect(app) as client, client.open("GET", "/?a=1") as exchange:
        response = await exchange.head()
        assert response is exchange.response
        assert response.status_code == exchange.status == 200
        assert await exchange.read(10) == b"x" * 10
        assert await exchange.read() == b"x" * 990
        assert Exchange.of(response) is exchange
        assert exchange.is_started
        assert not exchange.is_complete


async def test_the_exchange_of_an_httpx2_response_is_reachable():
    async with connect(EndlessApp()) as client, client.stream("GET", "/") as response:
        exchange = Exchange.of(response)
        assert response.extensions["asgi_rt.exchange"] is exchange
        assert not exchange.is_done
    assert exchange.is_done
    with pytest.raises(TypeError, match="does not come from an AsyncTestClient"):
        Exchange.of(httpx2.Response(200))


async def test_a_frozen_reader_blocks_the_app():
    app = EndlessApp()
    async with connect(app, pipe_bytes=5000) as client, client.open("GET", "/") as exchange:
        exchange.freeze()
        await exchange.wait_blocked()
        assert exchange.is_blocked
        assert exchange.is_frozen
        assert exchange.bytes_sent == exchange.bytes_buffered == 6000
        read = []

        async def reader():
            read.extend([await exchange.read() for _ in range(10)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            assert read == []
            assert exchange.bytes_sent == 6000
            exchange.thaw()
        assert len(read) == 10
        await exchange.wait_blocked()
        assert exchange.bytes_sent == 16_000


async def test_wait_blocked_says_when_the_app_ended_instead():
    async def app(scope, receive, send):
        await send(START)
        await send(part(b"all", more_body=False))

    async with connect(app) as client, client.open("GET", "/") as exchange:
        with pytest.raises(AppError, match="ended after 3 bytes of body and was never held up"):
            await exchange.wait_blocked()


async def test_an_unbounded_pipe_never_blocks():
    app = SendingApp(limit=500)
    async with connect(app, pipe_bytes=None) as client, client.open("POST", "/") as exchange:
        with anyio.fail_after(5):
            while exchange.bytes_sent < 500_000:
                await anyio.lowlevel.checkpoint()
        assert not exchange.is_blocked


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_disconnect_while_send_is_blocked(spec_version):
    app = SendingApp()
    async with (
        connect(app, spec_version=spec_version) as client,
        client.open("GET", "/") as exchange,
    ):
        exchange.freeze()
        await exchange.wait_blocked()
        sent = exchange.bytes_sent
        exchange.disconnect()
        await exchange.wait_done()
        assert exchange.bytes_sent == sent
        assert not exchange.is_blocked
    if spec_version == "2.4":
        [error] = app.outcome
        assert isinstance(error, ClientGoneError)
        assert "GET /: the client has disconnected" in str(error)
    else:
        assert app.outcome == ["http.disconnect", "http.disconnect"]


@pytest.mark.parametrize("spec_version", ["2.3", "2.4", "2.5", "3.0"])
async def test_a_disconnect_in_mid_body(spec_version):
    go_on = anyio.Event()
    outcome = []

    async def app(scope, receive, send):
        assert scope["asgi"] == {"version": "3.0", "spec_version": spec_version}
        await send(START)
        await send(part(b"one"))
        await go_on.wait()
        try:
            await send(part(b"two"))
        except OSError:
            outcome.append("OSError")
        else:
            outcome.append("silent")

    async with (
        connect(app, spec_version=spec_version) as client,
        client.open("GET", "/") as exchange,
    ):
        assert await exchange.read() == b"one"
        exchange.disconnect()
        go_on.set()
        with pytest.raises(httpx2.ReadError, match="has disconnected"):
            await exchange.read()
    assert outcome == ["silent" if spec_version == "2.3" else "OSError"]


async def test_a_disconnect_from_another_task_ends_a_waiting_read():
    async def app(scope, receive, send):
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass

    async with (
        connect(app) as client,
        client.stream("GET", "/") as response,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(self_disconnect, Exchange.of(response))
        with pytest.raises(httpx2.ReadError):
            await response.aread()


async def test_what_is_in_the_pipe_is_lost_by_a_disconnect():
    async with connect(EndlessApp()) as client, client.open("GET", "/") as exchange:
        await exchange.wait_blocked()
        exchange.disconnect()
        exchange.disconnect()
        assert exchange.bytes_buffered == 0
        assert exchange.is_disconnected


async def test_a_response_read_to_its_end_is_no_disconnect():
    async def app(scope, receive, send):
        await send(START)
        await send(part(b"all", more_body=False))

    async with connect(app) as client:
        exchange = Exchange.of(await client.get("/"))
        assert exchange.is_complete
        assert exchange.is_done
        assert not exchange.is_disconnected
        assert await exchange.read() == b""


async def test_what_the_app_does_after_the_response_is_waited_for():
    done = []

    async def app(scope, receive, send):
        await send(START)
        await send(part(b"all", more_body=False))
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        done.append((await receive())["type"])

    async with connect(app) as client:
        await client.get("/")
        assert done == ["http.disconnect"]


async def test_an_app_that_does_not_end_is_cancelled_and_named():
    cancelled = []

    async def app(scope, receive, send):
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    async with connect(app, close_timeout=0.05) as client:
        with pytest.raises(CloseTimeoutError, match=r"GET /stuck\?x=1: .*running 0.05 seconds"):
            async with client.stream("GET", "/stuck?x=1"):
                pass
        assert cancelled == [True]


async def test_what_a_cancelled_app_raises_is_the_cause():
    error = ValueError("clean-up failed")

    async def app(scope, receive, send):
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    async with connect(app, close_timeout=0.05) as client:
        with pytest.raises(CloseTimeoutError) as caught:
            async with client.stream("GET", "/"):
                pass
    assert caught.value.__cause__ is error


async def test_a_cancelled_caller_takes_the_app_along():
    app = EndlessApp(starts=False)
    async with connect(app) as client:
        with anyio.move_on_after(0.01) as scope:
            await client.get("/")
        assert scope.cancelled_caught
        assert app.seen == ["disconnect"]


async def test_a_cancelled_caller_of_a_deaf_app_is_freed_and_the_app_cancelled():
    cancelled = []

    async def app(scope, receive, send):
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    async with connect(app, close_timeout=0.05) as client:
        with anyio.move_on_after(0.01) as scope:
            await client.get("/")
        assert scope.cancelled_caught
        assert cancelled == [True]


async def test_closing_twice_and_at_once_is_one_close():
    app = EndlessApp()
    async with connect(app) as client, client.open("GET", "/") as exchange:
        await exchange.head()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.aclose)
            tasks.start_soon(exchange.aclose)
        await exchange.aclose()
    assert app.seen == ["disconnect", "closed"]


async def test_no_app_outlives_the_client():
    app = EndlessApp()
    client = connect(app)
    request = client.build_request("GET", "/")
    responses = [await client.send(request, stream=True) for _ in range(3)]
    await client.aclose()
    assert sorted(app.seen) == ["closed"] * 3 + ["disconnect"] * 3
    assert all(Exchange.of(response).is_done for response in responses)
    with pytest.raises(RuntimeError, match="closed"):
        async with client.open("GET", "/"):
            pass


async def test_head_gives_no_body_and_lets_the_app_end():
    async def app(scope, receive, send):
        await send({**START, "headers": [(b"content-length", b"8")]})
        await send(part(b"the "))
        await send(part(b"body", more_body=False))

    async with connect(app) as client:
        response = await client.head("/")
        assert response.content == b""
        assert response.headers["content-length"] == "8"
        assert not Exchange.of(response).is_disconnected


async def test_head_of_an_endless_body_is_an_error_and_does_not_hang():
    async with connect(EndlessApp(), close_timeout=0.05) as client:
        with pytest.raises(CloseTimeoutError, match=r"HEAD /:"):
            await client.head("/")


async def test_a_silent_app_is_a_read_timeout_when_one_is_set():
    async with connect(EndlessApp(starts=False)) as client:
        with pytest.raises(httpx2.ReadTimeout, match=r"GET /: nothing arrived .* 0.01 seconds"):
            await client.get("/", timeout=0.01)


async def test_a_stalled_body_is_a_read_timeout_when_one_is_set():
    async with connect(EndlessApp(), timeout=0.01) as client, client.open("GET", "/") as exchange:
        exchange.freeze()
        with pytest.raises(httpx2.ReadTimeout):
            await exchange.read()
