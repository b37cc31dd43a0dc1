"""Buckets in this process: what they let through, and who loses one when there is no room."""

import gc
import tracemalloc
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from middleware.limited import Clock

from asgi_rt.middleware.rate_store import MemoryRateStore, RatePolicy, Verdict


@pytest.fixture
def clock():
    return Clock()


def policy(rate=6, period=60, burst=3, name="default"):
    return RatePolicy(rate, period, burst, name)


DEFAULT = policy()


async def takes(store, key, cost=1, policy=DEFAULT):
    return await store.take(key, cost, policy)


def verdict(is_allowed, remaining, next_in, retry_in):
    return pytest.approx(Verdict(is_allowed, remaining, next_in, retry_in))


def run(coroutine):
    """What a coroutine that waits for nothing returns."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


async def test_a_bucket_tells_what_is_left_and_when_there_is_more(clock):
    store = MemoryRateStore(clock=clock)
    assert await takes(store, "a") == verdict(True, 2, 10.0, 0.0)
    assert await takes(store, "a") == verdict(True, 1, 10.0, 0.0)
    clock.now += 4
    assert await takes(store, "a") == verdict(True, 0, 6.0, 0.0)
    assert await takes(store, "a") == verdict(False, 0, 6.0, 6.0)
    clock.now += 6
    assert await takes(store, "a") == verdict(True, 0, 10.0, 0.0)


async def test_a_refusal_takes_nothing(clock):
    store = MemoryRateStore(clock=clock)
    await takes(store, "a", cost=2)
    assert await takes(store, "a", cost=3) == verdict(False, 1, 10.0, 20.0)
    assert await takes(store, "a", cost=1) == verdict(True, 0, 10.0, 0.0)


async def test_a_full_bucket_has_nothing_to_come(clock):
    store = MemoryRateStore(clock=clock)
    assert await takes(store, "a", cost=0) == verdict(True, 3, 0.0, 0.0)


async def test_keys_and_policies_have_buckets_of_their_own(clock):
    store = MemoryRateStore(clock=clock)
    await takes(store, "a", cost=3)
    assert (await takes(store, "b")).remaining == 2
    assert (await takes(store, "a", policy=policy(name="other"))).remaining == 2
    assert not (await takes(store, "a")).is_allowed
    assert len(store) == 3


def test_taking_waits_for_nothing(clock):
    assert run(takes(MemoryRateStore(clock=clock), "a")).is_allowed


async def test_what_is_full_again_makes_room_for_new_keys(clock):
    """Without a sweep: each key that comes looks at two that were used longest ago."""
    store = MemoryRateStore(clock=clock)
    for number in range(100):
        await takes(store, f"early-{number}")
    clock.now += 11
    for number in range(60):
        await takes(store, f"late-{number}")
    assert len(store) == 60
    assert store.displaced == 0


@pytest.mark.parametrize("slow", [1, 4, 40])
def test_a_bucket_that_is_long_in_use_hides_none_of_those_behind_it(clock, slow):
    """60 new clients a second, each for 36 seconds: 2160 in use, and those who have asked more."""
    store = MemoryRateStore(max_keys=2600, clock=clock)
    rule = policy(rate=100, period=3600, burst=100)
    for number in range(slow):
        run(takes(store, f"fuller-{number}", cost=45, policy=rule))
        run(takes(store, f"emptier-{number}", cost=95, policy=rule))
    for number in range(20_000):
        clock.now += 1 / 60
        run(takes(store, f"key-{number}", policy=rule))
        assert len(store) <= (2161 + 2 * slow) * 8 / 7 + 1
    assert store.displaced == 0


async def test_policies_of_long_periods_hide_none_of_short_ones(clock):
    store = MemoryRateStore(clock=clock)
    for number in range(6):
        await takes(store, f"slow-{number}", policy=policy(1, 86_400, number % 2 + 1, "slow"))
    for number in range(2000):
        clock.now += 1
        await takes(store, f"key-{number}", policy=policy(100, 1, 100, "fast"))
    assert len(store) <= 9


async def test_what_is_given_up_but_full_is_not_lost(clock):
    store = MemoryRateStore(max_keys=20, clock=clock)
    for number in range(20):
        await takes(store, f"emptier-{number}", cost=3)
    clock.now += 30
    for number in range(20):
        await takes(store, f"key-{number}")
    assert (len(store), store.displaced) == (20, 0)


def test_keys_that_come_again_when_they_were_given_up_take_no_memory(clock):
    store, rule = MemoryRateStore(max_keys=50, clock=clock), policy(burst=1)
    for number in range(1000):
        run(takes(store, f"key-{number % 51}", policy=rule))
    tracemalloc.start()
    try:
        for number in range(1000, 21_000):
            run(takes(store, f"key-{number % 51}", policy=rule))
        gc.collect()  # what `run` has left
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert store.displaced == 20_950
    assert taken < 64 * 1024


@pytest.mark.parametrize("others", [49, 50])
async def test_with_a_burst_of_one_who_was_refused_is_known_while_fewer_others_come(clock, others):
    """Each bucket is empty then, and none is better to give up than another."""
    store, rule = MemoryRateStore(max_keys=50, clock=clock), policy(burst=1)
    for _ in range(3):
        await takes(store, "refused", policy=rule)
        for number in range(others):
            await takes(store, f"made-up-{number}", policy=rule)
    verdict = await takes(store, "refused", policy=rule)
    assert verdict.is_allowed == (others == 50)


async def test_there_are_never_more_keys_than_that(clock):
    store = MemoryRateStore(max_keys=50, clock=clock)
    for number in range(500):
        await takes(store, f"key-{number}")
        assert len(store) <= 50
    assert store.displaced == 450


async def test_made_up_keys_displace_each_other_and_not_a_client_that_was_refused(clock):
    store = MemoryRateStore(max_keys=50, clock=clock)
    await takes(store, "refused", cost=3)
    for number in range(5000):
        await takes(store, f"made-up-{number}")
    assert not (await takes(store, "refused")).is_allowed
    assert store.displaced == 4951


async def test_however_many_were_refused_made_up_keys_displace_none_of_them(clock):
    store = MemoryRateStore(max_keys=50, clock=clock)
    for number in range(49):
        await takes(store, f"refused-{number}", cost=3)
    for number in range(5000):
        await takes(store, f"made-up-{number}")
    verdicts = [await takes(store, f"refused-{number}") for number in range(49)]
    assert [each.is_allowed for each in verdicts] == [False] * 49


async def test_of_those_that_are_refused_the_one_that_asked_last_is_kept_longest(clock):
    store = MemoryRateStore(max_keys=3, clock=clock)
    for key in ("a", "b", "c"):
        await takes(store, key, cost=3)
    await takes(store, "a")  # refused, and still at it
    await takes(store, "d", cost=3)
    assert not (await takes(store, "a")).is_allowed
    assert (await takes(store, "b")).is_allowed


async def test_a_new_client_is_let_in_where_all_buckets_are_exhausted(clock):
    store = MemoryRateStore(max_keys=20, clock=clock)
    for number in range(20):
        await takes(store, f"refused-{number}", cost=3)
    assert (await takes(store, "new")).is_allowed
    assert (len(store), store.displaced) == (20, 1)


async def test_one_key_is_enough_room(clock):
    store = MemoryRateStore(max_keys=1, clock=clock)
    await takes(store, "a")
    await takes(store, "b")
    assert (len(store), store.displaced) == (1, 1)


@given(
    st.integers(1, 50),
    st.integers(1, 100),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20)), max_size=50),
)
def test_it_agrees_with_an_exact_bucket(rate, period, burst, steps):
    clock = Clock()
    store = MemoryRateStore(clock=clock)
    rule = RatePolicy(rate, period, burst)
    tokens, at = Fraction(burst), Fraction(clock.now)
    for pause, cost in steps:
        clock.now += pause
        cost = min(cost, burst)
        tokens = min(Fraction(burst), tokens + (Fraction(clock.now) - at) * Fraction(rate, period))
        at = Fraction(clock.now)
        verdict = run(store.take("key", cost, rule))
        if abs(tokens - cost) > Fraction(1, 10_000):
            assert verdict.is_allowed == (tokens >= cost)
        if verdict.is_allowed:
            tokens -= cost
            assert verdict.retry_in == 0
        else:
            assert verdict.retry_in == pytest.approx(
                float((cost - tokens) * period / rate), abs=0.1
            )
        assert abs(tokens - verdict.remaining - Fraction(1, 2)) <= Fraction(501, 1000)
        assert 0 <= verdict.next_in <= period / rate + 0.01


@given(st.lists(st.tuples(st.integers(0, 8), st.floats(0, 5)), max_size=200))
def test_nothing_is_lost_by_dropping_what_is_full(steps):
    """With room for all, a store that drops says the same as one bucket for each key would."""
    clock = Clock()
    store = MemoryRateStore(clock=clock)
    alone = [MemoryRateStore(clock=clock) for _ in range(9)]
    for key, pause in steps:
        clock.now += pause
        assert run(takes(store, str(key))) == pytest.approx(run(takes(alone[key], "x")), abs=1e-6)


def test_a_key_takes_less_than_half_a_kilobyte(clock):
    store = MemoryRateStore(clock=clock)
    tracemalloc.start()
    try:
        for number in range(5000):
            run(takes(store, f"203.0.113.{number}"))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken / 5000 < 512
