"""Worker threads: bounded, reused, daemons, and none lost to work that hangs."""

import threading

from asgi_rt.http.threads import Threads

WAIT = 10  # seconds: it bounds a test that hangs


def test_threads_are_reused_and_daemons():
    threads = Threads(4)
    seen = []
    for _ in range(5):
        done = threading.Event()

        def work(done=done) -> None:
            seen.append(threading.current_thread())
            done.set()

        threads.submit(work)
        assert done.wait(WAIT)
    assert all(thread.daemon for thread in seen)
    assert len(set(seen)) <= 2  # one may not be idle yet when the next work comes


def test_work_beyond_the_limit_waits_for_its_turn():
    threads = Threads(1)
    may_end, first, second = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        first.set()
        may_end.wait(WAIT)

    threads.submit(hold)
    assert first.wait(WAIT)
    threads.submit(second.set)
    assert not second.is_set()
    may_end.set()
    assert second.wait(WAIT)


def test_an_abandoned_thread_gives_its_place_to_waiting_work():
    threads = Threads(1)
    may_end, first, second = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        first.set()
        may_end.wait(WAIT)
        threads.reclaim()

    threads.submit(hang)
    assert first.wait(WAIT)
    threads.submit(second.set)
    threads.abandon()
    assert second.wait(WAIT)
    may_end.set()


def test_idle_threads_end(monkeypatch):
    monkeypatch.setattr("asgi_rt.http.threads._IDLE_SECONDS", 0.01)
    threads = Threads(2)
    seen = []
    done = threading.Event()

    def work() -> None:
        seen.append(threading.current_thread())
        done.set()

    threads.submit(work)
    assert done.wait(WAIT)
    seen[0].join(WAIT)
    assert not seen[0].is_alive()
