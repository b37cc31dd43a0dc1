"""The scope that an app is called with."""

import pytest

from asgi_rt.testing import AsyncTestClient, Exchange


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def scope_of(url="/", method="GET", headers=None, **options):
    async with AsyncTestClient(app, **options) as client:
        return Exchange.of(await client.request(method, url, headers=headers)).scope


async def test_the_whole_scope_of_a_plain_request():
    scope = await scope_of("/a?b=c", headers={"X-Name": "Value"})
    headers = scope.pop("headers")
    assert (b"x-name", b"Value") in headers
    assert (b"host", b"testserver") in headers
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"b=c",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
    }


@pytest.mark.parametrize(
    ("url", "path", "raw_path", "query_string"),
    [
        ("", "/", b"/", b""),
        ("/caf%C3%A9", "/café", b"/caf%C3%A9", b""),
        ("/café", "/café", b"/caf%C3%A9", b""),
        ("/a%2Fb%3Fc", "/a/b?c", b"/a%2Fb%3Fc", b""),
        ("/a b?q=a b&r=%C3%A9", "/a b", b"/a%20b", b"q=a%20b&r=%C3%A9"),
        ("/a?", "/a", b"/a", b""),
    ],
)
async def test_paths_are_decoded_and_kept_raw(url, path, raw_path, query_string):
    scope = await scope_of(url)
    found = (scope["path"], scope["raw_path"], scope["query_string"])
    assert found == (path, raw_path, query_string)


async def test_the_root_path_stands_before_the_path():
    scope = await scope_of("/items", root_path="/api")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (
        "/api",
        "/api/items",
        b"/api/items",
    )


@pytest.mark.parametrize(
    ("base_url", "scheme", "server"),
    [
        ("https://example.org", "https", ("example.org", 443)),
        ("http://example.org:8000", "http", ("example.org", 8000)),
        ("http://[::1]:9000", "http", ("::1", 9000)),
    ],
)
async def test_the_base_url_gives_scheme_and_server(base_url, scheme, server):
    scope = await scope_of(base_url=base_url)
    assert (scope["scheme"], scope["server"]) == (scheme, server)


@pytest.mark.parametrize("client", [("10.0.0.1", 1), None])
async def test_the_client_address_is_given(client):
    assert (await scope_of(client=client))["client"] == client


async def test_the_extensions_are_given_as_a_copy():
    extensions = {"http.response.push": {}, "custom": {"a": 1}}
    scope = await scope_of(extensions=extensions)
    assert scope["extensions"] == extensions
    assert scope["extensions"]["custom"] is not extensions["custom"]


async def test_a_spec_version_that_is_none_is_refused():
    with pytest.raises(ValueError, match="spec_version must look like"):
        AsyncTestClient(app, spec_version="latest")


async def test_method_and_repeated_headers_are_kept():
    scope = await scope_of(method="patch", headers=[("A", "1"), ("a", "2")])
    assert scope["method"] == "PATCH"
    assert [value for name, value in scope["headers"] if name == b"a"] == [b"1", b"2"]
