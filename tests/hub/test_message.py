"""Messages: what they hold, what is made once for all, and cursors that clients give back."""

import gc
import os
import sys
import weakref
from pathlib import Path
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.hub.message import Cursor, Message, parse_cursor

# Data


@pytest.mark.parametrize(
    ("data", "kind", "payload", "read"),
    [
        ("text", "text", b"text", "text"),
        ("", "text", b"", ""),
        ("größe 😀", "text", "größe 😀".encode(), "größe 😀"),
        ('{"a": 1}', "text", b'{"a": 1}', '{"a": 1}'),
        (b"\xff\x00", "bytes", b"\xff\x00", b"\xff\x00"),
        (bytearray(b"ab"), "bytes", b"ab", b"ab"),
        (memoryview(b"abcd")[::2], "bytes", b"ac", b"ac"),
        ({"a": [1, None]}, "json", b'{"a":[1,null]}', {"a": [1, None]}),
        (None, "json", b"null", None),
        (False, "json", b"false", False),
        (1.5, "json", b"1.5", 1.5),
        ((1, 2), "json", b"[1,2]", [1, 2]),
        ({1: {"x"}}, "json", b'{"1":["x"]}', {"1": ["x"]}),
    ],
    ids=repr,
)
def test_data_is_a_payload_of_its_kind(data, kind, payload, read):
    message = Message.of("topic", data)
    assert (message.kind, message.payload, message.data) == (kind, payload, read)
    assert type(message.payload) is bytes


@pytest.mark.parametrize("make", [list, bytearray])
def test_what_changes_later_changes_no_message(make):
    data = make(b"ab")
    message = Message.of("topic", data)
    data.append(1)
    assert list(message.data) == [97, 98]


@pytest.mark.parametrize("data", [object(), {"a": object()}, 2**70, {"a": "\ud800"}], ids=ascii)
def test_what_cannot_be_json_is_a_type_error(data):
    with pytest.raises(TypeError):
        Message.of("topic", data)


def test_a_text_that_no_wire_carries_is_a_value_error():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        Message.of("topic", "a\ud800")


@pytest.mark.parametrize("data", [{"a": 1}, [1], "text" * 100, None], ids=repr)
def test_data_is_read_once_for_all(data):
    message = Message.of("topic", data)
    first = message.data
    message.payload = b"unreadable"
    assert message.data is first


def test_a_message_has_a_key_and_an_exclusion_if_it_was_given_them():
    plain = Message.of("topic", 1)
    assert (plain.topic, plain.key, plain.exclude) == ("topic", None, None)
    message = Message.of("topic", 1, key="k", exclude="me")
    assert (message.key, message.exclude) == ("k", "me")


# The wire


class Encoder:
    def __init__(self):
        self.calls = 0

    def __call__(self, message):
        self.calls += 1
        return [message.topic]


def test_what_is_made_of_it_is_made_once_for_all_who_ask_with_the_same():
    encode, other = Encoder(), Encoder()
    message = Message.of("topic", 1)
    first = message.wire(encode)
    assert first == ["topic"]
    assert message.wire(other) is not first
    assert all(message.wire(encode) is first for _ in range(3))
    assert (encode.calls, other.calls) == (1, 1)


def test_nothing_may_be_what_was_made():
    calls = []
    message = Message.of("topic", 1)
    assert [message.wire(calls.append) for _ in range(3)] == [None] * 3
    assert calls == [message]


def test_what_fails_is_made_anew():
    def encode(_):
        if len(attempts) < 2:
            attempts.append(1)
            raise KeyError
        return "made"

    attempts = []
    message = Message.of("topic", 1)
    for _ in range(2):
        with pytest.raises(KeyError):
            message.wire(encode)
    assert message.wire(encode) == "made"


def test_a_message_holds_few_of_what_many_have_had_made():
    message = Message.of("topic", 1)
    watched = []
    for _ in range(100):
        encode = Encoder()
        assert message.wire(encode) == ["topic"]
        watched.append(weakref.ref(encode))
    del encode
    gc.collect()
    assert sum(each() is not None for each in watched) <= 8


class Counted:
    """An account that holds what was counted."""

    def __init__(self):
        self.sizes = []

    def grow(self, size_bytes):
        self.sizes.append(size_bytes)


def test_what_is_made_and_kept_is_counted_once():
    message = Message.of("topic", "x" * 1000)
    message.account = Counted()
    for encode in (
        lambda message: message.payload * 3,
        lambda message: memoryview(message.payload * 5),
        lambda message: message.data + "\N{GRINNING FACE}",
    ):
        for _ in range(3):
            message.wire(encode)
    sizes = message.account.sizes
    assert [size // 1000 for size in sizes] == [3, 5, 1, 4]


def size_of(value, seen):
    """What a value takes, with all that it holds."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    parts = []
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        parts = value
    return getsizeof(value) + sum(size_of(part, seen) for part in parts)


@pytest.mark.parametrize(
    "data",
    [
        [{}] * 500,
        [[]] * 500,
        [{"a": 1}] * 500,
        [0.5 + number for number in range(500)],
        [f"{number}" for number in range(500)],
        {f"k{number}": number * 1000 for number in range(500)},
        [{"x": 1.5 + number, "y": [number], "name": "n" * 20} for number in range(500)],
        "a text " * 500,
        "a text " * 500 + "\N{GRINNING FACE}",
        [f"{number} \N{GRINNING FACE}" for number in range(500)],
        [f"\N{LATIN SMALL LETTER E WITH ACUTE}{number}" for number in range(500)],
        5,
    ],
    ids=lambda data: str(data)[:20],
)
def test_what_json_holds_is_counted_as_it_is_and_rather_as_more(data):
    message = Message.of("topic", {"data": data})
    message.account = account = Counted()
    for _ in range(3):
        assert message.data == {"data": data}
    (counted,) = account.sizes
    assert 0.8 * size_of(message.data, set()) <= counted <= 1000 + 5 * size_of(message.data, set())


def test_what_is_the_payload_itself_is_not_counted_again():
    message = Message.of("topic", b"bytes")
    message.account = account = Counted()
    assert message.data == message.wire(lambda message: message.payload) == b"bytes"
    assert sum(account.sizes) == 0


def test_what_is_not_kept_is_not_counted():
    message = Message.of("topic", "text")
    message.account = account = Counted()
    for number in range(10):
        message.wire(lambda _, number=number: b"made")
    assert len(account.sizes) == 8
    message.strip()
    assert (message.data, message.wire(lambda _: b"made")) == ("text", b"made")
    assert len(account.sizes) == 8


def test_one_that_is_stripped_lets_go_of_what_was_made_and_keeps_nothing_more():
    message = Message.of("topic", {"a": 1})
    kept = weakref.WeakSet()

    class Made:
        def __init__(self, _):
            kept.add(self)

    message.wire(Made)
    read = message.data
    message.strip()
    message.wire(Made)
    gc.collect()
    assert not kept
    assert message.data == read
    assert message.data is not read
    assert message.data is not message.data


@pytest.mark.parametrize("data", ["text", b"bytes", [1]])
def test_one_that_is_stripped_reads_as_before(data):
    message = Message.of("topic", data)
    message.strip()
    assert message.data == data
    assert message.wire(lambda message: message.payload) == message.payload


def test_the_first_to_ask_share_it_however_many_ask_later():
    message = Message.of("topic", 1)
    first = Encoder()
    made = message.wire(first)
    for _ in range(100):
        message.wire(Encoder())
    assert message.wire(first) is made


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_json_takes_the_memory_that_its_length_tells():
    """What a serializer has written into a larger buffer is not kept in that."""

    def resident_bytes():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    gc.collect()
    before = resident_bytes()
    kept = [Message.of("topic", {"bid": number}) for number in range(20_000)]
    assert resident_bytes() - before < 20_000 * 1024
    assert len(kept[-1].payload) < 20


# Cursors


def test_a_message_without_history_has_no_id():
    message = Message.of("topic", 1)
    message.position = 7
    assert message.id is None
    message.epoch = "e"
    assert message.id == "e-7"


def test_a_message_says_what_it_is():
    message = Message.of("a.b", {"secret": 1})
    message.epoch, message.position = "e", 3
    assert repr(message) == "<Message 'a.b' json of 12 bytes, id e-3>"


VISIBLE = "".join(map(chr, range(33, 127)))


@given(st.text(VISIBLE, min_size=1, max_size=64), st.integers(0, 10**18 - 1))
def test_a_cursor_that_was_given_is_read_back(epoch, position):
    cursor = Cursor(epoch, position)
    assert parse_cursor(str(cursor)) == cursor


@given(st.text(max_size=100) | st.from_regex(r"\A[!-~]*-[0-9]*\Z"))
def test_a_cursor_that_is_read_is_written_as_it_came(text):
    cursor = parse_cursor(text)
    assert cursor is None or str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "e", "e-", "-1", "1", " e-1", "e-1 ", "e -1", "e- 1", "e-1\n", "e-\t1"),
        *("e-+1", "e--1x", "e-01", "e-00", "e-1_0", "e-1.0", "e-0x1", "e-١", "e-²", "e-１", "é-1"),
        *("e-" + "1" * 19, "e-" + "1" * 100_000, "e" * 65 + "-1", "e" * 100_000 + "-1"),
        "-" * 100_000,
        "e-1\x00",
        *(None, 1, 1.5, True, b"e-1", ["e-1"], {"e": 1}),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_was_never_a_cursor_is_none(text):
    assert parse_cursor(text) is None


def test_an_epoch_may_have_dashes():
    assert parse_cursor("a-1-2") == Cursor("a-1", 2)
    assert parse_cursor("--0") == Cursor("-", 0)
