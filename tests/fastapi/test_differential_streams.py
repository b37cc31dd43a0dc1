"""Functions that yield: events, lines of JSON, and raw pieces."""

import datetime
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from tests.fastapi.asked import get, post, script
from tests.fastapi.differential import compare, differential


class Item(BaseModel):
    name: str = Field(alias="theName")
    price: float | None = None


EVENTS: dict[str, dict[str, Any]] = {
    "data": {"data": {"a": [1, "\u00e4"]}},
    "text": {"data": "hello"},
    "lines": {"data": "a\nb\r\nc"},
    "raw": {"raw_data": "a b"},
    "raw lines": {"raw_data": "a\nb\rc\r\nd\n"},
    "raw of other ends": {"raw_data": "a\x0bb\u2028c"},
    "nothing": {},
    "event": {"event": "e", "data": 1},
    "id": {"id": "7", "data": 1},
    "retry": {"retry": 3000},
    "comment": {"comment": "c"},
    "all": {"comment": "c\nd", "event": "e", "data": [1], "id": "i", "retry": 5},
    "empty": {"raw_data": "", "event": "", "id": "", "comment": ""},
    "model": {"data": Item(theName="a")},
    "number": {"data": 1.5},
    "false": {"data": False},
    "when": {"data": datetime.datetime(2020, 1, 2)},
    "zero": {"data": 0, "retry": 0},
    "nested model": {"data": [Item(theName="a")]},
    "bad event": {"event": "a\nb"},
    "bad id": {"id": "a\0b"},
    "bad id line": {"id": "a\rb"},
    "bad retry": {"retry": -1},
    "both": {"data": 1, "raw_data": "x"},
    "retry text": {"retry": "5"},
}


GOOD = [each for each in EVENTS if not each.startswith("bad") and each != "both"]


@pytest.mark.parametrize("event", GOOD)
@pytest.mark.parametrize("sync", ["async", "sync"])
def test_events(event, sync):
    def build(api):
        app = api.FastAPI()
        sse = api.sse

        if sync == "sync":

            @app.get("/", response_class=sse.EventSourceResponse)
            def endpoint():
                yield sse.ServerSentEvent(**EVENTS[event])
                yield {"then": "plain"}
        else:

            @app.get("/", response_class=sse.EventSourceResponse)
            async def endpoint():
                yield sse.ServerSentEvent(**EVENTS[event])
                yield {"then": "plain"}

        return app

    compare(build, get())


@pytest.mark.parametrize("event", GOOD)
def test_the_format_of_events(event):
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            values = dict(EVENTS[event])
            values.pop("data", None)
            values["data_str"] = values.pop("raw_data", None)
            return api.sse.format_sse_event(**values).decode()

        return app

    compare(build, get())


@pytest.mark.parametrize("event", EVENTS)
def test_what_events_take(event):
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def made():
            try:
                return api.sse.ServerSentEvent(**EVENTS[event])
            except ValueError as error:
                return error.errors(include_url=False, include_context=False)

        return app

    compare(build, get())


@differential(
    get("/plain"),
    get("/typed"),
    get("/coerced"),
    get("/empty"),
    get("/status"),
    get("/headers"),
    get("/invalid?n=x"),
    post("/posted", json={"n": 3}),
    get("/any"),
    get("/models"),
    get("/none"),
    get("/last", headers={"last-event-id": "41"}),
    get("/last"),
    get("/iterator"),
    get("/generator"),
    get("/sync-typed"),
    get("/mixed"),
    get("/bytes"),
    get("/options"),
    get("/untyped-models"),
    get("/nan"),
    get("/method"),
    get("/default-class/x"),
)
def test_streams_of_events(api):
    app = api.FastAPI()
    Events = api.sse.EventSourceResponse
    Event = api.sse.ServerSentEvent

    @app.get("/plain", response_class=Events)
    async def plain():
        yield {"a": "\u00e4", "b": [1, 2]}
        yield "text\nof lines"
        yield 5
        yield None

    @app.get("/typed", response_class=Events)
    async def typed() -> AsyncIterable[Item]:
        yield Item(theName="a")
        yield {"theName": "b", "price": "2"}

    @app.get("/sync-typed", response_class=Events)
    def sync_typed() -> Iterable[Item]:
        yield Item(theName="a")

    @app.get("/coerced", response_class=Events)
    async def coerced() -> AsyncIterable[int]:
        yield "5"

    @app.get("/empty", response_class=Events)
    async def empty():
        for each in ():
            yield each

    @app.get("/status", response_class=Events, status_code=201)
    async def status(response: api.Response):
        yield 1

    @app.get("/headers", response_class=Events)
    async def headers(response: api.Response):
        response.headers["x-a"] = "late"
        yield 1

    async def sets(response: api.Response):
        response.headers["x-dep"] = "d"
        response.set_cookie("a", "1")
        response.status_code = 202

    app.router.add_api_route(
        "/deps", headers, response_class=Events, dependencies=[api.Depends(sets)]
    )

    @app.get("/invalid", response_class=Events)
    async def invalid(n: int):
        yield n

    class Body(BaseModel):
        n: int

    @app.post("/posted", response_class=Events)
    async def posted(body: Body):
        for each in range(body.n):
            yield Event(data=each, id=str(each))

    @app.get("/any", response_class=Events)
    async def anything() -> AsyncIterable[Any]:
        yield Item(theName="a")
        yield {"a": {1}}

    @app.get("/models", response_class=Events)
    async def models() -> AsyncIterator[list[Item]]:
        yield [Item(theName="a"), Item(theName="b", price=1)]

    @app.get("/untyped-models", response_class=Events)
    async def untyped_models():
        yield Item(theName="a")
        yield [Item(theName="b", price=1)]

    @app.get("/none", response_class=Events)
    async def none() -> AsyncIterable[int | None]:
        yield None

    @app.get("/last", response_class=Events)
    async def last(last_event_id: Annotated[int | None, api.Header()] = None):
        yield Event(data="next", id=str((last_event_id or 0) + 1))

    @app.get("/iterator", response_class=Events)
    def iterator() -> Iterator[int]:
        yield 1

    @app.get("/generator", response_class=Events)
    async def generator() -> AsyncGenerator[int, None]:
        yield 1

    @app.get("/mixed", response_class=Events)
    async def mixed() -> AsyncIterable[Item]:
        yield Item(theName="a")
        yield Event(data="of another type", event="e")

    @app.get("/bytes", response_class=Events)
    async def of_bytes():
        yield b"abc"

    @app.get(
        "/options",
        response_class=Events,
        response_model_exclude_none=True,
        response_model_by_alias=False,
    )
    async def options() -> AsyncIterable[Item]:
        yield Item(theName="a")

    @app.get("/nan", response_class=Events)
    async def nan():
        yield float("nan")

    @app.get("/method", response_class=Events)
    async def method(request: api.Request):
        yield request.method

    router = api.APIRouter(default_response_class=Events)

    @router.get("/default-class/x")
    async def default_class():
        yield 1

    app.include_router(router)
    return app


@differential(
    script(get("/deps")),
    script(get("/yields"), get("/log")),
    script(get("/tasks"), get("/log")),
    script(get("/function-scope"), get("/log")),
    script(get("/lines"), get("/log")),
)
def test_what_goes_with_a_stream(api):
    app = api.FastAPI()
    log = []
    Events = api.sse.EventSourceResponse

    async def sets(response: api.Response):
        response.headers["x-dep"] = "d"
        response.set_cookie("a", "1")
        response.status_code = 202

    @app.get("/deps", response_class=Events, dependencies=[api.Depends(sets)])
    async def deps():
        yield 1

    async def yields():
        log.append("+")
        try:
            yield "y"
        except KeyError:
            log.append("KeyError")
            raise
        finally:
            log.append("-")

    @app.get("/yields", response_class=Events)
    async def with_yield(value: Annotated[str, api.Depends(yields)]):
        log.append("first")
        yield value
        log.append("last")

    @app.get("/function-scope", response_class=Events)
    async def function_scope(value: Annotated[str, api.Depends(yields, scope="function")]):
        yield value

    @app.get("/lines")
    async def lines(value: Annotated[str, api.Depends(yields)]):
        log.append("first")
        yield value
        log.append("last")

    @app.get("/tasks", response_class=Events)
    async def tasks(tasks: api.BackgroundTasks):
        tasks.add_task(log.append, "task")
        yield 1
        log.append("end")

    @app.get("/log")
    async def get_log():
        return log

    return app


@differential(
    get("/plain"),
    get("/typed"),
    get("/sync"),
    get("/sync-typed"),
    get("/wrong"),
    get("/failing-later"),
    get("/empty"),
    get("/status"),
    get("/headers"),
    get("/invalid?n=x"),
    get("/options"),
    get("/any"),
    get("/nan"),
    get("/background"),
    get("/typed-odd"),
    get("/generator"),
)
def test_lines_of_json(api):
    app = api.FastAPI()

    @app.get("/plain")
    async def plain():
        yield {"a": "\u00e4\n", "b": [1, 2]}
        yield "text"
        yield None
        yield Item(theName="a")
        yield datetime.date(2020, 1, 2)

    @app.get("/typed")
    async def typed() -> AsyncIterable[Item]:
        yield Item(theName="\u00e4")
        yield {"theName": "b", "price": "2"}

    @app.get("/sync")
    def sync():
        yield 1
        yield 2

    @app.get("/sync-typed")
    def sync_typed() -> Iterable[Item]:
        yield Item(theName="a")

    @app.get("/wrong")
    async def wrong() -> AsyncIterable[int]:
        yield 1
        yield "x"

    @app.get("/failing-later")
    async def failing_later():
        yield 1
        raise KeyError("x")

    @app.get("/empty")
    async def empty():
        for each in ():
            yield each

    @app.get("/status", status_code=201)
    async def status():
        yield 1

    async def sets(response: api.Response):
        response.headers["x-dep"] = "d"

    @app.get("/headers", dependencies=[api.Depends(sets)])
    async def headers():
        yield 1

    @app.get("/invalid")
    async def invalid(n: int):
        yield n

    @app.get("/options", response_model_exclude_none=True, response_model_by_alias=False)
    async def options() -> AsyncIterable[Item]:
        yield Item(theName="a")

    @app.get("/any")
    async def anything() -> AsyncIterable[Any]:
        yield {"a": {1}}

    @app.get("/nan")
    async def nan():
        yield [float("inf"), {"a": float("nan")}]

    @app.get("/background")
    async def background(tasks: api.BackgroundTasks):
        tasks.add_task(print)
        yield 1

    @app.get("/typed-odd")
    async def typed_odd() -> AsyncIterator[dict[str, Item]]:
        yield {"a": Item(theName="x")}

    @app.get("/generator")
    def generator() -> Generator[int, None, None]:
        yield 1

    return app


@differential(
    get("/async"),
    get("/sync"),
    get("/text"),
    get("/status"),
    get("/headers"),
    get("/custom"),
    get("/failing"),
    get("/html"),
    get("/empty"),
)
def test_raw_pieces(api):
    app = api.FastAPI()
    Streaming = api.responses.StreamingResponse

    class Png(Streaming):
        media_type = "image/png"

    @app.get("/async", response_class=Streaming)
    async def an_async():
        yield b"a"
        yield b"b"

    @app.get("/sync", response_class=Streaming)
    def sync():
        yield b"a"
        yield b"b"

    @app.get("/text", response_class=Streaming)
    async def text() -> AsyncIterable[str]:
        yield "\u00e4"

    @app.get("/status", response_class=Streaming, status_code=202)
    async def status():
        yield b"a"

    async def sets(response: api.Response):
        response.headers["x-dep"] = "d"

    @app.get("/headers", response_class=Streaming, dependencies=[api.Depends(sets)])
    async def headers():
        yield b"a"

    @app.get("/custom", response_class=Png)
    async def custom() -> AsyncIterable[bytes]:
        yield b"png"

    @app.get("/failing", response_class=Streaming)
    async def failing():
        yield b"a"
        raise KeyError

    @app.get("/html", response_class=Streaming)
    async def html():
        yield b"<p>"
        yield "text too"

    @app.get("/empty", response_class=Streaming)
    def empty():
        yield from ()

    return app
