"""A server in a process of its own, and a client that does as it pleases with its socket."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

TIMEOUT = 30.0
"""Seconds after which a test gives up waiting; far beyond what anything here takes."""


class ServerProcess:
    """A command that serves. What it prints is read all the time, and can be waited for."""

    def __init__(self, *arguments: str, cwd: Path, env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._printed = threading.Condition()
        self._is_silent = False
        self.process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._printed:
                self.lines.append(line.rstrip("\n"))
                self._printed.notify_all()
        with self._printed:
            self._is_silent = True
            self._printed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def prints(self, pattern: str, *, within: float, count: int = 1) -> list[re.Match[str]]:
        """The lines that match: as soon as there are `count`, or after `within` seconds."""

        def found() -> list[re.Match[str]]:
            return [match for line in self.lines if (match := re.search(pattern, line))]

        with self._printed:
            self._printed.wait_for(lambda: self._is_silent or len(found()) >= count, within)
            return found()

    def wait_for(self, pattern: str, *, count: int = 1) -> re.Match[str]:
        """The `count`-th line that matches, as soon as it is printed."""
        matches = self.prints(pattern, within=TIMEOUT, count=count)
        assert len(matches) >= count, f"{count} lines with {pattern!r} were not printed:\n{self}"
        return matches[count - 1]

    @property
    def url(self) -> str:
        return self.wait_for(r"http://[\d.]+:\d+")[0]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def send_signal(self, number: int, *, to_all: bool = False) -> None:
        """Send a signal to the server, or, as a terminal does, to its workers as well."""
        if to_all:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def exit_status(self) -> int:
        """Its exit status, when it has ended."""
        try:
            return self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end:\n{self}") from None
        finally:
            self.close()

    def close(self) -> None:
        """End it and its workers, however they are."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def memory_bytes(self) -> int:
        """The resident set of the process, from /proc."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def __str__(self) -> str:
        return self.output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RawClient:
    """One connection, by TCP or a unix socket, as bare as it comes."""

    def __init__(
        self, address: tuple[str, int] | str, *, receive_buffer_bytes: int | None = None
    ) -> None:
        deadline = time.monotonic() + TIMEOUT
        while True:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.settimeout(TIMEOUT)
            if receive_buffer_bytes is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            try:
                self.socket.connect(address)
                break
            except OSError:
                self.socket.close()
                assert time.monotonic() < deadline, f"nothing listens on {address}"
                time.sleep(0.01)

    def get(self, path: str) -> None:
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def read_until(self, marker: bytes) -> bytes:
        """What comes, up to and with `marker`, or a little more."""
        read = b""
        while marker not in read:
            chunk = self.socket.recv(65536)
            assert chunk, f"the connection ended before {marker!r}: {read[-200:]!r}"
            read += chunk
        return read

    def read_rest(self) -> bytes:
        """Everything until the server closes the connection."""
        read = b""
        while chunk := self.socket.recv(65536):
            read += chunk
        return read

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
