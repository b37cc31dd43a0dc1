"""The demo's server-sent events: one stream that is kept in memory, and one in SQLite."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio

from asgi_rt import HTTPError, Request, Router
from asgi_rt.demo.droppable import DroppableStreams
from asgi_rt.demo.journal import Journal, open_journal
from asgi_rt.demo.process import ProcessMonitor
from asgi_rt.sse import EventLog

__all__ = ["router", "run_live"]

_SAMPLE_SECONDS: Final = 1.0
_SAMPLES: Final = 120
_RETRY_MILLISECONDS: Final = 1000
_TOKEN: Final = re.compile("[0-9a-f]{32}")

router = Router()


@asynccontextmanager
async def run_live(
    directory: Path, monitor: ProcessMonitor
) -> AsyncGenerator[dict[str, Any], None]:
    """Have something to stream for as long as the block lasts; gives what the handlers need."""
    metrics = EventLog(max_count=_SAMPLES)
    path = directory / "journal-1.sqlite"
    async with open_journal(path) as journal, anyio.create_task_group() as tasks:
        tasks.start_soon(_publish_samples, monitor, metrics)
        yield {"metrics": metrics, "journal": journal, "streams": DroppableStreams()}
        tasks.cancel_scope.cancel()


async def _publish_samples(monitor: ProcessMonitor, log: EventLog) -> None:
    async for sample in monitor.samples(_SAMPLE_SECONDS, None):
        log.append(sample)


@router.sse("/metrics", retry=_RETRY_MILLISECONDS)
async def metrics(request: Request) -> Any:
    log: EventLog = request.state["metrics"]
    return log.follow(request.last_event_id)


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
