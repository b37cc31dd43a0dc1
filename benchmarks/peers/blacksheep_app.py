"""BlackSheep, as its documentation begins."""

from blacksheep import Application, Response, Router, json

app = Application(router=Router())


@app.router.get("/json")
async def hello() -> Response:
    return json({"message": "Hello, World!"})


@app.router.get("/items/{int:item_id}")
async def item(item_id: int) -> Response:
    return json({"id": item_id})
