"""What the test clients raise when the app under test breaks the ASGI contract.

```
AsgiRtError, AssertionError
└── AppError                     the app did something no ASGI app may do
    ├── MessageError             a message that may not be sent now, or not like that
    ├── IncompleteResponseError  the app ended without a whole response
    └── CloseTimeoutError        the app did not end when its client was done with it
BrokenPipeError
└── ClientGoneError              raised into the app's `send` after a disconnect, spec 2.4 and later
```

They are AssertionErrors because a test that meets one has failed. What the app itself raises is
passed on as it is, and a broken transfer is one of httpx2's own exceptions.
"""

from asgi_rt.errors import AsgiRtError

__all__ = [
    "AppError",
    "ClientGoneError",
    "CloseTimeoutError",
    "IncompleteResponseError",
    "MessageError",
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


class ClientGoneError(BrokenPipeError):
    """Raised into the app's `send` once the client is gone, as HTTP spec version 2.4 demands.

    An app may let it pass: the client then ends the exchange quietly.
    """
