"""Who is sent to without a look: each in one place, counted as if each were looked at."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asgi_rt.hub import Hub, cohort, distribution, turn
from asgi_rt.hub.cohort import Seats

# Seats


class Seating(RuleBasedStateMachine):
    """Subscribers come, sit down in one of two encodings, rise, and go; against a dict."""

    def __init__(self):
        super().__init__()
        self.seats = Seats()
        self.places = {}
        self.next = 0

    @rule(count=st.integers(1, 200))
    def come(self, count):
        for _ in range(count):
            self.seats.add(self.next)
            self.places[self.next] = None
            self.next += 1

    @precondition(lambda self: self.places)
    @rule(data=st.data(), encode=st.sampled_from(["sse", "ws"]))
    def sit(self, data, encode):
        number = data.draw(st.sampled_from(list(self.places)))
        if self.places[number] is None:
            found = self.seats.seat(number, encode, f"send {number}")
            assert found.encode == encode
            self.places[number] = found

    @rule(encode=st.sampled_from(["sse", "ws"]))
    def all_sit(self, encode):
        for number, place in self.places.items():
            if place is None:
                self.places[number] = self.seats.seat(number, encode, number)

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def rise(self, data):
        number = data.draw(st.sampled_from(list(self.places)))
        if self.places[number] is not None:
            self.seats.unseat(number, self.places[number])
            self.places[number] = None

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def go(self, data):
        number = data.draw(st.sampled_from(list(self.places)))
        self.rise_of(number)
        self.seats.remove(number)
        del self.places[number]

    def rise_of(self, number):
        if self.places[number] is not None:
            self.seats.unseat(number, self.places[number])

    @rule()
    def all_go(self):
        for number in list(self.places):
            self.rise_of(number)
            self.seats.remove(number)
        self.places.clear()
        assert not self.seats.standing
        assert not self.seats.cohorts
        assert not self.seats._roomy

    @invariant()
    def each_is_in_one_place(self):
        assert set(self.seats.standing) == {n for n, place in self.places.items() if place is None}
        seated = [number for each in self.seats.cohorts for number in each.sends]
        assert len(seated) == len(set(seated))
        assert set(seated) == {n for n, place in self.places.items() if place is not None}
        assert all(number in self.places[number].sends for number in seated)

    @invariant()
    def no_cohort_is_too_large_or_empty(self):
        assert all(0 < len(each.sends) <= cohort._MOST for each in self.seats.cohorts)

    @invariant()
    def what_has_room_is_known(self):
        roomy = {each for kind in self.seats._roomy.values() for each in kind}
        assert roomy == {each for each in self.seats.cohorts if len(each.sends) < cohort._MOST}


Seating.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestSeating = Seating.TestCase


# What is given to a cohort


class Encoding:
    def __init__(self, *, joins=False):
        self.joins = joins

    def __call__(self, message):
        return {"data": message.data}

    def join(self, messages):
        return {"data": [message.data for message in messages]}


class Connection:
    """What a subscription is for; `fate` says what becomes of its sends."""

    def __init__(self, subscription, fate="takes"):
        self.subscription = subscription
        self.fate = fate
        self.sharers = []
        self.got = []
        self.carried = []
        self.errors = []

    async def server_send(self, wire):
        if self.fate == "fails":
            raise ConnectionResetError
        if self.fate == "waits":
            future = asyncio.get_running_loop().create_future()
            await future
        self.got.append(wire["data"])

    def wake(self):
        pass

    def carry_on(self, step, waits_for):
        for subscription in (self.subscription, *self.sharers):
            subscription.stop_pushes()
        self.carried.append((step, waits_for))

    def fail(self, error):
        self.subscription.stop_pushes()
        self.errors.append(error)

    async def end(self):
        for step, _ in self.carried:
            step.close()
        await self.subscription.aclose()


async def seated(hub, fates, *, encode):
    connections = []
    for fate in fates:
        subscription = hub.subscribe("a")
        await subscription.start()
        connection = Connection(subscription, fate)
        subscription.sink, subscription.encode = connection, encode
        subscription.server_send = connection.server_send
        subscription.allow_pushes()
        connections.append(connection)
    return connections


def consistent(subscription):
    counters = subscription.counters
    return counters.published == counters.delivered + counters.dropped + counters.pending


FATES = ["takes", "waits", "takes", "fails", "fails", "takes", "waits", "waits", "takes"]
# A send that waits is begun in one task and carried on in another: that is for asyncio.
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_each_of_a_cohort_is_counted_by_what_became_of_it():
    hub = Hub()
    connections = await seated(hub, FATES, encode=Encoding())
    published = hub.publish_nowait("a", "1")
    assert (published.delivered, published.queued, published.dropped) == (7, 0, 2)
    for connection in connections:
        counters = connection.subscription.counters
        assert consistent(connection.subscription)
        assert (counters.published, counters.dropped) == (1, int(connection.fate == "fails"))
        assert connection.got == (["1"] if connection.fate == "takes" else [])
        assert len(connection.carried) == int(connection.fate == "waits")
        assert len(connection.errors) == int(connection.fate == "fails")
    for connection in connections:
        await connection.end()
    assert hub.snapshot().delivered == 7


async def test_who_left_the_cohort_gets_what_follows_by_the_mailbox_and_keeps_the_sum():
    hub = Hub()
    connections = await seated(hub, FATES, encode=Encoding())
    hub.publish_nowait("a", "1")
    published = hub.publish_nowait("a", "2")
    assert (published.delivered, published.queued) == (4, 5)
    for connection in connections:
        counters = connection.subscription.counters
        assert counters.published == 2
        assert consistent(connection.subscription)
        assert counters.pending == int(connection.fate != "takes")
        assert connection.got == (["1", "2"] if connection.fate == "takes" else [])
    for connection in connections:
        await connection.end()


async def test_who_shares_a_connection_with_one_that_waits_waits_too_and_keeps_its_count():
    hub = Hub()
    connections = await seated(hub, ["takes", "waits", "takes", "takes"], encode=Encoding())
    first, waiting, second, _ = connections
    waiting.sharers = [first.subscription, second.subscription]
    published = hub.publish_nowait("a", "1")
    assert (published.delivered, published.queued) == (3, 1)
    assert [connection.got for connection in connections] == [["1"], [], [], ["1"]]
    assert second.subscription.counters.pending == 1
    assert all(consistent(connection.subscription) for connection in connections)
    for connection in connections:
        await connection.end()


async def test_what_waits_goes_on_for_itself_alone():
    hub = Hub()
    connections = await seated(hub, ["takes", "waits", "takes"], encode=Encoding())
    hub.publish_nowait("a", "1")
    (step, waits_for), *others = connections[1].carried
    assert others == []
    waits_for.set_result(None)
    with pytest.raises(StopIteration):
        next(step)
    assert [connection.got for connection in connections] == [["1"], ["1"], ["1"]]
    connections[1].carried.clear()
    for connection in connections:
        await connection.end()


async def test_many_cohorts_that_take_long_are_given_a_message_in_several_turns(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    hub = Hub()
    count = 2 * cohort._MOST + 10
    connections = await seated(hub, ["takes"] * count, encode=Encoding())
    publishing = asyncio.ensure_future(hub.publish("a", "1"))
    await asyncio.sleep(0)
    assert sum(len(connection.got) for connection in connections) == cohort._MOST
    assert all(consistent(connection.subscription) for connection in connections)
    delivered = sum(connection.subscription.counters.delivered for connection in connections)
    assert delivered == cohort._MOST
    assert (await publishing).delivered == count
    assert all(connection.got == ["1"] for connection in connections)
    for connection in connections:
        assert connection.subscription.counters.delivered == 1
        await connection.end()


async def test_who_changes_places_between_two_turns_gets_the_message_once(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    hub = Hub()
    count = 3 * cohort._MOST
    connections = await seated(hub, ["takes"] * count, encode=Encoding())
    publishing = asyncio.ensure_future(hub.publish("a", "1"))
    await asyncio.sleep(0)
    # One whose turn it was, and one of the last, leave room and take what the other left.
    for connection in (connections[0], connections[-1]):
        connection.subscription.stop_pushes()
    for connection in (connections[-1], connections[0]):
        connection.subscription.allow_pushes()
    assert (await publishing).delivered == count
    assert [connection.got for connection in connections] == [["1"]] * count
    for connection in connections:
        assert connection.subscription.counters.delivered == 1
        await connection.end()


async def test_what_makes_the_wire_may_end_those_that_it_is_for():
    hub = Hub()
    connections = []

    class Ending(Encoding):
        def __call__(self, message):
            for connection in connections[:2]:
                connection.subscription.end()
            return super().__call__(message)

    connections += await seated(hub, ["takes"] * 4, encode=Ending())
    published = hub.publish_nowait("a", "1")
    assert (published.delivered, published.queued) == (2, 0)
    assert [connection.got for connection in connections] == [[], [], ["1"], ["1"]]
    for connection in connections:
        assert consistent(connection.subscription)
        await connection.end()


async def test_who_subscribes_while_a_wire_is_made_comes_after_the_message():
    hub = Hub()
    newcomers = []

    class Subscribing(Encoding):
        def __call__(self, message):
            newcomer = hub.subscribe("a")
            newcomer.start_nowait()
            newcomers.append(newcomer)
            return super().__call__(message)

    connections = await seated(hub, ["takes"] * 2, encode=Subscribing())
    published = hub.publish_nowait("a", "1")
    assert (published.delivered, published.queued) == (2, 0)
    (newcomer,) = newcomers
    assert newcomer.take() is None
    assert newcomer.counters.published == 0
    for subscription in (newcomer, *(connection.subscription for connection in connections)):
        await subscription.aclose()


async def test_who_subscribes_after_a_message_that_a_filter_has_published_does_not_get_it():
    hub = Hub()
    newcomers = []

    def choose(message):
        if message.topic == "a":
            hub.publish_nowait("b", "1")
            newcomer = hub.subscribe("b")
            newcomer.start_nowait()
            newcomers.append(newcomer)
        return True

    async with hub.subscribe("a", filter=choose) as chooser, hub.subscribe("b") as other:
        hub.publish_nowait("a", "0")
        assert chooser.take().data == "0"
        assert other.take().data == "1"
        (newcomer,) = newcomers
        assert newcomer.take() is None
        await newcomer.aclose()


async def test_forms_of_their_own_are_made_for_each_within_the_bounds_of_a_turn(monkeypatch):
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(distribution, "_PUSHES_A_LOOK", 4)
    hub = Hub()
    made = []

    class Own(Encoding):
        def __call__(self, message):
            made.append(message)
            return super().__call__(message)

    connections = []
    for _ in range(20):
        connections += await seated(hub, ["takes"], encode=Own())
    publishing = asyncio.ensure_future(hub.publish("a", "1"))
    await asyncio.sleep(0)
    assert len(made) == 4
    assert (await publishing).delivered == 20
    assert len(made) == 20
    for connection in connections:
        assert connection.got == ["1"]
        await connection.end()


async def test_a_wire_that_cannot_be_made_is_each_connections_own_matter():
    hub = Hub()

    class Failing(Encoding):
        def __call__(self, message):
            raise ValueError("on purpose")

    failing = await seated(hub, ["takes"] * 2, encode=Failing())
    others = await seated(hub, ["takes"] * 2, encode=Encoding())
    published = hub.publish_nowait("a", "1")
    assert (published.delivered, published.queued) == (2, 2)
    assert [connection.subscription.counters.pending for connection in failing] == [1, 1]
    for connection in (*failing, *others):
        await connection.end()


async def test_who_sits_down_after_the_first_message_of_a_turn_is_pushed_the_second():
    hub = Hub()
    joining = Encoding(joins=True)
    connections = await seated(hub, ["takes"] * 2, encode=joining)
    hub.publish_nowait("a", "1")
    connections += await seated(hub, ["takes"], encode=joining)
    hub.publish_nowait("a", "2")
    assert [connection.got for connection in connections] == [["1"], ["1"], ["2"]]
    hub.snapshot()
    for connection in connections:
        assert consistent(connection.subscription)
        await connection.end()


async def test_nobody_who_chooses_sits_and_who_caught_up_sits_after_the_next_message():
    hub = Hub()
    first = await hub.publish("a", "0")
    await hub.publish("a", "1")
    late = hub.subscribe("a", after=first.id)
    choosy = hub.subscribe("a", filter=lambda message: message.data == "2")
    several = hub.subscribe("a", "b")
    connections = []
    for subscription in (late, choosy, several):
        await subscription.start()
        connection = Connection(subscription)
        subscription.sink, subscription.encode = connection, Encoding()
        subscription.server_send = connection.server_send
        connections.append(connection)
    assert late.take().data == "1"
    assert late.take() is None
    for connection in connections:
        connection.subscription.allow_pushes()
    seats = hub._routes.match("a").seats
    assert not seats.cohorts
    hub.publish_nowait("a", "2")
    assert [list(each.sends) for each in seats.cohorts] == [[late]]
    hub.publish_nowait("a", "3")
    assert [connection.got for connection in connections] == [["2", "3"], ["2"], ["2", "3"]]
    for connection in connections:
        assert consistent(connection.subscription)
        await connection.end()
    assert not hub._routes.groups


async def test_pushes_that_are_allowed_after_the_end_are_not():
    hub = Hub()
    (connection,) = await seated(hub, ["takes"], encode=Encoding())
    await connection.subscription.aclose()
    connection.subscription.allow_pushes()
    assert not connection.subscription.is_pushable
    assert hub.publish_nowait("a", "1").delivered == 0
