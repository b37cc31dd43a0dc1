"""What an app may send over a WebSocket, and when: every stage, type and field."""

import pytest

from asgi_rt.testing.errors import MessageError
from asgi_rt.testing.protocol import BodyPart, ResponseHead
from asgi_rt.testing.websocket_protocol import (
    DENIAL,
    Accepted,
    Closed,
    Frame,
    Stage,
    WebSocketProtocol,
)

ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "text": "hello"}
CLOSE = {"type": "websocket.close"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"1")]}
PART = {"type": "websocket.http.response.body", "body": b"no", "more_body": True}
END = {"type": "websocket.http.response.body", "body": b"!"}

REACH = {
    Stage.HANDSHAKE: [],
    Stage.OPEN: [ACCEPT],
    Stage.DENIAL: [START, PART],
    Stage.END: [ACCEPT, CLOSE],
}
NEXT = {
    (Stage.HANDSHAKE, "websocket.accept"): Stage.OPEN,
    (Stage.HANDSHAKE, "websocket.close"): Stage.END,
    (Stage.HANDSHAKE, "websocket.http.response.start"): Stage.DENIAL,
    (Stage.OPEN, "websocket.send"): Stage.OPEN,
    (Stage.OPEN, "websocket.close"): Stage.END,
    (Stage.DENIAL, "websocket.http.response.body"): Stage.END,
}


def protocol(*messages, offered=("a", "b"), extensions=(DENIAL,)):
    made = WebSocketProtocol(name="WEBSOCKET /", offered=offered, extensions=extensions)
    for message in messages:
        made.receive(message)
    return made


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("message", [ACCEPT, SEND, CLOSE, START, END])
def test_every_message_at_every_stage(stage, message):
    reached = protocol(*REACH[stage])
    assert reached.stage is stage
    after = NEXT.get((stage, message["type"]))
    if after is None:
        with pytest.raises(MessageError) as caught:
            reached.receive(message)
        expected = f"WEBSOCKET /: the app sent {message['type']} when {stage.value}"
        assert str(caught.value) == expected
        assert reached.stage is stage
    else:
        reached.receive(message)
        assert reached.stage is after


def test_the_events_of_a_connection():
    at = protocol()
    headers = [[b"x-a", b"1"]]
    assert at.receive({**ACCEPT, "subprotocol": "b", "headers": headers}) == Accepted(
        "b", [(b"x-a", b"1")]
    )
    assert at.receive({"type": "websocket.send", "text": "é", "bytes": None}) == Frame("é", 2)
    assert at.receive({"type": "websocket.send", "bytes": b"", "text": None}) == Frame(b"", 0)
    assert at.receive({**CLOSE, "code": 4000, "reason": "done"}) == Closed(4000, "done")


def test_a_close_has_defaults():
    assert protocol(ACCEPT).receive(CLOSE) == Closed(1000, "")
    assert protocol(ACCEPT).receive({**CLOSE, "reason": None}) == Closed(1000, "")


def test_the_events_of_a_denial():
    at = protocol()
    assert at.receive(START) == ResponseHead(401, [(b"a", b"1")])
    assert at.receive(PART) == BodyPart(b"no")
    assert at.receive(END) == BodyPart(b"!")
    assert at.stage is Stage.END


@pytest.mark.parametrize(
    ("sent", "message", "complaint"),
    [
        ((), {"type": "websocket.ping"}, "unknown type 'websocket.ping'"),
        ((), {"type": "http.response.start", "status": 200}, "unknown type"),
        ((), {}, "unknown type None"),
        ((), {**ACCEPT, "subprotocol": b"a"}, "subprotocol must be a str or None, not b'a'"),
        ((), {**ACCEPT, "subprotocol": "c"}, r"subprotocol 'c'; the client offers \['a', 'b'\]"),
        ((), {**ACCEPT, "headers": {"a": "1"}}, "headers must be a list"),
        ((), {**ACCEPT, "headers": [("a", b"1")]}, "name and value must be bytes"),
        ((), {**ACCEPT, "headers": [(b"A", b"1")]}, "must be lower case"),
        ((), {**ACCEPT, "headers": [(b"a", b"1\r\nb: 2")]}, "no line break"),
        (
            (),
            {**ACCEPT, "headers": [(b"sec-websocket-protocol", b"a")]},
            "sec-websocket-protocol goes into subprotocol",
        ),
        ((ACCEPT,), {"type": "websocket.send"}, "exactly one of text and bytes .* both are None"),
        ((ACCEPT,), {**SEND, "bytes": b""}, "exactly one of text and bytes .* neither is None"),
        ((ACCEPT,), {**SEND, "text": b"hello"}, "text must be a str, not bytes"),
        ((ACCEPT,), {**SEND, "text": "\ud800"}, "text cannot be written as UTF-8"),
        ((ACCEPT,), {"type": "websocket.send", "bytes": "x"}, "bytes must be bytes, not str"),
        (
            (ACCEPT,),
            {"type": "websocket.send", "bytes": bytearray(b"x")},
            "bytes must be bytes, not bytearray",
        ),
        ((ACCEPT,), {**CLOSE, "code": "1000"}, "code must be an int, not '1000'"),
        ((ACCEPT,), {**CLOSE, "code": None}, "code must be an int, not None"),
        ((ACCEPT,), {**CLOSE, "code": True}, "code must be an int, not True"),
        ((ACCEPT,), {**CLOSE, "code": 1006}, "cannot be sent: 1006 is not a close code"),
        ((ACCEPT,), {**CLOSE, "code": 999}, "cannot be sent: 999 is not a close code"),
        ((ACCEPT,), {**CLOSE, "reason": b"x"}, "reason must be a str or None, not b'x'"),
        ((ACCEPT,), {**CLOSE, "reason": "é" * 62}, "123 bytes at most, not of 124"),
        ((ACCEPT,), {**CLOSE, "reason": "\ud800"}, "cannot be sent"),
        ((), {**CLOSE, "code": "x"}, "code must be an int, not 'x'"),
        ((), {**START, "status": "401"}, "status must be an int, not '401'"),
        ((), {**START, "status": 101}, "101 is not the status of a final response"),
        ((), {**START, "headers": [("a", "1")]}, "name and value must be bytes"),
        ((START,), {**END, "body": "text"}, "body must be bytes, not str"),
        ((START,), {**END, "more_body": 1}, "more_body must be a bool, not 1"),
    ],
)
def test_a_message_that_is_refused(sent, message, complaint):
    at = protocol(*sent)
    with pytest.raises(MessageError, match=complaint) as caught:
        at.receive(message)
    assert str(caught.value).startswith("WEBSOCKET /: ")


def test_a_code_that_never_reaches_the_client_is_not_looked_at():
    assert protocol().receive({**CLOSE, "code": 403}) == Closed(403, "")


def test_a_denial_is_refused_where_it_is_not_offered():
    with pytest.raises(MessageError, match=r"an extension that scope\['extensions'\] lacks"):
        protocol(extensions=()).receive(START)


def test_a_denial_of_another_length_than_announced_is_refused():
    at = protocol({**START, "headers": [(b"content-length", b"9")]})
    with pytest.raises(MessageError, match="shorter than its content-length: 1 bytes of 9"):
        at.receive(END)
