"""The three hooks around HTTP exchanges: which are called, in what order, and how they end."""

import asyncio
import contextvars
import gc
import itertools
import logging
import weakref

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from middleware.layered import HEAD, MAKERS, body, chunks, responds, sends, serve
from starlette.responses import JSONResponse as StarletteJSON

from asgi_rt import App, HTTPError, Response, StreamingResponse
from asgi_rt.asgi import ASGIApp
from asgi_rt.middleware import Middleware, hooks
from asgi_rt.testing import AsyncTestClient

HOOKS = ("before", "head", "done")
SUBSETS = [
    names for count in range(len(HOOKS) + 1) for names in itertools.combinations(HOOKS, count)
]


class Calls(list[str]):
    """What was called, and a way to make hooks that say so."""

    def hook(self, name, *, is_async=False):
        def called(*_):
            self.append(name)

        async def called_async(*_):
            await anyio.lowlevel.checkpoint()
            self.append(name)

        return called_async if is_async else called

    def app(self, app=responds):
        async def noted(scope, receive, send):
            self.append("app")
            await app(scope, receive, send)

        return noted


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture(params=[False, True], ids=["def", "async def"])
def is_async(request):
    return request.param


def expected(names, app="app"):
    return [name for name in ("before", app, "head", "done") if name in (*names, app)]


# Which hooks are called


def on_class(calls, names, is_async):
    return type(
        "Layer", (Middleware,), {name: calls.hook(name, is_async=is_async) for name in names}
    )


def inherited(calls, names, is_async):
    return type("Below", (type("Between", (on_class(calls, names, is_async),), {}),), {})


def mixed_in(calls, names, is_async):
    mixin = type("Mixin", (), {name: calls.hook(name, is_async=is_async) for name in names})
    return type("Layer", (mixin, Middleware), {})


def on_instance(calls, names, is_async):
    class Layer(Middleware):
        def __init__(self, app):
            super().__init__(app)
            for name in names:
                setattr(self, name, calls.hook(name, is_async=is_async))

    return Layer


def on_class_and_instance(calls, names, is_async):
    """The class has all of them, of the other kind, and the instance overrides them."""
    above = on_class(Calls(), HOOKS, not is_async)

    class Layer(above):
        def __init__(self, app):
            super().__init__(app)
            for name in HOOKS:
                setattr(self, name, calls.hook(name, is_async=is_async) if name in names else None)

    return Layer


def turned_off(calls, names, is_async):
    above = on_class(calls, HOOKS, is_async)
    off = {name: getattr(Middleware, name) for name in HOOKS if name not in names}
    return type("Layer", (above,), off)


def taken_out(calls, names, is_async):
    above = on_class(calls, HOOKS, is_async)
    return type("Layer", (above,), {name: None for name in HOOKS if name not in names})


@pytest.mark.parametrize("names", SUBSETS, ids="-".join)
@pytest.mark.parametrize(
    "make",
    [
        on_class,
        inherited,
        mixed_in,
        on_instance,
        on_class_and_instance,
        turned_off,
        taken_out,
    ],
)
async def test_the_hooks_that_are_there_are_called_once_each(calls, names, make, is_async):
    layer = make(calls, names, is_async)(calls.app())
    for _ in range(2):
        calls.clear()
        server = await serve(layer)
        assert calls == expected(names)
        assert server.messages == [HEAD, body(b"hello")]


async def test_a_def_that_hands_on_what_an_async_one_made_is_awaited(calls):
    made = {name: calls.hook(name, is_async=True) for name in HOOKS}

    class Layer(Middleware):
        def before(self, connection):
            return made["before"]()

        def head(self, connection, head):
            return made["head"]()

        def done(self, connection, outcome):
            return made["done"]()

    await serve(Layer(calls.app()))
    assert calls == expected(HOOKS)


async def test_what_head_and_done_return_is_of_no_matter(calls):
    class Layer(Middleware):
        def head(self, connection, head):
            return head.headers.setdefault("x-layer", "1")

        def done(self, connection, outcome):
            return "done"

    server = await serve(Layer(responds))
    assert server.headers == {"a": "1", "x-layer": "1"}


@pytest.mark.parametrize("names", SUBSETS, ids="-".join)
async def test_what_is_not_needed_is_not_wrapped(calls, names):
    seen = []

    async def app(scope, receive, send):
        seen.extend([scope, receive, send])
        await responds(scope, receive, send)

    server = FakeServer()
    await serve(on_class(calls, names, False)(app), server)
    scope, receive, send = seen
    assert scope is server.scope
    assert receive == server.receive
    assert (send == server.send) is not bool({"head", "done"} & {*names})


def generator(self, *_):
    yield


async def async_generator(self, *_):
    yield


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("hook", [generator, async_generator])
def test_a_hook_that_yields_is_refused(name, hook):
    with pytest.raises(TypeError, match=rf"Layer\.{name} yields.*@middleware"):
        type("Layer", (Middleware,), {name: hook})
    layer = type("Layer", (Middleware,), {})(responds)
    with pytest.raises(TypeError, match=rf"Layer\.{name} yields.*@middleware"):
        setattr(layer, name, hook)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_that_is_nothing_to_call_is_refused(name):
    with pytest.raises(TypeError, match=rf"Layer\.{name} is a method, and not 'yes'"):
        type("Layer", (Middleware,), {name: "yes"})


@pytest.mark.parametrize("kind", ["lifespan", "unknown"])
async def test_other_scopes_go_straight_to_the_app(calls, kind):
    given = ({"type": kind}, object(), object())
    seen = []

    async def app(*arguments):
        seen.extend(arguments)

    await on_class(calls, HOOKS, False)(app)(*given)
    assert [*map(id, seen)] == [*map(id, given)]
    assert calls == []


# Several layers


async def test_layers_are_called_like_brackets(calls, is_async):
    app = calls.app()
    for layer in "cba":
        named = {
            name: calls.hook(f"{name} {layer}", is_async=is_async and layer != "b")
            for name in HOOKS
        }
        app = type("Layer", (Middleware,), named)(app)
    await serve(app)
    assert calls == [
        *("before a", "before b", "before c", "app"),
        *("head c", "head b", "head a"),
        *("done c", "done b", "done a"),
    ]


async def test_an_answer_from_between_goes_through_the_outer_layers_and_its_own(calls):
    app = calls.app()
    for layer in "cba":
        named = {name: calls.hook(f"{name} {layer}") for name in HOOKS}
        if layer == "b":
            named["before"] = lambda self, connection: "answered"
        app = type("Layer", (Middleware,), named)(app)
    server = await serve(app)
    assert server.body == b"answered"
    assert calls == ["before a", "head b", "head a", "done b", "done a"]


async def test_each_layer_has_a_connection_of_its_own_and_they_share_the_state():
    seen = []

    class Layer(Middleware):
        def before(self, connection):
            seen.append(connection)
            connection.state.setdefault("layers", []).append(len(seen))
            connection.mine = len(seen)

        def head(self, connection, head):
            seen.append((connection.mine, connection.state["layers"]))

        def done(self, connection, outcome):
            seen.append((connection.mine, connection.path, connection.is_websocket))

    await serve(Layer(Layer(responds)), path="/here")
    one, two, *rest = seen
    assert one is not two
    assert rest == [(2, [1, 2]), (1, [1, 2]), (2, "/here", False), (1, "/here", False)]


async def test_one_instance_serves_exchanges_that_overlap():
    numbers = []
    both = anyio.Event()

    class Layer(Middleware):
        async def before(self, connection):
            connection.number = connection.query["n"]

        def head(self, connection, head):
            head.headers["n"] = connection.number

        def done(self, connection, outcome):
            numbers.append(connection.number)

    async def app(scope, receive, send):
        if scope["query_string"] == b"n=2":
            both.set()
        await both.wait()
        await responds(scope, receive, send)

    layer = Layer(app)
    servers = [FakeServer(path=f"/?n={number}") for number in (1, 2)]
    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(serve, layer, server)
    assert [server.headers["n"] for server in servers] == ["1", "2"]
    assert sorted(numbers) == ["1", "2"]


# Answers in place of the app


def answering(answer, calls=None, *, is_async=False):
    class Layer(Middleware):
        def before(self, connection):
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) and not isinstance(answer, Response) else answer

    class Noted(Layer):
        def head(self, connection, head):
            calls.append(f"head {head.status}")

        def done(self, connection, outcome):
            calls.append(f"done {outcome.status} {outcome.bytes_sent}")

    class Waiting(Layer):
        async def before(self, connection):
            await anyio.lowlevel.checkpoint()
            return super().before(connection)

    above = Layer if calls is None else Noted
    return type("Answering", (Waiting, above), {}) if is_async else above


async def asgi_app(scope, receive, send):
    await sends({**HEAD, "status": 418}, body(b"app"))(scope, receive, send)


def rows():
    yield {"n": 1}
    yield {"n": 2}


ANSWERS = {
    "str": (lambda: "text", 200, "text/plain; charset=utf-8", b"text"),
    "empty str": (lambda: "", 200, "text/plain; charset=utf-8", b""),
    "dict": (lambda: {"a": 1}, 200, "application/json", b'{"a":1}'),
    "empty list": (lambda: [], 200, "application/json", b"[]"),
    "false": (lambda: False, 200, "application/json", b"false"),
    "zero": (lambda: 0, 200, "application/json", b"0"),
    "bytes": (lambda: b"raw", 200, "application/octet-stream", b"raw"),
    "Response": (lambda: Response("no", 402, media_type="a/b"), 402, "a/b", b"no"),
    "Starlette's": (lambda: StarletteJSON({"b": 2}, 403), 403, "application/json", b'{"b":2}'),
    "app": (lambda: asgi_app, 418, None, b"app"),
    "stream": (lambda: StreamingResponse(chunks()), 200, None, b"onetwo"),
    "async generator": (chunks, 200, "application/octet-stream", b"onetwo"),
    "generator": (rows, 200, "application/x-ndjson", b'{"n":1}\n{"n":2}\n'),
    "HTTPError": (
        HTTPError(401, "who are you?"),
        401,
        "application/problem+json",
        b'{"type":"about:blank","title":"Unauthorized","status":401,"detail":"who are you?"}',
    ),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("is_noted", [False, True])
async def test_whatever_a_handler_may_return_is_sent_in_place_of_the_app(
    calls, answer, is_async, is_noted
):
    value, status, media_type, content = answer
    layer = answering(value, calls if is_noted else None, is_async=is_async)
    server = await serve(layer(calls.app()))
    assert (server.status, server.headers.get("content-type")) == (status, media_type)
    assert server.body == content
    assert not server.messages[-1].get("more_body", False)
    noted = [f"head {status}", f"done {status} {len(content)}"]
    assert calls == (noted if is_noted else [])


async def test_the_headers_of_an_http_error_are_sent():
    layer = answering(HTTPError(401, headers={"www-authenticate": "Basic"}))
    server = await serve(layer(responds))
    assert server.headers["www-authenticate"] == "Basic"


async def test_an_answer_to_head_has_no_body():
    server = await serve(answering("text")(responds), method="HEAD")
    assert (server.status, server.headers["content-length"], server.body) == (200, "4", b"")


async def test_a_stream_in_place_of_the_app_ends_when_its_client_leaves(calls):
    is_closed = []

    async def endless():
        try:
            while True:
                yield b"x"
                await anyio.lowlevel.checkpoint()
        finally:
            is_closed.append(True)

    server = FakeServer()
    async with anyio.create_task_group() as group:
        group.start_soon(serve, answering(endless, calls)(responds), server)
        await server.body_has(3)
        server.leave()
    assert is_closed == [True]
    assert len(calls) == 2


async def test_what_else_before_raises_is_raised_and_only_the_outer_layer_hears_of_it(calls):
    error = LookupError("broken")
    outcomes = []

    class Outer(Middleware):
        def done(self, connection, outcome):
            outcomes.append(outcome)

    layer = Outer(answering(error, calls)(calls.app()))
    with pytest.raises(LookupError, match="broken"):
        await serve(layer)
    assert calls == []
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [(None, error)]


# Errors in head and done


def failing(name, error, *, is_async=False):
    def fail(self, connection, _=None):
        raise error

    async def fail_async(self, connection, _=None):
        await anyio.lowlevel.checkpoint()
        raise error

    return type("Failing", (Middleware,), {name: fail_async if is_async else fail})


@pytest.mark.parametrize("is_observed", [False, True])
async def test_what_head_raises_is_raised_in_the_app_and_nothing_is_sent(is_observed, is_async):
    seen = []

    async def app(scope, receive, send):
        try:
            await send(HEAD)
        except LookupError as error:
            seen.append(error)

    layer = failing("head", LookupError("broken"), is_async=is_async)
    if is_observed:
        layer = type("Observed", (layer,), {"done": lambda *_: None})
    server = await serve(layer(app))
    assert [str(error) for error in seen] == ["broken"]
    assert server.messages == []


@pytest.mark.parametrize("is_observed", [False, True])
async def test_an_oserror_of_head_is_not_taken_for_a_client_that_left(is_observed, is_async):
    lost = ConnectionError("the session store is away")
    layer = failing("head", lost, is_async=is_async)
    if is_observed:
        layer = type("Failing", (layer,), {"done": lambda *_: None})
    with pytest.raises(RuntimeError, match=r"Failing\.head has failed") as caught:
        await serve(layer(Response("hello")))
    assert caught.value.__cause__ is lost


@pytest.mark.parametrize("is_observed", [False, True])
async def test_the_head_that_is_sent_after_a_failure_is_shown_as_well_and_no_further_one(
    calls, is_observed
):
    class Layer(Middleware):
        def head(self, connection, head):
            calls.append(str(head.status))
            if head.status == 200:
                raise LookupError
            head.headers["x-layer"] = "1"

    async def app(scope, receive, send):
        with pytest.raises(LookupError):
            await send(HEAD)
        for status in (500, 501):
            await send({**HEAD, "status": status})

    layer = type("Observed", (Layer,), {"done": lambda *_: None}) if is_observed else Layer
    server = await serve(layer(app))
    assert calls == ["200", "500"]
    assert server.headers == {"a": "1", "x-layer": "1"}
    assert server.messages[1] == {**HEAD, "status": 501}


@pytest.mark.parametrize("name", ["before", "head"])
@pytest.mark.parametrize("path", ["/", "/stream"])
async def test_an_http_error_of_before_or_head_is_the_answer_of_an_app_of_asgi_rt(name, path):
    app = MAKERS["asgi_rt"]()
    app.add_middleware(failing(name, HTTPError(409, "not now")))
    async with AsyncTestClient(app) as client:
        response = await client.get(path)
    assert (response.status_code, response.json()["detail"]) == (409, "not now")


@pytest.mark.parametrize("error", [HTTPError(409), LookupError("broken")])
async def test_what_done_raises_after_a_response_is_raised_and_the_response_whole(error, is_async):
    server = FakeServer()
    with pytest.raises(type(error)) as caught:
        await serve(failing("done", error, is_async=is_async)(responds), server)
    assert caught.value is error
    assert server.is_complete


async def test_what_done_raises_takes_the_place_of_what_the_app_has_raised(is_async):
    crash, error = KeyError("crashed"), LookupError("broken")
    layer = failing("done", error, is_async=is_async)
    with pytest.raises(LookupError) as caught:
        await serve(layer(sends(then=crash)))
    assert caught.value is error
    assert caught.value.__context__ is crash


async def test_an_app_of_asgi_rt_that_crashes_is_answered_by_an_http_error_of_done():
    app = MAKERS["asgi_rt"]()
    app.add_middleware(failing("done", HTTPError(503)))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/crash")).status_code == 503


# The end


class Exit(BaseException):
    """What no `except Exception` sees."""


async def forever(scope, receive, send):
    await anyio.sleep_forever()


async def streams_forever(scope, receive, send):
    await send(HEAD)
    await send(body(b"first", more=True))
    await anyio.sleep_forever()


async def swallows_its_cancellation(scope, receive, send):
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        return


def done_layer(calls, is_async):
    class Layer(Middleware):
        def done(self, connection, outcome):
            calls.append("done")

    class Waiting(Middleware):
        async def done(self, connection, outcome):
            for _ in range(3):  # where a cancellation would be met
                await anyio.lowlevel.checkpoint()
            calls.append("done")

    return Waiting if is_async else Layer


ENDINGS = {
    "whole": (responds, None),
    "stream": (sends(HEAD, body(b"a", more=True), body(b"b", more=True), body()), None),
    "no body": (sends(HEAD, body()), None),
    "nothing": (sends(), None),
    "truncated": (sends(HEAD, body(b"a", more=True)), None),
    "crash": (sends(then=LookupError()), LookupError),
    "crash after the head": (sends(HEAD, then=LookupError()), LookupError),
    "crash after the end": (sends(HEAD, body(), then=LookupError()), LookupError),
    "exit": (sends(HEAD, then=Exit()), Exit),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("layers", [1, 3])
async def test_done_is_called_once_however_the_app_ends(calls, ending, layers, is_async):
    app, error = ending
    for _ in range(layers):
        app = done_layer(calls, is_async)(app)
    if error is None:
        await serve(app)
    else:
        with pytest.raises(error):
            await serve(app)
    assert calls == ["done"] * layers


@pytest.mark.parametrize("app", [forever, streams_forever, swallows_its_cancellation])
@pytest.mark.parametrize("layers", [1, 3])
async def test_done_runs_to_its_end_when_the_exchange_is_cancelled(calls, app, layers, is_async):
    for _ in range(layers):
        app = done_layer(calls, is_async)(app)
    async with anyio.create_task_group() as group:
        group.start_soon(serve, app)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert calls == ["done"] * layers


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_done_runs_to_its_end_when_a_server_cancels_the_task(calls, is_async):
    """As uvicorn does when its grace is over: without a scope of anyio's."""
    task = asyncio.create_task(serve(done_layer(calls, is_async)(forever)))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert calls == ["done"]


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("when", ["before the head", "after it"])
async def test_done_is_called_once_when_the_client_leaves(calls, spec_version, when, is_async):
    server = FakeServer(spec_version=spec_version)

    async def app(scope, receive, send):
        if when == "before the head":
            server.leave()
        await send(HEAD)
        server.leave()
        await send(body(b"x", more=True))
        await send(body())

    try:
        await serve(done_layer(calls, is_async)(app), server)
    except OSError:
        assert spec_version == "2.4"
    assert calls == ["done"]


async def test_done_is_not_called_where_before_was_cancelled(calls):
    class Layer(done_layer(calls, False)):
        async def before(self, connection):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(serve, Layer(responds))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert calls == []


@pytest.mark.parametrize("ends", ["itself", "crashed", "cancelled"])
async def test_a_done_that_never_ends_is_cancelled_and_logged(monkeypatch, caplog, ends):
    monkeypatch.setattr(hooks, "_DONE_SECONDS", 0.01)
    is_cleaned_up = []

    class Endless(Middleware):
        async def done(self, connection, outcome):
            try:
                await anyio.sleep_forever()
            finally:
                is_cleaned_up.append(True)

    app = {"itself": responds, "crashed": sends(then=LookupError()), "cancelled": forever}[ends]

    async def run():
        if ends == "crashed":
            with pytest.raises(LookupError):
                await serve(Endless(app))
        else:
            await serve(Endless(app))

    with caplog.at_level(logging.WARNING, "asgi_rt.middleware"), anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            if ends == "cancelled":
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
    assert is_cleaned_up == [True]
    assert "Endless.done took 0.01 seconds and was cancelled" in caplog.text


async def test_a_crash_leaves_no_cycle_that_keeps_the_connection_alive(is_async):
    connections = []

    class Layer(Middleware):
        def before(self, connection):
            connections.append(weakref.ref(connection))

        def done(self, connection, outcome):
            assert isinstance(outcome.error, LookupError)

    async def app(scope, receive, send):
        await send(HEAD)
        raise LookupError

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(LookupError):
            await serve(Layer(app))
        assert connections[0]() is None
    finally:
        gc.enable()


# Where it runs


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


async def test_context_variables_flow_both_ways(calls):
    class Layer(Middleware):
        def before(self, connection):
            variable.set("before")

        def head(self, connection, head):
            calls.append(variable.get())

        def done(self, connection, outcome):
            calls.append(variable.get())

    async def app(scope, receive, send):
        calls.append(variable.get())
        variable.set("app")
        await send(HEAD)
        variable.set("end")
        await send(body())

    await serve(Layer(Layer(app)))
    assert calls == ["before", "app", "app", "end", "end"]
    assert variable.get() == "end"


async def test_an_app_may_send_from_child_tasks(calls, is_async):
    async def app(scope, receive, send):
        for message in (HEAD, body(b"hel", more=True), body(b"lo")):
            async with anyio.create_task_group() as group:
                group.start_soon(send, message)

    layer = on_class(calls, HOOKS, is_async)
    server = await serve(layer(layer(app)))
    assert server.messages == [HEAD, body(b"hel", more=True), body(b"lo")]
    assert calls == ["before", "before", "head", "head", "done", "done"]


class Whole(Middleware):
    """All of it, with options."""

    def __init__(self, app: ASGIApp, *, who: str, seen: list[object]) -> None:
        super().__init__(app)
        self.who = who
        self.seen = seen

    def before(self, connection):
        connection.state["who"] = self.who
        if connection.path == "/denied":
            raise HTTPError(403, "not you")
        return "early" if connection.path == "/early" else None

    async def head(self, connection, head):
        head.headers["x-who"] = self.who

    async def done(self, connection, outcome):
        await anyio.lowlevel.checkpoint()
        self.seen.append((outcome.status, outcome.bytes_sent, outcome.disconnected))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 200, "hello you"),
        ("/stream", 200, "onetwo"),
        ("/early", 200, "early"),
        ("/denied", 403, None),
        ("/nowhere", 404, None),
    ],
)
async def test_add_middleware_takes_it_in_every_framework(make, path, status, text):
    app, seen = make(), []
    app.add_middleware(Whole, who="you", seen=seen)
    async with AsyncTestClient(app) as client:
        response = await client.get(path)
    assert response.status_code == status
    assert response.headers["x-who"] == "you"
    assert text is None or response.text == text
    assert seen == [(status, len(response.content), False)]


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_a_crash_is_told_in_every_framework(make):
    app, seen = make(), []
    app.add_middleware(Whole, who="you", seen=seen)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        assert (await client.get("/crash")).status_code == 500
    assert seen == [(None, 0, False)]


def test_options_that_it_does_not_take_are_refused_when_the_stack_is_built():
    with pytest.raises(TypeError, match="whom"):
        Whole(responds, whom="you")


async def test_a_layer_goes_around_a_mounted_app(calls):
    app = App()
    app.mount("/below", on_class(calls, HOOKS, False)(MAKERS["asgi_rt"]()))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/below/stream")).text == "onetwo"
    assert calls == list(HOOKS)
