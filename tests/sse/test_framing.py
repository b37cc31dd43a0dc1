"""Events, and what they are on the wire."""

import copy
import dataclasses
import pickle
from enum import StrEnum

import orjson
import pytest

from asgi_rt.sse.framing import Event, encode, encode_comment, encode_data


class Colour(StrEnum):
    RED = "red"


@dataclasses.dataclass
class Price:
    symbol: str
    value: float


# On the wire


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        (Event("x"), b"data: x\n\n"),
        (Event(""), b"data: \n\n"),
        (Event(" x"), b"data:  x\n\n"),
        (Event("é€"), "data: é€\n\n".encode()),
        (Event("x", "tick"), b"event: tick\ndata: x\n\n"),
        (Event("x", id="7"), b"id: 7\ndata: x\n\n"),
        (Event("x", id=""), b"id: \ndata: x\n\n"),
        (Event("x", retry=0), b"retry: 0\ndata: x\n\n"),
        (Event("x", event=""), b"data: x\n\n"),
        (
            Event("a\nb", "tick", "7", 1500, "why\nnot"),
            b": why\n: not\nevent: tick\nid: 7\nretry: 1500\ndata: a\ndata: b\n\n",
        ),
        (Event(id="7"), b"id: 7\n\n"),
        (Event(retry=1500), b"retry: 1500\n\n"),
        (Event(comment=""), b": \n\n"),
        (Event(event="tick", comment="x"), b": x\nevent: tick\n\n"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Event) else "",
)
def test_an_event_is_its_fields_and_a_blank_line(event, wire):
    assert encode(event) == wire


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb", ["a", "b"]),
        ("a\rb", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("a\n\rb", ["a", "", "b"]),
        ("a\n", ["a", ""]),
        ("\r\n", ["", ""]),
        ("\n\n\r\r", ["", "", "", "", ""]),
        (
            "a\u2028b\u2029c\x85d\ve\ff\x1cg\x1dh\x1ei",
            ["a\u2028b\u2029c\x85d\ve\ff\x1cg\x1dh\x1ei"],
        ),
    ],
)
def test_text_is_cut_at_cr_lf_and_crlf_and_nowhere_else(text, lines):
    assert encode(Event(text)) == encode_data(text) == block("data: ", lines)
    assert encode(Event(comment=text)) == encode_comment(text) == block(": ", lines)


def block(prefix, lines):
    return ("".join(f"{prefix}{line}\n" for line in lines) + "\n").encode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, None]}, b'{"a":[1,null]}'),
        ("text", b"text"),
        (Colour.RED, b"red"),
        (0, b"0"),
        (False, b"false"),
        ([], b"[]"),
        ({"a": "x\r\ny"}, rb'{"a":"x\r\ny"}'),
        (Price("X", 1.5), b'{"symbol":"X","value":1.5}'),
    ],
    ids=repr,
)
def test_data_that_is_no_str_goes_as_json(value, written):
    assert encode(Event(value)) == encode_data(value) == b"data: %b\n\n" % written
    assert encode(Event(value, "tick")) == b"event: tick\ndata: %b\n\n" % written


def test_none_as_a_value_is_json_and_as_the_data_of_an_event_no_line():
    assert encode_data(None) == b"data: null\n\n"
    assert encode(Event(None, "tick")) == b"event: tick\n\n"


def test_json_that_was_laid_out_elsewhere_cannot_break_the_frame():
    laid_out = orjson.Fragment(b'{\n\r"a": 1\r\n}')
    assert encode_data(laid_out) == b'data: {\ndata: \ndata: "a": 1\ndata: }\n\n'


def test_data_that_is_not_json_is_a_type_error():
    with pytest.raises(TypeError):
        encode(Event(object()))
    with pytest.raises(TypeError):
        encode_data(b"bytes are framed already")


@pytest.mark.parametrize("field", ["data", "event", "id", "comment"])
def test_text_that_has_no_utf8_is_a_value_error(field):
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode(Event(**{field: "\ud800"}))


# What is no event


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("field", ["event", "id"])
def test_a_line_end_in_a_name_or_an_id_is_refused(field, end):
    with pytest.raises(ValueError, match=f"an event's {field} must be a single line: 'a.*b'"):
        Event("x", **{field: f"a{end}b"})


def test_a_nul_in_an_id_is_refused():
    with pytest.raises(ValueError, match="must hold no NUL"):
        Event("x", id="a\0")


@pytest.mark.parametrize("retry", [-1, 1.5, "1500", True, 10**18], ids=repr)
def test_a_retry_that_is_no_number_of_milliseconds_is_refused(retry):
    with pytest.raises(ValueError, match=r"an event's retry is .* not "):
        Event("x", retry=retry)


@pytest.mark.parametrize("field", ["event", "id", "comment"])
@pytest.mark.parametrize("value", [5, b"5"], ids=repr)
def test_a_field_that_is_no_text_is_refused(field, value):
    with pytest.raises(TypeError, match=f"an event's {field} is a str, not (int|bytes): b?'?5"):
        Event("x", **{field: value})


@pytest.mark.parametrize("fields", [{}, {"data": None}, {"event": ""}], ids=repr)
def test_an_event_without_any_field_is_refused(fields):
    with pytest.raises(ValueError, match="at least one of data, event, id, retry and comment"):
        Event(**fields)


# As a value

FULL = Event({"a": 1}, "tick", "7", 1500, "why")


def test_the_fields_can_be_read():
    assert (FULL.data, FULL.event, FULL.id, FULL.retry, FULL.comment) == (
        {"a": 1},
        "tick",
        "7",
        1500,
        "why",
    )


@pytest.mark.parametrize("field", ["data", "event", "id", "retry", "comment", "other"])
def test_the_fields_cannot_be_set(field):
    with pytest.raises(AttributeError):
        setattr(Event("x"), field, "y")


def test_events_with_the_same_fields_are_equal():
    assert Event("x", id="7") == Event("x", id="7")
    assert hash(Event("x", id="7")) == hash(Event("x", id="7"))
    assert len({Event("x"), Event("x", event=""), Event("x", retry=1)}) == 2


@pytest.mark.parametrize(
    "other",
    [
        Event("y", "e", "1", 2, "c"),
        Event("x", "f", "1", 2, "c"),
        Event("x", "e", "2", 2, "c"),
        Event("x", "e", "1", 3, "c"),
        Event("x", "e", "1", 2, "d"),
        ("x", "e", "1", 2, "c"),
        "x",
    ],
    ids=repr,
)
def test_events_that_differ_in_a_field_are_not_equal(other):
    assert Event("x", "e", "1", 2, "c") != other


def test_an_event_whose_data_cannot_be_hashed_cannot_either():
    with pytest.raises(TypeError, match="unhashable"):
        hash(FULL)


def test_the_repr_shows_the_fields_that_are_given():
    assert repr(Event("x")) == "Event(data='x')"
    assert repr(Event(event="tick", retry=0)) == "Event(event='tick', retry=0)"


def test_an_event_can_be_matched():
    match Event("x", "tick"):
        case Event(data, "tick", id=None):
            assert data == "x"
        case _:
            pytest.fail("the pattern does not match")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_event_can_be_pickled(protocol):
    assert pickle.loads(pickle.dumps(FULL, protocol)) == FULL


def test_an_event_can_be_copied():
    assert copy.copy(FULL) == copy.deepcopy(FULL) == FULL
    assert copy.deepcopy(FULL).data is not FULL.data
