"""One WebSocket connection to an app, in the hands of a test."""

from collections.abc import AsyncIterator
from typing import Any

import anyio.lowlevel

from asgi_rt.codec import dump_json, load_json
from asgi_rt.testing.errors import ConnectionClosed, UnexpectedMessageError
from asgi_rt.testing.websocket_exchange import WebSocketExchange
from asgi_rt.websocket.closing import MAX_REASON_BYTES, check_code

__all__ = ["WebSocketConnection"]


class WebSocketConnection(WebSocketExchange):
    """The client's end of a WebSocket connection, and control of how that client behaves.

    What the client sends is async; what befalls it (`disconnect`, `freeze`, `server_close`) is
    not. Every method may be called from any task of the event loop it was made on; one task at a
    time should receive. A cancelled or timed out `receive` loses no message. Each wait is bounded
    by a `timeout` in seconds, None for no bound, and says in its `TimeoutError` what the app is
    doing. `async for` receives until the connection is over, however it ended; `close_code` tells.

    What the app raises is raised once, the original object: by the first call that meets the end,
    or on leaving. With `raise_server_exceptions` off the connection just ends with 1006.
    """

    async def receive(self, timeout: float | None = 5.0) -> str | bytes:
        """The next message: a text as str, a binary one as bytes.

        Raises `TimeoutError` when none comes for `timeout` seconds, and `ConnectionClosed`, with
        code and reason, when there are no more.
        """
        with self._within(timeout, "no message came"):
            message = await self._parts.pipe.read()
        if message is None:
            raise self._meet_end()
        return message

    async def receive_text(self, timeout: float | None = 5.0) -> str:
        """As `receive`; raises `UnexpectedMessageError` for a binary message."""
        message = await self.receive(timeout)
        if not isinstance(message, str):
            raise self._unexpected("a text message", message)
        return message

    async def receive_bytes(self, timeout: float | None = 5.0) -> bytes:
        """As `receive`; raises `UnexpectedMessageError` for a text message."""
        message = await self.receive(timeout)
        if not isinstance(message, bytes):
            raise self._unexpected("a binary message", message)
        return message

    async def receive_json(self, timeout: float | None = 5.0) -> Any:
        """The value of the next message, text or binary; `UnexpectedMessageError` if not JSON."""
        message = await self.receive(timeout)
        try:
            return load_json(message)
        except ValueError as error:
            raise self._unexpected("JSON", message) from error

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        """The next message, as `receive` gives it within its default timeout."""
        try:
            return await self.receive()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, data: str | bytes) -> None:
        """Send a text message if `data` is a str, else a binary one.

        It does not wait until the app receives it; see `wait_received`. Raises `ConnectionClosed`
        once the client knows that the connection is over; until then, a message that comes too
        late is dropped, as by a server.
        """
        if isinstance(data, str):
            await self.send_text(data)
        else:
            await self.send_bytes(data)

    async def send_text(self, text: str) -> None:
        """Send a text message. Raises as `send` does."""
        text.encode()  # a lone surrogate cannot be sent, whatever the app would make of it
        self._check_open()
        self._parts.link.deliver("text", text)
        await anyio.lowlevel.checkpoint()

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message. Raises as `send` does."""
        self._check_open()
        self._parts.link.deliver("bytes", bytes(data))
        await anyio.lowlevel.checkpoint()

    async def send_json(self, value: Any, *, binary: bool = False) -> None:
        """Send a value as JSON, in a text message unless `binary`. Raises as `send` does."""
        data = dump_json(value)
        await self.send(data if binary else data.decode())

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame, without a code if that is None. Nothing happens after the end.

        The app gets `websocket.disconnect` with both, and its sends fail: with an OSError from
        spec version 2.4 on, silently before. What it has sent until now can still be received.
        Raises `ValueError` for a code or a reason that cannot be sent.
        """
        if code is not None:
            check_code(code)
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"a close frame holds a reason of {MAX_REASON_BYTES} bytes at most")
        self._parts.link.close(code, reason)
        await anyio.lowlevel.checkpoint()

    def disconnect(self) -> None:
        """Lose the connection, without a close frame. Nothing happens after the end.

        What is in the pipe is lost. The app gets a `websocket.disconnect` as uvicorn sends it:
        with the code 1005, that of a close frame without a code, but without a "reason". For the
        client it is 1006.
        """
        self._parts.link.lose()

    def server_close(self, code: int = 1012) -> None:
        """Have the server go down, as uvicorn does: `code` for the app and for the client alike.

        The app's sends then fail as after `close`. Nothing happens after the end.
        """
        check_code(code)
        self._parts.link.shut_down(code)

    def freeze(self) -> None:
        """Stop reading, as a stalled client does: a `receive` then waits in any case.

        The app's `send` waits once more than `pipe_bytes` lie unread. Sending and closing go on.
        """
        self._parts.pipe.freeze()

    def thaw(self) -> None:
        """Go on reading."""
        self._parts.pipe.thaw()

    def _check_open(self) -> None:
        self._outcome.raise_once()
        ending = self._parts.link.ending
        if ending is not None and (ending.is_own or self._has_met_end):
            raise self._meet_end()

    def _unexpected(self, wanted: str, message: str | bytes) -> UnexpectedMessageError:
        shown = f"{message!r}" if len(message) <= 200 else f"{message[:200]!r}..."
        return UnexpectedMessageError(
            f"{self._parts.name}: {wanted} was expected, and {shown} came", message
        )
