"""Every scenario runs at its smallest size, so that none rots, and a wrong peer is found out.

No figure is judged here: how fast something is says `make bench`.
"""

import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks import command, results
from benchmarks.harness.server import HOST, ServerFailed, free_ports, serving
from benchmarks.model import Plan, Size
from benchmarks.peers import ASGI_RT, RAW
from benchmarks.runs import request_inprocess, request_uvicorn, routes_inprocess
from benchmarks.scenarios import SCENARIOS
from benchmarks.table import markdown

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TINY = Size(rounds=1, seconds=0.02, connections=1)
RUNNERS = [
    pytest.param(request_inprocess.static_json, id="in-process"),
    pytest.param(request_uvicorn.static_json, id="uvicorn"),
]

ANSWERING = """
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = json.dumps(answer()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

WRONG_BODY = """
def answer():
    return {"message": "Goodbye"}
"""

# Right for the check before the measurement, wrong for the third request and all after it.
WRONG_LATER = """
answered = []

def answer():
    answered.append(1)
    return {"message": "Hello, World!" if len(answered) < 3 else "Goodbye"}
"""

FAILS_TO_START = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""

# Right only if the server ran its lifespan, and handed its state to the request.
ANSWERS_FROM_STATE = """
import json

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["message"] = "Hello, World!"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps({"message": scope["state"]["message"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

HANGS_AT_SHUTDOWN = """
import anyio

async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await anyio.sleep_forever()
"""


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Runs all scenarios of one kind at their smallest sizes, once, and gives the folder of it."""

    @cache
    def run(kind):
        folder = tmp_path_factory.mktemp("results")
        names = [scenario.name for scenario in SCENARIOS if kind_of(scenario.name) == kind]
        arguments = ["-m", "benchmarks", *names, "--smallest", "--output", str(folder)]
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=55
        )
        assert done.returncode == 0, done.stderr
        return folder

    return run


@pytest.fixture
def folder(folder_of):
    return folder_of("requests")


@pytest.fixture
def result(folder):
    return read_only(folder)


@pytest.fixture(scope="module")
def importable():
    """The modules of the peers that load on this Python, tried where their warnings do no harm."""
    modules = {peer.module for scenario in SCENARIOS for peer in scenario.peers}
    tried = {
        module: [sys.executable, "-W", "ignore", "-c", f"import {module}"] for module in modules
    }
    return {
        module
        for module, command in tried.items()
        if subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30).returncode == 0
    }


@pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in SCENARIOS])
def test_scenario_has_samples_of_every_peer_that_imports(scenario, folder_of, importable):
    record = read_only(folder_of(kind_of(scenario.name)))["scenarios"][scenario.name]
    loading = {peer.name for peer in scenario.peers if peer.module in importable}
    assert record["arms"]
    for arm in record["arms"]:
        if arm["status"] == "stalled":
            # What one client that does not read may do to a peer is a finding.
            assert arm["label"].endswith("one frozen")
            assert arm["peer"] != ASGI_RT.name
        elif arm["peer"] in loading or arm["peer"] == "control":
            assert arm["status"] == "measured", f"{arm['label']}: {arm['reason']}"
            for metric in record["metrics"][:1]:
                samples = arm["samples"][metric["key"]]
                assert len(samples) == record["parameters"]["rounds"]
                assert all(sample > 0 for sample in samples)
            assert arm["ratio"] is not None
        else:
            assert arm["status"] == "missing"
            assert arm["reason"]


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(each, id=each.name)
        for each in SCENARIOS
        if each.run is not routes_inprocess.many_routes
    ],
)
def test_scenario_that_compares_peers_has_all_of_them(scenario, folder_of):
    record = read_only(folder_of(kind_of(scenario.name)))["scenarios"][scenario.name]
    present = {arm["peer"] for arm in record["arms"]}
    assert present >= {peer.name for peer in scenario.peers}


def test_result_names_what_it_was_measured_on(result):
    assert result["machine"]["cpu"]
    assert result["machine"]["cores"] >= 1
    assert result["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert result["packages"]["uvicorn"]
    assert set(result["git"]) == {"commit", "dirty"}


def test_result_holds_no_path_of_the_machine(folder):
    (path,) = folder.glob("*.json")
    assert str(ROOT) not in path.read_text()


def test_result_file_reads_back_to_the_table_beside_it(folder):
    (path,) = folder.glob("*.json")
    assert markdown(results.read(path)) == path.with_suffix(".md").read_text()


@pytest.mark.parametrize("run", RUNNERS)
def test_wrong_body_is_caught_before_measuring(run, make_peer):
    wrong = make_peer("wrong_body", WRONG_BODY + ANSWERING)
    arms = {arm.label: arm for arm in run(Plan(TINY, peers=(RAW, wrong)))}
    assert arms["raw"].status == "measured"
    assert arms["wrong_body"].status == "wrong"
    assert "Goodbye" in arms["wrong_body"].reason
    assert not arms["wrong_body"].samples


def test_body_that_turns_wrong_under_load_is_caught(make_peer):
    peer = make_peer("wrong_later", WRONG_LATER + ANSWERING)
    (arm,) = request_uvicorn.static_json(Plan(TINY, peers=(peer,)))
    assert arm.status == "wrong"
    assert "Goodbye" in arm.reason
    assert not arm.samples


@pytest.mark.parametrize("run", RUNNERS)
def test_peer_that_does_not_import_is_missing_with_the_reason(run, make_peer):
    peer = make_peer("not_importable", "import a_module_that_is_not_there")
    arms = {arm.label: arm for arm in run(Plan(TINY, peers=(peer,)))}
    assert arms["not_importable"].status == "missing"
    assert "a_module_that_is_not_there" in arms["not_importable"].reason


@pytest.mark.parametrize("run", RUNNERS)
def test_peer_whose_startup_fails_is_missing(run, make_peer):
    peer = make_peer("fails_to_start", FAILS_TO_START)
    arms = {arm.label: arm for arm in run(Plan(TINY, peers=(peer,)))}
    assert arms["fails_to_start"].status == "missing"
    assert "startup failed" in arms["fails_to_start"].reason


@pytest.mark.parametrize("run", RUNNERS)
def test_peer_is_measured_within_its_lifespan(run, make_peer):
    peer = make_peer("answers_from_state", ANSWERS_FROM_STATE)
    arms = {arm.label: arm for arm in run(Plan(TINY, peers=(peer,)))}
    assert arms["answers_from_state"].status == "measured", arms["answers_from_state"].reason
    assert arms["answers_from_state"].samples


def test_server_that_does_not_heed_sigterm_is_killed(make_peer):
    peer = make_peer("hangs_at_shutdown", HANGS_AT_SHUTDOWN)
    (port,) = free_ports(1)
    with serving(peer.module, port) as server:
        server.wait_ready(core=None)
        assert not _refuses(port)
    assert _refuses(port)


def test_port_that_still_answers_after_the_kill_is_reported():
    with socket.socket() as squatter:
        squatter.bind((HOST, 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        with pytest.raises(ServerFailed, match="still answers"), serving(RAW.module, port):
            pass


@pytest.mark.parametrize("arguments", [["no-such-scenario"], ["--only", "no-such-peer"]])
def test_unknown_name_is_refused_with_the_names_there_are(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "there are" in capsys.readouterr().err


def kind_of(scenario):
    """The kinds of scenarios are run apart: all of them together take too long for one test."""
    if scenario.startswith("broadcast"):
        transport = scenario.split("-")[1]
        return f"all broadcasts {transport}" if "full" in scenario else f"broadcasts {transport}"
    kinds = {"sse": "streams", "ws": "sockets", "middleware": "layers", "fastapi": "fastapi"}
    kind = kinds.get(scenario.partition("-")[0], "requests")
    return "layers served" if kind == "layers" and scenario.endswith("-uvicorn") else kind


def read_only(folder):
    (path,) = folder.glob("*.json")
    return results.read(path)


def _refuses(port):
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) != 0
