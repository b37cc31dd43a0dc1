"""How long a client waits: what the server asks for, what grows, and what chance adds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.sse.backoff import reconnect_delay, retry_after_seconds

NOON = 784_897_200.0  # Tue, 15 Nov 1994 11:00:00 GMT


def delay(retry, failures, *, max_retry=60.0, jitter=0.0, retry_after=None):
    return reconnect_delay(
        retry, failures, max_retry=max_retry, jitter=jitter, retry_after=retry_after
    )


def test_a_connection_that_brought_something_is_followed_after_retry():
    assert delay(3, 0) == 3
    assert delay(0, 0) == 0
    assert delay(90, 0) == 90


def test_failures_double_the_wait_up_to_the_maximum():
    assert [delay(3, failures) for failures in range(1, 8)] == [3, 6, 12, 24, 48, 60, 60]
    assert delay(3, 10**9) == 60


def test_a_retry_of_nothing_grows_too():
    assert [delay(0, failures) for failures in range(4)] == [0, 0.5, 1, 2]


def test_retry_after_takes_the_place_of_the_growth():
    assert delay(3, 5, retry_after=20) == 20
    assert delay(3, 1, retry_after=500) == 500
    assert delay(3, 5, retry_after=1) == 3
    assert delay(0, 5, retry_after=0) == 0.5


def test_no_server_can_ask_for_more_than_a_day():
    assert delay(1e15, 0) == 86_400
    assert delay(3, 1, retry_after=1e18) == 86_400


def test_chance_adds_up_to_half_and_never_more_than_the_maximum():
    assert delay(4, 0, jitter=1.0) == 6
    assert delay(4, 0, jitter=0.5) == 5
    assert delay(4, 1, jitter=1.0, retry_after=1000) == 1060


@given(
    retry=st.floats(0, 1e6),
    failures=st.integers(0, 10**6),
    max_retry=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    retry_after=st.none() | st.floats(0, 1e18),
)
def test_the_wait_is_never_less_than_what_was_asked_for(
    retry, failures, max_retry, jitter, retry_after
):
    wait = reconnect_delay(
        retry, failures, max_retry=max_retry, jitter=jitter, retry_after=retry_after
    )
    assert wait >= min(retry, 86_400)
    if failures and retry_after is not None:
        assert wait >= min(retry_after, 86_400)
    assert wait <= max(86_400, max_retry) * 1.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("9" * 5000, float("9" * 18)),
        ("Tue, 15 Nov 1994 11:00:05 GMT", 5),
        ("Tue, 15 Nov 1994 10:00:00 GMT", 0),
        ("Tuesday, 15-Nov-94 11:00:05 GMT", 5),
        ("Tue, 15 Nov 1994 12:00:05 +0100", 5),
        ("Tue, 15 Nov 1994 11:00:05 -0000", 5),
    ],
)
def test_retry_after_is_read(value, seconds):
    assert retry_after_seconds(value, NOON) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1.5", "²", "Tue, 99 Nov 1994", "0x10"])
def test_a_retry_after_that_says_nothing_is_none(value):
    assert retry_after_seconds(value, NOON) is None


@given(st.text())
def test_no_retry_after_raises(value):
    seconds = retry_after_seconds(value, NOON)
    assert seconds is None or seconds >= 0
