"""Backplanes that break the contract in one way each, and the test of the suite that finds it."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from asgi_rt.hub import Gap, Message
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Health
from asgi_rt.hub.history import Page
from asgi_rt.hub.message import Cursor
from asgi_rt.hub.topics import matcher
from asgi_rt.testing.backplane import BackplaneConformance

# Carrying


class Relay:
    def __init__(self, listener, give):
        self.listener = listener
        self.receive = lambda message: give(listener, message)
        self.lose = listener.lose


class Relaying(MemoryBackplane):
    """Not broken: what it brings goes through `give`."""

    def __init__(self, **options):
        super().__init__(**options)
        self.relays = {}

    def give(self, listener, message):
        listener.receive(message)

    async def subscribe(self, listener, pattern):
        relay = self.relays.setdefault(listener, Relay(listener, self.give))
        await super().subscribe(relay, pattern)

    async def unsubscribe(self, listener, pattern):
        if listener in self.relays:
            await super().unsubscribe(self.relays[listener], pattern)

    async def close(self, listener):
        if listener in self.relays:
            await super().close(self.relays.pop(listener))


class DropsOneInSeven(Relaying):
    count = 0

    def give(self, listener, message):
        self.count += 1
        if self.count % 7:
            listener.receive(message)


class Repeats(Relaying):
    def give(self, listener, message):
        listener.receive(message)
        listener.receive(message)


class RepeatsLater(Relaying):
    def give(self, listener, message):
        listener.receive(message)
        asyncio.get_running_loop().call_later(0.03, self.repeat, listener, message)

    def repeat(self, listener, message):
        if listener in self.relays:
            listener.receive(message)


class DropsLargeOnes(Relaying):
    def give(self, listener, message):
        if len(message.payload) <= 8192:
            listener.receive(message)


class DropsOtherScripts(Relaying):
    def give(self, listener, message):
        if message.topic.isascii():
            listener.receive(message)


class HasAKeyForEverything(Relaying):
    def give(self, listener, message):
        message.key = message.key or ""
        listener.receive(message)


class ExcludesNobodyByName(Relaying):
    def give(self, listener, message):
        message.exclude = message.exclude or ""
        listener.receive(message)


class SaysThatAllIsLost(Relaying):
    def give(self, listener, message):
        listener.lose([message.topic])
        listener.receive(message)


class SubscribesLater(MemoryBackplane):
    async def subscribe(self, listener, pattern):
        asyncio.get_running_loop().call_soon(self.subscribe_nowait, listener, pattern)


class SubscribesAll(MemoryBackplane):
    async def subscribe(self, listener, pattern):
        for each in {*self._routes, listener}:
            self.subscribe_nowait(each, pattern)


class ForgetsWhoComesBack(MemoryBackplane):
    def __init__(self):
        super().__init__()
        self.closed = set()

    async def subscribe(self, listener, pattern):
        if listener not in self.closed:
            self.subscribe_nowait(listener, pattern)

    async def close(self, listener):
        self.closed.add(listener)
        self.close_nowait(listener)


class UnsubscribesAll(MemoryBackplane):
    async def unsubscribe(self, listener, pattern):
        for each in list(self._routes):
            self.unsubscribe_nowait(each, pattern)


class ClosesAll(MemoryBackplane):
    async def close(self, listener):
        self._routes.clear()


class PublishesByHalves(MemoryBackplane):
    """What is cancelled in the midst is kept, and does not come."""

    async def publish(self, message):
        routes, self._routes = self._routes, {}
        self.publish_nowait(message)
        self._routes = routes
        await anyio.lowlevel.checkpoint()
        for listener, patterns in tuple(routes.items()):
            if patterns.match(message.topic):
                listener.receive(message)
        return Cursor(self._epoch, message.position)


class Connection:
    """Not broken: one of two connections to the same memory."""

    def __init__(self, memory, number):
        self.memory = memory
        self.number = number

    def __getattr__(self, name):
        return getattr(self.memory, name)


class Overtaking(Connection):
    """What the second publishes is brought late, and overtaken by what the first publishes."""

    async def publish(self, message):
        if self.number == 0:
            cursor = await self.memory.publish(message)
        else:
            routes, self.memory._routes = self.memory._routes, {}
            cursor = await self.memory.publish(message)
            self.memory._routes = routes
            asyncio.get_running_loop().call_soon(self.bring, message)
        await anyio.lowlevel.checkpoint()
        return cursor

    def bring(self, message):
        for listener, patterns in tuple(self.memory._routes.items()):
            if patterns.match(message.topic):
                listener.receive(message)


class SilentHealth(MemoryBackplane):
    def health(self):
        return Health(connected=True)


# History


class ChangedPages(MemoryBackplane):
    def change(self, page):
        return page

    async def history(self, patterns, after, *, limit):
        return self.change(await super().history(patterns, after, limit=limit))

    def history_nowait(self, patterns, after, *, limit):
        return self.change(super().history_nowait(patterns, after, limit=limit))


class GivesTheRest(MemoryBackplane):
    """Of what is not all kept any more, as though it were all."""

    def history_nowait(self, patterns, after, *, limit):
        found = super().history_nowait(patterns, after, limit=limit)
        if isinstance(found, Page) or found.reason != "expired":
            return found
        matches = [matcher(pattern) for pattern in patterns]
        items = [
            each.item
            for each in self._logs._all.after(after.position)
            if each.is_kept and any(match(each.topic) for match in matches)
        ]
        is_last = len(items) <= limit
        items = items[:limit]
        return Page(items, self._position if is_last else items[-1].position, is_last)


class LosesForAll(MemoryBackplane):
    """What is lost of one topic."""

    def history_nowait(self, patterns, after, *, limit):
        if after.position < self._logs._lost_through:
            return Gap("expired", None, str(self.cursor_nowait()))
        return super().history_nowait(patterns, after, limit=limit)


class GoesBeyondTheNewest(ChangedPages):
    def change(self, page):
        if isinstance(page, Page) and page.is_last:
            return page._replace(through=page.through + 1000)
        return page


class GoesNowhere(MemoryBackplane):
    def history_nowait(self, patterns, after, *, limit):
        page = super().history_nowait(patterns, after, limit=limit)
        if isinstance(page, Page) and page.is_last:
            return page._replace(through=after.position)
        return page


class RepeatsForEachPattern(MemoryBackplane):
    def history_nowait(self, patterns, after, *, limit):
        page = super().history_nowait(patterns, after, limit=limit)
        if isinstance(page, Gap):
            return page
        count = len(patterns)
        return page._replace(items=[each for each in page.items for _ in range(count)][:limit])


class GapsWithoutId(ChangedPages):
    def change(self, page):
        return page._replace(id=None) if isinstance(page, Gap) else page


class BareNewest(MemoryBackplane):
    def newest_nowait(self, patterns, count):
        bare = []
        for each in super().newest_nowait(patterns, count):
            bare.append(Message(each.topic, each.payload, each.kind))
            bare[-1].position = each.position
        return bare


class KnowsItsOwnCursor(Connection):
    """The place of what this connection has published last."""

    last = None

    async def publish(self, message):
        self.last = await self.memory.publish(message)
        return self.last

    async def cursor(self):
        return self.last or Cursor(self.memory._epoch, 0)


class IdsOfAnotherEpoch(MemoryBackplane):
    def publish_nowait(self, message):
        epoch, self._epoch = self._epoch, "0000"
        try:
            super().publish_nowait(message)
        finally:
            self._epoch = epoch


class TheSameEpochInEachRun(MemoryBackplane):
    def __init__(self):
        super().__init__(epoch="always")


# Presence


class OneRoom(MemoryBackplane):
    async def enter(self, topic, member, connection, metadata):
        return await super().enter("room", member, connection, metadata)

    async def leave(self, topic, member, connection):
        return await super().leave("room", member, connection)

    async def members(self, topic):
        return await super().members("room")

    async def member_count(self, topic):
        return await super().member_count("room")


class LeavesEverywhere(MemoryBackplane):
    async def leave(self, topic, member, connection):
        has_left = await super().leave(topic, member, connection)
        if has_left:
            for place in self._places._places.values():
                place.pop(member, None)
        return has_left


class LeavesByAnyName(MemoryBackplane):
    async def leave(self, topic, member, connection):
        for name, presence in self._places._places.get(topic, {}).items():
            if connection in presence.connections:
                return await super().leave(topic, name, connection)
        return False


class ForgetsThatOneOfThreeLeft(MemoryBackplane):
    async def leave(self, topic, member, connection):
        presence = self._places._places.get(topic, {}).get(member)
        if presence is not None and len(presence.connections) == 3:
            return False
        return await super().leave(topic, member, connection)


class KeepsMetadataOfWhoLeft(MemoryBackplane):
    def __init__(self):
        super().__init__()
        self.said = {}

    async def enter(self, topic, member, connection, metadata):
        self.said[topic, member] = metadata
        return await super().enter(topic, member, connection, metadata)

    async def members(self, topic):
        there = await super().members(topic)
        return [replace(each, metadata=self.said[topic, each.member]) for each in there]


class SortsByName(MemoryBackplane):
    async def members(self, topic):
        return sorted(await super().members(topic), key=lambda each: each.member)


class SinceEver(MemoryBackplane):
    async def members(self, topic):
        return [replace(each, since=0.0) for each in await super().members(topic)]


class CountsConnections(MemoryBackplane):
    async def member_count(self, topic):
        return sum(each.connections for each in await super().members(topic))


class EntersByHalves(MemoryBackplane):
    """Who is cancelled in the midst is counted, and not there."""

    def __init__(self):
        super().__init__()
        self.entering = 0

    async def enter(self, topic, member, connection, metadata):
        self.entering += 1
        await anyio.lowlevel.checkpoint()
        self.entering -= 1
        return await super().enter(topic, member, connection, metadata)

    async def member_count(self, topic):
        return self.entering + await super().member_count(topic)


class LeavesByHalves(MemoryBackplane):
    """Who is cancelled in the midst is not counted any more, and there."""

    def __init__(self):
        super().__init__()
        self.leaving = 0

    async def leave(self, topic, member, connection):
        self.leaving += 1
        await anyio.lowlevel.checkpoint()
        self.leaving -= 1
        return await super().leave(topic, member, connection)

    async def member_count(self, topic):
        return await super().member_count(topic) - self.leaving


FOUND_BY = {
    DropsOneInSeven: "messages_come_in_order_with_positions_that_grow",
    Repeats: "what_one_publishes_comes_to_all_who_subscribed",
    RepeatsLater: "nothing_comes_twice_while_publishing_goes_on",
    DropsLargeOnes: "a_large_message_comes_whole",
    DropsOtherScripts: "topics_are_in_any_script",
    HasAKeyForEverything: "a_message_without_a_key_and_exclusion_comes_without_them",
    ExcludesNobodyByName: "a_message_without_a_key_and_exclusion_comes_without_them",
    SaysThatAllIsLost: "what_one_publishes_comes_to_all_who_subscribed",
    SubscribesLater: "what_one_publishes_comes_to_all_who_subscribed",
    SubscribesAll: "each_listener_gets_what_it_has_subscribed_to",
    ForgetsWhoComesBack: "who_was_closed_can_come_back",
    UnsubscribesAll: "who_unsubscribes_takes_nothing_from_others",
    ClosesAll: "who_closes_takes_nothing_from_others",
    PublishesByHalves: "a_cancelled_publish_is_done_as_a_whole_or_not_at_all",
    Overtaking: "what_many_publish_at_once_comes_whole_and_each_in_its_order",
    SilentHealth: "health_tells_when_a_message_came_last",
    GivesTheRest: "more_than_is_kept_is_a_gap",
    LosesForAll: "what_one_topic_has_lost_is_no_gap_for_another",
    GoesBeyondTheNewest: "reading_goes_on_where_a_page_has_ended",
    GoesNowhere: "reading_goes_on_where_a_page_has_ended",
    RepeatsForEachPattern: "history_gives_what_came_after_a_place",
    GapsWithoutId: "a_place_that_was_not_reached_yet_is_a_gap",
    BareNewest: "history_has_what_has_come",
    KnowsItsOwnCursor: "a_cursor_is_behind_what_was_published_before",
    IdsOfAnotherEpoch: "history_has_what_has_come",
    TheSameEpochInEachRun: "a_place_of_an_earlier_run_is_a_gap",
    OneRoom: "each_topic_is_a_place_of_its_own",
    LeavesEverywhere: "each_topic_is_a_place_of_its_own",
    LeavesByAnyName: "who_leaves_with_another_name_does_not_leave",
    ForgetsThatOneOfThreeLeft: "each_of_many_connections_can_leave",
    KeepsMetadataOfWhoLeft: "metadata_is_what_was_said_last_of_a_connection_that_is_open",
    SortsByName: "the_longest_there_stand_first",
    SinceEver: "the_longest_there_stand_first",
    CountsConnections: "a_member_is_there_from_the_first_connection_to_the_last",
    EntersByHalves: "a_cancelled_enter_leaves_nothing_that_stays",
    LeavesByHalves: "a_cancelled_leave_can_be_repeated",
}


class Suite(BackplaneConformance):
    __test__ = False
    history_count = 100

    def __init__(self, kind, *, deadline, lasting):
        self.kind = kind
        self.deadline = deadline
        self.lasting = lasting

    @asynccontextmanager
    async def connections(self):
        if issubclass(self.kind, Connection):
            memory = MemoryBackplane()
            yield self.kind(memory, 0), self.kind(memory, 1)
        else:
            backplane = self.kind()
            yield backplane, backplane


@pytest.mark.parametrize(
    ("broken", "test"), [pytest.param(*each, id=each[0].__name__) for each in FOUND_BY.items()]
)
def test_the_suite_finds_what_is_broken(broken, test):
    with pytest.raises(AssertionError):
        anyio.run(getattr(Suite(broken, deadline=0.2, lasting=5), f"test_{test}"))


@pytest.mark.parametrize("test", sorted(set(FOUND_BY.values())))
@pytest.mark.parametrize("sound", [Relaying, Connection, ChangedPages])
def test_the_suite_finds_nothing_where_nothing_is_broken(sound, test):
    """What the broken ones are made of is not what is found."""
    anyio.run(getattr(Suite(sound, deadline=10, lasting=0.1), f"test_{test}"))
