"""Messages find their handlers, and replies their messages."""

import threading
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.from_thread
import pytest

from asgi_rt.errors import HTTPError, WebSocketClosed
from asgi_rt.websocket.dispatch import Dispatcher
from websocket.message_socket import MessageSocket, answers


def recording():
    """A dispatcher that notes the messages called "note", and the notes."""
    notes = []
    chat = Dispatcher()

    @chat.on("note")
    async def note(ws, message):
        notes.append(message)

    return chat, notes


def replying(reply):
    """A dispatcher whose every reply to "ask" is the same."""
    chat = Dispatcher()

    @chat.on("ask")
    async def ask(ws, message):
        return reply

    return chat


def raising(error):
    chat = Dispatcher()

    @chat.on("ask")
    async def ask(ws, message):
        raise error

    return chat


async def test_a_message_without_a_model_arrives_as_the_dict():
    chat, notes = recording()
    await answers(chat, {"type": "note", "text": "hello"})
    assert notes == [{"type": "note", "text": "hello"}]


@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "binary"])
async def test_text_and_binary_frames_are_both_read(encode):
    chat, notes = recording()
    await answers(chat, encode('{"type": "note", "text": "é"}'))
    assert notes == [{"type": "note", "text": "é"}]


async def test_what_a_handler_returns_is_the_reply():
    assert await answers(replying({"type": "answer"}), {"type": "ask"}) == [{"type": "answer"}]


async def test_none_sends_nothing():
    assert await answers(replying(None), {"type": "ask", "id": 1}) == []


@pytest.mark.parametrize("message_id", [0, -7, 2**53, "", "a", "x" * 128])
async def test_the_id_of_a_message_comes_back_in_the_reply(message_id):
    reply = {"type": "answer"}
    sent = await answers(replying(reply), {"type": "ask", "id": message_id})
    assert sent == [{"type": "answer", "id": message_id}]
    assert reply == {"type": "answer"}


async def test_the_id_of_the_message_stands_in_place_of_the_replys_own():
    chat = replying({"type": "created", "id": 57})
    sent = await answers(
        chat, {"type": "ask", "id": 1}, {"type": "ask"}, {"type": "ask", "id": None}
    )
    assert [reply["id"] for reply in sent] == [1, 57, 57]


@dataclass
class Answer:
    text: str
    type: str = "answer"


async def test_a_reply_may_be_whatever_is_an_object_in_json():
    chat = replying(Answer("yes"))
    sent = await answers(chat, {"type": "ask"}, {"type": "ask", "id": "a"})
    plain = {"type": "answer", "text": "yes"}
    assert sent == [plain, {**plain, "id": "a"}]


@pytest.mark.parametrize("reply", ["text", 1, ["list"], False], ids=str)
async def test_a_reply_that_is_no_object_is_a_crash(reply):
    with pytest.raises(TypeError, match="a reply is an object in JSON, not a"):
        await answers(replying(reply), {"type": "ask"})


async def test_a_handler_under_several_names_gets_the_messages_of_all():
    chat = Dispatcher()
    seen = []

    @chat.on("join")
    @chat.on("enter")
    async def join(ws, message):
        seen.append(message["type"])

    await answers(chat, {"type": "enter"}, {"type": "join"})
    assert seen == ["enter", "join"]
    await join(None, {"type": "by hand"})
    assert seen[-1] == "by hand"


async def test_the_key_of_the_type_can_be_another_and_is_that_of_errors_too():
    chat = Dispatcher("event")

    @chat.on("ask")
    async def ask(ws, message):
        return {"event": "answer"}

    answer, error = await answers(chat, {"event": "ask"}, {"type": "ask"})
    assert answer == {"event": "answer"}
    assert error == {
        "event": "error",
        "code": "malformed",
        "detail": 'the message has no "event" that is a string',
    }


async def test_messages_are_handled_one_after_the_other():
    chat = Dispatcher()
    running = []
    order = []

    @chat.on("work")
    async def work(ws, message):
        running.append(message)
        for _ in range(message["turns"]):
            await anyio.lowlevel.checkpoint()
        assert running.pop() is message
        assert not running
        order.append(message["turns"])

    await answers(chat, *({"type": "work", "turns": turns} for turns in (5, 0, 3)))
    assert order == [5, 0, 3]


async def test_one_dispatcher_serves_many_sockets_at_once():
    chat = Dispatcher()
    both = [anyio.Event(), anyio.Event()]

    @chat.on("meet")
    async def meet(ws, message):
        both[message["side"]].set()
        await both[1 - message["side"]].wait()
        return {"type": "met", "side": message["side"]}

    sockets = [MessageSocket({"type": "meet", "side": side}) for side in (0, 1)]
    async with anyio.create_task_group() as group:
        for ws in sockets:
            group.start_soon(chat.serve, ws)
    assert [ws.sent for ws in sockets] == [[{"type": "met", "side": side}] for side in (0, 1)]


async def test_a_sync_handler_runs_in_a_worker_thread_and_reaches_the_socket_from_there():
    chat = Dispatcher()
    threads = []

    @chat.on("work")
    def work(ws, message):
        threads.append(threading.current_thread())
        anyio.from_thread.run(ws.send_json, {"type": "begun"})
        return {"type": "done"}

    sent = await answers(chat, {"type": "work", "id": 1})
    assert sent == [{"type": "begun"}, {"type": "done", "id": 1}]
    assert threads != [threading.current_thread()]


async def test_what_a_sync_handler_hands_on_of_an_async_one_is_awaited():
    async def reply():
        return {"type": "answer"}

    chat = Dispatcher()
    chat.on("ask")(lambda ws, message: reply())
    assert await answers(chat, {"type": "ask"}) == [{"type": "answer"}]


class Asked:
    async def __call__(self, ws, message):
        return {"type": "answer", "by": "an object"}

    async def method(self, prefix, ws, message):
        return {"type": "answer", "by": prefix}


@pytest.mark.parametrize(
    ("handler", "by"),
    [(Asked(), "an object"), (partial(Asked().method, "a partial"), "a partial")],
    ids=["object", "partial"],
)
async def test_whatever_is_callable_can_be_a_handler(handler, by):
    chat = Dispatcher()
    assert chat.on("ask")(handler) is handler
    assert await answers(chat, {"type": "ask"}) == [{"type": "answer", "by": by}]


async def test_a_builtin_that_tells_no_signature_can_be_a_handler():
    chat = Dispatcher()
    chat.on("ask")(min)  # of the socket and the message, which cannot be compared
    with pytest.raises(TypeError, match="not supported between instances of"):
        await answers(chat, {"type": "ask"})


async def test_the_fallback_gets_what_has_no_handler():
    chat, notes = recording()

    @chat.fallback
    async def other(ws, message):
        return {"type": "other", "was": message["type"]}

    sent = await answers(chat, {"type": "note"}, {"type": "what", "id": 1}, {"type": 1}, "no JSON")
    assert sent[0] == {"type": "other", "was": "what", "id": 1}
    assert [frame["code"] for frame in sent[1:]] == ["malformed", "malformed"]
    assert notes == [{"type": "note"}]


async def test_an_included_dispatcher_brings_its_handlers_and_its_fallback():
    chat, notes = recording()
    more = replying({"type": "answer"})

    @more.fallback
    async def other(ws, message):
        return {"type": "other"}

    chat.include(more)
    sent = await answers(chat, {"type": "note"}, {"type": "ask"}, {"type": "what"})
    assert sent == [{"type": "answer"}, {"type": "other"}]
    assert notes == [{"type": "note"}]
    assert await answers(more, {"type": "ask"}) == [{"type": "answer"}]


async def test_an_http_error_is_answered_and_the_socket_lives_on():
    chat = raising(HTTPError(403, "members only"))
    sent = await answers(chat, {"type": "ask"}, {"type": "ask", "id": 5})
    frame = {"type": "error", "code": 403, "detail": "members only"}
    assert sent == [frame, {**frame, "id": 5}]


async def test_an_http_error_shows_its_title_without_a_detail_and_its_extensions():
    error = HTTPError(
        429, extensions={"retry_after": 3, "type": "x", "code": 1}, headers={"a": "b"}
    )
    sent = await answers(raising(error), {"type": "ask"})
    assert sent == [{"type": "error", "code": 429, "detail": "Too Many Requests", "retry_after": 3}]


async def test_serve_returns_when_the_client_leaves():
    chat, notes = recording()
    ws = MessageSocket()
    await chat.serve(ws)
    assert (ws.closed.code, notes, ws.sent) == (1000, [], [])


async def test_serve_returns_when_the_connection_ends_in_a_handler():
    chat = Dispatcher()

    @chat.on("leave")
    async def leave(ws, message):
        ws.leave()
        await ws.send_json({"type": "never"})

    ws = MessageSocket({"type": "leave"}, {"type": "leave"})
    await chat.serve(ws)
    assert (ws.sent, ws.unread) == ([], 1)


async def test_serve_returns_when_the_connection_ends_before_the_reply():
    chat = Dispatcher()

    @chat.on("bye")
    async def bye(ws, message):
        await ws.close(4000, "bye")
        return {"type": "never"}

    ws = MessageSocket({"type": "bye"})
    await chat.serve(ws)
    assert (ws.sent, ws.closed.code) == ([], 4000)


async def test_the_end_of_another_socket_is_not_the_end_of_this_one():
    other = MessageSocket()
    other.leave()
    chat = Dispatcher()

    @chat.on("relay")
    async def relay(ws, message):
        await other.send_json(message)

    ws = MessageSocket({"type": "relay"})
    with pytest.raises(WebSocketClosed):
        await chat.serve(ws)
    assert ws.closed is None


@pytest.mark.parametrize("error", [RuntimeError("crash"), KeyError("room"), ValueError("no")])
async def test_any_other_error_of_a_handler_is_raised(error):
    ws = MessageSocket({"type": "ask"}, {"type": "ask"})
    with pytest.raises(type(error)) as raised:
        await raising(error).serve(ws)
    assert raised.value is error
    assert (ws.sent, ws.unread) == ([], 1)


async def test_cancelling_serve_cancels_the_handler():
    chat = Dispatcher()
    begun = anyio.Event()
    ended = []

    @chat.on("wait")
    async def wait(ws, message):
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(message["type"])

    ws = MessageSocket({"type": "wait"}, {"type": "wait"})
    async with anyio.create_task_group() as group:
        group.start_soon(chat.serve, ws)
        await begun.wait()
        group.cancel_scope.cancel()
    assert (ended, ws.sent, ws.unread) == (["wait"], [], 1)
