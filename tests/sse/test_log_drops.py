"""Clients of an event log that drop at any point and come back, on every event loop."""

import random
from contextlib import aclosing

import anyio
import anyio.lowlevel
import pytest
from conftest import BACKENDS
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt.codec import load_json
from asgi_rt.sse import EventLog
from asgi_rt.sse.framing import Decoder


class Client:
    """Decodes what it follows, in pieces of any size; is cut off anywhere and comes back.

    `position` is the number of the event that it knows it has everything up to. It fails when it is
    given anything but the next event, or a gap that is none.
    """

    def __init__(self, log, chance):
        self.log, self.chance = log, chance
        self.last_event_id = None
        self.start = self.position = None
        self.received = self.lost = 0
        self.wait = anyio.CancelScope()

    async def run(self):
        while not await self.connect():
            await anyio.lowlevel.checkpoint()

    async def connect(self):
        """Whether the log ended the stream; otherwise the connection was lost."""
        decoder = Decoder()
        until_cut = self.chance.randrange(200)
        async with aclosing(self.log.follow(self.last_event_id)) as follower:
            while until_cut > 0:
                frame = None
                with anyio.CancelScope() as self.wait:
                    frame = await anext(follower, b"")
                if frame == b"":
                    return True
                if frame is not None:
                    self.read(decoder, frame[:until_cut])
                    until_cut -= len(frame)
                if self.chance.random() < 0.3:
                    await anyio.lowlevel.checkpoint()
        return False

    def read(self, decoder, data):
        while data:
            size = self.chance.randint(1, len(data))
            for event in decoder.feed(data[:size]):
                self.take(event)
            data = data[size:]
        self.last_event_id = decoder.last_event_id or self.last_event_id
        if self.position is None and self.last_event_id:
            self.start = self.position = int(self.last_event_id.rpartition("-")[2])

    def take(self, event):
        if event.event == "gap":
            gap = load_json(event.data)
            assert gap["reason"] == "expired"
            assert gap["missed"] > 0
            self.lost += gap["missed"]
            self.position += gap["missed"]
        else:
            self.received += 1
            self.position += 1
            assert event.data == str(self.position)
        assert event.id == f"e-{self.position}"


async def publish_to_clients(chance, count, **bounds):
    log = EventLog(epoch="e", **bounds)
    clients = [Client(log, chance) for _ in range(2)]
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
        for number in range(1, count + 1):
            log.append(number)
            if chance.random() < 0.3:
                chance.choice(clients).wait.cancel()
            for _ in range(chance.randrange(3)):
                await anyio.lowlevel.checkpoint()
        log.close()
    for client in clients:
        assert client.position == count
        assert client.received + client.lost == count - client.start
    assert log.followers == 0
    return clients


on_every_loop = pytest.mark.parametrize("loop", BACKENDS)
seeds = st.integers(0, 2**32)


@on_every_loop
@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 60))
def test_a_client_that_drops_anywhere_receives_everything_once_and_in_order(loop, seed, count):
    async def main():
        for client in await publish_to_clients(random.Random(seed), count):
            assert client.lost == 0

    anyio.run(main, backend=loop[0], backend_options=loop[1])


@on_every_loop
@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 60), st.integers(1, 4))
def test_a_client_is_told_of_every_loss_exactly_once(loop, seed, count, max_count):
    async def main():
        await publish_to_clients(random.Random(seed), count, max_count=max_count)

    anyio.run(main, backend=loop[0], backend_options=loop[1])
