"""What was published lately: each bound by itself, and all of it against a model that keeps all."""

import gc
import itertools
import random
import sys
import timeit
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt.hub import history as history_module
from asgi_rt.hub import losses as losses_module
from asgi_rt.hub.history import Expired, History, Page, TopicLogs
from asgi_rt.hub.topics import matcher

ALL = {"max_count": None, "max_bytes": None}


def logs_of(*topics, total=None, now=0, **bounds):
    """Logs to which was appended to these topics, the item of each being its position."""
    logs = TopicLogs(History(**{**ALL, **bounds}), max_bytes=total)
    for position, topic in enumerate(topics, 1):
        logs.append(topic, position, position=position, size_bytes=10, now=now)
    return logs


def read(logs, patterns, position, *, now=0, limit=3):
    """Everything after a position, read page by page; or `Expired`."""
    items = []
    while True:
        page = logs.after(patterns, position, now=now, limit=limit)
        if isinstance(page, Expired):
            return page
        assert len(page.items) <= limit
        assert page.through >= position
        items += page.items
        if page.is_last:
            return items
        assert page.through > position, "a page that leads nowhere"
        position = page.through


# Bounds


@pytest.mark.parametrize(
    "bound",
    [
        *({"max_count": 0}, {"max_count": -1}, {"max_bytes": 0}, {"max_age": -1}),
        *({"max_age": float("nan")}, {"max_bytes": float("nan")}),
    ],
    ids=repr,
)
def test_a_bound_that_makes_no_sense_is_refused(bound):
    with pytest.raises(ValueError, match=f"{next(iter(bound))} is at least"):
        History(**bound)


def test_every_bound_may_be_off():
    logs = TopicLogs(History(None, None, None), max_bytes=None)
    for position in range(1, 3001):
        logs.append("a", position, position=position, size_bytes=10**6, now=position)
    assert len(logs) == 3000
    assert read(logs, ["a"], 0, now=10**9, limit=100) == list(range(1, 3001))


def test_each_topic_is_bounded_by_count():
    logs = logs_of("a", "b", "a", "a", "b", "a", max_count=2)
    assert logs.newest(["a"], 9, now=0) == [4, 6]
    assert logs.newest(["b"], 9, now=0) == [2, 5]
    assert (len(logs), logs.size_bytes) == (4, 40)


def test_each_topic_is_bounded_by_bytes():
    logs = logs_of("a", "b", "a", "a", "a", max_bytes=25)
    assert logs.newest(["a"], 9, now=0) == [4, 5]
    assert (len(logs), logs.size_bytes) == (3, 30)


def test_the_newest_of_a_topic_is_kept_whatever_its_size():
    logs = logs_of("a", "a", max_bytes=25)
    logs.append("a", "huge", position=3, size_bytes=1000, now=0)
    assert logs.newest(["a"], 9, now=0) == ["huge"]
    logs.append("a", "small", position=4, size_bytes=1, now=0)
    assert (logs.newest(["a"], 9, now=0), logs.size_bytes) == (["small"], 1)


def test_all_topics_together_are_bounded_by_bytes_and_the_oldest_goes_first():
    logs = logs_of("a", "b", "c", "a", "d", total=35)
    assert logs.newest([">"], 9, now=0) == [3, 4, 5]
    assert (len(logs), logs.size_bytes, sorted(logs.topics)) == (3, 30, ["a", "c", "d"])


def test_the_newest_of_all_is_kept_whatever_its_size():
    logs = logs_of("a", "b", total=25)
    logs.append("c", "huge", position=3, size_bytes=1000, now=0)
    assert (logs.newest([">"], 9, now=0), logs.topics) == (["huge"], ["c"])


def test_age_drops_when_something_is_appended():
    logs = logs_of("a", "b", max_age=10)
    logs.append("c", 3, position=3, size_bytes=10, now=10)
    assert len(logs) == 3
    logs.append("c", 4, position=4, size_bytes=10, now=10.1)
    assert (len(logs), logs.topics) == (2, ["c"])


@pytest.mark.parametrize("ask", ["after", "newest", "drop_expired"])
def test_age_drops_when_something_is_asked_for_even_the_newest(ask):
    logs = logs_of("a", "b", max_age=10)
    if ask == "after":
        logs.after(["x"], 0, now=10.1, limit=1)
    elif ask == "newest":
        logs.newest(["x"], 1, now=10.1)
    else:
        logs.drop_expired(10.1)
    assert (len(logs), logs.size_bytes, logs.topics) == (0, 0, [])


def test_a_topic_of_which_all_has_expired_goes_on():
    logs = logs_of("a", max_age=10)
    logs.append("a", 2, position=2, size_bytes=10, now=100)
    assert (read(logs, ["a"], 1, now=100), logs.topics) == ([2], ["a"])
    assert read(logs, ["a"], 0, now=100) == Expired()


# After


@pytest.mark.parametrize("patterns", [["a"], ["a", "a"], ["a", "nowhere"], ["a.>", "a"]], ids=repr)
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_what_comes_after_is_given_in_order(patterns, limit):
    logs = logs_of("a", "b", "a", "b", "a")
    assert read(logs, patterns, 0, limit=limit) == [1, 3, 5]
    assert read(logs, patterns, 1, limit=limit) == [3, 5]
    assert read(logs, patterns, 2, limit=limit) == [3, 5]
    assert read(logs, patterns, 5, limit=limit) == []


@pytest.mark.parametrize("patterns", [["a", "b"], [">"], ["*", "a"]], ids=repr)
def test_topics_are_given_in_one_order_and_each_item_once(patterns):
    logs = logs_of("a", "b", "b", "a", "c.d", "a")
    logs.append("z.z", 7, position=7, size_bytes=1, now=0)
    expected = [1, 2, 3, 4, 6] if patterns != [">"] else [1, 2, 3, 4, 5, 6, 7]
    assert read(logs, patterns, 0, limit=2) == expected


def test_a_page_that_is_last_reaches_to_what_is_newest_of_all():
    logs = logs_of("a", "b", "b")
    assert logs.after(["a"], 0, now=0, limit=9) == Page([1], 3, True)
    assert logs.after(["a"], 0, now=0, limit=1) == Page([1], 3, True)
    assert logs.after(["*"], 0, now=0, limit=9) == Page([1, 2, 3], 3, True)


def test_a_page_that_is_not_last_reaches_to_its_last_item():
    logs = logs_of("a", "b", "a", "b", "a")
    assert logs.after(["a"], 0, now=0, limit=2) == Page([1, 3], 3, False)
    assert logs.after(["*"], 0, now=0, limit=2) == Page([1, 2], 2, False)


@pytest.mark.parametrize("patterns", [["a"], [">"]], ids=repr)
@pytest.mark.parametrize("position", [0, 7])
def test_of_nothing_there_is_an_empty_last_page(patterns, position):
    assert logs_of().after(patterns, position, now=0, limit=5) == Page([], position, True)


@pytest.mark.parametrize("patterns", [["a"], [">"]], ids=repr)
@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_that_could_hold_nothing_is_refused(patterns, limit):
    with pytest.raises(ValueError, match=f"limit is at least 1, not {limit}"):
        logs_of("a").after(patterns, 0, now=0, limit=limit)


@pytest.mark.parametrize("patterns", [["a"], ["b", "a"], [">"], ["c", "*"]], ids=repr)
def test_what_is_not_kept_in_full_has_expired(patterns):
    logs = logs_of("a", "a", "a", "b", max_count=2)
    assert logs.after(patterns, 0, now=0, limit=9) == Expired()
    assert not isinstance(logs.after(patterns, 1, now=0, limit=9), Expired)


def test_what_was_lost_of_other_topics_does_not_matter():
    logs = logs_of("a", "a", "a", "b", "c.d", max_count=1)
    assert read(logs, ["b"], 0) == [4]
    assert read(logs, ["c.*", "b"], 0) == [4, 5]


def test_what_expires_between_two_pages_has_expired():
    logs = logs_of("a", "a", "a")
    page = logs.after(["a"], 0, now=0, limit=1)
    bounded = logs_of("a", "a", "a", max_count=3)
    assert bounded.after(["a"], 0, now=0, limit=1) == page
    for position in (4, 5):
        bounded.append("a", position, position=position, size_bytes=10, now=0)
    assert bounded.after(["a"], page.through, now=0, limit=1) == Expired()


def test_positions_may_have_holes():
    logs = TopicLogs(History(**ALL), max_bytes=None)
    for position in (10, 1_000_000_000, 10**15):
        logs.append("a", position, position=position, size_bytes=1, now=0)
    assert read(logs, ["a"], 10, limit=1) == [1_000_000_000, 10**15]
    assert read(logs, [">"], 0, limit=1) == [10, 1_000_000_000, 10**15]
    assert read(logs, ["b.>"], 0, limit=1) == []


# Newest


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("patterns", [["a"], [">"]], ids=repr)
def test_none_of_the_newest_is_nothing(patterns, count):
    assert logs_of("a", "b").newest(patterns, count, now=0) == []


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a"], [4, 6]),
        (["a", "a"], [4, 6]),
        (["nowhere"], []),
        (["b", "a"], [5, 6]),
        (["c.*"], [3]),
        ([">"], [5, 6]),
        (["c.>", "*"], [5, 6]),
        (["c.>", "a"], [4, 6]),
    ],
    ids=repr,
)
def test_the_newest_are_the_last_of_all_that_match_oldest_first(patterns, expected):
    logs = logs_of("a", "b", "c.d", "a", "b", "a")
    assert logs.newest(patterns, 2, now=0) == expected


# Topics that are forgotten


@pytest.fixture
def few_empty(monkeypatch):
    monkeypatch.setattr(history_module, "_MAX_EMPTY_LOGS", 2)


@pytest.mark.usefixtures("few_empty")
def test_who_stands_before_what_was_forgotten_may_have_lost_something():
    logs = logs_of("a", "b", "c", "d", "e", total=15)
    assert logs._logs.keys() == {"c", "d", "e"}
    for patterns in (["a"], ["e"], [">"], ["nowhere"]):
        assert logs.after(patterns, 1, now=0, limit=9) == Expired()
    assert read(logs, ["a"], 2) == []
    assert read(logs, ["e"], 2) == [5]
    assert read(logs, ["c"], 2) == Expired()


@pytest.mark.usefixtures("few_empty")
def test_a_topic_that_was_forgotten_begins_anew():
    logs = logs_of("a", "b", "c", "d", "a", total=15)
    assert read(logs, ["a"], 2) == [5]
    assert read(logs, ["a"], 0) == Expired()


@pytest.mark.usefixtures("few_empty")
def test_of_many_topics_nothing_is_kept_but_what_a_bound_allows():
    logs = logs_of(*map(str, range(1000)), total=15)
    assert (len(logs._logs), len(logs._empty), len(logs)) == (3, 2, 1)


# Memory


class Item:
    """What is published, of which the end can be watched."""


@pytest.mark.parametrize(
    "bounds", [{"max_count": 3}, {"max_bytes": 30}, {"max_age": 2}, {"total": 30}], ids=repr
)
@pytest.mark.parametrize("topics", [["a"], ["a", "b"], list("abcdefghijkl")], ids=len)
def test_what_is_dropped_is_let_go_of(bounds, topics):
    logs = logs_of(**bounds)
    watched = []
    for position, topic in zip(range(1, 200), itertools.cycle(topics), strict=False):
        item = Item()
        watched.append(weakref.ref(item))
        logs.append(topic, item, position=position, size_bytes=10, now=position)
        del item
        assert sum(each() is not None for each in watched) == len(logs)


def test_of_what_is_dropped_no_entries_pile_up():
    logs = logs_of("rare", max_count=2)
    for position in range(2, 5000):
        logs.append(f"busy{position % 3}", position, position=position, size_bytes=1, now=0)
        assert len(logs._all._entries) <= 2 * len(logs) + 20
        assert all(len(log._entries) <= 2 * len(log) + 20 for log in logs._logs.values())


def test_a_topic_takes_little_memory():
    gc.collect()
    before = sys.getallocatedblocks()
    logs = logs_of(*(f"t{number}" for number in range(10_000)))
    assert (sys.getallocatedblocks() - before) / len(logs) < 12


# Work


def instructions(call):
    """How many times Python calls or C calls began while this ran: work, whatever the machine."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


MANY = 100_000


@pytest.fixture(scope="module")
def many_topics():
    return logs_of(*(f"topic.{number}" for number in range(MANY)), max_count=2)


def test_appending_takes_the_same_work_however_much_there_is(many_topics):
    def append(logs, begin):
        for position in range(begin, begin + 500):
            logs.append("topic.7", position, position=position, size_bytes=10, now=0)

    few = logs_of(*(f"topic.{number}" for number in range(10)), max_count=2)
    least = instructions(lambda: append(few, 11))
    assert instructions(lambda: append(many_topics, MANY + 1)) < 1.5 * least


def test_a_page_takes_work_in_proportion_to_its_topics_and_items(many_topics):
    few = logs_of(*(f"topic.{number}" for number in range(10)), max_count=2)
    ask = ["topic.1", "topic.2", "topic.3"]
    least = instructions(lambda: few.after(ask, 0, now=0, limit=10))
    assert instructions(lambda: many_topics.after(ask, 0, now=0, limit=10)) < 2 * least


def test_a_wildcard_of_which_nothing_was_lost_takes_a_page_of_work(many_topics):
    logs = logs_of(*(f"topic.{number}" for number in range(MANY)))
    for patterns in ([">"], ["nothing.>"], ["topic.5", "*.99998"]):
        work = instructions(lambda patterns=patterns: logs.after(patterns, 0, now=0, limit=64))
        assert work < 20 * 1024


@pytest.mark.parametrize("drops", [50, 5000])
def test_paging_by_a_wildcard_looks_at_every_topic_once_whatever_another_one_lost(drops):
    rooms = [f"rooms.{number}" for number in range(2000)]
    logs = logs_of(*rooms, *["ticks"] * (drops + 1), max_count=1)
    kept = logs_of(*rooms, *["ticks"] * (drops + 1))

    def replay(logs):
        assert len(read(logs, ["rooms.*"], 0, limit=64)) == len(rooms)

    extra = instructions(lambda: replay(logs)) - instructions(lambda: replay(kept))
    assert extra < 3 * len(rooms)  # once for each page would be 60 times


@pytest.mark.slow
@pytest.mark.parametrize("patterns", [["a"], ["a", "b"], [">"]], ids=repr)
@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_page_costs_the_same_in_a_long_log(patterns, part):
    def seconds(logs):
        position = int(len(logs) * part)
        return min(
            timeit.repeat(
                lambda: logs.after(patterns, position, now=0, limit=3), number=100, repeat=10
            )
        )

    short, long = logs_of(*"ab" * 10), logs_of(*"ab" * 50_000)
    assert seconds(long) < 20 * seconds(short)


@pytest.mark.slow
@pytest.mark.parametrize("patterns", [["a"], [">"]], ids=repr)
def test_the_newest_cost_the_same_in_a_long_log(patterns):
    def seconds(logs):
        return min(timeit.repeat(lambda: logs.newest(patterns, 3, now=0), number=100, repeat=10))

    assert seconds(logs_of(*"ab" * 50_000)) < 20 * seconds(logs_of(*"ab" * 10))


def test_a_page_of_what_is_rare_does_not_look_at_what_is_gone():
    logs = logs_of("rare", *["busy"] * 20_000, max_count=2)
    pages = 0
    position = 1
    while not (page := logs.after(["rare.>", "rare"], position, now=0, limit=9)).is_last:
        position = page.through
        pages += 1
    assert pages <= 1


# Against a model


class Model:
    """Keeps everything, and what was lost by the definition of each bound."""

    def __init__(self, bounds, total):
        self.bounds, self.total = bounds, total
        self.published = []  # position, topic, size, time
        self.kept = []

    def append(self, position, topic, size, now):
        entry = (position, topic, size, now)
        self.published.append(entry)
        self.kept.append(entry)
        while self.is_over_in(topic):
            self.kept.remove(next(each for each in self.kept if each[1] == topic))
        while self.is_over_in_all():
            self.kept.pop(0)
        self.expire(now)

    def is_over_in(self, topic):
        sizes = [each[2] for each in self.kept if each[1] == topic]
        over_count = self.bounds.max_count is not None and len(sizes) > self.bounds.max_count
        over_bytes = self.bounds.max_bytes is not None and sum(sizes) > self.bounds.max_bytes
        return len(sizes) > 1 and (over_count or over_bytes)

    def is_over_in_all(self):
        sizes = [each[2] for each in self.kept]
        return len(sizes) > 1 and self.total is not None and sum(sizes) > self.total

    def expire(self, now):
        if self.bounds.max_age is not None:
            self.kept = [each for each in self.kept if now - each[3] <= self.bounds.max_age]

    def matching(self, entries, patterns):
        return [each for each in entries if any(matcher(one)(each[1]) for one in patterns)]

    def after(self, patterns, position, now):
        self.expire(now)
        kept = [each[0] for each in self.matching(self.kept, patterns) if each[0] > position]
        all_there_was = self.matching(self.published, patterns)
        if len(kept) < sum(each[0] > position for each in all_there_was):
            return Expired()
        return kept

    def newest(self, patterns, count, now):
        self.expire(now)
        return [each[0] for each in self.matching(self.kept, patterns)][-count:] if count else []


topics = st.sampled_from(["a", "b", "c", "a.x", "a.y", "b.x.y"])
asked = st.lists(
    topics | st.sampled_from(["*", ">", "a.*", "a.>", "*.x", "nowhere"]), min_size=1, max_size=3
)
appends = st.tuples(st.just("append"), topics, st.integers(0, 12), st.integers(1, 5))
questions = st.tuples(st.just("after"), asked, st.integers(0, 40), st.integers(1, 5))
lasts = st.tuples(st.just("newest"), asked, st.integers(0, 5), st.none())
actions = st.tuples(st.integers(0, 4), appends | appends | questions | lasts)
bounds = st.builds(
    History,
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(0, 12),
)


def check(bounds, total, actions, *, is_exact=True):
    logs, model = TopicLogs(bounds, max_bytes=total), Model(bounds, total)
    now = position = 0
    for step, (what, asked, number, limit) in actions:
        now += step
        if what == "append":
            position += limit  # positions may have holes
            logs.append(asked, position, position=position, size_bytes=number, now=now)
            model.append(position, asked, number, now)
        elif what == "newest":
            assert logs.newest(asked, number, now=now) == model.newest(asked, number, now)
        else:
            found = read(logs, asked, number, now=now, limit=limit)
            expected = model.after(asked, number, now)
            if is_exact or not isinstance(found, Expired):
                assert found == expected
        sizes = [size for _, _, size, _ in model.kept]
        assert (len(logs), logs.size_bytes) == (len(sizes), sum(sizes))
        assert sorted(logs.topics) == sorted({topic for _, topic, _, _ in model.kept})


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(bounds, st.none() | st.integers(1, 60), st.lists(actions, max_size=50))
def test_the_logs_give_what_the_model_gives(bounds, total, actions):
    check(bounds, total, actions)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(bounds, st.none() | st.integers(1, 60), st.lists(actions, max_size=50))
def test_logs_that_scan_a_little_at_a_time_give_the_same(bounds, total, actions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "_MAX_SCANNED", 2)
        check(bounds, total, actions)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(bounds, st.integers(1, 40), st.lists(actions, max_size=50))
def test_logs_that_forget_topics_never_leave_out_what_was_lost(bounds, total, actions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "_MAX_EMPTY_LOGS", 1)
        check(bounds, total, actions, is_exact=False)


class Thorough(TopicLogs):
    """Logs that look at every topic each time."""

    def _has_lost(self, patterns, position):
        if position < self._forgotten_through:
            return True
        logs = self._matching_logs(patterns)
        return position < self._lost_through and any(log.lost_through > position for log in logs)


REPEATED = [["*"], [">"], ["a.*"], ["b.>", "a"], ["nowhere.>"], ["a", "b"], ["c", "*.x"]]


@pytest.fixture
def little_known(monkeypatch):
    monkeypatch.setattr(losses_module, "_MAX_RECENT", 4)
    monkeypatch.setattr(losses_module, "_MAX_KNOWN", 3)


@pytest.mark.usefixtures("few_empty", "little_known")
@pytest.mark.parametrize("seed", range(30))
def test_what_is_remembered_of_losses_changes_no_answer(seed):
    chosen = random.Random(seed)
    limits = History(chosen.choice([1, 3, None]), None, chosen.choice([20, None]))
    total = chosen.choice([60, 200, None])
    logs, naive = (each(limits, max_bytes=total) for each in (TopicLogs, Thorough))
    names = ["a", "b", "c", "a.x", "a.y", "b.x.y", "z.x", "z.z"]
    now = position = 0
    for _ in range(200):
        # Up to three times as many drops between two questions as are remembered.
        for _ in range(chosen.choice([0, 0, 1, 2, 12])):
            position += chosen.randint(1, 3)
            now += chosen.choice([0, 1, 5])
            topic = chosen.choice(names if chosen.random() < 0.9 else [f"a.{position}"])
            for each in (logs, naive):
                each.append(topic, position, position=position, size_bytes=10, now=now)
        for patterns in chosen.sample(REPEATED, chosen.randint(1, 5)):
            begin = max(-1, position - int(chosen.expovariate(0.1)))
            limit = chosen.randint(1, 4)
            expected = naive.after(patterns, begin, now=now, limit=limit)
            assert logs.after(patterns, begin, now=now, limit=limit) == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(bounds, st.integers(1, 60), st.lists(actions, max_size=50), st.integers(1, 3))
def test_logs_that_remember_few_losses_give_what_the_model_gives(bounds, total, actions, few):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses_module, "_MAX_RECENT", few)
        patch.setattr(losses_module, "_MAX_KNOWN", few)
        check(bounds, total, actions)
