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


Check = Callable[[int], str | None]
"""What is wrong with the server on a port, in one line, or None.

May raise OSError and HTTPException, which are faults as well.
"""


@contextmanager
def serve(
    arms: Sequence[tuple[Arm, Peer]],
    check: Check,
    core: int | None,
    options: Sequence[str] = (),
) -> Iterator[list[Served]]:
    """The servers of those peers that come up and pass the check; `options` are uvicorn's.

    The arms of the others are given up, with the reason. All servers are ended on the way out.
    """
    with ExitStack() as stack:
        ports = free_ports(len(arms))
        started = [
            Served(
                arm,
                stack.enter_context(
                    serving(
                        peer.module,
                        port,
                        peer.application,
                        own_server=peer.own_server,
                        options=options,
                    )
                ),
            )
            for (arm, peer), port in zip(arms, ports, strict=True)
        ]
        for entry in started:
            # Called before any server is waited for.
            stack.callback(entry.server.ask_to_stop)
        for entry in started:
            _bring_up(entry, check, core)
        yield [entry for entry in started if entry.arm.status == "measured"]


def answers(path: str, fault: Callable[[Answer], str | None]) -> Check:
    """The check that `GET path` is answered without a fault."""

    def check(port: int) -> str | None:
        wrong = fault(_fetch(port, path))
        return None if wrong is None else f"GET {path}: {wrong}"

    return check


def _bring_up(entry: Served, check: Check, core: int | None) -> None:
    try:
        entry.server.wait_ready(core)
    except ServerFailed as error:
        entry.arm.give_up("missing", str(error))
        return
    try:
        wrong = check(entry.server.port)
    except (OSError, http.client.HTTPException) as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong is not None:
        entry.arm.give_up("wrong", wrong)


def _fetch(port: int, path: str) -> Answer:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(
            status=response.status,
            content_type=response.getheader("content-type", ""),
            body=response.read(),
            headers={name.lower(): value for name, value in response.getheaders()},
        )
    finally:
        connection.close()
