"""Forms: the fields and files of a request, url-encoded or multipart (RFC 7578).

A form is read as it arrives. A field is kept in memory; a file too, up to `spool_bytes`, and beyond
that on disk, which only worker threads touch. What goes beyond a limit is refused at once.
"""

import re
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from asgi_rt.asgi import RawHeaders, Scope
from asgi_rt.errors import HTTPError, MissingExtra
from asgi_rt.http.disposition import parse_form_data
from asgi_rt.http.headers import Headers, connection_close, parse_options
from asgi_rt.http.query import parse_field
from asgi_rt.http.uploads import Spool, Upload

__all__ = ["Form", "FormLimits", "read_form"]

_URL_ENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_CHARSETS: Final = {"utf-8", "utf8", "us-ascii", "ascii"}
_TRANSFER_ENCODINGS: Final = {"binary", "8bit", "7bit"}
_BOUNDARY: Final = re.compile(r"[ -~]{0,69}[!-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """What a form may hold at most; beyond any of it the answer is 413, which names the limit."""

    max_fields: int = 1000
    """Fields that are no files."""
    max_files: int = 100
    max_field_bytes: int = 1024 * 1024
    """Bytes of one field's value; of a url-encoded form, of `name=value` as it was sent."""
    max_file_bytes: int | None = None
    """Bytes of one file. None: what `max_bytes` leaves."""
    max_bytes: int | None = 64 * 1024 * 1024
    """Bytes of the whole body, which the fields alone can fill memory with. None is no limit."""
    max_part_header_bytes: int = 8 * 1024
    """Bytes of the header fields of one part of a multipart form."""
    spool_bytes: int = 1024 * 1024
    """No limit: the bytes of one file that stay in memory; a larger file goes to disk."""


class Form(Mapping[str, str | Upload]):
    """The fields of a form, in order, repeated keys kept: str, or an `Upload` for a file.

    `form[key]` is the last value, as in a `Query`; `get_all(key)` gives every one. The files are
    closed with the form: by the app when the handler is done, or by `aclose` and `async with`.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str | Upload]] = ()) -> None:
        self.pairs = list(pairs)
        """Every field and file, in order."""

    def __getitem__(self, key: str) -> str | Upload:
        for name, value in reversed(self.pairs):
            if name == key:
                return value
        raise KeyError(key)

    def get_all(self, key: str) -> list[str | Upload]:
        """Every value of that key, in order; an empty list where there is none."""
        return [value for name, value in self.pairs if name == key]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Every field that is no file, in order."""
        return [(name, value) for name, value in self.pairs if isinstance(value, str)]

    @property
    def files(self) -> list[tuple[str, Upload]]:
        """Every file with the name of its field, in order."""
        return [(name, value) for name, value in self.pairs if isinstance(value, Upload)]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self.pairs})

    def __repr__(self) -> str:
        return f"Form({self.pairs!r})"

    async def aclose(self) -> None:
        """Close every file. Shielded from cancellation; calling it again changes nothing."""
        for _, upload in self.files:
            await upload.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class FormSource(Protocol):
    """What a form is read from: a `Request` fits."""

    @property
    def scope(self) -> Scope: ...
    @property
    def headers(self) -> Headers: ...
    def stream(self, *, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]: ...


class FormParser(Protocol):
    """What makes a form of the bytes of a body. Both methods raise HTTPError."""

    unflushed: list[Spool]
    """Files that may hold what must go to disk before more is fed."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, in whatever split they come."""
        ...

    def end(self) -> None:
        """Nothing follows."""
        ...


async def read_form(request: FormSource, limits: FormLimits | None = None) -> Form:
    """The form that `request` carries; `limits` of None are the default ones.

    Raises HTTPError 415 for what is no form or not UTF-8 by its own account, 400 for a malformed
    form, 413 beyond a limit without reading the rest; ClientDisconnected; and MissingExtra for a
    multipart form without the extra `forms`. Whatever it raises, and when it is cancelled, every
    file is closed; what was read by then is lost.
    """
    limits = limits or FormLimits()
    form = Form()
    parser = _parser_for(request.headers.get("content-type", ""), form, limits)
    try:
        async with aclosing(request.stream(max_bytes=limits.max_bytes)) as chunks:
            async for chunk in chunks:
                parser.feed(chunk)
                for spool in parser.unflushed:
                    await spool.flush()
        parser.end()
        for _, upload in form.files:
            await upload.seek(0)
    except HTTPError as error:
        await form.aclose()
        # There may be more to come, which nobody wants any more.
        error.headers.update(connection_close(request.scope))
        raise
    except BaseException:
        await form.aclose()
        raise
    return form


def _parser_for(content_type: str, form: Form, limits: FormLimits) -> FormParser:
    media_type, options = parse_options(content_type)
    if media_type not in (_URL_ENCODED, _MULTIPART):
        shown = repr(media_type[:80]) if media_type else "of no content type"
        raise HTTPError(
            415,
            f"a form is {_URL_ENCODED} or {_MULTIPART}; this request body is {shown}",
            headers={"accept": f"{_URL_ENCODED}, {_MULTIPART}"},
        )
    _check_charset("the form", options)
    if media_type == _URL_ENCODED:
        return _UrlEncoded(form, limits)
    return _Multipart(form, limits, _boundary(options))


def _check_charset(what: str, options: Mapping[str, str]) -> None:
    charset = options.get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        raise HTTPError(415, f"{what} is declared to be {charset[:40]!r}; only UTF-8 is read")


def _boundary(options: Mapping[str, str]) -> str:
    boundary = options.get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise HTTPError(
            400,
            f"the content type {_MULTIPART} needs a boundary of 1 to 70 ASCII characters"
            " (RFC 2046 section 5.1.1)",
        )
    return boundary


def _over(what: str, limit: int) -> HTTPError:
    return HTTPError(413, f"the form has {what.format(limit)}")


class _UrlEncoded:
    """Fields parted by ampersands, WHATWG URL section 5.1."""

    def __init__(self, form: Form, limits: FormLimits) -> None:
        self.unflushed: list[Spool] = []
        self._form = form
        self._limits = limits
        self._field = bytearray()

    def feed(self, data: bytes) -> None:
        begin = 0
        while (end := data.find(b"&", begin)) >= 0:
            self._extend(data[begin:end])
            self._close_field()
            begin = end + 1
        self._extend(data[begin:])

    def end(self) -> None:
        self._close_field()

    def _extend(self, data: bytes) -> None:
        self._field += data
        if len(self._field) > self._limits.max_field_bytes:
            raise _over("a field of more than {} bytes", self._limits.max_field_bytes)

    def _close_field(self) -> None:
        if not self._field:
            return
        if len(self._form.pairs) >= self._limits.max_fields:
            raise _over("more than {} fields", self._limits.max_fields)
        try:
            self._form.pairs.append(parse_field(bytes(self._field), "form"))
        except ValueError as error:
            raise HTTPError(400, str(error)) from None
        self._field.clear()


class _Multipart:
    """Parts between boundaries, RFC 7578; the cutting is python-multipart's, the meaning is here.

    A part is a file if its disposition has a `filename`, else a field.
    """

    def __init__(self, form: Form, limits: FormLimits, boundary: str) -> None:
        try:
            from python_multipart.multipart import MultipartParser
        except ImportError:
            raise MissingExtra("python-multipart", "forms", "reading a form") from None
        self.unflushed: list[Spool] = []
        self._form = form
        self._limits = limits
        self._name = ""
        self._value = bytearray()
        self._spool: Spool | None = None
        self._headers: RawHeaders = []
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._header_bytes = 0
        self._fields = self._files = self._fed = 0
        self._has_begun = self._is_in_headers = self._is_complete = False
        self._parser = MultipartParser(
            boundary.encode("latin-1"),
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._extend_header_name,
                "on_header_value": self._extend_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._extend_part,
                "on_part_end": self._end_part,
                "on_end": self._complete,
            },
        )
        # Its own bounds are off, as `max_part_header_bytes` is checked here; set so because
        # versions before they came take no such arguments.
        self._parser.max_header_count = self._parser.max_header_size = sys.maxsize

    def feed(self, data: bytes) -> None:
        self.unflushed = [] if self._spool is None else [self._spool]
        if not self._has_begun:
            # The parser would skip what follows line ends as well, if it came in the same chunk.
            size = len(data)
            data = data.lstrip(b"\r\n")
            self._fed += size - len(data)
            self._has_begun = bool(data)
        try:
            self._parser.write(data)
        except ValueError as error:  # the base of what it raises about its input
            at = self._fed + max(getattr(error, "offset", 0), 0)
            place = "in the header of a part" if self._is_in_headers else "at a boundary"
            raise HTTPError(400, f"the form is malformed {place}, near byte {at}") from None
        self._fed += len(data)

    def end(self) -> None:
        if not self._is_complete:
            raise HTTPError(400, "the form ends before its closing boundary")

    def _complete(self) -> None:
        self._is_complete = True

    # The header of a part

    def _begin_part(self) -> None:
        self._headers = []
        self._header_bytes = 0
        self._is_in_headers = True

    def _extend_header_name(self, data: bytes, begin: int, end: int) -> None:
        self._count_header(end - begin)
        self._header_name += data[begin:end]

    def _extend_header_value(self, data: bytes, begin: int, end: int) -> None:
        self._count_header(end - begin)
        self._header_value += data[begin:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        limit = self._limits.max_part_header_bytes
        if self._header_bytes > limit:
            raise _over("a part whose header is longer than {} bytes", limit)

    def _end_header(self) -> None:
        self._count_header(len(": \r\n"))
        name, value = bytes(self._header_name), bytes(self._header_value)
        self._headers.append((name.lower(), value.strip(b" \t")))
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        self._is_in_headers = False
        headers = Headers(self._headers)
        try:
            self._name, filename = parse_form_data(headers.get("content-disposition", ""))
        except ValueError as error:
            raise HTTPError(400, f"a part of the form has {error}") from None
        encoding = headers.get("content-transfer-encoding", "binary").lower()
        if encoding not in _TRANSFER_ENCODINGS:
            raise HTTPError(
                415,
                f"the form field {self._name[:40]!r} has the transfer encoding {encoding[:40]!r};"
                " only binary is read (RFC 7578 section 4.7)",
            )
        if filename is None:
            self._begin_field(headers)
        else:
            self._begin_file(filename, headers)

    # The content of a part

    def _begin_field(self, headers: Headers) -> None:
        self._fields += 1
        if self._fields > self._limits.max_fields:
            raise _over("more than {} fields", self._limits.max_fields)
        _, options = parse_options(headers.get("content-type", ""))
        _check_charset(f"the form field {self._name[:40]!r}", options)

    def _begin_file(self, filename: str, headers: Headers) -> None:
        self._files += 1
        if self._files > self._limits.max_files:
            raise _over("more than {} files", self._limits.max_files)
        self._spool = Spool(self._limits.spool_bytes)
        self.unflushed.append(self._spool)
        self._form.pairs.append((self._name, Upload(filename, headers, self._spool)))

    def _extend_part(self, data: bytes, begin: int, end: int) -> None:
        if self._spool is None:
            self._value += data[begin:end]
            if len(self._value) > self._limits.max_field_bytes:
                raise _over("a field of more than {} bytes", self._limits.max_field_bytes)
            return
        limit = self._limits.max_file_bytes
        if limit is not None and self._spool.size + end - begin > limit:
            raise _over("a file of more than {} bytes", limit)
        self._spool.feed(data[begin:end])

    def _end_part(self) -> None:
        if self._spool is not None:
            self._spool = None
            return
        try:
            self._form.pairs.append((self._name, self._value.decode("utf-8")))
        except UnicodeDecodeError:
            raise HTTPError(400, f"the form field {self._name[:40]!r} is not UTF-8") from None
        self._value.clear()
