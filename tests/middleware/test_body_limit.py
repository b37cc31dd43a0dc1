"""Bodies that are too large, whatever the head says of them, and whatever the app makes of it."""

import json
from contextlib import aclosing

import anyio
import httpx2
import pytest
from fakes import http_scope
from fastapi import Body, FastAPI, UploadFile
from hypothesis import given
from hypothesis import strategies as st
from middleware.layered import told
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_rt import App, HTTPError
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.middleware import body_limit
from asgi_rt.middleware.body_limit import BodyLimitMiddleware
from asgi_rt.testing import AsyncTestClient

HEAD = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"done", "more_body": False}
CHUNKED = [(b"transfer-encoding", b"chunked")]


def declared(*lengths):
    return [(b"content-length", length) for length in lengths]


class FakeUpload:
    """A server that receives a body in pieces, and notes when each is taken."""

    def __init__(self, *chunks, headers=(), **scope):
        self.scope = http_scope(method="POST", headers=list(headers), **scope)
        self.chunks = list(chunks)
        self.sent = []
        self.taken = 0
        self.left = anyio.Event()

    async def receive(self):
        if self.taken < len(self.chunks):
            self.taken += 1
            body = self.chunks[self.taken - 1]
            more = self.taken < len(self.chunks)
            return {"type": "http.request", "body": body, "more_body": more}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    async def serve(self, app, *, max_bytes=10):
        await BodyLimitMiddleware(app, max_bytes=max_bytes)(self.scope, self.receive, self.send)
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def body(self):
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def is_complete(self):
        return self.sent[-1].get("more_body") is False

    def was_refused(self):
        """Whether there is one response, and that is the refusal."""
        heads = [each for each in self.sent if each["type"] == "http.response.start"]
        problem = json.loads(self.body)
        return (
            len(heads) == 1
            and self.is_complete
            and self.status == problem["status"] == 413
            and problem["detail"] == "the request body is larger than 10 bytes"
            and self.headers[b"content-type"] == b"application/problem+json"
        )


async def read(receive):
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message["body"]
        if not message["more_body"]:
            return body


async def reading(scope, receive, send):
    body = await read(receive)
    await send(HEAD)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def untouched(scope, receive, send):
    raise AssertionError("the app was called")


async def answering(scope, receive, send):
    await send(HEAD)
    await send(END)


# What is declared


@pytest.mark.parametrize("length", [b"11", b"0011", b"99999999999999999999999", b"9" * 5000])
async def test_a_declared_length_over_the_limit_is_refused_before_the_app(length):
    upload = await FakeUpload(b"", headers=declared(length)).serve(untouched)
    assert upload.was_refused()
    assert upload.headers[b"connection"] == b"close"


@pytest.mark.parametrize("chunks", [[b"x" * 10], [b"x" * 4, b"x" * 6], [b"x", b""], [b""]])
@pytest.mark.parametrize("headers", [declared(b"10"), CHUNKED])
async def test_what_is_within_the_limit_goes_through(chunks, headers):
    upload = await FakeUpload(*chunks, headers=headers).serve(reading)
    assert (upload.status, upload.body) == (200, b"".join(chunks))


@pytest.mark.parametrize(
    "lengths",
    [
        [b"ten"],
        [b"-1"],
        [b"+1"],
        [b"1.0"],
        [b"0x5"],
        [b"1_0"],
        [b""],
        [b"5,"],
        [b"5, 6"],
        [b"5", b"6"],
        [b"5", b"x"],
        ["٣".encode()],
        [b"5\x0b"],
    ],
)
async def test_a_length_that_is_not_one_number_is_a_400(lengths):
    upload = await FakeUpload(b"x", headers=declared(*lengths)).serve(untouched)
    assert upload.status == 400
    assert upload.headers[b"connection"] == b"close"
    assert json.loads(upload.body)["detail"] == "the Content-Length is not one number"


@pytest.mark.parametrize("lengths", [[b"5, 5"], [b"5", b"5"], [b"5 ,5", b"5"]])
async def test_a_length_that_is_repeated_is_taken(lengths):
    upload = await FakeUpload(b"12345", headers=declared(*lengths)).serve(reading)
    assert upload.body == b"12345"


@given(st.integers(0, 10**30))
def test_every_length_is_read_as_its_number(length):
    parsed = body_limit._parsed([b"%d" % length])
    assert parsed == length if length < 10**20 else parsed >= 10**19


async def test_a_chunked_body_is_counted_whatever_length_stands_beside_it():
    headers = [*declared(b"5"), *CHUNKED]
    upload = await FakeUpload(b"x" * 6, b"x" * 6, headers=headers).serve(reading)
    assert upload.was_refused()
    upload = await FakeUpload(b"12345", headers=[*declared(b"500"), *CHUNKED]).serve(reading)
    assert upload.body == b"12345"


async def test_a_length_that_lies_is_counted():
    upload = await FakeUpload(b"x" * 11, headers=declared(b"5")).serve(reading)
    assert upload.was_refused()


# What is counted


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6, b"x" * 6], [b"x"] * 20])
async def test_a_chunked_body_is_refused_at_the_message_that_goes_beyond(chunks):
    seen = []

    async def app(scope, receive, send):
        while True:
            seen.append(await receive())

    upload = await FakeUpload(*chunks, headers=CHUNKED).serve(app)
    assert upload.was_refused()
    assert upload.headers[b"connection"] == b"close"
    assert sum(len(each["body"]) for each in seen) <= 10


async def test_http_2_has_no_connection_to_close_and_may_send_a_body_unannounced():
    upload = await FakeUpload(b"x" * 11, http_version="2").serve(reading)
    assert upload.was_refused()
    assert b"connection" not in upload.headers


async def test_what_the_app_does_not_ask_for_is_not_counted():
    upload = await FakeUpload(b"x" * 1000, headers=CHUNKED).serve(answering)
    assert (upload.status, upload.body, upload.taken) == (200, b"done", 0)


async def test_nothing_more_is_received_after_an_overrun():
    caught = []

    async def app(scope, receive, send):
        for _ in range(3):
            try:
                await receive()
            except HTTPError as error:
                caught.append(error.status_code)
        await answering(scope, receive, send)

    upload = await FakeUpload(b"x" * 11, b"more", headers=CHUNKED).serve(app)
    assert caught == [413] * 3
    assert upload.was_refused()


# What an app makes of it


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_another_answer_to_an_overrun_is_replaced(status):
    async def app(scope, receive, send):
        try:
            await receive()
        except Exception:
            await send({**HEAD, "status": status})
            await send(END)

    assert (await FakeUpload(b"x" * 11, headers=CHUNKED).serve(app)).was_refused()


async def test_the_apps_own_413_is_kept():
    async def app(scope, receive, send):
        try:
            await receive()
        except HTTPError as error:
            await send({**HEAD, "status": error.status_code})
            await send(END)

    upload = await FakeUpload(b"x" * 11, headers=CHUNKED).serve(app)
    assert (upload.status, upload.body, upload.is_complete) == (413, b"done", True)


async def test_an_app_that_returns_without_an_answer_is_answered_for():
    async def app(scope, receive, send):
        with pytest.raises(HTTPError):
            await receive()

    assert (await FakeUpload(b"x" * 11, headers=CHUNKED).serve(app)).was_refused()


async def test_an_error_that_came_of_the_overrun_is_not_raised_again():
    async def app(scope, receive, send):
        try:
            await receive()
        except HTTPError as error:
            raise RuntimeError("no body") from error

    assert (await FakeUpload(b"x" * 11, headers=CHUNKED).serve(app)).was_refused()


async def test_it_is_found_in_a_group_of_errors():
    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            group.start_soon(receive)

    assert (await FakeUpload(b"x" * 11, headers=CHUNKED).serve(app)).was_refused()


async def test_an_error_of_another_origin_is_raised_after_the_refusal():
    async def app(scope, receive, send):
        with pytest.raises(HTTPError):
            await receive()
        raise LookupError("something else")

    upload = FakeUpload(b"x" * 11, headers=CHUNKED)
    with pytest.raises(LookupError):
        await upload.serve(app)
    assert upload.was_refused()


async def test_an_error_without_an_overrun_is_raised_as_it_is():
    async def app(scope, receive, send):
        await receive()
        raise HTTPError(413, "the app's own")

    upload = FakeUpload(b"x", headers=CHUNKED)
    with pytest.raises(HTTPError, match="the app's own"):
        await upload.serve(app)
    assert upload.sent == []


async def test_a_response_that_has_begun_breaks_off():
    async def app(scope, receive, send):
        await send(HEAD)
        await send({**END, "more_body": True})
        await read(receive)
        await send(END)

    upload = await FakeUpload(b"x" * 6, b"x" * 6, headers=CHUNKED).serve(app)
    assert (upload.status, upload.is_complete, len(upload.sent)) == (200, False, 2)


async def test_a_response_that_breaks_off_is_no_client_that_left():
    outcomes = []

    async def app(scope, receive, send):
        await send(HEAD)
        await read(receive)

    upload = FakeUpload(b"x" * 6, b"x" * 6, headers=CHUNKED)
    layer = told(outcomes)(BodyLimitMiddleware(app, max_bytes=10))
    await layer(upload.scope, upload.receive, upload.send)
    assert [(each.status, each.disconnected) for each in outcomes] == [(200, False)]


async def test_what_the_app_receives_after_its_end_is_refused_as_well():
    receives = []

    async def app(scope, receive, send):
        receives.append(receive)
        await receive()

    upload = await FakeUpload(b"x" * 11, b"x", headers=CHUNKED).serve(app)
    taken = upload.taken
    with pytest.raises(HTTPError, match="larger than 10 bytes"):
        await receives[0]()
    assert upload.taken == taken


async def test_an_app_may_end_a_response_that_has_begun_as_it_likes():
    async def app(scope, receive, send):
        await send(HEAD)
        try:
            await receive()
        except HTTPError:
            await send(END)

    upload = await FakeUpload(b"x" * 11, headers=CHUNKED).serve(app)
    assert (upload.status, upload.body, upload.is_complete) == (200, b"done", True)


async def test_a_cancellation_goes_through():
    async def app(scope, receive, send):
        with pytest.raises(HTTPError):
            await receive()
        await anyio.sleep_forever()

    upload = FakeUpload(b"x" * 11, headers=CHUNKED)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await upload.serve(app)
    assert scope.cancelled_caught
    assert upload.sent == []


# What is left alone


@pytest.mark.parametrize("headers", [[], declared(b"0"), [(b"host", b"a")]])
async def test_a_request_without_a_body_keeps_the_servers_own_receive(headers):
    seen = []

    async def app(scope, receive, send):
        seen.append((receive, send))
        await answering(scope, receive, send)

    upload = FakeUpload(b"", headers=headers)
    await upload.serve(app)
    assert seen == [(upload.receive, upload.send)]


async def test_a_counted_receive_passes_on_that_of_the_server():
    seen = []

    async def app(scope, receive, send):
        seen.append(waits_for_futures(receive))
        await answering(scope, receive, send)

    class Uvicorn(FakeUpload):
        pass

    Uvicorn.__module__ = "uvicorn.pretended"
    await Uvicorn(b"", headers=CHUNKED).serve(app)
    await FakeUpload(b"", headers=CHUNKED).serve(app)
    assert seen == [True, False]


async def test_a_websocket_is_left_alone():
    seen = []

    async def app(*call):
        seen.append(call)

    call = ({"type": "websocket", "headers": declared(b"500")}, object(), object())
    await BodyLimitMiddleware(app, max_bytes=10)(*call)
    assert seen == [call]


# Reading on


async def test_a_refusal_is_sent_whole_before_what_still_comes_is_read_and_dropped():
    upload = FakeUpload(*[b"x" * 100] * 20, headers=declared(b"2000"))
    states = []

    async def receive():
        states.append((len(upload.sent), upload.sent[-1]["more_body"]))
        return await FakeUpload.receive(upload)

    upload.receive = receive
    await upload.serve(untouched)
    assert states == [(2, True)] * 20
    assert upload.was_refused()


async def test_the_end_of_a_refusal_does_not_wait_longer_than_a_moment(monkeypatch):
    monkeypatch.setattr(body_limit, "_LINGER_SECONDS", 0.01)
    upload = await FakeUpload(headers=declared(b"2000")).serve(untouched)
    assert upload.was_refused()


async def test_the_end_of_a_refusal_does_not_wait_for_a_client_that_has_left():
    upload = FakeUpload(headers=declared(b"2000"))
    upload.left.set()
    assert (await upload.serve(untouched)).was_refused()


@pytest.mark.parametrize(
    "upload",
    [
        lambda: FakeUpload(b"", headers=[*declared(b"2000"), (b"expect", b"100-continue")]),
        lambda: FakeUpload(b"", headers=declared(b"2000"), http_version="2"),
    ],
    ids=["asks first", "http 2"],
)
async def test_nothing_is_read_after_a_refusal_where_nothing_would_be_lost(upload):
    upload = await upload().serve(untouched)
    assert (upload.was_refused(), upload.taken) == (True, 0)


# In each framework


def in_asgi_rt():
    app = App()

    @app.post("/body")
    async def body(request):
        return str(len(await request.body()))

    @app.post("/form")
    async def form(request):
        return str((await request.form())["file"].size)

    @app.post("/echo")
    async def echo(request):
        # Closed here, as trio warns of a generator that is left to the garbage collector.
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                yield chunk

    return app


async def foreign_body(request):
    return PlainTextResponse(str(len(await request.body())))


async def foreign_form(request):
    async with request.form() as form:
        return PlainTextResponse(str(form["file"].size))


def in_starlette():
    return Starlette(
        routes=[
            Route("/body", foreign_body, methods=["POST"]),
            Route("/form", foreign_form, methods=["POST"]),
        ]
    )


def in_fastapi():
    app = FastAPI()

    @app.post("/body")
    async def body(text: str = Body()):
        return len(text)

    @app.post("/form")
    async def form(file: UploadFile):
        return file.size

    return app


@pytest.fixture(params=[in_asgi_rt, in_starlette, in_fastapi])
def app(request):
    app = request.param()
    app.add_middleware(BodyLimitMiddleware, max_bytes=1000)
    return app


async def in_pieces(body):
    for at in range(0, len(body), 100):
        yield body[at : at + 100]


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_each_framework_answers_a_large_body_with_413(app, is_chunked):
    body = b'"' + b"x" * 2000 + b'"'
    async with AsyncTestClient(app) as client:
        content = in_pieces(body) if is_chunked else body
        response = await client.post(
            "/body", content=content, headers={"content-type": "application/json"}
        )
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "the request body is larger than 1000 bytes"


async def test_each_framework_answers_a_large_form_with_413(app):
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head + b"x" * 2000 + b"\r\n--b--\r\n"
    async with AsyncTestClient(app) as client:
        response = await client.post(
            "/form",
            content=in_pieces(body),
            headers={"content-type": "multipart/form-data; boundary=b"},
        )
    assert response.status_code == 413


async def test_each_framework_serves_what_is_within_the_limit(app):
    async with AsyncTestClient(app) as client:
        response = await client.post(
            "/body",
            content=in_pieces(b'"' + b"x" * 900 + b'"'),
            headers={"content-type": "application/json"},
        )
        assert response.status_code == 200
        assert response.text in ("900", "902")


async def test_a_stream_that_answers_the_body_as_it_comes_breaks_off():
    app = in_asgi_rt()
    app.add_middleware(BodyLimitMiddleware, max_bytes=1000)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        async with client.open("POST", "/echo", content=in_pieces(b"x" * 900)) as exchange:
            assert b"".join([chunk async for chunk in exchange]) == b"x" * 900
        async with client.open("POST", "/echo", content=in_pieces(b"x" * 2000)) as exchange:
            assert (await exchange.head()).status_code == 200
            with pytest.raises(httpx2.RemoteProtocolError):
                async for _ in exchange:
                    pass
