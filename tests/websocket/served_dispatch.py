"""A dispatcher for the tests to serve, with room for a hostile client."""

from dataclasses import dataclass

from asgi_rt import App
from asgi_rt.websocket.dispatch import Dispatcher

app = App()
chat = Dispatcher(max_errors=10)


@dataclass
class Say:
    text: str
    times: int = 1


@chat.on("say", Say)
async def say(ws, message):
    return {"type": "said", "text": message.text * message.times}


@chat.on("whisper", Say)
def whisper(ws, message):
    return {"type": "whispered", "text": message.text.lower()}


@app.websocket("/chat")
async def talk(ws):
    await ws.accept()
    await chat.serve(ws)
