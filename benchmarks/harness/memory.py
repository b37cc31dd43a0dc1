"""How much memory a process holds, and how many files one may open."""

import resource
import time
from pathlib import Path


def resident_bytes(pid: int) -> int | None:
    """The resident memory of process `pid` in bytes, or None where /proc does not tell.

    Taken from `smaps_rollup`, which counts pages; the figure in `status` is estimated.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:")), None)


def settled_bytes(pid: int, still: float, limit: float = 10.0) -> int | None:
    """The resident memory once it has not changed for `still` seconds, waiting `limit` at most."""
    deadline = time.monotonic() + limit
    held, since = resident_bytes(pid), time.monotonic()
    while held is not None and (now := time.monotonic()) - since < still and now < deadline:
        time.sleep(min(0.05, still))
        current = resident_bytes(pid)
        if current != held:
            held, since = current, time.monotonic()
    return held


def allow_open_files(count: int) -> str | None:
    """Let this process, and those it starts, open `count` files; the reason if it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        return f"needs {count} open files and the limit here is {hard} (ulimit -Hn)"
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return None
