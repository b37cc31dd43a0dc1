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

from collections.abc import Awaitable, Callable, Coroutine, Generator
from enum import Enum
from types import CoroutineType, coroutine
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.lowlevel

from asgi_rt.asgi import ASGIApp, Message, Scope, Send
from asgi_rt.errors import DispatchError
from asgi_rt.middleware.app_body import WithAppBody
from asgi_rt.middleware.discarding import Discarded, Gone, raises_for_the_gone
from asgi_rt.middleware.misuse import ELSEWHERE, IN_A_SCOPE, TWICE
from asgi_rt.middleware.outgoing import BODIES, Outgoing
from asgi_rt.middleware.replayed_body import ReplayedBody
from asgi_rt.middleware.steps import ASKED, Ended, awaiting, carry_on
from asgi_rt.middleware.tasks import (
    cancel_scope_of,
    current_task,
    in_context_like,
    in_context_of,
    runs_in,
)

__all__ = ["Handoff", "Side", "State"]

R = TypeVar("R", bound=WithAppBody)
Side = Coroutine[Any, Any, Any]
_TRAILERS_TYPE: Final = "http.response.trailers"


class State(Enum):
    """What becomes of a message that the app sends."""

    HEAD = "the dispatch side waits for the head"
    BODY = "the dispatch side waits for a piece of the body"
    BUSY = "it waits: the dispatch side still has what another task of the app has sent"
    NOTED = "it goes to the server, and it is noted whether the response comes to its end"
    TRAILERS = "it is dropped, for the response was sent already, up to its trailers"
    OVER = "it is dropped, for the response was sent already, or nobody is left to send it"
    FAILED = "the dispatch side has failed, and the app is to end"


# Looking a member up in its class takes 0.05 us.
_HEAD, _BODY, _BUSY, _NOTED, _TRAILERS, _OVER, _FAILED = State


class Handoff(Outgoing, Generic[R]):
    """One HTTP exchange of a dispatch function with its app, while both run.

    Made for one run. What the app sends may come from any of its tasks, one message at a time.
    """

    # Set on the class, so that an exchange that goes straight through does not pay for them.
    response: R | None = None
    """What `call_next` has given."""
    _state = _HEAD
    # The server, once what the app sends goes straight there, whatever the state says: to set that
    # as well would take time. Each is looked up for each message.
    _passes_to: Send | None = None
    _failure: BaseException | None = None  # what the app has raised, or why nothing came of it
    _error: Exception | None = None  # what the dispatch side has raised
    _is_cut = False  # whether the dispatch side was cancelled on its way
    _is_responding = False  # whether it has returned, and not the app's response as it is
    _task: Any = None
    _freed: anyio.Event | None = None
    _scope_below: Any = None  # what the app is called with, once it was asked for
    _message: Message | None = None
    _side: Any = None
    _cancel_scope: object = None

    # What a subclass says

    response_class: type[R]
    """What `call_next` gives an instance of."""

    def respond(self, result: Any) -> Side:
        """Send what the dispatch function has returned, with `send_ours`."""
        raise NotImplementedError

    async def settle(self) -> None:
        """The app has ended, and there is more to do than nothing."""
        raise NotImplementedError

    # For the dispatch function

    @coroutine
    def call_next(self, request: Any) -> Generator[Any, Any, R]:
        """Run the app, up to its head. To be awaited once, by the dispatch function itself."""
        if self._scope_below is not None:
            raise DispatchError(TWICE)
        if not self._side.cr_running:
            raise DispatchError(ELSEWHERE.format("call_next"))
        if cancel_scope_of(self._task) is not self._cancel_scope:
            raise DispatchError(IN_A_SCOPE)
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

    async def run(
        self,
        app: ASGIApp,
        dispatch: Callable[..., Any],
        request: ReplayedBody,
        scope: Scope,
        send: Send,
    ) -> None:
        """Serve the exchange."""
        self.request = request
        self.scope = scope
        self._server_send = send
        self._task = task = current_task()
        self._cancel_scope = cancel_scope_of(task)
        side: Any = dispatch(request, self.call_next)
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
            await app(self._scope_below, request.replay, self.send)
        except BaseException as error:
            self._failure = error
        try:
            if self._passes_to is None or self._failure is not None:
                await self.settle()
            elif self.response is not None and self.response.background is not None:
                await self.settle()  # it was set when dispatch had returned
        finally:
            # Or there would be cycles: errors know the frames that they went through.
            self._failure = self._error = self.response = None

    def send(self, message: Message) -> Awaitable[None]:
        """The app's `send`. Once all goes straight to the server it is no coroutine of its own."""
        passes_to = self._passes_to
        return self._take(message) if passes_to is None else passes_to(message)

    async def _take(self, message: Message) -> None:
        """Have the dispatch side go on with a message of the app's, or do what the state says."""
        if self._state is not _HEAD or message["type"] != "http.response.start":
            await self._deliver(message)
            return
        # The commonest way, all in one coroutine: each further one takes 0.1 us of 6.
        response = self.response = self.response_class(message, self)
        self._state = _BUSY  # after it: what is no head has raised, and nothing is to wait
        if not runs_in(self._task):
            self._side = in_context_of(self._task, self._side)
        try:
            step = self._side.send(None)
        except StopIteration as stop:
            if stop.value is response and not response.is_opened and response.background is None:
                self.request.keeps = False
                self._passes_to = self._server_send
                await self._server_send(response.head())
                return
            step = Ended(stop.value)
        except BaseException as error:
            self._stop(error)
            raise Discarded from None
        await self._hand_over(step)

    async def _deliver(self, message: Message) -> None:
        """Do what the state says with a message of the app's."""
        if self._state is _BUSY:
            await self._until_free()
        kind, state = message["type"], self._state
        if state is _BODY and kind in BODIES:
            self._message = message
            self._state = _BUSY
            if not runs_in(self._task):
                self._side = in_context_of(self._task, self._side)
            try:
                step = self._begin(None)
            except BaseException as error:
                self._stop(error)
                raise Discarded from None
            await self._hand_over(step)
        elif self._passes_to is not None:
            await self._server_send(message)
        elif state is _NOTED:
            await self.send_noted(message)
        elif state is _FAILED:
            raise Discarded
        elif state is _TRAILERS and kind == _TRAILERS_TYPE:
            await self._send_trailers(message)
        elif state is _OVER or state is _TRAILERS:
            await self._drop()
        else:  # early hints and the like go ahead of what is waited for
            await self._server_send(message)

    def _head_to_pass(self, result: Any) -> Message | None:
        """The head to send, where the body may follow as the app sends it; None where not."""
        response = self.response
        if response is None or result is not response:
            return None
        if response.is_opened and not response.is_untouched:
            return None
        if response.background is None:
            self._passes_to = self._server_send
        else:
            self._state = _NOTED
            self.is_end_asked_for = True
        self.request.keeps = False
        return response.head()

    async def _hand_over(self, step: Any) -> None:
        """Let the dispatch side go on with what the app has sent, from its first `step` on."""
        try:
            await self._go_on(step)
        except BaseException as error:
            self._stop(error)
            raise Discarded from None

    def _stop(self, error: BaseException) -> None:
        """The dispatch side has failed. What is no failure of its own is raised in the app."""
        if self._passes_to is not None or self._state is _NOTED:
            raise error  # it has returned: this is the server's, and the app's to know
        self.request.give_up()
        if error is self._lost or not isinstance(error, Exception):
            self._state = _OVER
            self._is_cut = not isinstance(error, OSError | Discarded)
            raise error
        self._state = _FAILED
        self._error = error

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
                    self._close()
                    return
                head = self._head_to_pass(step.result)
                if head is not None:
                    await self._server_send(head)
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
        """Return when the dispatch side waits for the app, or is done."""
        while self._state is _BUSY and self._passes_to is None:
            if self._freed is None:
                self._freed = anyio.Event()
            await self._freed.wait()

    # When the dispatch side is done

    def _close(self) -> None:
        """Its response was sent. Of the app's, trailers may follow."""
        response = self.response
        if response is None or not response.announces_trailers:
            self._state = _OVER
            self.request.give_up()
            return
        self._state = _TRAILERS
        if not response.is_body_over:
            self.request.give_up()

    async def _send_trailers(self, message: Message) -> None:
        await self._server_send(message)
        if not message.get("more_trailers", False):
            self._state = _OVER
            self.request.give_up()

    async def _drop(self) -> None:
        """Take what the app sends when nobody wants it any more, as a server would."""
        if raises_for_the_gone(self.scope):
            raise Gone("the response was replaced or given up by a middleware")
        await anyio.lowlevel.checkpoint()
