"""Starlette, as its documentation begins."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello, World!"})


async def item(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["item_id"]})


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
    async def handler(request: Request) -> JSONResponse:
        return JSONResponse({"route": number})

    return handler


def _typed(number: int) -> Any:
    async def handler(request: Request) -> JSONResponse:
        return JSONResponse({"route": number, "id": request.path_params["item_id"]})

    return handler
