"""What carries messages between hubs: in one process, or between many."""

from asgi_rt.hub.backplane.memory import MemoryBackplane
from asgi_rt.hub.backplane.protocol import Backplane, Health, Listener, Member

__all__ = ["Backplane", "Health", "Listener", "Member", "MemoryBackplane"]
