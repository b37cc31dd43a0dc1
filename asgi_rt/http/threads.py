"""Worker threads for code of the user's that may block, and may never return.

They are daemons: a thread that hangs in somebody's iterator must not keep the process from ending.
And one that is given up no longer counts: it must not keep others from theirs.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Threads"]

_IDLE_SECONDS: Final = 5.0


class Threads:
    """At most `max_threads` threads, begun when they are needed, ended when idle for a while.

    `submit` may be called from any thread. Work beyond the limit waits for its turn.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._count = 0
        self._idle = 0
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, in one of the threads."""
        with self._changed:
            self._work.append(work)
            if len(self._work) <= self._idle:
                self._changed.notify()
            else:
                self._begin_thread()

    def abandon(self) -> None:
        """Let somebody have the place of a thread that does not come back."""
        with self._changed:
            self._max_threads += 1
            if self._work:
                self._begin_thread()

    def reclaim(self) -> None:
        """A thread that was given up has come back."""
        with self._changed:
            self._max_threads -= 1

    def _begin_thread(self) -> None:
        if self._count < self._max_threads:
            self._count += 1
            threading.Thread(target=self._run, name="asgi_rt stream", daemon=True).start()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work  # it must not stay alive while this thread is idle

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._work:
                self._idle += 1
                is_asked = self._changed.wait(_IDLE_SECONDS)
                self._idle -= 1
                if not is_asked and not self._work:
                    self._count -= 1
                    return None
            return self._work.popleft()
