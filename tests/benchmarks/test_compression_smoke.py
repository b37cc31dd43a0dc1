"""What compresses wrongly is found out, and does not look small or fast."""

from dataclasses import replace

import pytest

from benchmarks.model import Plan, Size
from benchmarks.peers import ASGI_RT, STARLETTE
from benchmarks.runs import compression

pytestmark = pytest.mark.slow

TINY = Size(rounds=2, seconds=0.001)


def arms_of(*, only=None, peers=compression.PEERS):
    plan = Plan(TINY, only, peers)
    return {arm.label: arm for arm in compression.compression(plan)}


def test_every_way_gets_smaller_than_what_is_not_compressed():
    arms = arms_of()
    for kind in compression.KINDS:
        bare = arms[f"not compressed {kind}"].samples["bytes"]
        assert len(bare) == TINY.rounds
        for way in compression.WAYS:
            sizes = arms[way.label(kind)].samples["bytes"]
            assert len(sizes) == TINY.rounds
            assert 0 < sizes[0] < bare[0] / 2


def test_the_whole_body_is_about_as_large_as_it_is_called():
    (size, _) = arms_of(only=frozenset())["not compressed whole"].samples["bytes"]
    assert 0.99 * compression.BODY_BYTES < size <= compression.BODY_BYTES


def test_only_the_peers_that_are_asked_for_take_part():
    peers = {arm.peer for arm in arms_of(only=frozenset({ASGI_RT.name})).values()}
    assert peers == {"control", ASGI_RT.name}


@pytest.mark.parametrize("spoil", [lambda body: body[:-1], lambda body: body + b"x", lambda _: b""])
def test_a_body_that_others_cannot_decode_is_caught(monkeypatch, spoil):
    right = compression._MIDDLEWARE[STARLETTE.name]

    def load(coding, level):
        app = right(coding, level)

        async def spoiling(scope, receive, send):
            async def spoiled(message):
                if message["type"] == "http.response.body" and message["body"]:
                    message = {**message, "body": spoil(message["body"])}
                await send(message)

            await app(scope, receive, spoiled)

        return spoiling

    monkeypatch.setitem(compression._MIDDLEWARE, STARLETTE.name, load)
    arms = arms_of(peers=(replace(STARLETTE),))
    wrong = [arm for arm in arms.values() if arm.peer == STARLETTE.name]
    assert len(wrong) == 4
    for arm in wrong:
        assert arm.status == "wrong", arm.label
        assert not arm.samples
