"""Messages as they stand on the wire, made once for all who get the same."""

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.errors import HubError
from asgi_rt.feeds.wire import (
    bodies,
    envelope,
    envelope_of_cursor,
    envelope_of_gap,
    frame_of_gap,
    framing_by,
    framing_named,
    plain,
    sends,
)
from asgi_rt.hub import Gap, Message
from asgi_rt.sse import Decoder, Event

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**50), 2**50) | TEXTS, st.lists)


def message(data, *, epoch=None, position=7, topic="a.b"):
    made = Message.of(topic, data)
    made.epoch, made.position = epoch, position
    return made


def decoded(frame):
    (event,) = Decoder().feed(frame)
    return event


@given(TEXTS)
def test_a_text_comes_back_from_a_frame_but_for_its_line_ends(text):
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    assert decoded(framing_named(None)(message(text))) == Event(lines)


@given(st.binary())
def test_bytes_are_base64_in_a_frame(data):
    assert base64.b64decode(decoded(framing_named(None)(message(data))).data) == data


@given(JSON)
def test_a_value_comes_back_from_a_frame(value):
    if not isinstance(value, str):
        assert json.loads(decoded(framing_named("x")(message(value))).data) == value


@pytest.mark.parametrize(("epoch", "id"), [(None, None), ("e", "e-7")])
def test_the_id_of_a_frame_is_the_cursor(epoch, id):  # noqa: A002 - the field's name
    made = message("x", epoch=epoch)
    assert decoded(framing_named("name")(made)) == Event("x", "name", id)
    assert decoded(framing_by(lambda made: made.data)(made)) == Event("x", None, id)
    assert decoded(framing_by(lambda made: Event(made.data, "own"))(made)) == Event("x", "own", id)


def test_frames_are_shared_by_those_who_ask_for_the_same():
    made = message("x")
    assert framing_named("one") is framing_named("one")
    assert made.wire(framing_named("one")) is made.wire(framing_named("one"))
    assert made.wire(framing_named("one")) != made.wire(framing_named("other"))
    assert bodies(framing_named("one")) is bodies(framing_named("one"))
    assert sends(plain) is sends(plain)


def test_frames_are_joined_in_order():
    framing = framing_named(None)
    made = [message(str(number)) for number in range(3)]
    assert bodies(framing).joins
    assert bodies(framing)(made[0])["body"] == framing(made[0])
    assert bodies(framing).join(made) == {
        "type": "http.response.body",
        "body": b"data: 0\n\ndata: 1\n\ndata: 2\n\n",
        "more_body": True,
    }


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [("x", "text", "x"), (b"x", "bytes", b"x"), ({"a": 1}, "text", '{"a":1}')],
)
def test_a_payload_is_text_or_binary_on_a_websocket(data, field, value):
    assert sends(plain)(message(data)) == {"type": "websocket.send", field: value}
    assert not sends(plain).joins


@given(JSON)
def test_a_value_comes_back_from_an_envelope(value):
    told = json.loads(envelope(message(value, epoch="e")))
    assert told == {"type": "message", "topic": "a.b", "cursor": "e-7", "data": value}


@given(st.binary())
def test_an_envelope_says_that_bytes_are_base64(data):
    told = json.loads(envelope(message(data)))
    assert told["encoding"] == "base64"
    assert base64.b64decode(told["data"]) == data
    assert told["cursor"] is None


@pytest.mark.parametrize("missed", [None, 0, 3])
def test_a_gap_is_told(missed):
    assert decoded(frame_of_gap(Gap("outage", missed, "e-1"))) == Event(
        json.dumps({"reason": "outage", "missed": missed}, separators=(",", ":")), "gap", "e-1"
    )
    told = {"type": "gap", "reason": "outage", "missed": missed}
    assert json.loads(envelope_of_gap(Gap("outage", missed, None))) == told
    assert json.loads(envelope_of_gap(Gap("outage", missed, "e-1"))) == {**told, "cursor": "e-1"}


@pytest.mark.parametrize("recovered", [True, False, None])
def test_where_a_client_begins_is_told(recovered):
    told = {"type": "cursor", "cursor": "e-1", "recovered": recovered}
    assert json.loads(envelope_of_cursor("e-1", recovered)) == told


def test_an_event_without_data_and_one_with_an_id_of_its_own_stay_so():
    made = message("x", epoch="e")
    assert framing_by(lambda made: Event(comment="hi"))(made) == b": hi\nid: e-7\n\n"
    assert decoded(framing_by(lambda made: Event("y", id="mine"))(made)).id == "mine"


@pytest.mark.parametrize("epoch", [None, "e"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whole_frames_may_be_given_as_bytes(kind, epoch):
    made = framing_by(lambda made: kind(b"data: own\n\n"))(message("x", epoch=epoch))
    assert isinstance(made, bytes)
    assert made == b"data: own\n\n"


@pytest.mark.parametrize(("epoch", "id"), [(None, None), ("e", "e-7")])
@pytest.mark.parametrize("value", [None, False, 0, "", [], {"a": None}])
def test_whatever_else_is_given_is_the_data_of_an_event(value, epoch, id):  # noqa: A002 - the field's name
    made = decoded(framing_by(lambda made: value)(message("x", epoch=epoch)))
    assert (made.data if value == "" else json.loads(made.data), made.id) == (value, id)


def test_what_asks_for_what_was_cancelled_fails():
    def ask(message):
        raise asyncio.CancelledError

    for ask_once in (sends(ask), bodies(framing_by(ask))):
        with pytest.raises(HubError, match="cancelled"):
            ask_once(message("x"))
