"""Responses, against Starlette's, byte for byte."""

import datetime
import re
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import starlette.background
import starlette.responses as theirs
from fakes import FakeServer, http_scope

import asgi_rt.fastapi.responses as ours
from asgi_rt.background import STATE_KEY, TaskGroup
from asgi_rt.fastapi.background import BackgroundTask, BackgroundTasks
from asgi_rt.fastapi.responses import (
    FileResponse,
    JSONResponse,
    ORJSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)

WHEN = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


async def sent(response: Any, **scope: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The status, the header fields and the body that a response sends."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await response(http_scope(spec_version="2.4", **scope), anyio.sleep_forever, send)
    head, *body = messages
    return head["status"], [*head["headers"]], b"".join(each.get("body", b"") for each in body)


def with_cookie(**options: Any) -> Any:
    def make(m: Any) -> Any:
        response = m.Response("x")
        response.set_cookie(**options)
        return response

    return make


def without_cookie(m: Any) -> Any:
    response = m.Response()
    response.delete_cookie("a", "/x", "example.org", secure=True, httponly=True)
    return response


def changed(m: Any) -> Any:
    response = m.Response("x", headers={"a": "0"})
    response.headers["A"] = "b"
    response.headers.append("a", "c")
    response.raw_headers.append((b"z", b"1"))
    response.status_code = 201
    return response


async def chunks() -> Any:
    yield b"a"
    yield "é"


RESPONSES = {
    "text": lambda m: m.PlainTextResponse("hé"),
    "html": lambda m: m.HTMLResponse("<p>", headers={"X-A": "b"}),
    "nothing": lambda m: m.Response(),
    "bytes": lambda m: m.Response(b"x", media_type="text/csv"),
    "memoryview": lambda m: m.Response(memoryview(b"x")),
    "no content": lambda m: m.Response(status_code=204),
    "not modified": lambda m: m.Response(status_code=304, headers={"etag": "x"}),
    "own headers": lambda m: m.Response("a", 200, {"Content-Type": "a/b", "content-length": "1"}),
    "own charset": lambda m: m.Response("a", media_type="text/plain; charset=latin-1"),
    "json": lambda m: m.JSONResponse({"a": [1, 2.5, None, True, "é\u2028"], 1: 2, "b": 2**70}),
    "redirect": lambda m: m.RedirectResponse('/a b?q=é&x=%20#f"<>'),
    "redirect with status": lambda m: m.RedirectResponse("http://x.org/", 303, {"X": "y"}),
    "stream": lambda m: m.StreamingResponse(chunks(), media_type="text/plain"),
    "sync stream": lambda m: m.StreamingResponse(iter(["a", "b"]), 201, {"x": "y"}),
    "stream of a text": lambda m: m.StreamingResponse("abc", media_type="text/html"),
    "changed": changed,
    "cookie": with_cookie(key="a", value="b"),
    "cookie with everything": with_cookie(
        key="a",
        value='b c;"é',
        max_age=5,
        expires=WHEN,
        path="/x",
        domain="example.org",
        secure=True,
        httponly=True,
        samesite="strict",
    ),
    "cookie with little": with_cookie(key="a", value="b", path=None, samesite=None),
    "cookie with a date": with_cookie(key="a", expires="Tue, 01 Jan 2030 00:00:00 GMT"),
    "no cookie": without_cookie,
}


@pytest.mark.parametrize("make", RESPONSES.values(), ids=RESPONSES)
async def test_response_is_starlettes(make):
    assert await sent(make(ours)) == await sent(make(theirs))


@pytest.mark.parametrize("value", [float("nan"), WHEN, "\ud800", {(1, 2): 3}])
def test_value_that_is_no_json_is_refused_as_by_starlette(value):
    with pytest.raises((TypeError, ValueError)) as expected:
        theirs.JSONResponse(value)
    with pytest.raises(expected.type, match=re.escape(str(expected.value)[:20])):
        JSONResponse(value)


async def test_orjson_response_takes_dates():
    assert (await sent(ORJSONResponse({"at": WHEN})))[2] == b'{"at":"2030-01-01T00:00:00+00:00"}'


def test_cookie_can_be_partitioned():
    response = Response()
    response.set_cookie("a", "b", partitioned=True, secure=True)
    assert response.headers["set-cookie"].endswith("; Secure; Partitioned")


def test_media_type_of_one_response_is_its_own():
    assert (Response(media_type="a/b").media_type, Response().media_type) == ("a/b", None)


def test_header_that_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Response(headers={"a": "b\r\nc: d"})


@pytest.mark.parametrize("name", ["a.txt", "a b.txt", "é.txt", 'q"uo.tar.gz'])
@pytest.mark.parametrize("kind", ["attachment", "inline"])
async def test_file_says_how_to_save_it_as_starlettes_does(tmp_path, name, kind):
    (tmp_path / "file").write_text("hello")
    for headers in ({}, {"range": "bytes=1-2"}):
        raw = [(each.encode(), value.encode()) for each, value in headers.items()]
        found, expected = [
            await sent(
                m.FileResponse(tmp_path / "file", filename=name, content_disposition_type=kind),
                headers=raw,
            )
            for m in (ours, theirs)
        ]
        assert (found[0], found[2]) == (expected[0], expected[2])
        # Each has entity tags of its own.
        assert {**dict(found[1]), b"etag": b""} == {**dict(expected[1]), b"etag": b""}


# Background


def noting(log: list[str], name: str) -> BackgroundTask:
    return BackgroundTask(log.append, name)


@pytest.mark.parametrize("kind", ["whole", "stream", "file"])
async def test_background_has_run_when_sending_returns(tmp_path, kind):
    (tmp_path / "file").write_text("hello")
    log: list[str] = []
    task = noting(log, "done")
    async with TaskGroup(grace=1).open() as group:
        response = {
            "whole": lambda: PlainTextResponse("x", background=task),
            "stream": lambda: StreamingResponse(chunks(), background=task),
            "file": lambda: FileResponse(tmp_path / "file", background=task),
        }[kind]()
        await sent(response, state={STATE_KEY: group})
        assert log == ["done"]
        assert group.finished == 0


async def test_background_runs_for_a_client_that_left():
    log: list[str] = []
    server = FakeServer(spec_version="2.4")
    server.leave()
    response = PlainTextResponse("x", background=noting(log, "done"))
    await response(server.scope, server.receive, server.send)
    assert log == ["done"]


async def test_background_tasks_run_in_order_with_what_they_were_given():
    log: list[Any] = []

    def sync(value: int, completed: Any) -> None:
        log.append((value, completed))

    async def slow(value: int) -> None:
        await anyio.lowlevel.checkpoint()
        log.append(value)

    tasks = BackgroundTasks([BackgroundTask(slow, 1)])
    tasks.add_task(sync, 2, completed="named so by its author")
    tasks.add_task(sync, 3, "by place")
    await tasks()
    assert log == [1, (2, "named so by its author"), (3, "by place")]


async def test_background_task_that_fails_does_not_stop_the_rest(caplog):
    log: list[str] = []
    tasks = BackgroundTasks()
    tasks.add_task(log.index, "absent")
    tasks.add_task(log.append, "done")
    await sent(PlainTextResponse("x", background=tasks))
    assert log == ["done"]
    assert [record.message for record in caplog.records] == ["background task list.index failed"]


async def test_background_of_starlette_is_run_too():
    log: list[str] = []
    task: Any = starlette.background.BackgroundTask(log.append, "done")
    await sent(PlainTextResponse("x", background=task))
    assert log == ["done"]


# Errors and handshakes


async def test_error_before_the_first_item_is_raised_before_the_head():
    async def failing() -> Any:
        raise KeyError("first")
        yield b""

    server = FakeServer()
    with pytest.raises(KeyError, match="first"):
        await StreamingResponse(failing())(server.scope, server.receive, server.send)
    assert server.messages == []


@pytest.mark.parametrize("kind", ["whole", "stream", "file"])
async def test_response_to_a_handshake_denies_it(tmp_path, kind):
    (tmp_path / "file").write_text("aé")
    response = {
        "whole": lambda: PlainTextResponse("aé", 404),
        "stream": lambda: StreamingResponse(chunks(), 404),
        "file": lambda: FileResponse(tmp_path / "file", 404),
    }[kind]()
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    scope = http_scope()
    await response({**scope, "type": "websocket"}, anyio.sleep_forever, send)
    assert {each["type"] for each in messages} == {
        "websocket.http.response.start",
        "websocket.http.response.body",
    }
    assert messages[0]["status"] == 404
    assert b"".join(each["body"] for each in messages[1:]) == "aé".encode()
