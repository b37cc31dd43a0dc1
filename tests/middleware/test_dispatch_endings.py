"""`dispatch(request, call_next)`: responses that do not come to their end, and who is told."""

import contextlib

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from middleware.dispatching import HEAD, chunk, counting, exchange, from_child

from asgi_rt import BackgroundTask, Response, StreamingResponse
from asgi_rt.errors import DispatchError
from asgi_rt.middleware.dispatch import DispatchMiddleware

SPECS = pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
TOUCHED = pytest.mark.parametrize("is_touched", [False, True])
FILE = {"type": "http.response.pathsend", "path": "/tmp/file"}


@pytest.fixture
def patient(monkeypatch):
    """Whoever looks for a client that has left waits until it is seen, however slow all is."""
    monkeypatch.setattr("asgi_rt.middleware.replayed_body._LOOK_SECONDS", 5.0)


async def same(chunks):
    async for piece in chunks:
        yield piece


def noting(told, *, is_touched=False):
    """A dispatch function whose background notes what it is told."""

    async def dispatch(request, call_next):
        response = await call_next(request)
        if is_touched:
            response.body_iterator = same(response.body_iterator)
        response.background = BackgroundTask(note)
        return response

    async def note(completed):
        told.append(completed)

    return dispatch


# An app that cancels its own `send`


class Impatient:
    """An app that gives up a `send` of its own, or of a task of its own, and ends."""

    def __init__(self, messages, *, by_child):
        self.messages = messages
        self.by_child = by_child
        self.waiting = anyio.Event()
        """To be set by dispatch, when it waits in that `send`."""

    async def __call__(self, scope, receive, send):
        async def give_up():
            await self.waiting.wait()
            await anyio.wait_all_tasks_blocked()
            attempt.cancel()

        async def send_all():
            for message in self.messages:
                await send(message)

        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            with anyio.CancelScope() as attempt:
                if self.by_child:
                    async with anyio.create_task_group() as children:
                        children.start_soon(send_all)
                else:
                    await send_all()


@pytest.fixture(params=[False, True], ids=["itself", "child"])
def impatient(request):
    return lambda *messages: Impatient(messages, by_child=request.param)


def waiting_in(app, told):
    """A dispatch function that waits for ever when it has the head."""

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(note)
        app.waiting.set()
        await anyio.sleep_forever()

    async def note(completed):
        told.append(completed)

    return dispatch


@SPECS
async def test_a_head_that_the_app_gives_up_in_dispatch_is_an_error(impatient, spec_version):
    app, told = impatient(HEAD), []
    server = FakeServer(spec_version=spec_version)
    with pytest.raises(DispatchError, match=r"cancelled.*shield"):
        await exchange(waiting_in(app, told), app, server=server)
    assert server.messages == []
    assert told == [False]


async def test_a_body_that_the_app_gives_up_before_the_head_is_sent_is_an_error(impatient):
    app = impatient(HEAD, chunk(b"x"))

    async def dispatch(request, call_next):
        response = await call_next(request)
        async for _ in response.body_iterator:
            app.waiting.set()
            await anyio.sleep_forever()

    server = FakeServer()
    with pytest.raises(DispatchError, match="cancelled"):
        await exchange(dispatch, app, server=server)
    assert server.messages == []


async def test_a_head_that_is_given_up_by_dispatch_is_answered_by_the_layer_around(impatient):
    app = impatient(HEAD)
    inner = DispatchMiddleware(app, dispatch=waiting_in(app, []))

    async def outer(request, call_next):
        try:
            return await call_next(request)
        except DispatchError:
            return Response("gave up", 504)

    server = await exchange(outer, inner)
    assert (server.status, server.body) == (504, b"gave up")


@pytest.mark.parametrize("is_touched", [False, True])
async def test_a_head_that_is_given_up_in_the_layer_around_is_raised_once(
    impatient, is_touched, caplog
):
    app, told, inner_told = impatient(HEAD), [], []
    inner = DispatchMiddleware(app, dispatch=noting(inner_told, is_touched=is_touched))
    with pytest.raises(DispatchError, match="cancelled"):
        await exchange(waiting_in(app, told), inner)
    assert (told, inner_told) == ([False], [False])
    assert caplog.records == []


@pytest.mark.usefixtures("patient")
async def test_a_head_that_is_given_up_for_a_client_that_has_left_is_no_error(impatient):
    app, told = impatient(HEAD), []
    server = FakeServer()
    server.leave()
    await exchange(waiting_in(app, told), app, server=server)
    assert told == [False]


async def test_an_error_of_the_app_goes_before_what_it_has_given_up(impatient):
    app = impatient(HEAD)

    async def failing(scope, receive, send):
        await app(scope, receive, send)
        raise ValueError("app")

    with pytest.raises(ValueError, match="app"):
        await exchange(waiting_in(app, []), failing)


async def test_a_piece_that_the_app_gives_up_in_dispatch_breaks_the_response_off(impatient):
    app, told = impatient(HEAD, chunk(b"0"), chunk(b"1"), chunk(b"", more=False)), []

    async def stuck(chunks):
        async for piece in chunks:
            yield piece
            app.waiting.set()
            await anyio.sleep_forever()

    async def dispatch(request, call_next):
        response = await noting(told)(request, call_next)
        response.body_iterator = stuck(response.body_iterator)
        return response

    server = await exchange(dispatch, app)
    assert (server.body, server.is_complete, told) == (b"0", False, [False])


async def test_a_head_that_the_app_gives_up_on_its_way_to_the_server_is_between_the_two(impatient):
    """As without the layer: the server has it, or not."""
    app = impatient(HEAD)

    async def dispatch(request, call_next):
        response = await call_next(request)
        await anyio.lowlevel.checkpoint()
        app.waiting.set()
        return response

    server = FakeServer()
    server.freeze()
    await exchange(dispatch, app, server=server)
    assert server.messages == [HEAD]


async def test_what_the_app_sends_after_it_has_given_up_is_dropped(impatient):
    app = impatient(HEAD)

    async def going_on(scope, receive, send):
        await app(scope, receive, send)
        await send(chunk(b"x", more=False))

    server = FakeServer()
    with pytest.raises(DispatchError, match="cancelled"):
        await exchange(waiting_in(app, []), going_on, server=server)
    assert server.messages == []


# What background is told


@pytest.mark.parametrize("app", [counting, from_child])
@TOUCHED
@SPECS
async def test_background_learns_that_all_was_sent(app, is_touched, spec_version):
    told = []
    await exchange(noting(told, is_touched=is_touched), app, spec_version=spec_version)
    assert told == [True]


@TOUCHED
async def test_background_learns_that_a_file_was_handed_to_the_server(is_touched):
    async def app(scope, receive, send):
        await send(HEAD)
        await send(FILE)

    told = []
    await exchange(noting(told, is_touched=is_touched), app)
    assert told == [True]


def leaving(server, *, after):
    """A stream whose client leaves when it has so many pieces; nobody looks."""

    async def app(scope, receive, send):
        await send(HEAD)
        for number in range(3):
            if number == after:
                server.leave()
            await send(chunk(b"%d" % number))
        await send(chunk(b"", more=False))

    return app


@TOUCHED
@SPECS
@pytest.mark.usefixtures("patient")
async def test_background_learns_that_a_client_left_in_the_middle(is_touched, spec_version):
    told = []
    server = FakeServer(spec_version=spec_version)
    raises = pytest.raises(OSError, match="gone")
    with raises if spec_version == "2.4" else contextlib.nullcontext():
        app = leaving(server, after=1)
        await exchange(noting(told, is_touched=is_touched), app, server=server)
    assert (server.body, told) == (b"0", [False])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.usefixtures("patient")
async def test_background_of_each_layer_learns_that_a_client_left(layers):
    told = []
    server = FakeServer()
    app = leaving(server, after=2)
    for _ in range(layers):
        app = DispatchMiddleware(app, dispatch=noting(told))
    await app(server.scope, server.receive, server.send)
    assert told == [False] * layers


@TOUCHED
async def test_background_learns_that_the_app_has_seen_its_client_leave(is_touched):
    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:

            async def produce():
                await send(HEAD)
                await send(chunk(b"0"))
                await anyio.sleep_forever()

            group.start_soon(produce)
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

    told = []
    server = FakeServer()
    async with anyio.create_task_group() as group:
        dispatch = noting(told, is_touched=is_touched)
        group.start_soon(lambda: exchange(dispatch, app, server=server))
        await server.body_has(1)
        server.leave()
    assert told == [False]


@TOUCHED
async def test_background_learns_that_an_app_answered_a_client_that_it_saw_leave(is_touched):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(HEAD)
        await send(chunk(b"x", more=False))

    told = []
    server = FakeServer()
    server.leave()
    await exchange(noting(told, is_touched=is_touched), app, server=server)
    assert told == [False]


@TOUCHED
async def test_background_learns_that_the_app_has_not_sent_the_end(is_touched):
    async def app(scope, receive, send):
        await send(HEAD)
        await send(chunk(b"0"))

    told = []
    await exchange(noting(told, is_touched=is_touched), app)
    assert told == [False]


@pytest.mark.usefixtures("patient")
async def test_background_of_a_stream_of_dispatch_learns_that_its_client_left():
    told = []
    server = FakeServer(method="GET")

    async def dispatch(request, call_next):
        response = await call_next(request)
        return StreamingResponse(same(response.body_iterator), background=BackgroundTask(note))

    async def note(completed):
        told.append(completed)

    await exchange(dispatch, leaving(server, after=1), server=server)
    assert told == [False]


async def test_background_learns_that_all_was_sent_though_the_app_went_on():
    """Dispatch sends less than there is; the server is one that raises for the gone."""
    told = []

    async def first(chunks):
        async for piece in chunks:
            yield piece
            break

    async def dispatch(request, call_next):
        response = await noting(told)(request, call_next)
        response.body_iterator = first(response.body_iterator)
        return response

    server = await exchange(dispatch, spec_version="2.4")
    assert (server.body, server.is_complete, told) == (b"0", True, [True])


async def test_who_has_no_background_has_the_client_not_looked_for():
    class Counted(FakeServer):
        receives = 0

        async def receive(self):
            self.receives += 1
            return await super().receive()

    async def dispatch(request, call_next):
        return await call_next(request)

    server = Counted()
    await exchange(dispatch, server=server)
    assert (server.is_complete, server.receives) == (True, 0)


@TOUCHED
async def test_looking_for_the_client_does_not_take_what_the_app_waits_for(is_touched):
    received = []

    async def app(scope, receive, send):
        await receive()
        async with anyio.create_task_group() as group:

            async def watch():
                received.append(await receive())

            group.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await counting(scope, receive, send)
            assert server.waiting == 1
            server.leave()

    class Waiting(FakeServer):
        waiting = most = 0

        async def receive(self):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            try:
                return await super().receive()
            finally:
                self.waiting -= 1

    told = []
    server = Waiting()
    await exchange(noting(told, is_touched=is_touched), app, server=server)
    assert received == [{"type": "http.disconnect"}]
    assert (server.most, told) == (1, [True])


@TOUCHED
async def test_background_learns_that_the_app_has_failed_in_the_middle(is_touched):
    async def app(scope, receive, send):
        await send(HEAD)
        await send(chunk(b"0"))
        raise ValueError("late")

    told = []
    with pytest.raises(ValueError, match="late"):
        await exchange(noting(told, is_touched=is_touched), app)
    assert told == [False]


async def test_background_learns_that_what_was_made_of_the_body_has_failed():
    told = []

    async def broken(chunks):
        async for piece in chunks:
            yield piece
            raise KeyError("transform")

    async def dispatch(request, call_next):
        response = await noting(told)(request, call_next)
        response.body_iterator = broken(response.body_iterator)
        return response

    with pytest.raises(KeyError, match="transform"):
        await exchange(dispatch)
    assert told == [False]


async def test_background_of_a_dispatch_that_has_failed_does_not_run():
    told = []

    async def dispatch(request, call_next):
        await noting(told)(request, call_next)
        raise KeyError("dispatch")

    with pytest.raises(KeyError, match="dispatch"):
        await exchange(dispatch)
    assert told == []


async def test_background_that_is_set_when_dispatch_has_returned_runs_and_is_promised_nothing():
    given, told = [], []

    async def app(scope, receive, send):
        await send(HEAD)
        given[0].background = BackgroundTask(note)
        await send(chunk(b"x", more=False))

    async def dispatch(request, call_next):
        given.append(await call_next(request))
        return given[0]

    async def note(completed):
        told.append(completed)

    await exchange(dispatch, app)
    assert told == [False]


@TOUCHED
async def test_a_last_message_whose_send_is_cancelled_was_handed_to_the_server(is_touched):
    """As it is by those who wait for the end of the response."""

    class Waiting(FakeServer):
        async def send(self, message):
            await super().send(message)
            if message.get("more_body") is False:
                scopes[0].cancel()
                await anyio.lowlevel.checkpoint()

    async def app(scope, receive, send):
        with anyio.CancelScope() as attempt:
            scopes.append(attempt)
            await counting(scope, receive, send)

    scopes, told = [], []
    await exchange(noting(told, is_touched=is_touched), app, server=Waiting())
    assert told == [True]
