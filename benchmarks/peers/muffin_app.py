"""Muffin: plain return values, which it encodes with orjson."""

from typing import Any

import muffin

app = muffin.Application()


@app.route("/json")
async def hello(request: muffin.Request) -> dict[str, Any]:
    return {"message": "Hello, World!"}


@app.route("/items/{item_id:int}")
async def item(request: muffin.Request) -> dict[str, Any]:
    return {"id": request.path_params["item_id"]}
