"""What is wrong about a handler is told when it is registered."""

import pytest

from asgi_rt.errors import RouteError
from asgi_rt.websocket.dispatch import Dispatcher
from websocket.message_socket import answers


async def handler(ws, message):
    return {"type": "answer"}


async def of_one(ws):
    pass


async def of_three(ws, message, session):
    pass


def of_keywords(*, ws, message):
    pass


async def async_yielding(ws, message):
    yield {"type": "answer"}


def yielding(ws, message):
    yield {"type": "answer"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (of_one, 'the message "join": the handler of_one(ws) must take two arguments, the socket'),
        (of_three, "of_three(ws, message, session) must take two arguments"),
        (of_keywords, "of_keywords(*, ws, message) must take two arguments"),
        (async_yielding, "the handler async_yielding yields; it returns one reply"),
        (yielding, "the handler yielding yields"),
        ("join", "a handler is a function, not 'join'"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_handler_of_the_wrong_kind_is_refused_by_name(wrong, said):
    chat = Dispatcher()
    with pytest.raises(RouteError) as raised:
        chat.on("join")(wrong)
    assert said in str(raised.value)
    (frame,) = await answers(chat, {"type": "join"})
    assert frame["code"] == "unknown_type"


def test_a_fallback_of_the_wrong_signature_is_refused_by_name():
    with pytest.raises(RouteError, match=r"the fallback: the handler of_one\(ws\) must take"):
        Dispatcher().fallback(of_one)


def test_a_second_handler_of_a_message_is_refused():
    chat = Dispatcher()
    chat.on("join")(handler)
    with pytest.raises(RouteError, match='the message "join" has a handler already'):
        chat.on("join")(handler)


def test_a_second_fallback_is_refused():
    chat = Dispatcher()
    chat.fallback(handler)
    with pytest.raises(RouteError, match="the fallback is there already"):
        chat.fallback(handler)


def test_a_decorator_without_its_call_is_refused():
    with pytest.raises(RouteError, match=r'the type of a message is a string, as in .on\("join"\)'):
        Dispatcher().on(handler)


@pytest.mark.parametrize("key", ["id", "code", "detail", "errors"])
def test_a_key_that_frames_use_otherwise_is_refused(key):
    with pytest.raises(ValueError, match=f"the key '{key}' has a meaning of its own"):
        Dispatcher(key)


def test_a_limit_of_no_errors_is_refused():
    with pytest.raises(ValueError, match="`max_errors` is at least 1, or None"):
        Dispatcher(max_errors=0)


async def test_including_a_dispatcher_with_a_handler_of_the_same_takes_nothing():
    chat, more = Dispatcher(), Dispatcher()
    chat.on("join")(handler)
    more.on("leave")(handler)
    more.on("join")(handler)
    with pytest.raises(RouteError, match='both dispatchers have a handler of "join"'):
        chat.include(more)
    (frame,) = await answers(chat, {"type": "leave"})
    assert frame["code"] == "unknown_type"
    more.on("late")(handler)


def test_including_a_second_fallback_is_refused():
    chat, more = Dispatcher(), Dispatcher()
    chat.fallback(handler)
    more.fallback(handler)
    with pytest.raises(RouteError, match="both dispatchers have a fallback"):
        chat.include(more)


def test_including_a_dispatcher_with_another_key_is_refused():
    with pytest.raises(RouteError, match="the keys differ: 'type' here, 'event' there"):
        Dispatcher().include(Dispatcher("event"))


def test_an_included_dispatcher_takes_no_more_handlers():
    chat, more = Dispatcher(), Dispatcher()
    chat.include(more)
    for register in (more.on("late"), more.fallback):
        with pytest.raises(RouteError, match="comes too late: this dispatcher was included"):
            register(handler)
    with pytest.raises(RouteError, match="comes too late"):
        more.include(Dispatcher())


def test_a_dispatcher_cannot_hold_itself():
    chat = Dispatcher()
    with pytest.raises(RouteError, match="a dispatcher cannot include itself"):
        chat.include(chat)
    chat.on("join")(handler)
