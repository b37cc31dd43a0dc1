"""Programs written for FastAPI run on the adapter, as they are and with other import lines.

They are read from documents that are not part of this project: ASGI_RT_SEEDS names their folder.
"""

import asyncio
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.fastapi.seed_documents import Block, Endpoint, blocks_of
from tests.fastapi.seed_exchange import Heard, ask
from tests.fastapi.seed_fakes import REAL, SIDES, Side, faked_world, provided, stand_in

FOLDER = os.environ.get("ASGI_RT_SEEDS")
if not FOLDER:
    pytest.skip("ASGI_RT_SEEDS names no folder of documents", allow_module_level=True)

BLOCKS = [block for block in blocks_of(Path(FOLDER)) if block.declares]
FAILS_TOO = {
    "2-6": "one endpoint gives asyncio.wait what is no task",
    "3-10": "it receives before it accepts",
}
"""Blocks whose endpoints, or one of them, are answered with an error by FastAPI as well, and why;
what error it is the test finds out there."""
WORDLESS_TOO = {"3-16": "it returns before it accepts"}
WORDLESS = object()
pytestmark = pytest.mark.slow
CASES = [(block, endpoint) for block in BLOCKS for endpoint in block.endpoints]


def defined(block: Block, side: Side, folder: Path) -> dict[str, Any]:
    """What a block defines. A name that it leaves undefined is that of the last block before it
    that has it, or a stand-in.
    """
    earlier: dict[str, Any] = {}
    for each in block.before:
        try:
            inner = run(each, side, folder, earlier)
        except Exception:
            continue
        own = {name: value for name, value in inner.items() if not name.startswith("__")}
        earlier.update({name: value for name, value in own.items() if name not in ("app", "open")})
    return run(block, side, folder, earlier)


def run(block: Block, side: Side, folder: Path, earlier: dict[str, Any]) -> dict[str, Any]:
    source = block.source if side.package is None else block.with_changed_imports(side.package)
    code = compile(source, f"<block {block}>", "exec")
    scope = provided(side, folder)
    for name in block.undefined - scope.keys():
        is_awaited = name in block.awaited
        scope[name] = earlier.get(name) or stand_in(name, side, is_awaited=is_awaited)
    exec(code, scope)
    return scope


def heard(
    block: Block, endpoint: Endpoint, side: Side, folder: Path, counts: list[int] | None = None
) -> Heard:
    with warnings.catch_warnings(), side.entered(), faked_world():
        warnings.simplefilter("ignore")
        app = defined(block, side, folder)["app"]
        return asyncio.run(ask(app, endpoint, counts))


def shape(text: str) -> str:
    """Without what is different each time: numbers, and what is made of them."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+(\.[0-9]+)?", "#", text)


def is_the_same(expected: Heard, again: Heard, got: Heard) -> None:
    """That the adapter gave what FastAPI gives, to the letter where FastAPI repeats itself."""
    assert (got.status, got.content_type, got.error) == (
        expected.status,
        expected.content_type,
        expected.error,
    )
    if expected.messages:
        repeats = expected.messages == again.messages
        wanted = said(expected, plain=repeats)
        if wanted is WORDLESS:  # FastAPI leaves it to the server; the adapter may close it itself
            assert all(each.startswith("websocket.close") for step in got.messages for each in step)
        else:
            assert said(got, plain=repeats) == wanted
        return
    whole = expected.is_whole and got.is_whole
    length = None if whole else min(len(expected.body), len(got.body))
    bodies = [each.body[:length].decode(errors="replace") for each in (expected, again, got)]
    if bodies[0] != bodies[1]:
        bodies = [shape(each)[: None if whole else 200] for each in bodies]
    assert bodies[2] == bodies[0]


def said(heard: Heard, *, plain: bool) -> Any:
    if not any(heard.messages):
        return WORDLESS
    if plain:
        return heard.messages
    return {shape(each) for step in heard.messages for each in step}


_heard_of_fastapi: dict[tuple[str, str], Heard] = {}


def heard_of_fastapi(block: Block, endpoint: Endpoint, folder: Path) -> Heard:
    """What FastAPI gives; found out once for both sides."""
    key = str(block), str(endpoint)
    if key not in _heard_of_fastapi:
        _heard_of_fastapi[key] = heard(block, endpoint, REAL, folder)
    return _heard_of_fastapi[key]


@pytest.mark.parametrize("side", SIDES, ids=str)
@pytest.mark.parametrize(("block", "endpoint"), CASES, ids=str)
def test_an_endpoint_of_the_documents(block, endpoint, side, tmp_path):
    """FastAPI is heard before and after the adapter: what time changes for it, it may for both."""
    expected = heard_of_fastapi(block, endpoint, tmp_path)
    counts = [len(step) for step in expected.messages]
    got = heard(block, endpoint, side, tmp_path, counts)
    again = heard(block, endpoint, REAL, tmp_path, counts)
    is_the_same(expected, again, got)
    if expected.failed is None:
        assert str(block) in WORDLESS_TOO or any(got.messages) or got.body
    else:
        assert str(block) in FAILS_TOO, f"{expected.failed} with FastAPI"


UNSOUND = [block for block in BLOCKS if not block.endpoints]


@pytest.mark.parametrize("side", SIDES, ids=str)
@pytest.mark.parametrize("block", UNSOUND, ids=str)
def test_a_block_that_is_no_program_is_none_for_fastapi_either(block, side, tmp_path):
    with pytest.raises(SyntaxError):
        defined(block, REAL, tmp_path)
    with pytest.raises(SyntaxError):
        defined(block, side, tmp_path)


def test_there_are_documents():
    assert len(CASES) > len(BLOCKS) > len(UNSOUND)
