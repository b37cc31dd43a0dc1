"""Waiting for what changes all the time."""

import anyio
import anyio.lowlevel
import pytest

from asgi_rt.testing.condition import Condition


async def test_a_wait_ends_in_time_though_something_changes_at_every_turn_of_the_loop():
    changed = Condition()

    async def change():
        while True:
            changed.notify_all()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change)
        with pytest.raises(TimeoutError), anyio.fail_after(0.02):
            await changed.wait_until(lambda: False)
        tasks.cancel_scope.cancel()
