"""The app that the browser tests listen to. What it does they decide, over HTTP, as it goes."""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import anyio

from asgi_rt import App, ClientDisconnected, Event, HTMLResponse, HTTPError, Request, Response
from asgi_rt.sse import EventLog

RETRY_MILLISECONDS = 50

app = App(grace=1)


@app.get("/")
async def empty_page(request: Request) -> Response:
    return HTMLResponse("<!doctype html><title>empty</title><link rel=icon href=data:,>")


# A script: the events that a test has sent, then an end for good.

scripts: dict[str, list[dict[str, Any]]] = {}


@app.put("/scripts/{name}")
async def put_script(request: Request) -> None:
    scripts[request.path_params["name"]] = await request.json()


@app.sse("/scripts/{name}", retry=RETRY_MILLISECONDS)
async def play(request: Request) -> Any:
    script = scripts[request.path_params["name"]]
    if request.last_event_id == script[-1]["id"]:
        return None
    return (Event(**each) for each in script)


# A log that is followed, and the connections of its followers.


class Line:
    """One follower's connection, which can be dropped at any moment."""

    def __init__(self) -> None:
        self.how = ""
        self._wait = anyio.CancelScope()

    def drop(self, how: str) -> None:
        self.how = how
        self._wait.cancel()

    async def carry(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            with anyio.CancelScope() as self._wait:
                frame = await anext(source)
            if self.how == "truncate":
                raise ClientDisconnected
            if self.how == "end":
                return
            yield frame


class Topic:
    def __init__(self, max_count: int) -> None:
        self.log = EventLog(max_count=max_count)
        self.lines: list[Line] = []
        self.last_event_ids: list[str | None] = []
        self.is_published = False
        self.count = 0

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.log.append(self.count)
            self.count += 1

    async def publish(self) -> None:
        while self.is_published:
            self.append()
            await anyio.sleep(0.001)


topics: dict[str, Topic] = {}


@app.put("/topics/{topic}")
async def put_topic(request: Request) -> dict[str, str]:
    topic = topics[request.path_params["topic"]] = Topic(**await request.json())
    return {"last_id": topic.log.last_id}


@app.sse("/topics/{topic}", retry=RETRY_MILLISECONDS)
async def follow(request: Request) -> Any:
    topic = topics[request.path_params["topic"]]
    topic.last_event_ids.append(request.last_event_id)
    line = Line()
    topic.lines.append(line)
    return line.carry(topic.log.follow(request.last_event_id))


@app.get("/topics/{topic}/last-event-ids")
async def last_event_ids(request: Request) -> list[str | None]:
    return topics[request.path_params["topic"]].last_event_ids


@app.post("/topics/{topic}/append")
async def append(request: Request) -> dict[str, str]:
    topic = topics[request.path_params["topic"]]
    topic.append(await request.json())
    return {"last_id": topic.log.last_id}


@app.post("/topics/{topic}/drop")
async def drop(request: Request) -> None:
    """Drop the newest connection, and publish before anybody can be back."""
    topic = topics[request.path_params["topic"]]
    topic.lines[-1].drop(await request.json())
    topic.append(3)


@app.post("/topics/{topic}/start")
async def start_publishing(request: Request) -> None:
    topic = topics[request.path_params["topic"]]
    topic.is_published = True
    app.background.start(topic.publish)


@app.post("/topics/{topic}/stop")
async def stop_publishing(request: Request) -> int:
    topic = topics[request.path_params["topic"]]
    topic.is_published = False
    return topic.count


# Sources of other kinds.

releases: dict[str, anyio.Event] = defaultdict(anyio.Event)


@app.sse("/held/{name}", retry=RETRY_MILLISECONDS)
async def held(request: Request) -> AsyncIterator[str]:
    await releases[request.path_params["name"]].wait()
    yield "released"
    await anyio.sleep_forever()


@app.get("/held/{name}/is-held")
async def is_held(request: Request) -> bool:
    return not releases[request.path_params["name"]].is_set()


@app.post("/held/{name}/release")
async def release(request: Request) -> None:
    releases[request.path_params["name"]].set()


@app.sse("/refused", retry=RETRY_MILLISECONDS)
async def refused(request: Request) -> AsyncIterator[str]:
    raise HTTPError(403, "not for you")
    yield ""


@app.sse("/failing", retry=RETRY_MILLISECONDS, error_events=True)
async def failing(request: Request) -> Any:
    return None if request.last_event_id else fail()


async def fail() -> AsyncIterator[Event]:
    yield Event("before", id="1")
    raise HTTPError(409, "the table is being moved")
