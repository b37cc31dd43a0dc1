"""One exchange of a dispatch function with its app: how its response is sent, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from asgi_rt.asgi import ASGIApp, Message, Send
from asgi_rt.errors import ClientDisconnected, DispatchError
from asgi_rt.middleware.app_body import WithAppBody
from asgi_rt.middleware.discarding import is_harmless, worst
from asgi_rt.middleware.handoff import Handoff, State
from asgi_rt.middleware.misuse import CUT, INCOMPLETE, NOTHING

__all__ = ["Exchange"]

R = TypeVar("R", bound=WithAppBody)
_HEAD, _BODY, _BUSY, _, _TRAILERS, _OVER, _ = State
_NO_TRAILERS: Final[Message] = {
    "type": "http.response.trailers",
    "headers": [],
    "more_trailers": False,
}


class Exchange(Handoff[R]):
    """An exchange, but for what the classes of its responses are. A subclass says that."""

    # What a subclass says

    def answer_for(self, result: Any) -> ASGIApp:
        """The response that dispatch has returned, where it is not the app's.

        Raises DispatchError for what is none.
        """
        raise NotImplementedError

    def in_step(self, response: Any) -> Callable[[Send], Awaitable[None]] | None:
        """How a response is sent that may be a stream of the app's body; None for as usual.

        As usual a stream is sent by a task of its own; but this one runs the app that it waits for.
        """
        raise NotImplementedError

    async def finish(self, *, completed: bool, raises: bool) -> None:
        """Call the response's background, as the app has ended.

        `completed` is whether all of the response went to a client that was there, and `raises`
        whether an error is raised afterwards.
        """
        raise NotImplementedError

    # How a response is sent

    async def respond(self, result: Any) -> None:
        """Send what dispatch has returned."""
        response = self.response
        self.looks_for_client = self._is_responding
        if response is not None and result is response:
            self.is_end_asked_for = _has_background(response)
            await response(self.scope, self.request.replay, self.send_ours)
            return
        other = self.answer_for(result)
        feeds = response is not None and response.feeds_another
        send_in_step = self.in_step(other) if feeds else None
        if send_in_step is None:
            await self.send_other(other)
        else:
            self.is_end_asked_for = self.raises_at_end = _has_background(other)
            await send_in_step(self.send_ours)
        if response is not None and not response.is_sent:
            response.background = None

    async def send_other(self, other: ASGIApp) -> None:
        """Send a response that is not the app's, as it is sent anywhere."""
        await other(self.scope, self.request.inbox, self.send_ours)

    # How it ends

    async def settle(self) -> None:
        """End it, as the app has, and raise what is to be raised."""
        if self._state is _BUSY:
            await self._until_free()
        if self._error is not None:
            if (other := worst(self._failure)) is not None:
                raise other  # a cancellation goes first
            await self._finish_if_sent(raises=True)
            raise self._error
        if self._state is _HEAD or self._state is _BODY:
            await self._fail_below()
        elif self._failure is None or is_harmless(self._failure):
            if self._state is _TRAILERS:
                await self._end_trailers()
            if self._is_cut and not self.has_begun:
                await self._tell_of_lost()
            else:
                await self._finish(completed=self.is_complete, raises=False)
        else:
            if isinstance(self._failure, Exception):
                await self._finish(completed=False, raises=True)
            if not self._is_taken_back():
                raise self._failure

    async def _end_trailers(self) -> None:
        """End the trailers of an app that was given up before it could send them."""
        if self.request.is_given_up:
            with suppress(OSError):  # how a server says that the client has left
                await self._server_send(_NO_TRAILERS)

    async def _tell_of_lost(self) -> None:
        """The app has cancelled the dispatch side, and so its own response, and ended well."""
        is_missed = not await self.request.has_left()
        await self._finish(completed=False, raises=is_missed)
        if is_missed:
            raise DispatchError(CUT)

    def _is_taken_back(self) -> bool:
        """Whether it is a cancellation by a timeout of dispatch's own, which has dealt with it."""
        is_cancelled = isinstance(self._failure, asyncio.CancelledError)
        was_answered = self._state is _OVER and self._is_responding and not self._is_cut
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
        except Exception as raised:
            # A response that breaks off is for the server to tell of, as without this layer.
            is_told = self._is_responding or isinstance(raised, ClientDisconnected)
            is_quiet = raised is self._failure and is_told and not is_failure
            await self._finish_if_sent(raises=not is_quiet)
            if not is_quiet:
                raise
            return
        raises = is_head_there and is_failure
        await self._finish(completed=self.is_complete and not is_failure, raises=raises)
        if raises:
            assert self._failure is not None
            raise self._failure

    async def _why_nothing_came(self) -> Exception:
        if await self.request.has_left():
            return ClientDisconnected("the app has ended before its response was complete")
        return DispatchError(NOTHING if self._state is _HEAD else INCOMPLETE)

    async def _finish(self, *, completed: bool, raises: bool) -> None:
        if self.response is not None and self.response.background is not None:
            await self.finish(completed=completed, raises=raises)

    async def _finish_if_sent(self, *, raises: bool) -> None:
        """Finish a response that was not sent to its end, unless it was not to be sent at all."""
        if self.response is not None and self.response.is_sent:
            await self._finish(completed=False, raises=raises)


def _has_background(response: Any) -> bool:
    return getattr(response, "background", None) is not None
