"""What is asked of an app: requests, WebSocket conversations, and the order they come in."""

import json as json_lines
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

__all__ = [
    "BOUNDARY",
    "Ask",
    "Leave",
    "Say",
    "Script",
    "Talk",
    "Wait",
    "ask",
    "delete",
    "get",
    "leave",
    "multipart",
    "patch",
    "post",
    "put",
    "say",
    "script",
    "talk",
    "wait",
]

BOUNDARY = "a-boundary-of-the-tests"

Fields = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request; `chunks` is its body as it arrives, `left` a client that goes after it."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[bytes, ...]
    scope: tuple[tuple[str, Any], ...]
    label: str


@dataclass(frozen=True, slots=True)
class Say:
    """A message of the client of a WebSocket."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the app has sent so many messages more, beside its acceptance."""

    count: int


@dataclass(frozen=True, slots=True)
class Leave:
    """The client closes the WebSocket."""

    code: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Talk:
    """One WebSocket; behind its last step the client waits until the app closes."""

    url: str
    steps: tuple[Say | Wait | Leave, ...]
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    denies: bool
    label: str


@dataclass(frozen=True, slots=True)
class Script:
    """Requests and conversations, one after the other, of one app; `lifespan` runs around them."""

    steps: tuple[Ask | Talk, ...]
    lifespan: bool
    label: str


def ask(
    method: str,
    url: str = "/",
    *,
    headers: Fields = (),
    cookies: Mapping[str, str] | str | None = None,
    json: Any = None,
    content: bytes | str | None = None,
    content_type: str | None = None,
    data: Fields | None = None,
    files: Iterable[tuple[str, tuple[Any, ...]]] | None = None,
    chunks: Iterable[bytes] | None = None,
    label: str | None = None,
    **scope: Any,
) -> Ask:
    """`json`, `content`, `data` (a form) and `files` are the body, each with its content type."""
    fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    body, kind = _body(json, content, data, files)
    kind = content_type if content_type is not None else kind
    if kind:
        fields.append(("content-type", kind))
    if cookies is not None:
        fields.append(("cookie", cookies if isinstance(cookies, str) else _cookie(cookies)))
    parts = tuple(chunks) if chunks is not None else (body,)
    if method != "GET" or any(parts):
        fields.append(("content-length", str(sum(map(len, parts)))))
    shown = label or _shown(method, url, headers or cookies, body)
    return Ask(method, url, tuple(fields), parts, tuple(scope.items()), shown)


def _body(json: Any, content: Any, data: Any, files: Any) -> tuple[bytes, str | None]:
    if json is not None:
        return json_lines.dumps(json).encode(), "application/json"
    if content is not None:
        return (content.encode() if isinstance(content, str) else content), None
    pairs = list(data.items()) if isinstance(data, Mapping) else list(data or ())
    if files is not None:
        return multipart(pairs, files), f"multipart/form-data; boundary={BOUNDARY}"
    if data is not None:
        return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    return b"", None


def multipart(fields: Fields, files: Iterable[tuple[str, tuple[Any, ...]]] = ()) -> bytes:
    """A form in parts; a file is (name of the field, (file name, data, content type or none))."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    parts = [_part(name, None, value.encode(), None) for name, value in pairs]
    parts += [_part(name, *(*file, None)[:3]) for name, file in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(name: str, file: str | None, data: bytes, kind: str | None) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    if file is not None:
        head += f'; filename="{file}"'
    if kind is not None:
        head += f"\r\nContent-Type: {kind}"
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def _cookie(cookies: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _shown(method: str, url: str, more: Any, body: bytes) -> str:
    parts = [method, url]
    if more:
        parts.append(str(dict(more) if not isinstance(more, str) else more))
    if body:
        parts.append(body.decode("utf-8", "replace"))
    text = " ".join(parts)
    return text if len(text) <= 70 else f"{text[:67]}..."


def get(url: str = "/", **rest: Any) -> Ask:
    return ask("GET", url, **rest)


def post(url: str = "/", **rest: Any) -> Ask:
    return ask("POST", url, **rest)


def put(url: str = "/", **rest: Any) -> Ask:
    return ask("PUT", url, **rest)


def patch(url: str = "/", **rest: Any) -> Ask:
    return ask("PATCH", url, **rest)


def delete(url: str = "/", **rest: Any) -> Ask:
    return ask("DELETE", url, **rest)


def say(data: str | bytes) -> Say:
    return Say(data)


def wait(count: int = 1) -> Wait:
    return Wait(count)


def leave(code: int = 1000, reason: str | None = "") -> Leave:
    return Leave(code, reason)


def talk(
    url: str,
    *steps: Say | Wait | Leave,
    headers: Fields = (),
    subprotocols: Iterable[str] = (),
    denies: bool = False,
    label: str | None = None,
) -> Talk:
    """`denies` says that the server knows the extension of denial responses."""
    fields = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
    said = " ".join(str(each.data) for each in steps if isinstance(each, Say))
    return Talk(
        url, steps, fields, tuple(subprotocols), denies, label or f"WS {url} {said}".strip()
    )


def script(*steps: Ask | Talk, lifespan: bool = False, label: str | None = None) -> Script:
    return Script(steps, lifespan, label or "; ".join(each.label for each in steps))


def target(url: str) -> tuple[str, bytes, bytes]:
    """The path as the scope has it, the raw one, and the query string."""
    path, _, query = url.partition("?")
    return unquote(path), path.encode(), query.encode()
