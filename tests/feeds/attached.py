"""A WebSocket with a hub's topics attached, on a server that the test plays."""

import json
from contextlib import asynccontextmanager

import anyio
from websocket.fake_server import UvicornServer, connection

from asgi_rt import attach


class Room:
    """A handler that attaches topics, and reads until its client leaves."""

    def __init__(self, hub, *topics, **options):
        self.hub = hub
        self.topics = topics or ("a",)
        self.options = options
        self.received = []
        self.subscription = None
        self.ws = None
        self.left = anyio.Event()

    async def __call__(self, ws):
        await ws.accept()
        self.ws = ws
        async with attach(ws, self.hub, *self.topics, **self.options) as self.subscription:
            async for text in ws.iter_text():
                if text == "leave":
                    break
                self.received.append(text)
        self.left.set()
        await ws.wait_closed()


@asynccontextmanager
async def attached(
    hub, *topics, kind=UvicornServer, server=None, leaves=True, crashes=False, **options
):
    """The server and the room, once the room is there; the client leaves at the end."""
    more = {name: options.pop(name) for name in ("send_timeout",) if name in options}
    room = Room(hub, *topics, **options)
    async with connection(room, kind, server=server, crashes=crashes, **more) as fake:
        await fake.until(lambda: room.subscription is not None or fake.is_done)
        await anyio.wait_all_tasks_blocked()
        yield fake, room
        if leaves:
            fake.leave()


def envelopes(server):
    return [json.loads(each) for each in server.data]
