"""Handlers: which functions may be one, where they run, and which are refused."""

import functools
import threading

import anyio
import pytest
from fakes import FakeServer

from asgi_rt import App
from asgi_rt.errors import RouteError
from asgi_rt.routing import Router


async def call(handler, **options) -> FakeServer:
    app = App()
    app.add_route("/", handler, **options)
    server = FakeServer()
    await app(server.scope, server.receive, server.send)
    return server


async def asynchronous(request):
    return {"thread": threading.get_ident()}


def synchronous(request):
    return {"thread": threading.get_ident()}


class Methods:
    async def asynchronous(self, request):
        return {"thread": threading.get_ident()}

    def synchronous(self, request):
        return {"thread": threading.get_ident()}

    @classmethod
    async def of_class(cls, request):
        return {"thread": threading.get_ident()}

    @staticmethod
    async def static(request):
        return {"thread": threading.get_ident()}


class AsyncCallable:
    async def __call__(self, request):
        return {"thread": threading.get_ident()}


class Callable:
    def __call__(self, request):
        return {"thread": threading.get_ident()}


async def takes_more(request, more=None, *args, keyword=None, **kwargs):
    return {"thread": threading.get_ident()}


async def second_is_request(first, request):
    return {"thread": threading.get_ident()}


@functools.wraps(second_is_request)
async def injecting(request):
    return await second_is_request(None, request)


@functools.wraps(asynchronous)
def around_async(*args, **kwargs):
    return asynchronous(*args, **kwargs)


ON_LOOP = [
    asynchronous,
    Methods().asynchronous,
    Methods.of_class,
    Methods.static,
    AsyncCallable(),
    takes_more,
    injecting,
    functools.partial(second_is_request, None),
    functools.partial(functools.partial(takes_more, keyword=1), keyword=2),
    functools.partial(AsyncCallable()),
    lambda request: asynchronous(request),
    around_async,
]
IN_THREAD = [
    synchronous,
    Methods().synchronous,
    Callable(),
    functools.partial(synchronous),
    functools.partial(Callable()),
    lambda request: synchronous(request),
]


@pytest.mark.parametrize("handler", ON_LOOP)
async def test_async_handlers_run_on_the_loop(handler):
    assert f'"thread":{threading.get_ident()}' in (await call(handler)).body.decode()


@pytest.mark.parametrize("handler", IN_THREAD)
async def test_sync_handlers_run_in_a_worker_thread(handler):
    body = (await call(handler)).body.decode()
    assert '"thread":' in body
    assert f'"thread":{threading.get_ident()}' not in body


async def async_generator(request):
    yield "a"
    yield "b"


def generator(request):
    yield "a"
    yield "b"


class AsyncGeneratorCallable:
    async def __call__(self, request):
        yield "a"
        yield "b"


class GeneratorCallable:
    def __call__(self, request):
        yield "a"
        yield "b"


GENERATORS = [
    async_generator,
    generator,
    AsyncGeneratorCallable(),
    GeneratorCallable(),
    functools.partial(async_generator),
    functools.partial(generator),
]


@pytest.mark.parametrize("handler", GENERATORS)
async def test_generators_are_streams_and_take_their_options(handler):
    server = await call(handler, media_type="application/x-own")
    assert server.body == b"ab"
    assert server.headers["content-type"] == "application/x-own"
    assert server.is_complete


@pytest.mark.parametrize("function", [async_generator, generator])
async def test_a_function_that_hands_a_generator_on_is_a_stream(function):
    assert (await call(lambda request: function(request))).body == b"ab"


async def test_what_a_sync_handler_raises_is_raised():
    def handler(request):
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await call(handler)


async def test_a_cancelled_request_waits_for_its_thread():
    entered, leave = threading.Event(), threading.Event()
    done = []

    def handler(request):
        entered.set()
        leave.wait()
        done.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, handler)
        await anyio.to_thread.run_sync(entered.wait)
        tasks.cancel_scope.cancel()
        leave.set()
    assert done == [True]


async def none(): ...


async def two(request, other): ...


async def keyword(*, request): ...


async def keyword_too(request, *, other): ...


def plain_two(request, other): ...


def generator_of_none():
    yield


@pytest.mark.parametrize(
    "handler",
    [
        none,
        two,
        keyword,
        keyword_too,
        plain_two,
        generator_of_none,
        Methods.asynchronous,
        functools.partial(asynchronous, None),
        functools.partial(two),
        lambda: None,
        AsyncCallable,
        None,
        "handler",
        asynchronous(None),
    ],
)
def test_a_handler_that_cannot_take_one_request_is_refused_by_route(handler):
    router = Router()
    try:
        with pytest.raises(RouteError, match="GET,PUT /here: "):
            router.add_route("/here", handler, methods=["GET", "PUT"])
    finally:
        if hasattr(handler, "close"):
            handler.close()
    assert router.routes == []
    router.add_route("/here", asynchronous, methods=["GET", "PUT"])


def test_the_refusal_shows_the_handler_and_its_signature():
    with pytest.raises(RouteError, match=r"the handler two\(request, other\) must take one"):
        Router().add_route("/", two)


@pytest.mark.parametrize("handler", [*ON_LOOP, *IN_THREAD])
def test_stream_options_are_for_generators_alone(handler):
    with pytest.raises(RouteError, match=r"GET /: head_wait, send_timeout .*yields"):
        Router().add_route("/", handler, head_wait=1.0, send_timeout=None)


@pytest.mark.parametrize("handler", GENERATORS)
def test_unknown_stream_options_are_refused(handler):
    with pytest.raises(RouteError, match=r"GET /: .*'ping'"):
        Router().add_route("/", handler, ping=1.0)


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (asynchronous, "asynchronous"),
        (Methods().asynchronous, "asynchronous"),
        (AsyncCallable(), "AsyncCallable"),
        (functools.partial(takes_more, keyword=1), "takes_more"),
        (functools.partial(AsyncCallable()), "AsyncCallable"),
        (injecting, "second_is_request"),
    ],
)
def test_a_route_is_named_after_its_handler(handler, name):
    assert Router().add_route("/", handler).name == name


def test_the_decorators_leave_the_function_as_it_was():
    router = Router()
    for register, method in [
        (router.get, "GET"),
        (router.post, "POST"),
        (router.put, "PUT"),
        (router.patch, "PATCH"),
        (router.delete, "DELETE"),
    ]:
        assert register("/", name=method)(asynchronous) is asynchronous
    assert [(route.name, *route.methods) for route in router.routes] == [
        (method, method) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ]
