"""Server processes for the tests of WebSockets, and what their logs may say."""

import itertools
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
from server_process import ServerProcess

HERE = Path(__file__).parent
UVICORN = ("-m", "uvicorn", "served:app", "--port", "0", "--ws")
COMMANDS = {
    "sansio": (*UVICORN, "websockets-sansio"),
    "wsproto": (*UVICORN, "wsproto"),
    # In one process: with workers, even one, it serves from a child.
    "hypercorn": ("-m", "hypercorn", "served:app", "--bind", "127.0.0.1:0", "--workers", "0"),
}
HYPERCORN_STUCK = r"hypercorn/asyncio/run\.py\", line \d+, in _server_callback"
"""hypercorn waits for ever to hand out what a client sent that has left, where the app has returned
before. Going down, it cancels that after 3 seconds, and asyncio logs it.
"""
HYPERCORN_ENDS = sys.version_info < (3, 12)
"""From Python 3.12 on it never goes down then: `asyncio.Server.wait_closed` waits for that too."""
RUN = ("-m", "asgi_rt", "run", "served:app", "--port", "0")

_RECORD = re.compile(r"(?:\[.*?\] \[\d+\] \[)?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_ALARM = re.compile(r"ERROR|CRITICAL|Traceback|Warning|never retrieved")

_keys = (f"key-{number}" for number in itertools.count())


def fresh_key() -> str:
    """What tells one connection's lines from those of others."""
    return next(_keys)


class WebSocketServer(ServerProcess):
    """A server of the app in `served.py`."""

    def __init__(self, kind: str, *options: str) -> None:
        self.kind = kind
        command = RUN if kind == "asgi-rt" else COMMANDS[kind]
        super().__init__(*command, *options, cwd=HERE)

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def told(self, pattern: str, *, count: int = 1) -> re.Match[str]:
        """The `count`-th line that matches; the clients of the test go on meanwhile."""
        return await anyio.to_thread.run_sync(lambda: self.wait_for(pattern, count=count))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send_signal(number)
        return self.exit_status()

    def forget_peak(self) -> None:
        """Measure the peak of its memory from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The largest that its resident set was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def alarms(self) -> list[str]:
        """What was logged as an error, tracebacks and warnings; without the deliberate crashes."""
        records: list[str] = [""]
        for line in self.lines:
            if _RECORD.match(line):
                records.append(line)
            else:
                records[-1] += f"\n{line}"
        return [each for each in records if _ALARM.search(each) and "deliberate" not in each]


@contextmanager
def serving(
    kind: str, *options: str, allowed: str = "(?!)", ends: bool = True
) -> Iterator[WebSocketServer]:
    """A server of this kind, for as many tests as there are.

    When they are done it is stopped: it must end with 0, if it `ends` at all, and have logged no
    error but what matches `allowed`.
    """
    with WebSocketServer(kind, *options) as server:
        server.wait_for("app started")
        yield server
        if ends:
            assert server.stop() == 0, str(server)
    alarms = [each for each in server.alarms() if not re.search(allowed, each)]
    assert not alarms, "\n".join(alarms)
