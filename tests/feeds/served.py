"""The app that the tests of feeds serve: one hub, its topics over both transports."""

import asyncio
import gc
import time
from dataclasses import asdict
from typing import Any

import anyio
import anyio.lowlevel

from asgi_rt import App, Hub, Overflow, Request, WebSocket, attach, sse_feed
from asgi_rt.hub import History

MAX_MESSAGES = 16
MAX_BYTES = 1 << 30  # messages alone are to decide

hub = Hub(history=None)
kept = Hub(history=History(max_count=50, max_bytes=None))
app = App(grace=1)


def _topics(request: Any) -> list[str]:
    return request.query.get("topics", "a").split(",")


def _options(request: Any) -> dict[str, Any]:
    return {"policy": Overflow(request.query.get("policy", "drop_oldest"))} | {
        name: int(request.query[name])
        for name in ("max_messages", "history", "close_code")
        if name in request.query
    }


def _hub(request: Any) -> Hub:
    return kept if "kept" in request.query else hub


@app.get("/sse")
async def sse(request: Request) -> Any:
    timeout = float(request.query.get("send_timeout", "3600"))
    options = {"max_bytes": MAX_BYTES, "send_timeout": timeout, "ping": None, "retry": None}
    return sse_feed(_hub(request), *_topics(request), **options, **_options(request))


async def _attach(ws: WebSocket) -> None:
    await ws.accept()
    options = {"envelopes": "envelopes" in ws.query, "max_bytes": MAX_BYTES, **_options(ws)}
    async with attach(ws, _hub(ws), *_topics(ws), **options):
        async for text in ws.iter_text():
            await ws.send_text(f"echo {text}")


app.websocket("/ws", send_timeout=3600)(_attach)
app.websocket("/ws/impatient", send_timeout=0.5)(_attach)


@app.get("/publish")
async def publish(request: Request) -> dict[str, Any]:
    """Publish `count` messages of `size` bytes, one each `interval` seconds; the time is in each.

    Without an interval, some are published in each turn of the event loop.
    """
    query = request.query
    topic, count = query.get("topic", "a"), int(query.get("count", "1"))
    pad, interval = "x" * int(query.get("size", "100")), float(query.get("interval", "0"))
    began = time.monotonic()
    outcome = {"delivered": 0, "queued": 0, "dropped": 0, "disconnected": 0}
    for number in range(count):
        due = began + number * interval
        if interval and due > time.monotonic():
            await anyio.sleep(due - time.monotonic())
        text = f"#{number} {time.monotonic():.6f} {pad};"
        published = await _hub(request).publish(topic, text, key=str(number % 4))
        for name in outcome:
            outcome[name] += getattr(published, name)
        if not interval and number % 10 == 9:
            await anyio.lowlevel.checkpoint()
    return {**outcome, "seconds": time.monotonic() - began}


@app.get("/snapshot")
async def snapshot(request: Request) -> dict[str, Any]:
    return asdict(_hub(request).snapshot())


@app.get("/counts")
async def counts(request: Request) -> dict[str, int]:
    """What there is, garbage aside: the connections of the server, whatever still refers to them,
    with the one that asks, and the timers that are off and that the loop has not dropped yet.
    """
    gc.collect()
    subscribers = len(hub.snapshot().subscriptions) + len(kept.snapshot().subscriptions)
    found = gc.get_objects()
    timers = [each for each in found if type(each) is asyncio.TimerHandle]
    return {
        "tasks": len(asyncio.all_tasks()),
        "subscribers": subscribers,
        "connections": sum(issubclass(type(each), asyncio.BaseProtocol) for each in found),
        "cancelled_timers": sum(each.cancelled() for each in timers),
        "objects": len(found),
    }
