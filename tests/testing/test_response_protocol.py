"""Which messages an app may send, when, and of what shape."""

import http

import pytest

from asgi_rt.testing import MessageError
from asgi_rt.testing.protocol import (
    BodyFile,
    BodyPart,
    EarlyHint,
    ResponseHead,
    ResponseProtocol,
    ServerPush,
    Stage,
    Trailers,
)

EXTENSIONS = (
    "http.response.pathsend",
    "http.response.trailers",
    "http.response.early_hint",
    "http.response.push",
)
START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"ab", "more_body": True}
END = {"type": "http.response.body"}
FILE = {"type": "http.response.pathsend", "path": "/file"}
HINT = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}
PUSH = {"type": "http.response.push", "path": "/a", "headers": []}
WITH_TRAILERS = {**START, "trailers": True}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"etag", b"1")]}
MESSAGES = {
    "start": START,
    "part": PART,
    "end": END,
    "file": FILE,
    "hint": HINT,
    "push": PUSH,
    "trailers": TRAILERS,
}
REACHED_BY = {
    Stage.HEAD: [],
    Stage.BODY: [START],
    Stage.FILE: [START, FILE],
    Stage.TRAILERS: [WITH_TRAILERS, END],
    Stage.END: [START, END],
}
LEADS_TO = {
    (Stage.HEAD, "start"): Stage.BODY,
    (Stage.HEAD, "hint"): Stage.HEAD,
    (Stage.HEAD, "push"): Stage.HEAD,
    (Stage.BODY, "part"): Stage.BODY,
    (Stage.BODY, "end"): Stage.END,
    (Stage.BODY, "file"): Stage.FILE,
    (Stage.BODY, "push"): Stage.BODY,
    (Stage.TRAILERS, "trailers"): Stage.END,
}


def make_protocol(*messages, method="GET", extensions=EXTENSIONS):
    protocol = ResponseProtocol(name=f"{method} /path", method=method, extensions=extensions)
    for message in messages:
        protocol.receive(message)
    return protocol


def start(*headers, status=200):
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data, more_body=False):
    return {"type": "http.response.body", "body": data, "more_body": more_body}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_in_every_stage(stage, kind):
    protocol = make_protocol(*REACHED_BY[stage])
    assert protocol.stage is stage
    expected = LEADS_TO.get((stage, kind))
    if expected is None:
        with pytest.raises(MessageError, match=rf"GET /path: .*{MESSAGES[kind]['type']} when"):
            protocol.receive(MESSAGES[kind])
        assert protocol.stage is stage
    else:
        protocol.receive(MESSAGES[kind])
        assert protocol.stage is expected


def test_messages_become_events():
    protocol = make_protocol()
    assert protocol.receive(HINT) == EarlyHint([b"</a>; rel=preload"])
    assert protocol.receive(PUSH) == ServerPush("/a", [])
    head = {**WITH_TRAILERS, "status": http.HTTPStatus.CREATED, "headers": [[b"a", b"1"]]}
    assert protocol.receive(head) == ResponseHead(201, [(b"a", b"1")])
    assert protocol.receive(PART) == BodyPart(b"ab")
    assert protocol.receive(END) == BodyPart(b"")
    assert protocol.receive({**TRAILERS, "more_trailers": True}) == Trailers([(b"etag", b"1")])
    assert not protocol.is_complete
    assert protocol.receive(TRAILERS) == Trailers([(b"etag", b"1")])
    assert protocol.is_complete
    assert make_protocol(START).receive(FILE) == BodyFile("/file")


@pytest.mark.parametrize("message", [FILE, TRAILERS, HINT, PUSH])
def test_an_extension_that_was_not_offered_is_refused(message):
    protocol = make_protocol(extensions=())
    with pytest.raises(MessageError, match="an extension that scope"):
        protocol.receive(message)


def test_trailers_that_were_not_offered_are_refused_at_the_start():
    with pytest.raises(MessageError, match=r"trailers=True needs the extension"):
        make_protocol(WITH_TRAILERS, extensions=())


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, "unknown type None"),
        ({"type": "websocket.send"}, "unknown type 'websocket.send'"),
        ({"type": 1}, "unknown type 1"),
        (start(status="200"), "status must be an int, not '200'"),
        (start(status=True), "status must be an int, not True"),
        (start(status=103), "not the status of a final response"),
        ({"type": "http.response.start"}, "status must be an int, not None"),
        (start(("a", b"1")), "must be bytes"),
        (start((b"a", "1")), "must be bytes"),
        (start((b"a", bytearray(b"1"))), "must be bytes"),
        (start(b"ab"), r"must be a \(name, value\) pair"),
        (start((b"a", b"1", b"2")), r"must be a \(name, value\) pair"),
        (start((b"Content-Type", b"a/b")), "lower case"),
        (start((b":status", b"200")), "pseudo-header"),
        (start((b"", b"1")), "lower case"),
        (start((b"a", b"1\r\nb: 2")), "no line break"),
        (start((b"content-length", b"x")), "must be one number"),
        (start((b"content-length", b"1"), (b"content-length", b"2")), "must be one number"),
        ({**START, "headers": {b"a": b"1"}}, "must be a list"),
        ({**START, "headers": None}, "must be a list"),
        ({**START, "trailers": 1}, "trailers must be a bool"),
        ({**HINT, "links": b"</a>"}, "links must be a list of bytes"),
        ({**HINT, "links": ["</a>"]}, "links must be a list of bytes; it holds '</a>'"),
        ({**PUSH, "path": "a"}, "starts with a slash"),
    ],
)
def test_a_malformed_message_is_refused(message, error):
    protocol = make_protocol()
    with pytest.raises(MessageError, match=rf"GET /path: .*{error}"):
        protocol.receive(message)
    assert protocol.stage is Stage.HEAD


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (body("text"), "body must be bytes, not str"),
        (body(bytearray(b"a")), "body must be bytes, not bytearray"),
        (body(None), "body must be bytes, not NoneType"),
        (body(b"", more_body=None), "more_body must be a bool, not None"),
        ({**FILE, "path": b"/file"}, "path must be a str"),
    ],
)
def test_a_malformed_body_is_refused(message, error):
    protocol = make_protocol(START)
    with pytest.raises(MessageError, match=error):
        protocol.receive(message)


def test_a_body_longer_than_its_content_length_is_refused():
    protocol = make_protocol(start((b"content-length", b"3")), PART)
    with pytest.raises(MessageError, match="longer than it may be: 4 bytes so far, 3 allowed"):
        protocol.receive(PART)


def test_a_body_shorter_than_its_content_length_is_refused():
    protocol = make_protocol(start((b"content-length", b"3")), PART)
    with pytest.raises(MessageError, match="shorter than its content-length: 2 bytes of 3"):
        protocol.receive(END)
    assert not protocol.is_complete


def test_a_body_of_its_content_length_is_taken():
    assert make_protocol(start((b"content-length", b"4")), PART, body(b"cd")).is_complete


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_refuses_one(status):
    headers = [(b"content-length", b"3")] if status == 304 else []
    protocol = make_protocol(start(*headers, status=status))
    with pytest.raises(MessageError, match="longer than it may be"):
        protocol.receive(body(b"abc"))
    assert make_protocol(start(*headers, status=status), END).is_complete


def test_head_drops_the_body_and_ignores_the_content_length():
    protocol = make_protocol(start((b"content-length", b"9")), method="HEAD")
    assert protocol.receive(PART) == BodyPart(b"")
    assert protocol.receive(END) == BodyPart(b"")
    assert protocol.is_complete
    assert protocol.body_bytes == 0


def test_head_drops_a_file():
    protocol = make_protocol(START, method="HEAD")
    assert protocol.receive(FILE) == BodyPart(b"")
    assert protocol.is_complete


def test_a_file_after_a_part_of_the_body_is_refused():
    with pytest.raises(MessageError, match="after a part of the body"):
        make_protocol(START, PART, FILE)
