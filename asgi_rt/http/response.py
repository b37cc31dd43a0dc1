"""Responses that are whole before they are sent, and what a handler's return value becomes."""

from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Final, cast
from urllib.parse import quote

from asgi_rt.asgi import ASGIApp, RawHeaders, Receive, Scope, Send
from asgi_rt.background import Background, run_background
from asgi_rt.codec import dump_json
from asgi_rt.errors import HTTPError
from asgi_rt.http.cookies import SameSite, format_set_cookie
from asgi_rt.http.headers import HeadersLike, MutableHeaders, encode_header, raw_headers

__all__ = [
    "HTMLResponse",
    "JSONResponse",
    "RedirectResponse",
    "Response",
    "TextResponse",
    "has_body",
    "problem_response",
    "response_for",
]

_URL_SAFE: Final = "%/:=&?~#+!$,;'@()*[]"


@lru_cache(64)
def _content_type(media_type: str) -> tuple[bytes, bytes]:
    if media_type.startswith("text/") and "charset=" not in media_type.lower():
        media_type += "; charset=utf-8"
    return encode_header("content-type", media_type)


def has_body(status_code: int) -> bool:
    """Whether a response of that status may carry content, RFC 9110 section 6.4.1."""
    return status_code >= 200 and status_code not in (204, 304)


class Response:
    """A response with a body that is at hand. An ASGI application, to be sent once.

    Raises ValueError for a header that cannot be sent.
    """

    # With a dict only for those who put something of their own into it: half of what a stream that
    # is open would take otherwise.
    __slots__ = ("__dict__", "background", "body", "headers", "status_code")

    media_type: ClassVar[str | None] = None
    """The content type where none is given; of `text/*` with `; charset=utf-8`."""
    is_streamed: ClassVar[bool] = False
    """Whether sending it watches for the disconnect, and so reads what arrives."""
    head_sent: bool = True
    """False for as long as an error can still become another response (streams only)."""

    def __init__(
        self,
        content: bytes | str | None = b"",
        status_code: int = 200,
        *,
        headers: HeadersLike | None = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> None:
        self.status_code = status_code
        self.body = self.render(content)
        self.background = background
        self.headers = MutableHeaders(self._content_headers(headers, media_type))

    def render(self, content: Any) -> bytes:
        """The bytes of the body; a subclass may take other content."""
        if content is None:
            return b""
        if isinstance(content, str):
            return content.encode("utf-8")
        # Through memoryview, as bytes() alone makes zeros of a number.
        return content if isinstance(content, bytes) else bytes(memoryview(content))

    def _content_headers(self, headers: HeadersLike | None, media_type: str | None) -> RawHeaders:
        raw = raw_headers(headers)
        media_type = media_type or self.media_type
        if media_type is not None and not any(name == b"content-type" for name, _ in raw):
            raw.append(_content_type(media_type))
        return raw

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a cookie; see `format_set_cookie` for the units and what is refused."""
        cookie = format_set_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.append("set-cookie", cookie)

    def delete_cookie(
        self, name: str, *, path: str | None = "/", domain: str | None = None, secure: bool = False
    ) -> None:
        """Tell the client to forget a cookie; path and domain must be those it was set with."""
        self.set_cookie(name, max_age=0, path=path, domain=domain, secure=secure)

    def raw_head(self) -> RawHeaders:
        """The header fields to send, `content-length` included where the status allows one."""
        raw = self.headers.raw
        if not has_body(self.status_code):
            return [pair for pair in raw if pair[0] != b"content-length"]
        length = (b"content-length", b"%d" % len(self.body))
        return [*(pair for pair in raw if pair[0] != b"content-length"), length]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A client that left ends it quietly; background work runs all the same."""
        body = self.body if has_body(self.status_code) and scope["method"] != "HEAD" else b""
        completed = False
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_head(),
                }
            )
            await send({"type": "http.response.body", "body": body, "more_body": False})
            completed = True
        except OSError:
            pass  # how a server says that the client has left (ASGI spec_version 2.4)
        finally:
            if self.background is not None:
                await run_background(self.background, scope, completed=completed)


class TextResponse(Response):
    """Plain text, as UTF-8."""

    __slots__ = ()
    media_type = "text/plain"


class HTMLResponse(Response):
    """An HTML page, as UTF-8."""

    __slots__ = ()
    media_type = "text/html"


class JSONResponse(Response):
    """Any value that `dump_json` takes, as JSON. Raises TypeError for what it does not take."""

    __slots__ = ()
    media_type = "application/json"

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        *,
        headers: HeadersLike | None = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> None:
        super().__init__(
            content, status_code, headers=headers, media_type=media_type, background=background
        )

    def render(self, content: Any) -> bytes:
        return dump_json(content)


class RedirectResponse(Response):
    """Sends the client to another URL: 307 by default, which keeps the method and the body.

    Characters that a URL cannot hold are percent-encoded. A URL that comes from a client must be
    checked first: any URL is taken.
    """

    __slots__ = ()

    def __init__(
        self,
        url: str,
        status_code: int = 307,
        *,
        headers: HeadersLike | None = None,
        background: Background | None = None,
    ) -> None:
        if status_code not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status_code} is not a redirect: use 301, 302, 303, 307 or 308")
        super().__init__(b"", status_code, headers=headers, background=background)
        self.headers["location"] = quote(url, safe=_URL_SAFE)


def problem_response(error: HTTPError) -> Response:
    """The answer to an HTTPError: RFC 9457 problem details."""
    return JSONResponse(
        error.problem(),
        error.status_code,
        headers=error.headers,
        media_type="application/problem+json",
    )


def response_for(value: Any) -> ASGIApp:
    """What a handler's return value becomes.

    A Response, or any other ASGI callable, is itself; None is 204; str is text; bytes are bytes;
    everything else is JSON.
    """
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(status_code=204)
    if isinstance(value, str):
        return TextResponse(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Response(bytes(cast("bytes", value)), media_type="application/octet-stream")
    if callable(value) and not isinstance(value, type):
        return cast("ASGIApp", value)
    return JSONResponse(value)
