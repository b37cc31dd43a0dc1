"""What BaseHTTPMiddleware promises of requests, of how it is made, and of what is not HTTP."""

import contextlib
import contextvars
import functools

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from embed.exchange import ask
from embed.layers import Parts, adding, make_app, through

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


async def hello(request: Request):
    return PlainTextResponse("hello")


# What goes down


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_state_goes_down_and_up(serve, count):
    async def dispatch(request, call_next):
        request.state.names = [*getattr(request.state, "names", []), "layer"]
        response = await call_next(request)
        response.headers["x-seen"] = request.state.seen
        return response

    async def endpoint(request: Request):
        request.state.seen = "endpoint"
        return JSONResponse(request.state.names)

    exchange = await ask(serve(endpoint, *[dispatch] * count))
    assert exchange.body == JSONResponse(["layer"] * count).body
    assert exchange.headers["x-seen"] == "endpoint"


async def by_coroutine(request: Request):
    return PlainTextResponse(variable.get())


def in_thread(request: Request):
    return PlainTextResponse(variable.get())


async def by_stream(request: Request):
    return StreamingResponse(Parts([variable.get().encode()]))


async def within_stream(request: Request):
    async def parts():
        yield variable.get()

    return StreamingResponse(parts())


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("endpoint", [by_coroutine, in_thread, by_stream])
async def test_context_variables_go_down_and_are_reset_after(serve, endpoint, count):
    async def dispatch(request, call_next):
        token = variable.set(variable.get() + "x")
        try:
            return await call_next(request)
        finally:
            variable.reset(token)

    assert (await ask(serve(endpoint, *[dispatch] * count))).body == b"x" * count
    assert variable.get() == ""


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_context_variables_are_there_for_all_of_a_stream(serve, count, spec_version):
    async def dispatch(request, call_next):
        variable.set(variable.get() + "x")
        return await call_next(request)

    app = serve(within_stream, *[dispatch] * count)
    assert (await ask(app, spec_version=spec_version)).body == b"x" * count


async def test_the_scope_may_be_changed_before_the_app_sees_it(serve):
    async def dispatch(request, call_next):
        request.scope["path"] = "/other"
        request.scope["headers"] = [(b"x-user", b"ada")]
        return await call_next(request)

    async def endpoint(request: Request):
        return PlainTextResponse(f"{request.url.path} {request.headers['x-user']}")

    assert (await ask(serve(endpoint, dispatch), "/one")).body == b"/other ada"


async def test_dispatch_sees_what_was_asked_and_where_it_went(serve):
    seen = []

    async def dispatch(request, call_next):
        seen.extend([request.method, request.url.path, request.query_params["a"]])
        seen.extend([request.cookies["c"], request.client.port])
        response = await call_next(request)
        seen.extend([request.path_params, request.scope["endpoint"].__name__])
        return response

    async def endpoint(request: Request):
        return PlainTextResponse("")

    await ask(serve(endpoint, dispatch), "/a/b?a=1", method="PUT", headers=[(b"cookie", b"c=2")])
    assert seen == ["PUT", "/a/b", "1", "2", 50000, {"rest": "a/b"}, "endpoint"]


async def test_one_instance_serves_requests_at_once_and_keeps_them_apart(serve):
    count = 20
    arrived, everybody = [], anyio.Event()
    got = {}

    async def dispatch(request, call_next):
        request.state.name = name = request.url.path
        response = await call_next(request)
        response.headers["x-name"] = name
        return response

    async def endpoint(request: Request):
        arrived.append(request.state.name)
        if len(arrived) == count:
            everybody.set()
        await everybody.wait()
        return PlainTextResponse(request.state.name)

    app = serve(endpoint, dispatch, through)

    async def ask_one(path):
        got[path] = await ask(app, path)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(ask_one, f"/{number}")
    for path, exchange in got.items():
        assert exchange.body.decode() == exchange.headers["x-name"] == path
    assert len(got) == count


# What dispatch may do around the app


async def busy():
    """One of each kind of thing that is awaited."""
    await anyio.sleep(0.001)
    await anyio.to_thread.run_sync(str)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 0)
    with anyio.move_on_after(0.001):
        await anyio.sleep_forever()
    event = anyio.Event()
    event.set()
    await event.wait()
    async with anyio.Lock():
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("count", [1, 3])
async def test_dispatch_may_await_anything_before_and_after(serve, count):
    async def dispatch(request, call_next):
        await busy()
        response = await call_next(request)
        await busy()
        response.headers.append("x-busy", "yes")
        return response

    async def endpoint(request: Request):
        await busy()
        return PlainTextResponse("hello")

    exchange = await ask(serve(endpoint, *[dispatch] * count))
    assert exchange.all_of("x-busy") == ["yes"] * count
    assert exchange.body == b"hello"


async def test_call_next_may_be_called_from_within_other_coroutines_and_blocks(serve):
    left = []

    @contextlib.asynccontextmanager
    async def session():
        await anyio.lowlevel.checkpoint()
        try:
            yield
        finally:
            await anyio.lowlevel.checkpoint()
            left.append("session")

    async def called(request, call_next):
        async with contextlib.AsyncExitStack() as opened:
            await opened.enter_async_context(session())
            opened.callback(left.append, "callback")
            return await call_next(request)

    async def dispatch(request, call_next):
        return await called(request, call_next)

    assert (await ask(serve(hello, dispatch))).body == b"hello"
    assert left == ["callback", "session"]


@pytest.mark.parametrize("lock", [anyio.Semaphore, anyio.CapacityLimiter])
async def test_a_lock_may_be_held_across_call_next(serve, lock):
    limit = lock(1)
    running = []

    async def dispatch(request, call_next):
        async with limit:
            return await call_next(request)

    async def endpoint(request: Request):
        running.append(1)
        await anyio.lowlevel.checkpoint()
        assert len(running) == 1
        running.pop()
        return PlainTextResponse("hello")

    app = serve(endpoint, dispatch)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask, app)


# How a layer is made


class Caller:
    async def __call__(self, request, call_next):
        return await adding("called")(request, call_next)

    async def method(self, request, call_next):
        return await self(request, call_next)


async def named(name, request, call_next):
    return await adding(name)(request, call_next)


@pytest.mark.parametrize(
    "dispatch",
    [adding("called"), Caller(), Caller().method, functools.partial(named, "called")],
    ids=["function", "object", "method", "partial"],
)
async def test_dispatch_may_be_anything_that_is_called(serve, dispatch):
    assert (await ask(serve(hello, dispatch))).headers["x-layers"] == "called"


@pytest.mark.parametrize("by_name", [True, False])
async def test_the_constructor_takes_an_app_and_a_function(base, by_name):
    app = PlainTextResponse("hello")
    function = adding("called")
    layer = base(app=app, dispatch=function) if by_name else base(app, function)
    assert layer.app is app
    assert layer.dispatch_func is function
    assert (await ask(layer)).headers["x-layers"] == "called"


async def test_a_subclass_has_options_and_calls_those_above_it(base, framework):
    class Named(base):
        def __init__(self, app, name="none"):
            super().__init__(app)
            self.name = name

        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers.append("x-layers", self.name)
            return response

    class Louder(Named):
        async def dispatch(self, request, call_next):
            response = await super().dispatch(request, call_next)
            response.headers.append("x-layers", self.name.upper())
            return response

    app = make_app(framework, base, hello)
    app.add_middleware(Named, name="inner")
    app.add_middleware(Louder, name="outer")
    assert (await ask(app)).all_of("x-layers") == ["inner", "outer", "OUTER"]


async def test_a_subclass_may_leave_requests_out(base, framework):
    class Choosy(base):
        async def __call__(self, scope, receive, send):
            if scope["path"] == "/health":
                await self.app(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

        async def dispatch(self, request, call_next):
            return PlainTextResponse("no", status_code=403)

    app = make_app(framework, base, hello, Middleware(Choosy))
    assert (await ask(app, "/health")).body == b"hello"
    assert (await ask(app, "/")).status == 403


async def test_without_a_dispatch_there_is_nothing_to_call(base):
    with pytest.raises(NotImplementedError):
        await ask(base(PlainTextResponse("hello")))


async def test_a_layer_goes_around_one_route_or_one_mount(base, framework):
    layer = Middleware(base, dispatch=adding("here"))
    app = framework(
        routes=[
            Route("/route", hello, middleware=[layer]),
            Mount("/mount", routes=[Route("/in", hello)], middleware=[layer]),
            Mount("/app", make_app(framework, base, hello, adding("here"), adding("there"))),
            Route("/other", hello),
        ]
    )
    assert (await ask(app, "/route")).all_of("x-layers") == ["here"]
    assert (await ask(app, "/mount/in")).all_of("x-layers") == ["here"]
    assert (await ask(app, "/app/any")).all_of("x-layers") == ["there", "here"]
    assert (await ask(app, "/other")).all_of("x-layers") == []


# What is none of its business


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "something.new"])
async def test_what_is_not_http_passes_untouched(wrap, kind):
    given = []

    async def app(*arguments):
        given.extend(arguments)

    async def receive():
        raise AssertionError("not to be called")

    async def send(message):
        raise AssertionError("not to be called")

    async def dispatch(request, call_next):
        raise AssertionError("not to be called")

    scope = {"type": kind}
    await wrap(app, [dispatch] * 3)(scope, receive, send)
    assert [given[0] is scope, given[1] is receive, given[2] is send] == [True] * 3
    assert scope == {"type": kind}


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
async def test_the_lifespan_of_the_app_runs_behind_layers(base, framework):
    happened = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        happened.append("up")
        yield {"pool": "pool"}
        happened.append("down")

    app = make_app(framework, base, hello, through, through, lifespan=lifespan)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    await app(scope, receive, send)
    assert happened == ["up", "down"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert scope["state"] == {"pool": "pool"}
