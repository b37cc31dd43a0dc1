"""Starlette, with the orjson response that its documentation shows for faster JSON."""

from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class OrjsonResponse(JSONResponse):
    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


async def hello(request: Request) -> OrjsonResponse:
    return OrjsonResponse({"message": "Hello, World!"})


async def item(request: Request) -> OrjsonResponse:
    return OrjsonResponse({"id": request.path_params["item_id"]})


app = Starlette(routes=[Route("/json", hello), Route("/items/{item_id:int}", item)])


def many_routes(count: int, *, typed: bool) -> Starlette:
    """An app with `count` routes, each with or each without a typed parameter."""
    if typed:
        path = "/api/resource{number}/{{item_id:int}}"
        handlers = [_typed(number) for number in range(count)]
    else:
        path = "/api/resource{number}/list"
        handlers = [_static(number) for number in range(count)]
    return Starlette(routes=[Route(path.format(number=n), h) for n, h in enumerate(handlers)])


def _static(number: int) -> Any:
    async def handler(request: Request) -> OrjsonResponse:
        return OrjsonResponse({"route": number})

    return handler


def _typed(number: int) -> Any:
    async def handler(request: Request) -> OrjsonResponse:
        return OrjsonResponse({"route": number, "id": request.path_params["item_id"]})

    return handler
