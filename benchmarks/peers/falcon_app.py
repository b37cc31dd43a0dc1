"""Falcon's ASGI app, as its documentation begins."""

import falcon.asgi


class Greeting:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.media = {"message": "Hello, World!"}


class Item:
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, item_id: int
    ) -> None:
        resp.media = {"id": item_id}


app = falcon.asgi.App()
app.add_route("/json", Greeting())
app.add_route("/items/{item_id:int}", Item())
