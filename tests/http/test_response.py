"""Responses that are whole: what is sent, what is refused, and what comes after."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import anyio
import pytest
from fakes import FakeServer

from asgi_rt.background import STATE_KEY, BackgroundTask, TaskGroup
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import Headers
from asgi_rt.http.response import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    TextResponse,
    has_body,
    problem_response,
    response_for,
)


async def sent(response: Response, **scope: Any) -> FakeServer:
    """The server after it was handed that response."""
    server = FakeServer(**scope)
    await response(server.scope, server.receive, server.send)
    assert server.is_complete
    assert [message["type"] for message in server.messages] == [
        "http.response.start",
        "http.response.body",
    ]
    return server


# What is sent


async def test_response_sends_status_headers_length_and_body():
    server = await sent(Response(b"abc", 201, headers={"X-Name": "v"}, media_type="a/b"))
    assert server.status == 201
    assert server.headers == {"x-name": "v", "content-type": "a/b", "content-length": "3"}
    assert server.body == b"abc"


@pytest.mark.parametrize(
    ("content", "body"),
    [(b"a", b"a"), (bytearray(b"a"), b"a"), (memoryview(b"abc")[::2], b"ac"), ("é", "é".encode())],
)
async def test_response_takes_bytes_of_any_kind_and_text(content, body):
    server = await sent(Response(content))
    assert server.body == body
    assert server.headers == {"content-length": str(len(body))}


async def test_response_without_content_has_length_zero():
    for response in (Response(), Response(None)):
        server = await sent(response)
        assert server.headers == {"content-length": "0"}
        assert server.body == b""


@pytest.mark.parametrize("content", [3, 2.5, {"a": 1}, ["a"], object()])
def test_response_of_what_is_neither_bytes_nor_text_is_refused(content):
    with pytest.raises(TypeError):
        Response(content)


@pytest.mark.parametrize("status", [204, 304])
async def test_status_that_carries_no_content_sends_neither_body_nor_length(status):
    server = await sent(Response(b"abc", status, headers={"content-length": "3"}))
    assert server.headers == {}
    assert server.body == b""


@pytest.mark.parametrize(
    ("status", "expected"), [(100, False), (199, False), (200, True), (204, False), (404, True)]
)
def test_has_body_of_a_status(status, expected):
    assert has_body(status) is expected


async def test_head_request_gets_the_length_and_no_body():
    server = await sent(TextResponse("abc"), method="HEAD")
    assert server.headers["content-length"] == "3"
    assert server.body == b""


async def test_length_is_that_of_the_body_whatever_was_set():
    server = await sent(Response(b"abc", headers={"Content-Length": "99"}))
    assert server.messages[0]["headers"] == [(b"content-length", b"3")]


async def test_content_type_that_was_set_is_kept():
    server = await sent(TextResponse("a", headers={"Content-Type": "text/x"}))
    assert server.headers["content-type"] == "text/x"


@pytest.mark.parametrize(
    ("response", "content_type"),
    [
        (TextResponse("a"), "text/plain; charset=utf-8"),
        (HTMLResponse("a"), "text/html; charset=utf-8"),
        (JSONResponse({}), "application/json"),
        (Response("a", media_type="text/csv"), "text/csv; charset=utf-8"),
        (Response("a", media_type="text/csv; Charset=x"), "text/csv; Charset=x"),
        (Response("a", media_type="image/svg+xml"), "image/svg+xml"),
    ],
)
def test_content_type_of_text_names_utf_8(response, content_type):
    assert response.headers["content-type"] == content_type


def test_repeated_headers_are_kept():
    response = Response(headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    again = Response(headers=response.headers)
    again.headers.append("set-cookie", "c=3")
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]


async def test_json_response_is_compact_json():
    server = await sent(JSONResponse({"a": [1, "é"]}))
    assert server.body == '{"a":[1,"é"]}'.encode()
    assert (await sent(JSONResponse())).body == b"null"


def test_json_response_of_what_is_no_json_is_a_type_error():
    with pytest.raises(TypeError, match="object"):
        JSONResponse(object())


# What is refused


@pytest.mark.parametrize(
    "headers",
    [
        {"x\r\ny": "v"},
        {"x y": "v"},
        {"x": "v\r\nset-cookie: a=1"},
        {"x": "v\n"},
        [("x", "v\x00")],
        Headers([(b"x", b"v\r\ny: z")]),
    ],
)
def test_header_that_would_smuggle_another_in_is_refused(headers):
    with pytest.raises(ValueError, match="header"):
        Response(headers=headers)


def test_media_type_that_would_smuggle_a_header_in_is_refused():
    with pytest.raises(ValueError, match="content-type"):
        Response(media_type="a/b\r\nx: y")


@pytest.mark.parametrize(
    ("name", "value"), [("a\r\nb", "1"), ("a", "1\r\nx: y"), ("a", "1; Domain=x")]
)
def test_cookie_that_would_smuggle_something_in_is_refused(name, value):
    response = Response()
    with pytest.raises(ValueError, match="cookie"):
        response.set_cookie(name, value)
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/a?b=c#d", "/a?b=c#d"),
        ("https://example.com:8000/[x]", "https://example.com:8000/[x]"),
        ("/é b", "/%C3%A9%20b"),
        ("/a%20b", "/a%20b"),
        ("/x\r\nset-cookie: a=1", "/x%0D%0Aset-cookie:%20a=1"),
        ('/"<>\\^`{|}\x00', "/%22%3C%3E%5C%5E%60%7B%7C%7D%00"),
    ],
)
async def test_redirect_encodes_what_a_url_cannot_hold(url, location):
    server = await sent(RedirectResponse(url))
    assert server.status == 307
    assert server.headers == {"location": location, "content-length": "0"}


@pytest.mark.parametrize("status", [200, 300, 304, 306, 404])
def test_redirect_with_a_status_that_is_none_is_refused(status):
    with pytest.raises(ValueError, match=f"{status} is not a redirect"):
        RedirectResponse("/", status)


# Cookies


def test_set_cookie_adds_one_header_each():
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie(
        "b",
        "2",
        max_age=60,
        expires=datetime(2030, 1, 1, tzinfo=UTC),
        path="/p",
        domain="example.com",
        secure=True,
        httponly=True,
        samesite="strict",
        partitioned=True,
    )
    assert response.headers.get_all("set-cookie") == [
        "a=1; Path=/; SameSite=Lax",
        "b=2; Max-Age=60; Expires=Tue, 01 Jan 2030 00:00:00 GMT; Domain=example.com; Path=/p;"
        " SameSite=Strict; Secure; HttpOnly; Partitioned",
    ]


def test_delete_cookie_makes_it_expire():
    response = Response()
    response.delete_cookie("a", path="/p", domain="example.com", secure=True)
    assert response.headers["set-cookie"] == (
        "a=; Max-Age=0; Domain=example.com; Path=/p; SameSite=Lax; Secure"
    )


# Endings


class Background:
    """Work after the response, and what it was told."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    async def __call__(self, completed: bool) -> None:
        self.told.append(completed)

    def of(self, content: bytes = b"abc") -> Response:
        return Response(content, background=BackgroundTask(self))


async def test_background_runs_after_the_response_and_learns_that_it_completed():
    background = Background()
    await sent(background.of())
    assert background.told == [True]


async def test_send_to_a_client_that_left_is_quiet_and_background_learns_it():
    background = Background()
    server = FakeServer(spec_version="2.4")
    server.leave()
    await background.of()(server.scope, server.receive, server.send)
    assert background.told == [False]


async def test_send_that_fails_for_another_reason_is_raised_and_background_runs():
    background = Background()
    server = FakeServer()

    async def send(message: Any) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await background.of()(server.scope, server.receive, send)
    assert background.told == [False]


async def test_cancelled_send_runs_background_and_tells_it():
    background = Background()
    server = FakeServer()
    server.freeze()
    async with anyio.create_task_group() as group:
        group.start_soon(background.of(), server.scope, server.receive, server.send)
        await server.blocked.wait()
        group.cancel_scope.cancel()
    assert background.told == [False]


async def test_background_in_an_app_outlives_the_response():
    background, owner = Background(), TaskGroup(grace=60)
    async with owner.open():
        await sent(background.of(), state={STATE_KEY: owner})
        assert background.told == []
        assert owner.running == 1
    assert background.told == [True]


# Problems and return values


async def test_problem_response_is_rfc_9457():
    error = HTTPError(404, "no such cat", headers={"X-Cat": "none"}, extensions={"cat": 3})
    server = await sent(problem_response(error))
    assert server.status == 404
    assert server.headers["content-type"] == "application/problem+json"
    assert server.headers["x-cat"] == "none"
    assert server.body == (
        b'{"cat":3,"type":"about:blank","title":"Not Found","status":404,"detail":"no such cat"}'
    )


@dataclass
class Point:
    x: int


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "status", "content_type", "body"),
    [
        (None, 204, None, b""),
        ("é", 200, "text/plain; charset=utf-8", "é".encode()),
        ("", 200, "text/plain; charset=utf-8", b""),
        (b"a", 200, "application/octet-stream", b"a"),
        (bytearray(b"a"), 200, "application/octet-stream", b"a"),
        (memoryview(b"a"), 200, "application/octet-stream", b"a"),
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        ([1], 200, "application/json", b"[1]"),
        (0, 200, "application/json", b"0"),
        (False, 200, "application/json", b"false"),
        (Point(1), 200, "application/json", b'{"x":1}'),
        (Color.RED, 200, "application/json", b'"red"'),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_response_for_a_value(value, status, content_type, body):
    response = response_for(value)
    assert isinstance(response, Response)
    server = await sent(response)
    assert server.status == status
    assert server.headers.get("content-type") == content_type
    assert server.body == body


def test_response_for_a_response_is_itself():
    response = TextResponse("a")
    assert response_for(response) is response


def test_response_for_an_asgi_app_is_itself():
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert response_for(app) is app


@pytest.mark.parametrize("value", [object(), Point, Color])
def test_response_for_what_is_no_response_is_a_type_error(value):
    with pytest.raises(TypeError):
        response_for(value)
