"""A server for every peer of a scenario.

All are started at once, because imports are the slow part, and each is kept to its core only when
it is up. An idle server costs nothing, so they wait for one another's turns.
"""

import http.client
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.harness.questions import Answer
from benchmarks.harness.server import HOST, Server, ServerFailed, free_ports, serving
from benchmarks.model import Arm
from benchmarks.peers import Peer


@dataclass(frozen=True, slots=True)
class Served:
    """An arm and the server that it is measured on."""

    arm: Arm
    server: Server


@contextmanager
def serve(
    arms: Sequence[tuple[Arm, Peer]],
    path: str,
    fault: Callable[[Answer], str | None],
    core: int | None,
) -> Iterator[list[Served]]:
    """The servers of those peers that come up and answer `GET path` without a fault.

    The arms of the others are given up, with the reason. All servers are ended on the way out.
    """
    with ExitStack() as stack:
        ports = free_ports(len(arms))
        started = [
            Served(arm, stack.enter_context(serving(peer.module, port)))
            for (arm, peer), port in zip(arms, ports, strict=True)
        ]
        for entry in started:
            # Called before any server is waited for.
            stack.callback(entry.server.ask_to_stop)
        for entry in started:
            _bring_up(entry, path, fault, core)
        yield [entry for entry in started if entry.arm.status == "measured"]


def _bring_up(
    entry: Served, path: str, fault: Callable[[Answer], str | None], core: int | None
) -> None:
    try:
        entry.server.wait_ready(core)
    except ServerFailed as error:
        entry.arm.give_up("missing", str(error))
        return
    try:
        wrong = fault(_fetch(entry.server.port, path))
    except (OSError, http.client.HTTPException) as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong is not None:
        entry.arm.give_up("wrong", f"GET {path}: {wrong}")


def _fetch(port: int, path: str) -> Answer:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.getheader("content-type", ""), response.read())
    finally:
        connection.close()
