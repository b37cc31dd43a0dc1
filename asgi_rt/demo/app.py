"""The demo app: measurements out of SQLite, live events, a chat, slow readers, files.

Serve it with `asgi-rt demo`, or any other way: `uvicorn asgi_rt.demo.app:app`.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from anyio.to_thread import run_sync

from asgi_rt import (
    App,
    CSVResponse,
    FileResponse,
    HTTPError,
    Hub,
    NDJSONResponse,
    Request,
    Response,
    StaticFiles,
    Upload,
)
from asgi_rt.demo import chat, live, measurements, slow_reader
from asgi_rt.demo.cache import cache_directory, create_large_file
from asgi_rt.demo.pages import FOLDER, page
from asgi_rt.demo.process import ProcessMonitor, count_requests, pause
from asgi_rt.demo.rooms import Rooms
from asgi_rt.demo.ticks import TickSessions
from asgi_rt.hub import History

__all__ = ["app"]

_MAX_UPLOAD_BYTES: Final = 1024**3


@asynccontextmanager
async def lifespan(app: App) -> AsyncGenerator[dict[str, Any], None]:
    """Make the data before the first request. What is yielded is in every request's `state`."""
    directory = await run_sync(cache_directory)
    database = await run_sync(measurements.create_database, directory)
    large_file = await run_sync(create_large_file, directory)
    async with (
        Hub(history=History(max_count=live.SAMPLES)) as hub,
        live.run_live(directory, monitor, hub) as state,
    ):
        yield {
            "database": database,
            "large_file": large_file,
            "hub": hub,
            "rooms": Rooms(hub),
            "tick_sessions": TickSessions(),
            **state,
        }


monitor = ProcessMonitor()
app = App(lifespan=lifespan)
app.add_middleware(count_requests, monitor=monitor)
app.mount("/page", StaticFiles(FOLDER))
app.include(live.router)
app.include(chat.router)
app.include(slow_reader.router)


@app.get("/")
async def index(request: Request) -> Response:
    return page("index.html")


@app.get("/health")
async def health(request: Request) -> dict[str, str]:
    return {"status": "ok"}


@app.get("/measurements.ndjson")
async def measurements_ndjson(request: Request) -> Response:
    return NDJSONResponse(_selected(request))


@app.get("/measurements.csv")
async def measurements_csv(request: Request) -> Response:
    headers = {"content-disposition": 'attachment; filename="measurements.csv"'}
    return CSVResponse(_selected(request), columns=measurements.COLUMNS, headers=headers)


def _selected(request: Request) -> Iterator[dict[str, Any]]:
    """The rows that `?station=` and `?limit=` ask for. Blocks, so it is pulled in a thread."""
    return measurements.read_measurements(
        request.state["database"],
        station=_number(request, "station"),
        limit=_number(request, "limit"),
    )


def _number(request: Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise HTTPError(400, f"{name} must be a whole number of at most nine digits")
    return int(text)


@app.get("/api/stations")
def stations(request: Request) -> list[dict[str, Any]]:
    return measurements.list_stations(request.state["database"])


@app.get("/api/stations/{station_id:int}")
def station(request: Request) -> dict[str, Any]:
    number = request.path_params["station_id"]
    found = measurements.find_station(request.state["database"], number)
    if found is None:
        raise HTTPError(404, f"there is no station {number}")
    return found


@app.get("/files/large.bin")
async def large_file(request: Request) -> Response:
    return FileResponse(request.state["large_file"], filename="large.bin")


@app.get("/slow")
async def slow(request: Request) -> AsyncIterator[str]:
    number = 0
    while await pause(0.5, request.drain):
        number += 1
        yield f"line {number}\n"


@app.get("/metrics.ndjson")
async def metrics_ndjson(request: Request) -> Response:
    return NDJSONResponse(monitor.samples(1.0, request.drain))


@app.post("/upload")
async def upload_form(request: Request) -> dict[str, Any]:
    file = (await request.form()).get("file")
    if not isinstance(file, Upload):
        raise HTTPError(400, "the form has no file named `file`")
    return {"filename": file.filename, **await _digest(file)}


@app.put("/upload")
async def upload_body(request: Request) -> dict[str, Any]:
    async with aclosing(request.stream(max_bytes=_MAX_UPLOAD_BYTES)) as body:
        return await _digest(body)


async def _digest(chunks: AsyncIterable[bytes]) -> dict[str, Any]:
    """How much it was and its SHA-256, without ever holding more than a chunk."""
    size, digest = 0, hashlib.sha256()
    async for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}
