"""The demo's server-sent events: a topic of the hub, and a journal in SQLite."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio

from asgi_rt import HTTPError, Hub, Request, Response, Router, sse_feed
from asgi_rt.demo.droppable import DroppableStreams
from asgi_rt.demo.journal import Journal, open_journal
from asgi_rt.demo.process import ProcessMonitor

__all__ = ["SAMPLES", "router", "run_live"]

SAMPLES: Final = 120
"""How many of the last samples a newcomer is given."""

_SAMPLE_SECONDS: Final = 1.0
_METRICS: Final = "metrics"
_RETRY_MILLISECONDS: Final = 1000
_TOKEN: Final = re.compile("[0-9a-f]{32}")

router = Router()


@asynccontextmanager
async def run_live(
    directory: Path, monitor: ProcessMonitor, hub: Hub
) -> AsyncGenerator[dict[str, Any], None]:
    """Have something to stream for as long as the block lasts; gives what the handlers need."""
    path = directory / "journal-1.sqlite"
    async with open_journal(path) as journal, anyio.create_task_group() as tasks:
        tasks.start_soon(_publish_samples, monitor, hub)
        yield {"journal": journal, "streams": DroppableStreams()}
        tasks.cancel_scope.cancel()


async def _publish_samples(monitor: ProcessMonitor, hub: Hub) -> None:
    async for sample in monitor.samples(_SAMPLE_SECONDS, None):
        await hub.publish(_METRICS, sample)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """The last samples, then what comes; after a lost connection what was missed."""
    hub: Hub = request.state["hub"]
    return sse_feed(hub, _METRICS, history=SAMPLES, retry=_RETRY_MILLISECONDS)


@router.sse("/journal", retry=_RETRY_MILLISECONDS)
async def journal(request: Request) -> Any:
    """The journal. With `?token=` (32 hexadecimal digits) the stream can be dropped."""
    journal: Journal = request.state["journal"]
    entries = journal.follow(request.last_event_id)
    token = request.query.get("token")
    if token is None:
        return entries
    if _TOKEN.fullmatch(token) is None:
        raise HTTPError(400, "a token is 32 hexadecimal digits, in lower case")
    streams: DroppableStreams = request.state["streams"]
    return streams.guard(token, entries)


@router.post("/streams/{token}/drop")
async def drop_stream(request: Request) -> None:
    """Break off the streams that were opened with a token, in the middle of their responses."""
    streams: DroppableStreams = request.state["streams"]
    if not streams.drop(request.path_params["token"]):
        raise HTTPError(404, "no stream with this token is open")
