"""What docs/broadcast.md says is so: its tables, and what its examples do."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from asgi_rt import Hub, Overflow
from asgi_rt.hub import History
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.testing import AsyncTestClient, WebSocketDenied

DOCUMENT = (Path(__file__).parent.parent / "docs" / "broadcast.md").read_text()
_SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(_SECTION.findall(DOCUMENT))


def examples(section: str) -> list[dict[str, Any]]:
    """What each Python block of a section defines."""
    found = []
    for language, code in _BLOCK.findall(SECTIONS[section]):
        if language == "python":
            namespace: dict[str, Any] = {"__name__": "document"}
            exec(compile(code, section, "exec"), namespace)
            found.append(namespace)
    return found


def first_cells(section: str) -> list[str]:
    """The first cell of each row of a section's table, without its head."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [line.split("|")[1].strip().strip("`") for line in lines[2:]]


def test_the_contents_name_every_section():
    contents = re.findall(r"^- \[(.+?)\]\(#(.+?)\)", DOCUMENT, re.MULTILINE)
    assert [title for title, _ in contents] == list(SECTIONS)
    for title, anchor in contents:
        assert anchor == re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_policies_are_those_of_the_table():
    assert sorted(first_cells("When a mailbox is full")) == sorted(Overflow.__members__)


def test_the_options_of_a_subscription_and_their_defaults_are_those_of_the_table():
    options = inspect.signature(Hub.subscribe).parameters
    named = [name for name in options if name not in ("self", "topics")]
    assert first_cells("A hub") == named
    cells = SECTIONS["A hub"]
    assert "`Overflow.DROP_OLDEST`" in cells
    assert options["policy"].default is Overflow.DROP_OLDEST
    assert "| `max_messages` | 256 |" in cells
    assert options["max_messages"].default == 256
    assert "| `max_bytes` | 1 MiB |" in cells
    assert options["max_bytes"].default == 1024 * 1024
    assert "| `close_code` | 1013 |" in cells
    assert options["close_code"].default == 1013


def test_history_is_bounded_by_default_as_the_text_says():
    assert History() == History(max_count=100, max_bytes=1024 * 1024, max_age=None)
    backplane = inspect.signature(MemoryBackplane).parameters
    assert backplane["max_history_bytes"].default == 64 * 1024 * 1024


async def test_a_watcher_is_given_what_is_announced(capsys):
    (example,) = examples("A hub")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(example["watch"])
        await until(lambda: example["hub"].subscriber_count("prices.eur") == 1)
        await example["announce"]()
        await until(lambda: example["hub"].snapshot().delivered == 1)
        tasks.cancel_scope.cancel()
    assert "prices.eur {'bid': 1.08}" in capsys.readouterr().out.splitlines()


async def test_a_price_that_is_set_is_an_event_of_the_feed():
    (example,) = examples("To event streams")
    async with AsyncTestClient(example["app"]) as client, client.events("/prices") as events:
        await until(lambda: example["hub"].subscriber_count("prices.eur") == 1)
        answer = (await client.post("/prices/eur", json={"bid": 1.08})).json()
        event = await events.next_event()
        assert (event.data, event.id) == ('{"bid":1.08}', answer["id"])


async def test_a_room_is_heard_by_all_who_are_in_it_and_keeps_the_last_messages():
    room = examples("To WebSockets")[0]
    client = AsyncTestClient(room["app"])
    async with client, client.websocket_connect("/rooms/tea") as first:
        await first.send_text("hello")
        assert await first.receive_text() == "hello"
        async with client.websocket_connect("/rooms/tea") as second:
            assert await second.receive_text() == "hello"
            await second.send_text("hi")
            assert await second.receive_text() == await first.receive_text() == "hi"


async def test_who_asks_for_a_wildcard_as_a_room_hears_no_other():
    room = examples("To WebSockets")[0]
    async with AsyncTestClient(room["app"]) as client, client.websocket_connect("/rooms/%3E"):
        await until(lambda: room["hub"].snapshot().subscriptions)
        assert room["hub"].subscriber_count("rooms.tea") == 0


async def test_members_are_those_who_are_in_the_room_and_the_room_is_told():
    (example,) = examples("Who is there")
    async with AsyncTestClient(example["app"]) as client:
        async with client.websocket_connect("/rooms/tea?name=ann") as ann:
            joined = json.loads(await ann.receive_text())
            assert (joined["type"], joined["member"]) == ("joined", "ann")
            assert (await client.get("/rooms/tea/members")).json() == ["ann"]
        await until(lambda: not example["hub"].snapshot().subscriptions)
        assert (await client.get("/rooms/tea/members")).json() == []


@pytest.mark.parametrize("section", ["To WebSockets", "Who is there"])
async def test_rooms_of_long_names_are_not_there_and_none_is_taken_for_another(section):
    example = examples(section)[0]
    async with AsyncTestClient(example["app"]) as client:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect(f"/rooms/{'n' * 21}"):
                pass
        assert denied.value.response.status_code == 404
        async with client.websocket_connect(f"/rooms/{'%25' * 20}"):
            await until(lambda: example["hub"].snapshot().subscriptions)
            assert "rooms." + "%25" * 20 in example["hub"].snapshot().topics


async def test_members_of_a_room_that_is_not_there_and_long_names_are_refused():
    (example,) = examples("Who is there")
    async with AsyncTestClient(example["app"]) as client:
        assert (await client.get(f"/rooms/{'n' * 21}/members")).status_code == 404
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket_connect(f"/rooms/tea?name={'n' * 51}"):
                pass
        assert denied.value.response.status_code == 422


@pytest.mark.parametrize("currency", ["xyz", "eur%20usd", "%3E", "n" * 300])
async def test_a_currency_that_is_none_is_not_there(currency):
    (example,) = examples("To event streams")
    async with AsyncTestClient(example["app"]) as client:
        answer = await client.post(f"/prices/{currency}", json={"bid": 1.08})
        assert answer.status_code == 404


async def test_a_handler_in_a_thread_publishes():
    (example,) = examples("Threads and event loops")
    hub = example["hub"]
    async with AsyncTestClient(example["app"]) as client, hub.subscribe("jobs") as jobs:
        assert (await client.post("/jobs")).json() == {"state": "done"}
        assert (await anext(jobs)).data == {"state": "done"}


async def until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()
