"""The request's body: read by the app, by dispatch, by both, before or after, in parts or not."""

import contextlib

import anyio
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, ask, turns
from embed.layers import through

UPLOADS = {
    "empty": [b""],
    "whole": [b"abc"],
    "parts": [b"a", b"b", b"c"],
    "ends empty": [b"abc", b""],
    "begins empty": [b"", b"ab", b"", b"c"],
    "large": [b"x" * 70_000] * 3,
}
JSON = [(b"content-type", b"application/json")]
FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
MULTIPART = [(b"content-type", b"multipart/form-data; boundary=X")]
MULTIPART_BODY = (
    b'--X\r\nContent-Disposition: form-data; name="name"\r\n\r\nada\r\n'
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nfile\r\n--X--\r\n'
)


@pytest.fixture(params=UPLOADS)
def upload(request):
    return UPLOADS[request.param]


async def by_body(request):
    return await request.body()


async def by_stream(request):
    return b"".join([chunk async for chunk in request.stream()])


async def echo(request: Request):
    return PlainTextResponse(await request.body())


async def echo_stream(request: Request):
    return PlainTextResponse(await by_stream(request))


async def ignore(request: Request):
    return PlainTextResponse("ignored")


async def post(app, chunks, **options):
    return await ask(app, method="POST", chunks=chunks, **options)


# Read by the app


@pytest.mark.parametrize("count", [1, 3])
async def test_the_app_reads_the_body_behind_layers(serve, upload, count):
    for endpoint in (echo, echo_stream):
        exchange = await post(serve(endpoint, *[through] * count), upload)
        assert exchange.body == b"".join(upload)


@pytest.mark.parametrize("count", [1, 3])
async def test_the_app_gets_a_part_as_soon_as_it_is_there(serve, count):
    async def endpoint(request: Request):
        stream = request.stream()
        first = await anext(stream)
        await stream.aclose()
        return PlainTextResponse(first)

    exchange = await post(serve(endpoint, *[through] * count), [b"a"], left_open=True)
    assert exchange.body == b"a"


async def test_an_app_that_ignores_the_body_reads_none_of_it(serve, upload):
    exchange = await post(serve(ignore, through, through), upload)
    assert exchange.body == b"ignored"
    assert exchange.received == []


# Read by dispatch before


@pytest.mark.parametrize("endpoint", [echo, echo_stream])
@pytest.mark.parametrize("count", [1, 3])
async def test_what_dispatch_reads_as_a_whole_the_app_gets_again(serve, upload, endpoint, count):
    seen = []

    async def dispatch(request, call_next):
        seen.append(await request.body())
        seen.append(await by_stream(request))
        return await call_next(request)

    exchange = await post(serve(endpoint, *[dispatch] * count), upload)
    assert seen == [b"".join(upload)] * 2 * count
    assert exchange.body == b"".join(upload)


@pytest.mark.parametrize("readers", ["r-", "-r", "-r-r-", "rr", "r--r"])
async def test_layers_that_read_mix_with_layers_that_do_not(serve, readers):
    async def reading(request, call_next):
        assert await request.body() == b"abc"
        return await call_next(request)

    layers = [reading if each == "r" else through for each in readers]
    assert (await post(serve(echo, *layers), [b"ab", b"c"])).body == b"abc"


@pytest.mark.parametrize("count", [1, 3])
async def test_json_read_by_dispatch_is_read_again_by_the_app(serve, count):
    async def dispatch(request, call_next):
        assert await request.json() == {"a": 1}
        return await call_next(request)

    async def endpoint(request: Request):
        return JSONResponse(await request.json())

    exchange = await post(serve(endpoint, *[dispatch] * count), [b'{"a"', b":1}"], headers=JSON)
    assert exchange.body == b'{"a":1}'


@pytest.mark.parametrize(
    ("headers", "body"),
    [(FORM, b"name=ada&x=1"), (MULTIPART, MULTIPART_BODY)],
    ids=["url", "multi"],
)
async def test_a_form_read_by_dispatch_after_the_body_is_read_again_by_the_app(
    serve, headers, body
):
    async def dispatch(request, call_next):
        await request.body()
        async with request.form() as form:
            assert form["name"] == "ada"
        return await call_next(request)

    async def endpoint(request: Request):
        async with request.form() as form:
            return PlainTextResponse(form["name"])

    exchange = await post(serve(endpoint, dispatch, dispatch), [body], headers=headers)
    assert exchange.body == b"ada"


@pytest.mark.parametrize("count", [1, 3])
async def test_the_app_gets_the_parts_that_dispatch_has_not_streamed(serve, count):
    """Each layer takes one."""

    async def dispatch(request, call_next):
        stream = request.stream()
        await anext(stream)
        await stream.aclose()
        return await call_next(request)

    exchange = await post(serve(echo, *[dispatch] * count), [b"1", b"2", b"3", b"4", b"5"])
    assert exchange.body == b"12345"[count:]


@pytest.mark.parametrize("endpoint", [echo, echo_stream])
async def test_what_dispatch_has_streamed_to_the_end_is_an_empty_body_to_the_app(
    serve, upload, endpoint
):
    async def dispatch(request, call_next):
        assert await by_stream(request) == b"".join(upload)
        return await call_next(request)

    assert (await post(serve(endpoint, through, dispatch, through), upload)).body == b""


@pytest.mark.parametrize("endpoint", [echo, echo_stream])
async def test_an_app_may_be_given_another_body_by_hand(serve, endpoint):
    """In use everywhere: a receive of one's own in the place of the server's."""

    async def dispatch(request, call_next):
        body = await request.body()

        async def receive():
            return {"type": "http.request", "body": body.upper(), "more_body": False}

        request._body = body.upper()
        request._receive = receive
        return await call_next(request)

    assert (await post(serve(endpoint, dispatch, through), [b"a", b"bc"])).body == b"ABC"


async def test_a_receive_put_in_place_before_reading_is_what_the_app_reads(serve):
    async def dispatch(request, call_next):
        given = request.receive

        async def receive():
            message = await given()
            if message["type"] == "http.request":
                message = {**message, "body": message["body"].upper()}
            return message

        request._receive = receive
        return await call_next(request)

    assert (await post(serve(echo, dispatch, through), [b"a", b"bc"])).body == b"ABC"


@pytest.mark.parametrize("read", [by_body, by_stream])
async def test_dispatch_may_read_and_answer_without_the_app(serve, upload, read):
    async def dispatch(request, call_next):
        return PlainTextResponse(await read(request))

    assert (await post(serve(ignore, through, dispatch), upload)).body == b"".join(upload)


# Read by dispatch after


@pytest.mark.parametrize("read", [by_body, by_stream])
async def test_dispatch_may_read_after_an_app_that_has_not(serve, upload, read):
    async def dispatch(request, call_next):
        response = await call_next(request)
        return PlainTextResponse((await read(request)) + response.status_code.to_bytes(2, "big"))

    exchange = await post(serve(ignore, dispatch), upload)
    assert exchange.body == b"".join(upload) + b"\x00\xc8"


@pytest.mark.parametrize("endpoint", [echo, echo_stream])
async def test_what_dispatch_has_read_before_it_has_after_the_app_as_well(serve, endpoint):
    async def dispatch(request, call_next):
        await request.body()
        response = await call_next(request)
        response.headers["x-body"] = (await request.body()).decode()
        return response

    exchange = await post(serve(endpoint, dispatch, dispatch), [b"a", b"b"])
    assert (exchange.body, exchange.headers["x-body"]) == (b"ab", "ab")


async def test_what_only_the_app_has_read_is_gone_after_it_if_it_is_large(serve):
    async def dispatch(request, call_next):
        response = await call_next(request)
        with pytest.raises(RuntimeError, match="Stream consumed"):
            await request.body()
        return response

    app = serve(echo, dispatch)
    assert (await post(app, UPLOADS["large"])).body == b"".join(UPLOADS["large"])


async def test_the_body_may_be_read_by_a_background_task(serve):
    read = []

    async def dispatch(request, call_next):
        await request.body()
        response = await call_next(request)

        async def work():
            read.append(await request.body())

        response.background = BackgroundTask(work)
        return response

    assert (await post(serve(echo, dispatch), [b"a", b"b"])).body == b"ab"
    assert read == [b"ab"]


# While it comes


@pytest.mark.parametrize("count", [1, 4])
async def test_a_body_is_echoed_while_it_comes(serve, count):
    """The second part comes when the first has been echoed."""

    async def endpoint(request: Request):
        async def echoed():
            async for chunk in request.stream():
                if chunk:
                    yield chunk

        return StreamingResponse(echoed())

    class Alternating(Exchange):
        async def receive(self):
            if len(self.received) == 1:
                await self.body_has(1)
            return await super().receive()

    app = serve(endpoint, *[through] * count)
    exchange = Alternating(method="POST", chunks=[b"a", b"b"], spec_version="2.4")
    assert (await exchange.run(app)).body == b"ab"


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_leaves_in_its_upload_is_a_disconnect_to_the_reader(
    serve, count, reads
):
    """Whether dispatch reads or the app."""
    raised = []

    async def dispatch(request, call_next):
        if reads:
            try:
                await request.body()
            except ClientDisconnect as error:
                raised.append(error)
                raise
        return await call_next(request)

    async def endpoint(request: Request):
        try:
            return PlainTextResponse(await request.body())
        except ClientDisconnect as error:
            raised.append(error)
            return PlainTextResponse("gone", status_code=499)

    app = serve(endpoint, *[through] * count, dispatch)
    exchange = Exchange(method="POST", chunks=[b"a"], left_open=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_quietly, exchange, app)
        await turns()
        exchange.leave()
    assert len(raised) == 1
    assert exchange.messages == []


async def run_quietly(exchange, app):
    with contextlib.suppress(ClientDisconnect):
        await exchange.run(app)


# In FastAPI


class Item(BaseModel):
    name: str


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize(
    ("body", "status"), [(b'{"name":"a"}', 200), (b'{"nome":"a"}', 422), (b"{", 422)]
)
async def test_fastapi_validates_the_body_behind_layers(base, count, reads, body, status):
    async def dispatch(request, call_next):
        if reads:
            assert await request.body() == body
        return await call_next(request)

    app = FastAPI(middleware=[Middleware(base, dispatch=dispatch)] * count)

    @app.post("/")
    async def endpoint(item: Item) -> Item:
        return item

    exchange = await post(app, [body[:3], body[3:]], headers=JSON)
    assert exchange.status == status
    if status == 200:
        assert exchange.body == body
    else:
        assert b'"detail"' in exchange.body
