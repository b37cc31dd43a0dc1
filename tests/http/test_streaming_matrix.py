"""Every kind of source, every way a stream can end, on every kind of server.

Whatever happens, the source's `finally` has run when the response is over, without a garbage
collection, the background work has run exactly once and knows whether the body was complete, and
no task is left (see conftest).
"""

import gc
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from fakes import FakeServer

from asgi_rt import BackgroundTask, StreamingResponse

CLOSED_WITHIN = 10  # seconds, far more than it takes: it bounds a test that hangs


class SourceError(Exception):
    pass


class Source:
    """A source with a log. `waits_at` is the item before which it waits for the client to leave."""

    def __init__(self, count: int | None, *, raises_at: int | None, waits_at: int | None) -> None:
        self.items = itertools.count() if count is None else range(count)
        self.raises_at = raises_at
        self.waits_at = waits_at
        self.waiting = anyio.Event()
        self.is_begun = False
        self.is_closed = False
        self.released = threading.Event()

    def _about_to_give(self, number: int) -> bytes:
        if number == self.raises_at:
            raise SourceError(number)
        return b"%d," % number


class AsyncSource(Source):
    async def iterate(self) -> AsyncIterator[bytes]:
        self.is_begun = True
        try:
            for number in self.items:
                if number == self.waits_at:
                    self.waiting.set()
                    await anyio.sleep_forever()
                yield self._about_to_give(number)
            if self.raises_at is not None:
                raise SourceError("end")
        finally:
            self.is_closed = True


class SyncSource(Source):
    """Waits in its worker thread; the test lets it go when the client has left."""

    def iterate(self) -> Iterator[bytes]:
        self.is_begun = True
        try:
            for number in self.items:
                if number == self.waits_at:
                    anyio.from_thread.run_sync(self.waiting.set, token=self.token)
                    self.released.wait(CLOSED_WITHIN)
                yield self._about_to_give(number)
            if self.raises_at is not None:
                raise SourceError("end")
        finally:
            self.is_closed = True

    token: Any = None


class Background:
    def __init__(self) -> None:
        self.calls: list[bool] = []

    def task(self) -> BackgroundTask:
        return BackgroundTask(self._run)

    async def _run(self, completed: bool) -> None:
        self.calls.append(completed)


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


kinds = pytest.mark.parametrize("kind", [AsyncSource, SyncSource])
counts = pytest.mark.parametrize("count", [0, 1, 2, None], ids=["0", "1", "2", "endless"])
specs = pytest.mark.parametrize("spec", ["2.3", "2.4"])


def make(kind: type[Any], count: int | None, **options: Any) -> Any:
    source = kind(count, raises_at=options.get("raises_at"), waits_at=options.get("waits_at"))
    source.token = anyio.lowlevel.current_token()
    return source


async def run(response: StreamingResponse, server: FakeServer) -> None:
    with anyio.fail_after(CLOSED_WITHIN):
        await response(server.scope, server.receive, server.send)


@kinds
@pytest.mark.parametrize("count", [0, 1, 2])
@specs
async def test_a_source_that_ends_is_sent_whole(kind, count, spec):
    server, source, background = FakeServer(spec_version=spec), make(kind, count), Background()
    await run(StreamingResponse(source.iterate(), background=background.task()), server)
    assert server.is_complete
    assert server.body == b"".join(b"%d," % number for number in range(count))
    assert source.is_closed
    assert background.calls == [True]


@kinds
@counts
@specs
async def test_a_source_that_raises_before_its_first_item_sends_no_head(kind, count, spec):
    server, background = FakeServer(spec_version=spec), Background()
    source = make(kind, count, raises_at=0)
    with pytest.raises(SourceError):
        await run(StreamingResponse(source.iterate(), background=background.task()), server)
    assert server.messages == []
    assert source.is_closed
    assert background.calls == [False]


@kinds
@counts
@specs
async def test_a_source_that_raises_later_truncates_after_what_it_gave(kind, count, spec):
    server, background = FakeServer(spec_version=spec), Background()
    source = make(kind, count, raises_at=3)
    response = StreamingResponse(source.iterate(), background=background.task(), head_wait=0)
    with pytest.raises(SourceError):
        await run(response, server)
    assert server.status == 200
    assert not server.is_complete
    given = 3 if count is None else min(count, 3)
    assert server.body == b"".join(b"%d," % number for number in range(given))
    assert source.is_closed
    assert background.calls == [False]


@kinds
@pytest.mark.parametrize("given", [0, 1, 2])
@specs
async def test_a_client_that_leaves_while_the_source_waits_ends_it(kind, given, spec):
    server, background = FakeServer(spec_version=spec), Background()
    source = make(kind, None, waits_at=given)
    response = StreamingResponse(source.iterate(), background=background.task(), head_wait=0)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await source.waiting.wait()
        await server.body_has(given * 2)
        server.leave()
        source.released.set()
    assert not server.is_complete
    assert source.is_closed
    assert background.calls == [False]


@kinds
@pytest.mark.parametrize("count", [1, 2, None], ids=["1", "2", "endless"])
@pytest.mark.parametrize("stuck", [False, True], ids=["released", "stuck"])
@specs
async def test_a_client_that_leaves_while_a_send_is_blocked_ends_it(kind, count, stuck, spec):
    server, background = FakeServer(spec_version=spec, stuck=stuck), Background()
    source = make(kind, count)
    server.freeze()
    response = StreamingResponse(source.iterate(), background=background.task())
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await server.blocked.wait()
        server.leave()
    assert not server.is_complete
    assert source.is_closed
    assert background.calls == [False]


@kinds
@counts
@specs
async def test_a_client_that_leaves_before_the_first_byte_ends_it(kind, count, spec):
    server, background = FakeServer(spec_version=spec), Background()
    source = make(kind, None if count is None else count + 1, waits_at=0)
    response = StreamingResponse(source.iterate(), background=background.task(), head_wait=None)
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await source.waiting.wait()
        server.leave()
        source.released.set()
    assert server.messages == []
    assert source.is_closed
    assert background.calls == [False]


@kinds
@specs
async def test_a_client_that_left_before_it_began_ends_an_endless_source(kind, spec):
    server, background = FakeServer(spec_version=spec), Background()
    source = make(kind, None)
    server.leave()
    await run(StreamingResponse(source.iterate(), background=background.task()), server)
    assert source.is_closed
    assert background.calls == [False]


@kinds
async def test_a_head_request_closes_a_source_that_never_began(kind):
    server, background = FakeServer(method="HEAD"), Background()
    source = make(kind, 2)
    iterator = source.iterate()
    await run(StreamingResponse(iterator, background=background.task()), server)
    assert server.status == 200
    assert server.is_complete
    assert server.body == b""
    assert not source.is_begun
    state = getattr(iterator, "ag_frame", getattr(iterator, "gi_frame", None))
    assert state is None, "a closed generator has no frame"
    assert background.calls == [True]


@kinds
async def test_a_cancelled_response_closes_its_source(kind):
    server, background = FakeServer(), Background()
    source = make(kind, None, waits_at=2)
    response = StreamingResponse(source.iterate(), background=background.task())
    async with anyio.create_task_group() as group:
        group.start_soon(run, response, server)
        await source.waiting.wait()
        source.released.set()
        group.cancel_scope.cancel()
    assert source.is_closed
    assert background.calls == [False]
