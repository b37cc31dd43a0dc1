"""Requests, against Starlette's."""

import json
from typing import Any

import anyio
import pytest
import starlette.exceptions
import starlette.requests as theirs
from fakes import http_scope
from starlette.middleware.sessions import SessionMiddleware

import asgi_rt.fastapi.requests as ours
from asgi_rt.fastapi.datastructures import URLPath
from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.fastapi.requests import ClientDisconnect, HTTPConnection, Request
from asgi_rt.fastapi.responses import PlainTextResponse
from asgi_rt.testing import AsyncTestClient


def receiving(*chunks: bytes, leaves: bool = False) -> Any:
    """A receive that gives these chunks of a body, and then nothing, or the disconnect."""
    messages: list[Any] = [
        {"type": "http.request", "body": chunk, "more_body": at < len(chunks) or leaves}
        for at, chunk in enumerate(chunks, 1)
    ]
    messages += [{"type": "http.disconnect"}] if leaves else []

    async def receive() -> Any:
        return messages.pop(0) if messages else await anyio.sleep_forever()

    return receive


READS = {
    "url": lambda request: str(request.url),
    "base_url": lambda request: str(request.base_url),
    "client": lambda request: [request.client, request.client.host, request.client.port],
    "items": lambda request: [request["path"], len(request), [*request], request.get("none", 1)],
    "dict": lambda request: dict(request),
    "contains": lambda request: ["path" in request, "none" in request],
    "query": lambda request: [request.query_params.getlist("a"), dict(request.query_params)],
    "headers": lambda request: request.headers.items(),
    "method": lambda request: [request.method, request.path_params],
    "state": lambda request: [request.state.given, request.scope["state"]],
}


@pytest.mark.parametrize("root", ["", "/root", "/root/"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_head_is_starlettes(read, root):
    found, expected = (
        read(
            m.Request(
                http_scope(
                    "/path/é b?a=1&a=%20",
                    root_path=root,
                    headers=[(b"host", b"example.org"), (b"a", b"1"), (b"a", b"2")],
                    state={"given": 1},
                    path_params={"id": "5"},
                )
            )
        )
        for m in (ours, theirs)
    )
    assert found == expected


@pytest.mark.parametrize(
    "header",
    [
        b"a=b; c=d",
        b'a="b c"; x="q\\"r\\054"',
        b"no value; a=1; a=2",
        b"=x",
        b"a=b=c;;",
        b" a = b ; c=",
        b"k=\xe9",
        b'e="\\303"',
        b'x="unterminated',
    ],
)
def test_cookies_are_starlettes(header):
    found, expected = (
        m.Request(http_scope(headers=[(b"cookie", header), (b"cookie", b"z=1")])).cookies
        for m in (ours, theirs)
    )
    assert found == expected


@pytest.mark.parametrize("name", ["session", "auth", "user"])
def test_what_a_middleware_puts_into_the_scope_is_an_attribute(name):
    assert getattr(HTTPConnection(http_scope(**{name: "value"})), name) == "value"
    with pytest.raises(AssertionError, match="must be installed"):
        getattr(HTTPConnection(http_scope()), name)


async def test_session_that_is_read_makes_the_response_vary():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert Request(scope, receive).session == {}
        await PlainTextResponse("")(scope, receive, send)

    client = AsyncTestClient(SessionMiddleware(app, "secret"), lifespan=False)
    assert (await client.get("/")).headers["vary"] == "Cookie"
    await client.aclose()


async def test_request_made_by_hand_needs_no_headers():
    request = Request({"type": "http", "method": "POST"}, receiving(b"a"))
    assert await request.body() == b"a"


def test_state_is_kept_in_the_scope():
    scope = http_scope()
    Request(scope).state.user = "u"
    assert Request(scope).state.user == scope["state"]["user"] == "u"


def test_connection_equals_only_itself():
    scope = http_scope()
    connection = HTTPConnection(scope)
    assert connection == connection
    assert connection != HTTPConnection(scope)
    assert len({connection, HTTPConnection(scope)}) == 2


def test_url_of_a_route_is_absolute():
    class Router:
        def url_path_for(self, name: str, **params: Any) -> URLPath:
            return URLPath(f"/{name}/{params['id']}", "http")

    request = Request(http_scope(root_path="/r", router=Router(), headers=[(b"host", b"h.org")]))
    assert request.url_for("item", id=5) == "http://h.org/r/item/5"


async def test_body_is_read_whole_and_again():
    request = Request(http_scope(), receiving(b'{"a"', b": 1}"))
    assert await request.body() == b'{"a": 1}'
    assert await request.json() == {"a": 1}
    assert b"".join([chunk async for chunk in request.stream()]) == b'{"a": 1}'


@pytest.mark.parametrize("body", [b"", b"{a", b"[1,]", b"\xff", b"NaN", b'"\\ud800"', b"1" * 30])
async def test_json_is_the_standard_librarys(body):
    try:
        expected: Any = repr(json.loads(body))
    except ValueError as error:
        expected = repr(error)
    try:
        found: Any = repr(await Request(http_scope(), receiving(body)).json())
    except ValueError as error:
        found = repr(error)
    assert found == expected


async def test_body_may_be_replaced_where_starlette_keeps_it():
    class Reversed(Request):
        async def body(self, max_bytes: int | None = None) -> bytes:
            if not hasattr(self, "_body"):
                self._body = (await super().body(max_bytes))[::-1]
            return self._body

    request = Reversed(http_scope(), receiving(b"ab", b"c"))
    assert [await request.body(), await request.body()] == [b"cba", b"cba"]
    assert b"".join([chunk async for chunk in request.stream()]) == b"cba"


async def test_request_without_receive_has_no_body():
    with pytest.raises(RuntimeError, match="without a receive"):
        await Request(http_scope()).body()


async def test_client_that_leaves_ends_the_body():
    with pytest.raises(ClientDisconnect):
        await Request(http_scope(), receiving(b"a", leaves=True)).body()


# Forms

URL_ENCODED = b"application/x-www-form-urlencoded"
MULTIPART = (
    b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n\xc3\xa9\r\n'
    b'--x\r\ncontent-disposition: form-data; name="f"; filename="n.txt"\r\n'
    b"content-type: text/plain\r\n\r\nhello\r\n--x--\r\n"
)


def posted(content_type: bytes, *chunks: bytes, module: Any = ours) -> Any:
    headers = [(b"content-type", content_type)] if content_type else []
    return module.Request(http_scope(method="POST", headers=headers), receiving(*chunks))


async def pairs_of(request: Any) -> list[Any]:
    async with request.form() as form:
        return [
            (name, value if isinstance(value, str) else (value.filename, await value.read()))
            for name, value in form.multi_items()
        ]


@pytest.mark.parametrize(
    ("content_type", "chunks"),
    [
        (URL_ENCODED, [b"a=1&a=2&b=%C3%A9+c&d="]),
        (URL_ENCODED + b"; charset=utf-8", [b"a=%zz&", b"b=%ff"]),
        (URL_ENCODED, [b""]),
        (b"multipart/form-data; boundary=x", [MULTIPART[:70], MULTIPART[70:]]),
        (b"application/json", [b"{}"]),
        (b"", [b"a=1"]),
    ],
)
async def test_form_is_starlettes(content_type, chunks):
    found, expected = [
        await pairs_of(posted(content_type, *chunks, module=m)) for m in (ours, theirs)
    ]
    assert found == expected


async def test_form_is_the_same_at_every_call_and_closed_by_with():
    request = posted(b"multipart/form-data; boundary=x", MULTIPART)
    form = await request.form()
    async with request.form() as again:
        assert again is form
    assert form["f"].file.closed
    await request.close()


NAMELESS = MULTIPART.replace(b' name="a"', b"")


@pytest.mark.parametrize(
    ("content_type", "body", "limits"),
    [
        (b"multipart/form-data; boundary=x", b"zz", {}),
        (b"multipart/form-data; boundary=x", NAMELESS, {}),
        (b"multipart/form-data", b"zz", {}),
        (b"multipart/form-data; boundary=x", MULTIPART, {"max_fields": 0}),
        (b"multipart/form-data; boundary=x", MULTIPART, {"max_files": 0}),
        (b"multipart/form-data; boundary=x", MULTIPART, {"max_part_size": 1}),
        (URL_ENCODED, b"a=1&b=2", {"max_fields": 1}),
        (URL_ENCODED, b"a=1&b=" + b"2" * 2000, {"max_part_size": 1024}),
    ],
)
async def test_form_that_is_malformed_or_too_large_is_refused_as_by_starlette(
    content_type, body, limits
):
    app = object()  # in one, Starlette raises what it answers with
    requests = [posted(content_type, body, module=m) for m in (ours, theirs)]
    requests[1].scope["app"] = app
    with pytest.raises(HTTPException) as found:
        await requests[0].form(**limits)
    with pytest.raises(starlette.exceptions.HTTPException) as expected:
        await requests[1].form(**limits)
    assert (found.value.status_code, found.value.detail) == (400, expected.value.detail)


async def test_large_file_is_taken():
    size = 3 * 1024 * 1024
    head, _, tail = MULTIPART.partition(b"hello")
    async with posted(b"multipart/form-data; boundary=x", head, b"y" * size, tail).form() as form:
        assert form["f"].size == size
        assert len(await form["f"].read()) == size
