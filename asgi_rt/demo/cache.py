"""Files that the demo makes at its first start and keeps, in the user's folder for caches."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["cache_directory", "create_large_file", "create_once"]

_LARGE_FILE_BYTES: Final = 64 * 1024 * 1024
_LINE_BYTES: Final = 16
_BLOCK_BYTES: Final = 1024 * 1024


def cache_directory() -> Path:
    """The demo's own directory; made where it is not there yet. $XDG_CACHE_HOME is respected."""
    try:
        directory = _user_caches() / "asgi_rt" / "demo"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # not ours to write to, or no home at all
        directory = Path(tempfile.gettempdir()) / "asgi_rt-demo"
        directory.mkdir(exist_ok=True)
    return directory


def _user_caches() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or ""
    if os.path.isabs(base):  # a relative one is to be ignored, the XDG specification says
        return Path(base)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def create_once(path: Path, fill: Callable[[Path], None]) -> Path:
    """`path`, made by `fill` where it is not there yet: whole or not at all.

    Two processes may do so at once; they make the same, and one of the two is kept.
    """
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(prefix=path.name, dir=path.parent) as directory:
        made = Path(directory) / path.name
        fill(made)
        try:
            made.replace(path)
        except OSError:  # Windows replaces no file that the other process has open
            if not path.exists():
                raise
    return path


def create_large_file(directory: Path) -> Path:
    """A file of 64 MiB. Each of its lines of 16 bytes is its own offset: a range shows itself."""
    return create_once(directory / "large-1.bin", _fill)


def _fill(path: Path) -> None:
    with path.open("wb") as file:
        for block in range(0, _LARGE_FILE_BYTES, _BLOCK_BYTES):
            offsets = range(block, block + _BLOCK_BYTES, _LINE_BYTES)
            file.write(b"".join(b"%015d\n" % offset for offset in offsets))
