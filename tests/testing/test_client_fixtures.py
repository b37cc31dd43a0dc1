"""The client as a fixture: set-up and tear-down may run in other tasks than the test."""

import os
import subprocess
import sys

import pytest

APP = """
import anyio, pytest, pytest_asyncio
from asgi_rt.testing import AsyncTestClient, Exchange

log = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        async with anyio.create_task_group():
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        log.append("down")
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async with anyio.create_task_group() as tasks:
        async def watch():
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()
        tasks.start_soon(watch)
        while True:
            await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})

async def check(client):
    async with client.stream("GET", "/") as response:
        assert await Exchange.of(response).read() == b"x" * 100
    assert Exchange.of(response).is_done
    await client.send(client.build_request("GET", "/"), stream=True)
"""

PYTEST_ASYNCIO = """
@pytest_asyncio.fixture
async def client():
    async with AsyncTestClient(app) as client:
        yield client
    assert log.pop() == "down"

@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared():
    async with AsyncTestClient(app) as client:
        yield client
    assert log.pop() == "down"

@pytest.mark.asyncio
async def test_own(client):
    await check(client)

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
async def client(anyio_backend):
    async with AsyncTestClient(app) as client:
        yield client
    assert log.pop() == "down"

@pytest.fixture(scope="module")
async def shared(anyio_backend):
    async with AsyncTestClient(app) as client:
        yield client
    assert log.pop() == "down"

@pytest.mark.anyio
async def test_own(client):
    await check(client)

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
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-p", "anyio.pytest_plugin", "-p", "pytest_asyncio.plugin"]
    (directory / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function")
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
def test_the_client_works_as_a_fixture(tmp_path, tests, passed):
    done = run_pytest(tmp_path, tests)
    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
