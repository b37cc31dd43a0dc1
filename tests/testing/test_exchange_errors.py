"""What the test is told when the app raises, ends too early or breaks the protocol."""

import anyio
import httpx2
import pytest

from asgi_rt.testing import (
    AppError,
    AsyncTestClient,
    Exchange,
    IncompleteResponseError,
    MessageError,
)


def connect(app, **options):
    """A client for these apps, none of which has a lifespan."""
    return AsyncTestClient(app, lifespan=False, **options)


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b"end"}


class ScriptedApp:
    """Sends `messages`, then raises `error` if there is one."""

    def __init__(self, *messages, error=None):
        self.messages = messages
        self.error = error

    async def __call__(self, scope, receive, send):
        for message in self.messages:
            await send(message)
        if self.error is not None:
            raise self.error


async def test_an_error_before_the_head_is_raised_by_the_call():
    error = KeyError("broken")
    async with connect(ScriptedApp(error=error)) as client:
        with pytest.raises(KeyError) as caught:
            await client.get("/")
    assert caught.value is error


async def test_an_error_before_the_head_is_a_500_when_not_raised():
    app = ScriptedApp(error=KeyError("broken"))
    async with connect(app, raise_server_exceptions=False) as client:
        response = await client.get("/")
    assert response.status_code == 500
    assert response.text == "Internal Server Error"


async def test_an_error_after_the_head_is_raised_by_the_read_that_meets_it():
    error = ValueError("broken")
    async with connect(ScriptedApp(START, PART, error=error)) as client:
        async with client.open("GET", "/") as exchange:
            assert await exchange.read() == b"part"
            with pytest.raises(ValueError, match="broken") as caught:
                await exchange.read()
        with pytest.raises(ValueError, match="broken"):
            await client.get("/")
    assert caught.value is error


async def test_an_error_after_the_head_breaks_the_body_off_when_not_raised():
    error = ValueError("broken")
    app = ScriptedApp(START, PART, error=error)
    async with (
        connect(app, raise_server_exceptions=False) as client,
        client.open("GET", "/") as exchange,
    ):
        assert await exchange.read() == b"part"
        for _ in range(2):
            with pytest.raises(httpx2.RemoteProtocolError, match="breaks off") as caught:
                await exchange.read()
    assert caught.value.__cause__ is error


async def test_an_error_that_nobody_read_is_raised_by_the_closing():
    error = ValueError("broken")
    async with connect(ScriptedApp(START, error=error)) as client:
        with pytest.raises(ValueError, match="broken") as caught:
            async with client.stream("GET", "/"):
                await anyio.wait_all_tasks_blocked()
    assert caught.value is error


async def test_an_error_after_the_response_is_raised_by_the_call():
    async with connect(ScriptedApp(START, END, error=ValueError("late"))) as client:
        with pytest.raises(ValueError, match="late"):
            await client.get("/")


async def test_an_error_after_the_response_is_nothing_to_the_client_when_not_raised():
    app = ScriptedApp(START, END, error=ValueError("late"))
    async with connect(app, raise_server_exceptions=False) as client:
        assert (await client.get("/")).text == "end"


async def test_an_error_because_of_the_disconnect_is_raised_by_the_closing():
    async def app(scope, receive, send):
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ValueError("could not clean up")

    async with connect(app) as client:
        with pytest.raises(ValueError, match="could not clean up"):
            async with client.stream("GET", "/"):
                pass


@pytest.mark.parametrize("grouped", [False, True])
async def test_the_oserror_of_a_disconnect_may_leave_the_app(grouped):
    async def app(scope, receive, send):
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass
        if not grouped:
            await send(PART)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, PART)

    async with connect(app, spec_version="2.4") as client, client.stream("GET", "/") as response:
        pass
    assert Exchange.of(response).is_done


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt("stop")])
async def test_an_exception_that_would_end_the_loop_is_raised_by_the_call(error):
    async with connect(ScriptedApp(error=error)) as client:
        with pytest.raises(type(error)) as caught:
            await client.get("/")
    assert caught.value is error


@pytest.mark.parametrize("messages", [(), (START,), (START, PART)])
async def test_an_app_that_ends_too_early_is_an_error(messages):
    async with connect(ScriptedApp(*messages)) as client:
        with pytest.raises(IncompleteResponseError, match=r"GET /x: the app ended after") as caught:
            await client.get("/x")
    assert isinstance(caught.value, AssertionError)


async def test_an_app_that_ends_without_a_response_is_a_500_when_not_raised():
    async with connect(ScriptedApp(), raise_server_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500


async def test_an_app_that_ends_in_mid_body_is_told_from_a_whole_response_when_not_raised():
    app = ScriptedApp(START, PART)
    async with connect(app, raise_server_exceptions=False) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="after the head and 4 bytes"):
            await client.get("/")


async def test_missing_trailers_are_an_incomplete_response():
    app = ScriptedApp({**START, "trailers": True}, END)
    async with connect(app, extensions={"http.response.trailers": {}}) as client:
        with pytest.raises(IncompleteResponseError):
            await client.get("/")


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ((END,), "when the response has not started"),
        ((START, START), "when the response has started"),
        ((START, END, PART), "when the response is complete"),
        (({**START, "headers": [("a", "b")]},), "must be bytes"),
        (({**START, "status": "200"},), "status must be an int"),
        ((START, {**END, "body": "text"}), "body must be bytes"),
        (({**START, "headers": [(b"content-length", b"9")]}, END), "shorter than its"),
        (({**START, "headers": [(b"content-length", b"1")]}, END), "longer than it may be"),
        (({**START, "headers": [(b"ETag", b"1")]},), "lower case"),
    ],
)
async def test_a_broken_protocol_raises_into_send_and_reaches_the_call(messages, error):
    raised = []

    async def app(scope, receive, send):
        try:
            await ScriptedApp(*messages)(scope, receive, send)
        except MessageError as refusal:
            raised.append(refusal)
            raise

    async with connect(app) as client:
        with pytest.raises(MessageError, match=f"GET /: .*{error}") as caught:
            await client.get("/")
    assert raised == [caught.value]


async def test_an_error_in_the_request_content_is_raised_and_ends_the_app():
    async def content():
        yield b"part"
        raise ValueError("disk gone")

    received = []

    async def app(scope, receive, send):
        while not received or received[-1]["type"] != "http.disconnect":
            received.append(await receive())

    async with connect(app, raise_server_exceptions=False) as client:
        with pytest.raises(ValueError, match="disk gone"):
            await client.post("/", content=content())
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]


async def test_several_requests_left_open_raise_together():
    async def app(scope, receive, send):
        await send(START)
        raise ValueError(scope["path"])

    client = connect(app)
    for path in ("/a", "/b"):
        await client.send(client.build_request("GET", path), stream=True)
    with pytest.raises(BaseExceptionGroup) as caught:
        await client.aclose()
    assert {str(error) for error in caught.value.exceptions} == {"/a", "/b"}


async def test_a_failed_test_is_not_hidden_by_the_app_that_ends_well():
    async def app(scope, receive, send):
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass

    async with connect(app) as client:
        with pytest.raises(LookupError, match="the test's own"):
            async with client.open("GET", "/"):
                raise LookupError("the test's own")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_app_that_cancels_itself_does_not_cancel_the_caller():
    import asyncio

    app = ScriptedApp(error=asyncio.CancelledError())
    async with connect(app) as client:
        with pytest.raises(AppError, match="was cancelled, and not by the client"):
            await client.get("/")
