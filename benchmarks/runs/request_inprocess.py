"""One request and its JSON answer, without a server: what the framework itself costs."""

import json
from typing import Any

from benchmarks.harness.exchange import App
from benchmarks.harness.inprocess import Contender, Requests, compare
from benchmarks.harness.questions import HELLO, ITEM, Question
from benchmarks.model import Arm, Plan
from benchmarks.peers import RAW

RAW_HELLO = "raw /json"
HARNESS = "harness alone"


def static_json(plan: Plan) -> list[Arm]:
    """`GET /json` in every peer, beside raw ASGI."""
    contenders = [
        Contender(Arm(peer.name, peer.name, reference=RAW.name), peer.load, Requests([HELLO]))
        for peer in plan.chosen()
    ]
    return compare([_harness(HELLO, RAW.name), *contenders], plan.size)


def path_parameter(plan: Plan) -> list[Arm]:
    """`GET /items/42` in every peer, beside raw ASGI's answer to `GET /json`."""
    contenders = [
        Contender(Arm(peer.name, peer.name, reference=RAW_HELLO), peer.load, Requests([ITEM]))
        for peer in plan.chosen()
    ]
    if RAW in plan.chosen():
        floor = Arm(RAW_HELLO, RAW.name, reference=RAW_HELLO)
        contenders.insert(0, Contender(floor, RAW.load, Requests([HELLO])))
    return compare([_harness(ITEM, RAW_HELLO), *contenders], plan.size)


def _harness(question: Question, reference: str) -> Contender:
    """The control: an app that sends a ready answer, so all its time is the harness's own."""
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json")],
    }
    body = {"type": "http.response.body", "body": json.dumps(question.answer).encode()}

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(start)
        await send(body)

    def load() -> App:
        return app

    return Contender(Arm(HARNESS, "control", reference=reference), load, Requests([question]))
