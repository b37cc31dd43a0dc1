"""What requests and responses are made of, against Starlette's."""

import copy
import io
import tempfile
from typing import Any

import pytest
import starlette.datastructures as theirs

import asgi_rt.fastapi.datastructures as ours
from asgi_rt.fastapi.datastructures import (
    URL,
    Default,
    DefaultPlaceholder,
    FormData,
    Headers,
    MutableHeaders,
    State,
    UploadFile,
)

FULL = "https://user:secret@example.org:123/path/to?abc=123&b=#anchor"
RAW = [(b"a", b"1"), (b"a", b"2"), (b"b", b"\xe9")]


def same(read: Any) -> None:
    """That `read` gives the same of either module."""
    expected, found = read(theirs), read(ours)
    assert str(found) == str(expected)


URLS = [
    lambda m: m.URL(FULL),
    lambda m: m.URL(FULL).components,
    lambda m: [getattr(m.URL(FULL), name) for name in ("scheme", "netloc", "path", "query")],
    lambda m: [getattr(m.URL(FULL), name) for name in ("username", "password", "hostname", "port")],
    lambda m: [m.URL(FULL).fragment, m.URL(FULL).is_secure, m.URL("/a").is_secure],
    lambda m: m.URL(FULL).replace(scheme="http", path="/x"),
    lambda m: m.URL(FULL).replace(port=None),
    lambda m: m.URL(FULL).replace(hostname="example.com"),
    lambda m: m.URL(FULL).replace(hostname="::1"),
    lambda m: m.URL(FULL).replace(username="other"),
    lambda m: m.URL(FULL).replace(password=None),
    lambda m: m.URL("http://[::1]:80/x").replace(port=None),
    lambda m: m.URL("http://[::1]/x").replace(port=5),
    lambda m: m.URL(FULL).include_query_params(abc="x y", c=1),
    lambda m: m.URL(FULL).replace_query_params(a="b"),
    lambda m: m.URL(FULL).remove_query_params("abc"),
    lambda m: m.URL(FULL).remove_query_params(["abc", "b"]),
    lambda m: repr(m.URL(FULL)),
    lambda m: m.URL(scheme="https", netloc="example.org", path="/a"),
    lambda m: [m.URL("/a") == "/a", m.URL("/a") == m.URL("/b")],
    lambda m: m.URLPath("/a", "http").make_absolute_url("https://example.org/root/"),
    lambda m: m.URLPath("/a", "websocket").make_absolute_url("https://example.org/"),
    lambda m: m.URLPath("/a", "websocket", "h.org").make_absolute_url("http://example.org/"),
    lambda m: m.URLPath("//a\\b").make_absolute_url(m.URL("http://example.org/")),
]


@pytest.mark.parametrize("read", URLS, ids=range(len(URLS)))
def test_url_is_starlettes(read):
    same(read)


SCOPES = [
    {},
    {"path": "/a?b#c\\d"},
    {"headers": []},
    {"headers": [], "server": ("::1", 8000)},
    {"headers": [], "server": None},
    {"headers": [], "server": None, "path": "//x", "query_string": b""},
    {"headers": [(b"host", b"no host/")]},
    {"headers": [(b"host", b"example.org:")]},
    {"headers": [(b"host", b"example.org:99999")]},
    {"headers": [(b"host", b"a.org"), (b"host", b"b.org")]},
    {"headers": [], "scheme": "https", "server": ("s", 443)},
    {"scheme": "wss"},
]


@pytest.mark.parametrize("changes", SCOPES, ids=range(len(SCOPES)))
def test_url_of_a_scope_is_starlettes(changes):
    scope = {
        "scheme": "http",
        "path": "/a b/é",
        "query_string": b"x=1&y=%20",
        "headers": [(b"host", b"example.org:81")],
        "server": ("server", 80),
        **changes,
    }
    same(lambda m: m.URL(scope=scope))


def test_url_is_text_as_well():
    assert URL("http://example.org/a") + "b" == "http://example.org/ab"
    assert {URL("/a"): 1}["/a"] == 1


QUERIES = [
    lambda m: m.QueryParams("a=1&a=2&b=&c"),
    lambda m: m.QueryParams(b"a=%E9&b=%C3%A9+"),
    lambda m: m.QueryParams({"a": 1}),
    lambda m: m.QueryParams([("a", 1), ("a", 2)]),
    lambda m: m.QueryParams(m.QueryParams("a=1&a=2")),
    lambda m: m.QueryParams("a=1", b=2),
    lambda m: [m.QueryParams(), m.QueryParams(None), m.QueryParams("")],
    lambda m: repr(m.QueryParams("a=1&a=2")),
    lambda m: m.QueryParams("a=1&a=2").getlist("a"),
    lambda m: m.QueryParams("a=1&a=2").multi_items(),
    lambda m: [dict(m.QueryParams("a=1&a=2")), len(m.QueryParams("a=1&a=2"))],
    lambda m: [m.QueryParams("a=1&b=2") == m.QueryParams("b=2&a=1"), m.QueryParams("a=1") == "a=1"],
    lambda m: ["a" in m.QueryParams("a=1"), m.QueryParams("a=1").get("x", "default")],
    lambda m: repr(m.FormData([("a", "1"), ("a", "2")])),
]


@pytest.mark.parametrize("read", QUERIES, ids=range(len(QUERIES)))
def test_multi_dict_is_starlettes(read):
    same(read)


def changed(m: Any) -> Any:
    headers = m.MutableHeaders({"vary": "A", "x": "1"})
    headers.add_vary_header("B")
    headers["X"] = "2"
    headers.append("x", "3")
    headers["a"] = "4"
    headers.update({"a": "5", "b": "6"})
    headers.setdefault("b", "7")
    del headers["b"]
    del headers["absent"]
    return headers.raw


HEADERS = [
    lambda m: m.Headers(raw=RAW).items(),
    lambda m: m.Headers(raw=RAW).keys(),
    lambda m: m.Headers(raw=RAW).values(),
    lambda m: [*m.Headers(raw=RAW), len(m.Headers(raw=RAW)), dict(m.Headers(raw=RAW))],
    lambda m: [m.Headers(raw=RAW)["A"], m.Headers(raw=RAW).getlist("A"), "B" in m.Headers(raw=RAW)],
    lambda m: [m.Headers({"A": "1"}).raw, m.Headers(scope={"headers": tuple(RAW)}).raw],
    lambda m: m.Headers(raw=RAW).mutablecopy().raw,
    lambda m: [repr(m.Headers({"A": "1"})), repr(m.MutableHeaders(raw=RAW))],
    changed,
]


@pytest.mark.parametrize("read", HEADERS, ids=range(len(HEADERS)))
def test_headers_are_starlettes(read):
    same(read)


@pytest.mark.parametrize("fields", [RAW, tuple(RAW)], ids=["list", "tuple"])
def test_headers_of_a_message_are_changed_in_it(fields):
    """As middleware does that adds to a response."""

    def change(m: Any) -> Any:
        message = {"headers": fields}
        headers = m.MutableHeaders(scope=message)
        headers.append("x", "1")
        headers["a"] = "3"
        del headers["b"]
        return [message["headers"], fields]

    same(change)


def test_secret_is_starlettes():
    same(lambda m: [m.Secret("hidden"), str(m.Secret("hidden")), bool(m.Secret(""))])


def test_mutable_copy_is_apart():
    headers = Headers(raw=list(RAW))
    headers.mutablecopy()["a"] = "new"
    assert headers["a"] == "1"


def test_header_that_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        MutableHeaders()["a"] = "b\r\nc: d"


def test_state_is_the_dict_by_attributes_and_items():
    values = {"a": 1}
    state = State(values)
    state.b = 2
    state["c"] = 3
    del state.a
    assert values == {"b": 2, "c": 3}
    assert (state.b, state["c"], [*state], len(state)) == (2, 3, ["b", "c"], 2)
    with pytest.raises(AttributeError, match="'State' object has no attribute 'a'"):
        _ = state.a
    del state["c"]
    assert values == {"b": 2}
    assert copy.copy(state).b == 2


def test_default_is_known_and_as_true_as_its_value():
    default = Default("json")
    assert isinstance(default, DefaultPlaceholder)
    assert default == Default("json")
    assert default != "json"
    assert not Default(None)


# Files


def spooled(max_size: int) -> Any:
    return tempfile.SpooledTemporaryFile(max_size=max_size)


@pytest.mark.parametrize("make", [io.BytesIO, lambda: spooled(100), lambda: spooled(4)])
async def test_upload_is_written_and_read(make):
    with make() as file:
        upload = UploadFile(
            file, size=0, filename="a.txt", headers=Headers({"content-type": "a/b"})
        )
        await upload.write(b"hello")
        await upload.seek(1)
        assert await upload.read(2) == b"el"
        assert await upload.read() == b"lo"
        assert (upload.size, upload.filename, upload.content_type) == (5, "a.txt", "a/b")
        await upload.close()
        await upload.close()
        assert file.closed


async def test_form_closes_its_files():
    files = [io.BytesIO(), io.BytesIO()]
    await FormData(
        [("a", UploadFile(files[0])), ("b", "text"), ("a", UploadFile(files[1]))]
    ).close()
    assert all(file.closed for file in files)
