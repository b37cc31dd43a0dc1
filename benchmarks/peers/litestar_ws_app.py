"""Litestar's WebSocket listener, which its documentation begins with."""

from litestar import Litestar, websocket_listener


@websocket_listener("/echo")
async def echo(data: str) -> str:
    return data


app = Litestar(route_handlers=[echo], openapi_config=None)
