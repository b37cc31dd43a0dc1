"""What docs/fastapi.md says is so: its tables, and what its examples do."""

import ast
import importlib.util
import inspect
import logging
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import fastapi
import pytest
import starlette.responses

import asgi_rt.fastapi.datastructures
import asgi_rt.fastapi.openapi.models
import asgi_rt.fastapi.routing
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.embed.lifespans import HUB_KEY
from asgi_rt.fastapi import Depends, FastAPI, Request, WebSocket
from asgi_rt.fastapi.sse import EventSourceResponse
from asgi_rt.fastapi.testclient import TestClient
from asgi_rt.sse import Event
from asgi_rt.testing import AsyncTestClient, ConnectionClosed, WebSocketDenied

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "fastapi.md").read_text()
README = (ROOT / "README.md").read_text()
_SECTION = re.compile(r"^###? (.+)\n((?:(?!^###? ).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(_SECTION.findall(DOCUMENT))


def blocks(section: str, language: str, sections: dict[str, str] = SECTIONS) -> list[str]:
    return [code for found, code in _BLOCK.findall(sections[section]) if found == language]


def example(section: str) -> dict[str, Any]:
    """What the first Python block of a section defines."""
    return defined(blocks(section, "python")[0])


def defined(code: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "document"}
    exec(compile(code, "document", "exec"), namespace)
    return namespace


def rows(section: str, head: str) -> list[list[str]]:
    """The rows of the table of a section that begins with `head`, cell by cell."""
    assert head in SECTIONS[section]
    table = SECTIONS[section].partition(head)[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()[2:]
        if line.startswith("|")
    ]


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_contents_name_every_section():
    contents = re.findall(r"^- \[(.+?)\]\(#(.+?)\)", DOCUMENT.partition("\n## ")[0], re.MULTILINE)
    assert [title for title, _ in contents] == re.findall(r"^## (.+)", DOCUMENT, re.MULTILINE)
    for title, target in contents:
        assert target == anchor(title)


def test_links_within_the_document_lead_to_sections():
    for target in re.findall(r"\]\(#(.+?)\)", DOCUMENT):
        assert target in {anchor(title) for title in SECTIONS}


def test_links_to_sections_of_other_documents_lead_there():
    for name, target in re.findall(r"\]\((\w+\.md)#(.+?)\)", DOCUMENT):
        other = (ROOT / "docs" / name).read_text()
        assert target in {anchor(title) for title, _ in _SECTION.findall(other)}, f"{name}#{target}"


# Migrate


def test_the_first_program_runs():
    with TestClient(example("Migrate")["app"]) as client:
        assert client.get("/items/tea").json() == {"item": "tea", "count": 3}
        assert client.get("/items/gin").json() == {"detail": "no such item"}
        created = client.post("/orders", json={"item": "tea"})
        assert (created.status_code, created.json()) == (201, {"item": "tea", "count": 1})


def test_the_first_program_is_one_of_fastapis_with_other_imports():
    code = blocks("Migrate", "python")[0].replace("from asgi_rt.fastapi", "from fastapi")
    app = defined(code)["app"]
    assert isinstance(app, fastapi.FastAPI)
    assert app.openapi() == example("Migrate")["app"].openapi()


def test_the_modules_of_the_table_are_there():
    names = re.findall(r"`(asgi_rt\.[\w.]+)`", SECTIONS["Migrate"])
    assert len(names) > 5
    for name in names:
        module, _, attribute = name.rpartition(".")
        there = importlib.util.find_spec(module)
        assert there, name
        found = importlib.import_module(module)
        assert hasattr(found, attribute) or importlib.util.find_spec(name), name


def test_classes_of_fastapis_own_mean_nothing():
    app = FastAPI()

    @app.get("/response")
    def response():
        return starlette.responses.PlainTextResponse("text")

    @app.get("/error")
    def error() -> None:
        raise fastapi.HTTPException(404)

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/response").json()["body"] == "text"
        assert client.get("/error").status_code == 500


# Streams, and dependencies with yield

STREAMS = "Streams, and dependencies with yield"


def test_the_stream_is_begun_by_a_dependency_that_is_closed_by_then():
    found = example(STREAMS)
    with TestClient(found["app"]) as client:
        text = client.get("/ticks?name=ann").text
        assert text.startswith('data: {"for": "ann", "open": 0}\nid: 0\n\n')
        assert client.get("/ticks?name=eve").status_code == 403
    assert found["connections"] == []


def test_the_warning_is_the_one_that_is_shown(caplog):
    code = blocks(STREAMS, "python")[0].replace(', scope="function"', "")
    with (
        caplog.at_level(logging.WARNING, "asgi_rt.fastapi"),
        TestClient(defined(code)["app"]) as client,
    ):
        assert '"open": 1' in client.get("/ticks?name=ann").text
        client.get("/ticks?name=bob")
    (shown,) = blocks(STREAMS, "text")
    assert caplog.messages == [" ".join(shown.split())]


async def test_an_event_stream_says_farewell_when_the_server_goes_down():
    app = FastAPI()
    drains: list[Drain] = []

    @app.get("/", response_class=EventSourceResponse)
    async def forever(request: Request) -> Any:
        drains.append(request.scope["state"][STATE_KEY])
        yield 1
        await anyio.sleep_forever()

    async with AsyncTestClient(app) as client, client.events("/") as events:
        await events.next_event()
        drains[0].begin()
        assert await events.next_frame() == b": the server is going down\n\n"


# WebSockets


def test_the_first_websocket_has_options_and_parameters():
    with TestClient(example("WebSockets")["app"]) as client:
        page = {"origin": "https://example.com"}
        with client.websocket_connect("/echo/tea", headers=page) as ws:
            ws.send_text("hi")
            assert ws.receive_text() == "tea: hi"
        page = {"origin": "https://b.example"}
        with (
            pytest.raises(asgi_rt.fastapi.WebSocketDisconnect),
            client.websocket_connect("/echo/tea", headers=page),
        ):
            raise AssertionError("it was let in")


# The code that the client gets, and what is raised to the server.
ENDINGS: dict[str, tuple[int, type[Exception] | None]] = {
    "returns": (1000, None),
    "fails": (1011, KeyError),
    "raises `WebSocketException`": (4001, None),
    "receives text where there are bytes, or bytes where there is text": (1003, None),
    "closes with a reason of more than 123 bytes": (4002, None),
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_an_ending_is_that_of_the_table(how):
    assert how in [row[0] for row in rows("WebSockets", "| the handler |")]
    app = FastAPI()

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if how == "fails":
            raise KeyError("x")
        if how == "raises `WebSocketException`":
            raise asgi_rt.fastapi.WebSocketException(4001, "why")
        if how.startswith("receives"):
            await websocket.receive_bytes()
        if how.startswith("closes"):
            await websocket.close(4002, "x" * 200)

    code, error = ENDINGS[how]
    raised = pytest.raises(error) if error else nullcontext()
    async with AsyncTestClient(app) as client:
        with raised:
            async with client.websocket_connect("/") as ws:
                await ws.send_text("text")
                with pytest.raises(ConnectionClosed) as closed:
                    await ws.receive()
                assert closed.value.code == code
                assert len(closed.value.reason) <= 123


async def test_an_http_exception_before_accept_is_the_response():
    app = FastAPI()

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        raise asgi_rt.fastapi.HTTPException(401, "no token")

    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/"):
                raise AssertionError("it was let in")
        assert denied.value.response.status_code == 401
        assert denied.value.response.json() == {"detail": "no token"}


async def test_a_websocket_that_is_open_when_the_server_goes_down_is_closed_with_1012():
    app = FastAPI()
    drains: list[Drain] = []

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        drains.append(websocket.scope["state"][STATE_KEY])
        await websocket.accept()
        async for _ in websocket.iter_text():
            pass

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as ws:
        drains[0].begin()
        with pytest.raises(ConnectionClosed) as closed:
            await ws.receive()
        assert closed.value.code == 1012


# What there is besides

BESIDES = "What there is besides"


async def test_hubs_and_logs_serve_the_adapters_handlers():
    found = example(BESIDES)
    hub, app = found["hub"], found["app"]
    async with AsyncTestClient(app) as client:
        async with client.events("/prices/eur") as events:
            await until(lambda: hub.subscriber_count("prices.eur") == 1)
            await client.post("/prices/eur?bid=1.08")
            assert (await events.next_event()).data == '{"bid":1.08}'
        async with client.websocket_connect("/rooms/tea") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
        first = (await client.post("/news?title=one")).json()["id"]
        second = (await client.post("/news?title=two")).json()["id"]
        async with client.events("/news", headers={"last-event-id": first}) as events:
            assert await events.next_event() == Event('{"title":"two"}', id=second)


def test_the_options_of_the_app_are_those_of_the_table():
    for name, default, _ in rows(BESIDES, "| option of `FastAPI` |"):
        assert ast.literal_eval(default.strip("`")) == getattr(FastAPI, name.strip("`"))


# OpenAPI and AsyncAPI


def test_the_documents_describe_the_example():
    app = example("OpenAPI and AsyncAPI")["app"]
    with TestClient(app) as client:
        assert client.get("/openapi.json").json()["paths"].keys() == {"/prices"}
        made = client.get("/asyncapi.json").json()
    assert made["asyncapi"].startswith("3.0")
    channels = {each["address"]: each for each in made["channels"].values()}
    assert channels.keys() == {"/rooms/{room}", "/prices", "prices.{token2}"}
    assert channels["/rooms/{room}"]["messages"].keys() == {"Say", "Leave"}
    actions = {name: each["action"] for name, each in made["operations"].items()}
    assert sorted(actions.values()) == ["receive", "send", "send", "send"]


# Alias


def test_the_alias_is_as_it_is_shown():
    (code,) = blocks("Alias", "py")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_missing_is_an_import_error_with_the_alias():
    code = (
        "from asgi_rt.fastapi.alias import aliased\n"
        "with aliased():\n"
        "    from starlette.schemas import SchemaGenerator\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "starlette.schemas is not in asgi_rt.fastapi" in done.stderr


# asgi_rt inside a FastAPI or Starlette app


async def test_the_example_of_embedding_does_what_it_says():
    app = example("asgi_rt inside a FastAPI or Starlette app")["app"]
    async with AsyncTestClient(app) as client:
        async with client.events("/clock") as events:
            assert (await events.next_event()).data == '{"tick":true}'
        async with (
            client.events("/rooms/tea") as events,
            client.websocket_connect("/rooms/tea") as ws,
        ):
            with anyio.fail_after(10):  # the head of a stream may come before it has subscribed
                while client.state[HUB_KEY].subscriber_count("rooms.tea") < 2:
                    await anyio.lowlevel.checkpoint()
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
            assert (await events.next_event()).data == "hello"
            await client.post("/rooms/tea?text=hi")
            assert await ws.receive_text() == "hi"


@pytest.mark.parametrize("section", [BESIDES, "asgi_rt inside a FastAPI or Starlette app"])
async def test_who_asks_for_a_wildcard_as_a_room_hears_no_other(section):
    app = example(section)["app"]
    client = AsyncTestClient(app)
    async with client, client.websocket_connect("/rooms/%3E") as other:
        async with client.websocket_connect("/rooms/tea") as tea:
            await tea.send_text("to tea")
            assert await tea.receive_text() == "to tea"
        await other.send_text("to it")
        assert await other.receive_text() == "to it"


async def test_responses_of_asgi_rt_are_starlettes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.pdf").write_bytes(b"report")
    async with AsyncTestClient(example("Responses")["app"]) as client:
        async with client.events("/progress") as events:
            received = [event async for event in events]
        assert received[1] == Event('{"percent":10}', "progress", "10")
        progress = await client.get("/progress")
        assert progress.headers["x-job"] == "17"
        assert progress.cookies["seen"] == "1"
        assert (await client.get("/export")).text.startswith("0\n1\n")
        assert (await client.get("/report")).content == b"report"
        assert (await client.get("/rows")).text.startswith('{"row":0}\n')


async def test_a_wrapped_websocket_is_asgi_rts():
    app = example("WebSockets: wrap")["app"]
    page = {"origin": "https://example.com"}
    async with AsyncTestClient(app) as client:
        async with client.websocket_connect("/echo?token=1", headers=page) as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
            await ws.send_text("quit")
            with pytest.raises(ConnectionClosed) as closed:
                await ws.receive()
            assert (closed.value.code, closed.value.reason) == (4000, "as you wish")
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect("/echo", headers=page):
                raise AssertionError("it was let in")
        assert denied.value.response.status_code == 401


# What is missing


def test_what_is_said_to_be_missing_is():
    modules = (
        "telemetry config endpoints schemas convertors formparsers dependencies.utils"
        " middleware.sessions middleware.authentication middleware.wsgi middleware.errors"
        " middleware.exceptions middleware.opentelemetry"
    )
    for name in modules.split():
        assert importlib.util.find_spec(f"asgi_rt.fastapi.{name}") is None, name
    for owner, names in (
        (Request, "send_push_promise send_early_hints"),
        (FastAPI, "frontend build_middleware_stack host"),
        (asgi_rt.fastapi.datastructures, "MultiDict CommaSeparatedStrings"),
        (asgi_rt.fastapi.routing, "Host Router get_request_handler"),
        (asgi_rt.fastapi.openapi.models, "OpenAPI Operation Schema"),
        (TestClient, "portal app_state"),
    ):
        for name in names.split():
            assert not hasattr(owner, name), name
    assert "max_concurrency" not in inspect.signature(Depends).parameters


def test_options_that_are_unknown_are_kept():
    assert FastAPI(telemetry=None).extra == {"telemetry": None}


# The readme


README_SECTIONS = dict(_SECTION.findall(README))


async def test_both_programs_of_the_readme_run():
    moved, embedded = (defined(code) for code in blocks("FastAPI", "python", README_SECTIONS))
    async with AsyncTestClient(moved["app"]) as client:
        assert (await client.get("/items/1")).json() == {"number": 1}
        assert (await client.get("/items/x")).status_code == 422
        async with client.events("/numbers") as events:
            assert [event.data async for event in events] == [
                f'{{"number": {n}}}' for n in range(3)
            ]
    async with AsyncTestClient(embedded["app"]) as client, client.events("/lobby") as events:
        await until(lambda: embedded["hub"].subscriber_count("lobby") == 1)
        async with client.websocket_connect("/lobby") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "hello"
            assert (await events.next_event()).data == "hello"


async def until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()
