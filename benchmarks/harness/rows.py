"""The long response that every app with middleware must send alike: an array of JSON, in chunks."""

from collections.abc import AsyncIterator

from benchmarks.harness.questions import Question
from benchmarks.harness.quotes import turn

CHUNKS = 100
MEDIA_TYPE = "application/json"
STREAM = Question("/stream", list(range(CHUNKS)))


async def rows() -> AsyncIterator[bytes]:
    """The array in `CHUNKS` pieces. Its source waits before each, or they could be sent as one."""
    for n in range(CHUNKS):
        await turn()
        yield b"%s%d%s" % (b"," if n else b"[", n, b"" if n + 1 < CHUNKS else b"]")


async def endless_rows() -> AsyncIterator[bytes]:
    """The same without an end."""
    n = 0
    while True:
        await turn()
        yield b"%s%d" % (b"," if n else b"[", n)
        n += 1
