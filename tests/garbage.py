"""What is left for the garbage collector."""

import gc
from collections.abc import Awaitable, Callable


async def garbage_of(once: Callable[[], Awaitable[None]]) -> int:
    """How many objects the collector finds after `once`, the first time not counted."""
    await once()
    while gc.collect():  # what finalizers of earlier tests leave takes more than one turn
        pass
    gc.disable()
    try:
        await once()
        return gc.collect()
    finally:
        gc.enable()
