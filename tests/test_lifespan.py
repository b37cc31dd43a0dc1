"""Start-up and shutdown: order, state, failures, mounted apps, and several loops."""

import asyncio
import sys
import threading
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from fakes import http_scope

from asgi_rt import App, BackgroundTask, TextResponse
from asgi_rt.drain import drain_of


class Lifespan:
    """The server's side of the lifespan protocol, step by step."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.sent: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self._to_app = [anyio.Event(), anyio.Event()]
        self._asked = 0
        self._answered = anyio.Event()

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        try:
            await self.app(scope, self._receive, self._send)
        except Exception as error:
            self.error = error
        self._answered.set()

    async def _receive(self) -> Any:
        at, self._asked = self._asked, self._asked + 1
        await self._to_app[at].wait()
        return {"type": ("lifespan.startup", "lifespan.shutdown")[at]}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        self._answered.set()

    async def step(self, at: int) -> None:
        self._answered = anyio.Event()
        self._to_app[at].set()
        with anyio.fail_after(10):
            await self._answered.wait()

    @property
    def types(self) -> list[str]:
        return [message["type"].removeprefix("lifespan.") for message in self.sent]


@asynccontextmanager
async def running(app: Any):
    """The app between start-up and shutdown."""
    lifespan = Lifespan(app)
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.run)
        await lifespan.step(0)
        assert lifespan.types == ["startup.complete"], lifespan.sent
        yield lifespan
        await lifespan.step(1)
    assert lifespan.types == ["startup.complete", "shutdown.complete"]


async def failing(app: Any) -> Lifespan:
    """The app whose start-up fails."""
    lifespan = Lifespan(app)
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.run)
        await lifespan.step(0)
    assert lifespan.types == ["startup.failed"]
    return lifespan


def noting(log: list[str], name: str, **state: Any):
    @asynccontextmanager
    async def lifespan(app):
        log.append(f"+{name}")
        yield state
        log.append(f"-{name}")

    return lifespan


async def test_the_state_a_lifespan_yields_reaches_requests():
    app = App(lifespan=noting([], "app", database="db"))
    seen = []

    @app.get("/")
    async def handler(request):
        seen.append(request.state["database"])

    async with running(app) as lifespan:
        scope = http_scope(state=dict(lifespan.state))
        await app(scope, None, _ignore)
    assert seen == ["db"]


async def _ignore(message: Any) -> None:
    pass


async def test_lifespans_are_entered_in_order_and_left_in_reverse():
    log: list[str] = []
    app = App(lifespan=noting(log, "first"))
    app.add_lifespan(noting(log, "second"))
    async with running(app):
        assert log == ["+first", "+second"]
    assert log == ["+first", "+second", "-second", "-first"]


async def test_a_bare_async_generator_is_taken_for_a_lifespan():
    log = []

    async def lifespan(app):
        log.append("+")
        yield {"a": 1}
        log.append("-")

    async with running(App(lifespan=lifespan)) as running_app:
        assert running_app.state["a"] == 1
    assert log == ["+", "-"]


async def test_mounted_apps_start_after_and_stop_before_the_app_they_are_in():
    log: list[str] = []
    innermost = App(lifespan=noting(log, "innermost", deep=True))
    inner = App(lifespan=noting(log, "inner"))
    inner.mount("/innermost", innermost)
    other = App(lifespan=noting(log, "other"))
    app = App(lifespan=noting(log, "app"))
    app.mount("/inner", inner)
    app.mount("/other", other)
    async with running(app) as lifespan:
        assert log == ["+app", "+inner", "+innermost", "+other"]
        assert lifespan.state["deep"] is True
    assert log[4:] == ["-other", "-innermost", "-inner", "-app"]


async def test_a_starlette_and_a_fastapi_app_have_their_lifespans_run():
    from fastapi import FastAPI
    from starlette.applications import Starlette

    log: list[str] = []
    app = App()
    app.mount("/starlette", Starlette(lifespan=noting(log, "starlette", one=1)))
    app.mount("/fastapi", FastAPI(lifespan=noting(log, "fastapi", two=2)))
    async with running(app) as lifespan:
        assert log == ["+starlette", "+fastapi"]
        assert lifespan.state["one"] == 1
        assert lifespan.state["two"] == 2
    assert log[2:] == ["-fastapi", "-starlette"]


async def test_a_mount_may_be_left_out():
    log: list[str] = []
    app = App()
    app.mount("/inner", App(lifespan=noting(log, "inner")), lifespan=False)
    async with running(app):
        pass
    assert log == []


async def test_a_mounted_app_that_fails_to_start_unwinds_those_before_it():
    log: list[str] = []

    @asynccontextmanager
    async def broken(app):
        raise LookupError("no database")
        yield

    app = App(lifespan=noting(log, "app"))
    app.mount("/first", App(lifespan=noting(log, "first")))
    app.mount("/second", App(lifespan=broken))
    app.mount("/third", App(lifespan=noting(log, "third")))
    lifespan = await failing(app)
    assert log == ["+app", "+first", "-first"]
    assert "mount /second" in lifespan.sent[0]["message"]
    assert "no database" in lifespan.sent[0]["message"]


async def test_a_lifespan_that_fails_to_start_is_reported_and_raised():
    @asynccontextmanager
    async def broken(app):
        raise LookupError("no database")
        yield

    lifespan = await failing(App(lifespan=broken))
    assert lifespan.sent[0]["message"] == "LookupError: no database"
    assert isinstance(lifespan.error, LookupError)


async def test_a_start_up_that_exits_is_reported_before_it_does():
    @asynccontextmanager
    async def broken(app):
        sys.exit("no configuration")
        yield

    app = App(lifespan=broken)
    lifespan = Lifespan(app)
    lifespan._to_app[0].set()
    with pytest.raises(SystemExit):
        await lifespan.run()
    assert lifespan.types == ["startup.failed"]
    assert "no configuration" in lifespan.sent[0]["message"]


async def test_an_app_that_is_mounted_twice_is_started_once():
    log: list[str] = []
    inner, app = App(lifespan=noting(log, "inner")), App()
    app.mount("/a", inner)
    app.mount("/b", inner)
    async with running(app):
        assert log == ["+inner"]


async def test_a_mounted_app_that_never_stops_is_cancelled(monkeypatch):
    monkeypatch.setattr("asgi_rt.lifespan._SHUTDOWN_SECONDS", 0.01)

    async def endless(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await anyio.sleep_forever()

    app = App(grace=0.01)
    app.mount("/endless", endless)
    lifespan = Lifespan(app)
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.run)
        await lifespan.step(0)
        await lifespan.step(1)
    assert lifespan.types == ["startup.complete", "shutdown.failed"]
    assert "mount /endless: it did not shut down within" in lifespan.sent[1]["message"]


async def test_a_lifespan_that_fails_to_stop_is_reported_and_raised():
    @asynccontextmanager
    async def broken(app):
        yield
        raise LookupError("stuck")

    lifespan = Lifespan(App(lifespan=broken))
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.run)
        await lifespan.step(0)
        await lifespan.step(1)
    assert lifespan.types == ["startup.complete", "shutdown.failed"]
    assert isinstance(lifespan.error, LookupError)


async def test_a_mounted_app_without_a_lifespan_is_served_all_the_same(caplog):
    async def plain(scope, receive, send):
        assert scope["type"] == "http"
        await TextResponse("served")(scope, receive, send)

    app = App()
    app.mount("/plain", plain)
    async with running(app):
        pass
    assert [each for each in caplog.records if each.name == "asgi_rt.lifespan"] == []


async def test_a_mounted_app_that_breaks_in_its_start_up_is_warned_of(caplog):
    async def odd(scope, receive, send):
        await receive()
        raise LookupError("half-way")

    app = App()
    app.mount("/odd", odd)
    async with running(app):
        pass
    assert "mount /odd has no lifespan: LookupError: half-way" in caplog.text


async def test_the_drain_stands_in_the_state_and_is_shared_with_mounted_apps():
    inner, app = App(), App(grace=3)
    seen = []

    @inner.get("/")
    async def handler(request):
        seen.append(request.drain)

    app.mount("/inner", inner)
    async with running(app) as lifespan:
        drain = drain_of({"state": lifespan.state})
        assert drain is not None
        assert drain.grace == 3
        await app(http_scope("/inner/", state=dict(lifespan.state)), None, _ignore)
        assert seen == [drain]
        assert not drain.is_draining
    assert drain.is_draining


async def test_background_work_of_a_response_runs_in_a_task_of_the_app():
    app = App()
    begun, may_end, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    @app.get("/")
    async def handler(request):
        return TextResponse("x", background=BackgroundTask(work))

    async with running(app) as lifespan:
        await app(http_scope(state=dict(lifespan.state)), None, _ignore)
        await begun.wait()
        assert app.background.running == 1
        may_end.set()
        await ended.wait()
    assert (app.background.running, app.background.finished) == (0, 1)


async def test_background_work_is_waited_for_while_its_resources_are_there():
    log: list[str] = []
    app = App(lifespan=noting(log, "database"))
    begun = anyio.Event()

    async def work() -> None:
        begun.set()
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        log.append("work")

    async with running(app):
        app.background.start(work)
        await begun.wait()
    assert log == ["+database", "work", "-database"]


async def test_background_work_that_outlasts_the_grace_is_cancelled_and_counted(caplog):
    log: list[str] = []
    app = App(lifespan=noting(log, "database"))

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    async with running(app) as lifespan:
        app.background.start(work)
        await anyio.wait_all_tasks_blocked()
        drain = drain_of({"state": lifespan.state})
        assert drain is not None
        drain.grace = 0.01
    assert log == ["+database", "cancelled", "-database"]
    assert app.background.lost == 1
    assert "cancelling 1 background tasks" in caplog.text


async def test_one_background_failure_does_not_touch_the_others(caplog):
    app = App()
    done = []

    async def fails() -> None:
        raise LookupError("on its own")

    async with running(app):
        app.background.start(done.append, 1)
        app.background.start(fails)
        app.background.start(done.append, 3)
    assert sorted(done) == [1, 3]
    assert (app.background.finished, app.background.failed) == (2, 1)
    assert [record.exc_info[1].args for record in caplog.records] == [("on its own",)]


async def test_an_app_that_runs_twice_keeps_the_tasks_of_each_apart():
    app = App()
    done = anyio.Event()

    async def work() -> None:
        done.set()

    async with running(app):
        async with running(app):
            pass
        app.background.start(work)
        with anyio.fail_after(10):
            await done.wait()


async def test_a_background_task_that_exits_is_not_the_end_of_the_app(caplog):
    app = App()

    async def exits() -> None:
        sys.exit(3)

    async with running(app):
        app.background.start(exits)
    assert app.background.failed == 1
    assert "failed" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has no tasks to cancel one by one
async def test_a_background_task_that_awaits_a_cancelled_one_is_not_the_end_of_the_app(caplog):
    app = App()

    async def awaits_cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    async with running(app):
        app.background.start(awaits_cancelled)
    assert app.background.failed == 1
    assert "awaited what was cancelled" in caplog.text


def test_three_apps_on_three_loops_in_three_threads_keep_apart():
    drains = []

    async def main() -> None:
        async with running(App()) as lifespan:
            drains.append(drain_of({"state": lifespan.state}))

    threads = [threading.Thread(target=anyio.run, args=(main,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, drains))) == 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_app_runs_on_one_loop_after_another(backend):
    log: list[str] = []
    app = App(lifespan=noting(log, "app"))

    async def main() -> None:
        async with running(app):
            pass

    anyio.run(main, backend=backend)
    anyio.run(main, backend=backend)
    assert log == ["+app", "-app"] * 2
