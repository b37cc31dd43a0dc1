"""A connection as a fixture: set-up and tear-down may run in other tasks than the test."""

import os
import subprocess
import sys

import pytest

APP = """
import anyio, pytest, pytest_asyncio
from asgi_rt.testing import AsyncTestClient

log = []

async def app(scope, receive, send):
    async with anyio.create_task_group() as tasks:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            tasks.start_soon(send, {**message, "type": "websocket.send"})
        log.append(message["code"])

async def check(ws):
    for _ in range(3):
        await ws.send("hello")
        assert await ws.receive() == "hello"
    with pytest.raises(TimeoutError):
        await ws.receive(timeout=0.01)
"""

PYTEST_ASYNCIO = """
@pytest_asyncio.fixture
async def ws():
    async with AsyncTestClient(app, lifespan=False) as client:
        async with client.websocket_connect("/") as ws:
            yield ws
    assert log.pop() == 1000

@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared():
    async with AsyncTestClient(app, lifespan=False) as client:
        async with client.websocket_connect("/") as ws:
            yield ws
    assert log.pop() == 1000

@pytest.mark.asyncio
async def test_own(ws):
    await check(ws)

@pytest.mark.asyncio(loop_scope="module")
async def test_shared(shared):
    await check(shared)

@pytest.mark.asyncio(loop_scope="module")
async def test_shared_again(shared):
    await check(shared)
"""

ANYIO = """
@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.fixture
async def ws(anyio_backend):
    async with AsyncTestClient(app, lifespan=False) as client:
        async with client.websocket_connect("/") as ws:
            yield ws
    assert log.pop() == 1000

@pytest.fixture(scope="module")
async def shared(anyio_backend):
    async with AsyncTestClient(app, lifespan=False) as client:
        async with client.websocket_connect("/") as ws:
            yield ws
    assert log.pop() == 1000

@pytest.mark.anyio
async def test_own(ws):
    await check(ws)

@pytest.mark.anyio
async def test_shared(shared):
    await check(shared)

@pytest.mark.anyio
async def test_shared_again(shared):
    await check(shared)
"""


def run_pytest(directory, tests):
    path = directory / "test_nested.py"
    path.write_text(APP + tests)
    (directory / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-p", "anyio.pytest_plugin", "-p", "pytest_asyncio.plugin"]
    command += ["--rootdir", str(directory), str(path)]
    # Whatever other plugins are installed only takes time.
    disabled = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = {**os.environ, **disabled}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=50
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "passed"),
    [pytest.param(PYTEST_ASYNCIO, 3, id="pytest-asyncio"), pytest.param(ANYIO, 6, id="anyio")],
)
def test_a_connection_works_as_a_fixture(tmp_path, tests, passed):
    done = run_pytest(tmp_path, tests)
    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
