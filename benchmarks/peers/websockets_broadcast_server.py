"""`broadcast` of the websockets library, on its own server."""

import asyncio
import sys
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

from benchmarks.harness.broadcast import SOCKETS, Publisher
from benchmarks.harness.server import HOST

connections: set[ServerConnection] = set()


async def websocket(connection: ServerConnection) -> None:
    connections.add(connection)
    try:
        await connection.wait_closed()
    finally:
        connections.discard(connection)


async def publish(text: str) -> None:
    broadcast(connections, text)


def process_request(connection: ServerConnection, request: Request) -> Response | None:
    url = urlsplit(request.path)
    if url.path == SOCKETS:
        return None
    if url.path == "/publish":
        publisher.start(dict(parse_qsl(url.query)))
        return connection.respond(HTTPStatus.OK, "publishing")
    return connection.respond(HTTPStatus.OK, str(len(connections)))


publisher = Publisher(publish)


async def main(port: int) -> None:
    async with serve(
        websocket,
        HOST,
        port,
        process_request=process_request,
        compression=None,
        ping_interval=3600,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
