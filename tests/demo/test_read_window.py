"""A response that waits for a reader who says how far they are."""

import anyio
import pytest
from anyio.lowlevel import checkpoint
from fakes import http_scope

from asgi_rt.demo.read_window import ReadWindow


class Sending:
    """A response of pieces of 10 bytes each, and how many have gone out."""

    def __init__(self, window, *, pieces):
        self.sent = 0
        self._app = window.around(self._respond)
        self._pieces = pieces

    async def _respond(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self._pieces):
            await send({"type": "http.response.body", "body": bytes(10), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _count(self, message):
        self.sent += bool(message.get("body"))

    async def run(self):
        await self._app(http_scope(), None, self._count)


async def run_as_far_as_it_goes():
    for _ in range(20):
        await checkpoint()


@pytest.fixture
def window():
    return ReadWindow(max_bytes=25)


async def test_what_was_read_is_the_room_for_more(window):
    sending = Sending(window, pieces=100)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sending.run)
        await run_as_far_as_it_goes()
        assert sending.sent == 3
        for read, sent in [(5, 3), (6, 4), (15, 4), (16, 5), (50, 8)]:
            window.acknowledge(read)
            await run_as_far_as_it_goes()
            assert sending.sent == sent
        tasks.cancel_scope.cancel()


async def test_nobody_has_read_what_was_not_sent(window):
    sending = Sending(window, pieces=100)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sending.run)
        await run_as_far_as_it_goes()
        for nonsense in (10**9, -5, 0):
            window.acknowledge(nonsense)
        await run_as_far_as_it_goes()
        assert sending.sent == 6
        tasks.cancel_scope.cancel()


async def test_a_window_that_is_lifted_holds_nothing_back(window):
    sending = Sending(window, pieces=100)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sending.run)
            await run_as_far_as_it_goes()
            window.lift()
    assert sending.sent == 100
