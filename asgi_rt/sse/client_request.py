"""The request for an event stream, which can be made again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2

__all__ = ["EventRequest", "Headers", "Params"]

Params: TypeAlias = Mapping[str, str | int | float | bool | None]
Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRequest:
    """What is asked for, with a body that does not change."""

    method: str
    url: str
    params: Params | None = None
    headers: Headers | None = None
    content: str | bytes | None = None
    json: Any = None
    read_timeout: float | None = None
    """Seconds of silence; the client's own `read` timeout is meant for responses that end."""

    def build(self, client: httpx2.AsyncClient, last_event_id: str) -> httpx2.Request:
        """The request that resumes after `last_event_id`, "" for none, as `client` makes it."""
        headers = httpx2.Headers({"Accept": "text/event-stream", "Cache-Control": "no-store"})
        headers.update(self.headers)
        if last_event_id:
            # HTTP knows no white space around a value, and h11 refuses it.
            headers.update([(b"Last-Event-ID", last_event_id.strip(" \t").encode())])
        timeout = httpx2.Timeout(
            connect=client.timeout.connect,
            read=self.read_timeout,
            write=client.timeout.write,
            pool=client.timeout.pool,
        )
        return client.build_request(
            self.method,
            self.url,
            params=self.params,
            headers=headers,
            content=self.content,
            json=self.json,
            timeout=timeout,
        )
