"""Large bodies are encoded in threads; a stream's chunks in order, whoever sends them."""

import random
import threading

import anyio
import anyio.to_thread
import pytest
from middleware.decoding import CODINGS, Decoding, decode

from asgi_rt.middleware.encoders import load_encoders
from asgi_rt.middleware.encoding import PIECE_BYTES, EncodedStream, encode

LARGE = random.Random(1).randbytes(PIECE_BYTES // 2) * 5

codings = pytest.mark.parametrize("coding", CODINGS)


class Gated:
    """An encoder that changes nothing. It says where it works, and may be held there."""

    def __init__(self):
        self.threads = []
        self.pieces = []
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def encode(self, piece):
        self.threads.append(threading.current_thread())
        self.begun.set()
        assert self.may_go_on.wait(10)
        self.pieces.append(len(piece))
        return bytes(piece)

    def flush(self):
        return b"|"

    def finish(self):
        return b"."


async def begun(encoder):
    """Return when the encoder is at work in its thread."""
    assert await anyio.to_thread.run_sync(encoder.begun.wait, 10)


@codings
@pytest.mark.parametrize("size", [PIECE_BYTES, PIECE_BYTES + 1, len(LARGE)])
async def test_a_body_of_any_size_is_decoded_by_others(coding, size):
    encoder = load_encoders([coding])[coding](size)
    encoded = await encode(encoder, LARGE[:size], encoder.finish)
    assert decode(coding, encoded) == LARGE[:size]


async def test_what_is_small_is_encoded_at_once():
    encoder = Gated()
    assert await encode(encoder, b"a" * PIECE_BYTES, encoder.finish) == b"a" * PIECE_BYTES + b"."
    assert encoder.threads == [threading.current_thread()]


async def test_what_is_large_is_encoded_in_threads_piece_by_piece():
    encoder = Gated()
    assert await encode(encoder, LARGE, encoder.flush) == LARGE + b"|"
    assert threading.current_thread() not in encoder.threads
    assert encoder.pieces == [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES // 2]


async def test_the_event_loop_goes_on_meanwhile():
    encoder = Gated()
    encoder.may_go_on.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(encode, encoder, LARGE, encoder.finish)
        await begun(encoder)  # the loop runs, or this would not return
        encoder.may_go_on.set()
    assert sum(encoder.pieces) == len(LARGE)


async def test_what_an_encoder_raises_is_raised():
    class Failing(Gated):
        def encode(self, piece):
            raise LookupError

    with pytest.raises(LookupError):
        await encode(Failing(), LARGE, bytes)


async def test_a_cancellation_is_not_kept_waiting_and_ends_the_work():
    encoder = Gated()
    encoder.may_go_on.clear()
    stream = EncodedStream(lambda size: encoder)
    async with anyio.create_task_group() as group:

        async def send():
            await stream.encode(LARGE, is_last=False)

        group.start_soon(send)
        await begun(encoder)
        group.cancel_scope.cancel()
    assert encoder.pieces == []
    with pytest.raises(RuntimeError, match="this body cannot go on"):
        await stream.encode(b"more", is_last=True)
    encoder.may_go_on.set()


async def test_chunks_sent_at_the_same_time_are_encoded_one_after_the_other():
    encoder = Gated()
    encoder.may_go_on.clear()
    stream = EncodedStream(lambda size: encoder)
    given = []

    async def send(chunk, *, is_last):
        given.append(await stream.encode(chunk, is_last=is_last))

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: send(LARGE, is_last=False))
        await begun(encoder)
        group.start_soon(lambda: send(b"small", is_last=True))
        await anyio.wait_all_tasks_blocked()
        assert given == []
        encoder.may_go_on.set()
    assert given == [LARGE + b"|", b"small."]


@codings
async def test_a_stream_of_large_and_small_chunks_is_decoded_as_it_comes(coding):
    stream = EncodedStream(load_encoders([coding])[coding])
    decoding = Decoding(coding)
    for chunk in (b"small", LARGE, b"x", LARGE):
        assert decoding.feed(await stream.encode(chunk, is_last=False)) == chunk
    assert decoding.feed(await stream.encode(b"end", is_last=True)) == b"end"
    assert decoding.is_whole


async def test_a_stream_makes_its_encoder_for_its_first_chunk_and_lets_go_of_it_at_the_end():
    made = []

    def make(size):
        made.append(size)
        return Gated()

    stream = EncodedStream(make)
    assert made == []
    await stream.encode(b"a", is_last=False)
    await stream.encode(b"b", is_last=True)
    assert made == [None]
    with pytest.raises(RuntimeError, match="it has ended"):
        await stream.encode(b"c", is_last=False)


async def test_a_stream_that_is_closed_takes_no_more():
    stream = EncodedStream(lambda size: Gated())
    await stream.encode(b"a", is_last=False)
    stream.close()
    with pytest.raises(RuntimeError, match="this body cannot go on"):
        await stream.encode(b"b", is_last=False)
