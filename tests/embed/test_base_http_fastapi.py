"""What FastAPI adds to an app, behind layers: dependencies, validation, background tasks."""

import contextvars
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Query, Response
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.middleware import Middleware

from embed.exchange import Exchange, ask
from embed.layers import Boom, Parts, adding

COUNTS = pytest.mark.parametrize("count", [1, 3])
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


@pytest.fixture
def layered(base):
    """Makes a FastAPI app behind layers."""

    def make(*dispatches, **options):
        entries = [Middleware(base, dispatch=dispatch) for dispatch in dispatches]
        return FastAPI(middleware=entries, **options)

    return make


@pytest.fixture
def opened():
    """What has happened to a dependency, in order."""
    return []


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def resource(opened, exchange):
    """A dependency that yields."""

    async def resource():
        opened.append("open")
        try:
            yield "resource"
        except Exception as error:
            opened.append(type(error).__name__)
            raise
        finally:
            opened.append(f"closed, the response {'was' if exchange.is_complete else 'was not'}")

    return resource


@COUNTS
async def test_a_dependency_is_closed_after_the_response(
    layered, resource, opened, exchange, count
):
    app = layered(*[adding("x")] * count)

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(resource)]):
        opened.append("endpoint")
        return {"value": value}

    await exchange.run(app)
    assert exchange.body == b'{"value":"resource"}'
    assert exchange.all_of("x-layers") == ["x"] * count
    assert opened == ["open", "endpoint", "closed, the response was"]


@COUNTS
async def test_a_dependency_is_open_while_the_response_streams(
    layered, resource, opened, exchange, count
):
    app = layered(*[adding("x")] * count)

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(resource)]):
        def parts():
            opened.append("streams")
            yield b"part"

        return StreamingResponse(Parts(parts()))

    await exchange.run(app)
    assert opened == ["open", "streams", "closed, the response was"]


@COUNTS
@pytest.mark.parametrize("error", [Boom, HTTPException])
async def test_a_dependency_sees_the_error_of_the_endpoint(
    layered, resource, opened, exchange, error, count
):
    seen = []

    async def dispatch(request, call_next):
        try:
            response = await call_next(request)
        except Boom:
            seen.append("raised")
            return JSONResponse({}, 503)
        seen.append(response.status_code)
        return response

    app = layered(*[dispatch] * count)

    @app.get("/")
    async def endpoint(value: Annotated[str, Depends(resource)]):
        raise Boom if error is Boom else HTTPException(409, "taken")

    await exchange.run(app)
    assert exchange.status == (503 if error is Boom else 409)
    assert opened == ["open", error.__name__, "closed, the response was not"]
    assert seen == (["raised", *[503] * (count - 1)] if error is Boom else [409] * count)


@COUNTS
async def test_what_is_not_valid_is_a_422_with_its_details_to_dispatch(layered, count):
    seen = []

    async def dispatch(request, call_next):
        response = await call_next(request)
        seen.append(response.status_code)
        return response

    app = layered(*[dispatch] * count)

    @app.get("/")
    async def endpoint(number: Annotated[int, Query(gt=0)]) -> int:
        return number

    assert (await ask(app, "/?number=1")).body == b"1"
    for query in ("/?number=0", "/?number=x", "/"):
        exchange = await ask(app, query)
        assert exchange.status == 422
        assert b'"loc":["query","number"]' in exchange.body
    assert seen == [200] * count + [422] * 3 * count


async def test_the_handler_of_what_is_not_valid_may_be_replaced(layered):
    async def handler(request, error):
        return JSONResponse({"wrong": len(error.errors())}, 400)

    app = layered(adding("x"), exception_handlers={RequestValidationError: handler})

    @app.get("/")
    async def endpoint(number: int) -> int:
        return number

    exchange = await ask(app)
    assert (exchange.status, exchange.body) == (400, b'{"wrong":1}')
    assert exchange.headers["x-layers"] == "x"


@COUNTS
async def test_background_tasks_are_done_when_the_client_has_the_response(layered, exchange, count):
    app = layered(*[adding("x")] * count)
    done = []

    async def work(name):
        done.append((name, exchange.is_complete))

    def work_in_thread(name):
        done.append((name, exchange.is_complete))

    async def dependency(tasks: BackgroundTasks):
        tasks.add_task(work, "dependency")

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks):
        tasks.add_task(work, "endpoint")
        tasks.add_task(work_in_thread, "thread")

    await exchange.run(app)
    assert done == [("dependency", True), ("endpoint", True), ("thread", True)]


async def test_state_and_context_of_dispatch_reach_dependencies(layered):
    async def dispatch(request, call_next):
        request.state.user = "ada"
        token = variable.set("from dispatch")
        try:
            return await call_next(request)
        finally:
            variable.reset(token)

    async def user(request: Request):
        return request.state.user

    def context():
        return variable.get()

    app = layered(dispatch)

    @app.get("/")
    def endpoint(user: Annotated[str, Depends(user)], context: Annotated[str, Depends(context)]):
        return [user, context, variable.get()]

    assert (await ask(app)).body == b'["ada","from dispatch","from dispatch"]'


async def test_a_response_that_is_injected_keeps_its_headers_and_status(layered):
    app = layered(adding("x"), adding("y"))

    @app.post("/", status_code=201)
    async def endpoint(response: Response):
        response.headers["x-endpoint"] = "1"
        response.set_cookie("a", "1")
        return {"a": 1}

    exchange = await ask(app, method="POST")
    assert (exchange.status, exchange.body) == (201, b'{"a":1}')
    assert exchange.headers["x-endpoint"] == "1"
    assert exchange.all_of("set-cookie") == ["a=1; Path=/; SameSite=lax"]
    assert exchange.all_of("x-layers") == ["y", "x"]


async def test_a_function_for_the_decorator_is_a_dispatch_as_it_is(base):
    def made(add):
        app = FastAPI()

        async def timed(request: Request, call_next):
            response = await call_next(request)
            response.headers["x-path"] = request.url.path
            return response

        add(app, timed)

        @app.get("/{name}")
        async def endpoint(name: str):
            return name

        return app

    decorated = await ask(made(lambda app, timed: app.middleware("http")(timed)), "/a")
    added = await ask(made(lambda app, timed: app.add_middleware(base, dispatch=timed)), "/a")
    assert added.header_list == decorated.header_list
    assert (added.headers["x-path"], added.body) == ("/a", b'"a"')


async def test_layers_around_an_app_that_is_mounted_in_another(layered):
    inner, outer = layered(adding("inner")), layered(adding("outer"))

    @inner.get("/item")
    async def endpoint(request: Request):
        return request.scope["root_path"]

    outer.mount("/inner", inner)
    exchange = await ask(outer, "/inner/item")
    assert (exchange.body, exchange.all_of("x-layers")) == (b'"/inner"', ["inner", "outer"])
