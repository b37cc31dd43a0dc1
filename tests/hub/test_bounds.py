"""What is refused where it is asked for is told by its name, and what is asked for instead."""

import re

import pytest

from asgi_rt import Hub, attach, sse_feed
from asgi_rt.feeds.wire import plain
from asgi_rt.hub import History
from asgi_rt.hub.presence import Presence


@pytest.mark.parametrize("bound", ["max_messages", "max_bytes"])
@pytest.mark.parametrize("value", ["5", None, [1]])
def test_a_mailbox_bound_of_another_type_is_refused(bound, value):
    with pytest.raises(TypeError, match=re.escape(f"{bound} is a number, not {value!r}")):
        Hub().subscribe("a", **{bound: value})


@pytest.mark.parametrize("make", [Hub().subscribe, History])
def test_half_a_message_or_byte_is_no_bound(make):
    with pytest.raises(ValueError, match=re.escape("max_bytes is a whole number, not 2.5")):
        make(*(["a"] if make is not History else []), max_bytes=2.5)


def test_what_is_unbounded_may_be_infinite():
    with_room = Hub().subscribe("a", max_bytes=float("inf"))
    assert with_room.mailbox.max_bytes == float("inf")


def test_a_history_bound_of_another_type_is_refused():
    with pytest.raises(TypeError, match="max_count is a number, not '5'"):
        History(max_count="5")


@pytest.mark.parametrize("value", [0, -1])
def test_a_hub_takes_messages_of_one_byte_at_least(value):
    with pytest.raises(ValueError, match=f"max_message_bytes is at least 1, not {value}"):
        Hub(max_message_bytes=value)


@pytest.mark.parametrize("value", [None, "x"])
def test_a_message_bound_of_another_type_is_refused(value):
    with pytest.raises(TypeError, match=f"max_message_bytes is a number, not {value!r}"):
        Hub(max_message_bytes=value)


def test_the_address_of_a_backplane_is_none():
    expected = "a backplane is an object like MemoryBackplane(), not 'redis://localhost'"
    with pytest.raises(TypeError, match=re.escape(expected)):
        Hub(backplane="redis://localhost")


@pytest.mark.parametrize("topics", [(["a", "b"],), (None,), ("a", 5)])
def test_topics_are_arguments_each_of_its_own(topics):
    expected = f"each topic is a str, an argument of its own, not {topics[-1]!r}"
    with pytest.raises(TypeError, match=re.escape(expected)):
        Hub().subscribe(*topics)


def test_a_feed_is_encoded_by_a_function():
    with pytest.raises(TypeError, match="encode is a function of a message, not 'x'"):
        sse_feed(Hub(), "a", encode="x")


def test_an_encoder_names_its_events_itself():
    with pytest.raises(ValueError, match="give `event` or `encode`"):
        sse_feed(Hub(), "a", event="x", encode=plain)


def test_a_websocket_of_another_framework_is_to_be_wrapped():
    from starlette.websockets import WebSocket

    async def never(*_):
        raise AssertionError

    theirs = WebSocket({"type": "websocket", "path": "/", "headers": []}, never, never)
    with pytest.raises(TypeError, match=re.escape("starlette.websockets.WebSocket")) as raised:
        attach(theirs, Hub(), "a")
    assert "`async with asgi_rt.embed.wrap(websocket) as ws:`" in str(raised.value)


@pytest.mark.parametrize(("topic", "member"), [(5, "m"), ("a", 5), ("a", None)])
def test_who_is_where_is_told_by_text(topic, member):
    with pytest.raises(TypeError, match=r"a (topic|member) is a str, not (5|None)"):
        Presence(Hub()).join(topic, member)
