"""Starlette, with a response class of its user's that has orjson make the JSON."""

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
