"""Litestar: plain return values, which it encodes with msgspec."""

from litestar import Litestar, get


@get("/json")
async def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


@get("/items/{item_id:int}")
async def item(item_id: int) -> dict[str, int]:
    return {"id": item_id}


app = Litestar(route_handlers=[hello, item], openapi_config=None)
