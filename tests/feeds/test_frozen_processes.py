"""Clients that never read, beside many that do: over real sockets, whatever the policy is.

With ASGI_RT_FULL=1 there are 200 healthy clients, and 100,000 messages where memory is measured.
"""

import asyncio
import os
import re
import statistics
import time
from pathlib import Path

import pytest
from feeds.crowd import Crowd, Frozen, get
from feeds.served import MAX_MESSAGES
from server_process import TIMEOUT, ServerProcess

FULL = bool(os.environ.get("ASGI_RT_FULL"))
CLIENTS = 200
TURNS = 30 if FULL else 3
MESSAGES = 100 if FULL else 25
INTERVAL = 0.02
MOST = 1.1 if FULL else 2.0
"""How much longer messages may take beside a frozen client, 99 of 100 of them."""
LEAST_SECONDS = 0.0 if FULL else 0.02
"""What makes no difference: other processes take as much, where there are few turns."""
FLOOD_BYTES = 256 * 1024
MIB = 1024 * 1024

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"]),
]

transports = pytest.mark.parametrize("transport", ["sse", "ws"])
LOSSY = ["drop_oldest", "drop_newest", "coalesce"]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request):
    options = ("--port", "0", "--no-access-log", "--loop", request.param)
    command = ("-m", "uvicorn", "served:app", *options, "--ws", "websockets-sansio")
    with ServerProcess(*command, cwd=Path(__file__).parent) as server:
        server.wait_for("running on")
        yield server
        failed = [
            line for line in server.lines if re.match(r"[\w.]+(Error|Exception|Timeout):", line)
        ]
        assert {line.partition(":")[0] for line in failed} <= {"asgi_rt.errors.SendTimeout"}


@pytest.fixture(autouse=True)
def _nobody_is_left_frozen():
    """For the next test, where one has failed."""
    yield
    Frozen.close_all()


def path_of(transport, policy, **query):
    words = {"policy": policy, "max_messages": MAX_MESSAGES, **query}
    return f"/{transport}?" + "&".join(f"{name}={value}" for name, value in words.items())


async def subscribers(server, **hub):
    return (await get(server, "/snapshot", **hub))["subscriptions"]


async def until(server, condition, **hub):
    """The subscribers, as soon as they are so."""
    async with asyncio.timeout(TIMEOUT):
        while not condition(found := await subscribers(server, **hub)):
            await asyncio.sleep(0.01)
    return found


async def frozen_one(server, path):
    """A client that the server waits for: so much was sent to it alone that no more can be."""
    frozen = Frozen(server.address, path)
    await until(server, flooded)
    while (mine := flooded(await subscribers(server))) and not mine["pending"]:
        await get(server, "/publish", topic="flood", count=1, size=FLOOD_BYTES)
    return frozen, mine


def flooded(found):
    """The one of these subscribers that is flooded, if there is one."""
    return next((each for each in found if "flood" in each["topics"]), None)


def adds_up(counted):
    return counted["published"] == counted["delivered"] + counted["dropped"] + counted["pending"]


@transports
@pytest.mark.parametrize("policy", LOSSY if FULL else LOSSY[:1])
@pytest.mark.timeout(600)
async def test_a_frozen_client_does_not_hold_the_others_up(server, transport, policy):
    """The same clients without it and beside it, by turns: whatever else differs meets both."""
    alone, beside = [], []
    async with Crowd(server, path_of(transport, policy), CLIENTS) as crowd:
        await crowd.publish(count=MESSAGES, interval=INTERVAL)
        for turn in range(TURNS):
            for is_frozen in (False, True) if turn % 2 else (True, False):
                if is_frozen:
                    beside.append(await p99_beside_a_frozen_one(server, crowd, transport, policy))
                else:
                    alone.append(await p99(crowd))
    await until(server, lambda found: found == [])
    usual, meanwhile = statistics.median(alone), statistics.median(beside)
    print(f"{transport} {policy}: {meanwhile / usual:.3f}, alone {alone}, beside {beside}")
    assert meanwhile <= usual * MOST + LEAST_SECONDS


async def p99_beside_a_frozen_one(server, crowd, transport, policy):
    frozen, _ = await frozen_one(server, path_of(transport, policy, topics="a,flood"))
    taken = await p99(crowd)
    mine = flooded(await subscribers(server))
    assert mine["pending"]
    assert adds_up(mine)
    frozen.close()
    await until(server, lambda found: not flooded(found))
    return taken


async def p99(crowd):
    await crowd.publish(count=MESSAGES, interval=INTERVAL)
    for client in crowd.clients:
        assert client.numbers == list(range(MESSAGES))
    return crowd.p99()


COUNT = 50
FEW = 20
IMPATIENT = {"sse": ("sse", {"send_timeout": 0.5}), "ws": ("ws/impatient", {})}


@transports
@pytest.mark.parametrize("policy", LOSSY)
async def test_what_a_frozen_client_loses_is_exact_and_told(server, transport, policy):
    frozen, _ = await frozen_one(server, path_of(transport, policy, topics="a,flood"))
    async with Crowd(server, path_of(transport, policy), FEW) as crowd:
        await crowd.publish(count=COUNT)
        for client in crowd.clients:
            assert client.numbers == list(range(COUNT))
        found = await subscribers(server)
        mine = flooded(found)
        assert adds_up(mine)
        assert [each["delivered"] for each in found if each is not mine] == [COUNT] * FEW
    # No message has a brace: that is the end of the gap, its number with it.
    last = b"}" if policy == "drop_newest" else b"#%d " % (COUNT - 1)
    marks = await asyncio.to_thread(frozen.read, last)
    frozen.close()
    numbers = [mark for mark in marks if not mark.startswith("-")]
    gaps = [-int(mark) for mark in marks if mark.startswith("-")]
    if policy == "coalesce":
        assert gaps == []
        assert mine["dropped"] == mine["coalesced"]
        assert marks[-4:] == ["46", "47", "48", "49"][: len(marks)]
    else:
        assert mine["pending"] == MAX_MESSAGES
        assert mine["dropped"] > 0
        assert sum(gaps) == mine["dropped"]  # nothing was published to it after it was counted
        if policy == "drop_oldest":
            kept = [str(number) for number in range(COUNT - MAX_MESSAGES, COUNT)]
            assert marks[-MAX_MESSAGES - 1 :] == [f"-{mine['dropped']}", *kept]
    await until(server, lambda found: found == [])
    assert len(numbers) == mine["delivered"] + mine["pending"]


@transports
async def test_a_frozen_client_is_sent_away_at_once(server, transport):
    before = await get(server, "/snapshot")
    path = path_of(transport, "disconnect", topics="a,flood", max_messages=1)
    async with Crowd(server, path_of(transport, "disconnect"), FEW) as crowd:
        frozen = Frozen(server.address, path)
        await until(server, lambda found: len(found) == FEW + 1)
        while len(await subscribers(server)) > FEW:
            await get(server, "/publish", topic="flood", size=FLOOD_BYTES)
        await crowd.publish(count=5)
        assert [client.numbers for client in crowd.clients] == [[0, 1, 2, 3, 4]] * FEW
        end = b"\r\n0\r\n\r\n" if transport == "sse" else b"\x88\x15\x03\xf5you read too slowly"
        await asyncio.to_thread(frozen.read, end)
        frozen.close()
    after = await until_idle(server)
    assert after["disconnected"] - before["disconnected"] == 1


RESUMES = {"sse": ("last_event_id", rb"id: ?(\S+)"), "ws": ("cursor", rb'"cursor":"([^"]+)"')}
MISSED = 40


@transports
async def test_a_client_that_comes_back_and_freezes_gets_what_it_missed_before_it_is_sent_away(
    server, transport
):
    parameter, id_of = RESUMES[transport]
    hub = {"kept": 1}
    topic = {"topic": f"back.{transport}", **hub}
    options = {"topics": topic["topic"], "envelopes": 1, "max_messages": 1, **hub}
    path = path_of(transport, "disconnect", **options)
    frozen = Frozen(server.address, path)
    await until(server, lambda found: len(found) == 1, **hub)
    await get(server, "/publish", **topic)
    await asyncio.to_thread(frozen.read, b"x;")
    cursor = re.findall(id_of, frozen.data)[-1].decode()
    frozen.close()
    await until(server, lambda found: found == [], **hub)
    await get(server, "/publish", **topic, count=MISSED, size=FLOOD_BYTES)
    frozen = Frozen(server.address, f"{path}&{parameter}={cursor}")
    await until(server, lambda found: found and found[0]["replayed"], **hub)
    # More than its mailbox has room for, and it has not been given what it had missed.
    outcome = await get(server, "/publish", **topic, count=4)
    assert outcome["disconnected"] == 0
    await get(server, "/publish", **topic, size=3)
    (mine,) = await subscribers(server, **hub)
    assert mine["replayed"] < MISSED
    marks = await asyncio.to_thread(frozen.read, b" xxx;")
    assert marks == [str(number) for number in [*range(MISSED), *range(4), 0]]
    frozen.close()
    await until(server, lambda found: found == [], **hub)


@transports
async def test_a_publisher_waits_for_a_frozen_client_until_that_is_given_up(server, transport):
    kind, query = IMPATIENT[transport]
    frozen = Frozen(server.address, path_of(kind, "block", **query))
    await until(server, lambda found: len(found) == 1)
    async with Crowd(server, path_of(transport, "block"), FEW) as crowd:
        outcome = await crowd.publish(count=COUNT, size=FLOOD_BYTES)
        assert [client.numbers for client in crowd.clients] == [list(range(COUNT))] * FEW
        assert outcome["dropped"] == 1  # what the publisher waited with
        assert outcome["seconds"] > 0.25
        assert len(await subscribers(server)) == FEW
    frozen.close()
    await until_idle(server)


@transports
async def test_the_slot_of_a_frozen_client_is_freed_when_it_is_given_up(server, transport):
    before = await settled(server)
    kind, query = IMPATIENT[transport]
    path = path_of(kind, "drop_oldest", topics="flood", **query)
    frozen = Frozen(server.address, path)
    await until(server, lambda found: len(found) == 1)
    while await subscribers(server):
        await get(server, "/publish", topic="flood", size=FLOOD_BYTES)
    async with asyncio.timeout(TIMEOUT):
        while (await get(server, "/counts"))["tasks"] > before["tasks"]:
            await asyncio.sleep(0.01)
    frozen.close()


async def until_idle(server):
    await until(server, lambda found: found == [])
    return await get(server, "/snapshot")


async def settled(server):
    """What the server counts once it has nothing more to do for clients that have left.

    That is later than the end of their handlers: a WebSocket that was used is kept until the next
    round of its loop (`asgi_rt.websocket.rounds`), and the loop drops cancelled timers as it goes.
    """
    await until_idle(server)
    deadline = time.monotonic() + TIMEOUT
    while True:
        counted = await get(server, "/counts")
        if counted["connections"] == 1 and not counted["cancelled_timers"]:
            return counted
        assert time.monotonic() < deadline, f"not let go of: {counted}"
        await asyncio.sleep(0.01)


@transports
@pytest.mark.timeout(1800)
async def test_memory_stays_flat_however_much_is_published(server, transport):
    count = 100_000 if FULL else 4000
    frozen, _ = await frozen_one(server, path_of(transport, "drop_oldest", topics="a,flood"))
    clients = CLIENTS if FULL else FEW
    async with Crowd(
        server, path_of(transport, "drop_oldest", max_messages=1000), clients, counts_only=True
    ) as crowd:
        await crowd.publish(count=1000, within=TIMEOUT)
        before = server.memory_bytes()
        outcome = await crowd.publish(count=count, within=1500)
        after = server.memory_bytes()
        assert all(client.count >= count + 1000 for client in crowd.clients)
        found = await subscribers(server)
    frozen.close()
    await until_idle(server)
    print(
        f"{transport}: {count} messages, {before / MIB:.1f} MiB, then {after / MIB:.1f}; {outcome}"
    )
    assert all(adds_up(each) for each in found)
    assert [each["delivered"] for each in found if "flood" not in each["topics"]] == (
        [count + 1000] * clients
    )
    assert after - before < 8 * MIB


@transports
async def test_clients_that_come_and_go_leave_nothing(server, transport):
    """Not one object for every fourth: between the two counts 200 of them come and go."""
    counted = []
    for _ in range(4):
        async with Crowd(server, path_of(transport, "drop_oldest"), 100) as crowd:
            await crowd.publish(count=3)
        counted.append(await settled(server))
    assert {each["tasks"] for each in counted} == {counted[0]["tasks"]}
    assert counted[-1]["objects"] - counted[1]["objects"] < 50
