"""A journal in SQLite that clients follow: events that outlast the server.

Every entry is an event and its row number is the event's id. A client that names the last one it
has is given what came after it, whichever process serves it by then.
"""

import logging
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import anyio
from anyio.to_thread import run_sync

from asgi_rt import Event

__all__ = ["Journal", "JournalTable", "open_journal"]

T = TypeVar("T")

_INTERVAL_SECONDS: Final = 0.25
_PAUSE_AFTER_ERROR_SECONDS: Final = 10.0
_MAX_ENTRIES: Final = 2000
_BATCH: Final = 200
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    process INTEGER NOT NULL
)
"""
_logger = logging.getLogger("asgi_rt.demo")


class Entry(NamedTuple):
    """One row."""

    number: int
    time: str
    process: int


class Extract(NamedTuple):
    """Some entries, and the numbers between which entries are kept; 1 and 0 where none is."""

    oldest: int
    newest: int
    entries: list[Entry]


class JournalTable:
    """The newest `max_entries` entries, numbered without holes. Its methods block.

    Any number of processes may have the same file open; in each, one thread at a time may call.
    """

    def __init__(self, path: Path, *, max_entries: int = _MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # Readers and the writer need not wait for each other, and what is committed outlasts a
        # kill of the process. The file remembers the mode; another process may be setting it now.
        with suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(_SCHEMA)

    def append(self) -> None:
        """Add an entry, and delete the one that is too many."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            insert = "INSERT INTO entries (time, process) VALUES (?, ?)"
            number = connection.execute(insert, (time, os.getpid())).lastrowid or 0
            oldest = number - self._max_entries
            connection.execute("DELETE FROM entries WHERE number <= ?", (oldest,))

    def read_after(self, number: int | None, *, limit: int) -> Extract:
        """The entries after `number`, oldest first, at most `limit`; after None there are none."""
        connection = self._connection
        connection.execute("BEGIN")
        with connection:
            bounds = "SELECT coalesce(min(number), 1), coalesce(max(number), 0) FROM entries"
            oldest, newest = connection.execute(bounds).fetchone()
            select = "SELECT * FROM entries WHERE number > ? ORDER BY number LIMIT ?"
            rows = connection.execute(select, (newest if number is None else number, limit))
            return Extract(oldest, newest, [Entry(*row) for row in rows])

    def close(self) -> None:
        self._connection.close()


class Journal:
    """Writes the table and lets any number of tasks follow it."""

    def __init__(self, table: JournalTable) -> None:
        self._table = table
        self._turn = anyio.CapacityLimiter(1)  # the table's one thread at a time
        self._grown = anyio.Event()  # set at the next entry, and then replaced

    async def write(self) -> None:
        """Append an entry four times a second, for ever."""
        while True:
            try:
                await self._in_thread(self._table.append)
            except sqlite3.Error as error:  # the disk is full, or another process holds the lock
                _logger.warning("the journal cannot be written: %s", error)
                await anyio.sleep(_PAUSE_AFTER_ERROR_SECONDS)
            else:
                self._grown.set()
                self._grown = anyio.Event()
                await anyio.sleep(_INTERVAL_SECONDS)

    async def follow(self, last_event_id: str | None) -> AsyncGenerator[Event, None]:
        """What came after an id, then what comes, in order; without an id, what comes.

        Where entries after the id are deleted, or the id is none of this journal, one event `gap`
        stands for all that is there, as it does in an `EventLog`.
        """
        position: int | None = None
        if last_event_id is not None:
            position = _number(last_event_id)
        else:
            extract = await self._read_after(None)
            position = extract.newest
            # The client knows its place from now on, even if it is lost before its first entry.
            yield Event(id=str(position))
        while True:
            grown = self._grown  # before the read: what comes meanwhile is not slept through
            extract = await self._read_after(position)
            gap = _gap(position, extract)
            if gap is not None:
                position = extract.newest
                yield Event(gap, event="gap", id=str(position))
                continue
            for entry in extract.entries:
                position = entry.number
                yield Event(entry._asdict(), id=str(position))
            if len(extract.entries) < _BATCH:
                await grown.wait()

    async def _read_after(self, number: int | None) -> Extract:
        return await self._in_thread(lambda: self._table.read_after(number, limit=_BATCH))

    async def _in_thread(self, func: Callable[[], T]) -> T:
        return await run_sync(func, limiter=self._turn)


def _number(last_event_id: str) -> int | None:
    is_number = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19
    return int(last_event_id) if is_number else None


def _gap(position: int | None, extract: Extract) -> dict[str, Any] | None:
    if position is None or position > extract.newest:
        return {"reason": "unknown", "missed": None}
    if position < extract.oldest - 1:
        return {"reason": "expired", "missed": extract.newest - position}
    return None


@asynccontextmanager
async def open_journal(path: Path) -> AsyncGenerator[Journal, None]:
    """A journal that is written for as long as the block lasts."""
    table = await run_sync(JournalTable, path)
    journal = Journal(table)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.write)
            yield journal
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(table.close)
