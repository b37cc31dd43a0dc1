"""What wildcards have lost: what a look at every topic gives, without that look each time."""

import random

import pytest

from asgi_rt.hub import losses as losses_module
from asgi_rt.hub.losses import Losses
from asgi_rt.hub.topics import matcher


class Log:
    """A topic's log, which counts in `looks` how often it is looked at."""

    def __init__(self, looks):
        self.looks = looks
        self.newest_lost = 0

    @property
    def lost_through(self):
        self.looks.append(self)
        return self.newest_lost


class Lost:
    """Losses of topics, of which the next position is lost at each drop."""

    def __init__(self, *topics):
        self.looks = []
        self.logs = {}
        self.losses = Losses(self.logs)
        self.position = 0
        for topic in topics:
            self.add(topic)

    def add(self, topic):
        self.logs.setdefault(topic, Log(self.looks))

    def drop(self, *topics):
        for topic in topics:
            self.position += 1
            self.logs[topic].newest_lost = self.position
            self.losses.note(topic)

    def ask(self, *patterns, after=0):
        return self.losses.reach_beyond(after, patterns)

    def looked_at(self, *patterns, after=0):
        """How many logs are looked at to answer."""
        self.looks.clear()
        self.ask(*patterns, after=after)
        return len(set(self.looks))


MANY = [f"rooms.{number}" for number in range(2000)]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(losses_module, "_MAX_RECENT", 4)
    monkeypatch.setattr(losses_module, "_MAX_KNOWN", 3)


def test_of_nothing_lost_nothing_is_after_any_position():
    lost = Lost("a", "b")
    assert not lost.ask(">")
    assert not Lost().ask(">")


def test_what_is_lost_is_after_positions_before_it():
    lost = Lost("a", "b.c")
    lost.drop("a", "b.c", "a")
    assert [lost.ask("*", after=after) for after in range(5)] == [True, True, True, False, False]
    assert [lost.ask("b.*", after=after) for after in range(4)] == [True, True, False, False]
    assert [lost.ask("c.>", "b.c", after=after) for after in range(3)] == [True, True, False]
    assert not lost.ask("nowhere.>")


def test_what_is_lost_after_an_answer_changes_the_next():
    lost = Lost("a", "b")
    lost.drop("a")
    assert not lost.ask("*", after=1)
    lost.drop("b")
    assert lost.ask("*", after=1)
    assert not lost.ask("*", after=2)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("drops", range(1, 12))
def test_a_loss_is_found_however_many_others_came_after_it(drops):
    others = [f"other{number}" for number in range(drops)]
    lost = Lost("a", "b.c", *others)
    lost.drop("a")
    assert not lost.ask("*.c")
    lost.drop("b.c", *others)
    assert lost.ask("*.c", after=1)
    assert not lost.ask("*.c", after=2)


def test_a_topic_that_is_not_there_any_more_is_passed_over():
    lost = Lost("a", "b")
    lost.drop("a", "b", "b")
    del lost.logs["b"]
    assert lost.ask("*", after=0)
    assert not lost.ask("*", after=1)


def test_patterns_may_be_given_in_any_sequence():
    lost = Lost("a")
    lost.drop("a")
    assert lost.losses.reach_beyond(0, ["*"])
    assert lost.losses.reach_beyond(0, ("*",))
    assert len(lost.losses._known) == 1


# Work


def test_after_drops_of_many_topics_every_topic_is_looked_at_once_and_then_none():
    lost = Lost(*MANY, *(f"ticks.{number}" for number in range(1025)))
    lost.drop(*(f"ticks.{number}" for number in range(1025)))
    assert lost.looked_at("rooms.*") == len(MANY) + 1025
    assert [lost.looked_at("rooms.*", after=after) for after in (0, 64, 1024)] == [0, 0, 0]


def test_after_drops_of_few_topics_only_those_are_looked_at_however_many_drops():
    lost = Lost(*MANY, "ticks", "other")
    lost.drop(*["ticks", "other"] * 2000)
    assert lost.looked_at("rooms.*") == 2
    lost.drop("ticks", "rooms.7", "ticks")
    assert lost.looked_at("rooms.*", after=4000) == 2
    lost.drop(*["ticks"] * 2000)
    assert lost.looked_at("rooms.*", after=4002) == 1


def test_where_something_is_known_to_be_lost_no_topic_is_looked_at():
    lost = Lost(*MANY)
    lost.drop("rooms.1")
    assert lost.ask("rooms.*")
    lost.drop(*MANY)
    assert lost.looked_at("rooms.*") == 0
    assert lost.looked_at("rooms.*", after=1) == len(MANY)


@pytest.mark.usefixtures("few")
def test_what_was_asked_for_last_is_remembered_and_the_rest_is_not():
    lost = Lost("a", "b", "c")
    lost.drop(*"abcabc")
    for pattern in ("x.*", "y.*", "z.*", "x.*", "w.*"):
        lost.ask(pattern)
    assert lost.looked_at("x.*") == 0
    assert lost.looked_at("z.*") == 0
    assert lost.looked_at("y.*") == 3
    assert len(lost.losses._known) == 3


def test_what_is_remembered_is_bounded():
    lost = Lost(*MANY)
    lost.drop(*MANY)
    for number in range(300):
        lost.ask(f"{number}.*")
    assert (len(lost.losses._known), len(lost.losses._recent)) == (256, 1024)


# Against a look at everything


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("seed", range(30))
def test_the_answer_is_what_a_look_at_every_topic_gives(seed):
    chosen = random.Random(seed)
    lost = Lost("a", "b", "a.x", "a.y", "b.x.y")
    asked = [("*",), (">",), ("a.*",), ("b.>", "a"), ("nowhere.*",), ("*.y", "*")]
    for step in range(200):
        lost.add(f"a.{step}")
        lost.drop(*chosen.choices(list(lost.logs), k=chosen.choice([0, 0, 1, 3, 4, 5, 12])))
        for patterns in chosen.sample(asked, chosen.randint(1, 5)):
            after = max(0, lost.position - int(chosen.expovariate(0.1)))
            expected = any(
                log.newest_lost > after and any(matcher(one)(topic) for one in patterns)
                for topic, log in lost.logs.items()
            )
            assert lost.ask(*patterns, after=after) == expected
