"""The demo's chat: who hears what, who is seen to be there, and who is let in."""

from contextlib import asynccontextmanager
from functools import partial

import pytest

from asgi_rt import App, Hub
from asgi_rt.demo import chat
from asgi_rt.demo.rooms import Rooms
from asgi_rt.hub import History
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


class Lobby:
    """The app with its rooms; they are made when it starts."""

    def __init__(self, make_rooms=Rooms, *, max_history=100):
        self.app = App(lifespan=self._lifespan)
        self.app.include(chat.router)
        self._make_rooms = make_rooms
        self._history = History(max_count=max_history)

    @asynccontextmanager
    async def _lifespan(self, app):
        async with Hub(history=self._history) as self.hub:
            self.rooms = self._make_rooms(self.hub)
            yield {"rooms": self.rooms}


@pytest.fixture
def lobby():
    return Lobby()


@pytest.fixture
async def client(lobby):
    async with AsyncTestClient(lobby.app) as client:
        yield client


def connect(client, room="lobby", *, name="Ada", cursor=None, **options):
    params = {"name": name} if cursor is None else {"name": name, "cursor": cursor}
    return client.websocket_connect(f"/chat/{room}", params=params, **options)


@asynccontextmanager
async def entered(client, room="lobby", **options):
    """Somebody in a room, who has been let in and told where they begin."""
    async with connect(client, room, **options) as ws:
        assert (await ws.receive_json())["type"] == "welcome"
        assert (await ws.receive_json())["type"] == "cursor"
        yield ws


async def say(ws, text):
    await ws.send_json({"type": "say", "text": text})


async def next_of(ws, kind):
    """The next message of this type; what comes before it is dropped."""
    while (message := await ws.receive_json())["type"] != kind:
        pass
    return message


async def heard(ws):
    """The next that is said."""
    said = (await next_of(ws, "message"))["data"]
    return said["name"], said["text"]


# Who hears what


async def test_all_in_a_room_hear_what_one_says_who_says_it_too(client):
    async with entered(client, name="Ada") as ada, entered(client, name="Bob") as bob:
        await say(ada, "hello")
        assert await heard(ada) == await heard(bob) == ("Ada", "hello")


async def test_what_is_said_tells_who_said_it_and_when(client):
    async with connect(client) as ws:
        member = (await next_of(ws, "welcome"))["member"]
        await say(ws, "hello")
        message = await next_of(ws, "message")
        assert message["topic"] == "rooms.lobby"
        assert message["data"].pop("time").endswith("+00:00")
        assert message["data"] == {
            "number": 1,
            "member": member,
            "name": "Ada",
            "text": "hello",
        }


async def test_nobody_hears_what_is_said_in_another_room(client):
    async with (
        entered(client, "lobby", name="Ada") as ada,
        entered(client, "garden", name="Bob") as bob,
    ):
        await say(ada, "in the lobby")
        assert await heard(ada) == ("Ada", "in the lobby")
        await say(bob, "in the garden")
        assert await heard(bob) == ("Bob", "in the garden")


@pytest.mark.parametrize("room", [">", "*", "a.>", "rooms"])
async def test_the_name_of_a_room_is_never_a_pattern(room):
    hub = Hub()
    rooms = Rooms(hub)
    async with hub.subscribe(rooms.topic(room)) as subscription:
        await hub.publish(rooms.topic("lobby"), "for the lobby")
        assert subscription.take() is None
        await hub.publish(rooms.topic(room), "for this room")
        assert subscription.take().data == "for this room"


# History


async def test_a_newcomer_hears_what_was_said_last_in_this_room(client):
    async with entered(client, name="Ada") as ada, entered(client, "garden") as other:
        await say(other, "in the garden")
        await heard(other)
        for text in ("one", "two"):
            await say(ada, text)
            await heard(ada)
    async with entered(client, name="Bob") as bob:
        assert [await heard(bob), await heard(bob)] == [("Ada", "one"), ("Ada", "two")]
        await say(bob, "three")
        assert await heard(bob) == ("Bob", "three")


async def test_a_newcomer_hears_fifty_at_most(client, lobby):
    for number in range(60):
        await lobby.hub.publish(lobby.rooms.topic("lobby"), {"name": "Ada", "text": number})
    async with entered(client) as ws:
        assert [(await heard(ws))[1] for _ in range(50)] == list(range(10, 60))
        await say(ws, "hello")
        assert await heard(ws) == ("Ada", "hello")


async def test_who_comes_back_hears_what_they_missed_once(client):
    async with entered(client, name="Ada") as ada:
        async with entered(client, name="Bob") as bob:
            await say(ada, "before")
            cursor = (await next_of(bob, "message"))["cursor"]
        await bob.wait_done()
        await say(ada, "meanwhile")
        assert [await heard(ada), await heard(ada)] == [("Ada", "before"), ("Ada", "meanwhile")]
        async with connect(client, name="Bob", cursor=cursor) as bob:
            assert (await next_of(bob, "cursor"))["recovered"] is True
            assert await heard(bob) == ("Ada", "meanwhile")
            await say(ada, "now")
            assert await heard(bob) == ("Ada", "now")


async def test_who_comes_back_to_another_server_is_told_of_a_gap(client):
    async with connect(client, cursor="of-another-server-5") as ws:
        begin = await next_of(ws, "cursor")
        assert begin["recovered"] is False
        gap = await ws.receive_json()
        assert gap == {
            "type": "gap",
            "reason": "unknown",
            "missed": None,
            "cursor": begin["cursor"],
        }
        await say(ws, "hello")
        assert await heard(ws) == ("Ada", "hello")


async def test_who_comes_back_too_late_is_told_of_a_gap():
    lobby = Lobby(max_history=2)
    async with AsyncTestClient(lobby.app) as client, entered(client) as ada:
        await say(ada, "first")
        first = await next_of(ada, "message")
        for number in range(3):
            await say(ada, str(number))
            await heard(ada)
        async with connect(client, name="Bob", cursor=first["cursor"]) as bob:
            said = (await next_of(bob, "welcome"))["said"]
            assert said - first["data"]["number"] == 3
            assert (await next_of(bob, "gap"))["reason"] == "expired"


def test_messages_are_counted_for_the_rooms_that_were_spoken_in_last():
    rooms = Rooms(Hub())
    assert [rooms.count_message("lobby"), rooms.count_message("lobby")] == [1, 2]
    for number in range(999):
        rooms.count_message(f"room-{number}")
    assert rooms.said("lobby") == 2
    rooms.count_message("one-more")
    assert rooms.said("lobby") == 0


# Presence


def people(welcome):
    return [each["name"] for each in welcome["people"]]


async def test_a_newcomer_is_told_who_is_there_and_the_others_that_they_came(client):
    async with entered(client, name="Ada") as ada:
        async with connect(client, name="Bob") as bob:
            welcome = await bob.receive_json()
            assert (welcome["type"], welcome["name"]) == ("welcome", "Bob")
            assert people(welcome) == ["Ada", "Bob"]
            about_bob = {
                "topic": "rooms.lobby",
                "member": welcome["member"],
                "metadata": {"name": "Bob"},
            }
            assert await ada.receive_json() == {"type": "joined", **about_bob}
        assert await ada.receive_json() == {"type": "left", **about_bob}


@pytest.mark.parametrize("leave", ["close", "disconnect"])
async def test_who_leaves_is_gone_however_they_do_it(client, lobby, leave):
    async with entered(client, name="Ada") as ada, entered(client, name="Bob") as bob:
        if leave == "close":
            await bob.close(1001, "away")
        else:
            bob.disconnect()
        assert (await ada.receive_json())["type"] == "joined"
        assert (await ada.receive_json())["type"] == "left"
        assert await lobby.rooms.presence.count("rooms.lobby") == 1


async def test_nobody_sees_who_is_in_another_room(client):
    async with entered(client, "garden", name="Bob"), connect(client, name="Ada") as ada:
        assert people(await ada.receive_json()) == ["Ada"]


async def test_a_room_that_all_have_left_is_forgotten(client, lobby):
    async with entered(client) as one, entered(client) as other:
        assert len(lobby.rooms) == 1
    await one.wait_done()
    await other.wait_done()
    assert len(lobby.rooms) == 0
    assert lobby.hub.snapshot().subscriptions == []


# Names


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("", "guest"),
        (" \t", "guest"),
        ("\u200b\x00", "guest"),
        ("\u202eAda", "Ada"),
        ("  Ada \n Lovelace ", "Ada Lovelace"),
        ("x" * 99, "x" * 24),
    ],
)
async def test_a_name_is_made_fit(client, wanted, given):
    async with connect(client, name=wanted) as ws:
        assert (await ws.receive_json())["name"] == given


async def test_who_comes_with_a_name_that_is_taken_gets_a_number(client):
    async with entered(client) as first, entered(client), entered(client) as third:
        await say(third, "hello")
        assert await heard(first) == ("Ada 3", "hello")


async def test_a_name_is_free_again_when_its_owner_has_left(client):
    async with entered(client, name="Ada") as first:
        pass
    await first.wait_done()
    async with connect(client, name="Ada") as ws:
        assert (await ws.receive_json())["name"] == "Ada"


async def test_all_are_told_of_a_new_name(client):
    async with entered(client, name="Ada") as ada, connect(client, name="Bob") as bob:
        [member, _] = (await next_of(bob, "welcome"))["people"]
        await ada.send_json({"type": "rename", "name": " Countess "})
        assert (await next_of(ada, "renamed"))["name"] == "Countess"
        assert await next_of(bob, "updated") == {
            "type": "updated",
            "topic": "rooms.lobby",
            "member": member["member"],
            "metadata": {"name": "Countess"},
        }
        await say(ada, "hello")
        assert await heard(bob) == ("Countess", "hello")


# What cannot be taken


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ({"type": "say", "text": "  "}, "invalid", "there is nothing to say"),
        ({"type": "say", "text": "x" * 1001}, "invalid", "at most 1000 characters"),
        ({"type": "say", "text": 5}, "invalid", "must be a string"),
        ({"type": "say"}, "invalid", "is missing"),
        ({"type": "rename", "name": " "}, "invalid", "a letter at least"),
        ({"type": "rename", "name": "Bob"}, 409, "Bob is here already"),
        ({"type": "shout", "text": "hey"}, "unknown_type", "shout"),
        ("no object", "malformed", "not a JSON object"),
    ],
)
async def test_a_message_that_cannot_be_taken_is_answered_to_its_sender_alone(
    client, message, code, said
):
    async with entered(client, name="Ada") as ada, entered(client, name="Bob") as bob:
        assert (await ada.receive_json())["type"] == "joined"
        await ada.send_json(message)
        error = await ada.receive_json()
        assert (error["type"], error["code"]) == ("error", code)
        assert said in str(error)
        await say(ada, "still here")
        assert await heard(bob) == ("Ada", "still here")


async def test_a_ping_is_answered(client):
    async with entered(client) as ws:
        await ws.send_json({"type": "ping", "id": 1})
        assert await ws.receive_json() == {"type": "pong", "id": 1}


# Limits


async def test_a_frozen_visitor_is_given_up_and_holds_nobody_up():
    lobby = Lobby(partial(Rooms, max_waiting=4))
    async with (
        AsyncTestClient(lobby.app) as client,
        entered(client, name="Frozen", pipe_bytes=100) as frozen,
        entered(client, name="Bob") as bob,
    ):
        frozen.freeze()
        for number in range(8):
            await say(bob, str(number))
        received = [await bob.receive_json() for _ in range(9)]
        assert [each["data"]["text"] for each in received if each["type"] == "message"] == [
            str(number) for number in range(8)
        ]
        [left] = [each for each in received if each["type"] != "message"]
        assert (left["type"], left["metadata"]) == ("left", {"name": "Frozen"})
        frozen.thaw()
        assert len([message async for message in frozen]) < 8
        assert (frozen.close_code, frozen.close_reason) == (1013, "you read too slowly")


async def test_there_is_no_room_for_too_many():
    lobby = Lobby(partial(Rooms, max_visitors=1))
    async with AsyncTestClient(lobby.app) as client:
        async with entered(client), connect(client, "garden") as ws:
            closed = await ws.wait_closed()
            assert (closed.code, closed.reason) == (1013, "too many people are here")
        async with entered(client):
            pass


async def test_who_says_too_much_at_once_is_sent_away(client):
    async with entered(client) as ws:
        for number in range(20):
            await say(ws, str(number))
        closed = await ws.wait_closed()
        assert closed.code == 1008
        assert "10 messages per second" in closed.reason


async def test_a_message_that_is_too_big_is_the_end(client):
    async with entered(client) as ws:
        await say(ws, "x" * 9000)
        assert (await ws.wait_closed()).code == 1009


@pytest.mark.parametrize("origin", ["https://evil.example", "http://testserver:81", "null"])
async def test_pages_from_elsewhere_cannot_connect(client, origin):
    with pytest.raises(WebSocketDenied) as caught:
        async with client.websocket_connect("/chat/lobby", origin=origin):
            pass
    assert caught.value.response.status_code == 403


# Paths


async def test_the_page_of_a_room_and_its_socket_share_a_path(client):
    response = await client.get("/chat/lobby")
    assert response.status_code == 200
    assert "/page/chat.js" in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    async with entered(client, "lobby", origin="http://testserver"):
        pass


async def test_the_chat_begins_in_the_lobby(client):
    response = await client.get("/chat")
    assert response.headers["location"] == "/chat/lobby"


@pytest.mark.parametrize("room", ["Lobby", "a b", "x" * 33, "caf%C3%A9", "%3E", "*"])
async def test_a_room_that_cannot_be_is_a_404_on_both(client, room):
    assert (await client.get(f"/chat/{room}")).status_code == 404
    with pytest.raises(WebSocketDenied) as caught:
        async with client.websocket_connect(f"/chat/{room}"):
            pass
    assert caught.value.response.status_code == 404
