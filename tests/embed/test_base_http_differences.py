"""Where asgi_rt's class is to differ from Starlette's: each as it is there, and as it is here."""

import contextvars
import traceback

import anyio
import anyio.lowlevel
import pytest
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, ask, turns
from embed.layers import Bodies, Boom, Parts, differing, through

COUNTS = pytest.mark.parametrize("count", [1, 3])
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")
START = {"type": "http.response.start", "status": 200, "headers": []}


async def hello(request: Request):
    return PlainTextResponse("hello")


# Context variables


class Reading:
    """A layer of plain ASGI that looks at the variable when the app has returned."""

    def __init__(self, app, seen):
        self.app = app
        self.seen = seen

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        self.seen.append(variable.get())


@COUNTS
@differing(starlette="", asgi_rt="endpoint")
async def test_what_the_endpoint_sets_in_its_context_is_seen_above_it(serve, expected, count):
    seen = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(variable.get())
        return response

    async def endpoint(request: Request):
        variable.set("endpoint")
        return PlainTextResponse("hello")

    outside = Middleware(Reading, seen=seen)
    async with anyio.create_task_group() as tasks:  # whose context is not this one
        tasks.start_soon(ask, serve(endpoint, outside, *[dispatch] * count))
    assert seen == [expected] * (count + 1)


# Clients that leave


@COUNTS
@pytest.mark.parametrize("reads", [True, False])
@differing(starlette=False, asgi_rt=True)
async def test_is_disconnected_tells_the_handler(serve, expected, count, reads):
    exchange = Exchange(method="POST", chunks=[b"a"])
    seen = []

    async def dispatch(request, call_next):
        if reads:
            await request.body()
        return await call_next(request)

    async def endpoint(request: Request):
        await request.body()
        assert not await request.is_disconnected()
        exchange.leave()
        seen.append(await request.is_disconnected())
        return PlainTextResponse("hello")

    await exchange.run(serve(endpoint, *[dispatch] * count))
    assert seen == [expected]


@differing(starlette=b"bc", asgi_rt=b"abc")
async def test_is_disconnected_takes_no_piece_of_the_body_away(serve, expected):
    async def dispatch(request, call_next):
        assert not await request.is_disconnected()
        return await call_next(request)

    async def endpoint(request: Request):
        return PlainTextResponse(await request.body())

    app = serve(endpoint, dispatch)
    assert (await ask(app, method="POST", chunks=[b"a", b"b", b"c"])).body == expected


@COUNTS
@pytest.mark.parametrize("has_receive", [True, False])
@differing(starlette=RuntimeError, asgi_rt=None)
async def test_nothing_is_raised_for_want_of_a_response_to_a_client_that_has_left(
    wrap, expected, count, has_receive
):
    """Whether the app knows that it has left or not."""
    exchange = Exchange()

    async def app(scope, receive, send):
        exchange.leave()
        if has_receive:
            assert (await receive())["type"] == "http.disconnect"

    layered = wrap(app, [through] * count)
    if expected is None:
        await exchange.run(layered)
    else:
        with pytest.raises(expected, match="No response returned"):
            await exchange.run(layered)
    assert exchange.messages == []


@differing(starlette=False, asgi_rt=True)
async def test_bodies_are_closed_when_the_client_leaves(serve, expected):
    """Where `send` raises, as from spec 2.4 on."""
    exchange = Exchange(spec_version="2.4")
    bodies, wrapped = Bodies(), Bodies()

    async def dispatch(request, call_next):
        response = await bodies.keep(request, call_next)

        async def passing(inner):
            async for chunk in inner:
                yield chunk

        response.body_iterator = passing(response.body_iterator)
        wrapped.iterators.append(response.body_iterator)
        return response

    async def endpoint(request: Request):
        def parts():
            yield b"a"
            exchange.leave()
            yield b"b"

        return StreamingResponse(Parts(parts()))

    with pytest.raises((OSError, ClientDisconnect)):
        await exchange.run(serve(endpoint, dispatch))
    assert (not bodies.left_open and not wrapped.left_open) is expected
    await wrapped.close()
    await bodies.close()


# Tasks


@pytest.mark.parametrize("streams", [True, False])
@differing(starlette=20, asgi_rt=0)
async def test_layers_take_no_task(serve, expected, streams):
    async def endpoint(request: Request):
        def parts():
            yield str(len(anyio.get_running_tasks()) - before).encode()

        return StreamingResponse(Parts(parts())) if streams else PlainTextResponse(next(parts()))

    async def counted(layers):
        return int((await ask(serve(endpoint, *layers), spec_version="2.4")).body)

    before = len(anyio.get_running_tasks())
    assert await counted([through] * 20) - await counted([]) == expected


# Errors


@COUNTS
@differing(starlette=True, asgi_rt=False)
async def test_a_response_that_breaks_off_does_not_look_complete(wrap, expected, count):
    async def app(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise Boom

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(wrap(app, [through] * count))
    assert (exchange.body, exchange.is_complete) == (b"a", expected)


@differing(starlette=RuntimeError, asgi_rt=Boom)
async def test_an_error_after_the_head_is_not_hidden_by_that_of_the_server(wrap, expected):
    """Who is told that the body is too short."""

    async def app(scope, receive, send):
        await send({**START, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise Boom

    with pytest.raises(expected):
        await ask(wrap(app, [through]))


@differing(starlette=True, asgi_rt=False)
async def test_the_traceback_of_an_error_speaks_of_nothing_else(wrap, expected):
    async def app(scope, receive, send):
        raise Boom

    with pytest.raises(Boom) as raised:
        await ask(wrap(app, [through] * 3))
    printed = "".join(traceback.format_exception(raised.value))
    assert ("ExceptionGroup" in printed) is expected


@differing(starlette=False, asgi_rt=True)
async def test_a_group_of_errors_is_not_repacked(wrap, expected):
    group = ExceptionGroup("group", [Boom()])

    async def app(scope, receive, send):
        raise group

    with pytest.raises((ExceptionGroup, Boom)) as raised:
        await ask(wrap(app, [through] * 2))
    assert (raised.value is group) >= expected


@differing(starlette="NoneType", asgi_rt="dispatch returned None: return what call_next gave")
async def test_a_dispatch_that_returns_nothing_is_told_what_to_do(serve, expected):
    async def dispatch(request, call_next):
        await call_next(request)

    exchange = Exchange()
    with pytest.raises((TypeError, RuntimeError), match=expected):
        await exchange.run(serve(hello, dispatch))
    assert exchange.status == 500


# Requests and responses


@differing(starlette="/one", asgi_rt="/other")
async def test_the_request_that_call_next_is_given_is_the_one_that_the_app_gets(serve, expected):
    async def dispatch(request, call_next):
        return await call_next(Request({**request.scope, "path": "/other"}))

    async def endpoint(request: Request):
        return PlainTextResponse(request.url.path)

    assert (await ask(serve(endpoint, dispatch), "/one")).body.decode() == expected


@differing(starlette=["1", "1"], asgi_rt=["1"])
async def test_a_response_that_the_app_keeps_is_not_changed(serve, expected):
    """It is sent to every client."""
    kept = PlainTextResponse("hello")

    async def endpoint(request: Request):
        return kept

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers.append("x-new", "1")
        return response

    app = serve(endpoint, dispatch)
    await ask(app)
    assert (await ask(app)).all_of("x-new") == expected


@differing(starlette=AttributeError, asgi_rt=None)
async def test_headers_may_be_any_iterable(wrap, expected):
    """As ASGI has it."""

    async def app(scope, receive, send):
        await send({**START, "headers": ((b"x-app", b"1"),)})
        await send({"type": "http.response.body"})

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers.append("x-new", "1")
        return response

    if expected is None:
        assert (await ask(wrap(app, [dispatch]))).headers == {"x-app": "1", "x-new": "1"}
    else:
        with pytest.raises(expected):
            await ask(wrap(app, [dispatch]))


@differing(starlette=RuntimeError, asgi_rt=None)
async def test_another_body_does_not_keep_the_length_of_the_old_one(serve, expected):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = Parts([b"longer than before"])
        return response

    app = serve(hello, dispatch)
    if expected is None:
        exchange = await ask(app)
        assert (exchange.body, exchange.is_complete) == (b"longer than before", True)
    else:
        with pytest.raises(expected, match="Content-Length"):
            await ask(app)


@pytest.mark.parametrize("way", ["body", "stream"])
@differing(starlette="Stream consumed", asgi_rt=b"ab")
async def test_dispatch_may_read_what_the_app_has_read(serve, expected, way):
    """Up to 64 KiB of it."""

    async def endpoint(request: Request):
        return PlainTextResponse(await request.body())

    async def dispatch(request, call_next):
        response = await call_next(request)
        try:
            if way == "body":
                seen.append(await request.body())
            else:
                seen.append(b"".join([chunk async for chunk in request.stream()]))
        except RuntimeError as error:
            seen.append(str(error))
        return response

    seen = []
    exchange = await ask(serve(endpoint, dispatch), method="POST", chunks=[b"a", b"b"])
    assert exchange.body == b"ab"
    assert seen == [expected]


@differing(starlette=b"", asgi_rt=b"name=ada")
async def test_a_form_that_dispatch_has_read_is_there_for_the_app(serve, expected):
    async def dispatch(request, call_next):
        async with request.form() as form:
            assert form["name"] == "ada"
        return await call_next(request)

    async def endpoint(request: Request):
        return PlainTextResponse(await request.body())

    exchange = await ask(
        serve(endpoint, dispatch),
        method="POST",
        chunks=[b"name=", b"ada"],
        headers=[(b"content-type", b"application/x-www-form-urlencoded")],
    )
    assert exchange.body == expected


class Ticking(Parts):
    async def __anext__(self):
        await anyio.lowlevel.checkpoint()
        return b"tick"


@differing(starlette=False, asgi_rt=True)
async def test_a_stream_whose_response_was_replaced_ends_from_spec_2_4_on(serve, expected):
    """There a stream does not receive, so what it sends must raise."""
    ended = anyio.Event()

    async def endpoint(request: Request):
        return StreamingResponse(Ticking([]))

    async def dispatch(request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    async def run(app):
        await exchange.run(app)
        ended.set()

    exchange = Exchange(spec_version="2.4")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, serve(endpoint, dispatch))
        await exchange.completed.wait()
        await turns()
        assert ended.is_set() is expected
        tasks.cancel_scope.cancel()
    assert exchange.body == b"instead"
