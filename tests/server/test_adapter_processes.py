"""The FastAPI adapter over real sockets."""

import time

import httpx2
import pytest
from websockets.sync.client import connect

RUN = ("-m", "asgi_rt", "run", "served_adapter:app", "--port", "0")
WITHIN = 10.0

pytestmark = pytest.mark.slow


def test_answers_errors_events_and_messages(start):
    server = start(*RUN)
    assert httpx2.get(f"{server.url}/items/3?q=a").json() == {"id": 3, "q": "a"}
    refused = httpx2.get(f"{server.url}/items/x")
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["path", "item_id"])
    with connect(f"ws{server.url.removeprefix('http')}/echo") as ws:
        ws.send("hello")
        assert ws.recv(timeout=WITHIN) == "hello"
    with httpx2.stream("GET", f"{server.url}/events", timeout=WITHIN) as response:
        chunks = response.iter_bytes()  # the response is closed with the iterator
        assert next(chunks).startswith(b'data: {"held":"resource"}\n\n')
        assert httpx2.get(f"{server.url}/left").json() == []
    deadline = time.monotonic() + WITHIN
    while httpx2.get(f"{server.url}/left").json() != ["resource"]:
        assert time.monotonic() < deadline, "the dependency outlives its client"
