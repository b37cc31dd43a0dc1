"""A limit on how many requests are served at once, for any app."""

from collections.abc import Callable
from contextvars import copy_context

import anyio

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.inbox import Inbox
from asgi_rt.http.response import problem_response
from asgi_rt.http.servers import waits_for_futures
from asgi_rt.middleware.answer import answer_instead
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.limit_options import check_count, check_function, check_seconds
from asgi_rt.middleware.places import Places, PlacesCounters, Waiter
from asgi_rt.middleware.progress import ends_response, is_event_stream, readable

__all__ = ["ConcurrencyLimitMiddleware"]


class ConcurrencyLimitMiddleware:
    """Serves at most `max_concurrent` requests at once, and refuses with a 503 what is too much.

    Up to `max_queued` wait for their turn, first come first served, at most `queue_timeout` seconds
    (None is no limit). By default none does. `retry_after` is what a refusal tells, in seconds.

    A request counts until its response is complete; work that goes on afterwards does not.
    `event_streams=False` counts an event stream only until its head. WebSockets count from their
    handshake to their end with `websockets=True`, and not at all without. `exempt` says what is
    always served, such as a health check.

    A place is given back on every way out. One in the queue whose request is cancelled is gone from
    it at once; so is one whose client leaves, under uvicorn and with a request that came as a whole
    (up to 64 KiB). Elsewhere that is only seen by the app, when it is its turn.

    `counters` is there to be read, under `counters=` of your own too. Layers that share one count
    in it together, and are limited each on its own. An instance may be used on one event loop at a
    time.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_concurrent: int,
        max_queued: int = 0,
        queue_timeout: float | None = 5.0,
        retry_after: int = 1,
        event_streams: bool = True,
        websockets: bool = False,
        exempt: Callable[[Connection], bool] | None = None,
        counters: PlacesCounters | None = None,
    ) -> None:
        self.app = app
        """The next layer, or the app itself."""
        self.counters = PlacesCounters() if counters is None else counters
        """How many are served, wait and were refused."""
        self._places = Places(
            check_count("max_concurrent", max_concurrent),
            check_count("max_queued", max_queued, least=0),
            self.counters,
        )
        self._queue_timeout = check_seconds("queue_timeout", queue_timeout)
        self._retry_after = str(check_count("retry_after", retry_after))
        self._counted = frozenset({"http", "websocket"} if websockets else {"http"})
        self._event_streams = event_streams
        self._exempt = exempt
        if exempt is not None:
            check_function("exempt", exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, now or later, or refuse it; what is none goes to the app."""
        if scope["type"] not in self._counted or self._is_exempt(scope):
            await self.app(scope, receive, send)
        elif self._places.take():
            await self._serve(scope, receive, send)
        else:
            await self._serve_later(scope, receive, send)

    def _is_exempt(self, scope: Scope) -> bool:
        return self._exempt is not None and self._exempt(Connection(scope))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one that has a place."""
        place = _Place(self._places, send, event_streams=self._event_streams)
        try:
            await self.app(scope, receive, place.send if scope["type"] == "http" else send)
        finally:
            place.give_back()

    async def _serve_later(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiter = self._places.stand_in_line()
        if waiter is not None:
            if _can_be_watched(scope, receive):
                receive = Inbox.of(receive)
            await self._wait(waiter, receive)
            if waiter.has_place:
                await self._serve(scope, receive, send)
                return
            if waiter.has_left:
                return  # nobody is there to answer
        self.counters.refused += 1
        error = HTTPError(
            503, "too many requests at once", headers={"retry-after": self._retry_after}
        )
        await answer_instead(problem_response(error), scope, receive, send)

    async def _wait(self, waiter: Waiter, receive: Receive) -> None:
        """Wait for a place, or until it is no use."""
        inbox = receive if isinstance(receive, Inbox) else None
        if inbox is not None and not inbox.watch(waiter, copy_context()):
            inbox = None
        try:
            with anyio.move_on_after(self._queue_timeout):
                await waiter.woken.wait()
        except BaseException:
            self._places.step_out(waiter)
            raise
        finally:
            if inbox is not None:
                inbox.unwatch()
        if waiter.has_left or not waiter.has_place:
            self._places.step_out(waiter)
            self.counters.left += waiter.has_left


class _Place:
    """The place of one request, given back once, at the end of its response."""

    __slots__ = ("_event_streams", "_is_held", "_places", "_send")

    def __init__(self, places: Places, send: Send, *, event_streams: bool) -> None:
        self._places = places
        self._send = send
        self._event_streams = event_streams
        self._is_held = True

    def give_back(self) -> None:
        if self._is_held:
            self._is_held = False
            self._places.give_back()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            is_last = False
            if not self._event_streams:
                message = readable(message)
                is_last = is_event_stream(message)
        else:
            is_last = ends_response(message)
        await self._send(message)
        if is_last:
            self.give_back()


def _can_be_watched(scope: Scope, receive: Receive) -> bool:
    """Whether a request that waits can be watched without a task, and may be.

    To receive tells a client that asks before it sends its body to go on, and it may be refused.
    """
    if scope["type"] != "http" or not waits_for_futures(receive):
        return False
    return all(name != b"expect" for name, _ in scope["headers"])
