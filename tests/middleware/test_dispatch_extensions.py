"""`dispatch(request, call_next)`: trailers, and files that the server is to send."""

import anyio
import pytest
from fakes import FakeServer
from middleware.dispatching import HEAD, chunk, exchange

from asgi_rt import BackgroundTask, Response
from asgi_rt.middleware.dispatch import DispatchMiddleware

TRAILED = {**HEAD, "trailers": True}
SPECS = pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
LAYERS = pytest.mark.parametrize("layers", [1, 3])


def trailers(value, *, more=False):
    fields = [(b"x-sum", value)]
    return {"type": "http.response.trailers", "headers": fields, "more_trailers": more}


def zero_copy(count, *, more):
    return {
        "type": "http.response.zerocopysend",
        "file": 5,
        "offset": 0,
        "count": count,
        "more_body": more,
    }


NO_TRAILERS = {"type": "http.response.trailers", "headers": [], "more_trailers": False}


async def same(chunks):
    async for piece in chunks:
        yield piece


async def call(request, call_next):
    return await call_next(request)


async def wrap(request, call_next):
    response = await call_next(request)
    response.body_iterator = same(response.body_iterator)
    return response


async def read_and_put_back(request, call_next):
    response = await call_next(request)
    pieces = [piece async for piece in response.body_iterator]
    response.body_iterator = each(pieces)
    return response


async def each(pieces):
    for piece in pieces:
        yield piece


def app_of(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


async def through(dispatch, app, *, layers=1, **scope):
    for _ in range(layers - 1):
        app = DispatchMiddleware(app, dispatch=dispatch)
    return await exchange(dispatch, app, **scope)


# Trailers


@pytest.mark.parametrize("dispatch", [call, wrap, read_and_put_back])
@LAYERS
@SPECS
async def test_trailers_follow_the_body(dispatch, layers, spec_version):
    sent = [trailers(b"1", more=True), trailers(b"2")]
    app = app_of(TRAILED, chunk(b"x"), chunk(b"y", more=False), *sent)
    server = await through(dispatch, app, layers=layers, spec_version=spec_version)
    assert server.messages[0] == TRAILED
    assert b"".join(each.get("body", b"") for each in server.messages) == b"xy"
    ends = [each for each in server.messages if each.get("more_body") is False]
    assert len(ends) == 1
    assert server.messages[-2:] == sent


@pytest.mark.parametrize("dispatch", [call, wrap])
async def test_an_app_that_watches_for_its_client_gets_to_its_trailers(dispatch):
    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        await send(TRAILED)
        await send(chunk(b"x", more=False))
        async with anyio.create_task_group() as group:
            group.start_soon(watch, receive, group.cancel_scope)
            await anyio.wait_all_tasks_blocked()
            await send(trailers(b"1"))
            group.cancel_scope.cancel()

    async def watch(receive, scope):
        await receive()
        scope.cancel()

    server = await exchange(dispatch, app)
    assert server.messages[-1] == trailers(b"1")


@pytest.mark.parametrize("is_told", [False, True])
async def test_a_body_that_dispatch_ends_early_has_its_trailers_ended_too(is_told):
    """A server waits for trailers that were announced. The app sends its own, or none."""

    async def first(chunks):
        async for piece in chunks:
            yield piece
            break

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = first(response.body_iterator)
        return response

    own = [trailers(b"1")] if is_told else []
    server = await exchange(dispatch, app_of(TRAILED, chunk(b"x"), chunk(b"y"), *own))
    assert server.body == b"x"
    assert server.messages[-1] == (own[0] if is_told else NO_TRAILERS)
    assert server.messages[-2]["more_body"] is False


@pytest.mark.parametrize("dispatch", [call, wrap])
async def test_trailers_that_the_app_fails_to_send_are_not_made_up(dispatch):
    async def app(scope, receive, send):
        await send(TRAILED)
        await send(chunk(b"x", more=False))
        raise ValueError("app")

    server = FakeServer()
    with pytest.raises(ValueError, match="app"):
        await exchange(dispatch, app, server=server)
    assert server.messages[-1]["type"] == "http.response.body"


async def test_trailers_of_a_response_that_was_replaced_are_dropped():
    async def dispatch(request, call_next):
        await call_next(request)
        return Response("other")

    app = app_of(TRAILED, chunk(b"x", more=False), trailers(b"1"))
    server = await exchange(dispatch, app)
    assert [each["type"] for each in server.messages] == [
        "http.response.start",
        "http.response.body",
    ]


@pytest.mark.parametrize("dispatch", [call, wrap])
async def test_trailers_that_were_not_announced_are_for_the_server_or_nobody(dispatch):
    app = app_of(HEAD, chunk(b"x", more=False), trailers(b"1"))
    server = await exchange(dispatch, app)
    assert (server.messages[-1] == trailers(b"1")) is (dispatch is call)


@pytest.mark.parametrize("dispatch", [call, wrap])
async def test_background_runs_after_the_trailers(dispatch):
    told = []

    async def noting(request, call_next):
        response = await dispatch(request, call_next)
        response.background = BackgroundTask(note)
        return response

    async def note(completed):
        told.append((completed, server.messages[-1]))

    server = FakeServer()
    app = app_of(TRAILED, chunk(b"x"), chunk(b"y", more=False), trailers(b"1"))
    await exchange(noting, app, server=server)
    assert told == [(True, trailers(b"1"))]


# Files by their descriptor


@pytest.mark.parametrize("dispatch", [call, wrap])
@LAYERS
@SPECS
async def test_files_go_by_their_descriptors(dispatch, layers, spec_version):
    files = [zero_copy(1, more=True), zero_copy(2, more=False)]
    app = app_of(HEAD, *files)
    server = await through(dispatch, app, layers=layers, spec_version=spec_version)
    assert server.messages == [HEAD, *files]


@pytest.mark.parametrize("dispatch", [call, wrap])
async def test_a_file_stands_between_pieces_of_bytes(dispatch):
    body = [chunk(b"a"), zero_copy(1, more=True), chunk(b"b"), chunk(b"", more=False)]
    assert (await exchange(dispatch, app_of(HEAD, *body))).messages == [HEAD, *body]


async def test_a_file_that_is_not_the_last_is_no_end():
    """Of the body of a response whose app then ends."""

    async def one(chunks):
        async for piece in chunks:
            yield piece
            break

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.body_iterator = one(response.body_iterator)
        return response

    app = app_of(HEAD, zero_copy(1, more=True), zero_copy(2, more=False))
    server = await exchange(dispatch, app)
    assert server.messages[1:] == [zero_copy(1, more=True), chunk(b"", more=False)]


async def test_a_file_is_held_open_until_the_server_has_it():
    closed = []

    async def app(scope, receive, send):
        await send(HEAD)
        await send(zero_copy(1, more=False))
        closed.append(True)

    class Closing(FakeServer):
        async def send(self, message):
            await super().send(message)
            assert not closed

    server = Closing()
    await exchange(wrap, app, server=server)
    assert closed == [True]


@pytest.mark.parametrize("dispatch", [call, wrap])
async def test_background_learns_that_the_last_file_was_handed_to_the_server(dispatch):
    told = []

    async def noting(request, call_next):
        response = await dispatch(request, call_next)
        response.background = BackgroundTask(note)
        return response

    async def note(completed):
        told.append(completed)

    await exchange(noting, app_of(HEAD, zero_copy(1, more=False)))
    assert told == [True]
