"""A request over hand-made scopes and receives."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from fakes import http_scope

from asgi_rt.errors import BodyOverrun, ClientDisconnected, HTTPError
from asgi_rt.http.request import Request

DISCONNECT = {"type": "http.disconnect"}


class Sender:
    """Hands out a body in chunks, then the disconnect, or nothing; counts what was asked for."""

    def __init__(
        self, chunks: Iterable[bytes], *, whole: bool = True, leaves: bool = False
    ) -> None:
        *first, last = [{"type": "http.request", "body": chunk} for chunk in chunks]
        self.messages: list[dict[str, Any]] = [{**each, "more_body": True} for each in first]
        self.messages.append({**last, "more_body": not whole})
        if leaves:
            self.messages.append(DISCONNECT)
        self.received = 0
        self.go_on = anyio.Event()

    async def __call__(self) -> dict[str, Any]:
        await checkpoint()
        if self.received == len(self.messages):
            await self.go_on.wait()
        self.received += 1
        return self.messages[self.received - 1]


async def never() -> dict[str, Any]:
    raise AssertionError("nothing had to be received")


def get(path: str = "/", **scope: Any) -> Request:
    return Request(http_scope(path, **scope), never)


def post(*chunks: bytes, headers: Iterable[tuple[bytes, bytes]] = (), **options: Any) -> Request:
    return Request(http_scope(method="POST", headers=list(headers)), Sender(chunks, **options))


def received(request: Request) -> int:
    sender = request.receive
    assert isinstance(sender, Sender)
    return sender.received


# The head


def test_head_of_a_request_is_what_the_scope_says():
    request = get("/a b?x=1&x=2&y=3", method="PATCH", headers=[(b"x-name", b"v")])
    assert request.method == "PATCH"
    assert request.path == "/a b"
    assert request.headers["X-Name"] == "v"
    assert request.query.get_all("x") == ["1", "2"]
    assert request.query["x"] == "2"
    assert request.client == ("127.0.0.1", 50000)
    assert dict(request.path_params) == {}


def test_request_without_query_or_client_has_none():
    scope = http_scope(client=None)
    del scope["query_string"]
    request = Request(scope, never)
    assert list(request.query) == []
    assert request.client is None


@pytest.mark.parametrize("query", ["a=%", "a=%ff"])
def test_query_that_cannot_be_read_is_400(query):
    with pytest.raises(HTTPError, match=r"400.*the query field") as caught:
        get(f"/?{query}").query  # noqa: B018 - the property raises
    assert caught.value.status_code == 400


def test_cookies_of_several_headers_are_one_mapping():
    request = get(headers=[(b"cookie", b"a=1"), (b"cookie", b"b=2; a=3")])
    assert request.cookies == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("value", "expected"), [(b"Text/HTML; charset=utf-8", "text/html"), (None, "")]
)
def test_content_type_is_the_media_type_alone(value, expected):
    headers = [] if value is None else [(b"content-type", value)]
    assert get(headers=headers).content_type == expected


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/a/b", "", "/a/b"),
        ("/api/a", "/api", "/a"),
        ("/api", "/api", ""),
        ("/apiary", "/api", "/apiary"),
        ("/a", "/api", "/a"),
    ],
)
def test_path_is_below_the_mount(path, root, expected):
    assert get(path, root_path=root).path == expected


def test_raw_path_is_as_it_came():
    assert get(raw_path=b"/a%2Fb").raw_path == b"/a%2Fb"


@pytest.mark.parametrize("missing", [True, False])
def test_raw_path_that_the_server_does_not_give_is_encoded_anew(missing):
    scope = http_scope(path="/a b/é%/~x", raw_path=None)
    if missing:
        del scope["raw_path"]
    assert Request(scope, never).raw_path == b"/a%20b/%C3%A9%25/~x"


def test_state_is_the_scope_s_and_made_where_there_is_none():
    scope = http_scope(state={"a": 1})
    assert Request(scope, never).state is scope["state"]
    del scope["state"]
    Request(scope, never).state["b"] = 2
    assert scope["state"] == {"b": 2}


def test_app_and_drain_come_from_the_scope():
    app, drain = object(), object()
    request = get(app=app, state={"asgi_rt.drain": drain})
    assert request.app is app
    assert request.drain is drain
    assert get().drain is None


@pytest.mark.parametrize(
    ("host", "scheme", "server", "expected"),
    [
        (b"example.com", "http", ("127.0.0.1", 8000), "http://example.com"),
        (b"example.com:8443", "https", ("127.0.0.1", 8443), "https://example.com:8443"),
        (b"[::1]:8000", "http", ("::1", 8000), "http://[::1]:8000"),
        (None, "http", ("127.0.0.1", 8000), "http://127.0.0.1:8000"),
        (None, "http", ("127.0.0.1", 80), "http://127.0.0.1"),
        (None, "https", ("127.0.0.1", 443), "https://127.0.0.1"),
        (None, "http", ("127.0.0.1", 443), "http://127.0.0.1:443"),
        (None, "http", ("::1", 8000), "http://[::1]:8000"),
        (None, "http", ("/run/app.sock", None), "http://localhost"),
        (None, "http", None, "http://localhost"),
        (b"", "http", ("127.0.0.1", 8000), "http://127.0.0.1:8000"),
    ],
)
def test_base_url_and_url_name_scheme_and_host(host, scheme, server, expected):
    headers = [] if host is None else [(b"host", host)]
    request = get("/a?b=c", headers=headers, scheme=scheme, server=server)
    assert request.base_url == expected
    assert request.url == f"{expected}/a?b=c"


def test_urls_of_a_mounted_app_hold_its_prefix_once():
    request = get("/a b/x", root_path="/a b", raw_path=b"/a%20b/x", headers=[(b"host", b"h")])
    assert request.base_url == "http://h/a%20b"
    assert request.url == "http://h/a%20b/x"


def test_url_without_a_raw_path_is_encoded():
    request = get("/é?x=1", raw_path=None, headers=[(b"host", b"h")])
    assert request.url == "http://h/%C3%A9?x=1"


def test_url_for_joins_the_base_url_and_the_app_s_path():
    class App:
        def path_for(self, name: str, **params: Any) -> str:
            return f"/{name}/{params['key']}"

    request = get(root_path="/api", path="/api/x", headers=[(b"host", b"h")], app=App())
    assert request.url_for("item", key=3) == "http://h/api/item/3"


# The body


async def test_body_joins_the_chunks_and_can_be_read_again():
    request = post(b"a", b"", b"bc")
    assert await request.body() == b"abc"
    assert await request.body() == b"abc"
    assert received(request) == 3


async def test_body_within_the_declared_limit_is_read():
    request = post(b"abc", headers=[(b"content-length", b"3")])
    assert await request.body(3) == b"abc"


@pytest.mark.parametrize("declared", [b"4", b"99999999999999999999", b"9" * 5000])
async def test_body_declared_larger_than_the_limit_is_413_without_receiving(declared):
    request = get(headers=[(b"content-length", declared)])
    with pytest.raises(HTTPError, match=r"413.*larger than 3 bytes") as caught:
        await request.body(3)
    assert caught.value.headers == {"connection": "close"}


async def test_body_whose_declared_length_is_no_number_is_measured_as_it_comes():
    request = post(b"abc", headers=[(b"content-length", b"x")])
    assert await request.body(3) == b"abc"


async def test_body_in_chunks_is_413_as_soon_as_it_is_too_large():
    request = post(*[b"xx"] * 100)
    with pytest.raises(HTTPError, match="413"):
        await request.body(5)
    assert received(request) == 3


async def test_body_too_large_is_413_without_connection_close_over_http_2():
    request = get(headers=[(b"content-length", b"4")], http_version="2")
    with pytest.raises(HTTPError, match="413") as caught:
        await request.body(3)
    assert caught.value.headers == {}


async def test_body_is_limited_by_the_app_by_default():
    class App:
        max_body_bytes = 3

    request = post(b"abcd")
    request.scope["app"] = App()
    for _ in range(2):
        with pytest.raises(HTTPError, match="larger than 3 bytes"):
            await request.body()
    assert await request.body(4) == b"abcd"


async def test_body_that_was_read_under_a_larger_limit_stays_readable():
    class App:
        max_body_bytes = 3

    request = post(b'"abcd"')
    request.scope["app"] = App()
    await request.body(100)
    assert await request.json() == "abcd"
    with pytest.raises(HTTPError, match="413"):
        await request.body(3)


async def test_body_too_large_for_one_reader_is_whole_for_another():
    request = post(b"abc", b"def", b"ghi")
    with pytest.raises(HTTPError, match="413"):
        await request.body(4)
    assert await request.body(9) == b"abcdefghi"


async def test_body_of_a_client_that_leaves_is_client_disconnected():
    request = post(b"a", whole=False, leaves=True)
    with pytest.raises(ClientDisconnected):
        await request.body()


async def test_body_whose_reading_was_cancelled_is_whole_when_read_again():
    request = post(b"a", b"b", whole=False)
    sender = request.receive
    assert isinstance(sender, Sender)
    async with anyio.create_task_group() as group:
        group.start_soon(request.body)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    sender.messages.append({"type": "http.request", "body": b"c"})
    sender.go_on.set()
    assert await request.body() == b"abc"


async def test_body_read_by_two_tasks_is_whole_for_both():
    request = post(*[b"%d" % number for number in range(10)], leaves=True)
    bodies = []

    async def read() -> None:
        bodies.append(await request.body())

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        group.start_soon(read)
    assert bodies == [b"0123456789", b"0123456789"]


async def test_stream_gives_the_chunks_as_they_come():
    request = post(b"a", b"", b"b")
    assert [chunk async for chunk in request.stream()] == [b"a", b"b"]


async def test_stream_after_body_gives_the_body_again():
    request = post(b"a", b"b")
    await request.body()
    for _ in range(2):
        assert [chunk async for chunk in request.stream()] == [b"ab"]


async def test_stream_after_an_empty_body_gives_nothing():
    request = post(b"")
    await request.body()
    assert [chunk async for chunk in request.stream()] == []


async def test_stream_twice_says_what_to_do():
    request = post(b"a")
    async for _ in request.stream():
        pass
    with pytest.raises(RuntimeError, match=r"already read by stream\(\); use body\(\)"):
        await anext(request.stream())


async def test_body_after_stream_says_why_not():
    request = post(b"a")
    async for _ in request.stream():
        pass
    with pytest.raises(RuntimeError, match=r"already read by stream\(\)"):
        await request.body()


async def test_stream_after_a_cancelled_body_begins_at_the_beginning():
    request = post(b"a", b"b", whole=False)
    sender = request.receive
    assert isinstance(sender, Sender)
    async with anyio.create_task_group() as group:
        group.start_soon(request.body)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    sender.messages.append({"type": "http.request", "body": b"c"})
    sender.go_on.set()
    assert [chunk async for chunk in request.stream()] == [b"a", b"b", b"c"]


async def test_stream_taking_the_body_from_a_waiting_task_is_an_error_there():
    request = post(b"a", b"b", whole=False)
    sender = request.receive
    assert isinstance(sender, Sender)

    async def read() -> None:
        with pytest.raises(RuntimeError, match="already read by stream"):
            await request.body()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        async with aclosing(request.stream()) as chunks:
            assert await anext(chunks) == b"a"
            sender.messages.append({"type": "http.request", "body": b"c", "more_body": True})
            sender.go_on.set()
            sender.messages.append({"type": "http.request", "body": b"d"})


async def test_stream_declared_larger_than_the_limit_is_413_without_receiving():
    request = get(headers=[(b"content-length", b"4")])
    with pytest.raises(HTTPError, match=r"413.*larger than 3 bytes"):
        await anext(request.stream(max_bytes=3))


async def test_stream_refused_for_its_declared_length_can_still_be_read():
    request = post(b"abcd", headers=[(b"content-length", b"4")])
    with pytest.raises(HTTPError, match="413"):
        await anext(request.stream(max_bytes=3))
    assert await request.body() == b"abcd"


async def test_stream_is_413_as_soon_as_it_is_too_large():
    request = post(*[b"xx"] * 100)
    async with aclosing(request.stream(max_bytes=5)) as chunks:
        assert [await anext(chunks), await anext(chunks)] == [b"xx", b"xx"]
        with pytest.raises(HTTPError, match="413"):
            await anext(chunks)
    assert received(request) == 3


async def test_stream_of_a_body_that_was_read_honours_the_limit():
    request = post(b"abcd")
    await request.body()
    with pytest.raises(HTTPError, match="413"):
        await anext(request.stream(max_bytes=3))


async def test_stream_of_a_client_that_leaves_is_client_disconnected():
    request = post(b"a", whole=False, leaves=True)
    async with aclosing(request.stream()) as chunks:
        assert await anext(chunks) == b"a"
        with pytest.raises(ClientDisconnected):
            await anext(chunks)


async def test_json_is_the_value_of_the_body():
    assert await post(b'{"a":', b" 1}").json() == {"a": 1}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "is empty where JSON was expected"),
        (b'{"a": }', "is not JSON: .*line 1 column 7"),
        (b"\xff", "is not JSON"),
        (b" ", "is not JSON"),
    ],
)
async def test_json_that_is_none_is_400(body, detail):
    with pytest.raises(HTTPError, match=f"400 Bad Request: the request body {detail}"):
        await post(body).json()


async def test_json_beyond_the_limit_is_413():
    with pytest.raises(HTTPError, match="413"):
        await post(b'"abc"').json(max_bytes=3)


# The disconnect


async def test_is_disconnected_keeps_body_that_arrives_meanwhile():
    request = post(b"a", b"b", leaves=True)
    for _ in range(100):  # a poll on a busy machine may see nothing
        if await request.is_disconnected():
            break
    assert await request.is_disconnected()
    assert await request.body() == b"ab"


async def test_is_disconnected_of_a_silent_client_is_false():
    request = post(b"a", whole=False)
    assert not await request.is_disconnected()
    assert not await request.is_disconnected()


async def test_disconnected_returns_while_another_task_reads_the_body():
    request = post(b"a", b"b", b"c", leaves=True)
    bodies = []

    async def read() -> None:
        bodies.append(await request.body())

    async with anyio.create_task_group() as group:
        group.start_soon(request.disconnected)
        group.start_soon(read)
    assert bodies == [b"abc"]
    assert request.inbox.is_disconnected


async def test_body_that_was_discarded_while_nobody_read_it_is_an_overrun():
    request = post(*[b"x" * 32 * 1024] * 4, leaves=True)
    await request.disconnected()
    with pytest.raises(BodyOverrun):
        await request.body()


async def test_requests_over_one_inbox_share_it():
    request = post(b"a", b"b")
    again = Request(request.scope, request.inbox)
    assert again.inbox is request.inbox
    assert await again.inbox.chunk() == (b"a", True)
    assert await request.inbox.chunk() == (b"b", False)


# The form


async def test_form_is_read_once_and_closed_with_the_request():
    boundary = b"--b\r\n"
    request = post(
        boundary
        + b'content-disposition: form-data; name="f"; filename="n"\r\n\r\nabc\r\n--b--\r\n',
        headers=[(b"content-type", b"multipart/form-data; boundary=b")],
    )
    assert not request.has_form
    form = await request.form()
    assert request.has_form
    assert await request.form() is form
    ((_, upload),) = form.files
    assert await upload.read() == b"abc"
    await request.aclose()
    assert upload.file.closed


async def test_form_read_by_two_tasks_is_one_form():
    request = post(
        b"a=1&", b"b=2", headers=[(b"content-type", b"application/x-www-form-urlencoded")]
    )
    forms = []

    async def read() -> None:
        forms.append(await request.form())

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        group.start_soon(read)
    assert forms[0] is forms[1]
    assert dict(forms[0]) == {"a": "1", "b": "2"}


async def test_form_after_body_is_read_from_it():
    request = post(b"a=1", headers=[(b"content-type", b"application/x-www-form-urlencoded")])
    await request.body()
    assert dict(await request.form()) == {"a": "1"}


async def test_closing_a_request_without_a_form_does_nothing():
    await get().aclose()
