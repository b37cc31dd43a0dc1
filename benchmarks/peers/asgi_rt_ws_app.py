"""asgi_rt's WebSockets, as its own guide writes them."""

from asgi_rt import App, WebSocket

app = App()


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)
