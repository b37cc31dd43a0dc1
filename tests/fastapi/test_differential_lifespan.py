"""Lifespans, events of start and end, and the state that they and the requests have."""

from contextlib import asynccontextmanager

from tests.fastapi.asked import get, script, talk
from tests.fastapi.differential import ADAPTER, REAL, differential, outcomes

LIVED = {"lifespan": True}


@differential(
    script(get("/"), get("/"), **LIVED), script(talk("/ws"), get("/log"), **LIVED), get("/log")
)
def test_lifespans(api):
    log = []

    @asynccontextmanager
    async def lifespan(app):
        log.append("start")
        app.state.ready = True
        yield {"of_state": [1], "name": "n"}
        log.append("end")

    app = api.FastAPI(lifespan=lifespan)

    @app.get("/")
    async def endpoint(request: api.Request):
        request.state.of_state.append(2)
        request.state.name = "changed"
        return [
            request.state.of_state,
            request.state.name,
            app.state.ready,
            request.app is app,
            log,
        ]

    @app.websocket("/ws")
    async def ws(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.send_json([websocket.state.of_state, websocket.app is app])
        await websocket.close()

    @app.get("/log")
    async def get_log():
        return log

    return app


@differential(script(get("/log"), **LIVED))
def test_lifespans_of_the_old_kinds(api):
    log = []

    async def generator(app):
        log.append("start")
        yield
        log.append("end")

    app = api.FastAPI(lifespan=generator)

    @app.get("/log")
    async def get_log():
        return log

    return app


@differential(script(get("/log"), **LIVED))
def test_lifespans_that_do_not_await(api):
    log = []

    def generator(app):
        log.append("start")
        yield
        log.append("end")

    app = api.FastAPI(lifespan=generator)

    @app.get("/log")
    async def get_log():
        return log

    return app


@differential(script(get("/log"), **LIVED))
def test_events(api):
    log = []
    app = api.FastAPI(
        on_startup=[lambda: log.append("given")], on_shutdown=[lambda: log.append("given end")]
    )

    @app.on_event("startup")
    async def start():
        log.append("start")

    @app.on_event("startup")
    def sync_start():
        log.append("sync start")

    @app.on_event("shutdown")
    def end():
        log.append("end")

    app.router.add_event_handler("startup", lambda: log.append("handler"))

    @app.get("/log")
    async def get_log():
        return log

    return app


@differential(script(get("/log"), **LIVED))
def test_lifespans_of_routers(api):
    log = []

    def made(name):
        @asynccontextmanager
        async def lifespan(app):
            log.append(f"+{name}")
            yield {name: name}
            log.append(f"-{name}")

        return lifespan

    app = api.FastAPI(lifespan=made("app"))
    router = api.APIRouter(lifespan=made("router"))
    nested = api.APIRouter(lifespan=made("nested"))
    router.include_router(nested)
    app.include_router(router)

    @app.get("/log")
    async def get_log(request: api.Request):
        return [log, request.state.app, request.state.router, request.state.nested]

    return app


def test_the_order_of_the_ends_of_lifespans():
    """The log outlives the app, so that the ends are seen."""

    def run(api):
        log = []

        @asynccontextmanager
        async def lifespan(app):
            log.append("+app")
            yield
            log.append("-app")

        @asynccontextmanager
        async def of_router(app):
            log.append("+router")
            yield
            log.append("-router")

        def build(api):
            app = api.FastAPI(lifespan=lifespan)
            app.include_router(api.APIRouter(lifespan=of_router))
            return app

        return [outcomes(api, build, script(get("/"), **LIVED)), log]

    assert run(ADAPTER) == run(REAL)


@differential(script(get("/"), **LIVED))
def test_a_start_that_fails(api):
    @asynccontextmanager
    async def lifespan(app):
        raise KeyError("x")
        yield

    return api.FastAPI(lifespan=lifespan)


@differential(script(get("/"), **LIVED))
def test_an_end_that_fails(api):
    @asynccontextmanager
    async def lifespan(app):
        yield
        raise KeyError("x")

    app = api.FastAPI(lifespan=lifespan)

    @app.get("/")
    async def endpoint():
        return 1

    return app


@differential(
    script(get("/set"), get("/read"), **LIVED), script(get("/read")), script(get("/dict"))
)
def test_state(api):
    app = api.FastAPI()
    app.state.one = 1

    @app.get("/set")
    async def set_it(request: api.Request):
        request.app.state.two = 2
        request.state.three = 3
        return [request.state.three, hasattr(request.state, "two"), "three" in request.state]

    @app.get("/read")
    async def read(request: api.Request):
        try:
            return [app.state.one, app.state.two]
        except AttributeError as error:
            return str(error)

    @app.get("/dict")
    async def of_dict(request: api.Request):
        request.state["a"] = 1
        del request.state.a
        app.state.four = 4
        del app.state.four
        return [request.state._state, hasattr(app.state, "four"), sorted(app.state)]

    return app
