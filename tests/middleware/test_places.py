"""Places, and the line of those who wait for one."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.middleware.places import Places, PlacesCounters


@pytest.fixture
def counters():
    return PlacesCounters()


async def test_places_are_taken_until_there_are_none(counters):
    places = Places(2, 0, counters)
    assert [places.take() for _ in range(3)] == [True, True, False]
    assert counters.active == 2
    assert places.stand_in_line() is None
    places.give_back()
    assert places.take()


async def test_who_came_first_is_next(counters):
    places = Places(1, 3, counters)
    places.take()
    first, second, third = (places.stand_in_line() for _ in range(3))
    assert places.stand_in_line() is None
    assert counters == PlacesCounters(active=1, queued=3)
    for waiter in (first, second, third):
        assert not waiter.has_place
        places.give_back()
        assert waiter.has_place
        assert waiter.woken.is_set()
    assert counters == PlacesCounters(active=1, queued=0)
    places.give_back()
    assert counters == PlacesCounters()


async def test_nobody_overtakes_who_waits(counters):
    places = Places(1, 1, counters)
    places.take()
    waiter = places.stand_in_line()
    places.give_back()
    assert not places.take()
    assert waiter.has_place


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_who_steps_out_leaves_no_gap(counters, number):
    places = Places(1, 3, counters)
    places.take()
    line = [places.stand_in_line() for _ in range(3)]
    places.step_out(line.pop(number))
    assert counters.queued == 2
    for waiter in line:
        places.give_back()
        assert waiter.has_place


async def test_who_steps_out_hands_on_the_place_that_came_meanwhile(counters):
    places = Places(1, 2, counters)
    places.take()
    first, second = places.stand_in_line(), places.stand_in_line()
    places.give_back()
    places.step_out(first)
    assert (first.has_place, second.has_place) == (False, True)
    places.step_out(first)
    assert counters == PlacesCounters(active=1)


async def test_a_client_that_leaves_wakes_its_waiter_and_an_error_does_not(counters):
    places = Places(1, 1, counters)
    places.take()
    waiter = places.stand_in_line()
    waiter.on_left(RuntimeError("nothing more is known"))
    assert (waiter.has_left, waiter.woken.is_set()) == (False, False)
    waiter.on_left(None)
    assert (waiter.has_left, waiter.woken.is_set()) == (True, True)


async def test_those_who_count_together_have_places_of_their_own(counters):
    wide, narrow = Places(2, 0, counters), Places(1, 1, counters)
    assert [wide.take(), wide.take(), wide.take()] == [True, True, False]
    assert [narrow.take(), narrow.take()] == [True, False]
    assert counters == PlacesCounters(active=3)
    waiter = narrow.stand_in_line()
    wide.give_back()
    assert not waiter.has_place
    assert wide.take()
    narrow.give_back()
    assert waiter.has_place
    assert counters == PlacesCounters(active=3)


@given(
    st.integers(1, 3),
    st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from(["come", "go", "leave"]), st.integers(0, 9)), max_size=60),
)
def test_the_places_and_the_line_are_always_kept(taken, waiting, steps):
    async def run():
        counters = PlacesCounters()
        places = Places(taken, waiting, counters)
        served, line = 0, []
        for step, number in steps:
            if step == "come":
                if places.take():
                    assert not line, "somebody was overtaken"
                    served += 1
                elif (waiter := places.stand_in_line()) is not None:
                    line.append(waiter)
            elif step == "go" and served:
                places.give_back()
                if line:
                    assert line.pop(0).has_place
                else:
                    served -= 1
            elif step == "leave" and line:
                places.step_out(line.pop(number % len(line)))
            assert (counters.active, counters.queued) == (served, len(line))
            assert served <= taken
            assert len(line) <= waiting
            assert served == taken or not line
            assert not any(each.has_place for each in line)

    anyio.run(run)
