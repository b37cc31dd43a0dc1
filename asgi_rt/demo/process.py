"""What this process is doing, as numbers."""

import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio

from asgi_rt.asgi import ASGIApp, Receive, Scope, Send
from asgi_rt.drain import Drain

__all__ = ["ProcessMonitor", "count_requests", "pause"]


async def pause(seconds: float, drain: Drain | None) -> bool:
    """Wait, but not for a server that goes down. Whether to go on afterwards."""
    if drain is None:
        await anyio.sleep(seconds)
        return True
    with anyio.move_on_after(seconds):
        await drain.wait()
    return not drain.is_draining


class ProcessMonitor:
    """Counts requests, and measures memory, processor time and how late the event loop is."""

    def __init__(self) -> None:
        self.requests = 0
        self.open_requests = 0

    async def samples(self, seconds: float, drain: Drain | None) -> AsyncIterator[dict[str, Any]]:
        """A sample every `seconds`, until the server goes down; without a drain for ever."""
        while True:
            began, cpu_began = time.perf_counter(), time.process_time()
            if not await pause(seconds, drain):
                return
            elapsed = time.perf_counter() - began
            yield {
                "rss_mib": _resident_mib(),
                "cpu_percent": round(100 * (time.process_time() - cpu_began) / elapsed, 1),
                "loop_lag_ms": round(1000 * max(0.0, elapsed - seconds), 1),
                "open_requests": self.open_requests,
                "requests": self.requests,
            }


def count_requests(app: ASGIApp, *, monitor: ProcessMonitor) -> ASGIApp:
    """Middleware: a function that takes an ASGI app and gives one."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        monitor.requests += 1
        monitor.open_requests += 1
        try:
            await app(scope, receive, send)
        finally:
            monitor.open_requests -= 1

    return counted


def _resident_mib() -> float | None:
    """The memory that the process holds; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    except OSError:
        pass
    if sys.platform == "darwin":
        import resource

        # Its highest so far: the system tells the present one only to other programs.
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)
    return None
