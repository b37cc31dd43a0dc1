"""`EventSource` and a real server, which is killed and started again."""

import socket
from pathlib import Path

import anyio.to_thread
import pytest
from server_process import ServerProcess
from sse.raw_server import events_of

APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    number = int(dict(scope["headers"]).get(b"last-event-id", b"0"))
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        number += 1
        frame = b"id: %d\\ndata: %d\\n\\n" % (number, number)
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        await asyncio.sleep(0.001)
"""


@pytest.fixture
def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
async def test_a_server_that_is_killed_and_started_again_is_found_again(
    tmp_path: Path, free_port: int
):
    (tmp_path / "numbers_app.py").write_text(APP)

    def start():
        command = ["-m", "uvicorn", "numbers_app:app", "--port", str(free_port), "--lifespan=off"]
        server = ServerProcess(*command, cwd=tmp_path)
        server.wait_for("Uvicorn running")
        return server

    server = await anyio.to_thread.run_sync(start)
    try:
        seen = []
        async with events_of(f"http://127.0.0.1:{free_port}/") as events:
            async for event in events:
                seen.append(int(event.data))
                if len(seen) == 20:
                    server.close()
                    server = await anyio.to_thread.run_sync(start)
                if seen[-1] >= 60 and events.sleeps:
                    break
        assert seen == list(range(1, len(seen) + 1))
        assert events.sleeps[0] == 3
    finally:
        server.close()
