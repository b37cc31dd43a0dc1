"""The codings that bodies can be sent in: gzip, and br and zstd by extras.

Of a body that is sent as a stream nobody knows how long it gets, nor how long it stays open, so its
encoder has a small window. What one takes once a megabyte went through it, with a flush after each
chunk: gzip 38 KiB (of 214 with zlib's own window), zstd 130 KiB (of 980), br 340 KiB (of 740).
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

from asgi_rt.errors import MissingExtra

__all__ = ["CODINGS", "LEVELS", "Encoder", "MakeEncoder", "load_encoders"]

CODINGS: Final[tuple[str, ...]] = ("zstd", "br", "gzip")
"""Those there are; the quickest first, which is the order that whole bodies prefer."""
LEVELS: Final[dict[str, int]] = {"zstd": 3, "br": 4, "gzip": 6}
"""How hard they try by default. A megabyte of JSON takes about 1.3, 5 and 10 ms."""
_LEVEL_RANGES: Final = {
    # From 20 on its window is larger than clients must support (RFC 9659).
    "zstd": range(1, 20),
    "br": range(12),
    "gzip": range(1, 10),
}
_PACKAGES: Final = {"zstd": ("zstandard", "zstd"), "br": ("brotli", "brotli")}
"""Which package and which extra a coding needs."""

_GZIP: Final = 16
"""Added to zlib's number of window bits for the gzip format (RFC 1952)."""
_GZIP_WINDOW, _GZIP_MEMORY = 15, 8
_GZIP_STREAM_WINDOW, _GZIP_STREAM_MEMORY = 12, 5
# A stream's quality, whatever the level: with less nothing is found in short chunks, and from 4 on
# it takes twice the memory.
_BR_STREAM_QUALITY: Final = 3
_BR_STREAM_WINDOW: Final = 14
_BR_STREAM_BLOCK: Final = 16
_BR_WINDOWS: Final = (16, 22)
_ZSTD_STREAM: Final = {"window_log": 14, "hash_log": 12, "chain_log": 12}


class Encoder(Protocol):
    """Encodes one body. Not to be used by two threads at once; dropping it frees what it holds."""

    def encode(self, piece: bytes | memoryview) -> bytes:
        """Take the next piece; what of it, or of those before, is encoded by now."""
        ...

    def flush(self) -> bytes:
        """The rest of what was taken: with it, all of that can be decoded."""
        ...

    def finish(self) -> bytes:
        """The rest, and the end of the body."""
        ...


MakeEncoder: TypeAlias = Callable[[int | None], Encoder]
"""Makes one for a body of so many bytes, or, for None, for a stream."""


def load_encoders(
    names: Iterable[str] | None = None, levels: Mapping[str, int] | None = None
) -> dict[str, MakeEncoder]:
    """What makes an encoder of each coding, in the order of `names`; None is what is installed.

    Raises ValueError for a coding or a level that there is not, and MissingExtra for one whose
    package is not installed.
    """
    levels = {**LEVELS, **(levels or {})}
    _check_names(levels)
    for name, level in levels.items():
        if level not in _LEVEL_RANGES[name]:
            least, most = _LEVEL_RANGES[name][0], _LEVEL_RANGES[name][-1]
            raise ValueError(f"the level of {name} is from {least} to {most}, not {level!r}")
    if names is None:
        return {name: make for name in CODINGS if (make := _load(name, levels[name])) is not None}
    if isinstance(names, str):
        raise TypeError(f"codings are a list of them, not one str: write [{names!r}]")
    wanted = list(dict.fromkeys(names))
    _check_names(wanted)
    made: dict[str, MakeEncoder] = {}
    for name in wanted:
        make = _load(name, levels[name])
        if make is None:
            raise MissingExtra(*_PACKAGES[name], f"the coding {name}")
        made[name] = make
    return made


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if name not in CODINGS:
            raise ValueError(f"no coding {name!r}; there are {', '.join(CODINGS)}")


def _load(name: str, level: int) -> MakeEncoder | None:
    """None where the package is missing."""
    if name not in _PACKAGES:
        return partial(GzipEncoder, level)
    try:
        module = import_module(_PACKAGES[name][0])
    except ImportError:
        return None
    if name == "br":
        return partial(BrotliEncoder, module, level)
    return partial(ZstdEncoder, module, level, _stream_parameters(module, level))


def _stream_parameters(zstandard: Any, level: int) -> Any:
    return zstandard.ZstdCompressionParameters.from_level(level, **_ZSTD_STREAM)


class GzipEncoder:
    """RFC 1952, by zlib."""

    __slots__ = ("_compressor",)

    def __init__(self, level: int, size: int | None) -> None:
        if size is None:
            window, memory = _GZIP_STREAM_WINDOW, _GZIP_STREAM_MEMORY
        else:
            window, memory = _GZIP_WINDOW, _GZIP_MEMORY
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, _GZIP + window, memory)

    def encode(self, piece: bytes | memoryview) -> bytes:
        return self._compressor.compress(piece)

    def flush(self) -> bytes:
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


class BrotliEncoder:
    """RFC 7932, by the package `brotli`."""

    __slots__ = ("_compressor",)

    def __init__(self, brotli: Any, level: int, size: int | None) -> None:
        if size is None:
            self._compressor = brotli.Compressor(
                quality=_BR_STREAM_QUALITY, lgwin=_BR_STREAM_WINDOW, lgblock=_BR_STREAM_BLOCK
            )
        else:
            least, most = _BR_WINDOWS
            window = max(least, min(size.bit_length(), most))
            self._compressor = brotli.Compressor(quality=level, lgwin=window)

    def encode(self, piece: bytes | memoryview) -> bytes:
        encoded: bytes = self._compressor.process(piece)
        return encoded

    def flush(self) -> bytes:
        encoded: bytes = self._compressor.flush()
        return encoded

    def finish(self) -> bytes:
        encoded: bytes = self._compressor.finish()
        return encoded


class ZstdEncoder:
    """RFC 8878, by the package `zstandard`."""

    __slots__ = ("_compressor", "_flush")

    def __init__(
        self, zstandard: Any, level: int, stream_parameters: Any, size: int | None
    ) -> None:
        self._flush: int = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        if size is None:
            compressor = zstandard.ZstdCompressor(compression_params=stream_parameters)
            self._compressor = compressor.compressobj()
        else:
            compressor = zstandard.ZstdCompressor(level=level)
            self._compressor = compressor.compressobj(size=size)

    def encode(self, piece: bytes | memoryview) -> bytes:
        encoded: bytes = self._compressor.compress(piece)
        return encoded

    def flush(self) -> bytes:
        encoded: bytes = self._compressor.flush(self._flush)
        return encoded

    def finish(self) -> bytes:
        encoded: bytes = self._compressor.flush()
        return encoded
