"""The load generator's reading of event streams."""

import json

import pytest

from benchmarks.harness.event_stream import BodyReader, EventCounter, WrongStream, stream_fault
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.questions import Answer
from benchmarks.harness.quotes import PRICE, STAMP_EVERY

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
BODY = b"data: 1\n\ndata: 22\n\n"
WIRE = HEAD + b"9\r\ndata: 1\n\n\r\nA\r\ndata: 22\n\n\r\n0\r\n\r\n"
MADE_AT = 1_000


def block(n, gap=b"\n"):
    event = {"n": n, "price": PRICE}
    if n % STAMP_EVERY == 0:
        event["at"] = MADE_AT
    return b"data: " + json.dumps(event).encode() + gap * 2


def stream(count, gap=b"\n"):
    return [block(n, gap) for n in range(count)]


def test_body_in_one_piece_is_read():
    reader = BodyReader()
    assert reader.feed(WIRE) == BODY
    assert reader.ended


def test_body_split_anywhere_is_read_to_its_end():
    for cut in range(1, len(WIRE)):
        reader = BodyReader()
        assert reader.feed(WIRE[:cut]) + reader.feed(WIRE[cut:]) == BODY
        assert reader.ended


def test_body_byte_by_byte_is_read_as_it_comes():
    reader = BodyReader()
    read = [reader.feed(WIRE[at : at + 1]) for at in range(len(WIRE))]
    assert [piece for piece in read if piece] == [BODY[at : at + 1] for at in range(len(BODY))]
    assert reader.ended


def test_body_without_its_last_chunk_has_not_ended():
    reader = BodyReader()
    reader.feed(WIRE.removesuffix(b"0\r\n\r\n"))
    assert not reader.ended


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(WIRE.replace(b"200 OK", b"503 No"), id="status"),
        pytest.param(WIRE.replace(b"event-stream", b"plain"), id="content-type"),
        pytest.param(WIRE.replace(b"Transfer-Encoding", b"Transfer"), id="not-chunked"),
        pytest.param(WIRE.replace(b"A\r\n", b"zz\r\n"), id="chunk-size"),
    ],
)
def test_response_that_is_no_stream_is_refused(wire):
    with pytest.raises(ProtocolError):
        BodyReader().feed(wire)


@pytest.mark.parametrize("gap", [pytest.param(b"\n", id="LF"), pytest.param(b"\r\n", id="CRLF")])
@pytest.mark.parametrize("count", [1, STAMP_EVERY, STAMP_EVERY + 1, 100])
@pytest.mark.parametrize("piece", [1, 7, 64, 100_000])
def test_events_in_pieces_of_any_size_are_counted(gap, count, piece):
    counter = EventCounter(count)
    body = b"".join(stream(count, gap))
    for at in range(0, len(body), piece):
        counter.feed(body[at : at + piece], MADE_AT + 5)
    counter.finish()
    assert counter.events == count
    assert counter.latencies == [5] * len(range(0, count, STAMP_EVERY))


@pytest.mark.parametrize("extra", [b": ping\n\n", b"retry: 2000\n\n", b":data: not one\n\n"])
def test_blocks_without_data_are_not_events(extra):
    counter = EventCounter(40)
    for each in [extra, *stream(40), extra]:
        counter.feed(each + extra, MADE_AT)
    counter.finish()
    assert counter.events == 40


EVENTS = stream(100)
WRONG = [
    pytest.param(EVENTS[:-1], id="one-too-few"),
    pytest.param([*EVENTS, block(100)], id="one-too-many"),
    pytest.param([*EVENTS[:40], *EVENTS[41:], block(100)], id="lost"),
    pytest.param([*EVENTS[:40], *EVENTS[39:-1]], id="doubled"),
    pytest.param([*EVENTS[:63], EVENTS[64], EVENTS[63], *EVENTS[65:]], id="swapped"),
    pytest.param([*EVENTS[:-1], EVENTS[-1][:-1]], id="cut-off"),
    pytest.param([*EVENTS[:-1], b"data: {\n\n"], id="not-json"),
    pytest.param([*EVENTS[:-1], b'data: {"n":99,\ndata: "price":101.25}\n\n'], id="two-lines"),
    pytest.param([EVENTS[0].replace(b"101", b"99"), *EVENTS[1:]], id="other-value"),
]


@pytest.mark.parametrize("events", WRONG)
def test_wrong_stream_does_not_pass_the_count(events):
    counter = EventCounter(100)
    with pytest.raises(WrongStream):
        feed_all(counter, events)


@pytest.mark.parametrize("events", WRONG)
def test_wrong_stream_does_not_pass_the_check(events):
    assert stream_fault(100, Answer(200, "text/event-stream", b"".join(events))) is not None


@pytest.mark.parametrize("gap", [b"\n", b"\r\n"])
def test_right_stream_passes_the_check(gap):
    body = b"retry: 2000" + gap * 2 + b"".join(stream(100, gap))
    assert stream_fault(100, Answer(200, "text/event-stream; charset=utf-8", body)) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(500, "text/event-stream", b""), id="status"),
        pytest.param(Answer(200, "text/plain", b""), id="content-type"),
    ],
)
def test_answer_that_is_no_stream_does_not_pass_the_check(answer):
    assert stream_fault(0, answer) is not None


def feed_all(counter, events):
    for event in events:
        counter.feed(event, MADE_AT)
    counter.finish()
