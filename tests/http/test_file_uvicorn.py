"""A large file under a real server: what arrives is what is on the disk."""

import hashlib
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from asgi_rt.http.files import FileResponse

SIZE = 50 * 1024 * 1024


@pytest.fixture
def big_path(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        for at in range(0, SIZE, 1_000_003):
            file.seek(at)
            file.write(hashlib.sha256(str(at).encode()).digest())
        file.truncate(SIZE)
    return path


@contextmanager
def served(app: Any) -> Iterator[http.client.HTTPConnection]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # from now on a connection waits until the server takes it
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    host, port = listener.getsockname()
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


def fetch_digest(connection: http.client.HTTPConnection, span: str | None) -> tuple[int, str]:
    connection.request("GET", "/", headers={} if span is None else {"range": span})
    response = connection.getresponse()
    digest = hashlib.sha256()
    while chunk := response.read(1024 * 1024):
        digest.update(chunk)
    return response.status, digest.hexdigest()


@pytest.mark.slow
def test_file_under_uvicorn_is_the_same_bytes(big_path):
    content = big_path.read_bytes()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await FileResponse(big_path)(scope, receive, send)

    with served(app) as connection:
        assert fetch_digest(connection, None) == (200, hashlib.sha256(content).hexdigest())
        for start, stop in [(0, 1), (1_000_000, 40_000_000), (SIZE - 1_000_000, SIZE)]:
            expected = hashlib.sha256(content[start:stop]).hexdigest()
            assert fetch_digest(connection, f"bytes={start}-{stop - 1}") == (206, expected)
        connection.request("GET", "/", headers={"range": f"bytes=5-9999999,-{1_000_000}"})
        response = connection.getresponse()
        head = f"content-type: {response.headers['content-type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + response.read()).get_payload()
        received = [part.get_payload(decode=True) for part in parts]
        assert received == [content[5:10_000_000], content[-1_000_000:]]
        assert fetch_digest(connection, "bytes=0-0")[0] == 206, "the connection is still good"
