"""Several lifespans as one, in the apps of Starlette and FastAPI."""

import asyncio
import functools
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
import uvloop
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from asgi_rt import App, Hub
from asgi_rt.background import STATE_KEY as BACKGROUND_KEY
from asgi_rt.drain import STATE_KEY as DRAIN_KEY
from asgi_rt.embed import hub_dependency, join_lifespans
from asgi_rt.errors import LifespanError
from asgi_rt.testing import AsyncTestClient
from embed.exchange import turns


class Boom(Exception):
    """What a lifespan raises in a test."""


@pytest.fixture
def events():
    return []


@pytest.fixture
def part(events):
    """Makes a lifespan that notes its start and its end, and gives a state."""

    def make(name, *, starts=True, stops=True, **state):
        @asynccontextmanager
        async def lifespan(app):
            await anyio.lowlevel.checkpoint()
            if not starts:
                raise Boom(f"{name} does not start")
            events.append(f"{name} starts")
            try:
                yield state or None
            finally:
                await anyio.lowlevel.checkpoint()
                events.append(f"{name} stops")
            if not stops:
                raise Boom(f"{name} does not stop")

        return lifespan

    return make


def returning(*keys):
    async def endpoint(request):

        return JSONResponse([getattr(request.state, key, None) for key in keys])

    return Route("/", endpoint)


async def run(framework, *parts, within=None, **options):
    """Start an app of these parts, and stop it."""
    app = framework(lifespan=join_lifespans(*parts, **options))
    async with AsyncTestClient(app) as client:
        if within is not None:
            await within(client)
    return app


# Order


async def test_parts_start_in_their_order_and_stop_in_reverse(framework, part, events):
    await run(framework, part("a"), part("b"), part("c"))
    assert events == ["a starts", "b starts", "c starts", "c stops", "b stops", "a stops"]


async def test_where_one_does_not_start_the_others_are_unwound(framework, part, events):
    with pytest.raises(LifespanError, match="b does not start"):
        await run(framework, part("a"), part("b", starts=False), part("c"))
    assert events == ["a starts", "a stops"]


async def test_where_one_does_not_stop_the_others_do(framework, part, events):
    with pytest.raises(LifespanError, match="b does not stop"):
        await run(framework, part("a"), part("b", stops=False), part("c"))
    assert events[-3:] == ["c stops", "b stops", "a stops"]


async def test_a_lifespan_gets_the_app(framework):
    seen = []

    async def lifespan(app):
        seen.append(app)
        yield

    app = await run(framework, lifespan)
    assert seen == [app]


async def test_nothing_joined_is_a_lifespan_with_a_drain(framework):
    async def within(client):
        assert set(client.state) == {DRAIN_KEY, BACKGROUND_KEY}
        assert not client.state[DRAIN_KEY].is_draining

    await run(framework, within=within)


# The state


async def test_requests_see_what_all_of_them_gave_the_later_over_the_earlier(part):
    lifespan = join_lifespans(part("a", x=1, y=1), part("b", y=2))
    app = Starlette(routes=[returning("x", "y")], lifespan=lifespan)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == [1, 2]


async def test_a_mounted_app_sees_what_stands_before_it_and_adds_to_it(part):
    seen = {}
    realtime = App()

    @realtime.add_lifespan
    async def lifespan(app):
        yield {"mine": True}

    @realtime.get("/")
    async def endpoint(request):
        return {key: value for key, value in request.state.items() if isinstance(value, int)}

    async def within(client):
        seen.update((await client.get("/live/")).json())

    app = Starlette(
        routes=[returning("mine", "x")], lifespan=join_lifespans(part("a", x=1), realtime)
    )
    app.mount("/live", realtime)
    async with AsyncTestClient(app) as client:
        await within(client)
        assert (await client.get("/")).json() == [True, 1]
    assert seen == {"x": 1, "mine": True}


# Kinds of parts


async def test_an_async_generator_function_is_the_lifespan_it_describes(framework, events):
    async def lifespan(app):
        events.append("starts")
        yield {"x": 1}
        events.append("stops")

    async def within(client):
        assert client.state["x"] == 1

    await run(framework, lifespan, functools.partial(lifespan), within=within)
    assert events == ["starts", "starts", "stops", "stops"]


async def test_a_class_that_is_a_context_manager_is_a_lifespan(framework, events):
    class Lifespan:
        def __init__(self, app):
            self.app = app

        async def __call__(self):
            raise AssertionError

        async def __aenter__(self):
            events.append("starts")
            return {"x": self.app}

        async def __aexit__(self, *_):
            events.append("stops")

    await run(framework, Lifespan)
    assert events == ["starts", "stops"]


async def test_a_hub_is_open_in_between(framework):
    hub = Hub()

    async def within(client):
        assert (await hub.publish("a", "b")).id

    await run(framework, hub, within=within)


async def test_of_several_hubs_requests_get_the_first(framework):
    first, second = Hub(), Hub()
    seen = []

    async def endpoint(request):

        seen.append(await hub_dependency(request))
        return Response()

    app = Starlette(routes=[Route("/", endpoint)], lifespan=join_lifespans(first, second))
    async with AsyncTestClient(app) as client:
        await client.get("/")
    assert seen == [first]


@pytest.mark.parametrize("inner_class", [Starlette, FastAPI, Router])
async def test_an_app_of_another_package_is_a_part(framework, inner_class, part, events):
    inner = inner_class(lifespan=part("inner", x=1))

    async def within(client):
        assert client.state["x"] == 1

    await run(framework, part("outer"), inner, within=within)
    assert events == ["outer starts", "inner starts", "inner stops", "outer stops"]


async def test_an_app_that_cannot_start_names_itself(framework, part, events):
    inner = Starlette(lifespan=part("inner", starts=False))
    with pytest.raises(LifespanError, match=r"(?s)Starlette: .*inner does not start"):
        await run(framework, part("outer"), inner)
    assert events == ["outer starts", "outer stops"]


async def test_an_asgi_app_without_a_lifespan_is_let_be(framework):
    async def bare(scope, receive, send):
        assert scope["type"] == "http"

    await run(framework, bare)


@pytest.mark.parametrize("is_app", [False, True], ids=["lifespan", "app"])
async def test_what_is_joined_in_one_that_is_joined_has_its_drain_and_its_tasks(
    framework, part, events, is_app
):
    """So work ends before anything closes that was joined after the inner one."""
    nested = join_lifespans(part("inner", x=1))
    inner = FastAPI(lifespan=nested) if is_app else nested

    async def within(client):
        assert client.state["x"] == 1

        async def work():
            await turns()
            events.append("works to its end")

        client.state[BACKGROUND_KEY].start(work)

    await run(framework, inner, part("database"), within=within)
    assert events == [
        "inner starts",
        "database starts",
        "works to its end",
        "database stops",
        "inner stops",
    ]


async def test_a_router_of_fastapis_may_have_one_too(part, events):
    hub = Hub()
    router = APIRouter(lifespan=join_lifespans(hub, part("router")))
    app = FastAPI(lifespan=join_lifespans(part("app")))
    app.include_router(router)
    async with AsyncTestClient(app):
        assert await hub.publish("a", "b")
    assert events == ["app starts", "router starts", "router stops", "app stops"]


# What is none


async def takes_an_app(app):
    """A coroutine function, no context manager."""


@pytest.mark.parametrize(
    "wrong",
    [None, "app", 3, [], takes_an_app, object()],
    ids=["none", "str", "int", "list", "coroutine", "object"],
)
def test_what_is_no_part_is_an_error_at_once(wrong):
    with pytest.raises(TypeError, match="a lifespan, an ASGI app or a Hub is joined, not"):
        join_lifespans(wrong)


async def test_a_function_that_gives_no_context_manager_is_an_error_at_the_start(framework):
    with pytest.raises(LifespanError, match="TypeError"):
        await run(framework, lambda app: 3)


# The drain, and what runs in the background


async def test_background_work_is_done_before_what_it_uses_is_gone(framework, part, events):
    async def within(client):
        async def work():
            events.append("work begins")
            await release.wait()
            events.append("work ends")

        release = anyio.Event()
        client.state[BACKGROUND_KEY].start(work)
        await anyio.wait_all_tasks_blocked()
        release.set()

    await run(framework, part("database"), within=within)
    assert events == ["database starts", "work begins", "work ends", "database stops"]


async def test_work_that_takes_longer_than_the_grace_is_cancelled(framework, events):
    async def within(client):
        async def work():
            try:
                await anyio.sleep_forever()
            finally:
                events.append("cancelled")

        client.state[BACKGROUND_KEY].start(work)
        await anyio.wait_all_tasks_blocked()
        client.state[DRAIN_KEY].begin()

    await run(framework, within=within, grace=0.01)
    assert events == ["cancelled"]


@pytest.mark.parametrize(
    "anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})], indirect=True
)
async def test_work_that_ends_cancelled_does_not_take_the_app_along(framework, part, events):
    async def within(client):
        async def work():
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anyio.sleep_forever()

        client.state[BACKGROUND_KEY].start(work)
        await anyio.wait_all_tasks_blocked()
        events.append("serves")
        await anyio.lowlevel.checkpoint()

    await run(framework, part("database"), within=within)
    assert events == ["database starts", "serves", "database stops"]


# More than once


async def test_runs_one_after_the_other_are_independent(framework, part, events):
    drains = []
    app = framework(lifespan=join_lifespans(part("a"), Hub(), App()))
    for _ in range(2):
        async with AsyncTestClient(app) as client:
            drains.append(client.state[DRAIN_KEY])
            assert not drains[-1].is_draining
    assert drains[0] is not drains[1]
    assert events == ["a starts", "a stops"] * 2


def test_runs_in_loops_one_after_the_other_are_independent(framework, part, events):
    hub = Hub()
    app = framework(lifespan=join_lifespans(part("a"), hub, App(lifespan=part("b"))))

    async def main():
        async with AsyncTestClient(app):
            assert await hub.publish("a", "b")

    asyncio.run(main())
    uvloop.run(main())
    anyio.run(main, backend="trio")
    assert events == ["a starts", "b starts", "b stops", "a stops"] * 3
