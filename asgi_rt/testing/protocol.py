"""What an app may send in answer to an HTTP request, and when. No I/O.

`ResponseProtocol` is a strict server's view of the response: `receive` takes the app's messages
one by one and turns each into an event, or refuses it with a `MessageError` that says why.

Specification: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from asgi_rt.asgi import Message, RawHeaders
from asgi_rt.testing.fields import Fields

__all__ = [
    "BodyFile",
    "BodyPart",
    "EarlyHint",
    "Event",
    "ResponseHead",
    "ResponseProtocol",
    "ServerPush",
    "Stage",
    "Trailers",
]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: int
    headers: RawHeaders


@dataclass(frozen=True, slots=True)
class BodyPart:
    data: bytes


@dataclass(frozen=True, slots=True)
class BodyFile:
    """The body is the file at `path`: pass it through `count_body`, then call `end_body`."""

    path: str


@dataclass(frozen=True, slots=True)
class Trailers:
    headers: RawHeaders


@dataclass(frozen=True, slots=True)
class EarlyHint:
    links: list[bytes]


@dataclass(frozen=True, slots=True)
class ServerPush:
    """A resource the app wants pushed. Extension http.response.push."""

    path: str
    headers: RawHeaders


Event: TypeAlias = ResponseHead | BodyPart | BodyFile | Trailers | EarlyHint | ServerPush


class Stage(Enum):
    """What the response waits for. The value reads after "the response"."""

    HEAD = "has not started"
    BODY = "has started and its body is not complete"
    FILE = "is being read from a file"
    TRAILERS = "waits for its trailers"
    END = "is complete"


_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_PATHSEND: Final = "http.response.pathsend"
_TRAILERS: Final = "http.response.trailers"
_EARLY_HINT: Final = "http.response.early_hint"
_PUSH: Final = "http.response.push"

# A type that is not in the row of the stage is the error.
_ALLOWED: Final[dict[Stage, frozenset[str]]] = {
    Stage.HEAD: frozenset({_START, _EARLY_HINT, _PUSH}),
    Stage.BODY: frozenset({_BODY, _PATHSEND, _PUSH}),
    Stage.FILE: frozenset(),
    Stage.TRAILERS: frozenset({_TRAILERS}),
    Stage.END: frozenset(),
}
_EXTENSIONS: Final = frozenset({_PATHSEND, _TRAILERS, _EARLY_HINT, _PUSH})
_WITHOUT_BODY: Final = frozenset({204, 304})


class ResponseProtocol:
    """The response to one request. `name` stands before each error, `GET /path` for instance."""

    def __init__(self, *, name: str, method: str, extensions: Collection[str] = ()) -> None:
        self.stage = Stage.HEAD
        self.body_bytes = 0
        self._fields = Fields(name)
        self._extensions = extensions
        self._is_head_request = method == "HEAD"
        self._has_trailers = False
        self._expected: int | None = None
        self._readers: dict[str, Callable[[Message], Event]] = {
            _START: self._start,
            _BODY: self._body,
            _PATHSEND: self._pathsend,
            _TRAILERS: self._trailers,
            _EARLY_HINT: self._early_hint,
            _PUSH: self._push,
        }

    @property
    def is_started(self) -> bool:
        return self.stage is not Stage.HEAD

    @property
    def is_complete(self) -> bool:
        return self.stage is Stage.END

    def receive(self, message: Message) -> Event:
        """What the app's `message` means; moves the response on. Raises `MessageError`."""
        kind = message.get("type")
        if not isinstance(kind, str) or kind not in self._readers:
            self._fields.refuse(f"the app sent a message of the unknown type {kind!r}")
        if kind in _EXTENSIONS and kind not in self._extensions:
            self._fields.refuse(f"the app sent {kind}, an extension that scope['extensions'] lacks")
        if kind not in _ALLOWED[self.stage]:
            self._fields.refuse(f"the app sent {kind} when the response {self.stage.value}")
        return self._readers[kind](message)

    def count_body(self, size: int) -> None:
        """Count `size` more bytes of body. Raises `MessageError` when that is too many."""
        self.body_bytes += size
        if self._expected is not None and self.body_bytes > self._expected:
            self._fields.refuse(
                f"the body is longer than it may be: {self.body_bytes} bytes so far, "
                f"{self._expected} allowed by the content-length or the status"
            )

    def end_body(self) -> None:
        """The body ends here. Raises `MessageError` when it is shorter than was announced."""
        if self._expected is not None and self.body_bytes < self._expected:
            self._fields.refuse(
                f"the body is shorter than its content-length: "
                f"{self.body_bytes} bytes of {self._expected}"
            )
        self.stage = Stage.TRAILERS if self._has_trailers else Stage.END

    def _start(self, message: Message) -> ResponseHead:
        status = message.get("status")
        if not isinstance(status, int) or isinstance(status, bool):
            self._fields.refuse(f"status must be an int, not {status!r}")
        if not 200 <= status <= 999:
            self._fields.refuse(f"{status} is not the status of a final response (200 to 999)")
        headers = self._fields.headers(message)
        has_trailers = self._fields.flag(message, "trailers")
        if has_trailers and _TRAILERS not in self._extensions:
            self._fields.refuse(
                f"trailers=True needs the extension {_TRAILERS}, which the scope lacks"
            )
        self._expected = self._body_size(status, headers)
        self._has_trailers = has_trailers
        self.stage = Stage.BODY
        return ResponseHead(int(status), headers)

    def _body_size(self, status: int, headers: RawHeaders) -> int | None:
        lengths = {value for name, value in headers if name == b"content-length"}
        if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
            self._fields.refuse(f"content-length must be one number, not {sorted(lengths)!r}")
        if self._is_head_request:
            return None  # what it announces is the length that a GET would have: RFC 9110, 9.3.2
        if status in _WITHOUT_BODY:
            return 0
        return int(lengths.pop()) if lengths else None

    def _body(self, message: Message) -> BodyPart:
        data = message.get("body", b"")
        if not isinstance(data, bytes):
            self._fields.refuse(f"body must be bytes, not {type(data).__name__}")
        has_more = self._fields.flag(message, "more_body")
        if self._is_head_request:
            data = b""
        self.count_body(len(data))
        if not has_more:
            self.end_body()
        return BodyPart(data)

    def _pathsend(self, message: Message) -> BodyFile | BodyPart:
        path = message.get("path")
        if not isinstance(path, str):
            self._fields.refuse(f"path must be a str, not {path!r}")
        if self.body_bytes:
            self._fields.refuse(f"the app sent {_PATHSEND} after a part of the body")
        if self._is_head_request:
            self.end_body()
            return BodyPart(b"")
        self.stage = Stage.FILE
        return BodyFile(path)

    def _trailers(self, message: Message) -> Trailers:
        headers = self._fields.headers(message)
        if not self._fields.flag(message, "more_trailers"):
            self.stage = Stage.END
        return Trailers(headers)

    def _early_hint(self, message: Message) -> EarlyHint:
        links: Any = message.get("links")
        if not isinstance(links, list | tuple):
            self._fields.refuse(f"links must be a list of bytes, not {links!r}")
        for link in cast("Iterable[object]", links):
            if not isinstance(link, bytes):
                self._fields.refuse(f"links must be a list of bytes; it holds {link!r}")
        return EarlyHint(list(cast("Iterable[bytes]", links)))

    def _push(self, message: Message) -> ServerPush:
        path = message.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            self._fields.refuse(f"path must be a str that starts with a slash, not {path!r}")
        return ServerPush(path, self._fields.headers(message))
