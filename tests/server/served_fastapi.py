"""FastAPI apps, of the adapter and the real one, for the command line."""

import fastapi

import asgi_rt
from asgi_rt.fastapi import FastAPI, WebSocket

inner = asgi_rt.App()
app = FastAPI(openapi_url=None)
real = fastapi.FastAPI(openapi_url=None)
app.mount("/inner", inner)
real.mount("/inner", inner)
real.mount("/ported", app)


@inner.get("/leaf")
async def leaf(request: asgi_rt.Request) -> None: ...


@app.get("/items/{item_id}")
@real.post("/items/{item_id}")
async def item(item_id: int) -> float:
    return app.grace


@app.websocket("/chat")
async def chat(websocket: WebSocket) -> None: ...
