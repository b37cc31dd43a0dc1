"""The handshake, what a handler can ask a connection for, and how connections end."""

import asyncio
import json

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import App, HTTPError, Response, StreamingResponse, WebSocketClosed
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.errors import LifecycleError
from asgi_rt.http.pull import on_asyncio
from websocket.fake_server import KINDS, FakeServer, connection

WITHIN = 3.0
"""Seconds after which a wait that ought to end has failed."""

kinds = pytest.mark.parametrize("kind", KINDS)


# The handshake


async def test_a_handler_sees_the_request():
    async def handler(ws):
        seen.update(
            path=ws.path,
            query=ws.query["a"],
            header=ws.headers["x-a"],
            cookie=ws.cookies["b"],
            client=tuple(ws.client),
            url=str(ws.url),
            state=ws.state["kept"],
            drain=ws.drain,
            is_open=ws.is_open,
            closed=ws.closed,
            app=ws.app,
        )

    seen = {}
    headers = [(b"host", b"localhost"), (b"x-a", b"1"), (b"cookie", b"b=2")]
    scope = {"path": "/?a=3", "headers": headers, "state": {"kept": 4}}
    async with connection(handler, server=scope):
        pass
    assert isinstance(seen.pop("app"), App)
    assert seen == {
        "path": "/",
        "query": "3",
        "header": "1",
        "cookie": "2",
        "client": ("127.0.0.1", 50000),
        "url": "ws://localhost/?a=3",
        "state": 4,
        "drain": None,
        "is_open": False,
        "closed": None,
    }


async def test_a_handler_sees_the_parameters_of_its_path():
    app = App()
    seen = []

    @app.websocket("/rooms/{room}/{number:int}")
    async def handler(ws):
        seen.append(ws.path_params)

    await FakeServer(path="/rooms/blue/7").run(app)
    assert seen == [{"room": "blue", "number": 7}]


@pytest.mark.parametrize(
    ("offered", "spoken", "asked_for", "agreed"),
    [
        ([], [], None, None),
        (["a"], [], None, None),
        (["a", "b"], ["b", "a"], None, "b"),
        (["a"], ["b"], None, None),
        (["a", "b"], [], "a", "a"),
        (["a", "b"], ["b"], "a", "a"),
    ],
)
async def test_a_subprotocol_is_agreed_on(offered, spoken, asked_for, agreed):
    async def handler(ws):
        assert ws.offered_subprotocols == offered
        await ws.accept(asked_for)
        assert ws.subprotocol == agreed

    scope = {"subprotocols": offered}
    async with connection(handler, server=scope, subprotocols=spoken) as server:
        pass
    assert server.messages[0]["subprotocol"] == agreed


async def test_a_subprotocol_that_was_not_offered_cannot_be_agreed_on():
    async def handler(ws):
        with pytest.raises(ValueError, match="not offered"):
            await ws.accept("b")
        await ws.accept()
        assert ws.subprotocol is None

    async with connection(handler, server={"subprotocols": ["a"]}):
        pass


async def test_headers_are_sent_with_the_handshake():
    async def handler(ws):
        await ws.accept(headers={"X-A": "1"})

    async with connection(handler) as server:
        pass
    assert server.messages[0]["headers"] == [(b"x-a", b"1")]


@kinds
async def test_a_call_before_the_handshake_is_answered_is_out_of_turn(kind):
    async def handler(ws):
        for call in (
            ws.receive,
            ws.receive_json,
            lambda: ws.send_text("a"),
            ws.iter_text().__anext__,
        ):
            with pytest.raises(LifecycleError):
                await call()
        with pytest.raises(LifecycleError):
            async with ws.session():
                pass
        await ws.accept()
        for call in (ws.accept, ws.deny):
            with pytest.raises(LifecycleError):
                await call()
        assert ws.is_open

    async with connection(handler, kind):
        pass


@kinds
async def test_a_call_after_the_end_raises_how_it_ended(kind):
    async def handler(ws):
        await ws.accept()
        await ws.close(4000, "bye")
        calls = [ws.receive, ws.receive_text, ws.accept, ws.deny]
        for call in [*calls, lambda: ws.send_text("a"), lambda: ws.send_json(1)]:
            with pytest.raises(WebSocketClosed) as closed:
                await call()
            assert (closed.value.code, closed.value.reason, closed.value.by) == facts
        await ws.close(4001)
        closed = await ws.wait_closed()
        assert (closed.code, closed.reason, closed.by) == facts
        assert [each async for each in ws] == []
        assert not ws.is_open

    facts = (4000, "bye", "server")
    async with connection(handler, kind) as server:
        pass
    assert server.close == (4000, "bye")


@kinds
@pytest.mark.parametrize("how", ["handler", "cancelled before"])
async def test_a_wait_for_the_end_returns_it(kind, how):
    async def handler(ws):
        await ws.accept()
        if how == "cancelled before":
            with anyio.move_on_after(0):
                await ws.wait_closed()
        server.leave(4000, "bye")
        with anyio.fail_after(WITHIN):
            closed = await ws.wait_closed()
        assert (closed.code, closed.reason, closed.by) == (4000, "bye", "client")

    async with connection(handler, kind) as server:
        pass


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_a_code_that_may_not_be_sent_is_refused_and_closes_nothing(code):
    async def handler(ws):
        await ws.accept()
        with pytest.raises(ValueError, match=str(code)):
            await ws.close(code)
        assert ws.is_open

    async with connection(handler):
        pass


@kinds
async def test_a_reason_is_cut_where_it_does_not_fit(kind):
    async def handler(ws):
        await ws.accept()
        await ws.close(4000, "ü" * 100)

    async with connection(handler, kind) as server:
        pass
    assert server.close == (4000, "ü" * 61)


@kinds
async def test_a_foreign_page_is_refused_and_its_handler_not_called(kind):
    async def handler(ws):
        raise AssertionError("called")

    headers = [(b"host", b"localhost"), (b"origin", b"https://evil.example")]
    async with connection(handler, kind, server={"headers": headers}) as server:
        pass
    assert server.status == 403


@kinds
async def test_a_client_that_leaves_before_the_handshake_is_answered_ends_the_handler(kind):
    async def handler(ws):
        server.lose()
        await ws.accept()
        raise AssertionError("went on")

    async with connection(handler, kind) as server:
        pass
    assert server.messages == []


# Endings


async def returns(ws):
    pass


async def crashes(ws):
    raise ValueError("secret")


async def fails_in_a_group(ws):
    async with anyio.create_task_group() as group:
        group.start_soon(crashes, ws)


async def fails_twice_in_a_group(ws):
    async with anyio.create_task_group() as group:
        group.start_soon(crashes, ws)
        group.start_soon(crashes, ws)


async def raises_http_error_in_a_group(ws):
    raise ExceptionGroup("", [ExceptionGroup("", [HTTPError(404, "no such room")])])


async def raises_a_closing(ws):
    raise WebSocketClosed(4321, "enough", by="server")


async def raises_a_closing_that_cannot_be(ws):
    raise WebSocketClosed(1006, by="network")


async def raises_closings_in_a_group(ws):
    closed = WebSocketClosed(4321, "enough", by="server")
    raise ExceptionGroup("", [closed, WebSocketClosed(4322, by="server")])


def raises(status):
    async def raise_http_error(ws):
        raise HTTPError(status, "why")

    return raise_http_error


INTERNAL = (1011, "internal error")
ENDINGS = [
    (returns, (1000, ""), None, 403),
    (crashes, INTERNAL, ValueError, 500),
    (fails_in_a_group, INTERNAL, (ValueError, ExceptionGroup), 500),
    (fails_twice_in_a_group, INTERNAL, ExceptionGroup, 500),
    (raises_http_error_in_a_group, (1008, "no such room"), None, 404),
    (raises(401), (1008, "why"), None, 401),
    (raises(413), (1009, "why"), None, 413),
    (raises(429), (1008, "why"), None, 429),
    (raises(500), (1011, "why"), None, 500),
    (raises(503), (1013, "why"), None, 503),
    (raises_a_closing, (4321, "enough"), None, 403),
    (raises_a_closing_that_cannot_be, INTERNAL, None, 403),
    (raises_closings_in_a_group, (4321, "enough"), None, 403),
]


@kinds
@pytest.mark.parametrize(("end", "close", "error", "status"), ENDINGS)
async def test_an_open_connection_ends_with_the_code_for_it(kind, end, close, error, status):
    async def handler(ws):
        await ws.accept()
        await end(ws)

    async with connection(handler, kind, crashes=True) as server:
        pass
    assert server.close == close
    assert server.error is None if error is None else isinstance(server.error, error)


@kinds
@pytest.mark.parametrize(("end", "close", "error", "status"), ENDINGS)
async def test_a_handshake_ends_with_the_status_for_it(kind, end, close, error, status):
    async with connection(end, kind, crashes=True) as server:
        pass
    assert server.status == status or (server.status, end) == (None, returns)
    assert b"secret" not in server.body
    assert server.error is None if error is None else isinstance(server.error, error)


@kinds
@pytest.mark.parametrize(("end", "close", "error", "status"), ENDINGS)
async def test_an_ending_without_the_extension_is_a_plain_refusal(kind, end, close, error, status):
    async with connection(end, kind, server={"extensions": {}}, crashes=True) as server:
        pass
    assert [each["type"] for each in server.messages] == ["websocket.close"]
    assert server.error is None if error is None else isinstance(server.error, error)


async def test_the_end_of_another_connection_is_a_crash():
    """Who sends to many must see to each."""

    async def other(ws):
        await ws.accept()
        others.append(ws)
        await ws.close(4000)

    async def handler(ws):
        await ws.accept()
        await others[0].send_text("x")

    others = []
    async with connection(other):
        pass
    async with connection(handler, crashes=True) as server:
        pass
    assert server.close == INTERNAL
    assert isinstance(server.error, WebSocketClosed)


@kinds
async def test_a_handler_that_fails_after_the_end_still_fails(kind):
    async def handler(ws):
        await ws.accept()
        await ws.close(4000)
        raise ValueError("deliberate")

    async with connection(handler, kind, crashes=True) as server:
        pass
    assert server.close == (4000, "")
    assert isinstance(server.error, ValueError)


@kinds
async def test_a_handler_that_is_cancelled_from_outside_closes(kind):
    async def handler(ws):
        await ws.accept()
        cancelled.set()
        await anyio.sleep_forever()

    cancelled = anyio.Event()
    app = App()
    app.websocket("/")(handler)
    server = kind()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, app)
        await cancelled.wait()
        group.cancel_scope.cancel()
    assert server.close == (1011, "the connection was cut off")


# Denials


async def denial(kind, *args, extensions=None, **options):
    """What the server was sent of `ws.deny(...)`."""

    async def handler(ws):
        await ws.deny(*args, **options)
        raise AssertionError("went on")

    scope = {} if extensions is None else {"extensions": extensions}
    async with connection(handler, kind, server=scope) as server:
        pass
    return server


@kinds
@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ("no", b"text/plain; charset=utf-8", b"no"),
        (b"no", b"application/octet-stream", b"no"),
        ({"a": 1}, b"application/json", b'{"a":1}'),
    ],
)
async def test_a_denial_is_an_http_response(kind, body, content_type, sent):
    server = await denial(kind, 401, body, headers={"x-a": "1"})
    assert (server.status, server.body) == (401, sent)
    headers = dict(server.messages[0]["headers"])
    assert headers[b"content-type"] == content_type
    assert headers[b"x-a"] == b"1"


@kinds
async def test_a_denial_without_a_body_is_a_problem_document(kind):
    server = await denial(kind, 404)
    assert (server.status, json.loads(server.body)["status"]) == (404, 404)


@kinds
async def test_a_denial_can_be_a_whole_response(kind):
    server = await denial(kind, 403, Response(b"gone", 410))
    assert (server.status, server.body) == (410, b"gone")


@kinds
async def test_a_denial_where_the_server_can_send_none_is_a_plain_refusal(kind):
    server = await denial(kind, 401, "no", extensions={})
    assert [each["type"] for each in server.messages] == ["websocket.close"]


@kinds
@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_a_denied_connection_is_over(kind, extensions):
    async def handler(ws):
        with pytest.raises(WebSocketClosed):
            await ws.deny(401)
        assert (ws.closed.code, ws.closed.by) == (1008, "server")
        with pytest.raises(WebSocketClosed):
            await ws.accept()
        await ws.close()

    async with connection(handler, kind, server={"extensions": extensions}) as server:
        pass
    assert len(server.messages) <= 2


@kinds
async def test_a_client_that_leaves_during_a_streamed_denial_ends_the_handler(kind):
    seen = []

    async def rows():
        yield b"a"
        server.leave()
        await anyio.lowlevel.checkpoint()
        yield b"b"

    async def handler(ws):
        try:
            await ws.deny(403, StreamingResponse(rows()))
        except Exception as error:
            seen.append(type(error))
            raise

    async with connection(handler, kind) as server:
        pass
    assert seen == [WebSocketClosed]


@kinds
async def test_a_streamed_denial_that_crashes_is_not_followed_by_a_close(kind):
    async def rows():
        yield b"a"
        await server.until(lambda: server.body)
        raise ValueError("deliberate")

    async def handler(ws):
        await ws.deny(403, StreamingResponse(rows()))

    async with connection(handler, kind, crashes=True) as server:
        pass
    assert isinstance(server.error, ValueError)


# The drain


@kinds
async def test_a_connection_that_is_accepted_during_a_drain_is_sent_away(kind):
    drain = Drain(grace=1)

    async def handler(ws):
        drain.begin()
        await ws.accept()
        with anyio.fail_after(WITHIN):
            await ws.wait_closed()

    async with connection(handler, kind, server={"state": {STATE_KEY: drain}}) as server:
        pass
    assert server.close is not None
    assert server.close[0] == 1012


@kinds
async def test_a_handshake_that_comes_during_a_drain_is_refused(kind):
    async def handler(ws):
        raise AssertionError("called")

    drain = Drain(grace=1)
    drain.begin()
    async with connection(handler, kind, server={"state": {STATE_KEY: drain}}) as server:
        pass
    assert server.status == 503
    assert dict(server.messages[0]["headers"])[b"retry-after"] == b"5"


async def waits(begun):
    begun.set()
    await anyio.sleep_forever()


async def swallows(begun):
    """Takes the first cancellation for its own, as code with a timeout of its own may."""
    begun.set()
    try:
        await anyio.sleep_forever()
    except asyncio.CancelledError:
        await anyio.lowlevel.checkpoint()


async def swallows_and_fails(begun):
    begun.set()
    try:
        await anyio.sleep_forever()
    except asyncio.CancelledError:
        raise WebSocketClosed(1006, by="network") from None


async def is_cancelled_in_a_group(begun):
    async with anyio.create_task_group() as group:
        group.start_soon(waits, begun)


@kinds
@pytest.mark.parametrize("wait", [waits, swallows, swallows_and_fails, is_cancelled_in_a_group])
async def test_a_handler_is_cut_off_when_the_grace_is_over(kind, wait):
    """Its server sees no cancellation: only an app that has returned."""
    drain, begun = Drain(grace=0.02), anyio.Event()
    if not on_asyncio():
        wait = {swallows: waits, swallows_and_fails: waits}.get(wait, wait)

    async def handler(ws):
        await ws.accept()
        await wait(begun)

    async with anyio.create_task_group() as group:
        async with connection(handler, kind, server={"state": {STATE_KEY: drain}}) as server:
            group.start_soon(drain.enforce)
            await begun.wait()
            drain.begin()
            with anyio.fail_after(WITHIN):
                await server.done()
            if on_asyncio():
                assert not any(task.cancelling() for task in asyncio.all_tasks())
        group.cancel_scope.cancel()
    assert server.error is None
    assert server.close == (1012, "the server is going down")
    assert drain.open_connections == 0
