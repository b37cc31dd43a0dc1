"""What docs/fastapi.md lists as different and needs more than a script to see, on both sides."""

import contextvars
import warnings
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import fastapi
import fastapi.testclient
import pytest
from pydantic import BaseModel

import asgi_rt.fastapi
import asgi_rt.fastapi.testclient
from tests.fastapi.asked import get, post
from tests.fastapi.differential import ADAPTER, REAL, outcomes

pytestmark = pytest.mark.skipif(ADAPTER is REAL, reason="compares FastAPI with itself")

CLIENTS = {
    REAL: fastapi.testclient.TestClient,
    ADAPTER: asgi_rt.fastapi.testclient.TestClient,
}


class Tea(BaseModel):
    tea: str


class Milk(BaseModel):
    milk: str


def both(build, asked):
    """What became of the step: with FastAPI, and with the adapter."""
    return outcomes(REAL, build, asked)[0], outcomes(ADAPTER, build, asked)[0]


# Streams


async def left(app: Any) -> None:
    """Ask for a stream, and leave when the first piece has come."""
    has_piece = anyio.Event()
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await has_piece.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            has_piece.set()
        await anyio.lowlevel.checkpoint()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
    }
    with anyio.fail_after(10):
        await app(scope, receive, send)


def streaming(api: Any, log: list[str]) -> Any:
    app = api.FastAPI()

    async def dependency():
        yield
        log.append("dependency")

    @app.get("/", dependencies=[api.Depends(dependency)])
    async def endpoint(tasks: api.BackgroundTasks):
        async def source():
            try:
                while True:
                    yield b"x"
                    await anyio.sleep(0.001)
            finally:
                log.append("source")

        tasks.add_task(log.append, "task")
        return api.responses.StreamingResponse(source(), background=tasks)

    return app


def test_the_source_of_a_stream_is_closed_before_all_else():
    """FastAPI leaves it to the garbage collector."""
    real: list[str] = []
    adapter: list[str] = []
    anyio.run(left, streaming(REAL, real))
    anyio.run(left, streaming(ADAPTER, adapter))
    assert adapter == ["source", "task", "dependency"]
    assert real[:2] == ["task", "dependency"]


# Forms and bodies


def test_a_union_of_form_models_is_not_taken_apart():
    def build(api):
        app = api.FastAPI()

        @app.post("/")
        async def endpoint(form: Annotated[Tea | Milk, api.Form()]):
            return form

        return app

    real, adapter = both(build, post(data={"milk": "a"}))
    assert (real["status"], adapter["status"]) == (200, 422)


def test_a_body_is_bounded_by_an_option_of_the_app_alone():
    def build(api):
        option = "max_body_size" if api is REAL else "max_body_bytes"
        app = api.FastAPI(**{option: 10})

        @app.post("/")
        async def endpoint(body: dict):
            return body

        return app

    real, adapter = both(build, post(json={"a": "x" * 100}))
    assert real["status"] == adapter["status"] == 413
    assert dict(real["headers"])["content-type"] == "text/plain; charset=utf-8"
    assert dict(adapter["headers"])["content-type"] == "application/json"
    with pytest.raises(TypeError, match="max_body_size"):
        asgi_rt.fastapi.FastAPI().get("/", max_body_size=10)(lambda: None)


# Files


def test_a_file_that_the_client_has_is_not_sent_again(tmp_path):
    (tmp_path / "a.txt").write_text("a")

    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            return api.responses.FileResponse(tmp_path / "a.txt")

        return app

    later = {"if-modified-since": "Fri, 31 Dec 2100 10:00:00 GMT"}
    for headers in ({"if-none-match": "*"}, later):
        real, adapter = both(build, get(headers=headers))
        assert (real["status"], adapter["status"]) == (200, 304)
    tags = [CLIENTS[api](build(api)).get("/").headers["etag"] for api in (REAL, ADAPTER)]
    assert tags[0] != tags[1]


# Middleware

_seen = contextvars.ContextVar("_seen", default="nothing")


def test_context_variables_of_the_app_are_seen_by_dispatch():
    def build(api):
        app = api.FastAPI()

        @app.middleware("http")
        async def dispatch(request, call_next):
            response = await call_next(request)
            response.headers["x-seen"] = _seen.get()
            return response

        @app.get("/")
        async def endpoint():
            _seen.set("the app's")

        return app

    real, adapter = both(build, get())
    assert dict(real["headers"])["x-seen"] == "nothing"
    assert dict(adapter["headers"])["x-seen"] == "the app's"


def test_a_cancel_scope_over_call_next_is_told_of():
    def build(api):
        app = api.FastAPI()

        @app.middleware("http")
        async def dispatch(request, call_next):
            with anyio.fail_after(10):
                return await call_next(request)

        @app.get("/")
        async def endpoint():
            await anyio.sleep(0.001)

        return app

    real, adapter = both(build, get())
    assert (real["status"], adapter["raised"]) == (200, "DispatchError")


# Lifespan


def test_lifespans_and_event_handlers_are_left_out_by_nobody():
    logs: dict[Any, list[str]] = {}
    for api in (REAL, ADAPTER):
        log = logs[api] = []

        @asynccontextmanager
        async def lifespan(app, log=log):
            log.append("lifespan")
            yield

        @asynccontextmanager
        async def of_mounted(app, log=log):
            log.append("mounted")
            yield

        app = api.FastAPI(lifespan=lifespan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            app.on_event("startup")(lambda log=log: log.append("event"))
        app.mount("/mounted", api.FastAPI(lifespan=of_mounted))
        with CLIENTS[api](app):
            pass
    assert logs[REAL] == ["lifespan"]
    assert logs[ADAPTER] == ["lifespan", "event", "mounted"]


# Errors, tests


def test_a_traceback_is_shown_as_text():
    def build(api):
        app = api.FastAPI(debug=True)

        @app.get("/")
        async def endpoint():
            raise KeyError("x")

        return app

    real, adapter = both(build, get(headers={"accept": "text/html"}))
    kinds = [dict(each["headers"])["content-type"] for each in (real, adapter)]
    assert kinds == ["text/html; charset=utf-8", "text/plain; charset=utf-8"]
