"""A server in a process of its own, started for a measurement and ended without mercy after it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from benchmarks.harness.cpu import pin

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""


class ServerFailed(Exception):
    """The server did not come up, or did not go away; the text says why."""


class Server:
    """A server process on `port`; `serving` makes one and ends it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
        self.port = port
        self._process = process
        self._log = log
        self._stopped = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, core: int | None, timeout: float = 30.0) -> None:
        """Wait until it accepts connections, then keep it on `core`. Raises ServerFailed."""
        deadline = time.monotonic() + timeout
        while not _listening(self.port):
            if self._process.poll() is not None:
                raise ServerFailed(self._last_line())
            if time.monotonic() > deadline:
                raise ServerFailed(f"not listening after {timeout:g} s: {self._last_line()}")
            time.sleep(0.02)
        if core is not None:
            pin(self.pid, core)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and do not wait, so that several servers can go at the same time."""
        self._process.terminate()

    def stop(self) -> None:
        """End it within a second; a second call does nothing.

        Raises ServerFailed if something still holds the port.
        """
        if self._stopped:
            return
        self._stopped = True
        self.ask_to_stop()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if _listening(self.port):
            raise ServerFailed(f"port {self.port} still answers after its server was killed")

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        written = [line.strip() for line in lines if line.strip()]
        return written[-1] if written else f"exit status {self._process.poll()}, nothing written"


@contextmanager
def serving(
    module: str,
    port: int,
    application: str = "app",
    *,
    own_server: bool = False,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Start serving on `port`; it may not be up yet. It is ended on the way out.

    uvicorn serves `module:application`, with more `options` if need be; a module with a server of
    its own is run, and given the port.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            _own(module, port)
            if own_server
            else [*_uvicorn(f"{module}:{application}", port), *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A group of its own: what the app itself starts is ended with it.
            start_new_session=True,
        )
        server = Server(process, port, log)
        try:
            yield server
        finally:
            server.stop()


def free_ports(count: int) -> Sequence[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in held:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in held]


def _uvicorn(application: str, port: int) -> list[str]:
    address = ["--host", HOST, "--port", str(port)]
    fastest = ["--loop", "uvloop", "--http", "httptools"]
    sockets = ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
    quiet = ["--no-access-log", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", application, *address, *fastest, *sockets, *quiet]


def _own(module: str, port: int) -> list[str]:
    return [sys.executable, "-m", module, str(port)]


def _listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) == 0
