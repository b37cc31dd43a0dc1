"""Apps to dispatch to, and one exchange with a layer around them."""

import anyio
from fakes import FakeServer

from asgi_rt.middleware.dispatch import DispatchMiddleware

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]}


def chunk(body, *, more=True):
    return {"type": "http.response.body", "body": body, "more_body": more}


async def counting(scope, receive, send):
    """A stream of three pieces."""
    await send(HEAD)
    for number in range(3):
        await anyio.lowlevel.checkpoint()
        await send(chunk(b"%d" % number))
    await send(chunk(b"", more=False))


async def from_child(scope, receive, send):
    """The same, sent by a task of its own while the app watches for the client, as many do."""
    async with anyio.create_task_group() as group:

        async def produce():
            await counting(scope, receive, send)
            group.cancel_scope.cancel()

        group.start_soon(produce)
        while (await receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()


async def exchange(dispatch, app=counting, *, server=None, **scope):
    """One request through a layer; the server that saw the answer."""
    server = server or FakeServer(**scope)
    await DispatchMiddleware(app, dispatch=dispatch)(server.scope, server.receive, server.send)
    return server
