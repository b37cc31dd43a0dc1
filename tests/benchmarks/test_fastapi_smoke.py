"""The programs that stand for FastAPI's and the adapter's are one and the same, and checked."""

import ast
import importlib
from dataclasses import replace

import pytest

from benchmarks.harness.event_stream import lines_fault
from benchmarks.harness.inprocess import Requests
from benchmarks.harness.questions import Answer, Question
from benchmarks.harness.quotes import quote
from benchmarks.harness.startup import Order, measure, questions
from benchmarks.model import Plan, Size
from benchmarks.peers import FASTAPI_MANY, FASTAPI_REQUESTS, FASTAPI_STREAMS, ported_fastapi
from benchmarks.runs import fastapi_inprocess, fastapi_startup

pytestmark = pytest.mark.slow

TINY = Size(rounds=1, seconds=0.01)
PROGRAMS = [
    "fastapi_app",
    "fastapi_many_app",
    "fastapi_requests_app",
    "fastapi_sse_app",
    "fastapi_ws_app",
]

ANSWERS_WRONGLY = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/api/resource{n}/all")
async def wrong(n: int) -> dict[str, int]:
    return {"route": n + 1}
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_ported_program_has_the_adapters_names_where_the_other_has_fastapis(name):
    original = importlib.import_module(f"benchmarks.peers.{name}")
    ported = ported_fastapi.program(name)
    assert ported.FastAPI.__module__.startswith("asgi_rt.fastapi")
    assert original.FastAPI.__module__.startswith("fastapi")
    for module, theirs in ((ported, "fastapi"), (original, "asgi_rt")):
        homes = [getattr(value, "__module__", "") or "" for value in vars(module).values()]
        assert not [home for home in homes if home.partition(".")[0] == theirs]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_imports_fastapi_in_the_one_way_that_is_ported(name):
    source = (ported_fastapi.FOLDER / f"{name}.py").read_text()
    imports = [each for each in ast.walk(ast.parse(source)) if is_import(each, "fastapi")]
    assert imports
    for each in imports:
        assert isinstance(each, ast.ImportFrom)
        assert each.col_offset == 0
    assert not any(is_import(each, "starlette") for each in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("name", ["no_such_program", "raw_app"])
def test_what_is_no_fastapi_program_is_not_ported(name):
    with pytest.raises(AttributeError, match=name):
        ported_fastapi.program(name)


def test_programs_for_each_peer_are_asked_the_same_questions():
    arms = fastapi_inprocess.requests(Plan(TINY, peers=FASTAPI_REQUESTS))
    cases = {arm.label.removeprefix(f"{arm.peer} ") for arm in arms}
    assert cases == set(fastapi_inprocess.QUESTIONS)
    assert {arm.status for arm in arms} == {"measured"}


@pytest.mark.parametrize("case", list(fastapi_inprocess.QUESTIONS))
def test_wrong_answer_is_caught_before_measuring(case, monkeypatch):
    asked = fastapi_inprocess.QUESTIONS[case]
    monkeypatch.setattr(
        fastapi_inprocess, "QUESTIONS", {case: replace(asked, answer={"another": "answer"})}
    )
    for arm in fastapi_inprocess.requests(Plan(TINY, peers=FASTAPI_REQUESTS)):
        assert arm.status == "wrong"
        assert asked.path in arm.reason
        assert not arm.samples


def test_stream_of_another_path_is_caught_before_measuring(monkeypatch):
    monkeypatch.setattr(fastapi_inprocess, "STREAMS", {"lines": "/ready", "items": "/lines"})
    for arm in fastapi_inprocess.streams(Plan(TINY, peers=FASTAPI_STREAMS)):
        assert arm.status == "wrong"
        assert "content-type" in arm.reason


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        pytest.param([0, 1, 2], None, id="whole"),
        pytest.param([0, 2, 1], "event 1", id="order"),
        pytest.param([0, 1], "2 lines", id="too few"),
    ],
)
def test_lines_are_checked_one_by_one(body, wrong):
    lines = b"".join(str(quote(n)).replace("'", '"').encode() + b"\n" for n in body)
    found = lines_fault(3, Answer(200, "application/jsonl", lines))
    assert found is None if wrong is None else wrong in found


def test_line_without_an_end_is_caught():
    answer = Answer(200, "application/jsonl", b'{"n":0}')
    assert "within a line" in lines_fault(1, answer)


def test_requests_of_one_batch_have_one_body():
    with pytest.raises(ValueError, match="too many values"):
        Requests([Question("/a", {}), Question("/a", {}, body=b"{}")])


@pytest.mark.parametrize("peer", [pytest.param(each, id=each.name) for each in FASTAPI_MANY])
def test_every_route_is_asked_at_the_start(peer):
    few = Order(peer.module, peer.application.replace("1000", "11"), 11, 0.001)
    report = measure(few)
    assert report.fault is None
    assert report.all_ms > report.ms > report.build_ms > 0
    assert len({question.path for question in questions(11)}) == 11


def test_wrong_answer_at_the_start_is_caught(make_peer):
    peer = make_peer("answers_wrongly", ANSWERS_WRONGLY)
    (arm,) = fastapi_startup.startup(Plan(TINY, peers=(peer,)))
    assert arm.status == "wrong"
    assert "/api/resource" in arm.reason
    assert not arm.samples


def test_program_that_does_not_import_is_missing_with_the_reason(make_peer):
    peer = make_peer("not_importable", "import a_module_that_is_not_there")
    (arm,) = fastapi_startup.startup(Plan(TINY, peers=(peer,)))
    assert arm.status == "missing"
    assert "a_module_that_is_not_there" in arm.reason


def is_import(node, package):
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] == package
    return isinstance(node, ast.Import) and any(
        alias.name.partition(".")[0] == package for alias in node.names
    )
