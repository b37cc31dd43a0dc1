"""Which responses may be compressed, and what their heads say then."""

import pytest

from asgi_rt.http.headers import MutableHeaders
from asgi_rt.middleware.compressible import (
    CONTENT_TYPES,
    ContentTypes,
    Treatment,
    declared_length,
    fields_of,
    mark_encoded,
    mark_not_modified,
    mark_only_head,
    treatment,
)

DEFAULT = ContentTypes(CONTENT_TYPES)
LEAVE, VARY, COMPRESS = Treatment.LEAVE, Treatment.VARY, Treatment.COMPRESS


def headers(**fields):
    return MutableHeaders(
        [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/html; charset=utf-8",
        "TEXT/HTML",
        " text/css ;charset=utf-8",
        "text/event-stream",
        "text/csv",
        "application/json",
        "application/problem+json",
        "application/x-ndjson",
        "application/javascript",
        "text/javascript",
        "application/xml",
        "image/svg+xml",
        "application/atom+xml",
        "application/wasm",
    ],
)
def test_text_and_data_are_compressed_by_default(content_type):
    assert content_type in DEFAULT


@pytest.mark.parametrize(
    "content_type",
    [
        "image/png",
        "image/webp",
        "video/mp4",
        "audio/mpeg",
        "font/woff2",
        "application/zip",
        "application/gzip",
        "application/pdf",
        "application/octet-stream",
        "multipart/byteranges; boundary=text/html",
        "application/epub+zip",
        "textual/plain",
        "image/svg",
        "json",
        "+json",
        "/",
        "",
    ],
)
def test_what_is_compressed_already_or_unknown_is_not(content_type):
    assert content_type not in DEFAULT


def test_patterns_are_exact_of_one_kind_or_of_one_suffix():
    types = ContentTypes(["Application/X", "font/*", "*+cbor"])
    for yes in ("application/x", "font/ttf", "a/b+cbor", "a/b+c+cbor"):
        assert yes in types
    for no in ("application/xx", "fonts/ttf", "a/cbor", "a/b+cbor2"):
        assert no not in types


def test_what_is_excluded_is_out_whatever_includes_it():
    types = ContentTypes(["text/*", "*+json"], excluded=["text/event-stream", "*+json"])
    assert "text/plain" in types
    assert "text/event-stream; charset=utf-8" not in types
    assert "application/a+json" not in types


@pytest.mark.parametrize(
    "pattern",
    ["json", "*", "*/*", "*/json", "text/", "/html", "text/html; charset=utf-8", "", "+json"],
)
def test_what_is_no_pattern_is_refused_with_how_to_write_one(pattern):
    with pytest.raises(ValueError, match=r"is not a content type: write .*'text/\*'"):
        ContentTypes([pattern])
    with pytest.raises(ValueError, match="is not a content type"):
        ContentTypes([], excluded=[pattern])


def test_one_str_is_not_several_patterns():
    with pytest.raises(TypeError, match=r"write \['text/html'\]"):
        ContentTypes("text/html")


def treated(status=200, *, method="GET", has_range=False, **fields):
    fields = {"content_type": "text/html", **fields}
    raw = headers(**{name: value for name, value in fields.items() if value is not None}).raw
    return treatment(status, fields_of(raw), method=method, has_range=has_range, included=DEFAULT)


@pytest.mark.parametrize(
    ("expected", "status", "fields"),
    [
        (COMPRESS, 200, {}),
        (COMPRESS, 201, {}),
        (COMPRESS, 404, {}),
        (COMPRESS, 500, {}),
        (COMPRESS, 200, {"cache_control": "no-cache, max-age=1"}),
        (COMPRESS, 200, {"cache_control": 'private="no-transform-not"'}),
        (COMPRESS, 200, {"accept_ranges": "bytes"}),
        (LEAVE, 100, {}),
        (LEAVE, 103, {}),
        (LEAVE, 204, {}),
        (LEAVE, 205, {}),
        (LEAVE, 200, {"content_type": None}),
        (LEAVE, 200, {"content_type": "image/png"}),
        (LEAVE, 200, {"content_encoding": "br"}),
        (LEAVE, 200, {"content_encoding": "identity"}),
        (LEAVE, 200, {"cache_control": "no-transform"}),
        (LEAVE, 200, {"cache_control": "public, No-Transform , max-age=1"}),
        (LEAVE, 200, {"content_digest": "sha-256=:x:"}),
        (LEAVE, 200, {"repr_digest": "sha-256=:x:"}),
        (LEAVE, 200, {"content_md5": "x"}),
        (VARY, 206, {}),
        (LEAVE, 206, {"content_type": "multipart/byteranges; boundary=x"}),
        (VARY, 200, {"content_range": "bytes 0-1/2"}),
        (VARY, 416, {"content_range": "bytes */2"}),
        (VARY, 304, {}),
        (VARY, 304, {"content_type": None}),
        (LEAVE, 304, {"content_type": "image/png"}),
        (LEAVE, 304, {"content_type": None, "cache_control": "no-transform"}),
    ],
)
def test_the_treatment_of_a_response(expected, status, fields):
    assert treated(status, **fields) is expected


def test_the_answer_to_a_head_is_left_as_it_is():
    assert treated(method="HEAD") is VARY
    assert treated(method="HEAD", content_type="image/png") is LEAVE


@pytest.mark.parametrize(
    ("accept_ranges", "expected"), [("bytes", VARY), ("none", COMPRESS), (None, COMPRESS)]
)
def test_the_answer_to_a_range_is_left_as_it_is_where_ranges_are_known(accept_ranges, expected):
    assert treated(has_range=True, accept_ranges=accept_ranges) is expected


def test_fields_are_found_in_any_case_and_joined():
    raw = [(b"Content-Encoding", b"br"), (b"cache-control", b"a"), (b"Cache-Control", b"b")]
    assert fields_of(raw) == {b"content-encoding": b"br", b"cache-control": b"a,b"}


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("0", 0),
        ("12", 12),
        ("12,12", None),
        ("-1", None),
        ("1e3", None),
        ("", None),
        ("9" * 5000, None),
        ("\xb2", None),
    ],
)
def test_the_length_that_a_head_declares(value, length):
    assert declared_length({b"content-length": value.encode("latin-1")}) == length
    assert declared_length({}) is None


def test_the_head_of_a_body_in_a_coding():
    fields = headers(content_length="9", etag='"a"', accept_ranges="bytes", x="y")
    mark_encoded(fields, "gzip", 5)
    assert dict(fields) == {
        "content-length": "5",
        "etag": 'W/"a"',
        "x": "y",
        "content-encoding": "gzip",
    }


def test_the_head_of_a_stream_in_a_coding_has_no_length():
    fields = headers(content_length="9", etag='W/"a"')
    mark_encoded(fields, "br", None)
    assert dict(fields) == {"etag": 'W/"a"', "content-encoding": "br"}


def test_a_head_without_its_body_has_no_length_that_is_another_bodys():
    fields = headers(content_length="9", etag='"a"', accept_ranges="bytes")
    mark_only_head(fields)
    assert dict(fields) == {"etag": 'W/"a"', "accept-ranges": "bytes"}


@pytest.mark.parametrize(
    ("etag", "known", "sent"),
    [
        ('"a"', 'W/"a"', 'W/"a"'),
        ('"a"', '"b", W/"a"', 'W/"a"'),
        ('"a"', '"a"', '"a"'),
        ('"a"', 'W/"b"', '"a"'),
        ('"a"', "*", '"a"'),
        ('"a"', "", '"a"'),
        ('W/"a"', 'W/"a"', 'W/"a"'),
    ],
)
def test_a_304_has_the_tag_that_the_client_knows(etag, known, sent):
    fields = headers(etag=etag)
    mark_not_modified(fields, known)
    assert fields["etag"] == sent


def test_a_304_without_a_tag_gets_none():
    fields = headers()
    mark_not_modified(fields, 'W/""')
    assert dict(fields) == {}
