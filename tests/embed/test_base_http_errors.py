"""Errors: from the app, raised by call_next, and from dispatch, before, at and after the head."""

import contextlib
import traceback

import pytest
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, ask
from embed.layers import Bodies, Boom, Parts, through

COUNTS = pytest.mark.parametrize("count", [1, 3])
STREAM = {"type": "http.response.start", "status": 200, "headers": []}


async def fails(request: Request):
    raise Boom("in the endpoint")


async def hello(request: Request):
    return PlainTextResponse("hello")


async def catching(request, call_next):
    try:
        return await call_next(request)
    except Boom as error:
        return JSONResponse({"caught": str(error)}, status_code=503)


def chained(how):
    """An error with something behind it, and that."""
    behind = KeyError("behind")
    error = Boom("in front")
    try:
        if how == "cause":
            raise error from behind
        if how == "context":
            try:
                raise behind
            except KeyError:
                raise error  # noqa: B904 - its context is what is looked for
        raise error
    except Boom:
        return error, None if how == "neither" else behind


# From the app, before the head


@COUNTS
async def test_an_error_of_the_app_is_raised_from_call_next(serve, count):
    seen = []

    async def dispatch(request, call_next):
        try:
            return await call_next(request)
        except Exception as error:
            seen.append(error)
            raise

    with pytest.raises(Boom) as raised:
        await ask(serve(fails, *[dispatch] * count))
    assert seen == [raised.value] * count


@COUNTS
async def test_an_error_of_the_app_may_be_answered(serve, count):
    outside = [through] * (count - 1)
    for layers in ([*outside, catching], [catching, *outside]):
        exchange = await ask(serve(fails, *layers))
        assert (exchange.status, exchange.body) == (503, b'{"caught":"in the endpoint"}')
        assert exchange.is_complete


@COUNTS
async def test_an_error_that_nobody_catches_is_answered_and_raised_once(serve, count):
    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(serve(fails, *[through] * count))
    assert (exchange.status, exchange.body) == (500, b"Internal Server Error")
    assert exchange.kinds == ["start", "body"]


@pytest.mark.parametrize(
    ("how", "count"), [("cause", 1), ("cause", 3), ("context", 1), ("context", 3), ("neither", 1)]
)
async def test_what_is_behind_an_error_stays_behind_it(wrap, how, count):
    error, behind = chained(how)

    async def app(scope, receive, send):
        raise error

    with pytest.raises(Boom) as raised:
        await ask(wrap(app, [through] * count))
    assert raised.value is error
    printed = "".join(traceback.format_exception(error))
    assert printed.count("KeyError: 'behind'") == (behind is not None)
    assert printed.count("The above exception") + printed.count("During handling") == (
        behind is not None
    )


@COUNTS
async def test_the_traceback_of_an_error_leads_to_where_it_was_raised(serve, count):
    with pytest.raises(Boom) as raised:
        await ask(serve(fails, *[through] * count))
    frames = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert frames[-1] == "fails"
    assert frames.count("through") == count


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), TimeoutError()])
async def test_any_error_arrives_as_it_is(wrap, error):
    async def app(scope, receive, send):
        raise error

    with pytest.raises(type(error)) as raised:
        await ask(wrap(app, [through, through]))
    assert raised.value is error


@COUNTS
async def test_every_layer_is_unwound_from_inside(serve, count):
    left = []

    def tracing(number):
        async def dispatch(request, call_next):
            try:
                return await call_next(request)
            finally:
                left.append(number)

        return dispatch

    with pytest.raises(Boom):
        await ask(serve(fails, *map(tracing, range(count))))
    assert left == list(reversed(range(count)))


async def test_an_error_may_be_exchanged_for_another(serve):
    async def dispatch(request, call_next):
        try:
            return await call_next(request)
        except Boom as error:
            raise LookupError("instead") from error

    with pytest.raises(LookupError) as raised:
        await ask(serve(fails, through, dispatch))
    assert isinstance(raised.value.__cause__, Boom)


@COUNTS
async def test_an_app_that_returns_without_a_response_is_an_error(wrap, count):
    async def app(scope, receive, send):
        await receive()

    with pytest.raises(RuntimeError, match="No response returned"):
        await ask(wrap(app, [through] * count))


# From dispatch


@COUNTS
async def test_an_error_before_call_next_keeps_the_app_from_running(serve, count):
    async def endpoint(request: Request):
        raise AssertionError("the app is not to be called")

    async def dispatch(request, call_next):
        raise Boom

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(serve(endpoint, *[through] * (count - 1), dispatch))
    assert exchange.status == 500


@COUNTS
@pytest.mark.parametrize("streams", [True, False])
async def test_an_error_after_call_next_takes_the_place_of_the_response(serve, streams, count):
    async def endpoint(request: Request):
        return StreamingResponse(Parts([b"a", b"b"])) if streams else PlainTextResponse("hello")

    async def dispatch(request, call_next):
        await bodies.keep(request, call_next)
        raise Boom

    bodies = Bodies()
    around = [bodies.keep] * (count - 1)
    for layers in ([*around, dispatch], [dispatch, *around]):
        exchange = Exchange()
        with pytest.raises(Boom):
            await exchange.run(serve(endpoint, *layers))
        assert (exchange.status, exchange.body) == (500, b"Internal Server Error")
    await bodies.close()


@COUNTS
async def test_an_error_of_dispatch_may_be_caught_further_out(serve, count):
    async def dispatch(request, call_next):
        await bodies.keep(request, call_next)
        raise Boom("in dispatch")

    bodies = Bodies()
    layers = [catching, *[bodies.keep] * (count - 1), dispatch, bodies.keep]
    exchange = await ask(serve(hello, *layers))
    await bodies.close()
    assert (exchange.status, exchange.body) == (503, b'{"caught":"in dispatch"}')


async def test_an_error_of_dispatch_after_the_apps_own_is_the_one_that_counts(serve):
    async def dispatch(request, call_next):
        with contextlib.suppress(Boom):
            await call_next(request)
        raise LookupError

    with pytest.raises(LookupError):
        await ask(serve(fails, through, dispatch, through))


@COUNTS
@pytest.mark.parametrize("streams", [True, False])
async def test_an_error_of_dispatch_is_none_to_the_app(serve, streams, count):
    """Which must not log it, nor answer it."""
    caught = []
    bodies = Bodies()

    class Catching:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            try:
                await self.app(scope, receive, send)
            except Exception as error:
                caught.append(error)
                raise

    async def endpoint(request: Request):
        return StreamingResponse(Parts([b"a", b"b"])) if streams else PlainTextResponse("hello")

    async def dispatch(request, call_next):
        await bodies.keep(request, call_next)
        raise Boom

    layers = [dispatch, *[bodies.keep] * (count - 1), Middleware(Catching)]
    with pytest.raises(Boom):
        await ask(serve(endpoint, *layers))
    assert caught == []
    await bodies.close()


# After the head


def failing_after(*parts):
    async def app(scope, receive, send):
        await send(STREAM)
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        raise Boom("in the stream")

    return app


@COUNTS
@pytest.mark.parametrize("reads", [True, False])
async def test_a_body_that_the_app_does_not_end_is_not_passed_over_in_silence(wrap, reads, count):
    """While the client is there it is answered, or an error is raised, or the body breaks off."""

    async def app(scope, receive, send):
        await send(STREAM)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})

    async def dispatch(request, call_next):
        response = await call_next(request)
        if reads:
            return PlainTextResponse(b"".join([part async for part in response.body_iterator]))
        return response

    exchange = Exchange()
    raised = []
    try:
        await exchange.run(wrap(app, [dispatch] * count))
    except Exception as error:
        raised.append(error)
    assert raised or exchange.body == b"a"


@COUNTS
@pytest.mark.parametrize("parts", [[], [b"a"], [b"a", b"b"]], ids=["0", "1", "2"])
async def test_an_error_after_the_head_is_raised_once_and_what_was_sent_arrives(wrap, parts, count):
    exchange = Exchange()
    with pytest.raises(Boom) as raised:
        await exchange.run(wrap(failing_after(*parts), [through] * count))
    assert exchange.body == b"".join(parts)
    assert exchange.kinds[0] == "start"
    assert raised.value.__cause__ is None


@COUNTS
async def test_an_error_in_a_stream_of_the_app_is_raised_once(serve, count):
    async def endpoint(request: Request):
        async def parts():
            yield b"a"
            raise Boom

        return StreamingResponse(parts())

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(serve(endpoint, *[through] * count))
    assert (exchange.status, exchange.body) == (200, b"a")


@COUNTS
async def test_an_error_in_a_wrapped_body_is_raised_once_and_truncates(serve, count):
    async def dispatch(request, call_next):
        response = await call_next(request)

        async def wrapped(inner):
            async for chunk in inner:
                yield chunk
            raise Boom

        response.body_iterator = wrapped(response.body_iterator)
        return response

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(serve(hello, *[through] * (count - 1), dispatch))
    assert (exchange.status, exchange.body) == (200, b"hello")
    assert count > 1 or not exchange.is_complete


@COUNTS
@pytest.mark.parametrize("whose", ["endpoint", "dispatch"])
async def test_an_error_after_the_response_is_raised_and_the_client_has_it_all(serve, whose, count):
    async def work():
        raise Boom

    async def endpoint(request: Request):
        background = BackgroundTask(work) if whose == "endpoint" else None
        return PlainTextResponse("hello", background=background)

    async def dispatch(request, call_next):
        response = await call_next(request)
        if whose == "dispatch":
            response.background = BackgroundTask(work)
        return response

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(serve(endpoint, *[through] * (count - 1), dispatch))
    assert (exchange.body, exchange.is_complete) == (b"hello", True)


async def test_an_error_of_an_app_whose_response_was_replaced_is_raised_at_the_end(wrap):
    async def dispatch(request, call_next):
        await call_next(request)
        return PlainTextResponse("instead")

    exchange = Exchange()
    with pytest.raises(Boom):
        await exchange.run(wrap(failing_after(b"a"), [through, dispatch]))
    assert (exchange.body, exchange.is_complete) == (b"instead", True)
