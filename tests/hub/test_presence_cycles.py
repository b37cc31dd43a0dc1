"""Members that come and go, thousands of them, leave nothing behind."""

import gc

import anyio.lowlevel
import pytest
from hub.presence_events import TOPIC, backplanes, opened
from hub.waiting_backplane import WaitingBackplane

from asgi_rt.errors import BackplaneError
from asgi_rt.hub import Hub
from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.place import Place
from asgi_rt.hub.presence import Presence

CYCLES = 10_000
CYCLES_THAT_WAIT = 2_000
WARM_UP = 200
SLACK = 50
"""How many more objects there may be after all the cycles."""

# Without the debug mode, which keeps where each object was made.
quick = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ],
)


@pytest.mark.slow
@backplanes
@quick
async def test_members_that_come_and_go_leave_nothing(waits):
    inner = MemoryBackplane(history=None)
    backplane = WaitingBackplane(inner) if waits else inner
    hub = Hub(backplane=backplane)
    presence = Presence(hub)

    async def cycle(number):
        async with presence.join(f"rooms.{number}", f"m{number}", {"number": number}) as place:
            if number % 10 == 0:
                await place.update(None)
            if waits:
                backplane.calls.clear()

    async with hub:
        for number in range(WARM_UP):
            await cycle(number)
        gc.collect()
        before = len(gc.get_objects())
        for number in range(CYCLES_THAT_WAIT if waits else CYCLES):
            await cycle(WARM_UP + number % 500)
        gc.collect()
        assert len(gc.get_objects()) - before <= SLACK
    assert not presence._locks
    assert inner._places._places == {}


@backplanes
async def test_a_place_that_was_left_is_freed_without_the_garbage_collector(waits):
    gc.collect()
    gc.disable()
    try:
        before = _places()
        async with opened(waits) as (presence, _):
            async with presence.join(TOPIC, "ada"):
                assert _places() == before + 1
            if waits:
                presence.hub.backplane.failures["enter"] = [BackplaneError("away")]
                with pytest.raises(BackplaneError):
                    await presence.join(TOPIC, "ada").__aenter__()
            await anyio.lowlevel.checkpoint()
            assert _places() == before
    finally:
        gc.enable()


def _places():
    return sum(type(each) is Place for each in gc.get_objects())
