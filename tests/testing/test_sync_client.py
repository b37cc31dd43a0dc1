"""The blocking client: the same features over one event loop in a thread."""

import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import anyio
import httpx2
import pytest
from starlette.responses import PlainTextResponse, StreamingResponse

from asgi_rt.errors import LifespanError
from asgi_rt.testing import (
    AsyncTestClient,
    ClientGoneError,
    CloseTimeoutError,
    IncompleteResponseError,
    SyncExchange,
    TestClient,
)

START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture(
    params=[
        pytest.param({"backend": "asyncio"}, id="asyncio"),
        pytest.param({"backend_options": {"use_uvloop": True}}, id="uvloop"),
        pytest.param({"backend": "trio"}, id="trio"),
    ]
)
def connect(request):
    """Makes clients on each backend; none of the apps has a lifespan."""
    clients = []

    def make(app, **options):
        clients.append(TestClient(app, lifespan=False, **request.param, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class EndlessApp:
    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.watch, receive, tasks.cancel_scope)
                await send(START)
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 9, "more_body": True})
        except* ClientGoneError:
            self.seen.append("gone")
        finally:
            self.seen.append("closed")

    async def watch(self, receive, scope):
        while (await receive())["type"] != "http.disconnect":
            pass
        self.seen.append("disconnect")
        scope.cancel()


def loop_threads():
    return {each for each in threading.enumerate() if each.name == "asgi_rt test client"}


def test_plain_requests_work_with_and_without_with(connect):
    client = connect(PlainTextResponse("text"))
    assert client.get("/").text == "text"
    with connect(PlainTextResponse("text")) as client:
        assert client.get("/").text == "text"
        assert isinstance(client, httpx2.Client)


def test_an_endless_stream_is_read_and_left(connect):
    app = EndlessApp()
    with connect(app) as client:
        with client.stream("GET", "/") as response:
            for chunk in response.iter_bytes():
                assert chunk == b"x" * 9
                break
        assert app.seen == ["disconnect", "closed"]
        assert SyncExchange.of(response).is_done


def test_the_controls_of_an_exchange_work(connect):
    app = EndlessApp()
    with connect(app, pipe_bytes=90) as client, client.open("GET", "/") as exchange:
        exchange.freeze()
        exchange.wait_blocked()
        assert exchange.is_blocked
        assert exchange.bytes_sent == 99
        exchange.thaw()
        assert exchange.head().status_code == 200
        assert exchange.read(4) == b"xxxx"
        assert next(iter(exchange)) == b"xxxxx"
        exchange.disconnect()
        exchange.wait_done()
        with pytest.raises(httpx2.ReadError):
            exchange.read()
    assert app.seen[-1] == "closed"


def test_a_frozen_reader_in_another_thread_waits_until_the_thaw(connect):
    with connect(EndlessApp()) as client, client.open("GET", "/") as exchange:
        exchange.freeze()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(exchange.read)
            exchange.wait_blocked()
            assert not reading.done()
            exchange.thaw()
            assert reading.result(5) == b"x" * 9


def test_a_disconnect_before_the_head(connect):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    with connect(app) as client, client.open("GET", "/") as exchange:
        exchange.disconnect()
        with pytest.raises(httpx2.ReadError, match="the client has disconnected"):
            exchange.head()


def test_the_exchange_of_another_response_is_refused():
    with pytest.raises(TypeError, match="does not come from a TestClient"):
        SyncExchange.of(httpx2.Response(200))


@pytest.mark.parametrize("error", [KeyError("broken"), SystemExit(1)])
def test_the_apps_error_is_raised_by_the_call_and_the_loop_lives_on(connect, error):
    async def app(scope, receive, send):
        if scope["path"] == "/broken":
            raise error
        await PlainTextResponse("fine")(scope, receive, send)

    client = connect(app)
    with pytest.raises(type(error)) as caught:
        client.get("/broken")
    assert caught.value is error
    assert client.get("/").text == "fine"


def test_errors_are_answers_when_not_raised(connect):
    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await send(START)
        raise KeyError

    client = connect(app, raise_server_exceptions=False)
    assert client.get("/").status_code == 500
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get("/late")


def test_an_incomplete_response_is_an_error(connect):
    async def app(scope, receive, send):
        await send(START)

    with pytest.raises(IncompleteResponseError):
        connect(app).get("/")


def test_an_app_that_does_not_end_is_cancelled(connect):
    async def app(scope, receive, send):
        await send(START)
        await anyio.sleep_forever()

    with pytest.raises(CloseTimeoutError), connect(app, close_timeout=0.05).stream("GET", "/"):
        pass


def test_requests_of_several_threads_share_a_lock(connect):
    lock = anyio.Lock()
    inside = []

    async def app(scope, receive, send):
        for _ in range(1000):
            async with lock:
                inside.append(1)
                assert len(inside) == 1
                await anyio.lowlevel.checkpoint()
                inside.pop()
        await PlainTextResponse("done")(scope, receive, send)

    client = connect(app)
    with ThreadPoolExecutor(2) as pool:
        texts = [each.text for each in pool.map(client.get, ["/a", "/b"])]
    assert texts == ["done", "done"]


def test_all_requests_run_in_one_loop_thread(connect):
    threads = set()

    async def app(scope, receive, send):
        threads.add(threading.current_thread())
        await PlainTextResponse("")(scope, receive, send)

    client = connect(app)
    client.get("/")
    client.get("/")
    assert len(threads) == 1
    assert threads != {threading.current_thread()}


def test_blocking_content_is_streamed_from_another_thread(connect):
    gate = threading.Event()
    received = []

    def content():
        yield b"one"
        assert gate.wait(5)
        yield b"two"

    async def app(scope, receive, send):
        while (message := await receive())["more_body"]:
            received.append(message["body"])
            gate.set()
        await PlainTextResponse("done")(scope, receive, send)

    assert connect(app).post("/", content=content()).text == "done"
    assert received == [b"one", b"two"]


def test_the_context_of_the_caller_is_seen(connect):
    variable = ContextVar("variable", default="unset")

    async def app(scope, receive, send):
        await PlainTextResponse(variable.get())(scope, receive, send)

    client = connect(app)
    variable.set("set")
    assert client.get("/").text == "set"


def test_a_starlette_stream_is_read_to_its_end(connect):
    async def chunks():
        for chunk in ("a", "b"):
            yield chunk

    async def app(scope, receive, send):
        await StreamingResponse(chunks())(scope, receive, send)

    with connect(app).stream("GET", "/") as response:
        assert list(response.iter_text()) == ["a", "b"]


def test_cookies_and_authentication_apply_to_open(connect):
    async def app(scope, receive, send):
        headers = dict(scope["headers"])
        text = headers.get(b"cookie", b"") + b" " + headers.get(b"authorization", b"")
        response = PlainTextResponse(text)
        response.set_cookie("seen", "yes")
        await response(scope, receive, send)

    client = connect(app, auth=("user", "password"))
    with client.open("GET", "/") as exchange:
        exchange.head()
    with client.open("GET", "/") as exchange:
        assert exchange.read().startswith(b"seen=yes Basic ")


def test_a_read_timeout_applies_when_one_is_set(connect):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    with pytest.raises(httpx2.ReadTimeout):
        connect(app).get("/", timeout=0.01)


def test_close_ends_the_thread(connect):
    before = loop_threads()
    client = connect(PlainTextResponse("text"))
    client.get("/")
    assert len(loop_threads() - before) == 1
    client.close()
    assert loop_threads() == before
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/")


def test_a_failed_startup_ends_the_thread():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})

    before = loop_threads()
    with pytest.raises(LifespanError, match="no reason given"), TestClient(app):
        pytest.fail("entered")
    assert loop_threads() == before


def test_a_client_that_was_never_used_has_no_thread():
    before = loop_threads()
    client = TestClient(PlainTextResponse("text"))
    assert loop_threads() == before
    client.close()


def test_garbage_ends_the_thread_even_with_a_request_open():
    before = loop_threads()
    app = EndlessApp()
    client = TestClient(app)
    response = client.send(client.build_request("GET", "/"), stream=True)
    [thread] = loop_threads() - before
    del client, response
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
    assert app.seen == ["closed"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_unclosed_client_does_not_hang_the_interpreter(backend):
    code = f"""
from asgi_rt.testing import TestClient
async def app(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    while True:
        await send({{"type": "http.response.body", "body": b"x", "more_body": True}})
client = TestClient(app, backend={backend!r}, lifespan=False)
response = client.send(client.build_request("GET", "/"), stream=True)
print(response.status_code)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


def test_both_clients_take_the_same_options():
    import inspect

    options = {
        each: set(inspect.signature(each).parameters) for each in (TestClient, AsyncTestClient)
    }
    assert options[TestClient] - options[AsyncTestClient] == {"backend", "backend_options"}
    assert options[AsyncTestClient] <= options[TestClient]
