"""The middleware in process: whole bodies, which coding, what heads say, options, frameworks."""

import json
import random
import sys

import fastapi
import pytest
from fakes import FakeServer
from middleware.compressed import JSON, TEXT, app_of, ask, body, codings, sized, start
from middleware.decoding import decode
from starlette.applications import Starlette
from starlette.responses import JSONResponse as StarletteJSON
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route

from asgi_rt import (
    App,
    EventStream,
    MissingExtra,
    TextResponse,
)
from asgi_rt.middleware.compression import CompressionMiddleware
from asgi_rt.middleware.encoding import PIECE_BYTES

# Whole bodies


@codings
async def test_a_whole_body_is_compressed_with_its_new_length(coding):
    server = await ask(TextResponse(TEXT), coding)
    assert server.headers["content-encoding"] == coding
    assert server.headers["vary"] == "Accept-Encoding"
    assert int(server.headers["content-length"]) == len(server.body) < len(TEXT) / 5
    assert decode(coding, server.body) == TEXT.encode()
    assert [message["type"] for message in server.messages] == [
        "http.response.start",
        "http.response.body",
    ]
    assert server.is_complete


@pytest.mark.parametrize(
    ("size", "is_compressed"), [(0, False), (499, False), (500, True), (501, True)]
)
async def test_what_is_smaller_than_the_minimum_is_sent_as_it_is(size, is_compressed):
    server = await ask(TextResponse(TEXT[:size]))
    assert ("content-encoding" in server.headers) is is_compressed
    assert ("vary" in server.headers) is is_compressed
    assert int(server.headers["content-length"]) == len(server.body)


async def test_the_minimum_is_an_option():
    assert (
        "content-encoding"
        in (await ask(TextResponse("a" * 100), options={"minimum_size": 100})).headers
    )
    assert (
        "content-encoding"
        not in (await ask(TextResponse(TEXT), options={"minimum_size": len(TEXT) + 1})).headers
    )


@codings
async def test_what_would_not_get_smaller_is_sent_as_it_is(coding):
    noise = random.Random(1).randbytes(600)
    server = await ask(app_of(sized(noise, ("etag", '"a"')), body(noise)), coding)
    assert "content-encoding" not in server.headers
    assert server.headers["content-length"] == "600"
    assert server.headers["etag"] == '"a"'
    assert server.headers["vary"] == "Accept-Encoding"
    assert server.body == noise


@codings
@pytest.mark.parametrize("size", [PIECE_BYTES, PIECE_BYTES + 1, 1_000_000])
async def test_a_large_whole_body_is_compressed_as_well(coding, size):
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    server = await ask(TextResponse(data), coding)
    assert int(server.headers["content-length"]) == len(server.body) < size / 5
    assert decode(coding, server.body) == data.encode()


async def test_a_client_that_refuses_a_body_without_a_coding_gets_none():
    small = await ask(TextResponse("small"), "gzip, identity;q=0")
    assert decode("gzip", small.body) == b"small"
    assert int(small.headers["content-length"]) == len(small.body) > 5
    nothing = await ask(TextResponse(""), "gzip, identity;q=0")
    assert "content-encoding" not in nothing.headers


# Which coding


@pytest.mark.parametrize(
    ("accept", "whole", "streamed"),
    [
        ("gzip, deflate, br, zstd", "zstd", "gzip"),
        ("br, zstd", "zstd", "zstd"),
        ("br", "br", "br"),
        ("gzip;q=0.5, br", "br", "br"),
        ("*", "zstd", "gzip"),
        ("GZIP;Q=0.5", "gzip", "gzip"),
        ("gzip;q=0", None, None),
        ("identity", None, None),
        ("deflate", None, None),
        ("gzip;q=oops", None, None),
        ("", None, None),
        (None, None, None),
        ("gzip," * 20_000, None, None),
    ],
)
async def test_the_client_chooses_then_the_server(accept, whole, streamed):
    data = TEXT.encode()
    server = await ask(app_of(sized(data), body(data)), accept)
    assert server.headers.get("content-encoding") == whole
    assert server.headers["vary"] == "Accept-Encoding"
    server = await ask(app_of(start(JSON), body(data)), accept)
    assert server.headers.get("content-encoding") == streamed
    assert server.headers["vary"] == "Accept-Encoding"


async def test_several_fields_are_one():
    server = await ask(TextResponse(TEXT), "gzip;q=0", headers=[("accept-encoding", "gzip, br")])
    assert server.headers["content-encoding"] == "br"


@pytest.mark.parametrize(
    ("options", "whole", "streamed"),
    [
        ({"encodings": ["br", "gzip"]}, "br", "gzip"),
        ({"encodings": ["gzip"]}, "gzip", "gzip"),
        ({"stream_encodings": ["zstd"]}, "zstd", "zstd"),
        ({"encodings": ["gzip"], "stream_encodings": ["br"]}, "gzip", "br"),
        ({"stream_encodings": []}, "zstd", None),
        ({"encodings": [], "stream_encodings": ["gzip"]}, None, "gzip"),
    ],
)
async def test_what_is_offered_is_an_option(options, whole, streamed):
    data = TEXT.encode()
    for message, coding in ((sized(data), whole), (start(JSON), streamed)):
        server = await ask(app_of(message, body(data)), "gzip, br, zstd", options=options)
        assert server.headers.get("content-encoding") == coding
        assert ("vary" in server.headers) is (coding is not None)


# Heads


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "Accept-Encoding"),
        ("Accept-Encoding", "Accept-Encoding"),
        ("accept-encoding", "accept-encoding"),
        ("Origin", "Origin, Accept-Encoding"),
        ("Origin, ACCEPT-ENCODING", "Origin, ACCEPT-ENCODING"),
        ("*", "*"),
    ],
)
async def test_vary_names_the_field_once(before, after):
    fields = [] if before is None else [("vary", before)]
    server = await ask(app_of(start(JSON, *fields), body(b"a")))
    assert [value for name, value in server.messages[0]["headers"] if name == b"vary"] == [
        after.encode()
    ]


@pytest.mark.parametrize(
    ("before", "after"), [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"')], ids=["strong", "weak"]
)
async def test_an_entity_tag_becomes_weak(before, after):
    data = TEXT.encode()
    for message in (start(JSON, ("etag", before)), sized(data, ("etag", before))):
        assert (await ask(app_of(message, body(data)))).headers["etag"] == after
        assert (await ask(app_of(message, body(data)), None)).headers["etag"] == before


async def test_an_apps_messages_are_never_changed():
    data = TEXT.encode()
    messages = (sized(data, ("etag", '"a"')), body(data))
    kept = json.dumps(messages, default=str)
    for _ in range(2):
        assert decode("gzip", (await ask(app_of(*messages))).body) == data
    assert json.dumps(messages, default=str) == kept


async def test_headers_that_are_absent_or_an_iterator_do():
    server = await ask(app_of({"type": "http.response.start", "status": 200}, body(b"a")))
    assert server.body == b"a"
    fields = iter([(b"content-type", b"text/html")])
    message = {"type": "http.response.start", "status": 200, "headers": fields}
    assert decode("gzip", (await ask(app_of(message, body(b"a")))).body) == b"a"


# Options


async def test_content_types_are_an_option():
    options = {"content_types": ["application/x-mine", "*+json"]}
    mine = start(("content-type", "application/x-mine"))
    assert "content-encoding" in (await ask(app_of(mine, body()), options=options)).headers
    assert (
        "content-encoding" not in (await ask(app_of(start(JSON), body()), options=options)).headers
    )


async def test_events_are_compressed_unless_excluded():
    def events():
        return EventStream(iter(["hello"]), retry=None)

    server = await ask(events())
    assert decode("gzip", server.body) == b"data: hello\n\n"
    server = await ask(events(), options={"exclude_content_types": ["text/event-stream"]})
    assert server.body == b"data: hello\n\n"
    assert "vary" not in server.headers


async def test_levels_are_an_option():
    data = json.dumps([{"id": number, "name": f"n{number * 7919 % 997}"} for number in range(2000)])
    sizes = [
        len((await ask(TextResponse(data), options={"levels": {"gzip": level}})).body)
        for level in (1, 9)
    ]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"minimum_size": -1}, ValueError, "minimum_size is a number of bytes"),
        ({"encodings": ["lzma"]}, ValueError, "no coding 'lzma'"),
        ({"stream_encodings": ["lzma"]}, ValueError, "no coding 'lzma'"),
        ({"levels": {"gzip": 11}}, ValueError, "from 1 to 9"),
        ({"content_types": ["html"]}, ValueError, "'html' is not a content type"),
        ({"exclude_content_types": "text/html"}, TypeError, "write"),
        ({"encodings": "gzip"}, TypeError, "write"),
    ],
)
def test_wrong_options_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        CompressionMiddleware(app_of(), **options)


def test_a_missing_package_is_named_only_where_it_was_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert CompressionMiddleware(app_of()).encodings == ("zstd", "gzip")
    with pytest.raises(MissingExtra, match=r"asgi-rt\[brotli\]"):
        CompressionMiddleware(app_of(), stream_encodings=["br"])


# Frameworks and layers


def asgi_rt_app():
    app = App()

    @app.get("/whole")
    async def whole(request):
        return {"text": TEXT}

    @app.get("/lines")
    async def lines(request):
        for number in range(3):
            yield {"line": number}

    return app


def starlette_app():
    async def whole(request):
        return StarletteJSON({"text": TEXT})

    async def lines(request):
        async def given():
            for number in range(3):
                yield json.dumps({"line": number}) + "\n"

        return StarletteStream(given(), media_type="application/x-ndjson")

    return Starlette(routes=[Route("/whole", whole), Route("/lines", lines)])


def fastapi_app():
    app = fastapi.FastAPI()

    @app.get("/whole")
    async def whole():
        return {"text": TEXT}

    @app.get("/lines")
    async def lines():
        async def given():
            for number in range(3):
                yield json.dumps({"line": number}) + "\n"

        return StarletteStream(given(), media_type="application/x-ndjson")

    return app


frameworks = pytest.mark.parametrize("make", [asgi_rt_app, starlette_app, fastapi_app])


@frameworks
@codings
async def test_it_is_added_to_an_app_of_any_framework(make, coding):
    app = make()
    app.add_middleware(CompressionMiddleware, minimum_size=100, encodings=[coding])
    bodies = {}
    for path in ("/whole", "/lines"):
        server = FakeServer(path=path, headers=[(b"accept-encoding", coding.encode())])
        await app(server.scope, server.receive, server.send)
        assert server.headers["content-encoding"] == coding
        bodies[path] = decode(coding, server.body)
    assert json.loads(bodies["/whole"]) == {"text": TEXT}
    assert [json.loads(line)["line"] for line in bodies["/lines"].splitlines()] == [0, 1, 2]


async def test_two_layers_compress_once():
    app = CompressionMiddleware(TextResponse(TEXT))
    server = await ask(app)
    assert decode("gzip", server.body) == TEXT.encode()
    assert server.headers["vary"] == "Accept-Encoding"
