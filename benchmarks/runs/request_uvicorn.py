"""One request and its JSON answer under uvicorn: what is left of a framework's cost on a wire.

One server process per peer, all started once; in every round each is loaded for a short time in
turn. An idle server costs nothing, and a slow moment of the machine falls on all of them.
"""

import http.client
import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from benchmarks.harness.cpu import cores_to_pin
from benchmarks.harness.load import Order, Report
from benchmarks.harness.questions import HELLO, ITEM, Answer, Question, fault
from benchmarks.harness.server import HOST, ROOT, Server, ServerFailed, free_ports, serving
from benchmarks.model import Arm, Metric, Plan
from benchmarks.peers import RAW

METRICS = (
    Metric("rps", "requests per second", 0),
    Metric("p50_ms", "p50 ms"),
    Metric("p99_ms", "p99 ms"),
    Metric("server_cpu", "server CPU %", 0),
    Metric("client_cpu", "load CPU %", 0),
)
WARMUP = 0.25


def static_json(plan: Plan) -> list[Arm]:
    """`GET /json` from every peer's own server."""
    return _compare(plan, HELLO)


def path_parameter(plan: Plan) -> list[Arm]:
    """`GET /items/42` from every peer's own server."""
    return _compare(plan, ITEM)


@dataclass(frozen=True, slots=True)
class _Loaded:
    arm: Arm
    server: Server


def _compare(plan: Plan, question: Question) -> list[Arm]:
    peers = plan.chosen()
    arms = [Arm(peer.name, peer.name, reference=RAW.name) for peer in peers]
    cores = cores_to_pin()
    with ExitStack() as stack:
        # All at once, and each kept to its core only when it is up: imports are the slow part.
        ports = free_ports(len(peers))
        loaded = [
            _Loaded(arm, stack.enter_context(serving(peer.module, port)))
            for arm, peer, port in zip(arms, peers, ports, strict=True)
        ]
        for entry in loaded:
            _bring_up(entry, question, None if cores is None else cores[0])
        for _ in range(plan.size.rounds):
            for entry in loaded:
                if entry.arm.status == "measured":
                    _load_once(entry, question, plan, None if cores is None else cores[1])
    return arms


def _bring_up(entry: _Loaded, question: Question, core: int | None) -> None:
    try:
        entry.server.wait_ready(core)
    except ServerFailed as error:
        entry.arm.give_up("missing", str(error))
        return
    try:
        wrong = fault(question, _fetch(entry.server.port, question.path))
    except (OSError, http.client.HTTPException) as error:
        wrong = f"GET {question.path}: {type(error).__name__}: {error}"
    if wrong is not None:
        entry.arm.give_up("wrong", wrong)


def _fetch(port: int, path: str) -> Answer:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.getheader("content-type", ""), response.read())
    finally:
        connection.close()


def _load_once(entry: _Loaded, question: Question, plan: Plan, core: int | None) -> None:
    order = Order(
        port=entry.server.port,
        path=question.path,
        answer=question.answer,
        connections=plan.size.connections,
        warmup=min(WARMUP, plan.size.seconds),
        seconds=plan.size.seconds,
        server_pid=entry.server.pid,
        core=core,
    )
    try:
        report = run_load(order)
    except RuntimeError as error:
        entry.arm.give_up("wrong", str(error))
        return
    if report.wrong or not report.responses:
        entry.arm.give_up("wrong", report.fault or f"GET {question.path}: no answer under load")
        return
    figures = {metric.key: getattr(report, metric.key) for metric in METRICS}
    entry.arm.record(**{key: value for key, value in figures.items() if value is not None})


def run_load(order: Order) -> Report:
    """Run the load generator in a process of its own. Raises RuntimeError if it fails."""
    command = [sys.executable, "-m", "benchmarks.harness.load", json.dumps(asdict(order))]
    limit = order.warmup + order.seconds + 30
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the load generator did not end within {limit:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["nothing written"]
        raise RuntimeError(f"the load generator failed: {lines[-1]}")
    return Report(**json.loads(done.stdout))
