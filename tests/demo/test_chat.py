"""The demo's chat: who hears what, and who is let in."""

from contextlib import asynccontextmanager

import pytest

from asgi_rt import App
from asgi_rt.demo import chat
from asgi_rt.demo.rooms import Rooms
from asgi_rt.testing import AsyncTestClient, WebSocketDenied


def app_with(rooms):
    @asynccontextmanager
    async def lifespan(app):
        yield {"rooms": rooms}

    app = App(lifespan=lifespan)
    app.include(chat.router)
    return app


@pytest.fixture
def rooms():
    return Rooms()


@pytest.fixture
async def client(rooms):
    async with AsyncTestClient(app_with(rooms)) as client:
        yield client


@asynccontextmanager
async def entered(client, room="lobby", *, name="Ada", **options):
    """Somebody in a room, who has read their welcome."""
    async with client.websocket_connect(f"/chat/{room}", params={"name": name}, **options) as ws:
        assert (await ws.receive_json())["type"] == "welcome"
        yield ws


async def say(ws, text):
    await ws.send_json({"type": "say", "text": text})


async def heard(ws):
    """The next that is said."""
    while (message := await ws.receive_json())["type"] != "said":
        pass
    return message["name"], message["text"]


# Who hears what


async def test_all_in_a_room_hear_what_one_says_who_says_it_too(client):
    async with entered(client, name="Ada") as ada, entered(client, name="Bob") as bob:
        await say(ada, "hello")
        assert await heard(ada) == await heard(bob) == ("Ada", "hello")


async def test_nobody_hears_what_is_said_in_another_room(client):
    async with (
        entered(client, "lobby", name="Ada") as ada,
        entered(client, "garden", name="Bob") as bob,
    ):
        await say(ada, "in the lobby")
        assert await heard(ada) == ("Ada", "in the lobby")
        await say(bob, "in the garden")
        assert await heard(bob) == ("Bob", "in the garden")


async def test_a_newcomer_is_told_who_is_there_and_the_others_that_they_came(client):
    async with entered(client, name="Ada") as ada:
        async with client.websocket_connect("/chat/lobby?name=Bob") as bob:
            assert await bob.receive_json() == {
                "type": "welcome",
                "name": "Bob",
                "names": ["Ada", "Bob"],
            }
            assert await ada.receive_json() == {"type": "joined", "name": "Bob"}
        assert await ada.receive_json() == {"type": "left", "name": "Bob"}


@pytest.mark.parametrize("leave", ["close", "disconnect"])
async def test_who_leaves_is_gone_however_they_do_it(client, leave):
    async with entered(client, name="Ada") as ada, entered(client, name="Bob") as bob:
        if leave == "close":
            await bob.close(1001, "away")
        else:
            bob.disconnect()
        assert await ada.receive_json() == {"type": "joined", "name": "Bob"}
        assert await ada.receive_json() == {"type": "left", "name": "Bob"}


async def test_a_room_that_all_have_left_is_forgotten(client, rooms):
    async with entered(client) as one, entered(client) as other:
        assert len(rooms) == 1
    await one.wait_done()
    await other.wait_done()
    assert len(rooms) == 0


# Names


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("", "guest"), (" \t", "guest"), ("  Ada \n Lovelace ", "Ada Lovelace"), ("x" * 99, "x" * 24)],
)
async def test_a_name_is_made_fit(client, wanted, given):
    async with client.websocket_connect("/chat/lobby", params={"name": wanted}) as ws:
        assert (await ws.receive_json())["name"] == given


async def test_who_comes_with_a_name_that_is_taken_gets_a_number(client):
    async with entered(client) as first, entered(client), entered(client) as third:
        await say(third, "hello")
        assert await heard(first) == ("Ada 3", "hello")


async def test_all_are_told_of_a_new_name(client):
    async with entered(client, name="Ada") as ada, entered(client, name="Bob") as bob:
        await ada.send_json({"type": "rename", "name": " Countess "})
        assert await bob.receive_json() == {"type": "renamed", "old": "Ada", "name": "Countess"}
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
        assert (await bob.receive_json())["text"] == "still here"


async def test_a_ping_is_answered(client):
    async with entered(client) as ws:
        await ws.send_json({"type": "ping", "id": 1})
        assert await ws.receive_json() == {"type": "pong", "id": 1}


# Limits


async def test_a_frozen_visitor_is_given_up_and_holds_nobody_up():
    async with (
        AsyncTestClient(app_with(Rooms(max_waiting=4))) as client,
        entered(client, name="Frozen", pipe_bytes=100) as frozen,
        entered(client, name="Bob") as bob,
    ):
        frozen.freeze()
        received = []
        for number in range(8):
            await say(bob, str(number))
            while not received or received[-1].get("text") != str(number):
                received.append(await bob.receive_json())
        left = [message for message in received if message["type"] != "said"]
        assert left == [{"type": "left", "name": "Frozen"}]
        frozen.thaw()
        assert len([message async for message in frozen]) < 8
        assert (frozen.close_code, frozen.close_reason) == (1013, "you read too slowly")


async def test_there_is_no_room_for_too_many():
    async with AsyncTestClient(app_with(Rooms(max_visitors=1))) as client:
        async with entered(client), client.websocket_connect("/chat/garden") as ws:
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


@pytest.mark.parametrize("room", ["Lobby", "a b", "x" * 33, "caf%C3%A9"])
async def test_a_room_that_cannot_be_is_a_404_on_both(client, room):
    assert (await client.get(f"/chat/{room}")).status_code == 404
    with pytest.raises(WebSocketDenied) as caught:
        async with client.websocket_connect(f"/chat/{room}"):
            pass
    assert caught.value.response.status_code == 404
