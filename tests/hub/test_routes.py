"""Who is subscribed to what: each found once, counted, and in little work; against a list."""

import gc
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asgi_rt.hub.routes import Routes
from asgi_rt.hub.topics import matcher


def routes_of(*pairs):
    routes = Routes()
    for pattern, subscriber in pairs:
        routes.add(pattern, subscriber)
    return routes


def published(routes):
    return {pattern: group.published for pattern, group in routes.groups.items()}


def members(routes):
    return {pattern: list(group.members) for pattern, group in routes.groups.items()}


# Matching


@pytest.mark.parametrize("pattern", ["a.b", "a.*", "*.b", "a.>", ">"])
def test_who_is_subscribed_is_found(pattern):
    routes = routes_of((pattern, "ada"))
    assert list(routes.match("a.b").ordered) == ["ada"]
    assert routes.count("a.b") == 1


@pytest.mark.parametrize("pattern", ["a", "a.c", "*", "a.b.*", "a.b.>", "b.>"])
def test_who_is_subscribed_to_something_else_is_not_found(pattern):
    routes = routes_of((pattern, "ada"))
    assert list(routes.match("a.b").ordered) == []
    assert routes.count("a.b") == 0
    assert published(routes) == {pattern: 0}


def test_who_is_subscribed_by_many_patterns_is_found_once():
    routes = routes_of(*((pattern, "ada") for pattern in ("a.b", "a.*", "*.b", "a.>", ">")))
    routes.add("a.b", "ada")
    assert list(routes.match("a.b").ordered) == ["ada"]
    assert routes.count("a.b") == 1


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_subscribers_are_found_in_the_order_in_which_they_came(pattern):
    routes = routes_of(*((pattern, number) for number in (3, 1, 2)))
    assert list(routes.match("a.b").ordered) == [3, 1, 2]
    routes.remove(pattern, 3)
    routes.add(pattern, 3)
    assert list(routes.match("a.b").ordered) == [1, 2, 3]


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_what_was_found_does_not_change_while_subscribers_come_and_go(pattern):
    routes = routes_of((pattern, "ada"), (pattern, "bob"))
    found = routes.match("a.b").ordered
    routes.remove(pattern, "ada")
    routes.add(pattern, "eve")
    assert list(found) == ["ada", "bob"]
    assert list(routes.match("a.b").ordered) == ["bob", "eve"]


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_what_nobody_changed_is_found_without_making_it_anew(pattern):
    routes = routes_of(*((pattern, number) for number in range(100)))
    assert routes.match("a.b").ordered is routes.match("a.b").ordered


# Counting


def test_messages_are_counted_for_all_that_stand_for_their_topic():
    routes = routes_of(("a.b", 1), ("a.*", 1), ("a.*", 2), (">", 3), ("b", 4))
    for topic in ("a.b", "a.b", "a.c", "b", "nowhere.at.all"):
        routes.match(topic)
    assert published(routes) == {"a.b": 2, "a.*": 3, ">": 5, "b": 1}


def test_counting_subscribers_counts_no_message():
    routes = routes_of(("a", 1), ("*", 2))
    assert routes.count("a") == 2
    assert published(routes) == {"a": 0, "*": 0}


def test_of_a_pattern_those_are_counted_who_asked_for_just_that():
    routes = routes_of(("a.*", 1), ("a.*", 2), ("a.b", 3), (">", 4))
    assert [routes.count(each) for each in ("a.*", ">", "a.>", "*.b")] == [2, 1, 0, 0]


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_messages_are_counted_anew_once_nobody_was_there(pattern):
    routes = routes_of((pattern, 1))
    routes.match("a.b")
    routes.remove(pattern, 1)
    routes.add(pattern, 1)
    assert published(routes) == {pattern: 0}


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_who_holds_a_pattern_is_who_asked_for_just_that(pattern):
    routes = routes_of((pattern, 1), (pattern, 2), (">", 3))
    assert list(routes.holders(pattern)) == [1, 2]
    assert list(routes.holders("a.c")) == list(routes.holders("*.c")) == []
    assert (routes.has(pattern), routes.has("a.c"), routes.has("*.c")) == (True, False, False)


# Removing


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_removing_what_is_not_there_changes_nothing(pattern):
    routes = routes_of((pattern, 1))
    routes.remove(pattern, 2)
    routes.remove("a.c", 1)
    routes.remove("*.c", 1)
    assert members(routes) == {pattern: [1]}


def test_nothing_is_kept_of_patterns_that_nobody_holds_any_more():
    routes = Routes()
    gc.collect()
    before = len(gc.get_objects())
    pairs = [(pattern, n) for n in range(1000) for pattern in (f"a.{n}", f"b.{n}.*", "c.>")]
    for pattern, subscriber in pairs:
        routes.add(pattern, subscriber)
    routes.match("c.1")
    for pattern, subscriber in pairs:
        routes.remove(pattern, subscriber)
    del pairs
    gc.collect()
    assert len(gc.get_objects()) - before < 20
    assert (routes.groups, len(routes._wild), routes._wild._root.children) == ({}, 0, None)


# Work


def calls(function):
    """How many functions began, Python's and C's, while this one ran: no clock is needed."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


class CountedText(str):
    """A token that counts how often it is compared with others."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other):
        CountedText.compared += 1
        return str.__eq__(self, other)

    def __hash__(self):
        return str.__hash__(self)


MANY = 100_000


@pytest.fixture(scope="module")
def crowded():
    """Very many topics and patterns, of which few stand for any one topic."""
    routes = Routes()
    for number in range(MANY):
        routes.add(f"user.{number}.inbox", number)
        routes.add(f"user.{number}.*", number)
    routes.add("user.>", "all")
    return routes


@pytest.mark.slow
def test_of_very_many_patterns_few_are_looked_at(crowded):
    few = routes_of(("user.7.inbox", 7), ("user.7.*", 7), ("user.>", "all"))
    assert (
        set(crowded.match("user.7.inbox").ordered)
        == set(few.match("user.7.inbox").ordered)
        == {7, "all"}
    )
    for topic in ("user.7.inbox", "user.7.other", "user.x", "a." * 50 + "b"):
        most = calls(lambda topic=topic: few.match(topic).ordered)
        assert calls(lambda topic=topic: crowded.match(topic).ordered) <= most
        assert calls(lambda topic=topic: crowded.count(topic)) <= 2 * most + 10


@pytest.mark.slow
def test_a_topic_is_compared_with_few_of_very_many(crowded):
    CountedText.compared = 0
    crowded.match(CountedText("user.99999.inbox"))
    assert CountedText.compared < 10


@pytest.mark.slow
def test_coming_and_going_takes_the_same_work_among_very_many(crowded):
    def come_and_go(routes):
        for pattern in ("user.9.inbox", "user.9.*", "other.*.>", "new"):
            routes.add(pattern, "guest")
            routes.remove(pattern, "guest")

    few = routes_of(("user.9.inbox", 9), ("user.9.*", 9))
    assert calls(lambda: come_and_go(crowded)) <= calls(lambda: come_and_go(few))


# Against a list


class AgainstAList(RuleBasedStateMachine):
    """The model is the pairs of pattern and subscriber, in the order in which they came."""

    names = st.sampled_from(["a", "b", "a.b", "a.c", "a.b.c"])
    patterns = names | st.sampled_from(["*", ">", "a.*", "*.b", "a.>", "*.*"])
    people = st.integers(1, 4)

    def __init__(self):
        super().__init__()
        self.routes = Routes()
        self.pairs = []
        self.published = {}

    @rule(pattern=patterns, subscriber=people)
    def add(self, pattern, subscriber):
        self.routes.add(pattern, subscriber)
        if (pattern, subscriber) not in self.pairs:
            self.pairs.append((pattern, subscriber))
            self.published.setdefault(pattern, 0)

    @rule(pattern=patterns, subscriber=people)
    def remove(self, pattern, subscriber):
        self.routes.remove(pattern, subscriber)
        if (pattern, subscriber) in self.pairs:
            self.pairs.remove((pattern, subscriber))
            if not self.holders(pattern):
                del self.published[pattern]

    @rule(topic=names)
    def match(self, topic):
        found = list(self.routes.match(topic).ordered)
        matching = [pattern for pattern in self.published if matcher(pattern)(topic)]
        expected = {who for pattern, who in self.pairs if pattern in matching}
        assert sorted(found) == sorted(expected)
        assert self.routes.count(topic) == len(expected)
        for pattern in matching:
            self.published[pattern] += 1

    def holders(self, pattern):
        return [who for each, who in self.pairs if each == pattern]

    @invariant()
    def the_groups_are_those_of_the_model(self):
        assert published(self.routes) == self.published
        for pattern in self.published:
            assert list(self.routes.holders(pattern)) == self.holders(pattern)
            assert self.routes.has(pattern)

    def teardown(self):
        for pattern, subscriber in list(self.pairs):
            self.remove(pattern, subscriber)
        self.the_groups_are_those_of_the_model()
        assert self.routes._wild._root.children is None


TestAgainstAList = pytest.mark.slow(AgainstAList.TestCase)
TestAgainstAList.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
