"""Which of what is kept is among the newest."""

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.hub.recent import Recent
from asgi_rt.hub.timeline import Entry


class Watched(Entry):
    """One that can be watched: it has no slots."""


def entry_of(number, size=1):
    return Entry("a", number, number, size, 0.0)


def test_those_beyond_the_count_are_retired_oldest_first():
    retired = []
    recent = Recent(retired.append, max_count=3, max_bytes=100)
    for number in range(5):
        recent.add(entry_of(number))
    assert retired == [0, 1]


def test_those_beyond_the_bytes_are_retired_oldest_first():
    retired = []
    recent = Recent(retired.append, max_count=100, max_bytes=10)
    for number, size in enumerate([4, 6, 3, 3]):
        recent.add(entry_of(number, size))
    assert retired == [0, 1]


def test_the_newest_stays_however_large_it_is():
    retired = []
    recent = Recent(retired.append, max_count=3, max_bytes=10)
    recent.add(entry_of(0))
    recent.add(entry_of(1, 11))
    assert retired == [0]


def test_what_is_made_counts_at_once():
    retired = []
    recent = Recent(retired.append, max_count=100, max_bytes=10)
    accounts = [recent.add(entry_of(number)) for number in range(3)]
    accounts[1].grow(6)
    assert (retired, recent.size_bytes) == ([], 9)
    accounts[0].grow(2)  # what is retired for it may be it
    assert (retired, recent.size_bytes) == ([0], 8)
    accounts[2].grow(50)
    assert (retired, recent.size_bytes) == ([0, 1], 51)


def test_who_holds_an_account_does_not_hold_what_is_recent():
    recent = Recent(id, max_count=100, max_bytes=100)
    entry = Watched("a", 1, 1, 1, 0.0)
    watched = weakref.ref(entry)
    recent.add(entry)
    account = recent.add(entry_of(2))
    del recent, entry
    assert watched() is None  # without a search for cycles
    account.grow(5)
    assert account.size_bytes == 1


def test_what_is_made_of_what_is_retired_does_not_count():
    recent = Recent(id, max_count=1, max_bytes=100)
    first = recent.add(entry_of(0))
    first.grow(3)
    recent.add(entry_of(1))
    first.grow(4)
    assert recent.size_bytes == 1


def test_what_is_made_of_what_was_dropped_elsewhere_does_not_count():
    recent = Recent(id, max_count=100, max_bytes=100)
    dropped = entry_of(0)
    account = recent.add(dropped)
    dropped.drop()
    recent.add(entry_of(1))
    account.grow(4)
    assert recent.size_bytes == 1


def test_what_was_dropped_before_is_not_retired():
    retired = []
    recent = Recent(retired.append, max_count=1, max_bytes=100)
    dropped = entry_of(0)
    recent.add(dropped)
    dropped.drop()
    recent.add(entry_of(1))
    recent.add(entry_of(2))
    assert retired == [1]


def test_of_what_was_dropped_the_oldest_is_not_held():
    recent = Recent(list, max_count=100, max_bytes=100)
    entries = [Watched("a", number, number, 1, 0.0) for number in range(4)]
    for entry in entries[:3]:
        recent.add(entry)
    watched = weakref.WeakSet(entries)
    for entry in entries[:2]:
        entry.drop()
    recent.add(entries[3])
    del entries, entry
    gc.collect()
    assert sorted(entry.position for entry in watched) == [2, 3]


@given(st.lists(st.integers(0, 12)), st.integers(1, 5), st.integers(1, 20))
def test_what_is_not_retired_is_the_longest_end_within_bounds(sizes, count, size_bytes):
    retired = []
    recent = Recent(retired.append, max_count=count, max_bytes=size_bytes)
    for number, size in enumerate(sizes):
        recent.add(entry_of(number, size))
        kept = sizes[len(retired) : number + 1]
        assert len(kept) == 1 or (len(kept) <= count and sum(kept) <= size_bytes)
        longer = sizes[max(0, len(retired) - 1) : number + 1]
        assert not retired or len(longer) > count or sum(longer) > size_bytes
    assert retired == list(range(len(retired)))
