"""Messages beside head and body: files by path, early hints, what tells of a template."""

import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse

from embed.exchange import Exchange, ask
from embed.layers import adding, through

COUNTS = pytest.mark.parametrize("count", [1, 3])
PATHSEND = {"http.response.pathsend": {}}
HINTS = {"http.response.early_hint": {}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


@pytest.fixture
def send_file(file):
    async def endpoint(request: Request):
        return FileResponse(file)

    return endpoint


# Files


@COUNTS
async def test_a_file_goes_by_its_path_where_the_server_takes_that(serve, file, send_file, count):
    app = serve(send_file, *[adding("x")] * count)
    exchange = await ask(app, extensions=PATHSEND)
    assert exchange.kinds == ["start", "pathsend"]
    assert exchange.messages[-1]["path"] == str(file)
    assert exchange.headers["content-length"] == "256000"
    assert exchange.all_of("x-layers") == ["x"] * count
    assert exchange.is_complete


@COUNTS
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_file_goes_by_its_bytes_elsewhere(serve, file, send_file, count, spec_version):
    app = serve(send_file, *[adding("x")] * count)
    exchange = await ask(app, spec_version=spec_version)
    assert exchange.body == file.read_bytes()
    assert exchange.is_complete


@pytest.mark.parametrize("extensions", [{}, PATHSEND])
async def test_a_range_of_a_file_passes(serve, file, send_file, extensions):
    app = serve(send_file, through, through)
    exchange = await ask(app, headers=[(b"range", b"bytes=10-19")], extensions=extensions)
    assert (exchange.status, exchange.body) == (206, file.read_bytes()[10:20])


@pytest.mark.parametrize("extensions", [{}, PATHSEND])
async def test_the_head_of_a_file_has_no_body(serve, send_file, extensions):
    exchange = await ask(serve(send_file, through), method="HEAD", extensions=extensions)
    assert (exchange.headers["content-length"], exchange.body) == ("256000", b"")
    assert exchange.is_complete


@pytest.mark.parametrize("extensions", [{}, PATHSEND])
async def test_dispatch_may_answer_with_a_file(serve, file, extensions):
    async def endpoint(request: Request):
        return PlainTextResponse("hello")

    async def dispatch(request, call_next):
        await call_next(request)
        return FileResponse(file)

    exchange = await ask(serve(endpoint, through, dispatch), extensions=extensions)
    assert exchange.kinds[-1] == ("pathsend" if extensions else "body")
    assert exchange.headers["content-length"] == "256000"


async def test_a_file_by_its_path_passes_a_wrapped_body(serve, file, send_file):
    async def dispatch(request, call_next):
        response = await call_next(request)

        async def wrapped(inner):
            async for chunk in inner:
                yield chunk

        response.body_iterator = wrapped(response.body_iterator)
        response.headers["x-wrapped"] = "1"
        return response

    exchange = await ask(serve(send_file, through, dispatch, dispatch), extensions=PATHSEND)
    assert exchange.kinds == ["start", "pathsend"]
    assert exchange.messages[-1]["path"] == str(file)
    assert exchange.headers["x-wrapped"] == "1"


async def test_a_file_by_its_path_may_be_replaced(serve, send_file):
    async def dispatch(request, call_next):
        await call_next(request)
        return PlainTextResponse("no file")

    exchange = await ask(serve(send_file, through, dispatch, through), extensions=PATHSEND)
    assert "pathsend" not in exchange.kinds
    assert (exchange.body, exchange.is_complete) == (b"no file", True)


async def test_the_work_after_a_file_by_its_path_is_done(serve, file):
    done = []

    async def endpoint(request: Request):
        return FileResponse(file, background=BackgroundTask(done.append, "endpoint"))

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(done.append, "dispatch")
        return response

    await ask(serve(endpoint, dispatch, through), extensions=PATHSEND)
    assert sorted(done) == ["dispatch", "endpoint"]


# Before the head


@COUNTS
async def test_early_hints_go_out_before_the_head_and_in_order(serve, count):
    async def endpoint(request: Request):
        await request.send_early_hints("</a.css>; rel=preload")
        await request.send_early_hints("</b.css>; rel=preload", "</c.js>; rel=preload")
        return PlainTextResponse("hello")

    exchange = await ask(serve(endpoint, *[adding("x")] * count), extensions=HINTS)
    assert exchange.kinds[:3] == ["early_hint", "early_hint", "start"]
    assert exchange.messages[0]["links"] == [b"</a.css>; rel=preload"]
    assert len(exchange.messages[1]["links"]) == 2
    assert (exchange.all_of("x-layers"), exchange.body) == (["x"] * count, b"hello")


async def test_early_hints_go_out_before_dispatch_has_the_response(serve):
    exchange = Exchange(extensions=HINTS)
    sent = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        sent.extend(exchange.kinds)
        return response

    async def endpoint(request: Request):
        await request.send_early_hints("</a.css>; rel=preload")
        return PlainTextResponse("hello")

    await exchange.run(serve(endpoint, dispatch))
    assert sent == ["early_hint"]


async def test_dispatch_may_send_early_hints_of_its_own(serve):
    async def dispatch(request, call_next):
        await request.send_early_hints("</a.css>; rel=preload")
        return await call_next(request)

    async def endpoint(request: Request):
        await request.send_early_hints("</b.css>; rel=preload")
        return PlainTextResponse("hello")

    exchange = await ask(serve(endpoint, through, dispatch), extensions=HINTS)
    links = [message["links"] for message in exchange.messages[:2]]
    assert links == [[b"</a.css>; rel=preload"], [b"</b.css>; rel=preload"]]
    assert exchange.is_complete


@COUNTS
async def test_what_tells_of_a_template_passes_before_the_head(wrap, count):
    async def app(scope, receive, send):
        await send({"type": "http.response.debug", "info": {"template": "t", "context": {}}})
        await PlainTextResponse("hello")(scope, receive, send)

    exchange = await ask(wrap(app, [adding("x")] * count))
    assert exchange.kinds[:2] == ["debug", "start"]
    assert exchange.messages[0]["info"] == {"template": "t", "context": {}}
    assert (exchange.all_of("x-layers"), exchange.body) == (["x"] * count, b"hello")
