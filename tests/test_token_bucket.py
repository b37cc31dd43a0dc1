"""Tokens that come back at a rate. How many get through over time is tested by `Guard` too."""

import math
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.token_bucket import TokenBucket


def test_a_new_bucket_is_full():
    bucket = TokenBucket(rate=2, burst=5, now=100.0)
    assert bucket.tokens == 5
    assert bucket.full_at == 100.0
    assert bucket.seconds_until(5) == 0.0


def test_what_is_taken_comes_back_at_the_rate_until_it_is_full():
    bucket = TokenBucket(rate=2, burst=5, now=100.0)
    assert bucket.take(100.0, 5)
    assert (bucket.tokens, bucket.full_at) == (0, 102.5)
    assert bucket.take(101.0, 0)
    assert (bucket.tokens, bucket.full_at) == (2, 102.5)
    assert bucket.take(200.0, 0)
    assert (bucket.tokens, bucket.full_at) == (5, 200.0)


def test_all_are_taken_or_none():
    bucket = TokenBucket(rate=1, burst=3, now=0.0)
    assert bucket.take(0.0, 2)
    assert not bucket.take(0.0, 2)
    assert bucket.tokens == 1
    assert bucket.take(0.0, 1)


@pytest.mark.parametrize(("count", "seconds"), [(0, 0.0), (1, 0.0), (2, 0.5), (5, 2.0)])
def test_seconds_until_counts_from_the_last_take(count, seconds):
    bucket = TokenBucket(rate=2, burst=5, now=0.0)
    bucket.take(0.0, 4)
    assert bucket.seconds_until(count) == seconds


def test_more_than_the_burst_is_never_there():
    assert TokenBucket(rate=1, burst=3, now=0.0).seconds_until(4) == math.inf


def test_what_is_given_may_go_beyond_the_burst_and_is_kept():
    bucket = TokenBucket(rate=1, burst=2, now=0.0)
    bucket.give(3, 10.0)
    assert bucket.tokens == 5
    assert bucket.take(20.0, 0)
    assert bucket.tokens == 5
    assert bucket.full_at == 20.0


def test_a_clock_that_goes_back_stands_still():
    bucket = TokenBucket(rate=1, burst=1, now=100.0)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


@given(
    st.fractions(Fraction(1, 100), 1000, max_denominator=100),
    st.integers(1, 50),
    st.sampled_from([0.0, 0.1, 12_345.678, 1.7e9]),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 5)), max_size=40),
)
def test_it_says_when_as_many_will_be_there(rate, burst, start, steps):
    """Who waits so long is let through, and who waits a little less is not."""
    bucket = TokenBucket(float(rate), burst, start)
    now = start
    for pause, count in steps:
        now += pause
        count = min(count, burst)
        if bucket.take(now, count):
            continue
        wait = bucket.seconds_until(count)
        assert wait > 0
        assert not bucket.take(now + wait - 0.01 / float(rate), count) or wait * rate < 0.02
        now += wait + 1e-6  # what the clock cannot tell apart
        assert bucket.take(now, count)


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 2), st.integers(0, 3)), max_size=40))
def test_it_never_holds_more_than_the_burst_or_less_than_none(rate, steps):
    bucket = TokenBucket(rate, 5, 0.0)
    now = 0.0
    for pause, count in steps:
        now += pause
        bucket.take(now, count)
        assert 0 <= bucket.tokens <= 5
        assert bucket.full_at <= now + 5 / rate + 1e-6


def test_it_is_one_small_object():
    bucket = TokenBucket(1, 1, 0.0)
    assert not hasattr(bucket, "__dict__")
    assert sys.getsizeof(bucket) <= 64
