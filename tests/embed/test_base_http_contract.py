"""What BaseHTTPMiddleware promises of responses: passed on, changed, replaced, or made at once."""

import gzip

import pytest
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from embed.exchange import ask
from embed.layers import MODULES, Adding, adding, load, make_app, through


async def hello(request: Request):
    return PlainTextResponse("hello", headers={"x-app": "1"})


def with_cookies():
    response = JSONResponse({"a": 1})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2", httponly=True)
    return response


async def chunks(*parts):
    for part in parts:
        yield part


ANSWERS = {
    "text": lambda: PlainTextResponse("hello", headers={"x-app": "1"}),
    "json": lambda: JSONResponse({"a": [1, None, "ü"]}, status_code=201),
    "html": lambda: HTMLResponse("<p>"),
    "empty": lambda: Response(),
    "204": lambda: Response(status_code=204),
    "304": lambda: Response(status_code=304, headers={"etag": '"1"'}),
    "redirect": lambda: RedirectResponse("/there?a=ü"),
    "cookies": with_cookies,
    "no chunk": lambda: StreamingResponse(chunks()),
    "one chunk": lambda: StreamingResponse(chunks(b"one"), media_type="text/csv"),
    "two chunks": lambda: StreamingResponse(chunks("one", b"two")),
    "an empty chunk": lambda: StreamingResponse(chunks(b"one", b"", b"two")),
    "a sync source": lambda: StreamingResponse(iter([b"one", b"two"])),
    "file": lambda: FileResponse(__file__),
    "background": lambda: PlainTextResponse("x", background=BackgroundTask(str)),
}


@pytest.fixture(params=ANSWERS)
def answer(request):
    return ANSWERS[request.param]


def told(exchange):
    """What the client gets."""
    assert exchange.is_complete
    return exchange.status, exchange.header_list, exchange.body


async def test_every_answer_passes_as_it_is(serve, answer):
    async def endpoint(request: Request):
        return answer()

    for method, spec_version in (("GET", "2.3"), ("GET", "2.4"), ("HEAD", "2.3")):
        options = {"method": method, "spec_version": spec_version}
        without = told(await ask(serve(endpoint), **options))
        for count in (1, 2, 5):
            assert told(await ask(serve(endpoint, *[through] * count), **options)) == without


# What dispatch does to the app's response


async def test_the_response_is_one_of_starlettes_with_all_its_fields(serve):
    async def dispatch(request, call_next):
        response = await call_next(request)
        assert isinstance(response, Response)
        assert (response.status_code, response.headers["x-app"]) == (200, "1")
        assert response.headers["content-length"] == "5"
        assert (b"x-app", b"1") in response.raw_headers
        assert response.background is None
        assert response.charset == "utf-8"
        return response

    assert (await ask(serve(hello, dispatch))).body == b"hello"


@pytest.mark.parametrize("count", [1, 3])
async def test_headers_are_changed_until_the_response_is_returned(serve, count):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers["X-App"] = "2"
        response.headers["x-new"] = "a"
        response.headers.append("x-new", "b")
        response.headers.add_vary_header("Accept")
        response.headers.update({"x-more": "c"})
        assert response.headers.setdefault("x-app", "3") == "2"
        del response.headers["content-type"]
        return response

    exchange = await ask(serve(hello, dispatch, *[through] * (count - 1)))
    assert exchange.all_of("x-app") == ["2"]
    assert exchange.all_of("x-new") == ["a", "b"]
    assert exchange.headers["vary"] == "Accept"
    assert exchange.headers["x-more"] == "c"
    assert "content-type" not in exchange.headers
    assert exchange.body == b"hello"


async def test_raw_headers_can_be_replaced(serve):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.raw_headers = [(b"x-only", b"1"), (b"content-length", b"5")]
        return response

    exchange = await ask(serve(hello, dispatch))
    assert exchange.header_list == [(b"x-only", b"1"), (b"content-length", b"5")]


async def test_cookies_are_added_to_those_of_the_app(serve):
    async def endpoint(request: Request):
        return with_cookies()

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.set_cookie("three", "3", samesite="strict")
        response.delete_cookie("four")
        return response

    cookies = (await ask(serve(endpoint, dispatch))).all_of("set-cookie")
    assert [each.partition("=")[0] for each in cookies] == ["one", "two", "three", "four"]
    assert "SameSite=strict" in cookies[2]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_status_can_be_set(serve, method):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.status_code = 299
        return response

    exchange = await ask(serve(hello, dispatch), method=method)
    assert (exchange.status, exchange.headers["content-length"]) == (299, "5")


async def test_a_dispatch_further_out_sees_what_one_further_in_has_done(serve):
    seen = []

    async def outer(request, call_next):
        response = await call_next(request)
        seen.append((response.status_code, response.headers["x-layers"]))
        return response

    async def inner(request, call_next):
        response = await call_next(request)
        response.status_code = 202
        return response

    assert (await ask(serve(hello, outer, inner, adding("innermost")))).status == 202
    assert seen == [(202, "innermost")]


# Another response


async def test_another_response_is_sent_in_place_of_the_apps(serve, answer):
    async def dispatch(request, call_next):
        await call_next(request)
        return answer()

    async def endpoint(request: Request):
        return PlainTextResponse("not this", headers={"x-not": "this"})

    for count in (0, 2):
        exchange = await ask(serve(endpoint, dispatch, *[through] * count))
        assert told(exchange) == told(await ask(answer()))


async def test_another_response_may_depend_on_the_apps(serve):
    async def endpoint(request: Request):
        return PlainTextResponse("nothing here", status_code=404)

    async def dispatch(request, call_next):
        response = await call_next(request)
        if response.status_code == 404:
            return RedirectResponse("/home", status_code=303)
        return response

    exchange = await ask(serve(endpoint, dispatch))
    assert (exchange.status, exchange.headers["location"]) == (303, "/home")


async def test_dispatch_may_answer_without_the_app(serve, answer):
    async def endpoint(request: Request):
        raise AssertionError("the app is not to be called")

    async def dispatch(request, call_next):
        return answer()

    for count in (0, 2):
        exchange = await ask(serve(endpoint, *[through] * count, dispatch, through))
        assert told(exchange) == told(await ask(answer()))


async def test_dispatch_may_choose_per_request(serve):
    async def dispatch(request, call_next):
        if request.headers.get("authorization") != "token":
            return PlainTextResponse("who?", status_code=401)
        return await call_next(request)

    app = serve(hello, dispatch)
    assert (await ask(app)).status == 401
    assert (await ask(app, headers=[(b"authorization", b"token")])).body == b"hello"


async def test_anything_that_asgi_calls_an_app_may_be_the_response(serve):
    async def dispatch(request, call_next):
        await call_next(request)

        async def app(scope, receive, send):
            await PlainTextResponse(f"other {scope['path']}")(scope, receive, send)

        return app

    assert (await ask(serve(hello, through, dispatch), "/a")).body == b"other /a"


# Layers around layers


@pytest.mark.parametrize("count", range(1, 6))
async def test_layers_are_entered_from_outside_and_left_from_inside(serve, count):
    order = []

    def tracing(number):
        async def dispatch(request, call_next):
            order.append(f"in {number}")
            response = await call_next(request)
            order.append(f"out {number}")
            response.headers.append("x-layers", str(number))
            return response

        return dispatch

    async def endpoint(request: Request):
        order.append("app")
        return PlainTextResponse("hello")

    exchange = await ask(serve(endpoint, *map(tracing, range(count))))
    inwards = [f"in {number}" for number in range(count)]
    outwards = [f"out {number}" for number in reversed(range(count))]
    assert order == [*inwards, "app", *outwards]
    assert exchange.all_of("x-layers") == [str(number) for number in reversed(range(count))]


@pytest.mark.parametrize(
    "kinds", ["bp", "pb", "bpb", "pbp", "bbpp", "bpbpb", "ppbbp"], ids=lambda kinds: kinds
)
async def test_layers_mix_with_layers_of_plain_asgi(serve, kinds):
    layers = [
        adding(f"b{at}") if kind == "b" else Middleware(Adding, name=f"p{at}")
        for at, kind in enumerate(kinds)
    ]
    exchange = await ask(serve(hello, *layers))
    assert exchange.all_of("x-layers") == [f"{kind}{at}" for at, kind in enumerate(kinds)][::-1]
    assert exchange.body == b"hello"


@pytest.mark.parametrize("kinds", [[0, 1], [1, 0], [0, 1, 0, 1], [1, 1, 0]])
async def test_layers_of_both_classes_mix(framework, kinds):
    classes = [load(name) for name in MODULES]
    layers = [Middleware(classes[kind], dispatch=adding(f"{at}")) for at, kind in enumerate(kinds)]
    exchange = await ask(make_app(framework, classes[0], hello, *layers))
    assert exchange.all_of("x-layers") == [str(at) for at in reversed(range(len(kinds)))]
    assert exchange.body == b"hello"


@pytest.mark.parametrize("gzip_is_outside", [True, False])
async def test_layers_go_with_gzip_on_either_side(serve, gzip_is_outside):
    async def endpoint(request: Request):
        return PlainTextResponse("hello " * 500)

    compressing = Middleware(GZipMiddleware, minimum_size=10)
    layers = [compressing, adding("x")] if gzip_is_outside else [adding("x"), compressing]
    exchange = await ask(serve(endpoint, *layers), headers=[(b"accept-encoding", b"gzip")])
    assert exchange.headers["content-encoding"] == "gzip"
    assert exchange.headers["x-layers"] == "x"
    assert gzip.decompress(exchange.body) == b"hello " * 500
