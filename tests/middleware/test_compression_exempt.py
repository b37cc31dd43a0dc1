"""What the compression middleware leaves alone."""

import pytest
from fakes import http_scope
from middleware.compressed import JSON, TEXT, app_of, ask, body, sized, start
from middleware.decoding import decode

from asgi_rt import (
    Response,
)
from asgi_rt.http.static import StaticFiles
from asgi_rt.middleware.compression import CompressionMiddleware


@pytest.mark.parametrize(
    "message",
    [
        sized(b"a" * 1000, ("content-encoding", "br")),
        sized(b"a" * 1000, ("Content-Encoding", "identity")),
        sized(b"a" * 1000, ("cache-control", "no-transform")),
        sized(b"a" * 1000, ("content-digest", "sha-256=:a:")),
        start(("content-type", "image/png"), ("content-length", "1000")),
        start(("content-type", "image/png")),
        start(("content-length", "1000")),
        start(),
    ],
)
async def test_what_must_not_or_need_not_be_compressed_is_left_alone(message):
    server = await ask(app_of(message, body(b"a" * 500, more=True), body(b"a" * 500)))
    assert server.messages[0] == message
    assert server.body == b"a" * 1000


@pytest.mark.parametrize("status", [204, 304])
async def test_what_has_no_body_gets_none(status):
    server = await ask(app_of(start(JSON, status=status), body()))
    assert server.status == status
    assert server.body == b""
    assert "content-encoding" not in server.headers


async def test_a_304_varies_like_the_response_it_stands_for_and_has_its_tag():
    known = [("if-none-match", 'W/"a"')]
    server = await ask(app_of(start(("etag", '"a"'), status=304), body()), headers=known)
    assert server.headers == {"etag": 'W/"a"', "vary": "Accept-Encoding"}


async def test_a_head_has_the_vary_of_a_get_and_no_length_that_lies():
    data = TEXT.encode()
    server = await ask(app_of(sized(data, ("etag", '"a"')), body()), method="HEAD")
    assert server.headers == {
        "content-type": "application/json",
        "etag": 'W/"a"',
        "vary": "Accept-Encoding",
    }
    server = await ask(app_of(sized(data, ("etag", '"a"')), body()), None, method="HEAD")
    assert server.headers["content-length"] == str(len(data))
    assert server.headers["etag"] == '"a"'
    server = await ask(app_of(sized(b"small"), body()), method="HEAD")
    assert server.headers["content-length"] == "5"
    assert "vary" not in server.headers


async def test_a_part_is_sent_as_it_is(tmp_path):
    (tmp_path / "page.html").write_text(TEXT)
    files = StaticFiles(tmp_path)
    whole = await ask(files, path="/page.html")
    assert decode("gzip", whole.body) == TEXT.encode()
    assert "accept-ranges" not in whole.headers
    part = await ask(files, path="/page.html", headers=[("range", "bytes=0-999")])
    assert part.status == 206
    assert part.body == TEXT[:1000].encode()
    assert "content-encoding" not in part.headers
    assert part.headers["vary"] == "Accept-Encoding"
    ignored = [("range", "bytes=0-999"), ("if-range", '"another"')]
    server = await ask(files, path="/page.html", headers=ignored)
    assert (server.status, server.body) == (200, TEXT.encode())
    etag = whole.headers["etag"]
    again = await ask(files, path="/page.html", headers=[("if-none-match", etag)])
    assert (again.status, again.headers["etag"]) == (304, etag)


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
async def test_a_file_that_the_server_reads_is_left_to_it(kind):
    message = sized(b"a" * 1000)
    server = await ask(app_of(message, {"type": kind, "path": "/a"}))
    assert server.messages[1] == {"type": kind, "path": "/a"}
    assert server.headers["content-length"] == "1000"
    assert "content-encoding" not in server.headers


async def test_a_file_that_the_server_reads_cannot_follow_a_head_that_says_compressed():
    with pytest.raises(RuntimeError, match="give it one, or content-encoding: identity"):
        await ask(app_of(start(JSON), {"type": "http.response.pathsend", "path": "/a"}))


async def test_other_messages_pass():
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
    server = await ask(app_of(hint, start(JSON), body(b"a", more=True), body(), trailers))
    assert server.messages[0] is hint
    assert server.messages[-1] is trailers


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "unknown"])
async def test_other_scopes_go_straight_to_the_app(kind):
    seen = []

    async def app(*arguments):
        seen.append(arguments)

    scope, receive, send = {"type": kind}, object(), object()
    await CompressionMiddleware(app)(scope, receive, send)
    assert seen == [(scope, receive, send)]


async def test_the_request_is_the_servers_own_and_never_decompressed():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive))
        await Response()(scope, receive, send)

    scope = http_scope(method="POST", headers=[(b"content-encoding", b"gzip")])

    async def receive():
        return {"type": "http.request", "body": b"\x1f\x8bbomb", "more_body": False}

    async def send(message):
        pass

    await CompressionMiddleware(app)(scope, receive, send)
    assert seen == [(scope, receive)]
    assert seen[0][0] is scope
