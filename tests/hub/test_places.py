"""Who is in which place: step by step, and against a list of the connections that are open."""

import gc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asgi_rt.hub.backplane.places import Places
from asgi_rt.hub.backplane.protocol import Member


@pytest.fixture
def places():
    return Places()


def test_nobody_is_anywhere_at_first(places):
    assert (places.members("room"), places.count("room")) == ([], 0)


def test_who_enters_is_there_until_they_leave(places):
    assert places.enter("room", "ada", "c1", {"typing": True}, now=5) == "joined"
    assert places.members("room") == [Member("ada", {"typing": True}, 5, 1)]
    assert places.count("room") == 1
    assert places.leave("room", "ada", "c1") is True
    assert (places.members("room"), places.count("room")) == ([], 0)


def test_who_has_many_connections_is_there_once_until_the_last_leaves(places):
    assert places.enter("room", "ada", "c1", "first", now=5) == "joined"
    assert places.enter("room", "ada", "c2", "second", now=9) == "updated"
    assert places.members("room") == [Member("ada", "second", 5, 2)]
    assert places.leave("room", "ada", "c2") is False
    assert places.members("room") == [Member("ada", "first", 5, 1)]
    assert places.leave("room", "ada", "c1") is True


def test_metadata_is_that_of_the_connection_renewed_last(places):
    places.enter("room", "ada", "c1", 1, now=5)
    places.enter("room", "ada", "c2", 2, now=6)
    assert places.enter("room", "ada", "c1", 3, now=7) == "updated"
    assert places.members("room") == [Member("ada", 3, 5, 2)]
    places.leave("room", "ada", "c1")
    assert places.members("room") == [Member("ada", 2, 5, 1)]


def test_metadata_may_be_nothing(places):
    places.enter("room", "ada", "c1", None, now=5)
    assert places.members("room") == [Member("ada", None, 5, 1)]


@pytest.mark.parametrize(
    "where", [("hall", "ada", "c1"), ("room", "eve", "c1"), ("room", "ada", "c2")]
)
def test_leaving_where_one_is_not_changes_nothing(places, where):
    places.enter("room", "ada", "c1", None, now=5)
    assert places.leave(*where) is False
    assert places.count("room") == 1


def test_leaving_twice_ends_nothing_twice(places):
    places.enter("room", "ada", "c1", None, now=5)
    assert places.leave("room", "ada", "c1") is True
    assert places.leave("room", "ada", "c1") is False


def test_who_comes_back_stands_last_and_is_there_since_then(places):
    for number, member in enumerate(["ada", "bob"]):
        places.enter("room", member, member, None, now=number)
    places.leave("room", "ada", "ada")
    assert places.enter("room", "ada", "ada", None, now=7) == "joined"
    assert [(each.member, each.since) for each in places.members("room")] == [
        ("bob", 1),
        ("ada", 7),
    ]


def test_nothing_is_kept_of_who_left(places):
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        places.enter(f"room {number % 10}", f"m{number}", f"c{number}", {}, now=0)
    for number in range(1000):
        places.leave(f"room {number % 10}", f"m{number}", f"c{number}")
    gc.collect()
    assert len(gc.get_objects()) - before < 20
    assert places._places == {}


class AgainstAList(RuleBasedStateMachine):
    """The model is the connections that are open, in the order in which they were renewed."""

    def __init__(self):
        super().__init__()
        self.places = Places()
        self.open = []  # place, member, connection, metadata
        self.since = {}  # in the order of their coming
        self.now = 0

    def there(self, place, member):
        return [each for each in self.open if each[:2] == (place, member)]

    @rule(place=st.sampled_from("xy"), member=st.sampled_from("abc"), number=st.integers(1, 3))
    def enter(self, place, member, number):
        self.now += 1
        connection = f"{member}{number}"
        expected = "updated" if self.there(place, member) else "joined"
        self.open = [each for each in self.open if each[:3] != (place, member, connection)]
        self.open.append((place, member, connection, self.now))
        if expected == "joined":
            self.since[place, member] = self.now
        assert self.places.enter(place, member, connection, self.now, now=self.now) == expected

    @rule(place=st.sampled_from("xy"), member=st.sampled_from("abc"), number=st.integers(1, 3))
    def leave(self, place, member, number):
        connection = f"{member}{number}"
        left = [each for each in self.open if each[:3] != (place, member, connection)]
        was_there = len(left) < len(self.open)
        self.open = left
        was_last = was_there and not self.there(place, member)
        if was_last:
            del self.since[place, member]
        assert self.places.leave(place, member, connection) is was_last

    @invariant()
    def everybody_is_where_the_model_has_them(self):
        for place in "xy":
            expected = [
                Member(member, self.there(place, member)[-1][3], since, len(self.there(*key)))
                for key, since in self.since.items()
                for member in [key[1]]
                if key[0] == place
            ]
            assert self.places.members(place) == expected
            assert self.places.count(place) == len(expected)


TestAgainstAList = pytest.mark.slow(AgainstAList.TestCase)
TestAgainstAList.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
