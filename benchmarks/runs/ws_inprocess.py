"""Echoes over a WebSocket without a server: what a framework itself costs per message."""

import asyncio
from typing import Any

from benchmarks.harness.echoes import CHECKED, text
from benchmarks.harness.exchange import App
from benchmarks.harness.inprocess import Contender, compare
from benchmarks.harness.ws_exchange import ReadyClient, WaitingClient, timed_echoes
from benchmarks.harness.ws_load import TEXTS
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

METRICS = (Metric("us", "µs per message", 3),)
CLIENTS = {"ready": ReadyClient, "waiting": WaitingClient}


def echo(plan: Plan) -> list[Arm]:
    """One WebSocket whose messages have all come already, or come one after another's echo."""
    contenders = [
        Contender(
            Arm(f"{peer.name} {name}", peer.name, reference=f"{RAW.name} {name}"),
            peer.load,
            _Echoes(client),
        )
        for name, client in CLIENTS.items()
        for peer in plan.chosen()
    ]
    return compare(contenders, plan.size)


class _Echoes:
    """One WebSocket with as many messages as there are turns."""

    def __init__(self, client: type[ReadyClient]) -> None:
        self._client = client
        self._texts = [text(0, number) for number in range(TEXTS)]

    async def fault(self, app: App, state: dict[str, Any]) -> str | None:
        # What is raised is the fault.
        async with asyncio.timeout(10):
            await timed_echoes(app, self._client, CHECKED, state, len(CHECKED))
        return None

    async def timed(self, app: App, state: dict[str, Any], turns: int) -> tuple[float, int]:
        return await timed_echoes(app, self._client, self._texts, state, turns), turns
