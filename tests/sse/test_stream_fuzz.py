"""Many streams at once, everything at tiny intervals, and a server that takes its time to send.

No two sends may meet, nothing may follow the last message, and the bytes must be the events.
"""

import random
import re

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeServer
from sse.wire import datas, frames, on_asyncio_only

from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.sse import Event, EventStream

STREAMS = 100
# More would keep the debug mode of asyncio so busy that a ping is due at each turn, for ever.
AT_ONCE = 10
FRAME = re.compile(
    rb"retry: \d+|: ping|data: \d+|event: farewell\ndata: bye|event: error\ndata: .+"
)


class SlowServer(FakeServer):
    """Each send takes some turns of the event loop, or some time; it notes when two meet."""

    def __init__(self, chance: random.Random, **options) -> None:
        super().__init__(**options)
        self._chance = chance
        self._sending = False
        self.faults: list[str] = []

    async def send(self, message) -> None:
        if self._sending:
            self.faults.append("two sends met")
        if self.is_complete:
            self.faults.append("a message after the last")
        if not self.messages and message["type"] != "http.response.start":
            self.faults.append("a body before the head")
        self._sending = True
        try:
            await super().send(message)
            for _ in range(self._chance.choice((0, 0, 1, 2, 5))):
                if self._chance.random() < 0.2:
                    await anyio.sleep(0.0005)
                else:
                    await anyio.lowlevel.checkpoint()
        finally:
            self._sending = False


class Run:
    """One stream, its source and its troubles, all drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = chance = random.Random(seed)
        self.drain = Drain(grace=60)
        self.server = SlowServer(chance, state={STATE_KEY: self.drain})
        self.given: list[str] = []
        self.may_finish = chance.random() < 0.7
        self.fails = chance.random() < 0.3
        self.drains = chance.random() < 0.5
        self.failure: Exception | None = None
        self.response = EventStream(
            self._source(),
            ping=chance.choice((0.0003, 0.001, 0.002)),
            head_wait=chance.choice((0, 0.0005, 0.002)),
            farewell=Event("bye", event="farewell"),
            finish_in_drain=self.may_finish,
            error_events=True,
        )

    async def _source(self):
        chance = self.chance
        for number in range(chance.randint(0, 40)):
            match chance.randrange(4):
                case 0:
                    await anyio.lowlevel.checkpoint()
                case 1:
                    await anyio.sleep(chance.random() * 0.002)
                case 2:
                    with anyio.move_on_after(chance.random() * 0.002):
                        await anyio.sleep_forever()
            self.given.append(str(number))
            yield number
        if self.fails:
            await anyio.sleep(chance.choice((0, 0.001)))
            raise ValueError("on purpose")

    async def __call__(self) -> None:
        async with anyio.create_task_group() as group:
            if self.drains:
                group.start_soon(self._begin_drain)
            try:
                await self.response(self.server.scope, self.server.receive, self.server.send)
            except Exception as error:
                self.failure = error
            group.cancel_scope.cancel()

    async def _begin_drain(self) -> None:
        # Not before the stream began: it would be refused.
        await anyio.sleep(0.0005 + self.chance.random() * 0.02)
        self.drain.begin()

    def check(self) -> None:
        server = self.server
        assert server.faults == []
        if not server.messages:  # it met the drain, or failed, before its head
            assert self.failure is not None
            return
        blocks = frames(server)
        unknown = [block for block in blocks if not FRAME.fullmatch(block)]
        assert unknown == []
        assert blocks[0].startswith(b"retry: ")
        assert server.is_complete
        told = blocks[-1].startswith(b"event: error")
        # A source that failed while its farewell was on its way is not cut off: it is told of.
        is_cut_off = b"event: farewell\ndata: bye" in blocks and not (self.may_finish or told)
        assert blocks.count(b"event: farewell\ndata: bye") <= int(self.drains)
        expected = list(self.given)
        if is_cut_off:
            # What the source gave in the very turn of the farewell may be left out.
            assert blocks[-1].startswith(b"event: farewell")
            expected = expected[: sum(block.startswith(b"data: ") for block in blocks)]
            assert len(self.given) - len(expected) <= 1
        got = [data for data in datas(server) if data.isdigit()]
        assert got == expected
        assert told is (self.fails and not is_cut_off)
        assert isinstance(self.failure, ValueError) is told


@on_asyncio_only
@pytest.mark.slow
async def test_no_two_frames_are_ever_mixed_up():
    runs = [Run(seed) for seed in range(STREAMS)]
    with anyio.fail_after(30):
        for first in range(0, STREAMS, AT_ONCE):
            async with anyio.create_task_group() as group:
                for each in runs[first : first + AT_ONCE]:
                    group.start_soon(each)
    for each in runs:
        try:
            each.check()
        except AssertionError as error:
            raise AssertionError(f"seed {each.seed}: {error}") from error
