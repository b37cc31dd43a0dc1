"""What is broadcast, when, and how deliveries are counted."""

import asyncio
import re
import socket
import time
from contextlib import closing
from itertools import pairwise

import anyio
import pytest

from benchmarks import scenarios, targets
from benchmarks.harness.broadcast import END, STAMP, Publisher, Publishing, publish_all
from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.server import HOST
from benchmarks.harness.subscriber import Subscriber, WrongDelivery
from benchmarks.model import Size
from benchmarks.runs.broadcast import BURSTS, FROZEN, LONG, PLAIN, Broadcasts

pytestmark = pytest.mark.anyio

ORDER = Publishing(count=100)
PUBLISHED = 1_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def anyio_backend():
    """The publisher runs where the peers do."""
    return "asyncio"


@pytest.fixture
def connecting():
    """A subscriber that has asked for an event stream, and the server's end of its connection."""
    with (
        socket.create_server((HOST, 0)) as listening,
        closing(Subscriber(HOST, listening.getsockname()[1], "sse")) as subscriber,
        listening.accept()[0] as server,
    ):
        yield subscriber, server


@pytest.fixture
def connected(connecting):
    """The same, open."""
    subscriber, server = connecting
    server.sendall(HEAD)
    while not subscriber.ready():
        pass
    return subscriber, server


def wire(number):
    return chunk(f"data: {ORDER.message(number, PUBLISHED)}\n\n".encode())


def chunk(body):
    return b"%x\r\n%s\r\n" % (len(body), body)


def read_all(subscriber, server, data, piece=100_000):
    """What `read` returned for `data`, sent in pieces, and the latencies it found."""
    ended, latencies = 0, []
    for at in range(0, len(data), piece):
        server.sendall(data[at : at + piece])
        wanted = subscriber.received + len(data[at : at + piece])
        while subscriber.received < wanted:
            ended += subscriber.read(latencies)
    return ended, latencies


@pytest.mark.parametrize("size", [64, 4096])
@pytest.mark.parametrize("number", [0, 1, 31, 32, 12_345_678])
def test_message_has_its_size_and_one_end(size, number):
    text = Publishing(count=1, size=size).message(number, time.perf_counter_ns()).encode()
    assert len(text) == size
    assert text.find(END) == size - 1
    assert (STAMP in text) == (number % 32 == 0)


async def test_messages_are_published_in_order_and_once():
    texts = []

    async def publish(text):
        texts.append(text)

    await publish_all(Publishing(count=50, burst=20, stamp_every=1), publish)
    assert [int(text[1:9]) for text in texts] == list(range(50))


@pytest.mark.parametrize(("burst", "sizes"), [(1, [1] * 40), (20, [20, 20]), (30, [30, 10])])
async def test_loop_turns_once_after_each_burst(burst, sizes):
    loop = asyncio.get_running_loop()
    turns = 0
    published = []

    def turn():
        nonlocal turns
        turns += 1
        if len(published) < 40:
            loop.call_soon(turn)

    async def publish(text):
        published.append(turns)

    turn()
    await publish_all(Publishing(count=40, burst=burst), publish)
    assert [published.count(turn) for turn in range(1, len(sizes) + 1)] == sizes


async def test_message_that_is_held_up_counts_from_when_it_was_due():
    texts = []

    async def publish(text):
        if not texts:
            time.sleep(0.05)
        texts.append(text)

    await publish_all(Publishing(count=20, stamp_every=1, rate=1_000.0), publish)
    times = [int(re.split(r"\^| ", text)[2]) for text in texts]
    assert [later - earlier for earlier, later in pairwise(times[1:])] == [1_000_000] * 18


async def test_new_order_takes_the_place_of_one_under_way():
    before = asyncio.all_tasks()
    texts = []
    published = anyio.Event()

    async def publish(text):
        texts.append(text)
        published.set()

    publisher = Publisher(publish)
    query = {"size": "64", "burst": "1", "stamp_every": "1", "rate": "0.01"}
    publisher.start({**query, "count": "5"})
    await published.wait()
    publisher.start({**query, "count": "1"})
    with anyio.fail_after(10):
        await asyncio.gather(*asyncio.all_tasks() - before, return_exceptions=True)
    assert [text[:9] for text in texts] == ["^00000000", "^00000000"]


@pytest.mark.parametrize("query", [{}, {"count": "many"}])
async def test_what_is_not_an_order_is_refused(query):
    with pytest.raises((KeyError, ValueError)):
        Publisher(None).start(query)


@pytest.mark.parametrize("piece", [1, 7, 64, 100_000])
def test_deliveries_in_pieces_of_any_size_are_counted(piece, connected):
    subscriber, server = connected
    data = b"".join([chunk(b": ping\n\n"), *map(wire, range(100))])
    ended, latencies = read_all(subscriber, server, data, piece)
    assert ended == subscriber.count == 100
    assert len(latencies) == 4
    subscriber.expect_silence()


def test_second_run_is_numbered_anew(connected):
    subscriber, server = connected
    for _ in range(2):
        subscriber.begin()
        assert read_all(subscriber, server, b"".join(map(wire, range(40))))[0] == 40


NUMBERS = list(range(100))


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([*NUMBERS[:40], *NUMBERS[41:]], id="lost"),
        pytest.param([*NUMBERS[:40], *NUMBERS[39:]], id="doubled"),
        pytest.param([*NUMBERS[:63], 64, 63, *NUMBERS[65:]], id="swapped"),
    ],
)
def test_delivery_out_of_order_is_found(numbers, connected):
    subscriber, server = connected
    with pytest.raises(WrongDelivery, match="came where"):
        read_all(subscriber, server, b"".join(map(wire, numbers)))


def test_message_after_the_last_is_found(connected):
    subscriber, server = connected
    read_all(subscriber, server, wire(0))
    server.sendall(wire(1))
    socket_holds(subscriber.sock, len(wire(1)))
    with pytest.raises(WrongDelivery, match="not published"):
        subscriber.expect_silence()


def test_server_that_hangs_up_is_found(connected):
    subscriber, server = connected
    server.close()
    with pytest.raises(ConnectionError):
        subscriber.read([])


def test_answer_that_is_no_stream_is_refused(connecting):
    subscriber, server = connecting
    server.sendall(HEAD.replace(b"200 OK", b"503 No"))
    socket_holds(subscriber.sock, len(HEAD))
    with pytest.raises(ProtocolError):
        subscriber.ready()


def test_arms_are_called_by_what_not_all_of_them_have():
    assert Broadcasts("sse").label("raw", PLAIN, 500) == "raw"
    assert Broadcasts("sse", (PLAIN, LONG)).label("raw", LONG, 500) == "raw, 4 KiB"
    numbered = Broadcasts("ws", (BURSTS, FROZEN), counts=(10, 2_000))
    assert numbered.label("raw", BURSTS, 10) == "raw, 10 subscribers, bursts of 20"
    assert numbered.label("raw", FROZEN, 2_000) == "raw, 2,000 subscribers, one frozen"


@pytest.mark.parametrize(("most", "counts"), [(4, [4]), (10, [10]), (600, [10, 500])])
def test_subscribers_are_never_more_than_the_size_allows(most, counts):
    broadcasts = Broadcasts("sse", counts=(10, 500, 2_000))
    assert broadcasts.counts_for(Size(1, 1.0, most)) == counts


def test_what_takes_long_runs_only_by_its_name():
    default = {scenario.name for scenario in scenarios.named([])}
    assert {"broadcast-sse", "broadcast-ws-cases", "broadcast-sse-idle"} <= default
    assert not [name for name in default if name.endswith("-full")]
    (full,) = scenarios.named(["broadcast-ws-full"])
    assert full.normal.connections == 10_000


def test_promises_of_broadcasts_are_of_arms_that_there_are():
    runs = {scenario.name: scenario for scenario in scenarios.SCENARIOS}
    promised = [each for each in targets.TARGETS if each.scenario.startswith("broadcast")]
    assert len(promised) == 7
    for target in promised:
        scenario = runs[target.scenario]
        cases = scenario.run.cases if isinstance(scenario.run, Broadcasts) else [PLAIN]
        labels = [
            Broadcasts("sse").label(peer.name, case) for peer in scenario.peers for case in cases
        ]
        assert target.arm in labels
        assert target.against in (None, *labels)


def socket_holds(sock, size):
    """Wait until this much has come."""
    sock.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)
