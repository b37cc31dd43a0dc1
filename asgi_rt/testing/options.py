"""What can be set: how the client plays the server, and what goes to httpx2 as it is."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypedDict

import httpx2

__all__ = ["ClientOptions", "RequestOptions", "ServerOptions", "WebSocketOptions"]

Pairs: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
Timeout: TypeAlias = (
    httpx2.Timeout | float | tuple[float | None, float | None, float | None, float | None] | None
)
Auth: TypeAlias = (
    httpx2.Auth | tuple[str | bytes, str | bytes] | Callable[[httpx2.Request], httpx2.Request]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the client plays the server towards the app."""

    spec_version: str = "2.3"
    """The HTTP spec version in the scope. From 2.4 on, `send` raises once the client is gone."""
    extensions: Mapping[str, Mapping[str, Any]] | None = None
    client: tuple[str, int] | None = ("127.0.0.1", 50000)
    root_path: str = ""
    raise_server_exceptions: bool = True
    pipe_bytes: int | None = 65_536
    """The app's `send` waits while more than this lies unread. None: it never waits."""
    close_timeout: float | None = 5.0
    """Seconds the app has to end once its client is done with it. None: for ever."""
    lifespan_timeout: float | None = 30.0
    """Seconds the app has to start up, and again to shut down. None: for ever."""

    def __post_init__(self) -> None:
        if not all(part.isdigit() for part in self.spec_version.split(".")):
            raise ValueError(f'spec_version must look like "2.3", not {self.spec_version!r}')

    @property
    def raises_after_disconnect(self) -> bool:
        """Whether `send` raises once the client is gone; else it does nothing, as in uvicorn."""
        return self.is_spec(2, 4)

    def is_spec(self, *version: int) -> bool:
        """Whether the spec version is this one or a later one."""
        return tuple(int(part) for part in self.spec_version.split(".")) >= version

    def for_websocket(self, options: "WebSocketOptions") -> "ServerOptions":
        """These options as they are for one WebSocket connection."""
        offers_denial = options.get("denial_response", True)
        return replace(
            self,
            spec_version=options.get("spec_version", "2.4"),
            extensions={"websocket.http.response": {}} if offers_denial else None,
            pipe_bytes=options.get("pipe_bytes", self.pipe_bytes),
            close_timeout=options.get("close_timeout", self.close_timeout),
        )


class ClientOptions(TypedDict, total=False):
    """What httpx2's clients take and the test clients pass on. See httpx2 for the meaning."""

    auth: Auth | None
    params: Mapping[str, str | int | float | bool | None] | None
    headers: Pairs | None
    cookies: dict[str, str] | httpx2.Cookies | None
    timeout: Timeout
    follow_redirects: bool
    max_redirects: int
    event_hooks: Mapping[str, list[Callable[..., Any]]] | None
    default_encoding: str | Callable[[bytes], str | None]


class RequestOptions(TypedDict, total=False):
    """What `build_request` of httpx2's clients takes. See httpx2 for the meaning."""

    content: str | bytes | Iterable[bytes] | AsyncIterable[bytes] | None
    data: Mapping[str, Any] | None
    files: Mapping[str, Any] | Sequence[tuple[str, Any]] | None
    json: Any
    params: Mapping[str, str | int | float | bool | None] | None
    headers: Pairs | None
    timeout: Timeout
    extensions: Mapping[str, Any] | None


class WebSocketOptions(TypedDict, total=False):
    """What `websocket_connect` of the test clients takes."""

    subprotocols: Sequence[str]
    """What the client offers, the preferred one first."""
    headers: Pairs | None
    params: Mapping[str, str | int | float | bool | None] | None
    origin: str | None
    """The page that connects, as a browser tells. None: no such header."""
    timeout: float | None
    """Seconds for the handshake, 5 by default. None: for ever."""
    spec_version: str
    """The WebSocket spec version in the scope, "2.4" by default."""
    denial_response: bool
    """Whether the extension `websocket.http.response` is offered to the app; it is by default."""
    pipe_bytes: int | None
    """As the client's, which is the default."""
    close_timeout: float | None
    """As the client's, which is the default."""
