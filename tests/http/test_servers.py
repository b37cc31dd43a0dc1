"""Telling a receive that waits for nothing but futures from one that may wait for anything."""

import functools

import pytest
from uvicorn.protocols.http.h11_impl import RequestResponseCycle as H11Cycle
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as HTTPToolsCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from asgi_rt.http.inbox import Inbox
from asgi_rt.http.servers import waits_for_futures


class Uvicorn:
    """Taken for uvicorn, by the name of its module."""

    async def receive(self):
        raise AssertionError("nobody is to receive")


Uvicorn.__module__ = "uvicorn.protocols.http.fake"


class Passing:
    """Passes on what another receive gives."""

    def __init__(self, receive):
        self.passes_on = receive

    async def receive(self):
        return await self.passes_on()


def through(count, receive):
    for _ in range(count):
        receive = Passing(receive).receive
    return receive


def named(module):
    return type("Server", (), {"receive": Uvicorn.receive, "__module__": module})()


@pytest.mark.parametrize(
    "protocol", [H11Cycle, HTTPToolsCycle, WebSocketsSansIOProtocol, WSProtocol]
)
def test_the_receive_of_all_of_uvicorn_s_protocols_waits_for_futures(protocol):
    assert waits_for_futures(protocol.receive.__get__(object.__new__(protocol)))


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_so_does_what_passes_it_on_through_so_many_layers(count):
    assert waits_for_futures(through(count, Uvicorn().receive))


async def receive():
    raise AssertionError("nobody is to receive")


OTHERS = {
    "a function": receive,
    "a partial": functools.partial(Uvicorn().receive),
    "another server's": named("hypercorn.protocol").receive,
    "one whose name begins as uvicorn's": named("uvicorn_worker.fake").receive,
    "one with uvicorn in its name": named("my.uvicorn").receive,
    "an inbox": Inbox(Uvicorn().receive),
    "a builtin": [].append,
    "none": None,
}


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_nothing_else_does_behind_layers_or_not(other, count):
    assert not waits_for_futures(through(count, other))


def test_a_layer_can_say_that_it_is_not_so_just_now():
    layer = Passing(Uvicorn().receive)
    assert waits_for_futures(layer.receive)
    layer.passes_on = None
    assert not waits_for_futures(layer.receive)
    assert not waits_for_futures(through(1, layer.receive))
