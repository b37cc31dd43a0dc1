"""What is sent of a message is made once for each form, for the first eight."""

from contextlib import AsyncExitStack

import pytest
from anyio import wait_all_tasks_blocked
from feeds.pushed import streamed
from sse.wire import on_asyncio_only

from asgi_rt import Hub, sse_feed

pytestmark = on_asyncio_only


@pytest.mark.parametrize("topics", [("a",), ("a", "b")], ids=["seated", "standing"])
async def test_each_of_eight_forms_is_made_once_for_all(topics):
    def form(number):
        def encode(message):
            made.append(number)
            return f"{number} {message.data}"

        return encode

    made = []
    hub = Hub()
    async with AsyncExitStack() as stack:
        forms = [form(number) for number in range(8)]
        for _ in range(3):
            for encode in forms:
                await stack.enter_async_context(streamed(sse_feed(hub, *topics, encode=encode)))
        await wait_all_tasks_blocked()
        await hub.publish("a", "x")
        await wait_all_tasks_blocked()
    assert sorted(made) == list(range(8))
