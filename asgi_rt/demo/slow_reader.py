"""The demo's slow reader: what each policy of the hub does, and that others do not notice.

A page opens a WebSocket with `?policy=`, and as long as that is open there is a session: ticks are
published, and the WebSocket, which is read at full speed, is the healthy reader. First of all it is
told the session's token, `{"type": "session", "token": ...}`. With that the page opens an event
stream of the same ticks, which is the slow reader, and an event stream of the counters of both.
On the WebSocket it says how many bytes of the slow one it has read, by
`{"type": "read", "bytes": ...}`, and no more is sent than a little beyond that.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

import anyio

from asgi_rt import HTTPError, Overflow, Request, Router, WebSocket, attach, sse_feed
from asgi_rt.asgi import ASGIApp
from asgi_rt.demo.ticks import MAX_WAITING, TOPIC, TickSession, TickSessions
from asgi_rt.websocket import Dispatcher

__all__ = ["router"]

_MAX_SECONDS: Final = 600.0
# Long enough for who reads at a crawl.
_SEND_TIMEOUT_SECONDS: Final = 120.0
_MESSAGES_PER_SECOND: Final = 200
_MAX_MESSAGE_BYTES: Final = 1024

router = Router()
messages = Dispatcher()


@dataclass
class Read:
    """How much the page has read of the stream that is open."""

    bytes: int


@router.websocket(
    "/slow-reader",
    max_message_bytes=_MAX_MESSAGE_BYTES,
    messages_per_second=_MESSAGES_PER_SECOND,
)
async def watch(ws: WebSocket) -> None:
    """A session, and its healthy reader."""
    sessions: TickSessions = ws.state["tick_sessions"]
    policy = _policy(ws.query.get("policy", Overflow.DROP_OLDEST.value))
    await ws.accept()
    async with sessions.open(policy) as session, ws.session() as beside:
        ws.state["session"] = session
        await ws.send_json({"type": "session", "token": session.token})
        async with attach(ws, session.hub, TOPIC, max_messages=MAX_WAITING) as subscription:
            await session.healthy.follow(subscription)
            beside.start(session.publish)
            with anyio.move_on_after(_MAX_SECONDS):
                await messages.serve(ws)
            await ws.close(1000, f"{_MAX_SECONDS / 60:g} minutes are over")


@messages.on("read", Read)
async def acknowledge(ws: WebSocket, message: Read) -> None:
    session: TickSession = ws.state["session"]
    session.window.acknowledge(message.bytes)


@router.get("/slow-reader/{token}/ticks")
async def ticks(request: Request) -> ASGIApp:
    """The session's other reader, as slow as its client. A second one ends the first."""
    session = _session(request)
    stream = sse_feed(
        session.hub,
        TOPIC,
        policy=session.policy,
        max_messages=MAX_WAITING,
        send_timeout=_SEND_TIMEOUT_SECONDS,
    )
    window = await session.begin_slow(stream.subscription)
    return window.around(stream)


@router.sse("/slow-reader/{token}/counters")
async def counters(request: Request) -> AsyncGenerator[dict[str, Any], None]:
    """How both fare."""
    return _session(request).watch()


def _session(request: Request) -> TickSession:
    sessions: TickSessions = request.state["tick_sessions"]
    return sessions.find(request.path_params["token"])


def _policy(name: str) -> Overflow:
    try:
        return Overflow(name)
    except ValueError:
        known = ", ".join(each.value for each in Overflow)
        raise HTTPError(400, f"a policy is one of {known}") from None
