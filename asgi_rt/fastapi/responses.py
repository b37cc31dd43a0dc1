"""Responses, by Starlette's names. What they leave to do is done before sending returns."""

import json
import os
from collections.abc import Coroutine, Mapping
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from http.cookies import SimpleCookie
from mimetypes import guess_type
from typing import Any, ClassVar, Final, TypeAlias
from urllib.parse import quote

from asgi_rt.asgi import RawHeaders, Receive, Scope, Send
from asgi_rt.background import Background, run_background
from asgi_rt.codec import dump_json
from asgi_rt.fastapi.datastructures import MutableHeaders
from asgi_rt.http import files, streaming
from asgi_rt.http.cookies import SameSite
from asgi_rt.http.headers import encode_header, raw_headers
from asgi_rt.http.response import Response as PlainResponse
from asgi_rt.http.response import has_body
from asgi_rt.websocket.denial import send_denial

__all__ = ["EventSourceResponse", "FileResponse", "HTMLResponse", "JSONResponse", "ORJSONResponse"]
__all__ += ["PlainTextResponse", "RedirectResponse", "Response", "StreamingResponse"]
__all__ += ["UJSONResponse"]

_Fields: TypeAlias = Mapping[str, str] | None
_URL_SAFE: Final = ":/%#?=@[]!$&'()*+,;"
# The scope of no app, which has no task group: what is to run in the background runs at once.
_INLINE: Final[Scope] = {}
_new_headers: Final = MutableHeaders.__new__


class Response(PlainResponse):
    """A response with a body that is at hand. An ASGI application, to be sent once.

    Raises ValueError for a header that cannot be sent.
    """

    __slots__ = ()

    charset: ClassVar[str] = "utf-8"

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: _Fields = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> None:
        self.status_code = status_code
        if media_type is not None:
            self.__dict__["media_type"] = media_type  # of the class, or else of this one
        self.background = background
        self.body = self.render(content)
        self.init_headers(headers)

    def render(self, content: Any) -> bytes:
        if isinstance(content, bytes):
            return content
        return content.encode(self.charset) if isinstance(content, str) else super().render(content)

    def init_headers(self, headers: _Fields = None) -> None:
        """Set the header fields: these, the length of the body, and the content type."""
        raw = raw_headers(headers) if headers else []
        given = dict(raw) if raw else ()
        if b"content-length" not in given and not self.is_streamed and has_body(self.status_code):
            raw.append((b"content-length", b"%d" % len(self.body)))
        if self.media_type is not None and b"content-type" not in given:
            raw.append(_content_type(self.media_type, self.charset))
        self.headers = _new_headers(MutableHeaders)
        self.headers.raw = raw

    @property
    def raw_headers(self) -> RawHeaders:
        """The header fields as ASGI carries them, names in lower case."""
        return self.headers.raw

    @raw_headers.setter
    def raw_headers(self, raw: RawHeaders) -> None:
        self.headers = MutableHeaders(raw=raw)

    def raw_head(self) -> RawHeaders:
        return self.headers.raw if has_body(self.status_code) else super().raw_head()

    def set_cookie(  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's names
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a cookie, quoted if need be. `expires` is a time, or seconds from now."""
        if isinstance(expires, datetime):
            expires = format_datetime(expires, usegmt=True)
        given = {"expires": expires, "path": path, "domain": domain, "max-age": max_age}
        given |= {"secure": secure or None, "httponly": httponly or None, "samesite": samesite}
        cookie: Any = SimpleCookie({key: value})[key]
        cookie.update((name, each) for name, each in given.items() if each is not None)
        text: str = cookie.OutputString()
        self.headers.append("set-cookie", text + "; Partitioned" if partitioned else text)

    def delete_cookie(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's names
        self, key: str, path: str = "/", domain: str | None = None, **attributes: Any
    ) -> None:
        """Tell the client to forget a cookie; path and domain must be those it was set with."""
        self.set_cookie(key, max_age=0, expires=0, path=path, domain=domain, **attributes)

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - it only does without a frame
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Send it; of a WebSocket that is not accepted it denies the handshake."""
        if scope["type"] == "websocket":
            return send_denial(self, scope, receive, send)
        sending = super().__call__(scope, receive, send)
        return sending if self.background is None else _run_both(self, sending)


@lru_cache(64)
def _content_type(media_type: str, charset: str) -> tuple[bytes, bytes]:
    if media_type.startswith("text/") and "charset=" not in media_type.lower():
        media_type += "; charset=" + charset
    return encode_header("content-type", media_type)


async def _run_both(response: PlainResponse, sending: Coroutine[Any, Any, None]) -> None:
    """Send a response and then run its background, here, and not in the app's task group."""
    background, response.background = response.background, None
    try:
        await sending
    finally:
        if background is not None:
            await run_background(background, _INLINE, completed=True)


class HTMLResponse(Response):
    """An HTML page."""

    __slots__ = ()
    media_type = "text/html"


class PlainTextResponse(Response):
    """Plain text."""

    __slots__ = ()
    media_type = "text/plain"


_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class JSONResponse(Response):
    """A value as JSON. Raises TypeError for what is none, and ValueError for NaN and infinity."""

    __slots__ = ()
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return _encode(content).encode("utf-8")


class ORJSONResponse(JSONResponse):
    """A value as JSON, dates, UUIDs, dataclasses and the like included."""

    __slots__ = ()

    def render(self, content: Any) -> bytes:
        return dump_json(content)


UJSONResponse = JSONResponse


class RedirectResponse(Response):
    """Sends the client to another URL: 307 by default, which keeps the method and the body.

    Characters that a URL cannot hold are percent-encoded. Any URL is taken: check a client's first.
    """

    __slots__ = ()

    def __init__(
        self, url: str, status_code: int = 307, headers: _Fields = None, **options: Any
    ) -> None:
        super().__init__(b"", status_code, headers, **options)
        self.headers["location"] = quote(str(url), safe=_URL_SAFE)


class StreamingResponse(streaming.StreamingResponse, Response):
    """A body that comes from an async or a sync iterable of bytes, str or memoryview.

    It takes the options of `asgi_rt.http.streaming.StreamingResponse` as well, and works like it.
    """

    __slots__ = ()
    default_headers = ()

    def __init__(
        self,
        content: streaming.Source | str,
        status_code: int = 200,
        headers: _Fields = None,
        media_type: str | None = None,
        **options: Any,
    ) -> None:
        source = [content] if isinstance(content, str) else content
        super().__init__(source, status_code, headers=headers, media_type=media_type, **options)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Send it. Raises what the source raises, and SendTimeout for a frozen client."""
        if scope["type"] == "websocket":
            return send_denial(self, scope, receive, send)
        sending = super().__call__(scope, receive, send)
        self._scope = _INLINE
        return sending


class EventSourceResponse(StreamingResponse):
    """As the `response_class` of a generator: what it yields is sent as server-sent events."""

    __slots__ = ()
    media_type = "text/event-stream"


class FileResponse(files.FileResponse, Response):
    """A regular file, as it is when the response is sent, whole or in ranges.

    It takes the options of `asgi_rt.http.files.FileResponse` as well, and works like it, but that
    it raises RuntimeError for what is no file, and has validators with any status.
    """

    always_validates = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: _Fields = None,
        media_type: str | None = None,
        *,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: str = "attachment",
        **options: Any,
    ) -> None:
        media_type = media_type or guess_type(filename or path)[0] or "application/octet-stream"
        super().__init__(path, status_code, headers=headers, media_type=media_type, **options)
        if filename is not None:
            plain = quote(filename)
            name = f'filename="{plain}"' if plain == filename else f"filename*=utf-8''{plain}"
            self.headers.setdefault("content-disposition", f"{content_disposition_type}; {name}")

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - as of every response here
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Send it, or what is to be said instead. Cancelled, it closes the file first."""
        if scope["type"] == "websocket":
            return send_denial(self, scope, receive, send)
        return _run_both(self, super().__call__(scope, receive, send))

    def _find(self, file: Any, scope: Scope) -> Any:
        try:
            return super()._find(file, scope)
        except FileNotFoundError as error:
            raise RuntimeError(f"File at path {self.path} does not exist.") from error
        except IsADirectoryError as error:
            raise RuntimeError(f"File at path {self.path} is not a file.") from error

    def _answer(self, file: Any, found: Any) -> PlainResponse:
        answer = super()._answer(file, found)
        if answer.status_code == 416:
            return PlainTextResponse("", 416, {"content-range": answer.headers["content-range"]})
        if answer.status_code == 304 and "etag" in answer.headers:
            answer.headers.raw[:] = [p for p in answer.headers.raw if p[0] != b"last-modified"]
        return answer
