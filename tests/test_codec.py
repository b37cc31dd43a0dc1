"""JSON in and out: what is taken beyond plain values, and what an error says."""

import uuid
from collections import UserDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.codec import dump_json, dump_json_line, dump_plain, load_json


@dataclass
class Point:
    x: int
    y: int


class Color(Enum):
    RED = "red"


class Names(set):
    pass


class Model:
    """Like a pydantic model, as far as JSON is concerned."""

    def model_dump(self, *, mode):
        return {"mode": mode}


class Opaque:
    pass


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"null"),
        ("é", '"é"'.encode()),
        ({"a": [1, 2.5, True]}, b'{"a":[1,2.5,true]}'),
        (Point(1, 2), b'{"x":1,"y":2}'),
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), b'"2030-01-02T03:04:05+00:00"'),
        (date(2030, 1, 2), b'"2030-01-02"'),
        (UUID, b'"12345678-1234-5678-1234-567812345678"'),
        (Color.RED, b'"red"'),
        (Decimal("0.10"), b'"0.10"'),
        ({1}, b"[1]"),
        (frozenset([1]), b"[1]"),
        (Names([1]), b"[1]"),
        (deque([1, 2]), b"[1,2]"),
        (PurePosixPath("/a/b"), b'"/a/b"'),
        (MappingProxyType({"a": 1}), b'{"a":1}'),
        (UserDict({"a": 1}), b'{"a":1}'),
        ({1: "a", None: "b", UUID: "c"}, f'{{"1":"a","null":"b","{UUID}":"c"}}'.encode()),
        (Model(), b'{"mode":"json"}'),
        ({"deep": [{"set": {Decimal(1)}}]}, b'{"deep":[{"set":["1"]}]}'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_dump_json_takes(value, expected):
    assert dump_json(value) == expected
    assert dump_json_line(value) == expected + b"\n"


@pytest.mark.parametrize("dump", [dump_json, dump_json_line, dump_plain])
def test_dumping_what_is_no_json_names_the_type(dump):
    with pytest.raises(TypeError, match="Opaque"):
        dump({"a": Opaque()})


@pytest.mark.parametrize("value", [2**70, "\ud800", {("a", "b"): 1}], ids=["int", "str", "key"])
def test_dump_json_of_a_value_that_json_cannot_hold_is_a_type_error(value):
    with pytest.raises(TypeError):
        dump_json(value)


def test_dump_plain_takes_only_what_needs_no_replacement():
    assert dump_plain({"a": Point(1, 2)}) == b'{"a":{"x":1,"y":2}}'
    for value in ({1}, {1: "a"}):
        with pytest.raises(TypeError):
            dump_plain(value)


@pytest.mark.parametrize("data", [b'{"a": 1}', bytearray(b'{"a": 1}'), '{"a": 1}'])
def test_load_json_takes_bytes_and_str(data):
    assert load_json(data) == {"a": 1}
    assert load_json(memoryview(b"[1]")) == [1]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"nan", b"[" * 5000])
def test_load_json_of_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError, match="column"):
        load_json(data)


def test_load_json_tells_line_and_column():
    with pytest.raises(ValueError, match="line 2 column 3"):
        load_json(b"{\n  x}")


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text("abc"), children),
    max_leaves=10,
)


@given(plain)
def test_what_was_dumped_is_loaded(value):
    assert load_json(dump_json(value)) == value
    line = dump_json_line(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
