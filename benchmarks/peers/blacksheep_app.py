"""BlackSheep, with orjson set through its JSON settings as its documentation shows."""

from typing import Any

import orjson
from blacksheep import Application, Response, Router, json
from blacksheep.settings.json import json_settings


def dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


json_settings.use(loads=orjson.loads, dumps=dumps)

app = Application(router=Router())


@app.router.get("/json")
async def hello() -> Response:
    return json({"message": "Hello, World!"})


@app.router.get("/items/{int:item_id}")
async def item(item_id: int) -> Response:
    return json({"id": item_id})
