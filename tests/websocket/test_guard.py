"""Sizes, rates and idle times."""

import math
import sys
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_rt.websocket.closing import MAX_REASON_BYTES, check_code
from asgi_rt.websocket.guard import Guard, Limits, size_violation


@pytest.mark.parametrize(
    ("message", "max_bytes", "is_refused"),
    [
        ("", 1, False),
        (b"", 1, False),
        ("a" * 10, 10, False),
        ("a" * 11, 10, True),
        (b"a" * 10, 10, False),
        (b"a" * 11, 10, True),
        ("é" * 5, 10, False),
        ("é" * 5 + "a", 10, True),
        ("€" * 3, 9, False),
        ("€" * 3, 8, True),
        ("😀" * 2, 8, False),
        ("😀" * 2, 7, True),
        ("\ud800", 3, False),
        ("\ud800", 2, True),
        ("a" * 5_000_000, None, False),
        (b"a" * 5_000_000, None, False),
    ],
)
def test_size_violation_counts_the_bytes_on_the_wire(message, max_bytes, is_refused):
    violation = size_violation(message, max_bytes)
    assert (violation is not None) is is_refused
    if violation is not None:
        assert violation == (1009, f"a message may have at most {max_bytes} bytes")


@given(st.text(max_size=40), st.integers(1, 200))
def test_size_violation_agrees_with_the_encoded_text(text, max_bytes):
    raw = text.encode()
    assert (size_violation(text, max_bytes) is None) == (len(raw) <= max_bytes)
    assert (size_violation(raw, max_bytes) is None) == (len(raw) <= max_bytes)


class NeverEncoded(str):
    """A text that must be measured without being encoded."""

    __slots__ = ()

    def encode(self, *_):
        raise AssertionError("the text was encoded")


@pytest.mark.parametrize(
    ("text", "max_bytes", "is_refused"),
    [("é" * 25, 100, False), ("é" * 101, 100, True), ("a" * 100, 100, False)],
)
def test_size_violation_encodes_no_text_whose_length_decides(text, max_bytes, is_refused):
    assert (size_violation(NeverEncoded(text), max_bytes) is not None) is is_refused


@pytest.mark.parametrize("name", ["max_message_bytes", "messages_per_second", "idle_timeout"])
@pytest.mark.parametrize("value", [0, -1, -0.5, math.nan, math.inf, -math.inf])
def test_limits_refuses_a_value_that_is_not_positive_and_names_it(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be more than 0 and finite, not {value}"):
        Limits(**{name: value})


def test_limits_takes_none_for_each():
    assert Limits() == Limits(None, None, None)
    assert Limits(1, 0.1, 0.1).max_message_bytes == 1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), False),
        (Limits(max_message_bytes=1), False),
        (Limits(messages_per_second=1), True),
        (Limits(idle_timeout=1), True),
    ],
)
def test_limits_need_a_guard_only_for_a_rate_or_an_idle_time(limits, expected):
    assert limits.need_guard is expected


def let_through(guard, times, message="x"):
    return sum(guard.check(message, at) is None for at in times)


@pytest.mark.parametrize(
    ("rate", "at_once", "after_a_second"),
    [(10, 10, 10), (2.5, 2, 2), (1, 1, 1), (0.5, 1, 0), (0.01, 1, 0)],
)
def test_a_guard_lets_one_seconds_worth_through_at_once(rate, at_once, after_a_second):
    guard = Guard(Limits(messages_per_second=rate), 100.0)
    assert let_through(guard, [100.0] * 50) == at_once
    assert let_through(guard, [101.0] * 50) == after_a_second


def test_a_guard_saves_up_no_more_than_one_second():
    guard = Guard(Limits(messages_per_second=5), 0.0)
    assert let_through(guard, [3600.0] * 50) == 5


def test_a_guard_says_which_rate_was_broken():
    guard = Guard(Limits(messages_per_second=0.5), 0.0)
    assert guard.check("x", 0.0) is None
    assert guard.check("x", 0.0) == (1008, "at most 0.5 messages per second may be sent")


def test_a_guard_without_a_rate_lets_any_number_through():
    guard = Guard(Limits(max_message_bytes=10, idle_timeout=1), 0.0)
    assert let_through(guard, [0.0] * 10_000) == 10_000


def test_a_guard_checks_the_size_before_the_rate():
    guard = Guard(Limits(max_message_bytes=3, messages_per_second=1), 0.0)
    assert guard.check("four", 0.0) == (1009, "a message may have at most 3 bytes")
    assert guard.check(b"abc", 0.0) is None
    assert guard.check(b"abc", 0.0) is not None


RATES = st.fractions(Fraction(1, 100), 1000, max_denominator=100)
# Where a clock may stand when the connection begins: a boot ago, or the epoch.
STARTS = st.sampled_from([0.0, 0.1, 12_345.678, 1.7e9])
STEPS = st.lists(st.floats(-2.0, 2.0), max_size=60)


@given(RATES, STARTS, STEPS)
@example(Fraction(1), 0.0, [0.0, 0.0, -1.0, 1.0, -1.0, 1.0])
def test_a_guard_never_lets_more_through_than_the_rate_allows(rate, start, steps):
    """In every span of time, not only from the start, and with a clock that goes back as well."""
    guard = Guard(Limits(messages_per_second=float(rate)), start)
    burst = max(1, rate)
    now = latest = start
    passed: list[float] = []
    for step in steps:
        now += step
        latest = max(latest, now)
        if guard.check("x", now) is None:
            passed.append(latest)
        for i, since in enumerate(passed):
            allowed = rate * (Fraction(latest) - Fraction(since)) + burst
            assert len(passed) - i <= allowed + Fraction(1, 1000)


@given(RATES, STARTS, st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
@example(Fraction(1, 10), 1.7e9, [0.0] * 60)
@example(Fraction(1, 3), 0.1, [0.0] * 60)
def test_a_guard_never_refuses_a_client_that_keeps_below_the_rate(rate, start, pauses):
    guard = Guard(Limits(messages_per_second=float(rate)), start)
    now = start
    for pause in pauses:
        assert guard.check("x", now) is None
        now += float(1 / rate) + pause


@given(RATES, STARTS, STEPS)
def test_a_guard_agrees_with_an_exact_bucket(rate, start, steps):
    """The model counts in fractions; where it stands within rounding of a token, either may be."""
    guard = Guard(Limits(messages_per_second=float(rate)), start)
    exact, burst = Fraction(float(rate)), max(Fraction(1), Fraction(float(rate)))
    tokens, latest, now = burst, Fraction(start), start
    for step in steps:
        now += step
        tokens = min(burst, tokens + max(Fraction(0), Fraction(now) - latest) * exact)
        latest = max(latest, Fraction(now))
        passed = guard.check("x", now) is None
        if abs(tokens - 1) > Fraction(1, 10_000):
            assert passed == (tokens >= 1)
        tokens -= passed


def test_a_guard_takes_a_clock_that_goes_back_for_one_that_stands_still():
    guard = Guard(Limits(messages_per_second=2, idle_timeout=10), 100.0)
    assert let_through(guard, [100.0, 50.0, 0.0]) == 2
    assert guard.idle_for(50.0) == 0.0
    assert guard.idle_due() == 110.0
    assert guard.check_idle(50.0) is None
    assert let_through(guard, [100.0, 99.0]) == 0, "the way back up brings nothing"
    assert let_through(guard, [100.5] * 3) == 1


def test_a_guard_counts_idle_time_from_the_last_message():
    guard = Guard(Limits(idle_timeout=30), 100.0)
    assert (guard.idle_for(110.0), guard.idle_due()) == (10.0, 130.0)
    guard.check("x", 120.0)
    assert (guard.idle_for(121.0), guard.idle_due()) == (1.0, 150.0)


def test_touch_begins_the_idle_time_anew_and_takes_nothing_off_the_rate():
    guard = Guard(Limits(messages_per_second=1, idle_timeout=30), 100.0)
    guard.touch(120.0)
    guard.touch(110.0)
    assert guard.idle_due() == 150.0
    assert guard.check("x", 120.0) is None


def test_check_idle_closes_from_the_moment_the_time_runs_out():
    guard = Guard(Limits(idle_timeout=0.3), 0.1)
    assert guard.check_idle(math.nextafter(guard.idle_due(), 0)) is None
    assert guard.check_idle(guard.idle_due()) == (1008, "no message for 0.3 seconds")


def test_a_guard_without_an_idle_timeout_is_never_due():
    guard = Guard(Limits(messages_per_second=1), 0.0)
    assert guard.idle_due() == math.inf
    assert guard.idle_for(1e9) == 1e9
    assert guard.check_idle(1e9) is None


@pytest.mark.parametrize("figure", [1e-300, 1 / 3, 123456789.123456789, 1e15, sys.float_info.max])
def test_reasons_and_codes_fit_a_close_frame_whatever_the_figures(figure):
    size = size_violation(b"xx", 1)
    assert size is not None
    guard = Guard(Limits(messages_per_second=figure, idle_timeout=figure), 0.0)
    if figure < 1:
        guard.check("x", 0.0)
        rate = guard.check("x", 0.0)
    else:  # as many as such a rate takes cannot be sent in a test
        rate = Guard(Limits(messages_per_second=1 / figure), 0.0)
        rate = rate.check("x", 0.0) or rate.check("x", 0.0)
    idle = guard.check_idle(math.inf)
    assert rate is not None
    assert idle is not None
    for code, reason in (size, rate, idle):
        check_code(code)
        assert len(reason.encode()) <= MAX_REASON_BYTES


def test_the_figures_in_a_reason_are_written_out():
    guard = Guard(Limits(idle_timeout=1_000_000), 0.0)
    assert guard.check_idle(2e6) == (1008, "no message for 1000000 seconds")


def test_a_guard_is_one_small_object():
    guard = Guard(Limits(messages_per_second=1), 0.0)
    assert not hasattr(guard, "__dict__")
    assert sys.getsizeof(guard) <= 80
