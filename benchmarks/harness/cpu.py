"""Which core a process runs on, and how much processor time it has used."""

import os
from contextlib import suppress
from pathlib import Path


def cores_to_pin() -> tuple[int, int] | None:
    """A core for the server and one for the load, or None where there are not two to choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


def pin(pid: int, core: int) -> None:
    """Keep every thread of process `pid` (0: this one) on `core`."""
    threads = [int(entry.name) for entry in Path(f"/proc/{pid or 'self'}/task").iterdir()]
    for thread in threads:
        # A thread that has ended since it was listed needs no core.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread, {core})


def cpu_seconds(pid: int) -> float | None:
    """User and system time of process `pid` so far, or None where /proc does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may itself hold spaces; utime and stime are fields 14 and 15.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
