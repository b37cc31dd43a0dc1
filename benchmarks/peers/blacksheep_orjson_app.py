"""BlackSheep with the JSON made by orjson, in the handler: its own setting is process-wide."""

from typing import Any

import orjson
from blacksheep import Application, Content, Response, Router

app = Application(router=Router())


def json(value: Any) -> Response:
    return Response(200, content=Content(b"application/json", orjson.dumps(value)))


@app.router.get("/json")
async def hello() -> Response:
    return json({"message": "Hello, World!"})


@app.router.get("/items/{int:item_id}")
async def item(item_id: int) -> Response:
    return json({"id": item_id})
