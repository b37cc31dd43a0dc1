"""The websockets library on its own server, with the event loop that the others have."""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.harness.server import HOST


async def echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


async def main(port: int) -> None:
    async with serve(echo, HOST, port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
