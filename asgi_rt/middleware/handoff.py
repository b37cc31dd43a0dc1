"""Two coroutines in one task: a dispatch function, and the app that it calls.

`call_next` pulls and ASGI pushes, so one of the two must be held while the other runs. Here it is
the dispatch function. It runs until it asks for what the app sends; then the app runs, as if nobody
had called it from a dispatch function, and each message that it sends lets the dispatch function go
on, from inside of that `send`:

```
   the request's task

   dispatch ----- call_next ---+                  +-- the rest of dispatch ---+
                               | asks             | the head                  | returns
                               v                  |                           v
   app                         +------ send(head) +            the head goes out, changed or not
                                                               send(chunk) goes straight through
```

What the dispatch function awaits in between is passed on to the event loop by whoever runs it. So
there is no task and no queue, the app's flow control is the server's own, and both see each other's
context variables.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from enum import Enum
from types import CoroutineType, coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel

from asgi_rt.asgi import ASGIApp, Message, Scope, Send
from asgi_rt.errors import ClientDisconnected, DispatchError
from asgi_rt.middleware.discarding import Discarded, Gone, is_harmless, raises_for_the_gone, worst
from asgi_rt.middleware.misuse import ELSEWHERE, IN_A_SCOPE, INCOMPLETE, NOTHING, TWICE
from asgi_rt.middleware.steps import ASKED, Ended, awaiting, carry_on
from asgi_rt.middleware.tasks import (
    cancel_scope_of,
    current_task,
    in_context_like,
    in_context_of,
)

__all__ = ["DispatchedRequest", "Handoff", "Side"]

R = TypeVar("R", bound="Backgrounded")
Side = Coroutine[Any, Any, Any]
_clock = time.monotonic
_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether the client of a stream that dispatch has made is there."""
_BODIES: Final = frozenset({"http.response.body", "http.response.pathsend"})


class _State(Enum):
    """What becomes of a message that the app sends."""

    HEAD = "the dispatch side waits for the head"
    BODY = "the dispatch side waits for a piece of the body"
    BUSY = "it waits: the dispatch side still has what another task of the app has sent"
    OVER = "it is dropped, for the response was sent already"
    FAILED = "the dispatch side has failed, and the app is to end"


# Looking a member up in its class takes 0.05 us.
_HEAD, _BODY, _BUSY, _OVER, _FAILED = _State


class DispatchedRequest(Protocol):
    """The request that a dispatch function gets, and what it leaves for the app to read."""

    async def replay(self) -> Message:
        """The app's `receive`: what the dispatch function has read, then what comes."""
        ...

    def give_up(self) -> None:
        """From now on the app is to think that the client has left."""
        ...

    keeps: bool
    """Whether what the app reads is kept for the dispatch function."""

    async def is_disconnected(self) -> bool:
        """Whether the client has left, as far as that can be seen now."""
        ...

    async def has_left(self) -> bool:
        """Whether the client has left, whatever of the body is still there; when the app ended."""
        ...


class Backgrounded(Protocol):
    """A response, as far as it matters here."""

    background: Any
    """What is to be called when all is over; None for nothing."""


class Handoff(Generic[R]):
    """One HTTP exchange of a dispatch function with its app. A subclass says what a response is.

    Made for one run. What the app sends may come from any of its tasks, one message at a time.
    """

    # Set on the class, so that an exchange that goes straight through does not pay for them.
    _state = _HEAD
    _is_responding = False
    _is_passing = False  # whether what the app sends goes straight to the server
    _freed: anyio.Event | None = None
    _is_called = False
    _scope_below: Any = None
    _message: Message | None = None
    _error: Exception | None = None  # what the dispatch side has raised
    _failure: BaseException | None = None  # what the app has raised, or why nothing came of it
    _lost: OSError | None = None
    _looked_at: float | None = None
    _side: Any = None
    _task: Any = None
    _cancel_scope: object = None
    response: R | None = None
    """What `call_next` has given."""

    def __init__(self, app: ASGIApp, request: DispatchedRequest, scope: Scope, send: Send) -> None:
        self._app = app
        self.request = request
        self.scope = scope
        self._server_send = send

    # What a subclass says

    def respond_with(self, message: Message) -> R:
        """What `call_next` gives for the app's head."""
        raise NotImplementedError

    def untouched_head(self, result: Any) -> Message | None:
        """The head to send, where the body may follow as the app sends it; None where not."""
        raise NotImplementedError

    def respond(self, result: Any) -> Side:
        """Send what the dispatch function has returned, with `send_ours`."""
        raise NotImplementedError

    async def finish(self, *, completed: bool) -> None:
        """Run what is to be run in the background, as the app has ended."""
        raise NotImplementedError

    # For the dispatch function

    @coroutine
    def call_next(self, request: Any) -> Generator[Any, Any, R]:
        """Run the app, up to its head. To be awaited once, by the dispatch function itself."""
        if self._is_called:
            raise DispatchError(TWICE)
        if not self._side.cr_running:
            raise DispatchError(ELSEWHERE.format("call_next"))
        if cancel_scope_of(self._task) is not self._cancel_scope:
            raise DispatchError(IN_A_SCOPE)
        self._is_called = True
        self._scope_below = request.scope
        yield ASKED
        assert self.response is not None
        return self.response

    @coroutine
    def next_message(self) -> Generator[Any, Any, Message]:
        """What the app sends after the last that was asked for: a piece of its body."""
        if not self._side.cr_running:
            raise DispatchError(ELSEWHERE.format("body_iterator"))
        self._state = _BODY
        yield ASKED
        assert self._message is not None
        return self._message

    # Running both

    async def run(self, dispatch: Callable[..., Any]) -> None:
        """Serve the exchange."""
        self._task = task = current_task()
        self._cancel_scope = cancel_scope_of(task)
        side: Any = dispatch(self.request, self.call_next)
        if side.__class__ is not CoroutineType:
            side = awaiting(side)
        self._side = side
        try:
            step = side.send(None)
        except StopIteration as stop:
            step = Ended(stop.value)
        if step is not ASKED:
            if type(step) is not Ended:
                step = await carry_on(side, step)
            if step is not ASKED:
                await self.respond(step.result)
                return
        try:
            await self._app(self._scope_below, self.request.replay, self.send)
        except BaseException as error:
            self._failure = error
        try:
            if not self._is_passing or self._failure is not None:
                await self._settle()
            elif self.response is not None and self.response.background is not None:
                await self.finish(completed=True)
        finally:
            # Or there would be cycles: errors know the frames that they went through.
            self._failure = self._error = self.response = None

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        if self._is_passing:
            await self._server_send(message)
        elif self._state is not _HEAD or message["type"] != "http.response.start":
            await self._deliver(message)
        else:
            # The commonest way, all in one coroutine: each further one takes 0.15 us of 3.5.
            self._state = _BUSY
            self.response = self.respond_with(message)
            if current_task() is not self._task:
                self._side = in_context_of(self._task, self._side)
            try:
                step = self._side.send(None)
            except StopIteration as stop:
                head = self.untouched_head(stop.value)
                if head is not None:
                    self._is_passing = True
                    self.request.keeps = False
                    await self._server_send(head)
                    return
                step = Ended(stop.value)
            except BaseException as error:
                self._stop(error)
                raise Discarded from None
            await self._hand_over(step)

    async def _deliver(self, message: Message) -> None:
        """Do what the state says with a message of the app's."""
        while self._state is _BUSY and not self._is_passing:
            await self._until_free()
        kind = message["type"]
        if self._is_passing:
            await self._server_send(message)
        elif self._state is _FAILED:
            raise Discarded
        elif self._state is _OVER:
            await self._drop()
        elif self._state is _BODY and kind in _BODIES:
            self._message = message
            self._state = _BUSY
            if current_task() is not self._task:
                self._side = in_context_of(self._task, self._side)
            try:
                step = self._begin(None)
            except BaseException as error:
                self._stop(error)
                raise Discarded from None
            await self._hand_over(step)
        else:  # early hints and the like go ahead of what is waited for
            await self._server_send(message)

    async def send_ours(self, message: Message) -> None:
        """For `respond`: send a message of the response that the dispatch function has made."""
        try:
            await self._server_send(message)
        except OSError as error:
            self._lost = error  # the client has left: that is the app's to know, and no failure
            raise
        if self._is_responding and message.get("more_body"):
            await self._look_for_client()

    async def _look_for_client(self) -> None:
        """Raise OSError where the client has left a stream that nobody else watches."""
        now = _clock()
        if self._looked_at is None:
            self._looked_at = now
        elif now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            if await self.request.is_disconnected():
                self._lost = Gone("the client has left")
                raise self._lost

    async def _hand_over(self, step: Any) -> None:
        """Let the dispatch side go on with what the app has sent, from its first `step` on."""
        try:
            await self._go_on(step)
        except BaseException as error:
            self._stop(error)
            raise Discarded from None

    def _stop(self, error: BaseException) -> None:
        """The dispatch side has failed. What is no failure of its own is raised in the app."""
        self._state = _OVER
        if error is self._lost or not isinstance(error, Exception):
            raise error
        self._error = error
        self._state = _FAILED
        self.request.give_up()

    async def _go_on(self, step: Any) -> None:
        """Let the dispatch side go on until it asks for more, or has returned and all is sent.

        `step` is what its first step has given: see `_begin`.
        """
        try:
            while True:
                if step is not ASKED and type(step) is not Ended:
                    step = await carry_on(self._side, step)
                if step is ASKED:
                    return
                if self._is_responding:
                    self._state = _OVER
                    self.request.give_up()
                    return
                head = self.untouched_head(step.result)
                if head is not None:
                    self._is_passing = True
                    await self.send_ours(head)
                    return
                self._is_responding = True
                self._side = in_context_like(self._side, self.respond(step.result))
                step = self._begin(None)
        finally:
            if self._freed is not None:
                self._freed.set()
                self._freed = None

    def _begin(self, error: BaseException | None) -> Any:
        """Run the dispatch side up to its first wait.

        Gives what it waits for, or that it has asked, or what it has returned.
        """
        side = self._side
        try:
            return side.send(None) if error is None else side.throw(error)
        except StopIteration as stop:
            return Ended(stop.value)
        finally:
            del error  # its traceback may know this frame

    async def _until_free(self) -> None:
        if self._freed is None:
            self._freed = anyio.Event()
        await self._freed.wait()

    async def _drop(self) -> None:
        """Take what the app sends after its response was replaced, as a server would."""
        if raises_for_the_gone(self.scope):
            raise Gone("the response was replaced by a middleware")
        await anyio.lowlevel.checkpoint()

    async def _settle(self) -> None:
        """The app has ended, and not with all of its response on its way."""
        while self._state is _BUSY and not self._is_passing:
            await self._until_free()
        if self._error is not None:
            if (other := worst(self._failure)) is not None:
                raise other  # a cancellation goes first
            raise self._error
        if not self._is_passing and self._state is not _OVER:
            await self._fail_below()
            return
        is_quiet = is_harmless(self._failure)
        if is_quiet or isinstance(self._failure, Exception):
            await self._finish(completed=self._failure is None)
        if self._failure is not None and not is_quiet and not self._is_taken_back():
            raise self._failure

    def _is_taken_back(self) -> bool:
        """Whether it is a cancellation by a timeout of dispatch's own, which has dealt with it."""
        is_cancelled = isinstance(self._failure, asyncio.CancelledError)
        was_answered = self._state is _OVER and self._is_responding
        is_asyncio = isinstance(self._task, asyncio.Task)
        return is_cancelled and was_answered and is_asyncio and not self._task.cancelling()

    async def _fail_below(self) -> None:
        """Raise in the dispatch side, which still waits for the app, why nothing more comes."""
        is_head_there = self._state is _BODY
        is_failure = isinstance(self._failure, Exception)
        if self._failure is None:
            self._failure = await self._why_nothing_came()
        try:
            await self._go_on(self._begin(self._failure))
        except (ClientDisconnected, DispatchError) as raised:
            # A response that breaks off is for the server to tell of, as without this layer.
            is_told = self._is_responding or isinstance(raised, ClientDisconnected)
            if is_failure or raised is not self._failure or not is_told:
                raise
            return
        if is_head_there and is_failure:
            raise self._failure
        await self._finish(completed=not is_failure)

    async def _finish(self, *, completed: bool) -> None:
        if self.response is not None and self.response.background is not None:
            await self.finish(completed=completed)

    async def _why_nothing_came(self) -> Exception:
        if await self.request.has_left():
            return ClientDisconnected("the app has ended before its response was complete")
        return DispatchError(NOTHING if self._state is _HEAD else INCOMPLETE)
