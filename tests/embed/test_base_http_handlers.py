"""The handlers of errors that an app has: inside of the layers, but the one for every error."""

import pytest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from embed.exchange import Exchange, ask
from embed.layers import Boom, adding, make_app, through

COUNTS = pytest.mark.parametrize("count", [1, 3])


async def fails(request: Request):
    raise Boom("in the endpoint")


async def hello(request: Request):
    return PlainTextResponse("hello")


@COUNTS
async def test_an_error_with_a_handler_is_a_response_to_dispatch(serve, count):
    async def handler(request, error):
        return PlainTextResponse(f"handled {error}", status_code=418)

    app = serve(fails, *[adding("x")] * count, exception_handlers={Boom: handler})
    exchange = await ask(app)
    assert (exchange.status, exchange.body) == (418, b"handled in the endpoint")
    assert exchange.all_of("x-layers") == ["x"] * count


@COUNTS
async def test_an_http_exception_of_the_app_is_a_response_to_dispatch(serve, count):
    async def endpoint(request: Request):
        raise HTTPException(409, "taken", headers={"x-why": "taken"})

    exchange = await ask(serve(endpoint, *[adding("x")] * count))
    assert (exchange.status, exchange.headers["x-why"]) == (409, "taken")
    assert exchange.all_of("x-layers") == ["x"] * count


async def test_what_is_not_found_or_not_allowed_is_a_response_to_dispatch(base, framework):
    app = framework(routes=[Route("/", hello)], middleware=[Middleware(base, dispatch=adding("x"))])
    assert (await ask(app, "/none")).status == 404
    exchange = await ask(app, method="POST")
    assert (exchange.status, exchange.all_of("x-layers")) == (405, ["x"])


@COUNTS
async def test_the_handler_of_every_error_stands_outside_of_the_layers(serve, count):
    async def handler(request, error):
        return PlainTextResponse("sorry", status_code=500)

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(serve(fails, *[through] * count, exception_handlers={500: handler}))
    assert (exchange.status, exchange.body) == (500, b"sorry")


@pytest.mark.parametrize("calls", [True, False])
async def test_an_http_exception_of_dispatch_is_handled_only_inside_of_the_handlers(
    base, framework, calls
):
    async def dispatch(request, call_next):
        if calls:
            await call_next(request)
        raise HTTPException(409, "taken")

    layer = Middleware(base, dispatch=dispatch)
    inside = framework(routes=[Route("/", hello, middleware=[layer])])
    assert (await ask(inside)).status == 409
    exchange = Exchange()
    with pytest.raises(HTTPException):
        await exchange.run(make_app(framework, base, hello, layer))
    assert exchange.status == 500
