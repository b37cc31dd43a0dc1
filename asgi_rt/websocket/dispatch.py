"""Typed messages: which handler gets a JSON message is told by its `type`."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from asgi_rt.errors import HTTPError, RouteError, WebSocketClosed
from asgi_rt.handlers import check_arguments, handler_name, in_thread, is_async, yields
from asgi_rt.websocket.envelope import (
    MessageId,
    Refusal,
    error_frame,
    http_error_frame,
    quote,
    read_id,
    read_object,
    reply_frame,
)
from asgi_rt.websocket.validation import Check, make_check

__all__ = ["Dispatcher", "MessageHandler", "MessageSocket"]

MessageHandler: TypeAlias = Callable[[Any, Any], Any]
"""`async def` or `def`; takes the socket and the message, returns the reply or None."""
HandlerT = TypeVar("HandlerT", bound=MessageHandler)

_RESERVED: Final = frozenset({"id", "code", "detail", "errors"})


class MessageSocket(Protocol):
    """What a dispatcher needs of a WebSocket."""

    @property
    def closed(self) -> WebSocketClosed | None: ...

    def receive(self) -> Awaitable[str | bytes]: ...

    def send_json(self, value: Any, /) -> Awaitable[None]: ...

    def close(self, code: int = ..., reason: str = ...) -> Awaitable[None]: ...


class _Entry(NamedTuple):
    """A handler, and what checks a message before it."""

    check: Check | None
    call: Callable[[Any, Any], Awaitable[Any]]


class Dispatcher:
    """Handlers of JSON messages, each for the messages of a type.

    A message is a JSON object in a text or a binary frame. Its type is the string under `key`. What
    its handler returns is sent as the reply, an object in JSON; None sends nothing. The "id" of a
    message, an integer or a string of at most 128 characters, is the client's, to tell replies
    apart: the reply has it as well, in place of an "id" of its own.

    A message that no handler can take is answered, and the socket lives on:

        {"type": "error", "code": ..., "detail": "a sentence", "errors": [...], "id": ...}

    `code` is "malformed" (not a JSON object, no type, nested deeper than 128 levels),
    "unknown_type", "invalid" (`errors` then tells `loc`, `msg` and `type` of each), or the status
    of an HTTPError that a handler raised, an answer it meant; the error's `extensions` go along,
    its headers do not. After `max_errors` messages in a row that no handler could take (None: no
    limit) the socket is closed with 1008.

    Register everything before serving; one dispatcher serves any number of sockets at once. Raises
    ValueError for a `key` that is taken by the frames themselves.
    """

    def __init__(self, key: str = "type", *, max_errors: int | None = 100) -> None:
        if key in _RESERVED:
            raise ValueError(f"the key {key!r} has a meaning of its own in replies and errors")
        if max_errors is not None and max_errors < 1:
            raise ValueError(f"`max_errors` is at least 1, or None for no limit: not {max_errors}")
        self.key = key
        self.max_errors = max_errors
        self._entries: dict[str, _Entry] = {}
        self._fallback: _Entry | None = None
        self._is_included = False

    def on(self, name: str, model: Any = None) -> Callable[[HandlerT], HandlerT]:
        """Register the function below as the handler of the messages whose type is `name`.

        Stack it for several types. An async handler runs in the socket's task; a sync one in a
        worker thread, where it reaches the socket through `anyio.from_thread.run`.

        `model` is what the message must be, and the handler gets what it makes of the message.
        Without one that is the dict. It is one of

        - a dataclass with simple fields: `asgi_rt.websocket.dataclass_check` says which. A key that
          is no field is an error; the type and "id" are fields only where the dataclass has them;
        - a pydantic model or TypeAdapter. A model that forbids extra keys does not see the type and
          "id" unless it has them as fields; an adapter sees the whole message;
        - a function of the message, which raises ValueError or TypeError for one that is not valid.
          The client sees the error's text, so it must hold no internals. Other errors are crashes.

        Raises RouteError for a type that has a handler, and for a handler or a model that will not
        do.
        """
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise RouteError(f'the type of a message is a string, as in .on("join"): not {name!r}')
        where = f"the message {quote(name)}"

        def register(handler: HandlerT) -> HandlerT:
            self._check_open(where)
            if name in self._entries:
                raise RouteError(f"{where} has a handler already")
            check = None if model is None else make_check(model, name, self.key)
            self._entries[name] = _Entry(check, _make_call(handler, where))
            return handler

        return register

    def fallback(self, handler: HandlerT) -> HandlerT:
        """Register the handler of the messages whose type has none. It gets the dict."""
        self._check_open("the fallback")
        if self._fallback is not None:
            raise RouteError("the fallback is there already")
        self._fallback = _Entry(None, _make_call(handler, "the fallback"))
        return handler

    def include(self, other: "Dispatcher") -> None:
        """Take over every handler of another dispatcher, its fallback too. It gets no more.

        The other may go on serving sockets of its own. Raises RouteError, and takes nothing, where
        both have a handler of a type, or another key.
        """
        if other is self:
            raise RouteError("a dispatcher cannot include itself")
        if other.key != self.key:
            raise RouteError(f"the keys differ: {self.key!r} here, {other.key!r} there")
        self._check_open("including another dispatcher")
        both = self._entries.keys() & other._entries.keys()
        if both:
            names = ", ".join(quote(name) for name in sorted(both))
            raise RouteError(f"both dispatchers have a handler of {names}")
        if self._fallback is not None and other._fallback is not None:
            raise RouteError("both dispatchers have a fallback")
        other._is_included = True
        self._entries.update(other._entries)
        self._fallback = self._fallback or other._fallback

    def _check_open(self, what: str) -> None:
        if self._is_included:
            raise RouteError(
                f"{what} comes too late: this dispatcher was included in another, which would"
                " not see it; include it when it is complete"
            )

    async def serve(self, ws: MessageSocket) -> None:
        """Answer the messages of an accepted socket until the connection is over, then return.

        They are handled one after the other, in order: the next is not received before the handler
        of one has returned. What may take long is for a session, which the handler finds in
        `ws.state`; bound how much of it may run at once, for a client can ask for any amount:

            async with ws.session() as session:
                ws.state["session"] = session       # a handler: ws.state["session"].start(...)
                await chat.serve(ws)

        What a handler raises is raised, HTTPError aside, and the WebSocketClosed of this socket,
        which is the end. Cancelled, it loses no message but the one that is being handled.
        """
        errors = 0
        while True:
            try:
                is_handled = await self._serve_one(ws)
            except WebSocketClosed:
                if ws.closed is None:
                    raise  # of another socket that a handler sends to: this one is not over
                return
            errors = 0 if is_handled else errors + 1
            if errors == self.max_errors:
                await ws.close(1008, f"{errors} messages in a row that could not be handled")
                return

    async def _serve_one(self, ws: MessageSocket) -> bool:
        """Answer one message. Whether a handler got it."""
        message_id: MessageId | None = None
        data = await ws.receive()
        try:
            message = read_object(data)
            message_id = read_id(message)
            reply = await self._handle(ws, message)
        except Refusal as refusal:
            frame = error_frame(refusal, self.key, message_id)
            is_handled = False
        except HTTPError as error:
            frame = http_error_frame(error, self.key, message_id)
            is_handled = True
        else:
            if reply is None:
                return True
            frame = reply_frame(reply, message_id)
            is_handled = True
        await ws.send_json(frame)
        return is_handled

    async def _handle(self, ws: MessageSocket, message: dict[str, Any]) -> Any:
        name = message.get(self.key)
        if not isinstance(name, str):
            raise Refusal("malformed", f'the message has no "{self.key}" that is a string')
        entry = self._entries.get(name, self._fallback)
        if entry is None:
            raise Refusal("unknown_type", f"there is no handler of the message {quote(name)}")
        return await entry.call(ws, message if entry.check is None else entry.check(message))


def _make_call(handler: Any, where: str) -> Callable[[Any, Any], Awaitable[Any]]:
    """`handler` as one async function, whether it is one or not. Raises RouteError."""
    check_arguments(handler, where, "the socket and the message", count=2)
    if yields(handler):
        raise RouteError(
            f"{where}: the handler {handler_name(handler)} yields; it returns one reply, and sends"
            " others with `await ws.send_json(...)`"
        )
    return handler if is_async(handler) else in_thread(handler)
