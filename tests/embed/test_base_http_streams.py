"""Bodies that come in parts: passed on as they come, read, wrapped and replaced by dispatch."""

import itertools

import anyio
import anyio.lowlevel
import pytest
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from embed.exchange import Exchange, ask, turns
from embed.layers import Bodies, Parts, through

COUNTS = pytest.mark.parametrize("count", [1, 3])
VERSIONS = pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
PARTS = pytest.mark.parametrize(
    "parts", [[], [b"one"], [b"one", b"two"], [b"x" * 100_000] * 5], ids=["0", "1", "2", "large"]
)


@pytest.fixture
def bodies():
    return Bodies()


def streaming(parts):
    async def endpoint(request: Request):
        return StreamingResponse(Parts(parts), headers={"x-app": "1"})

    return endpoint


def bare(*parts):
    """An app that sends by itself."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1]})

    return app


# Passed on


@VERSIONS
@COUNTS
@PARTS
async def test_every_part_arrives_once_and_in_order(serve, parts, count, spec_version):
    app = serve(streaming(parts), *[through] * count)
    exchange = await ask(app, spec_version=spec_version)
    sent = [message["body"] for message in exchange.messages[1:] if message["body"]]
    assert sent == parts
    assert exchange.is_complete


@VERSIONS
@COUNTS
async def test_each_part_goes_out_before_the_next_is_made(serve, count, spec_version):
    """And the head before the first."""
    exchange = Exchange(spec_version=spec_version)
    sent = []

    async def endpoint(request: Request):
        async def parts():
            for _ in range(3):
                await exchange.sent(len(sent) + 1)
                sent.append(exchange.kinds[-1])
                yield b"part"

        return StreamingResponse(parts())

    await exchange.run(serve(endpoint, *[through] * count))
    assert sent == ["start", "body", "body"]


def made(numbers):
    for number in itertools.count():
        numbers.append(number)
        yield b"part"


@VERSIONS
@COUNTS
async def test_an_endless_stream_waits_for_a_slow_reader(serve, bodies, count, spec_version):
    """What is made ahead of the client does not depend on how long it waits."""
    numbers = []
    app = serve(streaming(made(numbers)), *[bodies.keep] * count)
    exchange = Exchange(spec_version=spec_version)
    exchange.freeze()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, app)
        for expected in range(1, 6):
            await exchange.sent(expected)
            await turns()
            assert len(exchange.messages) == expected
            assert len(numbers) <= expected + 2 * count
            exchange.thaw()
            exchange.freeze()
        tasks.cancel_scope.cancel()
    await bodies.close()


class Wrapping(Parts):
    """Another's parts, with nothing to close of its own."""

    def __init__(self, inner):
        self.inner = inner

    async def __anext__(self):
        return await anext(self.inner)


class Ticking(Parts):
    """Endless, and gives way to others."""

    async def __anext__(self):
        await anyio.lowlevel.checkpoint()
        return await super().__anext__()


@COUNTS
@pytest.mark.parametrize("is_frozen", [True, False])
@pytest.mark.parametrize("kind", ["passed on", "wrapped", "own", "instead", "instead after a look"])
async def test_an_endless_stream_ends_when_the_client_leaves(serve, bodies, count, is_frozen, kind):
    async def endpoint(request: Request):
        return StreamingResponse(Ticking(itertools.repeat(b"app")))

    async def dispatch(request, call_next):
        if kind == "own":
            return await endpoint(request)
        if kind == "instead":
            await call_next(request)
            return await endpoint(request)
        response = await bodies.keep(request, call_next)
        if kind == "instead after a look":
            await anext(response.body_iterator)
            return await endpoint(request)
        if kind == "wrapped":
            response.body_iterator = Wrapping(response.body_iterator)
        return response

    app = serve(endpoint, *[bodies.keep] * (count - 1), dispatch)
    exchange = Exchange()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.run, app)
            await exchange.body_has(40)
            if is_frozen:
                exchange.freeze()
                await exchange.blocked.wait()
            exchange.leave()
    await bodies.close()


@COUNTS
async def test_a_body_without_parts_may_be_one_message_that_says_nothing(wrap, count):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    exchange = await ask(wrap(app, [through] * count))
    assert (exchange.status, exchange.header_list, exchange.body) == (204, [], b"")
    assert exchange.is_complete


@COUNTS
async def test_an_app_may_send_from_a_task_of_its_own(wrap, count):
    async def app(scope, receive, send):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bare(b"a", b"b"), scope, receive, send)

    assert (await ask(wrap(app, [through] * count))).body == b"ab"


# Read by dispatch


@VERSIONS
@PARTS
@pytest.mark.parametrize("count", [0, 2])
async def test_dispatch_may_read_the_body_and_send_another(serve, parts, count, spec_version):
    async def dispatch(request, call_next):
        response = await call_next(request)
        read = [chunk async for chunk in response.body_iterator]
        headers = dict(response.headers)
        return Response(b"-".join(read), response.status_code, headers)

    app = serve(streaming(parts), *[through] * count, dispatch)
    exchange = await ask(app, spec_version=spec_version)
    assert exchange.body == b"-".join(parts)
    assert exchange.headers["content-length"] == str(len(exchange.body))
    assert exchange.headers["x-app"] == "1"
    assert exchange.is_complete


async def test_a_body_that_is_read_is_gone(serve):
    async def dispatch(request, call_next):
        response = await call_next(request)
        async for _ in response.body_iterator:
            pass
        return response

    exchange = await ask(serve(streaming([b"one", b"two"]), dispatch))
    assert (exchange.status, exchange.body, exchange.is_complete) == (200, b"", True)


async def test_what_dispatch_has_not_read_is_sent(serve):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers["x-first"] = (await anext(response.body_iterator)).decode()
        return response

    exchange = await ask(serve(streaming([b"one", b"two", b"three"]), dispatch))
    assert (exchange.headers["x-first"], exchange.body) == ("one", b"twothree")


async def test_the_body_of_a_plain_response_is_read_the_same_way(serve):
    async def endpoint(request: Request):
        return PlainTextResponse("hello")

    async def dispatch(request, call_next):
        response = await call_next(request)
        read = [chunk async for chunk in response.body_iterator]
        response.headers["x-parts"] = str(len(read))
        response.body_iterator = Parts(read)
        return response

    exchange = await ask(serve(endpoint, dispatch, dispatch))
    assert (exchange.body, exchange.all_of("x-parts")) == (b"hello", ["1"])


# Wrapped and replaced


def shouting(response):
    async def louder(inner):
        async for chunk in inner:
            yield chunk.upper()

    response.body_iterator = louder(response.body_iterator)
    return response


@VERSIONS
@PARTS
@COUNTS
async def test_dispatch_may_wrap_the_body(serve, parts, count, spec_version):
    async def dispatch(request, call_next):
        return shouting(await call_next(request))

    app = serve(streaming(parts), *[dispatch] * count)
    exchange = await ask(app, spec_version=spec_version)
    assert exchange.body == b"".join(parts).upper()
    assert exchange.is_complete


@VERSIONS
@COUNTS
async def test_a_wrapped_body_goes_out_part_by_part(serve, count, spec_version):
    exchange = Exchange(spec_version=spec_version)

    async def dispatch(request, call_next):
        return shouting(await call_next(request))

    async def endpoint(request: Request):
        async def parts():
            yield b"one"
            await exchange.body_has(3)
            yield b"two"

        return StreamingResponse(parts())

    await exchange.run(serve(endpoint, *[dispatch] * count))
    assert exchange.body == b"ONETWO"


async def test_a_wrapper_may_wait_add_and_leave_out(serve):
    async def dispatch(request, call_next):
        response = await call_next(request)

        async def wrapped(inner):
            yield b"["
            async for chunk in inner:
                await anyio.sleep(0.001)
                if chunk != b"two":
                    yield chunk
            await anyio.to_thread.run_sync(str)
            yield b"]"

        response.body_iterator = wrapped(response.body_iterator)
        return response

    app = serve(streaming([b"one", b"two", b"three"]), through, dispatch, through)
    assert (await ask(app)).body == b"[onethree]"


async def test_a_wrapper_may_end_before_the_body_does(serve, bodies):
    async def dispatch(request, call_next):
        response = await bodies.keep(request, call_next)

        async def first(inner):
            yield await anext(inner)

        response.body_iterator = first(response.body_iterator)
        return response

    exchange = await ask(serve(streaming([b"one", b"two", b"three"]), through, dispatch))
    assert (exchange.body, exchange.is_complete) == (b"one", True)
    await bodies.close()


@pytest.mark.parametrize("parts", [[], [b"new"], [b"new", b"er"]], ids=["0", "1", "2"])
@pytest.mark.parametrize("in_threads", [True, False])
async def test_the_body_may_be_replaced(serve, parts, in_threads):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = iterate_in_threadpool(parts) if in_threads else Parts(parts)
        return response

    exchange = await ask(serve(streaming([b"one", b"two"]), dispatch, through))
    assert (exchange.body, exchange.is_complete) == (b"".join(parts), True)


@VERSIONS
@PARTS
@pytest.mark.parametrize("count", [1, 3])
async def test_the_body_may_go_into_a_response_of_dispatchs_own(serve, parts, count, spec_version):
    """A StreamingResponse reads it in another task, up to spec 2.3."""

    async def dispatch(request, call_next):
        response = await call_next(request)
        return StreamingResponse(
            response.body_iterator,
            status_code=response.status_code + 1,
            headers=dict(response.headers),
        )

    app = serve(streaming(parts), *[dispatch] * count)
    exchange = await ask(app, spec_version=spec_version)
    assert (exchange.status, exchange.body) == (200 + count, b"".join(parts))
    assert exchange.headers["x-app"] == "1"
    assert exchange.is_complete


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_status_and_headers_of_a_stream_can_be_changed(serve, method):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.status_code = 206
        response.headers["x-app"] = "2"
        return response

    exchange = await ask(serve(streaming([b"one", b"two"]), dispatch, through), method=method)
    assert (exchange.status, exchange.headers["x-app"]) == (206, "2")
    assert exchange.is_complete


async def test_dispatch_may_fail_over_when_the_first_part_does_not_please_it(serve, bodies):
    async def dispatch(request, call_next):
        response = await bodies.keep(request, call_next)
        if await anext(response.body_iterator) == b"bad":
            return PlainTextResponse("instead", status_code=502)
        return response

    exchange = await ask(serve(streaming([b"bad", b"worse"]), through, dispatch))
    assert (exchange.status, exchange.body) == (502, b"instead")
    await bodies.close()
