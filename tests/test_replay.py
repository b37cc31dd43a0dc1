"""The replay log: what was missed in full, or a gap; against a model that keeps everything."""

import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt.replay import Gap, ReplayLog


def log_of(count, **bounds):
    log = ReplayLog("e", **bounds)
    for number in range(1, count + 1):
        log.append(f"item {number}", size_bytes=10, now=0)
    return log


def items(found):
    assert not isinstance(found, Gap), found
    return [entry.item for entry in found]


# Ids


def test_ids_are_the_epoch_and_a_sequence_from_one():
    log = ReplayLog("a-b")
    assert [log.append("x", size_bytes=1, now=0) for _ in range(3)] == ["a-b-1", "a-b-2", "a-b-3"]
    assert log.epoch == "a-b"


def test_the_next_id_is_the_one_that_append_gives():
    log = log_of(0)
    for _ in range(3):
        expected = log.next_id
        assert log.append("x", size_bytes=1, now=0) == expected == log.last_id


def test_the_last_id_of_an_empty_log_is_before_everything():
    log = log_of(0)
    before = log.last_id
    assert log.after(before, now=0) == []
    log.append("x", size_bytes=1, now=0)
    assert items(log.after(before, now=0)) == ["x"]


@pytest.mark.parametrize("epoch", ["", "a b", "a\n", "\0", "é", "a\t", "x" * 65])
def test_an_epoch_that_no_header_carries_is_refused(epoch):
    with pytest.raises(ValueError, match="an epoch is 1 to 64 visible ASCII characters"):
        ReplayLog(epoch)


FOREIGN = ["", "e", "e-", "-1", "1", "f-1", "e-e-1", "E-1", "ee-1", "0", "None"]
SPACED = [" e-1", "e-1 ", "e -1", "e- 1", "e-1\n", "e-\t1"]
NUMBERS = ["e-+1", "e--1", "e-01", "e-00", "e-1_0", "e-1.0", "e-0x1", "e-١", "e-²", "e-１"]
FUTURE = ["e-6", "e-" + "9" * 18, "e-" + "1" * 5000, "e-0" * 1000]


@pytest.mark.parametrize(
    "last_event_id",
    [*FOREIGN, *SPACED, *NUMBERS, *FUTURE],
    ids=lambda value: value[:20] or "empty",
)
def test_an_id_that_was_never_given_is_an_unknown_gap(last_event_id):
    assert log_of(5).after(last_event_id, now=0) == Gap("unknown", None)


# After


def test_without_an_id_nothing_was_missed():
    assert log_of(5).after(None, now=0) == []


@pytest.mark.parametrize("sequence", range(6))
def test_what_comes_after_an_id_is_given_in_order(sequence):
    found = log_of(5).after(f"e-{sequence}", now=0)
    assert items(found) == [f"item {number}" for number in range(sequence + 1, 6)]
    assert [entry.id for entry in found] == [f"e-{number}" for number in range(sequence + 1, 6)]


def test_a_limit_gives_the_oldest_and_the_rest_after_them():
    log = log_of(5)
    first = log.after("e-1", now=0, limit=3)
    assert items(first) == ["item 2", "item 3", "item 4"]
    assert items(log.after(first[-1].id, now=0, limit=3)) == ["item 5"]


def test_what_is_not_kept_in_full_is_a_gap_that_counts_all_of_it():
    log = log_of(10, max_count=3)
    assert log.after("e-6", now=0) == Gap("expired", 4)
    assert log.after("e-0", now=0, limit=1) == Gap("expired", 10)
    assert items(log.after("e-7", now=0)) == ["item 8", "item 9", "item 10"]


# Bounds


def test_the_bound_of_count_holds():
    assert len(log_of(10, max_count=3)) == 3


def test_the_bound_of_bytes_holds():
    log = log_of(10, max_bytes=35)
    assert (len(log), log.size_bytes) == (3, 30)


def test_the_newest_is_kept_whatever_its_size():
    log = log_of(3, max_bytes=35)
    log.append("huge", size_bytes=1000, now=0)
    assert items(log.after("e-3", now=0)) == ["huge"]
    assert (len(log), log.size_bytes) == (1, 1000)
    log.append("small", size_bytes=1, now=0)
    assert (len(log), log.size_bytes) == (1, 1)


def test_age_drops_when_something_is_appended():
    log = ReplayLog("e", max_age=10)
    for now in (0, 5, 15, 15.5):
        log.append("x", size_bytes=1, now=now)
    assert (len(log), log.size_bytes) == (2, 2)


def test_age_drops_when_something_is_asked_for_even_the_newest():
    log = log_of(3, max_age=10)
    assert len(log.after("e-0", now=10)) == 3
    assert log.after("e-0", now=10.1) == Gap("expired", 3)
    assert log.after("e-3", now=10.1) == []
    assert len(log) == 0
    assert log.append("x", size_bytes=1, now=10.1) == "e-4"
    assert items(log.after("e-3", now=10.1)) == ["x"]


def test_a_clock_that_is_set_back_drops_nothing_too_early():
    log = ReplayLog("e", max_age=10)
    for now in (100, 50, 51):
        log.append("x", size_bytes=1, now=now)
    assert len(log.after("e-0", now=52)) == 3
    assert len(log.after("e-0", now=110)) == 3
    assert log.after("e-0", now=111) == Gap("expired", 3)


def test_without_bounds_everything_is_kept():
    log = ReplayLog("e", max_count=None, max_bytes=None, max_age=None)
    for now in range(5000):
        log.append("x", size_bytes=10_000, now=now)
    assert len(log.after("e-0", now=10**9)) == 5000


@pytest.mark.parametrize(
    "bound",
    [{"max_count": 0}, {"max_bytes": 0}, {"max_age": -1}, {"max_age": float("nan")}],
    ids=repr,
)
def test_a_bound_that_makes_no_sense_is_refused(bound):
    with pytest.raises(ValueError, match=f"{next(iter(bound))} is at least"):
        ReplayLog("e", **bound)


def test_a_negative_size_is_refused():
    log = log_of(1)
    with pytest.raises(ValueError, match="size_bytes is at least 0"):
        log.append("x", size_bytes=-1, now=0)
    assert log.last_id == "e-1"


def test_what_is_asked_for_costs_the_same_in_a_long_log():
    def seconds(log):
        last_event_id = f"e-{len(log) // 2}"
        return min(
            timeit.repeat(lambda: log.after(last_event_id, now=0, limit=3), number=200, repeat=10)
        )

    short, long = log_of(10), log_of(20_000, max_count=None, max_bytes=None)
    assert seconds(long) < 20 * seconds(short)


# Against a model


class Model:
    """Keeps everything, and finds what the bounds leave by their definition."""

    def __init__(self, max_count, max_bytes, max_age):
        self.max_count, self.max_bytes, self.max_age = max_count, max_bytes, max_age
        self.entries = []
        self.first_kept = 0

    def append(self, size_bytes, now):
        newest = max([now, *(time for _, time in self.entries[-1:])])
        self.entries.append((size_bytes, newest))
        while len(self.entries) - self.first_kept > 1 and not self.within_bounds():
            self.first_kept += 1
        self.expire(now)

    def within_bounds(self):
        kept = self.entries[self.first_kept :]
        return len(kept) <= (self.max_count or len(kept)) and sum(s for s, _ in kept) <= (
            self.max_bytes or float("inf")
        )

    def expire(self, now):
        while (
            self.max_age is not None
            and self.first_kept < len(self.entries)
            and now - self.entries[self.first_kept][1] > self.max_age
        ):
            self.first_kept += 1

    def after(self, sequence, now, limit):
        self.expire(now)
        if sequence > len(self.entries):
            return Gap("unknown", None)
        if sequence < self.first_kept:
            return Gap("expired", len(self.entries) - sequence)
        numbers = list(range(sequence + 1, len(self.entries) + 1))
        return numbers if limit is None else numbers[:limit]


steps = st.integers(-3, 6)
appends = st.tuples(st.just("append"), st.integers(0, 12), steps)
questions = st.tuples(st.just("after"), st.integers(0, 30), steps, st.none() | st.integers(1, 5))


@settings(deadline=None, max_examples=300)
@given(
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(0, 12),
    st.lists(appends | questions, max_size=40),
)
def test_the_log_gives_what_the_model_gives(max_count, max_bytes, max_age, actions):
    log = ReplayLog("e", max_count=max_count, max_bytes=max_bytes, max_age=max_age)
    model = Model(max_count, max_bytes, max_age)
    now = 0
    for what, number, step, *limit in actions:
        now += step
        if what == "append":
            log.append(len(model.entries) + 1, size_bytes=number, now=now)
            model.append(number, now)
        else:
            found = log.after(f"e-{number}", now=now, limit=limit[0])
            found = found if isinstance(found, Gap) else [entry.item for entry in found]
            assert found == model.after(number, now, limit[0])
        kept = model.entries[model.first_kept :]
        assert (len(log), log.size_bytes) == (len(kept), sum(size for size, _ in kept))
