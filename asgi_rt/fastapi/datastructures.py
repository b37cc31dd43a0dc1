"""What requests and responses are made of, by Starlette's names."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Generic, NamedTuple, Self, TypeVar, cast
from urllib.parse import parse_qsl, urlencode

from asgi_rt.asgi import RawHeaders, Scope
from asgi_rt.fastapi.concurrency import run_in_threadpool
from asgi_rt.fastapi.url import URL, URLPath
from asgi_rt.http.headers import Headers as PlainHeaders
from asgi_rt.http.headers import MutableHeaders as PlainMutableHeaders
from asgi_rt.http.headers import raw_headers
from asgi_rt.http.uploads import Upload

__all__ = ["URL", "Address", "Default", "DefaultPlaceholder", "FormData", "Headers"]
__all__ += ["ImmutableMultiDict", "MutableHeaders", "QueryParams", "Secret", "State", "URLPath"]
__all__ += ["UploadFile"]

T = TypeVar("T")
V = TypeVar("V")


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int


class ImmutableMultiDict(Mapping[str, V], Generic[V]):
    """Pairs in order. `[key]` is the last value, `getlist(key)` all; `multi_items()` every pair."""

    def __init__(self, items: Any = (), /, **more: V) -> None:
        pairs = getattr(items, "multi_items", getattr(items, "items", lambda: items or ()))()
        self._list: list[tuple[str, V]] = [*pairs, *more.items()]
        self._dict = dict(self._list)

    def __getitem__(self, key: str) -> V:
        return self._dict[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def getlist(self, key: str) -> list[V]:
        """Every value of that key, in order; an empty list where there is none."""
        return [value for name, value in self._list if name == key]

    def multi_items(self) -> list[tuple[str, V]]:
        """Every pair, in order."""
        return list(self._list)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._list!r})"


class QueryParams(ImmutableMultiDict[str]):
    """The fields of a query: of its text, of a mapping or of pairs. `str()` is the text."""

    def __init__(self, items: Any = (), /, **more: Any) -> None:
        text = items.decode("latin-1") if isinstance(items, bytes) else items
        super().__init__(parse_qsl(text, True) if isinstance(text, str) else text, **more)
        self._list = [(str(name), str(value)) for name, value in self._list]
        self._dict = dict(self._list)

    def __str__(self) -> str:
        return urlencode(self._list)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class Headers(PlainHeaders):
    """Header fields: of a mapping, of the pairs of a message, or of a scope. Names in any case.

    What is changed here is changed in the scope, or in the message that is given as one. `keys()`,
    `values()` and `items()` have repeated names repeatedly.
    """

    __slots__ = ()

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        raw: RawHeaders | None = None,
        scope: Scope | None = None,
    ) -> None:
        given = raw_headers(headers) if raw is None else raw
        if scope is not None:
            given = scope["headers"] = [*scope["headers"]]
        super().__init__(given)

    def items(self) -> Any:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]

    def keys(self) -> Any:
        return [name for name, _ in self.items()]

    def values(self) -> Any:
        return [value for _, value in self.items()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.raw)

    def getlist(self, key: str) -> list[str]:
        """Every value of that name, in order; an empty list where there is none."""
        return self.get_all(key)

    def mutablecopy(self) -> "MutableHeaders":
        """The same fields, to be changed apart from these."""
        return MutableHeaders(raw=list(self.raw))

    def __repr__(self) -> str:
        fields = dict(self.items())
        return f"{type(self).__name__}({fields if len(fields) == len(self) else f'raw={self.raw}'})"


class MutableHeaders(Headers, PlainMutableHeaders):
    """Header fields that can be changed in place. Raises ValueError for what cannot be sent."""

    __slots__ = ()

    def __delitem__(self, key: str) -> None:
        if key in self:
            super().__delitem__(key)

    def __ior__(self, fields: Mapping[str, str]) -> Self:
        self.update(fields)
        return self

    def __or__(self, fields: Mapping[str, str]) -> "MutableHeaders":
        return self.mutablecopy().__ior__(fields)

    add_vary_header = PlainMutableHeaders.vary


class Secret:
    """Text that tracebacks do not show."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __str__(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)


class State:
    """The values of a dict, as attributes and as items."""

    _state: dict[str, Any]

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        super().__setattr__("_state", {} if state is None else state)

    def __getattr__(self, name: str) -> Any:
        values: dict[str, Any] = self.__dict__.get("_state", {})  # which a copy has not at once
        if name not in values:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __delattr__(self, name: str) -> None:
        del self._state[name]

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    __setitem__ = __setattr__
    __delitem__ = __delattr__

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class UploadFile:
    """A file of a form, which stands at its beginning. What would block runs in a worker thread.

    For one task at a time; sync code uses `file`. It is closed when the request is over. Never open
    a file by its `filename`, which is the client's. `size` is in bytes.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        size: int | None = None,
        filename: str | None = None,
        headers: PlainHeaders | None = None,
    ) -> None:
        # In the order in which they are found in a 422.
        self.filename = filename
        self.file = file
        self.size = size
        self.headers = Headers() if headers is None else Headers(raw=headers.raw)
        self._max_mem_size: int = getattr(file, "_max_size", 0)

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """The same file as one that was read by `asgi_rt.http.forms`."""
        file = cast("BinaryIO", upload.file)
        return cls(file, size=upload.size, filename=upload.filename, headers=upload.headers)

    @property
    def content_type(self) -> str | None:
        """What the client says that it is; None where it does not say."""
        return self.headers.get("content-type")

    async def _call(self, func: Callable[..., T], *args: Any, grows: int = 0) -> T:
        # A spooled file says by these names alone whether it is in memory, and stays there.
        moves = grows and self.file.tell() + grows > self._max_mem_size > 0
        if moves or getattr(self.file, "_rolled", True):
            return await run_in_threadpool(func, *args)
        return func(*args)

    async def write(self, data: bytes) -> None:
        """Write at the current position."""
        await self._call(self.file.write, data, grows=len(data))
        self.size = None if self.size is None else self.size + len(data)

    async def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`, all of them when it is negative; at the end b""."""
        return await self._call(self.file.read, size)

    async def seek(self, offset: int) -> None:
        """Go to `offset` bytes from the beginning."""
        await self._call(self.file.seek, offset)

    async def close(self) -> None:
        """Close it. Calling it again changes nothing."""
        await self._call(self.file.close)

    def __repr__(self) -> str:
        return f"UploadFile({self.filename!r}, size={self.size!r}, headers={self.headers!r})"

    # For pydantic

    @classmethod
    def _checked(cls, value: Any) -> "UploadFile":
        if not isinstance(value, UploadFile):
            raise ValueError(f"Expected UploadFile, received: {type(value)}")
        return value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core.core_schema import no_info_plain_validator_function

        return no_info_plain_validator_function(cls._checked)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return {"type": "string", "contentMediaType": "application/octet-stream"}


class FormData(ImmutableMultiDict[UploadFile | str]):
    """The fields and files of a form."""

    async def close(self) -> None:
        """Close every file."""
        for _, value in self._list:
            if isinstance(value, UploadFile):
                await value.close()


class DefaultPlaceholder:
    """A default value that can be told from the same value given by somebody."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DefaultPlaceholder) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment]  # equal by a value that need have no hash


def Default(value: T) -> T:
    """Mark a default value; for whoever reads it, it has the type of the value."""
    return cast("T", DefaultPlaceholder(value))
