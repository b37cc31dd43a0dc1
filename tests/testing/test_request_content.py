"""Request bodies: streamed, pulled on demand, and never lost by a cancelled receive."""

import threading

import anyio
import pytest

from asgi_rt.testing import AsyncTestClient


def connect(app, **options):
    """A client for these apps, none of which has a lifespan."""
    return AsyncTestClient(app, lifespan=False, **options)


START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body"}


class Recorder:
    """Reads the whole request, answers, then reads once more."""

    def __init__(self):
        self.received = []

    async def __call__(self, scope, receive, send):
        while True:
            message = await receive()
            self.received.append(message)
            if not message.get("more_body"):
                break
        await send(START)
        await send(END)
        self.received.append(await receive())


def request(body, more_body):
    return {"type": "http.request", "body": body, "more_body": more_body}


DISCONNECT = {"type": "http.disconnect"}


@pytest.mark.parametrize("content", [None, b"", b"all"])
async def test_bytes_are_one_message(content):
    app = Recorder()
    async with connect(app) as client:
        await client.post("/", content=content)
    assert app.received == [request(content or b"", more_body=False), DISCONNECT]


async def async_chunks():
    for chunk in (b"one", b"", b"two"):
        yield chunk


@pytest.mark.parametrize(
    "make_content", [async_chunks, lambda: iter([b"one", b"", b"two"]), lambda: [b"one", b"two"]]
)
async def test_an_iterable_is_a_message_for_each_chunk(make_content):
    app = Recorder()
    async with connect(app) as client:
        await client.post("/", content=make_content())
    assert app.received == [
        request(b"one", more_body=True),
        request(b"two", more_body=True),
        request(b"", more_body=False),
        DISCONNECT,
    ]


async def test_a_file_object_is_streamed(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"x" * 100_000)
    app = Recorder()
    async with connect(app) as client:
        with path.open("rb") as file:
            await client.post("/", content=file)
    bodies = [message["body"] for message in app.received[:-1]]
    assert b"".join(bodies) == b"x" * 100_000
    assert len(bodies) > 2


async def test_nothing_is_pulled_that_the_app_does_not_ask_for():
    pulled = []

    async def content():
        for number in range(100):
            pulled.append(number)
            yield b"x" * 1000

    async def app(scope, receive, send):
        await receive()
        await send({**START, "status": 413})
        await send(END)

    async with connect(app) as client:
        assert (await client.post("/", content=content())).status_code == 413
    assert pulled == [0]


async def test_content_that_is_never_asked_for_is_not_begun():
    begun = []

    async def content():
        begun.append(True)
        yield b""

    async def app(scope, receive, send):
        await send(START)
        await send(END)

    async with connect(app) as client:
        await client.post("/", content=content())
    assert begun == []


async def test_content_left_unread_is_closed():
    closed = []

    async def content():
        try:
            while True:
                yield b"chunk"
        finally:
            closed.append(True)

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(END)

    async with connect(app) as client:
        await client.post("/", content=content())
        assert closed == [True]


async def test_content_that_waits_for_ever_is_closed_with_the_exchange():
    closed = []

    async def content():
        try:
            yield b"first"
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async with connect(app) as client:
        async with client.open("POST", "/", content=content()):
            await anyio.wait_all_tasks_blocked()
        assert closed == [True]


async def test_a_cancelled_receive_loses_no_chunk():
    gate = anyio.Event()
    received = []

    async def content():
        yield b"one"
        await gate.wait()
        yield b"two"
        yield b"three"

    async def app(scope, receive, send):
        received.append((await receive())["body"])
        for _ in range(3):
            with anyio.CancelScope() as scope_of_receive:
                scope_of_receive.cancel()
                await receive()
        with anyio.move_on_after(0.01):
            await receive()
        gate.set()
        while (message := await receive())["more_body"]:
            received.append(message["body"])
        await send(START)
        await send(END)

    async with connect(app) as client:
        await client.post("/", content=content())
    assert received == [b"one", b"two", b"three"]


async def test_several_receivers_share_the_chunks():
    received = []

    async def content():
        for number in range(6):
            await anyio.lowlevel.checkpoint()
            yield bytes([number])

    async def app(scope, receive, send):
        async def take():
            message = await receive()
            if message["type"] == "http.request" and message["body"]:
                received.append(message["body"])

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(take)
        await send(START)
        await send(END)

    async with connect(app) as client:
        await client.post("/", content=content())
    assert sorted(received) == [bytes([number]) for number in range(6)]


async def test_receive_waits_after_the_body_until_the_disconnect():
    messages = []

    async def app(scope, receive, send):
        messages.append(await receive())
        messages.append(await receive())

    async with connect(app) as client, client.open("GET", "/") as exchange:
        await anyio.wait_all_tasks_blocked()
        assert messages == [request(b"", more_body=False)]
        exchange.disconnect()
        await exchange.wait_done()
    assert messages[1] == DISCONNECT


async def test_receive_gives_a_disconnect_once_the_response_is_complete():
    app = Recorder()
    async with connect(app) as client:
        await client.get("/")
    assert app.received[-1] == DISCONNECT


async def test_a_disconnect_comes_before_a_body_that_was_not_read():
    messages = []
    go_on = anyio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        messages.append(await receive())

    async with connect(app) as client, client.open("POST", "/", content=b"body") as exchange:
        exchange.disconnect()
        go_on.set()
    assert messages == [DISCONNECT]


async def test_blocking_content_runs_in_a_worker_thread():
    threads = []

    def content():
        threads.append(threading.current_thread())
        yield b"chunk"

    async with connect(Recorder()) as client:
        await client.post("/", content=content())
    assert threads != [threading.current_thread()]


async def test_json_form_and_files_are_httpx2s():
    app = Recorder()
    async with connect(app) as client:
        await client.post("/", json={"a": 1})
        await client.post("/", data={"a": "1"})
        await client.post("/", files={"file": b"content"})
    bodies = [message.get("body") for message in app.received]
    assert bodies[0] == b'{"a":1}'
    assert bodies[2] == b"a=1"
    assert b"content" in b"".join(body for body in bodies[4:] if body)
