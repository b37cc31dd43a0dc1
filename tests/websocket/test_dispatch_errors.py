"""Messages that no handler can take, and what a hostile client makes of the answers."""

import json
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt.errors import HTTPError
from asgi_rt.websocket.dispatch import Dispatcher
from websocket.message_socket import MessageSocket, answers


def echoing(**options):
    chat = Dispatcher(**options)

    @chat.on("echo")
    async def echo(ws, message):
        return {"type": "echo", "data": message.get("data")}

    return chat


def nested(depth):
    """An object of that depth, itself the first level."""
    return '{"type": "echo", "data": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "hello",
        '{"type": "echo"',
        '{"type": "echo"} {}',
        "{'type': 'echo'}",
        '{"type": "echo", "data": NaN}',
        '{"type": "echo", "data": -Infinity}',
        '{"type": "echo", "data": 1e999}',
        '{"type": "echo", "data": "\\ud800"}',
        '{"type": "echo", "data": "\ud800"}',
        b'{"type": "echo", "data": "\xff"}',
        b'{"type": "echo", "data": "\xc3"}',
        b'\xef\xbb\xbf{"type": "echo"}',
        '{"type": "echo"}'.encode("utf-16"),
        b"",
    ],
    ids=repr,
)
async def test_what_is_no_json_is_malformed(frame):
    error, reply = await answers(echoing(), frame, {"type": "echo", "data": 1})
    assert (error["type"], error["code"]) == ("error", "malformed")
    assert error["detail"].startswith("the message is not JSON: ")
    assert error.keys() == {"type", "code", "detail"}
    assert reply == {"type": "echo", "data": 1}


@pytest.mark.parametrize("frame", ["[]", '"echo"', "1", "null", "true", '[{"type": "echo"}]'])
async def test_json_that_is_no_object_is_malformed(frame):
    (error,) = await answers(echoing(), frame)
    assert error == {
        "type": "error",
        "code": "malformed",
        "detail": "the message is not a JSON object",
    }


@pytest.mark.parametrize("message", [{}, {"type": None}, {"type": 1}, {"type": ["echo"]}])
async def test_a_message_whose_type_is_no_string_is_malformed(message):
    (error,) = await answers(echoing(), {**message, "id": 3})
    assert error == {
        "type": "error",
        "code": "malformed",
        "detail": 'the message has no "type" that is a string',
        "id": 3,
    }


async def test_a_message_without_a_handler_is_answered_with_its_type_and_id():
    (error,) = await answers(echoing(), {"type": "shout", "id": "a"})
    assert error == {
        "type": "error",
        "code": "unknown_type",
        "detail": 'there is no handler of the message "shout"',
        "id": "a",
    }


@pytest.mark.parametrize("message_id", [True, 1.5, 2**64, [], {}, {"a": 1}, "x" * 129], ids=str)
async def test_an_id_that_is_none_is_malformed_and_not_sent_back(message_id):
    (error,) = await answers(echoing(), {"type": "echo", "id": message_id})
    assert error == {
        "type": "error",
        "code": "malformed",
        "detail": '"id" must be an integer or a string of at most 128 characters',
    }


async def test_the_last_of_two_equal_keys_stands():
    (reply,) = await answers(echoing(), '{"type": "shout", "type": "echo", "data": 1, "data": 2}')
    assert reply == {"type": "echo", "data": 2}


@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "binary"])
async def test_a_message_of_128_levels_is_taken_and_one_more_is_malformed(encode):
    reply, error = await answers(echoing(), encode(nested(128)), encode(nested(129)))
    assert json.dumps(reply["data"]) == "[" * 127 + "]" * 127
    assert error["code"] == "malformed"
    assert error["detail"] == "the message is nested deeper than 128 levels"


@pytest.mark.parametrize("depth", [250, 1000, 1025, 100_000])
async def test_no_depth_is_a_crash(depth):
    (error,) = await answers(echoing(), nested(depth))
    assert error["code"] == "malformed"


async def test_a_message_may_be_wide_and_full_of_brackets():
    data = [{"a": ["[{" * 10]} for _ in range(1000)]
    (reply,) = await answers(echoing(), {"type": "echo", "data": data})
    assert reply["data"] == data


LONG = "\x00" * 100_000


@pytest.mark.parametrize(
    "frame",
    [
        LONG,
        json.dumps(LONG),
        json.dumps({"type": LONG}),
        json.dumps({"type": "echo", "id": LONG}),
        json.dumps({"type": "shout", "id": "\x00" * 128}),
        json.dumps({LONG: LONG}),
    ],
    ids=["no JSON", "no object", "type", "id", "longest id", "key"],
)
async def test_little_of_a_long_message_comes_back(frame):
    (error,) = await answers(echoing(), frame)
    assert error["type"] == "error"
    assert len(json.dumps(error)) < 1200


async def test_a_type_is_quoted_up_to_64_characters():
    (error,) = await answers(echoing(), {"type": "ä" * 65})
    assert error["detail"] == f'there is no handler of the message "{"ä" * 63}…"'


WRONG = ["no JSON", [], {"type": "shout"}, {"type": "echo", "id": []}]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
async def test_too_many_wrong_messages_in_a_row_close_with_1008(wrong):
    ws = MessageSocket(*[wrong] * 5)
    await echoing(max_errors=3).serve(ws)
    assert [frame["type"] for frame in ws.sent] == ["error"] * 3
    assert (ws.closed.code, ws.closed.by) == (1008, "server")
    assert ws.closed.reason == "3 messages in a row that could not be handled"
    assert ws.unread == 2


async def test_a_message_that_is_handled_makes_up_for_the_wrong_ones_before():
    ws = MessageSocket(*[*WRONG[:2], {"type": "echo"}] * 5)
    await echoing(max_errors=3).serve(ws)
    assert (ws.unread, ws.closed.by) == (0, "client")


async def test_http_errors_are_no_wrong_messages():
    chat = Dispatcher(max_errors=1)

    @chat.on("ask")
    async def ask(ws, message):
        raise HTTPError(404)

    ws = MessageSocket(*[{"type": "ask"}] * 5)
    await chat.serve(ws)
    assert [frame["code"] for frame in ws.sent] == [404] * 5


async def test_a_hundred_wrong_messages_are_the_limit_unless_told_otherwise():
    ws = MessageSocket(*["no JSON"] * 101)
    await Dispatcher().serve(ws)
    assert (len(ws.sent), ws.closed.code) == (100, 1008)


async def test_without_a_limit_wrong_messages_are_answered_for_ever():
    ws = MessageSocket(*["no JSON"] * 1000)
    await Dispatcher(max_errors=None).serve(ws)
    assert (len(ws.sent), ws.closed.by) == (1000, "client")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "id", "data"]), inner),
)
FRAMES = (
    st.text() | st.binary() | JSON | st.fixed_dictionaries({"type": st.just("echo"), "id": JSON})
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(FRAMES, max_size=5))
def test_nothing_that_a_client_sends_is_a_crash(frames):
    replies = anyio.run(partial(answers, echoing(max_errors=None)), *frames)
    assert len(replies) == len(frames)
    for reply in replies:
        assert reply["type"] == "echo" or len(json.dumps(reply)) < 1200
