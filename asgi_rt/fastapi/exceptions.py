"""What handlers and dependencies raise, and what is raised for what came or goes out wrong."""

import http.client
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from asgi_rt.errors import WebSocketClosed

__all__ = ["DependencyScopeError", "EndpointContext", "FastAPIDeprecationWarning", "FastAPIError"]
__all__ += ["HTTPException", "RequestValidationError", "ResponseValidationError"]
__all__ += ["StarletteHTTPException", "ValidationException", "WebSocketDisconnect"]
__all__ += ["WebSocketException", "WebSocketRequestValidationError"]


class StarletteHTTPException(Exception):
    """An answer with any status; `detail` is the standard phrase of the status by default."""

    def __init__(
        self, status_code: int, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        phrase = http.client.responses.get(status_code, "")
        self.status_code = status_code
        self.detail: Any = phrase if detail is None else detail
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(status_code={self.status_code!r}, detail={self.detail!r})"


StarletteHTTPException.__name__ = "HTTPException"  # as users see it


class HTTPException(StarletteHTTPException):
    """An answer with a status; `detail` is any value that JSON can hold."""


class WebSocketException(Exception):
    """The end of a WebSocket connection, with a close code; before `accept` it is a refusal."""

    def __init__(self, code: int, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or ""

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, reason={self.reason!r})"


class WebSocketDisconnect(WebSocketClosed):
    """A WebSocket connection is over. Out of a handler it ends that handler quietly."""

    def __init__(
        self,
        code: int = 1000,
        reason: str | None = None,
        *,
        by: Literal["client", "server", "network"] = "client",
    ) -> None:
        super().__init__(code, reason or "", by=by)


class FastAPIError(RuntimeError):
    """A declaration that cannot work."""


class FastAPIDeprecationWarning(UserWarning):
    """Something that was given is superseded. Shown, unlike a DeprecationWarning."""


class DependencyScopeError(FastAPIError):
    """A dependency that outlives one that it depends on."""


EndpointContext: TypeAlias = dict[str, Any]
"""Whose declaration an error belongs to: `function`, `path`, `file`, `line`."""


class ValidationException(Exception):
    """Data that is not as it was declared. `body` is what it was found in, where that is known."""

    def __init__(
        self,
        errors: Sequence[Any],
        *,
        body: Any = None,
        endpoint_ctx: EndpointContext | None = None,
    ) -> None:
        self._errors = errors
        self.body = body
        self.endpoint_ctx = endpoint_ctx or {}

    def errors(self) -> Sequence[Any]:
        """Each error as pydantic tells it: `type`, `loc`, `msg`, `input`."""
        return self._errors

    def __str__(self) -> str:
        count, where = len(self._errors), self.endpoint_ctx
        told = f"{count} validation error{'s' * (count != 1)}:"
        lines = [told, *(f"  {error}" for error in self._errors)]
        if {"function", "file", "line"} <= where.keys():
            lines.append('\n  File "{file}", line {line}, in {function}'.format(**where))
            lines += [f"    {where['path']}"] if "path" in where else []
        elif "path" in where:
            lines.append(f"\n  Endpoint: {where['path']}")
        return "\n".join(lines)


class RequestValidationError(ValidationException):
    """A request that is not as the handler declares it: a 422 by default."""


class WebSocketRequestValidationError(ValidationException):
    """A handshake that is not as the handler declares it: closed with 1008 by default."""


class ResponseValidationError(ValidationException):
    """A handler returned what its response model does not allow: a 500."""
