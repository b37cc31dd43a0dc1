"""Falcon's ASGI app, with orjson in place of the standard library's JSON."""

import falcon.asgi
import falcon.media
import orjson

from benchmarks.peers.falcon_app import Greeting, Item

app = falcon.asgi.App()
app.resp_options.media_handlers[falcon.MEDIA_JSON] = falcon.media.JSONHandler(
    dumps=orjson.dumps, loads=orjson.loads
)
app.add_route("/json", Greeting())
app.add_route("/items/{item_id:int}", Item())
