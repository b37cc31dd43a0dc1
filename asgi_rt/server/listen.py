"""The sockets to listen on, opened before the app is started, so that a taken port is told early.

They listen at once: only that keeps a second server, started at the same moment, off the port.
Clients that come before the app is up wait for it; while it reloads they are not refused.
"""

import errno
import os
import socket
import stat
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, NamedTuple

from asgi_rt.errors import AsgiRtError

__all__ = ["Listening", "listen_tcp", "listen_unix"]

_BACKLOG: Final = 2048
_UNIX_MODE: Final = 0o666  # a proxy runs as another user


class Listening(NamedTuple):
    """Open sockets, and the address to show to people."""

    sockets: list[socket.socket]
    url: str


@contextmanager
def listen_tcp(host: str, port: int, *, spare_ports: int = 0) -> Generator[Listening, None, None]:
    """Listen on every address of `host`; close the sockets at the end of the block.

    Port 0 is any free one. Where the port is taken, up to `spare_ports` above it are tried. Raises
    AsgiRtError, in one line.
    """
    families = _resolve(host, port)
    with ExitStack() as stack:
        sockets = _first_free(families, host, range(port, port + spare_ports + 1))
        for each in sockets:
            stack.callback(each.close)
        shown = f"[{host}]" if ":" in host else host
        yield Listening(sockets, f"http://{shown}:{sockets[0].getsockname()[1]}")


def _first_free(
    families: dict[str, socket.AddressFamily], host: str, ports: range
) -> list[socket.socket]:
    for port in ports:
        try:
            return _listen_all(families, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise AsgiRtError(_complaint(error, host, ports[0], port)) from error
    raise AssertionError("a range of ports is never empty")


def _resolve(host: str, port: int) -> dict[str, socket.AddressFamily]:
    """The addresses of a host, each with its family."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AsgiRtError(f"cannot listen on {host}: {error.strerror}") from None
    return {str(address[0]): family for family, _, _, _, address in found}


def _listen_all(families: dict[str, socket.AddressFamily], port: int) -> list[socket.socket]:
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        for host, family in families.items():
            # The other addresses take the port that the first one got, where any will do.
            taken = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_listen(family, host, taken, alone=len(families) == 1))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = error  # a name may have an address that this machine has not
            else:
                stack.callback(sockets[-1].close)
        if missing is not None and not sockets:
            raise missing
        stack.pop_all()
        return sockets


def _listen(family: socket.AddressFamily, host: str, port: int, *, alone: bool) -> socket.socket:
    with ExitStack() as stack:
        bound = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if os.name != "nt":  # there it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not alone:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
        bound.set_inheritable(True)
        stack.pop_all()
        return bound


def _complaint(error: OSError, host: str, port: int, last: int) -> str:
    ports = f"port {port}" if last == port else f"the ports {port} to {last}"
    if error.errno == errno.EADDRINUSE:
        verb = "is" if last == port else "are"
        return f"{ports} of {host} {verb} in use by another program; choose another with --port"
    return f"cannot listen on {ports} of {host}: {error.strerror}"


@contextmanager
def listen_unix(path: str) -> Generator[Listening, None, None]:
    """Listen on a unix socket; close and remove it at the end of the block.

    One that a dead server left behind is replaced. Raises AsgiRtError where a server listens there
    or something else has that name.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise AsgiRtError("this system has no unix sockets; use --host and --port")
    with ExitStack() as stack:
        bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        _remove_stale(path)
        try:
            bound.bind(path)
            stack.callback(_remove_own, path, _identity(path))
            os.chmod(path, _UNIX_MODE)
            bound.listen(_BACKLOG)
        except OSError as error:
            raise AsgiRtError(f"cannot listen on {path}: {error.strerror or error}") from error
        bound.set_inheritable(True)
        yield Listening([bound], f"unix:{path}")


def _remove_stale(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AsgiRtError(f"cannot listen on {path}: it is there already, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            raise AsgiRtError(f"cannot listen on {path}: {error.strerror}") from error
        else:
            raise AsgiRtError(f"the socket {path} is in use by another program; use another --uds")


def _identity(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _remove_own(path: str, identity: tuple[int, ...]) -> None:
    """Remove the socket, unless the next server has put its own in that place meanwhile."""
    with suppress(FileNotFoundError):
        if _identity(path) == identity:
            os.unlink(path)
