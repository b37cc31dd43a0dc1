"""Compressed responses over the real sockets of uvicorn, under each framework.

Nothing here waits for a time: a source goes on when another request gives it an item.
"""

import gzip
import itertools
import json
import re
import statistics
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from middleware.decoding import CODINGS, Decoding, decode
from server_process import TIMEOUT, RawClient, ServerProcess

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
STREAMS = 50
keys = (f"key{number}" for number in itertools.count())

codings = pytest.mark.parametrize("coding", CODINGS)
kinds = pytest.mark.parametrize("kind", ["lines", "events"])


def serve(app, protocol="httptools"):
    options = ("--port", "0", "--http", protocol, "--no-access-log")
    return ServerProcess("-m", "uvicorn", f"served_compression:{app}", *options, cwd=HERE)


@pytest.fixture(scope="module", params=["asgi_rt_app", "starlette_app", "fastapi_app"])
def server(request):
    with serve(request.param) as server:
        server.app = request.param
        yield server


class Client(RawClient):
    """A connection whose responses are read piece by piece, as they come."""

    def ask(self, path, *, accept=None, method="GET", headers=(), body=b""):
        """Send a request; the status and the header fields of its answer."""
        fields = [f"{name}: {value}" for name, value in headers]
        if accept is not None:
            fields.append(f"Accept-Encoding: {accept}")
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body)
        head, _, self.rest = self.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        assert len({name for name, _ in pairs}) == len(pairs), "a field was sent twice"
        return int(status.split()[1]), dict(pairs)

    def read(self, size):
        while len(self.rest) < size:
            received = self.socket.recv(65536)
            if not received:
                raise EOFError
            self.rest += received
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def chunk(self):
        """The next chunk of a body that comes in chunks; empty at its end."""
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.read(1)
        chunk = self.read(int(line, 16))
        assert self.read(2) == b"\r\n"
        return chunk


def give(server, key, text=""):
    with Client(server.address) as client:
        assert client.ask(f"/give/{key}?{text}")[0] == 200


def written(kind, item):
    """An item as each of the frameworks' streams has it."""
    return {"item": item} if kind == "lines" else f"data: {item}\n\n"


def read(kind, data):
    return json.loads(data) if kind == "lines" else data.decode()


@codings
@kinds
def test_the_head_arrives_while_the_source_waits_and_each_item_is_decoded_as_it_arrives(
    server, coding, kind
):
    key = next(keys)
    with Client(server.address) as client:
        status, fields = client.ask(f"/{kind}?{key}", accept=coding)
        assert status == 200
        assert fields["content-encoding"] == coding
        assert fields["vary"] == "Accept-Encoding"
        assert "content-length" not in fields
        assert client.rest == b""
        decoding = Decoding(coding)
        for item in ("first", "second", "third"):
            give(server, key, item)  # the one before has been decoded by now
            assert read(kind, decoding.feed(client.chunk())) == written(kind, item)
        assert not decoding.is_whole
        give(server, key)
        while chunk := client.chunk():
            assert decoding.feed(chunk) == b""
        assert decoding.is_whole
    server.wait_for(f"closed {key}$")


@codings
def test_a_whole_body_has_its_length(server, coding):
    with Client(server.address) as client:
        for path, large in (("/whole", False), ("/large", True)):
            _, fields = client.ask(path, accept=coding)
            assert fields["content-encoding"] == coding
            body = decode(coding, client.read(int(fields["content-length"])))
            assert client.rest == b""
            assert len(json.loads(body)) == (400_000 if large else 1)


def test_a_head_says_no_length_that_the_body_would_not_have(server):
    with Client(server.address) as client:
        status, fields = client.ask("/whole", accept="gzip", method="HEAD")
        if server.app == "fastapi_app":  # it answers no HEAD where there is a GET
            assert status == 405
        else:
            assert (status, fields["vary"]) == (200, "Accept-Encoding")
            assert "content-length" not in fields
        status, fields = client.ask("/whole", accept="gzip")
        assert status == 200


@codings
def test_a_source_that_fails_leaves_a_body_that_the_client_can_tell_is_not_whole(server, coding):
    key = next(keys)
    with Client(server.address) as client:
        client.ask(f"/lines?{key}", accept=coding)
        decoding = Decoding(coding)
        give(server, key, "first")
        assert json.loads(decoding.feed(client.chunk())) == {"item": "first"}
        give(server, key, "fail")
        with pytest.raises(EOFError):
            client.chunk()
        assert not decoding.is_whole


@kinds
def test_a_client_that_leaves_while_the_source_waits_is_seen(server, kind):
    key = next(keys)
    with Client(server.address) as client:
        client.ask(f"/{kind}?{key}", accept="gzip")
        give(server, key, "first")
        assert client.chunk()
    server.wait_for(f"closed {key}$")


def test_a_body_that_the_client_compressed_is_handed_on_as_it_is(server):
    bomb = gzip.compress(bytes(10_000_000))
    headers = [("Content-Encoding", "gzip"), ("Content-Length", str(len(bomb)))]
    with Client(server.address) as client:
        _, fields = client.ask("/size", method="POST", headers=headers, body=bomb)
        assert int(client.read(int(fields["content-length"]))) == len(bomb)


@pytest.mark.parametrize(
    "accept", ["gzip," * 10_000, "a" * 50_000, "gzip;q=oops", "\t;;,=", "*;q=0"]
)
def test_a_field_that_is_none_or_huge_gets_the_body_as_it_is(server, accept):
    with Client(server.address) as client:
        status, fields = client.ask("/whole", accept=accept)
        assert status == 200
        assert "content-encoding" not in fields
        assert json.loads(client.read(int(fields["content-length"])))


def test_others_are_served_while_large_bodies_are_compressed(server):
    done = threading.Event()

    def load():
        with Client(server.address) as client:
            while not done.is_set():
                _, fields = client.ask("/large", accept="gzip")
                client.read(int(fields["content-length"]))

    loads = [threading.Thread(target=load) for _ in range(2)]
    for each in loads:
        each.start()
    try:
        with Client(server.address) as client:
            delays = []
            for _ in range(31):
                began = time.perf_counter()
                client.ask("/tasks")
                delays.append(time.perf_counter() - began)
    finally:
        done.set()
        for each in loads:
            each.join()
    assert statistics.median(delays) < 0.05, delays


@kinds
@pytest.mark.parametrize("protocol", ["httptools", "h11"])
@pytest.mark.parametrize("app", ["asgi_rt_app", "plain_app"])
def test_an_open_stream_takes_one_task_compressed_or_not(app, protocol, kind):
    with serve(app, protocol) as server, ExitStack() as stack:
        before = tasks(server)
        for _ in range(STREAMS):
            client = stack.enter_context(Client(server.address))
            key = next(keys)
            _, fields = client.ask(f"/{kind}?{key}", accept="gzip")
            assert ("content-encoding" in fields) is (app == "asgi_rt_app")
            give(server, key, "first")
            assert client.chunk()
        assert tasks(server) - before == STREAMS
        stack.close()
        server.wait_for("closed", count=STREAMS)
        deadline = time.monotonic() + TIMEOUT
        while tasks(server) != before:
            assert time.monotonic() < deadline
        assert not re.search("Traceback|ERROR", server.output)


def tasks(server):
    with Client(server.address) as client:
        _, fields = client.ask("/tasks")
        return int(client.read(int(fields["content-length"])))
