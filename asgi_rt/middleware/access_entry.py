"""What the access log tells of one connection: its fields, one line of text, and how grave it is.

Nothing stands in them as a client has sent it. Control characters, separators of lines, what turns
the direction of text, quotes and backslashes are escaped, and what is long is cut.
"""

import logging
import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from asgi_rt.errors import ClientDisconnected, WebSocketClosed
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.outcome import Outcome

__all__ = ["Entry", "Fields", "default_level", "escape", "line_of"]

Fields: TypeAlias = dict[str, Any]
"""What a record has as attributes, by name. The names are the same for each kind of record."""

_MAX_CHARS: Final = 1024
_SUSPECT: Final = re.compile(r"[^ !#-\[\]-~]")
_CLIENT_LEFT: Final = 499
_CRASHED: Final = 500
# How other frameworks say that the client has left; where nothing handles it, it gets here.
_FOREIGN_DISCONNECTS: Final = frozenset({"ClientDisconnect", "WebSocketDisconnect"})


def escape(text: str) -> str:
    """`text` with nothing in it that ends a line or a quotation, or hides; cut at 1024 characters.

    What is escaped is written as in Python: `\\n`, `\\x1b`, `\\u2028`, and `\\"` and `\\\\`.
    """
    if len(text) > _MAX_CHARS:
        text = f"{text[:_MAX_CHARS]}..."
    return _SUSPECT.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _text(raw: bytes) -> str:
    return escape(raw.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Entry:
    """How connections are told of: what beside the path may stand in the log."""

    include_query: bool = False
    include_user_agent: bool = False

    def begin(self, connection: Connection, status: int) -> Fields:
        """The fields of a connection whose head is sent, and which may go on for long."""
        fields = self._request(connection, "begin")
        fields.update(_answer(Outcome(status=status)), seconds=None)
        return fields

    def end(self, connection: Connection, outcome: Outcome) -> Fields:
        """The fields of a connection that is over."""
        fields = self._request(connection, "end")
        fields.update(_answer(outcome))
        if connection.is_websocket:
            fields["code"] = outcome.code
            fields["messages_received"] = outcome.messages_received
            fields["bytes_received"] = outcome.bytes_received
        return fields

    def _request(self, connection: Connection, event: str) -> Fields:
        scope = connection.scope
        query: bytes = scope.get("query_string", b"") if self.include_query else b""
        agent = connection.headers.get("user-agent") if self.include_user_agent else None
        request_id = scope.get("state", {}).get("request_id")
        return {
            "event": event,
            "type": scope["type"],
            "client": _client(connection),
            "method": escape(scope.get("method", "GET")),
            "path": _text(connection.raw_path),
            "query": _text(query) if query else None,
            "http_version": escape(scope.get("http_version", "1.1")),
            "user_agent": None if agent is None else _text(agent.encode("latin-1")),
            "request_id": None if request_id is None else escape(str(request_id)),
        }


def _answer(outcome: Outcome) -> Fields:
    error = outcome.error
    return {
        "status": _status(outcome),
        "bytes_sent": outcome.bytes_sent,
        "chunks": outcome.chunks,
        "seconds": outcome.seconds,
        "seconds_to_head": outcome.seconds_to_head,
        "disconnected": _has_left(outcome),
        "error": None if error is None else type(error).__name__,
        "code": None,
        "messages_received": None,
        "bytes_received": None,
    }


def _client(connection: Connection) -> str | None:
    client = connection.client
    if client is None:
        return None
    host, port = client
    return escape(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _status(outcome: Outcome) -> int:
    """The status; where no head was sent, what the server or the app around this makes of that."""
    if outcome.status is not None:
        return outcome.status
    return _CLIENT_LEFT if _has_left(outcome) else _CRASHED


def _has_left(outcome: Outcome) -> bool:
    return outcome.disconnected or type(outcome.error).__name__ in _FOREIGN_DISCONNECTS


def _is_crash(outcome: Outcome) -> bool:
    error = outcome.error
    if not isinstance(error, Exception) or isinstance(error, ClientDisconnected | WebSocketClosed):
        return False
    if outcome.disconnected and isinstance(error, OSError):  # out of `send`
        return False
    return type(error).__name__ not in _FOREIGN_DISCONNECTS


def default_level(connection: Connection, outcome: Outcome) -> int:
    """ERROR for 5xx and for what crashed, WARNING for 4xx, INFO for the rest and for 499."""
    status = _status(outcome)
    if status >= 500 or _is_crash(outcome):
        return logging.ERROR
    return logging.WARNING if 400 <= status != _CLIENT_LEFT else logging.INFO


def line_of(fields: Fields) -> str:
    """The fields in one line: the request as it is usual in access logs, then what else there is.

    `127.0.0.1:50000 "GET /rows HTTP/1.1" 200 bytes_sent=4096 chunks=8 seconds=0.052100 ...`
    """
    query, status = fields["query"], fields["status"]
    target = fields["path"] if query is None else f"{fields['path']}?{query}"
    request = f"{fields['method']} {target} HTTP/{fields['http_version']}"
    parts = [f'{fields["client"] or "-"} "{request}" {status}']
    if fields["event"] == "begin":
        parts.append("begins")
    else:
        parts.append(_line_of_traffic(fields))
    parts.extend(
        f"{name}={fields[name]}" for name in ("error", "request_id") if fields[name] is not None
    )
    if fields["user_agent"] is not None:
        parts.append(f'"{fields["user_agent"]}"')
    return " ".join(parts)


def _line_of_traffic(fields: Fields) -> str:
    parts = [f"bytes_sent={fields['bytes_sent']} chunks={fields['chunks']}"]
    if fields["messages_received"] is not None:
        received = "bytes_received={bytes_received} messages_received={messages_received}"
        parts.append(f"code={fields['code'] or '-'} {received.format_map(fields)}")
    parts.append(f"seconds={fields['seconds']:.6f}")
    if fields["seconds_to_head"] is not None:
        parts.append(f"seconds_to_head={fields['seconds_to_head']:.6f}")
    if fields["disconnected"]:
        parts.append("disconnected")
    return " ".join(parts)
