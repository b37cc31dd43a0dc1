"""A client that drops again and again gets what was published: all of it, in order, once.

Through everything there is in between: the log, the route, the stream, and the bytes, which are cut
off wherever the connection happens to be.
"""

import random

import anyio
import anyio.lowlevel
import pytest
from conftest import BACKENDS
from fakes import FakeServer
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt import App
from asgi_rt.sse import Decoder, EventLog


class SlowServer(FakeServer):
    """Takes turns of the event loop to send, and hands the client what it has sent."""

    def __init__(self, chance: random.Random, **options) -> None:
        super().__init__(**options)
        self._chance = chance

    async def send(self, message) -> None:
        await super().send(message)
        for _ in range(self._chance.choice((0, 0, 1, 4))):
            await anyio.lowlevel.checkpoint()


class Reader:
    """A client of a log that drops each connection after some bytes, in the middle of anything."""

    def __init__(self, app: App, chance: random.Random) -> None:
        self.app = app
        self.chance = chance
        self.received: list[str] = []
        self.gaps = 0
        self.last_event_id = ""
        self.connections = 0

    async def read(self, last: str) -> None:
        while last not in self.received[-1:]:
            await self._read_one_connection(last)

    async def _read_one_connection(self, last: str) -> None:
        self.connections += 1
        headers = [(b"last-event-id", self.last_event_id.encode())] if self.last_event_id else []
        spec = self.chance.choice(("2.3", "2.4"))
        server = SlowServer(self.chance, path="/log", headers=headers, spec_version=spec)
        budget = self.chance.randint(0, 400)
        decoder, read = Decoder(), 0
        async with anyio.create_task_group() as group:
            group.start_soon(self.app, server.scope, server.receive, server.send)
            while read < budget and last not in self.received[-1:]:
                await server.body_has(read + 1)
                piece = server.body[read : read + self.chance.randint(1, 50)][: budget - read]
                read += len(piece)
                for event in decoder.feed(piece):
                    self.gaps += event.event == "gap"
                    self.received.append(event.data)
            server.leave()
        self.last_event_id = decoder.last_event_id or self.last_event_id


def make_app(log: EventLog, chance: random.Random) -> App:
    app = App()

    @app.sse("/log", ping=0.0005, head_wait=chance.choice((0, 0.0005, None)))
    async def follow(request):
        return log.follow(request.last_event_id)

    return app


@pytest.mark.slow
@pytest.mark.parametrize("loop", BACKENDS)
@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32))
def test_a_client_that_drops_at_random_receives_what_was_published_once(loop, seed):
    async def main() -> None:
        chance = random.Random(seed)
        log = EventLog()
        reader = Reader(make_app(log, chance), chance)
        # Its place before the first event: as of a client that has connected once.
        reader.last_event_id = log.last_id
        published = [f"event {number}" for number in range(chance.randint(1, 60))]

        async def publish() -> None:
            for data in published:
                for _ in range(chance.choice((0, 0, 1, 3))):
                    await anyio.lowlevel.checkpoint()
                if chance.random() < 0.1:
                    await anyio.sleep(0.001)
                log.append(data)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(reader.read, published[-1])
                group.start_soon(publish)
        assert reader.received == published
        assert reader.gaps == 0
        assert log.followers == 0

    anyio.run(main, backend=loop[0], backend_options=loop[1])


async def test_a_client_whose_place_is_gone_is_told_once_and_goes_on():
    log = EventLog(max_count=2)
    first = log.append("lost")
    for data in ("also lost", "kept", "too"):
        log.append(data)
    chance = random.Random(1)
    reader = Reader(make_app(log, chance), chance)
    reader.last_event_id = first
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(reader.read, "live")
            while not reader.gaps:
                await anyio.lowlevel.checkpoint()
            log.append("live")
    assert reader.gaps == 1
    assert reader.received[-1] == "live"
