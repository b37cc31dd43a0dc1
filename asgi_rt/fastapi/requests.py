"""Requests, by Starlette's names, and what they have in common with WebSockets."""

import json
import re
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.errors import ClientDisconnected, HTTPError
from asgi_rt.fastapi.datastructures import (
    URL,
    Address,
    FormData,
    Headers,
    QueryParams,
    State,
    UploadFile,
)
from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.http.connection import HTTPConnection as PlainConnection
from asgi_rt.http.forms import FormLimits
from asgi_rt.http.request import Request as PlainRequest

__all__ = ["ClientDisconnect", "HTTPConnection", "Request"]

ClientDisconnect: TypeAlias = ClientDisconnected

_TOO_MANY_FIELDS: Final = "Too many fields. Maximum number of fields is {}."
_TOO_LARGE: Final = "{} exceeded maximum size of {}KB."
_ESCAPE: Final = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def _put_by(middleware: str, name: str) -> Any:
    def find(self: "HTTPConnection") -> Any:
        assert name in self.scope, f"{middleware} must be installed to access request.{name}"
        value = self.scope[name]
        if hasattr(value, "mark_accessed"):  # so that the response says that it depends on cookies
            value.mark_accessed()
        return value

    return property(find)


class HTTPConnection(PlainConnection, Mapping[str, Any]):
    """The head of a request. The items of its scope are its items, but it equals only itself."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType] - which a mapping has not

    _fields: Headers | None = None
    _params: QueryParams | None = None

    def __init__(self, scope: Scope, receive: Receive | None = None) -> None:
        self.scope = scope
        self.path_params = scope.get("path_params") or {}

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)

    @property
    def headers(self) -> Headers:
        """The header fields, by names in any case."""
        if self._fields is None:
            self._fields = Headers(raw=self.scope.get("headers", []))  # a test may leave them out
        return self._fields

    @property
    def query_params(self) -> QueryParams:
        """The fields of the query. What is not UTF-8 in it becomes U+FFFD."""
        if self._params is None:
            self._params = QueryParams(self.scope.get("query_string", b""))
        return self._params

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, by name; of a repeated name the last."""
        if self._cookies is None:
            self._cookies = _cookies_of(";".join(self.headers.getlist("cookie")))
        return self._cookies

    @property
    def client(self) -> Address | None:
        """The peer's host and port, where the server knows them."""
        client = self.scope.get("client")
        return None if client is None else Address(*client)

    @property
    def state(self) -> State:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - it has attributes
        """What the lifespan gave, and what middleware and handlers add for this connection."""
        return State(self.scope.setdefault("state", {}))

    session = _put_by("SessionMiddleware", "session")
    """What a session middleware keeps for this client."""
    auth = _put_by("AuthenticationMiddleware", "auth")
    """What this client may do, by an authentication middleware."""
    user = _put_by("AuthenticationMiddleware", "user")
    """Who this client is, by an authentication middleware."""

    @property
    def url(self) -> URL:
        """The URL that was asked for, its path percent-decoded."""
        return URL(scope=self.scope)

    @property
    def base_url(self) -> URL:
        """Scheme, host and root path of this request's URL, with a slash at the end."""
        root: str = self.scope.get("app_root_path", self.scope.get("root_path", ""))
        path = root if root.endswith("/") else root + "/"
        return URL(scope={**self.scope, "path": path, "query_string": b""})

    def url_for(self, name: str, /, **params: Any) -> URL:
        """The absolute URL of a named route."""
        router: Any = self.scope.get("router") or self.scope["app"]
        return URL(router.url_path_for(name, **params).make_absolute_url(self.base_url))


def _cookies_of(header: str) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for chunk in header.split(";"):
        name, _, value = chunk.partition("=") if "=" in chunk else ("", "", chunk)
        name, value = name.strip(), value.strip()
        if name or value:
            cookies[name] = _unquoted(value)
    return cookies


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])


def _refusal(error: HTTPError, limits: FormLimits) -> str | None:
    """What FastAPI calls this fault of a form."""
    names = {
        "needs a boundary": "Missing boundary in multipart.",
        "Content-Disposition": 'The Content-Disposition header field "name" must be provided.',
        "malformed": "Invalid multipart data.",
        " fields": _TOO_MANY_FIELDS.format(limits.max_fields),
        " files": f"Too many files. Maximum number of files is {limits.max_files}.",
        "a field of": _TOO_LARGE.format("Part", limits.max_field_bytes // 1024),
    }
    detail = error.detail or ""
    return next((name for fault, name in names.items() if fault in detail), detail)


class _FormRead(Awaitable[FormData]):
    """A form that is to be read: awaited, or by `async with`, which closes it."""

    def __init__(self, read: Callable[[], Awaitable[FormData]]) -> None:
        self._read = read

    def __await__(self) -> Generator[Any, Any, FormData]:
        return self._read().__await__()

    async def __aenter__(self) -> FormData:
        return await self

    async def __aexit__(self, *error: object) -> None:
        await (await self).close()


async def _missing() -> Any:
    raise RuntimeError("this request was made without a receive, so it has no body")


class Request(HTTPConnection, PlainRequest):  # pyright: ignore[reportIncompatibleMethodOverride] - its state
    """One HTTP request: its head at once, its body when asked for.

    Every task that serves the request may use it. Cancelling a wait loses nothing. A body is read
    up to the app's `max_body_bytes`, a form as far as disk and `max_part_size` for each field let.
    """

    _json: Any = None
    _form_data: FormData | None = None

    def __init__(self, scope: Scope, receive: Receive = _missing, send: Send | None = None) -> None:
        self.scope = scope
        self.receive = receive
        self.path_params = scope.get("path_params") or {}

    async def stream(self, *, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """The body as `asgi_rt.http.request.Request.stream` gives it, and an empty chunk."""
        async with aclosing(super().stream(max_bytes=max_bytes)) as chunks:
            async for chunk in chunks:
                yield chunk
        yield b""

    async def json(self, max_bytes: int | None = None) -> Any:
        """The value of the body as JSON; ValueError if it is none."""
        if self._json is None:
            self._json = json.loads(await self.body(max_bytes))
        return self._json

    def form(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - Starlette's options
        self, *, max_files: float = 1000, max_fields: float = 1000, max_part_size: int = 1024 * 1024
    ) -> _FormRead:
        """The fields and files of a form, to be awaited or entered; empty for what is none.

        Raises HTTPException, a 400, for a malformed form and beyond the limits.
        """
        files, fields = (int(min(limit, 1e9)) for limit in (max_files, max_fields))
        limits = FormLimits(
            max_files=files, max_fields=fields, max_field_bytes=max_part_size, max_bytes=None
        )
        return _FormRead(lambda: self._read_form(limits))

    async def _read_form(self, limits: FormLimits) -> FormData:
        if self._form_data is None:
            form = FormData(await self._read_pairs(limits))
            if self._form_data is None:  # pyright: ignore[reportUnnecessaryComparison] - another task may have read it meanwhile
                self._form_data = form
        return self._form_data

    async def _read_pairs(self, limits: FormLimits) -> Sequence[tuple[str, str | UploadFile]]:
        if self.content_type == "application/x-www-form-urlencoded":
            text = (await self.body()).decode("latin-1")
            if text.count("&") >= limits.max_fields:
                raise HTTPException(400, _TOO_MANY_FIELDS.format(limits.max_fields))
            if max(map(len, text.split("&"))) > limits.max_field_bytes:
                raise HTTPException(400, _TOO_LARGE.format("Field", limits.max_field_bytes // 1024))
            return parse_qsl(text, keep_blank_values=True)
        if self.content_type != "multipart/form-data":
            return []
        try:
            form = await PlainRequest.form(self, limits)
        except HTTPError as error:
            raise HTTPException(400, _refusal(error, limits)) from None
        return [
            (name, value if isinstance(value, str) else UploadFile.of(value))
            for name, value in form.pairs
        ]

    async def close(self) -> None:
        """Close the files of the form, if one was read."""
        await self.aclose()
