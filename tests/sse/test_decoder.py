"""The decoder: the standard's examples and corners, any split, hostile servers."""

import itertools
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sse.whatwg import Message, interpret

from asgi_rt.sse.framing import Decoder, Event, EventTooLarge, encode

BOM = b"\xef\xbb\xbf"

# A stream, and the events in it.
CASES = {
    # The examples of the standard.
    "several data lines": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("YHOO\n+2\n10")]),
    "comment, id, id taken away, two spaces": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
        b"data:  third event\n\n",
        [Event("first event", id="1"), Event("second event", id=""), Event(" third event")],
    ),
    "empty data, and an end without a blank line": (
        b"data\n\ndata\ndata\n\ndata:",
        [Event(""), Event("\n")],
    ),
    "with and without the space": (b"data:test\n\ndata: test\n\n", [Event("test")] * 2),
    # The byte order mark.
    "a BOM": (BOM + b"data: x\n\n", [Event("x")]),
    "two BOMs": (BOM + BOM + b"data: x\n\ndata: y\n\n", [Event("y")]),
    "a BOM later on": (b"data: x\n\n" + BOM + b"data: y\n\n", [Event("x")]),
    "a BOM inside data": (b"data: " + BOM + b"x\n\n", [Event("\ufeffx")]),
    "a BOM on a blank line": (BOM + b"\ndata: x\n\n", [Event("x")]),
    "part of a BOM": (BOM[:2] + b"data: x\n\ndata: y\n\n", [Event("y")]),
    # Line ends.
    "CR alone": (b"data: x\r\rdata: y\r\r", [Event("x"), Event("y")]),
    "CRLF": (b"data: x\r\n\r\ndata: y\r\n\r\n", [Event("x"), Event("y")]),
    "mixed ends": (b"data: a\rdata: b\ndata: c\r\n\n\rdata: d\n\r", [Event("a\nb\nc"), Event("d")]),
    "CRLF then LF is two ends": (b"data: x\r\n\ndata: y\r\n\n", [Event("x"), Event("y")]),
    "LF then CR is two ends": (b"data: x\n\rdata: y\r\n\r", [Event("x"), Event("y")]),
    "many blank lines": (b"\n\r\n\rdata: x\n\n\n\n\n", [Event("x")]),
    "what other formats end lines with": (
        "data: a\u2028b\u2029c\u0085d\ve\ff\x1cg\x1dh\x1ei\n\n".encode(),
        [Event("a\u2028b\u2029c\u0085d\ve\ff\x1cg\x1dh\x1ei")],
    ),
    "no final blank line": (b"data: x\n\ndata: y\n", [Event("x")]),
    "no final line end": (b"data: x\n\ndata: y", [Event("x")]),
    # Fields.
    "field without a colon": (b"data\n\nevent\ndata: x\n\n", [Event(""), Event("x")]),
    "leading colon": (b":data: x\ndata: y\n:\n\n", [Event("y")]),
    "only a comment": (b": ping\n\n:\n\n", []),
    "unknown fields": (b"dat: x\ndata : x\n data: x\nDATA: x\n\xff: x\ndata: y\n\n", [Event("y")]),
    "one space goes, a tab stays": (b"data:  x \n\ndata:\tx\n\n", [Event(" x "), Event("\tx")]),
    "colons in the value": (b"data: a: b:c\n\ndata::\n\n", [Event("a: b:c"), Event(":")]),
    "empty data lines": (b"data: a\ndata:\ndata: \ndata: b\ndata\n\n", [Event("a\n\n\nb\n")]),
    "event name": (b"event: tick\ndata: x\n\n", [Event("x", event="tick")]),
    "the name counts for one event": (
        b"event: a\ndata: x\n\ndata: y\n\n",
        [Event("x", event="a"), Event("y")],
    ),
    "the name without data is gone": (b"event: a\n\ndata: x\n\n", [Event("x")]),
    "the last name counts": (b"event: a\nevent: b\ndata: x\n\n", [Event("x", event="b")]),
    "an empty name is none": (b"event: a\nevent:\ndata: x\n\n", [Event("x")]),
    "NUL in a name and in data": (b"event: a\0\ndata: \0\n\n", [Event("\0", event="a\0")]),
    "NUL in an id": (
        b"id: 1\0\ndata: x\n\nid: 2\nid: \0003\ndata: y\n\n",
        [Event("x"), Event("y", id="2")],
    ),
    "the last id counts": (b"id: 1\ndata: x\nid: 2\n\n", [Event("x", id="2")]),
    "an id counts for its block": (
        b"id: 1\ndata: x\n\ndata: y\n\n",
        [Event("x", id="1"), Event("y")],
    ),
    "retry": (b"retry: 1500\ndata: x\n\ndata: y\n\n", [Event("x", retry=1500), Event("y")]),
    "retry that is no number": (
        b"retry: 1.5\nretry: -1\nretry: +1\nretry: 1s\nretry:  1\nretry: 1 \nretry: 1_0\ndata\n\n",
        [Event("")],
    ),
    "retry in other digits": ("retry: \u0661\u0662\ndata: x\n\n".encode(), [Event("x")]),
    "empty retry": (b"retry\nretry:\nretry: \ndata: x\n\n", [Event("x")]),
    "a bad retry leaves a good one": (b"retry: 7\nretry: x\ndata: x\n\n", [Event("x", retry=7)]),
    "zeros before a retry": (b"retry: 007\ndata: x\n\n", [Event("x", retry=7)]),
    "retry beyond all sense": (b"retry: 1" + b"0" * 5000 + b"\ndata: x\n\n", [Event("x")]),
    # Characters.
    "longer characters": (
        "data: \u00e9\u20ac\U0001f600\n\n".encode(),
        [Event("\u00e9\u20ac\U0001f600")],
    ),
    "what is not UTF-8": (
        b"data: a\xffb\xc3\ndata: \xe2\x82\n\nid: \xff\nevent: \xc0\xaf\ndata: \xed\xa0\x80\n\n",
        [
            Event("a\ufffdb\ufffd\n\ufffd"),
            Event("\ufffd" * 3, event="\ufffd" * 2, id="\ufffd"),
        ],
    ),
}
thoroughly = settings(deadline=None, max_examples=200)
cases = pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)


def decode(*pieces):
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def in_bytes(stream):
    return [stream[i : i + 1] for i in range(len(stream))]


def in_pieces(stream, cuts):
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@cases
def test_the_stream_as_a_whole(stream, events):
    assert decode(stream) == events


@cases
def test_the_stream_byte_by_byte(stream, events):
    assert decode(*in_bytes(stream)) == events


@cases
def test_the_stream_with_a_beginning_of_more(stream, events):
    assert decode(stream + b"data: never finished") == events


@cases
def test_the_reference_parser_agrees(stream, events):
    source = interpret(stream)
    assert [(each.type, each.data, each.id, each.retry) for each in source.messages] == [
        (each.event or "message", each.data, each.id, each.retry) for each in events
    ]


# Any stream, any split

FIELDS = [b"data: x\n", b"id: 1\n", b"event: e\n", b"retry: 15\n", b":\n", b"data", b"id", b"retry"]
MARKS = [b":", b": ", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b"7", BOM, BOM[:1], BOM[1:]]
CHARACTERS = [b"\xe2\x80", b"\xa8", b"\xc2", b"\x85", b"\xff", "é".encode()]
pieces_of_streams = st.sampled_from([*FIELDS, *MARKS, *CHARACTERS])
soups = st.lists(pieces_of_streams | st.binary(max_size=3), max_size=40).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=12)


@thoroughly
@given(soups, cuts)
def test_any_bytes_are_what_the_reference_parser_makes_of_them(stream, cuts):
    decoder = Decoder()
    events = [event for piece in in_pieces(stream, cuts) for event in decoder.feed(piece)]
    source = interpret(stream)
    assert [(each.event or "message", each.data, each.id, each.retry) for each in events] == [
        (each.type, each.data, each.id, each.retry) for each in source.messages
    ]
    assert decoder.last_event_id == source.last_event_id
    assert decoder.retry == source.reconnection_time


@thoroughly
@given(soups)
def test_each_event_comes_with_its_last_byte_and_the_id_that_is_then_last(stream):
    decoder = Decoder()
    fed = b""
    for byte in in_bytes(stream):
        fed += byte
        before, now = interpret(fed[:-1]), interpret(fed)
        new = now.messages[len(before.messages) :]
        assert [event.data for event in decoder.feed(byte)] == [each.data for each in new]
        assert decoder.last_event_id == now.last_event_id


texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))
events = st.builds(
    Event,
    texts,
    event=st.none() | names,
    id=st.none() | ids,
    retry=st.none() | st.integers(0, 10**18 - 1),
    comment=st.none() | texts,
)


@thoroughly
@given(st.lists(events, max_size=6), cuts)
def test_what_was_encoded_is_decoded_again_in_any_split(sent, cuts):
    received = decode(*in_pieces(b"".join(map(encode, sent)), cuts))
    assert received == [
        Event(as_received(each.data), each.event, each.id, each.retry) for each in sent
    ]


@thoroughly
@given(st.lists(events, max_size=4))
def test_what_was_encoded_is_what_the_reference_parser_reads(sent):
    expected, last = [], ""
    for each in sent:
        last = last if each.id is None else each.id
        text = as_received(each.data)
        expected.append(Message(each.event or "message", text, last, each.id, each.retry))
    assert interpret(b"".join(map(encode, sent))).messages == expected


def as_received(text):
    """A client sees one LF for each end of a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


# What the decoder remembers


def test_the_id_stays_when_later_events_have_none():
    decoder = Decoder()
    decoder.feed(b"id: 1\ndata: x\n\ndata: y\n\n")
    assert decoder.last_event_id == "1"


def test_a_block_of_an_id_alone_is_no_event_but_sets_the_id():
    decoder = Decoder()
    assert decoder.feed(b"id: 1\n\n") == []
    assert decoder.last_event_id == "1"


def test_an_empty_id_takes_the_id_away():
    decoder = Decoder()
    decoder.feed(b"id: 1\n\nid\n\n")
    assert decoder.last_event_id == ""


def test_the_id_of_an_unfinished_block_does_not_count():
    decoder = Decoder()
    decoder.feed(b"id: 1\ndata: x\n\nid: 2\ndata: y\n")
    assert decoder.last_event_id == "1"


def test_the_newest_valid_retry_is_kept():
    decoder = Decoder()
    assert decoder.retry is None
    decoder.feed(b"retry: 1000\n\nretry: 2000\n\nretry: soon\n\n")
    assert decoder.retry == 2000


def test_a_cr_at_the_end_of_a_piece_ends_the_line_at_once():
    decoder = Decoder()
    assert decoder.feed(b"data: x\r\n\r") == [Event("x")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: y\n\n") == [Event("y")]


def test_an_empty_piece_after_a_cr_changes_nothing():
    assert decode(b"data: x\r", b"", b"\ndata: y\n\n") == [Event("x\ny")]


# Hostile servers


def test_data_beyond_the_bound_is_an_error():
    decoder = Decoder(max_event_bytes=10)
    assert decoder.feed(b"data: 1234\n\n") == [Event("1234")]
    assert decoder.feed(b"data: 5678\n\n") == [Event("5678")]
    with pytest.raises(EventTooLarge, match="more than 10 bytes"):
        decoder.feed(b"data: 12345\n\n")


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 100, b":" * 101, b"data\n" * 30, b"id: 1234567890\n" * 10],
    ids=["one line", "a comment", "many lines", "fields that are replaced"],
)
def test_an_event_that_does_not_end_is_an_error_before_it_does(stream):
    decoder = Decoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        list(map(decoder.feed, in_bytes(stream)))


def test_comments_without_blank_lines_may_go_on_for_ever():
    decoder = Decoder(max_event_bytes=20)
    for _ in range(100):
        assert decoder.feed(b": ping\nunknown: x\n") == []
    assert decoder.feed(b"data: x\n\n") == [Event("x")]


def test_events_before_the_one_at_fault_are_handed_out_first():
    decoder = Decoder(max_event_bytes=10)
    assert decoder.feed(b"data: x\n\ndata: far too long\n\ndata: y\n\n") == [Event("x")]
    for _ in range(2):
        with pytest.raises(EventTooLarge):
            decoder.feed(b"data: z\n\n")


@thoroughly
@given(soups, cuts, st.integers(1, 40))
@example(BOM + b"data: x\n\n", [10], 9)
def test_the_bound_does_not_depend_on_the_split(stream, cuts, max_event_bytes):
    def outcome(pieces):
        decoder = Decoder(max_event_bytes=max_event_bytes)
        found = []
        try:
            for piece in (*pieces, b""):
                found += decoder.feed(piece)
        except EventTooLarge:
            found.append("too large")
        return found

    assert outcome(in_pieces(stream, cuts)) == outcome([stream])


def test_no_bound_is_no_bound():
    decoder = Decoder(max_event_bytes=None)
    size = 20 * 1024 * 1024
    assert len(decoder.feed(b"data: " + b"x" * size + b"\n\n")[0].data) == size


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_that_lets_nothing_through_is_refused(bound):
    with pytest.raises(ValueError, match="max_event_bytes is at least 1, or None"):
        Decoder(max_event_bytes=bound)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [b"x", b"x" * 100 + b"\ndata: "], ids=["one line", "many lines"])
def test_time_grows_with_the_bytes_and_not_faster(unit):
    def seconds(size):
        """Of the processor's time, for one event of that many bytes that come one by one."""
        stream = in_bytes(b"data: " + unit * (size // len(unit)) + b"\n\n")
        decoder = Decoder()
        began = time.process_time()
        for byte in stream:
            decoder.feed(byte)
        return time.process_time() - began

    # Eightfold, if it is linear; some fortyfold, if what is unfinished were copied for each byte.
    assert min(seconds(400_000) for _ in range(2)) < 20 * min(seconds(50_000) for _ in range(5))
