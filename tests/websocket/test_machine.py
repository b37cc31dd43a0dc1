"""Hypothesis drives a connection, step by step, beside a model of what must come of each step.

What the app and the server say to each other goes through a `Lifecycle` of the server's own, and
the connection's must be the same after each step. All runs on an event loop of its own, on which
time plays no part.
"""

import asyncio
from collections import deque
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from asgi_rt import App, HTTPError, WebSocketClosed
from asgi_rt.errors import LifecycleError
from asgi_rt.websocket.closing import code_for_status, cut_reason
from asgi_rt.websocket.lifecycle import State
from websocket.fake_server import (
    TIMEOUT,
    FakeServer,
    SteppedRounds,
    UvicornServer,
    no_errors_logged,
)

pytestmark = pytest.mark.slow

TURNS = 30
"""Turns of the event loop in which everything that can happen has happened."""
CODES = st.sampled_from([1000, 1001, 1011, 3000, 4999])
REASONS = st.sampled_from(["", "bye", "ü" * 100])
GOING_ON = "going on"
"""What has come of a call that still waits."""
CANCELLED = "cancelled"
DONE = "done"


class Call:
    """A call of the app's, made from a task of its own or by the handler, and what came of it."""

    def __init__(self, name, make):
        self.name = name
        self.make = make
        self.outcome = GOING_ON
        self.task = None

    async def __call__(self):
        try:
            result = await self.make()
            self.outcome = DONE if result is None else result
        except (WebSocketClosed, LifecycleError) as error:
            self.outcome = error
        except asyncio.CancelledError:
            self.outcome = CANCELLED
            raise


class Connection(RuleBasedStateMachine):
    """The model knows how it ended (`facts`), what came (`unread`) and what went (`sent`)."""

    kind = FakeServer

    def __init__(self):
        super().__init__()
        self.around = ExitStack()
        self.around.enter_context(no_errors_logged())
        patch = self.around.enter_context(pytest.MonkeyPatch.context())
        self.rounds = SteppedRounds()
        patch.setattr("asgi_rt.websocket.beside.rounds_of_this_loop", lambda: self.rounds)
        patch.setattr("asgi_rt.websocket.outgoing._LEARN_SECONDS", 0.0)
        patch.setattr("asgi_rt.websocket.link._TELL_SECONDS", 0.0)
        self.loop = asyncio.new_event_loop()
        self.app = App()
        self.app.websocket("/")(self.handle)
        self.ws = None
        self.calls = []
        self.for_handler = asyncio.Queue()
        self.in_handler = None
        self.has_ended = False  # the handler
        self.crash = None
        self.is_accepted = False
        self.facts = None
        self.early = None  # how it ended before it was accepted, which nobody has read
        self.unread = deque()
        self.came = []
        self.taken = []
        self.expected = 0  # of what came, how much was to be taken
        self.sent = 0
        self.is_frozen = False
        self.has_left = False
        self.is_answered = False

    # The app

    async def handle(self, ws):
        self.ws = ws
        while (call := await self.for_handler.get()) is not None:
            await call()

    def call(self, name, make, *, in_handler=False):
        """Make a call, and see what comes of it."""
        call = Call(name, make)
        self.calls.append(call)
        if in_handler and self.is_handler_free:
            self.in_handler = call
            self.for_handler.put_nowait(call)
        else:
            call.task = self.loop.create_task(call())
        self.settle()
        return call.outcome

    def settle(self):
        self.loop.run_until_complete(self.run())

    async def run(self):
        for _ in range(2):
            await self.turn()
            self.rounds.step()
        await self.turn()

    async def turn(self):
        for _ in range(TURNS):
            await asyncio.sleep(0)

    @property
    def is_handler_free(self):
        is_busy = self.in_handler is not None and self.in_handler.outcome is GOING_ON
        return not self.has_ended and not is_busy

    @property
    def is_open(self):
        return self.is_accepted and self.facts is None

    def going_on(self, name):
        return [each for each in self.calls if each.name == name and each.outcome is GOING_ON]

    # The model

    def end(self, code, reason, by):
        if self.facts is None:
            self.facts = (code, cut_reason(reason), by)
            if by == "server":
                self.unread.clear()

    def told(self, code, reason, by):
        """The server tells of an end."""
        if self.is_accepted:
            self.end(code, reason, by)
        elif self.early is None:
            self.early = (code, reason, by)

    def expect_closed(self, outcome):
        assert isinstance(outcome, WebSocketClosed)
        assert (outcome.code, outcome.reason, outcome.by) == self.facts

    def expect_refused(self, outcome):
        """Of a call that is out of turn before the connection is open."""
        if self.facts is None:
            assert isinstance(outcome, LifecycleError)
        else:
            self.expect_closed(outcome)

    # The handshake

    @initialize(raises=st.booleans(), tells=st.booleans(), denies=st.booleans())
    def client_connects(self, raises, tells, denies):
        extensions = {"websocket.http.response": {}} if denies else {}

        async def connect():
            self.server = self.kind(raises=raises, tells=tells, extensions=extensions)
            self.serving = asyncio.create_task(self.server.run(self.app))

        self.denies = denies
        self.loop.run_until_complete(connect())
        self.settle()
        assert self.ws is not None

    @rule(in_handler=st.booleans())
    def app_accepts(self, in_handler):
        outcome = self.call("accept", lambda: self.ws.accept(), in_handler=in_handler)
        if self.facts is not None:
            self.expect_closed(outcome)
        elif self.is_answered:
            assert isinstance(outcome, LifecycleError)
        elif self.has_left and self.server.raises:
            self.end(1006, "", "network")
            self.expect_closed(outcome)
        else:
            assert outcome is DONE
            self.is_accepted = True
            if self.early is not None:
                self.end(*self.early)
        self.is_answered = True

    @precondition(lambda self: not self.has_left or self.server.raises)
    @rule(status=st.sampled_from([401, 404, 503]), in_handler=st.booleans())
    def app_denies(self, status, in_handler):
        was_answered = self.is_answered
        outcome = self.call("deny", lambda: self.ws.deny(status), in_handler=in_handler)
        if self.facts is None and was_answered:
            assert isinstance(outcome, LifecycleError)
            return
        self.denied(status)
        self.expect_closed(outcome)

    def denied(self, status):
        if self.has_left and self.denies:
            self.end(1006, "", "network")
        elif self.facts is None:
            self.end(1008, f"the handshake was denied with status {status}", "server")
            assert self.has_left or self.server.status == (status if self.denies else None)
        self.is_answered = True

    # Messages

    @rule(is_text=st.booleans(), in_handler=st.booleans())
    def app_sends(self, is_text, in_handler):
        self.sent += 1
        number = str(self.sent)

        def send():
            ws = self.ws
            return ws.send_text(number) if is_text else ws.send_bytes(number.encode())

        outcome = self.call("send", send, in_handler=in_handler)
        if not self.is_open:
            self.expect_refused(outcome)
        elif self.has_left and self.server.raises:
            self.end(1006, "", "network")
            self.expect_closed(outcome)
        elif not self.is_frozen or self.has_left:
            assert outcome is DONE

    @rule(in_handler=st.booleans())
    def app_receives(self, in_handler):
        outcome = self.call("receive", self.receive, in_handler=in_handler)
        if self.unread:
            self.unread.popleft()
            self.expected += 1
        elif not self.is_open:
            self.expect_refused(outcome)
        else:
            assert outcome is GOING_ON

    async def receive(self):
        self.taken.append(await self.ws.receive())

    @precondition(lambda self: self.unread or not self.is_open)
    @rule(kind=st.sampled_from(["text", "bytes", "json"]), in_handler=st.booleans())
    def app_receives_of_a_kind(self, kind, in_handler):
        def receive():
            return getattr(self.ws, f"receive_{kind}")()

        outcome = self.call("receive", receive, in_handler=in_handler)
        if not self.unread:
            self.expect_refused(outcome)
            return
        message = self.unread.popleft()
        self.expected += 1
        self.taken.append(message)
        if kind == "json" and message in ("{", b"{"):
            self.end(1007, "the message is not JSON", "server")
            self.expect_closed(outcome)
        elif kind == "json":
            assert outcome == int(message)
        elif isinstance(message, str if kind == "text" else bytes):
            assert outcome == message
        else:
            expected, came = ("text", "binary") if kind == "text" else ("binary", "text")
            self.end(1003, f"a {expected} message was expected, a {came} one came", "server")
            self.expect_closed(outcome)

    @precondition(lambda self: self.is_open and not self.has_left)
    @rule(is_text=st.booleans(), is_json=st.booleans())
    def client_sends(self, is_text, is_json):
        text = str(len(self.came) + 1) if is_json else "{"
        message = text if is_text else text.encode()
        self.came.append(message)
        if self.going_on("receive"):
            self.expected += 1
        else:
            self.unread.append(message)
        send = self.server.send_text if is_text else self.server.send_bytes
        send(message)
        self.settle()

    @precondition(lambda self: self.is_accepted)
    @rule(room=st.integers(0, 2))
    def client_freezes(self, room):
        self.server.freeze(room)
        self.is_frozen = True

    @rule()
    def client_thaws(self):
        self.server.thaw()
        self.is_frozen = False
        self.settle()

    # The end

    @rule(code=CODES, reason=REASONS, in_handler=st.booleans())
    def app_closes(self, code, reason, in_handler):
        outcome = self.call("close", lambda: self.ws.close(code, reason), in_handler=in_handler)
        self.end(code, reason, "server")
        self.is_answered = True
        assert outcome is DONE or self.is_frozen

    @rule()
    def app_waits_for_the_end(self):
        outcome = self.call("wait", lambda: self.ws.wait_closed())
        if self.is_open:
            assert outcome is GOING_ON
        else:
            self.expect_refused(outcome)

    @precondition(lambda self: any(each.task for each in self.calls))
    @rule(data=st.data())
    def app_cancels(self, data):
        waiting = [each for each in self.calls if each.task and each.outcome is GOING_ON]
        if waiting:
            call = data.draw(st.sampled_from(waiting))
            call.task.cancel()
            self.settle()
            assert call.outcome is CANCELLED

    @precondition(lambda self: self.is_handler_free)
    @rule()
    def app_returns(self):
        self.handler_ends(None)
        self.end(1000, "", "server")

    @precondition(lambda self: self.is_handler_free and (not self.has_left or self.server.raises))
    @rule(status=st.sampled_from([404, 413, 503, 500]))
    def app_raises_an_http_error(self, status):
        self.handler_ends(HTTPError(status, "why"))
        self.refused_or_closed(status, code_for_status(status), "why")

    @precondition(lambda self: self.is_handler_free and (not self.has_left or self.server.raises))
    @rule()
    def app_crashes(self):
        self.crash = ValueError("deliberate")
        self.handler_ends(self.crash)
        self.refused_or_closed(500, 1011, "internal error")

    def handler_ends(self, error):
        async def fail():
            raise error

        self.for_handler.put_nowait(fail if error else None)
        self.has_ended = True
        self.settle()

    def refused_or_closed(self, status, code, reason):
        if self.is_answered:
            self.end(code, reason, "server")
        else:
            self.denied(status)

    @rule(code=CODES, reason=st.sampled_from(["", "bye"]))
    def client_leaves(self, code, reason):
        self.leaves(lambda: self.server.leave(code, reason), (code, reason, "client"))

    @rule()
    def connection_breaks(self):
        self.leaves(self.server.lose, (1006, "", "network"))

    def leaves(self, leave, facts):
        is_told = self.server.close is None or not self.server.tells
        leave()
        self.has_left = True
        if is_told:
            self.told(*facts)
        self.settle()

    @rule()
    def client_vanishes(self):
        waiting = self.going_on("send")
        self.server.vanish()
        self.has_left = True
        self.settle()
        if waiting and self.server.raises:
            self.end(1006, "", "network")

    @precondition(lambda self: self.is_open and not self.has_left)
    @rule()
    def server_closes_by_itself(self):
        self.server.fail(1009, "too big")
        self.end(1009, "too big", "client")
        self.settle()

    # What always holds

    @invariant()
    def it_ended_as_the_model_says_and_stays_so(self):
        if self.ws is not None:
            closed = self.ws.closed
            assert (closed and (closed.code, closed.reason, closed.by)) == self.facts
            assert self.ws.is_open == self.is_open

    @invariant()
    def nothing_waits_that_need_not(self):
        if self.facts is not None:
            assert not self.going_on("receive")
            assert not self.going_on("wait")
        if self.unread:
            assert not self.going_on("receive")
        if not self.is_frozen or self.has_left:
            assert not self.going_on("send")
            assert not self.going_on("close")

    @invariant()
    def messages_are_taken_in_order(self):
        assert self.taken == self.came[: self.expected]

    @invariant()
    def messages_are_sent_in_order_and_before_one_close(self):
        if self.ws is None:
            return
        assert self.server.faults == []
        numbers = [int(data) for data in self.server.data]
        assert numbers == sorted(set(numbers))
        closes = [each for each in self.server.messages if each["type"] == "websocket.close"]
        assert len(closes) <= 1
        if closes:
            assert self.server.close is not None
            assert (*self.server.close, "server") == self.facts

    @invariant()
    def both_know_the_same_lifecycle(self):
        if self.ws is None or self.is_frozen or self.has_left:
            return
        theirs = self.server.lifecycle
        if self.facts is None:
            state = State.OPEN if self.is_accepted else State.CONNECTING
            assert (theirs.client, theirs.app) == (state, state)
        else:
            ours = self.ws.closed.connection
            assert ours.app is theirs.app
            # What the server lets receive after a denial is waited for, but tells nothing.
            assert ours.client is theirs.client or self.server.status

    def teardown(self):
        try:
            self.finish()
        finally:
            self.loop.close()
            self.around.close()

    def finish(self):
        """Let all of it end, whatever the steps have led to."""
        if self.ws is not None:
            self.client_thaws()
            self.connection_breaks()
            if not self.has_ended:
                self.for_handler.put_nowait(None)
            self.loop.run_until_complete(asyncio.wait_for(self.serving, TIMEOUT))
            self.settle()
            assert self.server.error is self.crash
            assert [each.name for each in self.calls if each.outcome is GOING_ON] == []
            assert asyncio.all_tasks(self.loop) == set()


class UvicornConnection(Connection):
    kind = UvicornServer


TestConnection = Connection.TestCase
TestUvicornConnection = UvicornConnection.TestCase
TestConnection.settings = TestUvicornConnection.settings = settings(
    deadline=None, max_examples=100, stateful_step_count=30
)
