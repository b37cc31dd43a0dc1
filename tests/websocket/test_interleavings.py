"""Three tasks, a client and a server that all use one connection at once, in random order.

Each run is made from a seed, which a failure shows with all that happened. Time plays no part: what
the package does a little later is a step like any other, and so is each cancellation. On trio the
loop itself runs what is ready in an order of its own.
"""

import asyncio
from random import Random

import anyio
import anyio.lowlevel
import pytest

from asgi_rt import App, WebSocketClosed
from asgi_rt.drain import STATE_KEY, Drain
from asgi_rt.http.pull import on_asyncio
from websocket.fake_server import KINDS, QUICK_BACKENDS, SteppedRounds, errors_logged

RUNS = 1000
TASKS = 3
MOST_TURNS = 1100
"""After so many turns of the event loop a run that has not ended never will."""
LEARN_SECONDS = 0.005
"""How long it may take to learn of an end from the server."""

app = App()


@app.websocket("/wait", max_unread_messages=2)
@app.websocket("/discard", unread="discard", max_unread_messages=2)
@app.websocket("/close", unread="close", max_unread_messages=2)
@app.websocket("/bytes", max_unread_bytes=10, max_message_bytes=100)
@app.websocket("/hasty", send_timeout=0.002)
@app.websocket("/plain")
async def handle(ws):
    await ws.scope["run"].handle(ws)


PATHS = ["/wait", "/discard", "/close", "/bytes", "/hasty", "/plain"]
WAITING_PATHS = ["/wait", "/bytes"]
"""Where the end is not seen before all that came is received."""


async def turns(count):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


class Run:
    """One connection, what happens to it, and what came of it."""

    def __init__(self, kind, seed, rounds):
        self.random = random = Random(seed)
        self.rounds = rounds
        path = random.choice(PATHS)
        self.may_skip = path == "/discard"
        raises, tells = random.random() < 0.8, random.random() < 0.8
        self.drain = Drain(grace=0.01)
        state = {STATE_KEY: self.drain}
        self.server = kind(path=path, raises=raises, tells=tells, state=state)
        self.server.scope["run"] = self
        self.says = [f"{kind.__name__} on {path}, {raises=}, {tells=}"]
        self.faults = []
        self.cancels = {}
        self.from_client = []
        self.received = []
        self.begun = {}
        self.finished = {}
        self.ends = set()  # how it may have ended
        self.met = []  # how it ended, to those who met it
        self.ws = None
        self.group = None
        self.users = 0

    def say(self, what):
        self.says.append(what)

    # The app

    async def handle(self, ws):
        self.ws = ws
        self.ends.add((1000, "", "server"))
        try:
            await ws.accept()
        except WebSocketClosed as closed:
            self.note_end(closed)
            return
        await self.random.choice([self.in_group, self.in_session, self.beside])()

    async def in_group(self):
        async with anyio.create_task_group() as group:
            for name in range(TASKS - 1):
                group.start_soon(self.use, name)
            await self.use(TASKS - 1)

    async def in_session(self):
        async with self.ws.session() as session:
            for name in range(TASKS - 1):
                session.start(self.use, name)
            await self.use(TASKS - 1)

    async def beside(self):
        """In tasks that outlive the handler."""
        for name in range(TASKS - 1):
            self.group.start_soon(self.use, name)
        await self.use(TASKS - 1)

    async def use(self, name):
        """What one of the tasks does."""
        self.users += 1
        try:
            await self.use_often(name)
        finally:
            self.users -= 1

    async def use_often(self, name):
        random = self.random
        for _ in range(random.randint(1, 6)):
            await turns(random.choice([0, 0, 0, 1, 2, 5]))
            use = random.choices(
                [
                    self.send,
                    self.burst,
                    self.receive,
                    self.iterate,
                    self.close,
                    self.take_text,
                    self.wait,
                ],
                [6, 1, 7, 2, 1, 1, 1],
            )[0]
            guard = random.choice(
                [self.bare, self.bare, self.in_scope, self.in_timeout, self.in_task]
            )
            self.say(f"task {name}: {use.__name__} {guard.__name__}")
            try:
                await guard(name, self.watched(name, use))
            finally:
                self.cancels.pop(name, None)
            if on_asyncio() and asyncio.current_task().cancelling():
                self.faults.append(f"task {name} counts as being cancelled after {use.__name__}")
                return

    async def watched(self, name, use):
        try:
            await use(name)
        except WebSocketClosed as closed:
            self.say(f"task {name}: {closed!r}")
            self.note_end(closed)
        except Exception as error:
            self.faults.append(f"task {name}: {use.__name__} raised {error!r}")
        else:
            self.say(f"task {name}: done")

    def note_end(self, closed):
        self.met.append((closed.code, closed.reason, closed.by))

    async def send(self, name):
        number = self.begun[name] = self.begun.get(name, 0) + 1
        padding = "." * self.random.choice([0, 0, 0, 70_000])
        await self.ws.send_text(f"{name} {number} {padding}")
        self.finished.setdefault(name, []).append(number)

    async def burst(self, name):
        for _ in range(80):
            await self.send(name)

    async def receive(self, name):
        data = await self.ws.receive()
        self.received.append(data)

    async def take_text(self, name):
        self.ends.add((1003, "a text message was expected, a binary one came", "server"))
        try:
            data = await self.ws.receive_text()
        except WebSocketClosed:
            self.may_skip = True
            raise
        self.received.append(data)

    async def iterate(self, name):
        left = self.random.randint(1, 4)
        async for data in self.ws:
            self.received.append(data)
            left -= 1
            if not left:
                return

    async def close(self, name):
        self.ends.add((4000 + name, f"task {name}", "server"))
        await self.ws.close(4000 + name, f"task {name}")

    async def wait(self, name):
        if self.server.scope["path"] in WAITING_PATHS:
            async for data in self.ws:
                self.received.append(data)
        self.note_end(await self.ws.wait_closed())

    # How what a task does can be cancelled

    async def bare(self, name, use):
        await use

    async def in_scope(self, name, use):
        with anyio.CancelScope() as scope:
            self.cancels[name] = scope.cancel
            await use

    async def in_timeout(self, name, use):
        if not on_asyncio():
            await self.in_scope(name, use)
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as timeout:
                self.cancels[name] = lambda: timeout.reschedule(loop.time())
                await use
        except TimeoutError:
            pass

    async def in_task(self, name, use):
        if not on_asyncio():
            await self.in_scope(name, use)
            return
        task = asyncio.create_task(use)
        self.cancels[name] = task.cancel
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            await asyncio.wait([task])

    # Everybody else

    async def disturb(self):
        """What the client and the server do, and what is cancelled."""
        random, server = self.random, self.server
        if random.random() < 0.9:
            await server.accepted()
        steps = [
            self.text,
            self.data,
            self.cancel,
            self.step,
            self.freeze,
            server.thaw,
            self.leave,
            server.lose,
            server.vanish,
            self.fail,
            self.go_down,
        ]
        weights = [8, 2, 6, 6, 1, 2, 0.4, 0.3, 0.3, 0.4, 0.2]
        for _ in range(random.randint(3, 25)):
            await turns(random.choice([0, 0, 1, 1, 2, 3, 10]))
            if self.server.is_blocked and server.scope["path"] == "/hasty":
                await anyio.sleep(random.choice([0, 0, 0.004]))
            step = random.choices(steps, weights)[0]
            self.say(step.__name__)
            step()
        await turns(random.choice([0, 5, 50]))
        server.thaw()
        random.choice([self.leave, server.lose])()
        self.say("the end")

    def text(self):
        if not self.server.messages:
            return  # nothing comes before the handshake was answered
        for _ in range(self.random.choice([1, 1, 2, 5])):
            text = f"{len(self.from_client)}"
            self.from_client.append(text)
            self.server.send_text(text)

    def data(self):
        if not self.server.messages:
            return
        data = b"%d" % len(self.from_client)
        self.from_client.append(data)
        self.server.send_bytes(data)

    def cancel(self):
        if self.cancels:
            name = self.random.choice(sorted(self.cancels))
            self.say(f"cancel task {name}")
            self.cancels.pop(name)()

    def step(self):
        self.rounds.step()

    def freeze(self):
        self.server.freeze(self.random.choice([0, 1, 10]))

    def leave(self):
        self.ends.add((3000, "bye", "client"))
        self.server.leave(3000, "bye")

    def fail(self):
        self.ends.add((1009, "too big", "client"))
        self.server.fail(1009, "too big")

    def go_down(self):
        self.ends.add((1012, "the server is going down", "server"))
        self.drain.begin()

    async def to_its_end(self):
        """Run it. Raises AssertionError where something is wrong."""
        with errors_logged() as errors:
            async with anyio.create_task_group() as group:
                self.group = group
                group.start_soon(self.server.run, app)
                await self.disturb()
                for turn in range(MOST_TURNS):
                    if self.server.is_done and not self.users:
                        break
                    self.rounds.step()
                    await anyio.sleep(0 if turn < 100 else 0.002)
                else:
                    self.faults.append("it does not end")
                    group.cancel_scope.cancel()
        self.faults += errors + self.server.faults
        if self.server.error is not None:
            self.faults.append(f"out of the app came {self.server.error!r}")
        if not self.faults and self.ws is None:
            # None where the client left before the refusal was taken.
            self.expect(self.server.status in (503, None), "the handler was not called")
        elif not self.faults:
            self.check_end()
            self.check_messages()
        assert not self.faults, "\n".join([*self.faults, *self.says])

    # What must be true of it

    def check_end(self):
        server, closed = self.server, self.ws.closed
        facts = (closed.code, closed.reason, closed.by)
        ends = {*self.ends, (1006, "", "network")}
        path = server.scope["path"]
        if path == "/close":
            ends.add((1013, "messages come faster than they are received", "server"))
        elif path == "/hasty":
            ends.add((1008, "nothing was read for 0.002 seconds", "server"))
        self.expect(facts in ends, f"it ended with {facts}, not one of {ends}")
        self.expect(set(self.met) <= {facts}, f"it ended with {facts}, but {self.met} were met")
        by_us = server.close is not None
        self.expect(not by_us or (*server.close, "server") == facts, f"{server.close} was sent")

    def check_messages(self):
        sent = [data.split()[:2] for data in self.server.data]
        for name, begun in self.begun.items():
            numbers = [int(number) for task, number in sent if task == str(name)]
            self.expect(numbers == sorted(set(numbers)), f"task {name} sent {numbers}")
            self.expect(not numbers or numbers[-1] <= begun, f"{name} has sent but {begun}")
            lost = set(self.finished.get(name, [])) - set(numbers)
            self.expect(not lost or not self.server.raises, f"{lost} of task {name} are lost")
        if self.may_skip:
            rest = iter(self.from_client)
            is_right = all(data in rest for data in self.received)
        else:
            is_right = self.received == self.from_client[: len(self.received)]
        self.expect(is_right, f"of {self.from_client} came {self.received}")

    def expect(self, is_true, fault):
        if not is_true:
            self.faults.append(fault)


def tasks():
    return len(asyncio.all_tasks()) if on_asyncio() else 0


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", QUICK_BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_happens_at_once_surfaces_only_the_end_and_always_ends(kind, monkeypatch):
    rounds = SteppedRounds()
    monkeypatch.setattr("asgi_rt.websocket.beside.rounds_of_this_loop", lambda: rounds)
    monkeypatch.setattr("asgi_rt.websocket.outgoing._LEARN_SECONDS", LEARN_SECONDS)
    monkeypatch.setattr("asgi_rt.websocket.link._TELL_SECONDS", LEARN_SECONDS)
    before = tasks()
    for seed in range(RUNS):
        try:
            await Run(kind, seed, rounds).to_its_end()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        assert tasks() == before, f"seed {seed} left tasks"
