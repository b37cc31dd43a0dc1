"""Layers that are functions, and generators, of the connection."""

import functools
import inspect

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from middleware.layered import HEAD, MAKERS, body, chunks, responds, sends, serve
from websocket.fake_server import FakeServer as FakeWebSocket

from asgi_rt import App, HTTPError
from asgi_rt.middleware import Middleware, middleware
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


class Crash(BaseException):
    """What no `except Exception` sees."""


async def forever(scope, receive, send):
    await anyio.sleep_forever()


async def streams_forever(scope, receive, send):
    await send(HEAD)
    await anyio.sleep_forever()


@pytest.fixture
def calls():
    return []


# Plain functions


def early(connection):
    return "early" if connection.path == "/early" else None


async def early_async(connection):
    await anyio.lowlevel.checkpoint()
    return early(connection)


class Callable:
    """An object that is called."""

    def __call__(self, connection):
        return early(connection)

    async def called_async(self, connection):
        return early(connection)

    def method(self, connection):
        return early(connection)


class AsyncCallable:
    async def __call__(self, connection):
        return early(connection)


def with_options(connection, prefix, *, path="/never"):
    return prefix if connection.path == path else None


FUNCTIONS = {
    "def": early,
    "async def": early_async,
    "lambda": lambda connection: early(connection),
    "lambda around async": lambda connection: early_async(connection),
    "method": Callable().method,
    "async method": Callable().called_async,
    "object": Callable(),
    "async object": AsyncCallable(),
    "partial": functools.partial(with_options, prefix="early", path="/early"),
    "partial of an object": functools.partial(Callable()),
}
functions = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@functions
@pytest.mark.parametrize(("path", "content"), [("/", b"hello"), ("/early", b"early")])
async def test_a_function_is_asked_before_the_app(function, path, content):
    server = await serve(middleware(function)(responds), path=path)
    assert server.body == content


async def test_a_function_that_answers_denies_websockets():
    app = App()
    app.add_middleware(middleware(lambda connection: {"no": connection.is_websocket}))
    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/"):
                pass
    assert denied.value.response.json() == {"no": True}


async def test_an_http_error_of_a_function_is_its_answer():
    def refuse(connection):
        raise HTTPError(429, headers={"retry-after": "1"})

    server = await serve(middleware(refuse)(responds))
    assert (server.status, server.headers["retry-after"]) == (429, "1")


# Generators


def noting(calls, *, yields, answer=None, fails_at=None, catches=()):
    """A layer of so many yields that notes what it is given, raised, and that it is closed."""

    @middleware
    def layer(connection):
        try:
            for number in range(yields):
                if fails_at == number:
                    raise LookupError("broken")
                try:
                    given = yield
                except catches as error:
                    given = error
                calls.append(type(given).__name__)
            if fails_at == yields:
                raise LookupError("broken")
            return answer
        except BaseException as error:
            calls.append(f"raised {type(error).__name__}")
            raise
        finally:
            calls.append("closed")

    return layer


@pytest.mark.parametrize(
    ("yields", "given"), [(0, []), (1, ["Head"]), (2, ["Head", "Outcome"])], ids=["0", "1", "2"]
)
async def test_a_generator_gets_the_head_and_then_the_outcome(calls, yields, given):
    layer = noting(calls, yields=yields)(responds)
    for _ in range(2):
        calls.clear()
        server = await serve(layer)
        assert server.messages == [HEAD, body(b"hello")]
        assert calls == [*given, "closed"]


async def test_a_third_yield_is_an_error_that_is_told_after_the_response(calls):
    server = FakeServer()
    with pytest.raises(RuntimeError, match="layer has yielded a third time"):
        await serve(noting(calls, yields=3)(responds), server)
    assert server.is_complete
    assert calls == ["Head", "Outcome", "raised GeneratorExit", "closed"]


async def test_what_it_changes_is_sent_and_what_it_keeps_is_there():
    outcomes = []

    @middleware
    def layer(connection):
        name = connection.path
        head = yield
        head.headers["x-name"] = name
        head.status = 202
        outcome = yield
        outcomes.append((name, outcome.status, outcome.bytes_sent))

    server = await serve(layer(responds), path="/here")
    assert (server.status, server.headers["x-name"]) == (202, "/here")
    assert outcomes == [("/here", 202, 5)]


@pytest.mark.parametrize(
    ("answer", "content"),
    [("early", b"early"), ({"a": 1}, b'{"a":1}'), (chunks, b"onetwo"), ("", b"")],
)
async def test_what_it_returns_before_it_yields_is_the_answer(calls, answer, content):
    @middleware
    def layer(connection):
        if connection.path == "/early":
            return answer() if callable(answer) else answer
        calls.append((yield).status)

    server = await serve(layer(responds), path="/early")
    assert server.body == content
    server = await serve(layer(responds))
    assert server.body == b"hello"
    assert calls == [200]


async def test_what_it_returns_later_is_of_no_matter(calls):
    server = await serve(noting(calls, yields=1, answer="late")(responds))
    assert server.messages == [HEAD, body(b"hello")]


@pytest.mark.parametrize("error", [HTTPError(403), LookupError("broken")])
async def test_what_it_raises_before_it_yields_is_as_that_of_before(error):
    @middleware
    def layer(connection):
        raise error
        yield

    if isinstance(error, HTTPError):
        assert (await serve(layer(responds))).status == 403
    else:
        with pytest.raises(LookupError, match="broken"):
            await serve(layer(responds))


async def test_what_it_raises_at_the_head_is_raised_in_the_app_and_it_is_over(calls):
    server = FakeServer()

    async def app(scope, receive, send):
        with pytest.raises(LookupError):
            await send(HEAD)
        await send({**HEAD, "status": 500})

    await serve(noting(calls, yields=2, fails_at=1)(app), server)
    assert [message["status"] for message in server.messages] == [500]
    assert calls == ["Head", "raised LookupError", "closed"]


async def test_what_it_raises_at_the_end_is_raised_after_the_response(calls):
    server = FakeServer()
    with pytest.raises(LookupError, match="broken"):
        await serve(noting(calls, yields=2, fails_at=2)(responds), server)
    assert server.is_complete
    assert calls == ["Head", "Outcome", "raised LookupError", "closed"]


# Where the app fails, or nobody is left


CRASHES = pytest.mark.parametrize("crash", [KeyError("a"), HTTPError(404), Crash(), OSError("b")])


@CRASHES
async def test_what_the_app_raises_before_the_head_is_raised_at_the_first_yield(calls, crash):
    with pytest.raises(type(crash)) as caught:
        await serve(noting(calls, yields=2)(sends(then=crash)))
    assert caught.value is crash
    assert calls == [f"raised {type(crash).__name__}", "closed"]


@CRASHES
@pytest.mark.parametrize(("yields", "given"), [(1, []), (2, ["Outcome"])], ids=["goes on", "ends"])
async def test_it_may_catch_that_and_go_on_but_it_is_raised_all_the_same(
    calls, crash, yields, given
):
    layer = noting(calls, yields=yields, catches=(Exception, Crash))
    with pytest.raises(type(crash)) as caught:
        await serve(layer(sends(then=crash)))
    assert caught.value is crash
    assert calls == [type(crash).__name__, *given, "closed"]


async def test_what_it_raises_instead_takes_its_place():
    crash = KeyError("a")

    @middleware
    def layer(connection):
        try:
            yield
        except KeyError as error:
            raise HTTPError(404) from error

    with pytest.raises(HTTPError) as caught:
        await serve(layer(sends(then=crash)))
    assert caught.value.__cause__ is crash


async def test_an_app_of_asgi_rt_answers_what_it_raises_instead():
    @middleware
    def layer(connection):
        try:
            yield
        except LookupError:
            raise HTTPError(404, "no such thing") from None

    app = MAKERS["asgi_rt"]()
    app.add_middleware(layer)
    async with AsyncTestClient(app) as client:
        response = await client.get("/crash")
    assert (response.status_code, response.json()["detail"]) == (404, "no such thing")


async def test_the_traceback_of_a_crash_is_that_of_the_app(calls):
    def frames(error):
        names, traceback = [], error.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        return names

    with pytest.raises(KeyError) as caught:
        await serve(noting(calls, yields=2)(sends(then=KeyError("a"))))
    assert frames(caught.value)[-1] == "app"
    assert not {"layer", "done"} & {*frames(caught.value)}


@CRASHES
async def test_a_crash_after_the_head_is_in_the_outcome(crash):
    outcomes = []

    @middleware
    def layer(connection):
        yield
        outcomes.append((yield))

    with pytest.raises(type(crash)) as caught:
        await serve(layer(sends(HEAD, then=crash)))
    assert caught.value is crash
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [(200, crash)]


@pytest.mark.parametrize(("app", "given"), [(forever, []), (streams_forever, ["Head", "Outcome"])])
async def test_a_cancellation_is_raised_before_the_head_and_an_outcome_after_it(calls, app, given):
    cancelled = anyio.get_cancelled_exc_class().__name__
    async with anyio.create_task_group() as group:
        group.start_soon(serve, noting(calls, yields=2)(app))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert calls == [*(given or [f"raised {cancelled}"]), "closed"]


async def test_a_cancellation_that_it_catches_is_not_lost(calls):
    is_over = []
    async with anyio.create_task_group() as group:

        async def run():
            try:
                await serve(noting(calls, yields=1, catches=(BaseException,))(forever))
            finally:
                is_over.append(group.cancel_scope.cancel_called)
            raise AssertionError("it was cancelled")

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert is_over == [True]


@pytest.mark.parametrize("messages", [[], [{"type": "http.response.early_hint", "links": []}]])
async def test_where_there_was_no_head_it_is_closed_at_the_first_yield(calls, messages):
    await serve(noting(calls, yields=2)(sends(*messages)))
    assert calls == ["raised GeneratorExit", "closed"]


async def test_a_head_that_a_client_did_not_stay_for_is_followed_by_the_outcome():
    outcomes = []

    @middleware
    def layer(connection):
        yield
        outcomes.append((yield))

    server = FakeServer(spec_version="2.4")
    server.leave()
    with pytest.raises(OSError, match="gone"):
        await serve(layer(responds), server)
    assert [(outcome.status, outcome.disconnected) for outcome in outcomes] == [(None, True)]


async def test_a_websocket_that_is_refused_without_a_response_has_no_head(calls):
    server = FakeWebSocket(extensions={})
    app = App()
    app.add_middleware(noting(calls, yields=2))
    await server.run(app)
    assert server.close is not None
    assert calls == ["raised GeneratorExit", "closed"]


async def test_the_head_of_a_websocket_is_that_of_its_handshake():
    seen = []

    @middleware
    def layer(connection):
        head = yield
        seen.append(head.status)
        outcome = yield
        seen.append((outcome.status, outcome.code))

    app = MAKERS["asgi_rt"]()
    app.add_middleware(layer)
    async with AsyncTestClient(app) as client, client.websocket_connect("/echo") as ws:
        await ws.close(4000)
    assert seen == [101, (101, 4000)]


async def test_a_generator_that_is_not_to_be_closed_is_an_error_of_its_own():
    @middleware
    def layer(connection):
        try:
            yield
        finally:
            yield

    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await serve(layer(sends()))


async def test_exchanges_that_overlap_have_a_generator_each():
    both, names = anyio.Event(), []

    @middleware
    def layer(connection):
        name = connection.query["n"]
        head = yield
        head.headers["n"] = name
        yield
        names.append(name)

    async def app(scope, receive, send):
        if scope["query_string"] == b"n=2":
            both.set()
        await both.wait()
        await responds(scope, receive, send)

    servers = [FakeServer(path=f"/?n={number}") for number in (1, 2)]
    stack = layer(app)
    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(serve, stack, server)
    assert [server.headers["n"] for server in servers] == ["1", "2"]
    assert sorted(names) == ["1", "2"]


class Stepping:
    """Generators that are methods, or objects."""

    def __call__(self, connection):
        (yield).headers["x-step"] = "1"

    def method(self, connection):
        (yield).headers["x-step"] = "1"


def step(connection, *, value):
    (yield).headers["x-step"] = value


@pytest.mark.parametrize(
    "function",
    [
        Stepping(),
        Stepping().method,
        functools.partial(step, value="1"),
        functools.partial(Stepping()),
    ],
)
async def test_generators_may_be_methods_partials_and_objects(function):
    server = await serve(middleware(function)(responds))
    assert server.headers["x-step"] == "1"


# The decorator


async def async_generator(connection):
    yield


class AsyncStepping:
    async def __call__(self, connection):
        yield


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (async_generator, "async_generator"),
        (functools.partial(async_generator), "async_generator"),
        (AsyncStepping(), "AsyncStepping"),
    ],
)
def test_an_async_generator_is_refused(function, name):
    with pytest.raises(TypeError, match=f"{name}: a layer that yields is a `def`"):
        middleware(function)


@pytest.mark.parametrize("function", [None, 3, "before"])
def test_what_is_no_function_is_refused(function):
    with pytest.raises(TypeError, match="a layer is a function, and not"):
        middleware(function)


def test_a_function_without_a_place_for_the_connection_is_refused():
    with pytest.raises(TypeError, match=r"the layer nothing\(\) takes the connection"):

        @middleware
        def nothing():
            """Asks for nothing."""


def test_name_place_and_docstring_are_kept():
    @middleware
    def documented(connection):
        """Says what it does."""

    assert issubclass(documented, Middleware)
    assert documented.__name__ == "documented"
    assert documented.__qualname__ == f"{inspect.currentframe().f_code.co_name}.<locals>.documented"
    assert documented.__module__ == __name__
    assert documented.__doc__ == "Says what it does."
    assert "documented" in repr(documented)


@functions
def test_whatever_it_is_made_of_it_has_a_name(function):
    assert middleware(function).__name__


# Options


@middleware
def limited(connection, limit, *, path="/"):
    """Adds its options to the head."""
    head = yield
    head.headers["x-limit"] = f"{limit} {path}"


@pytest.mark.parametrize(
    ("options", "field"), [({"limit": 1}, "1 /"), ({"limit": 2, "path": "/a"}, "2 /a")]
)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_options_come_from_add_middleware(make, options, field):
    app = make()
    app.add_middleware(limited, **options)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).headers["x-limit"] == field
        assert (await client.get("/stream")).headers["x-limit"] == field


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "missing a required argument: 'limit'"),
        ({"limit": 1, "pth": "/"}, "unexpected keyword argument 'pth'"),
        ({"limit": 1, "connection": 1}, "multiple values for argument 'connection'"),
    ],
)
def test_options_that_do_not_fit_are_refused_when_the_layer_is_made(options, complaint):
    with pytest.raises(TypeError, match=rf"the layer limited\(.*{complaint}"):
        limited(responds, **options)


async def test_one_function_may_be_two_layers_with_options_of_their_own():
    server = await serve(limited(limited(responds, limit=1), limit=2, path="/b"))
    assert server.headers["x-limit"] == "2 /b"


async def test_other_scopes_go_straight_to_the_app(calls):
    given, seen = ({"type": "lifespan"}, object(), object()), []

    async def app(*arguments):
        seen.extend(arguments)

    await noting(calls, yields=2)(app)(*given)
    assert [*map(id, seen)] == [*map(id, given)]
    assert calls == []
