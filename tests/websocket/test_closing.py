"""Close codes and reasons."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_rt.errors import HTTPError, WebSocketClosed
from asgi_rt.websocket.closing import (
    check_code,
    closing_for,
    code_for_status,
    cut_reason,
    ending_of,
)

SENDABLE = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]


def test_check_code_takes_the_codes_that_may_be_sent_and_no_others():
    taken = []
    for code in range(-1, 66000):
        try:
            check_code(code)
        except ValueError:
            continue
        taken.append(code)
    assert taken == SENDABLE


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1000])
def test_check_code_says_what_was_wrong_and_what_to_use(code):
    with pytest.raises(ValueError, match=rf"^{code} is not a close code .* 1000-1003, 1007-1014"):
        check_code(code)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@example("")
@example("a" * 123)
@example("a" * 124)
@example("é" * 62)
@example("a" + "é" * 61)
@example("€" * 41)
@example("€" * 42)
@example("a" * 121 + "😀")
@example("a" * 119 + "😀")
@example("a" * 120 + "😀")
def test_cut_reason_keeps_as_many_whole_characters_as_fit(reason):
    cut = cut_reason(reason)
    assert reason.startswith(cut)
    assert len(cut.encode()) <= 123
    assert cut == reason or len(reason[: len(cut) + 1].encode()) > 123


@given(st.text(st.characters(), max_size=200))
@example("\ud800 lone")
def test_cut_reason_always_fits_a_close_frame(reason):
    assert len(cut_reason(reason).encode()) <= 123


@given(st.text(max_size=200))
def test_cut_reason_of_what_was_cut_changes_nothing(reason):
    assert cut_reason(cut_reason(reason)) == cut_reason(reason)


def test_cut_reason_shows_a_lone_surrogate_as_a_question_mark():
    assert cut_reason("a\ud800b") == "a?b"


@pytest.mark.parametrize(
    ("fields", "spec_version", "expected"),
    [
        ({"code": 1000, "reason": "bye"}, "2.3", (1000, "bye")),
        ({"code": 1000, "reason": ""}, "2.3", (1000, "")),
        ({"code": 1000, "reason": None}, "2.3", (1000, "")),
        ({"code": 1000}, "2.3", (1000, "")),
        ({"code": 4000, "reason": "x"}, "2.0", (4000, "x")),
        # The client closed without a code.
        ({"code": 1005, "reason": ""}, "2.3", (1005, "")),
        ({"code": 1005, "reason": None}, "2.4", (1005, "")),
        # The connection was lost.
        ({"code": 1005}, "2.3", (1006, "")),
        ({"code": 1005}, "2.4", (1006, "")),
        ({"code": 1005}, "2.10", (1006, "")),
        ({"code": 1005}, "3.0", (1006, "")),
        ({"code": 1005}, "3", (1006, "")),
        ({"code": 1006}, "2.3", (1006, "")),
        ({"code": 1006, "reason": ""}, "2.0", (1006, "")),
        # A server that gives no reasons does not say which of the two it was.
        ({"code": 1005}, "2.2", (1005, "")),
        ({"code": 1005}, "2.0", (1005, "")),
        ({"code": 1005}, "2", (1005, "")),
        ({"code": 1005}, "1.9", (1005, "")),
        ({"code": 1005}, "", (1005, "")),
        ({"code": 1005}, "two.three", (1005, "")),
        # No code is 1005.
        ({}, "2.0", (1005, "")),
        ({}, "2.3", (1006, "")),
        ({"code": None, "reason": ""}, "2.3", (1005, "")),
        ({"reason": "left"}, "2.3", (1005, "left")),
    ],
)
def test_ending_of_reads_a_disconnect(fields, spec_version, expected):
    code, reason, _ = ending_of({"type": "websocket.disconnect", **fields}, spec_version)
    assert (code, reason) == expected
    assert type(code) is int


@pytest.mark.parametrize(
    ("fields", "spec_version", "by"),
    [
        ({"code": 1000, "reason": ""}, "2.4", "client"),
        ({"code": 1012, "reason": ""}, "2.4", "client"),
        ({"code": 1005, "reason": ""}, "2.4", "client"),
        # Without a reason no close frame has come.
        ({"code": 1005}, "2.4", "network"),
        ({"code": 1006}, "2.0", "network"),
        ({"code": 1012}, "2.4", "server"),
        ({"code": 1012}, "2.0", "client"),
        ({"code": 1000}, "2.4", "client"),
    ],
)
def test_ending_of_tells_who_ended_the_connection(fields, spec_version, by):
    assert ending_of({"type": "websocket.disconnect", **fields}, spec_version)[2] == by


@pytest.mark.parametrize(
    ("status_code", "expected"),
    [
        (400, 1008),
        (401, 1008),
        (403, 1008),
        (404, 1008),
        (413, 1009),
        (422, 1008),
        (429, 1008),
        (499, 1008),
        (500, 1011),
        (502, 1011),
        (503, 1013),
        (504, 1011),
        (599, 1011),
        (307, 1011),
    ],
)
def test_code_for_status_says_the_same_to_a_websocket(status_code, expected):
    assert code_for_status(status_code) == expected


def test_code_for_status_gives_codes_that_may_be_sent():
    for status_code in range(100, 600):
        check_code(code_for_status(status_code))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HTTPError(403, "members only"), (1008, "members only")),
        (HTTPError(404), (1008, "Not Found")),
        (HTTPError(413, "x" * 200), (1009, "x" * 123)),
        (HTTPError(503), (1013, "Service Unavailable")),
        (WebSocketClosed(4001, "over", by="server"), (4001, "over")),
        (WebSocketClosed(1001, "é" * 62, by="client"), (1001, "é" * 61)),
        # What only reports an ending cannot be sent as one.
        (WebSocketClosed(1006, "secret", by="network"), (1011, "internal error")),
        (WebSocketClosed(1005, by="client"), (1011, "internal error")),
        (ValueError("secret"), (1011, "internal error")),
        (KeyboardInterrupt("secret"), (1011, "internal error")),
    ],
)
def test_closing_for_tells_the_client_what_it_may_know_of_an_error(error, expected):
    assert closing_for(error) == expected
