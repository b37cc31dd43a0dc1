"""Every exception of the package.

```
AsgiRtError
├── HTTPError            an answer with a status; the client sees it as problem+json
├── ClientDisconnected   the client left; ends a request quietly
├── SendTimeout          the client stopped reading for longer than `send_timeout`
├── BodyOverrun          the request body was left unread until it had to be discarded
├── WebSocketClosed      a WebSocket connection is over; says how, and who ended it
├── LifecycleError       a WebSocket call or message out of turn (also a RuntimeError)
├── DispatchError        a dispatch function used `call_next` or a body wrongly (a RuntimeError)
├── RouteError           a route that cannot be registered; names the route
├── ReverseError         no URL can be built from that name and those parameters
├── HubError             a hub was used in a way that cannot work (a RuntimeError)
├── BackplaneError       what carries a hub's messages between processes cannot be reached
├── LifespanError        an app, or an app mounted in it, did not start or stop
└── MissingExtra         an optional dependency is absent (also an ImportError)
```
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

__all__ = [
    "AsgiRtError",
    "BackplaneError",
    "BodyOverrun",
    "ClientDisconnected",
    "DispatchError",
    "HTTPError",
    "HubError",
    "LifecycleError",
    "LifespanError",
    "MissingExtra",
    "ReverseError",
    "RouteError",
    "SendTimeout",
    "WebSocketClosed",
    "phrase",
]

# RFC 9110, section 15. Python has some of these from 3.13 on, and older names before that.
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def phrase(status_code: int) -> str:
    """The standard reason phrase of a status, or "Error" for one that has none."""
    return _PHRASES.get(status_code, "Error")


class AsgiRtError(Exception):
    """What this package raises on purpose derives from here."""


class HTTPError(AsgiRtError):
    """An answer with a status. Raised anywhere before the response head, it becomes the response.

    The client receives RFC 9457 problem details: `type`, `title`, `status`, `detail` and whatever
    `extensions` holds. `detail` is shown to the client, so it must hold no internals.
    """

    def __init__(
        self,
        status_code: int,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        title: str | None = None,
        type: str = "about:blank",  # noqa: A002 - the member's name in RFC 9457
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        if not 400 <= status_code <= 599:
            raise ValueError(f"an HTTPError is a 4xx or 5xx answer, not {status_code}")
        self.status_code = status_code
        self.detail = detail
        self.headers = dict(headers or {})
        self.title = title or phrase(status_code)
        self.type = type
        self.extensions = dict(extensions or {})
        super().__init__(status_code, detail)

    def __str__(self) -> str:
        return f"{self.status_code} {self.title}" + (f": {self.detail}" if self.detail else "")

    def problem(self) -> dict[str, Any]:
        """The members of the problem document, RFC 9457 section 3.1."""
        problem: dict[str, Any] = {
            **self.extensions,
            "type": self.type,
            "title": self.title,
            "status": self.status_code,
        }
        if self.detail is not None:
            problem["detail"] = self.detail
        return problem


class ClientDisconnected(AsgiRtError):
    """The client left before the exchange was over. Nobody is left to answer."""

    def __init__(self, detail: str = "the client disconnected") -> None:
        super().__init__(detail)


class SendTimeout(AsgiRtError):
    """The client read nothing for `timeout` seconds while the server had something to send."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        super().__init__(f"the client read nothing for {timeout:g} seconds")


class BodyOverrun(AsgiRtError):
    """The request body is no longer there: it was left unread while a response was streamed.

    To see a disconnect, what arrives must be read. Up to `max_bytes` of a body that nobody has
    begun to read is kept; beyond that it is discarded. Begin to read it before streaming.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(
            f"more than {max_bytes} bytes of the request body arrived while a response was being"
            " streamed and nothing had begun to read them; read the body before the first `yield`"
        )


class WebSocketClosed(AsgiRtError):
    """A WebSocket connection is over. Out of a handler it ends that handler quietly."""

    def __init__(
        self, code: int, reason: str = "", *, by: Literal["client", "server", "network"]
    ) -> None:
        self.code = code
        """The close code, RFC 6455 section 7.4: 1006 where the connection was lost."""
        self.reason = reason
        """What the one who closed it says about why; may be empty."""
        self.by = by
        """Who ended it. "network" is nobody: the connection broke."""
        self.connection: object = None
        """What tells one connection from another; None where the error was made by hand."""
        super().__init__(code, reason)

    def __str__(self) -> str:
        ended = "the connection was lost" if self.by == "network" else f"the {self.by} closed it"
        return f"{ended} ({self.code})" + (f": {self.reason}" if self.reason else "")


class LifecycleError(AsgiRtError, RuntimeError):
    """A WebSocket was used out of turn: a message was sent before `accept`, for instance."""


class DispatchError(AsgiRtError, RuntimeError):
    """A dispatch function used `call_next` or a body wrongly. The message says what to do."""


class RouteError(AsgiRtError):
    """A route that cannot be registered. The message names the route and says what to change."""


class ReverseError(AsgiRtError, LookupError):
    """No URL can be built from that route name and those parameters."""


class HubError(AsgiRtError, RuntimeError):
    """A hub, or a subscription, was used in a way that cannot work; the text says what to do."""


class BackplaneError(AsgiRtError):
    """What carries a hub's messages between processes cannot be reached, or refused a message."""


class LifespanError(AsgiRtError):
    """An app, or an app mounted in it, did not start up or shut down."""


class MissingExtra(AsgiRtError, ImportError):
    """An optional dependency is not installed. The message gives the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f'{purpose} needs the package {package}: run pip install "asgi-rt[{extra}]"',
            name=package,
        )
