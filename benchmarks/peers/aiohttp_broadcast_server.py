"""aiohttp's WebSockets on its own server: a loop over them."""

import sys

import uvloop
from aiohttp import web

from benchmarks.harness.broadcast import SOCKETS, Publisher
from benchmarks.harness.server import HOST

sockets: set[web.WebSocketResponse] = set()


async def websocket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    sockets.add(ws)
    try:
        async for _ in ws:
            pass
    finally:
        sockets.discard(ws)
    return ws


async def publish(text: str) -> None:
    for ws in list(sockets):
        await ws.send_str(text)


async def start(request: web.Request) -> web.Response:
    publisher.start(request.query)
    return web.Response(text="publishing")


async def subscribers(request: web.Request) -> web.Response:
    return web.Response(text=str(len(sockets)))


publisher = Publisher(publish)


def main(port: int) -> None:
    app = web.Application()
    app.router.add_get(SOCKETS, websocket)
    app.router.add_get("/publish", start)
    app.router.add_get("/subscribers", subscribers)
    loop = uvloop.new_event_loop()
    web.run_app(app, host=HOST, port=port, print=None, access_log=None, loop=loop)


if __name__ == "__main__":
    main(int(sys.argv[1]))
