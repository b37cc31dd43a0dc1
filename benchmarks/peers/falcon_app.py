"""Falcon's ASGI app, with the orjson media handler of its documentation."""

import falcon.asgi
import falcon.media
import orjson


class Greeting:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.media = {"message": "Hello, World!"}


class Item:
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, item_id: int
    ) -> None:
        resp.media = {"id": item_id}


app = falcon.asgi.App()
app.resp_options.media_handlers[falcon.MEDIA_JSON] = falcon.media.JSONHandler(
    dumps=orjson.dumps, loads=orjson.loads
)
app.add_route("/json", Greeting())
app.add_route("/items/{item_id:int}", Item())
