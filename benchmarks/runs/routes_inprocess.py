"""What many routes cost: the same app with few and with very many of them, without a server."""

import importlib
import random
from functools import partial

from benchmarks.harness.exchange import App
from benchmarks.harness.inprocess import Contender, Requests, compare
from benchmarks.harness.questions import Question
from benchmarks.model import Arm, Plan
from benchmarks.peers import ASGI_RT, STARLETTE, Peer

FEW = 10
# Starlette tries its routes one by one, so a tenth of the number already shows how it grows.
MANY = {ASGI_RT.name: 10_000, STARLETTE.name: 1_000}
ASKED_ROUTES = 100


def many_routes(plan: Plan) -> list[Arm]:
    """Requests spread over all the routes of an app, with few routes and with many."""
    names = {peer.name for peer in plan.chosen()}
    contenders: list[Contender] = []
    for peer in (ASGI_RT, STARLETTE):
        if peer.name in names:
            for typed in (False, True):
                contenders += _few_and_many(peer, typed=typed)
    return compare(contenders, plan.size)


def label(peer: str, count: int, *, typed: bool) -> str:
    """How an arm of this scenario is called, as in `asgi_rt 10,000 typed`."""
    return f"{peer} {count:,} {'typed' if typed else 'static'}"


def _few_and_many(peer: Peer, *, typed: bool) -> list[Contender]:
    reference = label(peer.name, FEW, typed=typed)
    return [
        Contender(
            Arm(label(peer.name, count, typed=typed), peer.name, reference),
            partial(_load, peer, count, typed=typed),
            Requests(_questions(count, typed=typed)),
        )
        for count in (FEW, MANY[peer.name])
    ]


def _load(peer: Peer, count: int, *, typed: bool) -> App:
    app: App = importlib.import_module(peer.module).many_routes(count, typed=typed)
    return app


def _questions(count: int, *, typed: bool) -> list[Question]:
    # Drawn at random, but the same in every run: neighbours must not share a cache line for free.
    numbers = random.Random(count).sample(range(count), min(count, ASKED_ROUTES))
    if typed:
        return [Question(f"/api/resource{n}/{n + 7}", {"route": n, "id": n + 7}) for n in numbers]
    return [Question(f"/api/resource{n}/list", {"route": n}) for n in numbers]
