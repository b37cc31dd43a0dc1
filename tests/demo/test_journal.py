"""The demo's journal: what a follower is given, whatever happened to the table meanwhile."""

import sqlite3
from contextlib import aclosing, closing

import anyio
import pytest

from asgi_rt import Event
from asgi_rt.demo import journal as journal_module
from asgi_rt.demo.journal import Journal, JournalTable, open_journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def table(path):
    with closing(JournalTable(path, max_entries=5)) as table:
        yield table


def append(table, count):
    for _ in range(count):
        table.append()


async def numbers(events, count):
    """The numbers of the next events, each of which must be an entry under its own number."""
    found = []
    for _ in range(count):
        event = await anext(events)
        assert event.event is None
        assert event.id == str(event.data["number"])
        found.append(event.data["number"])
    return found


async def test_a_new_follower_is_told_its_place_and_given_what_comes(path):
    async with open_journal(path) as journal, aclosing(journal.follow(None)) as events:
        place = await anext(events)
        assert place == Event(id=place.id)
        first = int(place.id) + 1
        assert await numbers(events, 2) == [first, first + 1]


async def test_a_journal_that_is_opened_again_goes_on_where_it_was(path):
    async with open_journal(path) as journal, aclosing(journal.follow("0")) as events:
        assert await numbers(events, 2) == [1, 2]
    async with open_journal(path) as journal, aclosing(journal.follow("1")) as events:
        assert await numbers(events, 3) == [2, 3, 4]


async def test_the_journals_of_two_processes_are_one(path, table):
    append(table, 1)
    async with open_journal(path) as journal, aclosing(journal.follow("1")) as events:
        append(table, 2)
        found = await numbers(events, 3)
    assert found == [2, 3, 4]


async def test_more_than_a_batch_comes_in_order(path, monkeypatch):
    monkeypatch.setattr(journal_module, "_BATCH", 3)
    with closing(JournalTable(path)) as table:
        append(table, 10)
        async with aclosing(Journal(table).follow("2")) as events:
            assert await numbers(events, 8) == list(range(3, 11))


async def test_what_was_deleted_is_one_gap(table):
    append(table, 12)
    async with aclosing(Journal(table).follow("6")) as events:
        gap = {"reason": "expired", "missed": 6}
        assert await anext(events) == Event(gap, event="gap", id="12")
        append(table, 1)
        assert await numbers(events, 1) == [13]


async def test_the_oldest_that_is_kept_can_be_asked_for(table):
    append(table, 12)
    async with aclosing(Journal(table).follow("7")) as events:
        assert await numbers(events, 5) == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("last_event_id", ["13", "garbage-5", "-1", "1.5", "٣", "9" * 30])
async def test_an_id_that_was_never_given_is_one_gap(table, last_event_id):
    append(table, 12)
    async with aclosing(Journal(table).follow(last_event_id)) as events:
        gap = {"reason": "unknown", "missed": None}
        assert await anext(events) == Event(gap, event="gap", id="12")
        append(table, 1)
        assert await numbers(events, 1) == [13]


async def test_a_follower_that_falls_behind_the_table_is_told_of_the_gap(table, monkeypatch):
    monkeypatch.setattr(journal_module, "_BATCH", 2)
    append(table, 2)
    async with aclosing(Journal(table).follow("0")) as events:
        assert await numbers(events, 2) == [1, 2]
        append(table, 10)
        assert (await anext(events)).data == {"reason": "expired", "missed": 10}


async def test_an_empty_journal_has_a_place_as_well(table):
    async with aclosing(Journal(table).follow(None)) as events:
        assert await anext(events) == Event(id="0")
        append(table, 1)
        assert await numbers(events, 1) == [1]


async def test_a_write_that_fails_is_told_and_tried_again(path, monkeypatch, caplog):
    monkeypatch.setattr(journal_module, "_PAUSE_AFTER_ERROR_SECONDS", 0)
    failures = [sqlite3.OperationalError("the disk is full")]

    class FailingTable(JournalTable):
        def append(self):
            if failures:
                raise failures.pop()
            super().append()

    with closing(FailingTable(path)) as table:
        journal = Journal(table)
        async with anyio.create_task_group() as tasks, aclosing(journal.follow("0")) as events:
            tasks.start_soon(journal.write)
            assert await numbers(events, 1) == [1]
            tasks.cancel_scope.cancel()
    assert "the disk is full" in caplog.text


def test_the_table_is_bounded(path, table):
    append(table, 12)
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT number FROM entries ORDER BY number").fetchall()
    assert kept == [(8,), (9,), (10,), (11,), (12,)]


def test_what_is_written_is_read_by_others_while_the_file_is_in_use(path, table):
    with closing(JournalTable(path)) as other:
        append(table, 2)
        append(other, 1)
        assert [entry.number for entry in table.read_after(0, limit=10).entries] == [1, 2, 3]
