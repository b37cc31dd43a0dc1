"""What docs/websocket.md says is so: its tables, and what its examples do."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_rt import App, HTTPError, WebSocketClosed
from asgi_rt.drain import STATE_KEY
from asgi_rt.testing import AsyncTestClient, WebSocketDenied
from asgi_rt.websocket import OriginRule, WebSocketOptions
from asgi_rt.websocket.guard import Guard, Limits

DOCUMENT = (Path(__file__).parent.parent / "docs" / "websocket.md").read_text()
_SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(_SECTION.findall(DOCUMENT))


def examples(section: str) -> list[dict[str, Any]]:
    """What each Python block of a section defines."""
    found = []
    for language, code in _BLOCK.findall(SECTIONS[section]):
        if language == "python":
            namespace: dict[str, Any] = {"__name__": "document"}
            exec(compile(code, section, "exec"), namespace)
            found.append(namespace)
    return found


def rows(section: str, head: str) -> list[list[str]]:
    """The rows of the table of a section that begins with `head`, cell by cell."""
    table = SECTIONS[section].partition(head)[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()[2:]
        if line.startswith("|")
    ]


def client_of(app: App) -> AsyncTestClient:
    return AsyncTestClient(app, raise_server_exceptions=False)


def test_the_contents_name_every_section():
    contents = re.findall(r"^- \[(.+?)\]\(#(.+?)\)", DOCUMENT, re.MULTILINE)
    assert [title for title, _ in contents] == list(SECTIONS)
    for title, anchor in [*contents, *re.findall(r"\[([\w ]+)\]\(#(.+?)\)", DOCUMENT)]:
        assert anchor in {each.lower().replace(" ", "-") for each in SECTIONS}, title


# A first connection


async def test_the_first_example_welcomes_and_echoes():
    (example,) = examples("A first connection")
    async with client_of(example["app"]) as client, client.websocket_connect("/echo/ada") as ws:
        await ws.send_text("hello")
        assert [await ws.receive(), await ws.receive()] == ["welcome, ada", "hello"]


# The handshake


@pytest.mark.parametrize(
    ("cookies", "subprotocols", "status", "said"),
    [
        ({}, ["chat.v1"], 401, "log in first"),
        ({"session": "secret"}, [], 400, '"speaks"'),
    ],
)
async def test_the_handshake_of_the_example_is_refused(cookies, subprotocols, status, said):
    (example,) = examples("The handshake")
    async with AsyncTestClient(example["app"], cookies=cookies) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/private", subprotocols=subprotocols):
                pass
    assert denied.value.response.status_code == status
    assert said in denied.value.response.text


async def test_the_handshake_of_the_example_agrees_on_the_first_that_is_offered():
    (example,) = examples("The handshake")
    async with (
        AsyncTestClient(example["app"], cookies={"session": "secret"}) as client,
        client.websocket_connect("/private", subprotocols=["chat.v1", "chat.v2"]) as ws,
    ):
        assert ws.headers["x-user"] == "ada"
        assert await ws.receive_text() == "this is chat.v2"


# How connections end


async def return_(ws):
    pass


async def close(ws):
    await ws.close(4321, "bye")


def failing(error):
    async def fail(ws):
        raise error

    return fail


async def read_text(ws):
    await ws.receive_text()


async def read_json(ws):
    await ws.receive_json()


async def wait(ws):
    await ws.wait_closed()


ENDINGS = {
    "the handler returns": (return_, {}, [], (1000, "")),
    "`ws.close(code, reason)`": (close, {}, [], (4321, "bye")),
    "the handler raises, or a task of its session": (
        failing(ZeroDivisionError("a deliberate crash")),
        {},
        [],
        (1011, "internal error"),
    ),
    "it raises `HTTPError` with a 4xx": (failing(HTTPError(403, "no")), {}, [], (1008, "no")),
    "with 413": (failing(HTTPError(413)), {}, [], (1009, "Content Too Large")),
    "with 503": (failing(HTTPError(503, "full")), {}, [], (1013, "full")),
    "with another 5xx": (failing(HTTPError(502, "down")), {}, [], (1011, "down")),
    "it raises a `WebSocketClosed` of its own making": (
        failing(WebSocketClosed(4001, "mine", by="server")),
        {},
        [],
        (4001, "mine"),
    ),
    "binary where a text was asked for, or the reverse": (read_text, {}, [b"x"], (1003, None)),
    "no JSON where JSON was asked for": (read_json, {}, ["{"], (1007, None)),
    "more than `max_message_bytes`": (wait, {"max_message_bytes": 3}, ["éé"], (1009, None)),
    "more than `messages_per_second`": (wait, {"messages_per_second": 1}, ["", ""], (1008, None)),
    "nothing for `idle_timeout`": (wait, {"idle_timeout": 0.01}, [], (1008, None)),
    'the inbox is full, with `unread="close"`': (
        wait,
        {"unread": "close", "max_unread_messages": 1},
        ["", ""],
        (1013, None),
    ),
}
ENDING_ROWS = {what: (code, by) for what, code, by in rows("How connections end", "| what happens")}
# Seen by tests of the servers in tests/websocket, and of clients that leave.
OTHER_ENDINGS = {
    "it reads nothing for `send_timeout`",
    "the server goes down",
    "the client closes",
    "the connection is lost",
}


def test_every_ending_of_the_table_is_tried():
    assert ENDING_ROWS.keys() == ENDINGS.keys() | OTHER_ENDINGS


@pytest.mark.parametrize("what", ENDINGS)
async def test_each_ending_is_that_of_the_table(what):
    handler, options, messages, (code, reason) = ENDINGS[what]
    said, by = ENDING_ROWS[what]
    seen = []
    app = App()

    @app.websocket("/", **options)
    async def accepted(ws):
        await ws.accept()
        try:
            await handler(ws)
        finally:
            seen.append(ws)

    async with client_of(app) as client, client.websocket_connect("/") as ws:
        for message in messages:
            await ws.send(message)
        closed = await ws.wait_closed()
        await ws.wait_done()
    assert closed.code == code
    assert said.startswith((str(code), "that code", "its code"))
    assert reason in (closed.reason, None)
    assert (seen[0].closed.code, seen[0].closed.by) == (code, by)


async def close_with_a_code(ws):
    await ws.close(4000, "bye")


async def close_without_a_code(ws):
    await ws.close(None)


async def lose(ws):
    ws.disconnect()


@pytest.mark.parametrize(
    ("leave", "facts"),
    [
        (close_with_a_code, (4000, "bye", "client")),
        (close_without_a_code, (1005, "", "client")),
        (lose, (1006, "", "network")),
    ],
)
async def test_the_handler_sees_how_its_client_left_and_what_came_before(leave, facts):
    seen = []
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        seen.append(await ws.wait_closed())
        seen.append([message async for message in ws])

    async with client_of(app) as client, client.websocket_connect("/") as ws:
        await ws.send_text("before")
        await leave(ws)
        await ws.wait_done()
    assert (seen[0].code, seen[0].reason, seen[0].by) == facts
    assert seen[1] == ["before"]


async def test_after_an_end_of_our_own_what_came_before_is_dropped():
    received = []
    has_come = anyio.Event()
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        await has_come.wait()
        await ws.close()
        received.extend([message async for message in ws])

    async with client_of(app) as client, client.websocket_connect("/") as ws:
        await ws.send_text("before")
        await ws.wait_received()
        has_come.set()
        await ws.wait_done()
    assert received == []


REFUSALS = {
    "`HTTPError`, `ws.deny(...)`": (failing(HTTPError(418)), 418),
    "the handler raises anything else": (failing(ZeroDivisionError("deliberate")), 500),
    "it returns, or closes": (close, 403),
}


def test_every_refusal_of_the_table_is_tried():
    table = dict(rows("How connections end", "and before `accept`:\n\n| what"))
    assert table.keys() == REFUSALS.keys()
    for what, (_, status) in REFUSALS.items():
        assert str(status) in table[what] or "that HTTP response" in table[what]


@pytest.mark.parametrize("what", REFUSALS)
async def test_each_refusal_is_that_of_the_table(what):
    handler, status = REFUSALS[what]
    app = App()

    @app.error_handler(HTTPError)
    @app.error_handler(Exception)
    async def not_asked(request, error):
        raise AssertionError("error handlers are for HTTP requests")

    app.add_websocket_route("/", handler)
    async with client_of(app) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/"):
                pass
        assert denied.value.response.status_code == status
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/", denial_response=False):
                pass
        assert denied.value.response.status_code == 403


async def test_the_end_of_another_connection_is_a_crash_of_this_one():
    app = App()
    gone = []

    @app.websocket("/other")
    async def other(ws):
        await ws.accept()
        gone.append(ws)

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        await gone[0].send_text("are you there?")

    async with client_of(app) as client:
        async with client.websocket_connect("/other") as ws:
            await ws.wait_done()
        async with client.websocket_connect("/") as ws:
            assert (await ws.wait_closed()).code == 1011


# Options and limits

_UNITS = {
    "1 MiB": 1024 * 1024,
    "30 s": 30.0,
    "20 s": 20.0,
    "1024": 1024,
    "none": (),
    "`None`": None,
}


def test_the_options_and_their_defaults_are_those_of_the_table():
    table = {name.strip("`"): text for name, text, _ in rows("Options and limits", "| option")}
    options = WebSocketOptions()
    derived = {"limits", "origin_rule"}
    assert table.keys() == vars(options).keys() - derived
    for name, text in table.items():
        expected = _UNITS[text] if text in _UNITS else text.strip('"')
        assert getattr(options, name) == expected, name


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (1.5, 1), (10, 10)])
def test_a_rate_lets_one_second_come_at_once_and_one_message_always(rate, burst):
    guard = Guard(Limits(messages_per_second=rate), 0.0)
    refused = [guard.check("", 0.0) is not None for _ in range(burst + 1)]
    assert refused == [False] * burst + [True]
    guard = Guard(Limits(messages_per_second=rate), 0.0)
    for _ in range(burst):
        guard.check("", 0.0)
    assert guard.check("", 1 / rate) is None


async def test_what_is_sent_to_a_client_is_no_sign_of_life_of_it():
    app = App()

    @app.websocket("/", idle_timeout=0.05)
    async def handler(ws):
        await ws.accept()
        while True:
            await ws.send_text("tick")
            await anyio.sleep(0.001)

    async with client_of(app) as client, client.websocket_connect("/", pipe_bytes=None) as ws:
        assert (await ws.wait_closed()).code == 1008


# The inbox


async def test_the_clock_sees_its_client_leave_whatever_that_has_sent():
    (example,) = examples("The inbox")
    async with AsyncTestClient(example["app"]) as client:
        async with client.websocket_connect("/clock") as ws:
            for _ in range(3000):
                await ws.send_text("unread")
            assert await ws.receive() == "tick"
        await ws.wait_done()


# Tasks and cancellation


async def test_a_worker_thread_sends_as_the_text_says():
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(ws.send_text, "done"))

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        assert await ws.receive() == "done"


# Sessions


async def test_the_session_of_the_example_ticks_and_echoes():
    (example,) = examples("Sessions")
    async with (
        AsyncTestClient(example["app"]) as client,
        client.websocket_connect("/ticker") as ws,
    ):
        await ws.send_text("hello")
        received = [await ws.receive_json() for _ in range(2)]
    assert sorted(message["type"] for message in received) == ["echo", "tick"]


# Typed messages


async def test_the_conversation_of_the_example_is_what_the_text_shows():
    (example, _) = examples("Typed messages")
    ((_, text),) = [
        each for each in _BLOCK.findall(SECTIONS["Typed messages"]) if each[0] == "text"
    ]
    async with AsyncTestClient(example["app"]) as client, client.websocket_connect("/orders") as ws:
        for line in text.splitlines():
            if line.startswith("-> "):
                await ws.send_text(line[3:])
            else:
                assert await ws.receive_text() == line[3:]


async def test_the_pydantic_example_validates():
    (_, example) = examples("Typed messages")
    async with AsyncTestClient(example["app"]) as client, client.websocket_connect("/points") as ws:
        await ws.send_json({"type": "move", "x": 1, "y": 2.5, "id": "a"})
        assert await ws.receive_json() == {"type": "moved", "to": [1, 2.5], "id": "a"}
        await ws.send_json({"type": "move", "x": 101, "y": "here"})
        error = await ws.receive_json()
        assert [each["loc"] for each in error["errors"]] == [["x"], ["y"]]
        assert "here" not in json.dumps(error)


# Many clients


async def test_a_client_of_the_example_that_reads_nothing_holds_nobody_up():
    (example,) = examples("Many clients")
    async with (
        AsyncTestClient(example["app"]) as client,
        client.websocket_connect("/talk") as one,
        client.websocket_connect("/talk", pipe_bytes=10) as frozen,
    ):
        frozen.freeze()
        await one.send_text("hello")
        assert await one.receive() == "hello"
        for number in range(200):
            example["tell_everybody"](f"message {number}")
            assert await one.receive() == f"message {number}"
        frozen.thaw()
        received = [message async for message in frozen]
        assert received[:2] == ["hello", "message 0"]
        assert len(received) < 200
        assert frozen.close_code == 1013


# Who may connect


def _headers(origin: str, host: str) -> list[tuple[bytes, bytes]]:
    found = [(b"host", host.encode())]
    return found if origin == "none" else [*found, (b"origin", origin.encode())]


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "said"), rows("Who may connect", "| `Origin`"), ids=str
)
def test_each_origin_is_let_in_or_not_as_the_table_says(origin, host, scheme, said):
    headers = _headers(origin.strip("`"), host.strip("`"))
    refused = OriginRule().refusal(headers, scheme)
    assert (refused is None) is said.startswith("let in")
    assert (refused is not None) is said.startswith("refused")


PAGES = {
    "own": "https://app.example.com",
    "sub": "https://a.b.example.com",
    "parent": "https://example.com",
    "local": "http://localhost:3000",
    "foreign": "https://evil.example",
    "null": "null",
    "none": "none",
}
LET_IN = [
    {"own", "none"},
    {"own", "none"},
    {"own", "sub", "none"},
    {"own", "local", "none"},
    {"own", "null", "none"},
    {"none"},
    set(PAGES),
    {"own"},
]


@pytest.mark.parametrize(
    ("written", "let_in"),
    [
        (row[0], let_in)
        for row, let_in in zip(rows("Who may connect", "| `origins=`"), LET_IN, strict=True)
    ],
    ids=str,
)
def test_each_value_of_origins_lets_in_whom_the_table_says(written, let_in):
    for value in re.findall(r"`(.+?)`", written):
        rule = WebSocketOptions(origins=eval(value, {"OriginRule": OriginRule})).origin_rule
        found = {
            name
            for name, origin in PAGES.items()
            if rule.refusal(_headers(origin, "app.example.com"), "wss") is None
        }
        assert found == let_in, value


def test_the_port_that_nginx_leaves_out_of_host_is_missed():
    origin = (b"origin", b"http://example.com:8080")
    assert OriginRule().refusal([(b"host", b"example.com:8080"), origin], "ws") is None
    assert OriginRule().refusal([(b"host", b"example.com"), origin], "ws") is not None


def test_a_list_of_origins_is_a_remedy_for_rebinding_and_same_is_none():
    rebound = [(b"host", b"evil.example:8000"), (b"origin", b"http://evil.example:8000")]
    assert OriginRule().refusal(rebound, "ws") is None
    assert OriginRule(("http://localhost:8000",)).refusal(rebound, "ws") is not None


# Shutdown and servers


async def test_a_drain_closes_what_is_open_and_refuses_what_comes():
    app = App(grace=5)
    seen = []

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        await ws.drain.wait()
        seen.append(await ws.wait_closed())

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        client.state[STATE_KEY].begin()
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/"):
                pass
        assert denied.value.response.status_code == 503
        assert denied.value.response.headers["retry-after"]
        assert (await ws.wait_closed()).code == 1012
        await ws.wait_done()
    assert (seen[0].code, seen[0].by) == (1012, "server")


async def test_the_test_client_takes_the_server_down_as_the_text_says():
    seen = []
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        seen.append(await ws.wait_closed())

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        ws.server_close()
        await ws.wait_done()
    assert seen[0].code == 1012


def test_the_defaults_of_the_server_are_those_of_the_text():
    from uvicorn import Config

    from asgi_rt.server.run import Settings

    config = Config(App())
    assert (config.ws_ping_interval, config.ws_ping_timeout) == (20, 20)
    assert config.ws_max_size == 16 * 1024 * 1024
    assert config.ws_per_message_deflate
    assert not Settings().ws_per_message_deflate
