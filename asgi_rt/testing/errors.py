"""What the test clients raise: for an app that breaks the ASGI contract, and for a WebSocket.

```
AsgiRtError, AssertionError
├── AppError                     the app did something no ASGI app may do
│   ├── MessageError             a message that may not be sent now, or not like that
│   ├── IncompleteResponseError  the app ended without a whole response
│   └── CloseTimeoutError        the app did not end when its client was done with it
└── UnexpectedMessageError       a WebSocket message of another kind than the test asked for
AsgiRtError, httpx2.HTTPStatusError
└── WebSocketDenied              the app answered a handshake with an HTTP response
WebSocketClosed, AssertionError
└── ConnectionClosed             a WebSocket connection is over where a test wanted more of it
BrokenPipeError
└── ClientGoneError              raised into the app's `send` after a disconnect, spec 2.4 and later
```

Most are AssertionErrors because a test that meets one has failed, unless it expects it. What the
app itself raises is passed on as it is, and a broken transfer is one of httpx2's own exceptions.
"""

from typing import Literal

import httpx2

from asgi_rt.errors import AsgiRtError, WebSocketClosed

__all__ = [
    "AppError",
    "ClientGoneError",
    "CloseTimeoutError",
    "ConnectionClosed",
    "IncompleteResponseError",
    "MessageError",
    "UnexpectedMessageError",
    "WebSocketDenied",
]


class AppError(AsgiRtError, AssertionError):
    """The app under test did something that no ASGI app may do."""


class MessageError(AppError):
    """A message that the app may not send now, or not like that. Raised into the app's `send`."""


class IncompleteResponseError(AppError):
    """The app ended without a response, or in the middle of one, while the client was there."""


class CloseTimeoutError(AppError):
    """The app was still running `close_timeout` seconds after its client was done with it.

    It has been cancelled by then. What it raised when it was cancelled is the `__cause__`.
    """


class UnexpectedMessageError(AsgiRtError, AssertionError):
    """The app sent another kind of message than the test asked for."""

    def __init__(self, text: str, message: str | bytes) -> None:
        self.message = message
        """What came instead."""
        super().__init__(text)


class WebSocketDenied(AsgiRtError, httpx2.HTTPStatusError):
    """The app answered the handshake with an HTTP response instead of accepting it.

    `response` is that response, with its body. It is 403 and empty for an app that just sent
    `websocket.close`, which is how servers answer then.
    """

    def __init__(self, name: str, response: httpx2.Response) -> None:
        super().__init__(
            f"{name}: the app denied the handshake: {response.status_code} "
            f"{response.reason_phrase}",
            request=response.request,
            response=response,
        )


class ConnectionClosed(WebSocketClosed, AssertionError):
    """The WebSocket connection is over, and everything that was sent before has been received."""

    def __init__(
        self,
        code: int,
        reason: str = "",
        *,
        by: Literal["client", "server", "network"],
        text: str = "",
    ) -> None:
        super().__init__(code, reason, by=by)
        self._text = text

    def __str__(self) -> str:
        return self._text or super().__str__()


class ClientGoneError(BrokenPipeError):
    """Raised into the app's `send` once the client is gone, as spec version 2.4 demands.

    An app may let it pass: the client then ends the exchange quietly.
    """
