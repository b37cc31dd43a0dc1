"""Streams behind the middleware: their heads leave first, each chunk is decoded as it arrives."""

import gc
import json

import anyio
import pytest
from fakes import FakeServer
from middleware.compressed import JSON, TEXT, app_of, ask, body, codings, sized, start
from middleware.decoding import Decoding, decode

from asgi_rt import (
    App,
    EventStream,
    NDJSONResponse,
    StreamingResponse,
)
from asgi_rt.middleware.compression import CompressionMiddleware
from asgi_rt.middleware.encoders import GzipEncoder
from asgi_rt.middleware.encoding import PIECE_BYTES
from asgi_rt.testing import AsyncTestClient

# Streams


@codings
async def test_the_head_of_a_stream_leaves_before_its_first_chunk(coding):
    server = FakeServer(headers=[(b"accept-encoding", coding.encode())])
    may_give = anyio.Event()

    async def app(scope, receive, send):
        await send(start(JSON, ("etag", '"a"')))
        await may_give.wait()
        await send(body(b"{}", more=True))
        await send(body())

    async with anyio.create_task_group() as group:
        group.start_soon(CompressionMiddleware(app), server.scope, server.receive, server.send)
        await server.sent(1)
        await anyio.wait_all_tasks_blocked()
        assert len(server.messages) == 1
        assert server.headers == {
            "content-type": "application/json",
            "etag": 'W/"a"',
            "vary": "Accept-Encoding",
            "content-encoding": coding,
        }
        may_give.set()
    assert decode(coding, server.body) == b"{}"


@codings
@pytest.mark.parametrize("count", [0, 1, 2, 50])
async def test_each_chunk_is_decoded_when_it_arrives(coding, count):
    lines = [json.dumps({"line": number}).encode() + b"\n" for number in range(count)]
    server = await ask(
        app_of(start(JSON), *[body(line, more=True) for line in lines], body()), coding
    )
    decoding = Decoding(coding)
    assert [decoding.feed(message["body"]) for message in server.messages[1:]] == [*lines, b""]
    assert [message["more_body"] for message in server.messages[1:]] == [True] * count + [False]
    assert decoding.is_whole


async def test_a_last_chunk_with_content_is_sent_in_one_message():
    server = await ask(app_of(start(JSON), body(b"a", more=True), body(b"b")))
    assert decode("gzip", server.body) == b"ab"
    assert len(server.messages) == 3


@codings
async def test_what_is_sent_beside_a_source_that_waits_is_decoded_as_well(coding):
    server = FakeServer(headers=[(b"accept-encoding", coding.encode())])
    pinged = anyio.Event()

    async def source():
        yield "first"
        await pinged.wait()
        yield "last"

    async with anyio.create_task_group() as group:
        stream = EventStream(source(), retry=None, ping=0.01)
        group.start_soon(CompressionMiddleware(stream), server.scope, server.receive, server.send)
        await server.sent(3)
        decoding = Decoding(coding)
        assert decoding.feed(server.body).startswith(b"data: first\n\n: ping\n\n")
        pinged.set()
    assert decode(coding, server.body).endswith(b"data: last\n\n")


async def test_empty_chunks_are_passed_on_as_they_are():
    empty = {"type": "http.response.body", "more_body": True}
    server = await ask(app_of(start(JSON), empty, body(b"a", more=True), empty, body()))
    assert [message.get("body", b"") == b"" for message in server.messages[1:]] == [
        True,
        False,
        True,
        False,
    ]
    assert decode("gzip", server.body) == b"a"


async def test_a_body_of_known_length_that_comes_in_chunks_is_a_stream():
    server = await ask(app_of(sized(b"a" * 1000), body(b"a" * 600, more=True), body(b"a" * 400)))
    assert "content-length" not in server.headers
    assert server.headers["content-encoding"] == "gzip"
    assert decode("gzip", server.body) == b"a" * 1000


async def test_a_body_of_known_length_that_comes_in_chunks_needs_a_coding_for_streams():
    messages = (sized(b"a" * 1000), body(b"a" * 600, more=True), body(b"a" * 400))
    server = await ask(app_of(*messages), options={"stream_encodings": []})
    assert server.body == b"a" * 1000
    assert server.headers["content-length"] == "1000"


@codings
async def test_an_error_in_a_stream_leaves_it_without_its_end(coding):
    async def app(scope, receive, send):
        await send(start(JSON))
        await send(body(b"a", more=True))
        raise LookupError

    server = FakeServer(headers=[(b"accept-encoding", coding.encode())])
    with pytest.raises(LookupError):
        await CompressionMiddleware(app)(server.scope, server.receive, server.send)
    decoding = Decoding(coding)
    assert decoding.feed(server.body) == b"a"
    assert not decoding.is_whole
    assert not server.is_complete


async def test_an_error_before_the_body_can_still_become_another_response():
    async def app(scope, receive, send):
        await send(sized(b"a" * 1000))
        raise LookupError

    served = App()
    served.mount("/", app)
    served.add_middleware(CompressionMiddleware)
    async with AsyncTestClient(served, raise_server_exceptions=False) as client:
        assert (await client.get("/")).status_code == 500


async def test_a_large_chunk_of_a_stream_is_encoded_in_a_thread_while_its_source_has_a_timeout():
    """The source stands in a scope of its own while its last item is being sent."""
    large = (TEXT * 200).encode()

    async def source():
        for _ in range(3):
            yield large
            with anyio.move_on_after(0.001):
                await anyio.sleep_forever()

    assert len(large) > 2 * PIECE_BYTES
    server = await ask(StreamingResponse(source(), media_type="text/plain"))
    assert decode("gzip", server.body) == large * 3


# The end


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_client_that_leaves_frees_the_encoder(spec_version):
    server = FakeServer(spec_version=spec_version, headers=[(b"accept-encoding", b"gzip")])
    closed = []

    async def source():
        try:
            while True:
                yield {"a": 1}
                await anyio.sleep(0.001)
        finally:
            closed.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(
            CompressionMiddleware(NDJSONResponse(source())),
            server.scope,
            server.receive,
            server.send,
        )
        await server.sent(3)
        assert alive(GzipEncoder) == 1
        server.leave()
    assert closed == [True]
    assert alive(GzipEncoder) == 0


async def test_a_stream_that_is_over_holds_no_encoder_while_its_background_work_runs():
    counted = []

    async def app(scope, receive, send):
        await send(start(JSON))
        await send(body(b"a"))
        counted.append(alive(GzipEncoder))

    await ask(app)
    assert counted == [0]


async def test_an_open_stream_that_has_sent_nothing_holds_no_encoder():
    counted = []

    async def app(scope, receive, send):
        await send(start(JSON))
        counted.append(alive(GzipEncoder))
        await send(body(b"a", more=True))
        counted.append(alive(GzipEncoder))
        await send(body())

    await ask(app)
    assert counted == [0, 1]


def alive(kind):
    """How many objects of a class there are."""
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


async def test_nothing_can_be_added_to_a_stream_once_its_app_is_over():
    kept = []

    async def app(scope, receive, send):
        kept.append(send)
        await send(start(JSON))
        await send(body(b"a", more=True))

    await ask(app)
    with pytest.raises(RuntimeError, match="cannot go on"):
        await kept[0](body(b"b"))
