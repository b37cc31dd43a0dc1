"""aiohttp's WebSocket on its own server, with the event loop that the others have."""

import sys

import uvloop
from aiohttp import WSMsgType, web

from benchmarks.harness.server import HOST


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws


def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/echo", echo)
    loop = uvloop.new_event_loop()
    web.run_app(app, host=HOST, port=port, print=None, access_log=None, loop=loop)


if __name__ == "__main__":
    main(int(sys.argv[1]))
