"""Requests that are cancelled, or left by their clients, at every await: what was taken is given
back once, in order, and nothing is left or logged.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from asgi_rt.asgi import Message
from asgi_rt.fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    Form,
    Request,
    UploadFile,
    WebSocket,
)
from asgi_rt.fastapi.responses import EventSourceResponse, StreamingResponse

pytestmark = pytest.mark.anyio

FORM = (
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nab\r\n'
    b'--B\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n--B--\r\n'
)
HEADERS = [(b"content-type", b"multipart/form-data; boundary=B"), (b"host", b"t")]


class Notes:
    """What was taken and given back."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.faults: list[str] = []
        self.interrupted: list[str] = []
        self.files: list[Any] = []
        self.taken = 0

    def take(self, name: str) -> None:
        self.open.append(name)
        self.taken += 1

    def give_back(self, name: str) -> None:
        if not self.open or self.open[-1] != name:
            self.faults.append(f"{name} is given back while these are open: {self.open}")
        if name in self.open:
            self.open.remove(name)

    async def clean_up(self, name: str) -> None:
        """Give it back, which takes a while."""
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException:
            self.interrupted.append(name)
            raise
        finally:
            self.give_back(name)

    def check(self) -> None:
        assert not self.faults
        assert not self.open
        assert all(file.file.closed for file in self.files)


def an_app(notes: Notes) -> FastAPI:
    app = FastAPI()

    async def outer() -> AsyncGenerator[str, None]:
        await anyio.lowlevel.checkpoint()
        notes.take("outer")
        try:
            yield "outer"
        finally:
            await notes.clean_up("outer")

    def threaded(outer: Annotated[str, Depends(outer)]) -> Generator[str, None, None]:
        notes.take("threaded")
        try:
            yield "threaded"
        finally:
            notes.give_back("threaded")

    async def early(
        threaded: Annotated[str, Depends(threaded)],
    ) -> AsyncGenerator[str, None]:
        notes.take("early")
        try:
            yield "early"
        finally:
            await notes.clean_up("early")

    def early_threaded() -> Generator[str, None, None]:
        notes.take("early threaded")
        try:
            yield "early threaded"
        finally:
            notes.give_back("early threaded")

    def plain(threaded: Annotated[str, Depends(threaded)]) -> str:
        return "plain"

    from_early: Any = Depends(early, scope="function")
    from_early_threaded: Any = Depends(early_threaded, scope="function")
    from_plain: Any = Depends(plain)

    @asynccontextmanager
    async def held(name: str) -> AsyncGenerator[None, None]:
        notes.take(name)
        try:
            await anyio.lowlevel.checkpoint()
            yield
        finally:
            notes.give_back(name)

    async def after() -> None:
        async with held("background"):
            await anyio.lowlevel.checkpoint()

    @app.post("/form")
    async def form(
        file: UploadFile,
        n: Annotated[int, Form()],
        tasks: BackgroundTasks,
        a: str = from_early,
        b: str = from_early_threaded,
        c: str = from_plain,
    ) -> dict[str, Any]:
        notes.files.append(file)
        tasks.add_task(after)
        async with held("handler"):
            await file.read()
        return {"n": n}

    @app.post("/sync")
    def sync(
        a: str = from_early, b: str = from_early_threaded, c: str = from_plain
    ) -> dict[str, Any]:
        return {"c": c}

    @app.post("/stream")
    async def stream(
        tasks: BackgroundTasks, a: str = from_early, c: str = from_plain
    ) -> StreamingResponse:
        async def chunks() -> AsyncGenerator[bytes, None]:
            async with held("stream"):
                for _ in range(3):
                    yield b"x"
                    await anyio.lowlevel.checkpoint()

        tasks.add_task(after)
        return StreamingResponse(chunks())

    @app.post("/sync-stream")
    def sync_stream(c: str = from_plain, a: str = from_early_threaded) -> StreamingResponse:
        def chunks() -> Generator[bytes, None, None]:
            notes.take("sync stream")
            try:
                yield b"x"
                yield b"y"
            finally:
                notes.give_back("sync stream")

        return StreamingResponse(chunks())

    @app.post("/lines")
    async def lines(
        a: str = from_early, c: str = from_plain
    ) -> AsyncGenerator[dict[str, int], None]:
        async with held("lines"):
            for n in range(3):
                yield {"n": n}
                await anyio.lowlevel.checkpoint()

    @app.post("/events", response_class=EventSourceResponse)
    async def events(
        a: str = from_early, c: str = from_plain
    ) -> AsyncGenerator[dict[str, int], None]:
        async with held("events"):
            for n in range(3):
                yield {"n": n}
                await anyio.lowlevel.checkpoint()

    @app.post("/body")
    async def body(request: Request, a: str = from_early, c: str = from_plain) -> dict[str, Any]:
        async with held("body"):
            return {"size": len(await request.body())}

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, a: str = from_early, c: str = from_plain) -> None:
        async with held("ws"):
            await websocket.accept()
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    return app


class Stepped:
    """Awaits something, and calls a function at its k-th suspension."""

    def __init__(self, call: Awaitable[None], at: int, then: Callable[[], object]) -> None:
        self._call = call
        self._at = at
        self._then = then
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps: Any = self._call.__await__()
        resume, value = steps.send, None
        while True:
            try:
                waited = resume(value)
            except StopIteration:
                return
            self.count += 1
            if self.count == self._at:
                self._then()
            try:
                resume, value = steps.send, (yield waited)
            except BaseException as error:
                resume, value = steps.throw, error


class Server:
    """One exchange over which the client may leave at any time."""

    def __init__(self, path: str, *, spec_version: str = "2.3") -> None:
        self.scope: dict[str, Any] = {
            "type": "websocket" if path == "/ws" else "http",
            "asgi": {"version": "3.0", "spec_version": spec_version},
            "http_version": "1.1",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": HEADERS,
            "client": ("c", 1),
            "server": ("s", 80),
            "subprotocols": [],
            "state": {},
        }
        self.is_websocket = path == "/ws"
        if not self.is_websocket:
            self.scope["method"] = "POST"
        self.left = anyio.Event()
        self._raises = spec_version >= "2.4"
        self._messages: list[Message] = [
            {"type": "http.request", "body": FORM[:90], "more_body": True},
            {"type": "http.request", "body": FORM[90:], "more_body": False},
        ]
        if self.is_websocket:
            self._messages = [
                {"type": "websocket.connect"},
                {"type": "websocket.receive", "text": "a"},
                {"type": "websocket.receive", "text": "b"},
                {"type": "websocket.disconnect", "code": 1001},
            ]

    async def receive(self) -> Message:
        await anyio.lowlevel.checkpoint()
        is_first = self.is_websocket and len(self._messages) == 4  # whoever leaves did connect
        if self._messages and (is_first or not self.left.is_set()):
            return self._messages.pop(0)
        if not self.is_websocket:
            await self.left.wait()
            return {"type": "http.disconnect"}
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if self.left.is_set() and self._raises:
            raise OSError("the client has left")


PATHS = ("/form", "/sync", "/stream", "/sync-stream", "/lines", "/events", "/body", "/ws")


@pytest.mark.parametrize("path", PATHS)
async def test_cancelled_at_every_await_all_is_given_back(
    anyio_backend: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    app = an_app(notes)
    at = count = 0
    while count >= at:  # it was reached
        at += 1
        server = Server(path)
        scope = anyio.CancelScope()
        stepped = Stepped(app(server.scope, server.receive, server.send), at, scope.cancel)
        with anyio.fail_after(10), scope:
            await stepped
        notes.check()
        assert not notes.interrupted
        count = stepped.count
    assert notes.taken
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("path", PATHS)
async def test_left_by_the_client_at_every_await_all_is_given_back(
    anyio_backend: Any, path: str, spec_version: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    app = an_app(notes)
    at = count = 0
    while count >= at:  # it was reached
        at += 1
        server = Server(path, spec_version=spec_version)
        stepped = Stepped(app(server.scope, server.receive, server.send), at, server.left.set)
        with anyio.fail_after(10):
            await stepped
        notes.check()
        assert not notes.interrupted
        count = stepped.count
    assert notes.taken
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", PATHS)
async def test_cancelled_by_asyncio_itself_at_every_await_all_is_given_back(
    anyio_backend: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend[0] == "trio":
        pytest.skip("trio has no cancellation but that of scopes")
    notes = Notes()
    app = an_app(notes)
    at = count = 0
    while count >= at:  # it was reached
        at += 1

        async def serve(at: int = at) -> int:
            server = Server(path)
            cancel = asyncio.current_task().cancel  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess] - this is one
            stepped = Stepped(app(server.scope, server.receive, server.send), at, cancel)
            with suppress(asyncio.CancelledError):
                await stepped
            return stepped.count

        with anyio.fail_after(10):
            count = await asyncio.create_task(serve())
        notes.check()
    assert notes.taken
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
