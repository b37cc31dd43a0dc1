"""An app of this package mounted in one of Starlette's or FastAPI's."""

import asyncio
import warnings
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest
import uvloop
from fastapi import FastAPI
from fastapi.exceptions import FastAPIDeprecationWarning
from starlette.applications import Starlette
from starlette.testclient import TestClient as StarletteClient

from asgi_rt import App, WebSocket
from asgi_rt.embed import join_lifespans
from asgi_rt.errors import LifespanError
from asgi_rt.middleware import Middleware
from asgi_rt.testing import AppError, AsyncTestClient
from embed.exchange import ask

ASYNCIO = [
    pytest.param(("asyncio", {"debug": True}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
]
on_asyncio = pytest.mark.parametrize("anyio_backend", ASYNCIO, indirect=True)
on_trio = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
MOUNTS = ["/live", "/"]


def late(caplog):
    """The warnings that a lifespan was begun late."""
    return [each.message for each in caplog.records if "was not run" in each.message]


def make_realtime(events, **options):
    """An app with a lifespan that notes what happens."""

    @asynccontextmanager
    async def lifespan(app):
        events.append("starts")
        await anyio.lowlevel.checkpoint()
        yield {"table": "of realtime", "mine": True}
        await anyio.lowlevel.checkpoint()
        events.append("stops")

    realtime = App(lifespan=lifespan, **options)

    @realtime.get("/where/{name}")
    async def where(request):
        return {
            "table": request.state.get("table"),
            "mine": request.state.get("mine"),
            "path": request.path,
            "root_path": request.scope["root_path"],
            "url": request.url,
            "base_url": request.base_url,
            "url_for": request.url_for("where", name="x y"),
        }

    @realtime.get("/table")
    async def table(request):
        return request.state.get("table")

    @realtime.websocket("/echo")
    async def echo(ws: WebSocket):
        await ws.accept()
        await ws.send_json([ws.state.get("table"), ws.url_for("echo")])

    return realtime


@pytest.fixture
def events():
    return []


@pytest.fixture
def realtime(events):
    return make_realtime(events)


@pytest.fixture(params=MOUNTS)
def prefix(request):
    return request.param.rstrip("/")


# Joined


async def test_a_joined_app_is_started_and_stopped_with_the_app_around_it(
    framework, realtime, events, prefix, caplog
):
    app = framework(lifespan=join_lifespans(realtime))
    app.mount(prefix or "/", realtime)
    async with AsyncTestClient(app) as client:
        assert events == ["starts"]
        assert (await client.get(f"{prefix}/table")).text == "of realtime"
        async with client.websocket_connect(f"{prefix}/echo") as ws:
            assert (await ws.receive_json())[0] == "of realtime"
        assert events == ["starts"]
    assert events == ["starts", "stops"]
    assert late(caplog) == []


async def test_an_app_mounted_in_one_that_is_joined_and_mounted_needs_no_more(
    framework, realtime, events, caplog
):
    middle = App()
    middle.mount("/inner", realtime)
    app = framework(lifespan=join_lifespans(middle))
    app.mount("/middle", middle)
    async with AsyncTestClient(app) as client:
        found = (await client.get("/middle/inner/where/a")).json()
    assert events == ["starts", "stops"]
    assert late(caplog) == []
    assert found["root_path"] == "/middle/inner"
    assert found["url_for"] == "http://testserver/middle/inner/where/x%20y"


# Not joined


@on_asyncio
async def test_an_app_that_is_not_joined_is_started_by_the_first_request(
    framework, realtime, events, prefix, caplog
):
    app = framework()
    app.mount(prefix or "/", realtime)
    async with AsyncTestClient(app) as client:
        assert events == []
        assert (await client.get(f"{prefix}/table")).text == "of realtime"
        assert (await client.get(f"{prefix}/table")).text == "of realtime"
        await end_late(realtime)
    assert events == ["starts", "stops"]
    (warning,) = late(caplog)
    assert f"mounted at {prefix or '/'} " in warning
    assert "lifespan=join_lifespans(realtime)" in warning


async def end_late(app):
    """End the late lifespan of an app as the end of the event loop does."""
    for run in app._late._runs.values():
        run.task.cancel()
        with anyio.CancelScope(shield=True):
            await run.stopped.wait()
        await anyio.wait_all_tasks_blocked()


@on_asyncio
async def test_a_websocket_may_be_the_first(framework, realtime, events, prefix):
    app = framework()
    app.mount(prefix or "/", realtime)
    async with AsyncTestClient(app) as client:
        async with client.websocket_connect(f"{prefix}/echo") as ws:
            table, url = await ws.receive_json()
        await end_late(realtime)
    assert table == "of realtime"
    assert url == f"ws://testserver{prefix}/echo"
    assert events == ["starts", "stops"]


@on_asyncio
async def test_many_first_requests_at_once_start_it_once_and_all_see_it_started(
    framework, realtime, events, caplog
):
    app = framework()
    app.mount("/live", realtime)
    texts = []

    async def ask():
        texts.append((await client.get("/live/table")).text)

    async with AsyncTestClient(app) as client:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        await end_late(realtime)
    assert texts == ["of realtime"] * 20
    assert events == ["starts", "stops"]
    assert len(late(caplog)) == 1


@on_asyncio
async def test_first_requests_that_leave_while_it_starts_do_not_stop_it(framework, events):
    begun, go = anyio.Event(), anyio.Event()

    async def lifespan(app):
        begun.set()
        await go.wait()
        events.append("started")
        yield {}

    realtime = App(lifespan=asynccontextmanager(lifespan))
    realtime.get("/")(lambda request: "there")
    app = framework()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(ask, app, "/live/")
            await begun.wait()
            group.cancel_scope.cancel()
        go.set()
        assert (await client.get("/live/")).text == "there"
        await end_late(realtime)
    assert events == ["started"]


@on_asyncio
async def test_where_it_cannot_start_every_request_fails_and_says_why(framework, events, caplog):
    async def lifespan(app):
        events.append("tries")
        raise ValueError("no database")
        yield

    realtime = App(lifespan=asynccontextmanager(lifespan))
    realtime.get("/")(lambda request: "there")
    app = framework()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        for _ in range(3):
            with pytest.raises(LifespanError, match="mounted at /live: ValueError: no database"):
                await client.get("/live/")
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        assert (await client.get("/live/")).status_code == 500
    assert events == ["tries"]
    assert len(late(caplog)) == 1


@on_asyncio
async def test_its_state_is_added_to_that_of_the_app_around_it(events, realtime):
    @asynccontextmanager
    async def lifespan(app):
        yield {"table": "of FastAPI", "other": 1}

    @realtime.get("/other")
    async def other(request):
        return [request.state["other"], request.state["table"]]

    app = FastAPI(lifespan=lifespan)
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/live/other")).json() == [1, "of realtime"]
        await end_late(realtime)


@on_asyncio
async def test_it_shares_the_drain_of_the_app_around_it(realtime):
    @realtime.get("/drain")
    async def drain(request):
        return request.drain is client.state["asgi_rt.drain"]

    app = FastAPI(lifespan=join_lifespans())
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/live/drain")).json() is True
        await end_late(realtime)


@on_asyncio
async def test_middleware_of_the_mounted_app_sees_the_state(framework, events, realtime):
    class Seeing(Middleware):
        def before(self, connection):
            events.append(connection.state["table"])

    realtime.add_middleware(Seeing)
    app = framework()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/live/table")).text == "of realtime"
        async with client.websocket_connect("/live/echo") as ws:
            await ws.receive_json()
        await end_late(realtime)
    assert events == ["starts", "of realtime", "of realtime", "stops"]


@on_asyncio
async def test_an_app_in_a_foreign_app_in_a_foreign_app_is_started_late(events, realtime, caplog):
    inner, outer = FastAPI(), FastAPI()
    inner.mount("/live", realtime)
    outer.mount("/inner", inner)
    async with AsyncTestClient(outer) as client:
        found = (await client.get("/inner/live/where/a")).json()
        await end_late(realtime)
    assert found["root_path"] == "/inner/live"
    assert found["mine"]
    assert len(late(caplog)) == 1


@on_asyncio
async def test_an_app_in_a_foreign_app_in_one_of_ours_is_started_late(events, realtime, caplog):
    inner, outer = FastAPI(), App()
    inner.mount("/", realtime)
    outer.mount("/inner", inner)
    async with AsyncTestClient(outer) as client:
        assert (await client.get("/inner/table")).text == "of realtime"
        await end_late(realtime)
    assert events == ["starts", "stops"]
    assert len(late(caplog)) == 1


@on_asyncio
async def test_the_lifespan_is_not_in_the_context_of_the_first_request(events):
    seen = []
    of_the_request = ContextVar("of_the_request", default=None)

    async def lifespan(app):
        seen.append(of_the_request.get())
        yield

    realtime = App(lifespan=asynccontextmanager(lifespan))
    realtime.get("/")(lambda request: "there")
    app = Starlette()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        of_the_request.set("first")
        await client.get("/live/")
        await end_late(realtime)
    assert seen == [None]


@on_asyncio
async def test_it_is_started_again_where_it_was_ended(events, realtime, caplog):
    app = Starlette()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        await client.get("/live/table")
        await end_late(realtime)
        assert (await client.get("/live/table")).text == "of realtime"
        await end_late(realtime)
    assert events == ["starts", "stops"] * 2
    assert len(late(caplog)) == 2


@on_asyncio
async def test_a_run_that_is_joined_follows_one_that_was_not(events, realtime, caplog):
    alone = Starlette()
    alone.mount("/live", realtime)
    async with AsyncTestClient(alone) as client:
        await client.get("/live/table")
        await end_late(realtime)
    caplog.clear()
    joined = Starlette(lifespan=join_lifespans(realtime))
    joined.mount("/live", realtime)
    async with AsyncTestClient(joined) as client:
        assert (await client.get("/live/table")).text == "of realtime"
    assert events == ["starts", "stops"] * 2
    assert late(caplog) == []


@on_trio
async def test_on_trio_the_error_says_what_to_do(framework, realtime, events):
    app = framework()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        with pytest.raises(LifespanError, match=r"was never started.*join_lifespans"):
            await client.get("/live/table")
    assert events == []


# Where nothing is to be started


async def test_an_app_without_a_lifespan_is_just_served(framework, caplog):
    realtime = App()
    realtime.get("/")(lambda request: "there")
    app = framework()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/live/")).text == "there"
    assert late(caplog) == []


@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_a_server_that_runs_the_lifespan_below_a_path_starts_nothing_late(
    realtime, events, root_path, caplog
):
    async with AsyncTestClient(realtime, root_path=root_path) as client:
        assert (await client.get("/table")).text == "of realtime"
    assert events == ["starts", "stops"]
    assert late(caplog) == []


@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_a_server_that_was_told_not_to_run_the_lifespan_starts_nothing_late(
    realtime, events, root_path, caplog
):
    async with AsyncTestClient(realtime, root_path=root_path, lifespan=False) as client:
        assert (await client.get("/where/a")).json()["mine"] is None
    assert events == []
    assert late(caplog) == []


@pytest.mark.parametrize("wrap", [lambda app: app, Middleware], ids=["bare", "wrapped"])
@pytest.mark.parametrize("path", ["/live", "/"])
async def test_a_mount_of_ours_without_lifespan_starts_nothing(
    realtime, events, path, wrap, caplog
):
    app = App()
    app.mount(path, wrap(realtime), lifespan=False)
    async with AsyncTestClient(app) as client:
        prefix = path.rstrip("/")
        assert (await client.get(f"{prefix}/where/a")).json()["mine"] is None
        async with client.websocket_connect(f"{prefix}/echo") as ws:
            assert (await ws.receive_json())[0] is None
    assert events == []
    assert late(caplog) == []


# Event loops that end


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_end_of_the_loop_runs_its_clean_up(events, realtime, run):
    app = FastAPI()
    app.mount("/live", realtime)

    @realtime.get("/works")
    async def works(request):
        async def work():
            try:
                events.append("works")
                await anyio.sleep_forever()
            finally:
                events.append("is let go")

        realtime.background.start(work)

    async def main():
        async with AsyncTestClient(app) as client:
            await client.get("/live/works")
            await anyio.wait_all_tasks_blocked()
        events.append("ends")

    run(main())
    assert events == ["starts", "works", "ends", "is let go", "stops"]
    assert not realtime.background.is_open


def test_starlettes_test_client_runs_what_is_joined(framework, realtime, events, caplog):
    app = framework(lifespan=join_lifespans(realtime))
    app.mount("/live", realtime)
    with StarletteClient(app) as client:
        assert client.get("/live/table").text == "of realtime"
        with client.websocket_connect("/live/echo") as ws:
            assert ws.receive_json()[0] == "of realtime"
    assert events == ["starts", "stops"]
    assert late(caplog) == []


def test_starlettes_test_client_without_a_lifespan_starts_it_in_each_loop(
    framework, realtime, events
):
    app = framework()
    app.mount("/live", realtime)
    client = StarletteClient(app)
    assert client.get("/live/table").text == "of realtime"
    assert client.get("/live/table").text == "of realtime"
    assert events == ["starts", "stops"] * 2


def test_loops_of_several_threads_have_a_run_each(events, realtime):
    app = Starlette()
    app.mount("/live", realtime)

    async def inner():
        async with AsyncTestClient(app) as client:
            return [(await client.get("/live/table")).text for _ in range(2)]

    async def outer():
        async with AsyncTestClient(app) as client:
            assert (await client.get("/live/table")).text == "of realtime"
            texts = await asyncio.to_thread(asyncio.run, inner())
            assert (await client.get("/live/table")).text == "of realtime"
            return texts

    assert asyncio.run(outer()) == ["of realtime"] * 2
    assert events == ["starts", "starts", "stops", "stops"]


# Where it is mounted


def with_root_path(root_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastAPIDeprecationWarning)
        return FastAPI(root_path=root_path)


@pytest.fixture
def plain():
    """An app without a lifespan, which needs none to be served."""
    app = make_realtime([])
    app._lifespans.clear()
    return app


@pytest.mark.parametrize("server_root", ["", "/api"])
async def test_urls_below_a_mount_are_those_that_lead_there(framework, plain, prefix, server_root):
    app = framework()
    app.mount(prefix or "/", plain)
    async with AsyncTestClient(app, root_path=server_root) as client:
        found = (await client.get(f"{prefix}/where/a?x=1")).json()
    root = f"{server_root}{prefix}"
    assert found["root_path"] == root
    assert found["path"] == "/where/a"
    assert found["url"] == f"http://testserver{root}/where/a?x=1"
    assert found["base_url"] == f"http://testserver{root}"
    assert found["url_for"] == f"http://testserver{root}/where/x%20y"


@pytest.mark.parametrize("path", ["/live/where/a", "/api/live/where/a"], ids=["cut", "whole"])
async def test_the_root_path_of_a_fastapi_app_is_part_of_the_urls(plain, path):
    """A proxy has cut it off, or left it there."""
    app = with_root_path("/api")
    app.mount("/live", plain)
    async with AsyncTestClient(app) as client:
        found = (await client.get(path)).json()
    assert found["root_path"] == "/api/live"
    assert found["path"] == "/where/a"
    assert found["base_url"] == "http://testserver/api/live"
    assert found["url_for"] == "http://testserver/api/live/where/x%20y"


@pytest.mark.parametrize("path", ["/live/inner/where/a", "/api/live/inner/where/a"])
async def test_a_mount_in_the_mounted_app_knows_the_root_path_too(plain, path):
    middle = App()
    middle.mount("/inner", plain)
    app = with_root_path("/api")
    app.mount("/live", middle)
    async with AsyncTestClient(app) as client:
        found = (await client.get(path)).json()
    assert found["root_path"] == "/api/live/inner"
    assert found["path"] == "/where/a"
    assert found["url_for"] == "http://testserver/api/live/inner/where/x%20y"


async def test_a_slash_redirect_stays_below_the_mount(framework):
    realtime = App(redirect_slashes=True)
    realtime.get("/rooms/")(lambda request: "rooms")
    app = framework()
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        response = await client.get("/live/rooms")
        assert response.status_code == 307
        assert response.headers["location"].endswith("/live/rooms/")
        assert (await client.get("/live/rooms", follow_redirects=True)).text == "rooms"


async def test_what_is_not_found_in_the_mounted_app_is_its_own_to_answer(framework, plain):
    app = framework()
    app.mount("/live", plain)
    async with AsyncTestClient(app) as client:
        response = await client.get("/live/nothing")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_what_crashes_in_the_mounted_app_is_answered_and_raised(framework, plain):
    @plain.get("/crash")
    async def crash(request):
        raise ValueError("crashed")

    app = framework()
    app.mount("/live", plain)
    async with AsyncTestClient(app) as client:
        with pytest.raises((ValueError, AppError), match="crashed"):
            await client.get("/live/crash")
