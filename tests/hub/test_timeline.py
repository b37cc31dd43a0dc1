"""Entries in order: what is dropped leaves holes, which are passed over and cleared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt.hub.timeline import Entry, Timeline


def entry_at(position):
    return Entry("topic", f"item {position}", position, 1, 0.0)


def timeline_of(*positions):
    timeline = Timeline()
    for position in positions:
        timeline.append(entry_at(position))
    return timeline


def drop(timeline, position):
    [entry] = [each for each in timeline._entries if each.position == position]
    entry.drop()
    timeline.forget()


def kept(entries):
    return [entry.position for entry in entries if entry.is_kept]


def test_an_empty_one_has_no_ends():
    timeline = timeline_of()
    assert (len(timeline), list(timeline.after(0)), list(timeline.backwards())) == (0, [], [])
    for end in ("oldest", "newest"):
        with pytest.raises(IndexError):
            getattr(timeline, end)


def test_entries_are_found_by_position_whether_or_not_one_is_there():
    timeline = timeline_of(2, 4, 6)
    found = [kept(timeline.after(position)) for position in range(8)]
    assert found == [[2, 4, 6]] * 2 + [[4, 6]] * 2 + [[6]] * 2 + [[]] * 2
    assert kept(timeline.backwards()) == [6, 4, 2]
    assert (timeline.oldest.position, timeline.newest.position) == (2, 6)


def test_an_entry_that_was_dropped_holds_nothing():
    entry = entry_at(1)
    entry.drop()
    assert not entry.is_kept
    assert not hasattr(entry, "item")


def test_the_oldest_is_the_first_that_is_left():
    timeline = timeline_of(1, 2, 3, 4)
    drop(timeline, 2)
    assert timeline.oldest.position == 1
    drop(timeline, 1)
    assert timeline.oldest.position == 3
    assert kept(timeline.after(0)) == [3, 4]
    assert kept(timeline.backwards()) == [4, 3]


def test_of_what_stands_before_the_oldest_nothing_is_looked_at():
    timeline = timeline_of(*range(1, 11))
    for position in range(1, 6):
        drop(timeline, position)
    assert len(list(timeline.after(0))) == len(list(timeline.backwards())) == 5


def test_one_of_which_all_was_dropped_is_empty_and_goes_on():
    timeline = timeline_of(1, 2)
    drop(timeline, 1)
    drop(timeline, 2)
    assert (len(timeline), timeline._entries) == (0, [])
    timeline.append(entry_at(9))
    assert (timeline.oldest.position, kept(timeline.after(0))) == (9, [9])


def test_holes_are_at_most_half_and_a_few():
    timeline = timeline_of(*range(1, 1001))
    for position in range(2, 1000):
        drop(timeline, position)
        assert len(timeline._entries) <= 2 * len(timeline) + 16
    assert kept(timeline.after(0)) == [1, 1000]


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(0, 30), max_size=120), st.integers(0, 60))
def test_it_is_a_list_from_which_any_but_the_newest_is_dropped(actions, asked):
    timeline, model = Timeline(), []
    for position, index in enumerate(actions, 1):
        if index is None:
            timeline.append(entry_at(position))
            model.append(position)
        elif index < len(model) - 1 or len(model) == 1:
            drop(timeline, model.pop(min(index, len(model) - 1)))
        assert len(timeline) == len(model)
        if model:
            assert (timeline.oldest.position, timeline.newest.position) == (model[0], model[-1])
    assert kept(timeline.after(asked)) == [each for each in model if each > asked]
    assert kept(timeline.backwards()) == model[::-1]
