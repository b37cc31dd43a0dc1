"""WebSockets that say which cookies came along: one for pages of its own origin, one for all."""

from asgi_rt import App, HTMLResponse, Request, Response, WebSocket

app = App(grace=1)


@app.get("/")
async def empty_page(request: Request) -> Response:
    return HTMLResponse("<!doctype html><title>empty</title><link rel=icon href=data:,>")


@app.websocket("/own")
@app.websocket("/all", origins=None)
async def tell_cookies(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_json(ws.cookies)
