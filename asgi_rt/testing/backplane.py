"""The tests that every backplane must pass, for the authors of backplanes.

Derive a class and say how two connections to the same messages are made, as two processes have:

```python
class TestMyBackplane(BackplaneConformance):
    @asynccontextmanager
    async def connections(self):
        name = secrets.token_hex(4)             # so that each test begins with nothing
        yield MyBackplane(URL, name), MyBackplane(URL, name)
```

pytest finds the tests in it. They are coroutine functions: run them by anyio's plugin, with
`pytestmark = pytest.mark.anyio` or `anyio_mode = "auto"`. Each bounds its waits by `deadline`
seconds. A backplane without history sets `has_history = False`; one that bounds how many messages
of a topic it keeps sets `history_count`.
"""

from asgi_rt.testing.backplane_carrying import CarryingTests
from asgi_rt.testing.backplane_history import HistoryTests
from asgi_rt.testing.backplane_hubs import HubTests
from asgi_rt.testing.backplane_pair import RecordingListener
from asgi_rt.testing.backplane_presence import PresenceTests

__all__ = ["BackplaneConformance", "RecordingListener"]


class BackplaneConformance(CarryingTests, HistoryTests, HubTests, PresenceTests):
    """What is asked of a backplane. Derive from it, and define `connections`."""
