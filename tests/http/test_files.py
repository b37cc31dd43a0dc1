"""Files as responses: what is answered, what the disk sees, and that nothing stays open."""

import os
import re
import threading
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from asgi_rt.background import BackgroundTask
from asgi_rt.errors import SendTimeout
from asgi_rt.http.files import FileResponse
from asgi_rt.testing import AsyncTestClient

CONTENT = bytes(range(256)) * 4
MODIFIED_NS = 784111777_123456789
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
ETAG = f'"{MODIFIED_NS:x}-{len(CONTENT):x}"'
PATHSEND = "http.response.pathsend"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS))
    return path


class Disk:
    """Stands between the package and the operating system; records who calls, and what is open."""

    def __init__(self) -> None:
        self.threads: dict[str, set[int]] = {}
        self.calls: list[str] = []
        self.open: set[int] = set()

    def watch(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._patch(monkeypatch, "open", lambda path, *_: str(path).startswith(str(directory)))
        for name in ("fstat", "lseek", "read", "close"):
            self._patch(monkeypatch, name, lambda descriptor, *_: descriptor in self.open)

    def _patch(self, monkeypatch: pytest.MonkeyPatch, name: str, concerns: Any) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not concerns(*args):
                return real(*args, **kwargs)
            self.calls.append(name)
            self.threads.setdefault(name, set()).add(threading.get_ident())
            if name == "close":
                self.open.discard(args[0])
            result = real(*args, **kwargs)
            if name == "open":
                self.open.add(result)
            return result

        monkeypatch.setattr(os, name, call)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    disk.watch(monkeypatch, tmp_path)
    yield disk
    assert disk.calls.count("open") == disk.calls.count("close"), "every file is closed once"
    assert not disk.open


class Told:
    """Background work that keeps what it is told; it may want to delete the file."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.completed: list[bool] = []
        self._disk = disk

    def __call__(self, completed: bool) -> None:
        assert self._disk is None or not self._disk.open
        self.completed.append(completed)


def client_of(app: Any, **options: Any) -> AsyncTestClient:
    return AsyncTestClient(app, lifespan=False, **options)


async def get(app: Any, method: str = "GET", **headers: str) -> Any:
    async with client_of(app) as client:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, "/", headers=fields)


def scope(method: str = "GET", **fields: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": "/", "headers": [], **fields}


async def never() -> Any:
    await anyio.sleep_forever()


async def nothing(message: Any) -> None:
    raise AssertionError(f"nothing should be sent, not {message}")


# Whole files


async def test_file_is_sent_whole_with_all_its_headers(path, disk):
    response = await get(FileResponse(path))
    assert response.status_code == 200
    assert response.content == CONTENT
    assert dict(response.headers) == {
        "content-type": "image/png",
        "accept-ranges": "bytes",
        "etag": ETAG,
        "last-modified": DATE,
        "content-length": "1024",
    }


async def test_file_is_sent_in_chunks_of_the_given_size(path, disk):
    response = await get(FileResponse(path, chunk_bytes=100))
    assert response.content == CONTENT
    assert disk.calls.count("read") == 11


async def test_file_that_is_empty_has_a_length_of_zero(tmp_path, disk):
    (tmp_path / "empty").touch()
    response = await get(FileResponse(tmp_path / "empty"), range="bytes=0-")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"


async def test_file_is_not_read_for_head(path, disk):
    response = await get(FileResponse(path), "HEAD")
    whole = await get(FileResponse(path))
    assert response.status_code == 200
    assert response.headers == whole.headers
    assert disk.calls[: disk.calls.index("close")] == ["open", "fstat"]


@pytest.mark.parametrize(
    ("headers", "chunk_bytes"),
    [({}, 300), ({}, 4096), ({"range": "bytes=9-800"}, 300), ({"range": "bytes=0-9,99-"}, 300)],
)
async def test_file_is_only_touched_in_worker_threads(path, disk, headers, chunk_bytes):
    await get(FileResponse(path, chunk_bytes=chunk_bytes), **headers)
    assert set(disk.threads) == {"open", "fstat", "lseek", "read", "close"}
    for threads in disk.threads.values():
        assert threading.get_ident() not in threads


async def test_file_of_one_chunk_takes_one_worker_thread_hop(path, disk, monkeypatch):
    hops = 0
    run_sync = anyio.to_thread.run_sync

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal hops
        hops += 1
        return await run_sync(*args, **kwargs)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
    assert (await get(FileResponse(path))).content == CONTENT
    assert hops == 1


async def test_file_in_answer_to_post_knows_no_conditions(path, disk):
    response = await get(FileResponse(path), "POST", range="bytes=0-9", if_none_match="*")
    assert (response.status_code, response.content) == (200, CONTENT)


async def test_file_with_another_status_knows_no_conditions(path, disk):
    response = await get(FileResponse(path, 404), range="bytes=0-9", if_none_match=ETAG)
    assert (response.status_code, response.content) == (404, CONTENT)
    assert not {"etag", "last-modified", "accept-ranges"} & set(response.headers)


async def test_file_from_the_future_has_no_date_of_modification(path, disk):
    os.utime(path, (4102444800, 4102444800))
    response = await get(FileResponse(path))
    assert "last-modified" not in response.headers
    assert "etag" in response.headers


async def test_file_headers_that_are_given_override_its_own(path, disk):
    response = FileResponse(path, headers={"etag": '"v1"', "content-type": "a/b", "x-a": "1"})
    response.set_cookie("seen", "1")
    answer = await get(response, if_none_match='"v1"')
    assert answer.status_code == 304
    assert (answer.headers["etag"], answer.headers["x-a"]) == ('"v1"', "1")
    assert answer.cookies["seen"] == "1"


@pytest.mark.parametrize("status_code", [101, 204, 304])
def test_file_response_with_a_status_that_has_no_body_is_refused(status_code):
    with pytest.raises(ValueError, match="cannot carry a file"):
        FileResponse("a", status_code)


def test_file_response_with_no_bytes_to_a_chunk_is_refused():
    with pytest.raises(ValueError, match="chunk_bytes"):
        FileResponse("a", chunk_bytes=0)


# Conditions and ranges


async def test_file_range_is_sent_as_one_part(path, disk):
    response = await get(FileResponse(path, chunk_bytes=100), range="bytes=10-509")
    assert response.status_code == 206
    assert response.content == CONTENT[10:510]
    assert response.headers["content-range"] == "bytes 10-509/1024"
    assert response.headers["content-length"] == "500"
    assert response.headers["content-type"] == "image/png"


async def test_file_ranges_are_sent_as_multipart(path, disk):
    response = await get(FileResponse(path, chunk_bytes=100), range="bytes=500-799,0-9,-4")
    assert response.status_code == 206
    assert int(response.headers["content-length"]) == len(response.content)
    assert "content-range" not in response.headers
    head = f"content-type: {response.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + response.content).get_payload()
    assert [(part["content-range"], part.get_payload(decode=True)) for part in parts] == [
        ("bytes 500-799/1024", CONTENT[500:800]),
        ("bytes 0-9/1024", CONTENT[:10]),
        ("bytes 1020-1023/1024", CONTENT[-4:]),
    ]
    assert {part.get_content_type() for part in parts} == {"image/png"}


async def test_file_boundary_is_another_for_every_response(path, disk):
    first = await get(FileResponse(path), range="bytes=0-1,5-6")
    second = await get(FileResponse(path), range="bytes=0-1,5-6")
    assert first.headers["content-type"] != second.headers["content-type"]


async def test_file_range_that_cannot_be_satisfied_is_a_416(path, disk):
    response = await get(FileResponse(path), range="bytes=1024-")
    assert response.status_code == 416
    assert response.headers["content-range"] == "bytes */1024"
    assert response.json()["status"] == 416
    assert "read" not in disk.calls


async def test_file_with_thousands_of_ranges_is_sent_whole(path, disk):
    ranges = ",".join(f"{at}-{at}" for at in range(0, 1000, 2))
    response = await get(FileResponse(path), range=f"bytes={ranges}")
    assert (response.status_code, response.content) == (200, CONTENT)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", [{"if_none_match": ETAG}, {"if_modified_since": DATE}])
async def test_file_that_the_client_has_is_a_304(path, disk, method, condition):
    file = FileResponse(path, filename="a", headers={"x-a": "1"})
    response = await get(file, method, **condition)
    assert (response.status_code, response.content) == (304, b"")
    assert dict(response.headers) == {"x-a": "1", "etag": ETAG, "last-modified": DATE}
    assert "read" not in disk.calls


async def test_file_that_is_another_than_expected_is_a_412(path, disk):
    response = await get(FileResponse(path), if_match='"other"')
    assert response.status_code == 412
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("if_range", "expected"), [(ETAG, 206), ('"old"', 200), (DATE, 206)])
async def test_file_range_of_a_certain_version(path, disk, if_range, expected):
    response = await get(FileResponse(path), range="bytes=0-0", if_range=if_range)
    assert response.status_code == expected


async def test_file_conditions_in_repeated_header_fields_are_one_list(path, disk):
    async with client_of(FileResponse(path)) as client:
        fields = [("if-none-match", '"other"'), ("if-none-match", ETAG)]
        response = await client.get("/", headers=fields)
    assert response.status_code == 304


# Files that cannot be sent


async def raises_before_the_head(response: FileResponse, error: type[Exception]) -> None:
    told = Told()
    response.background = BackgroundTask(told)
    with pytest.raises(error):
        await response(scope(), never, nothing)
    assert response.head_sent is False
    assert told.completed == [False]


async def test_file_that_is_missing_is_an_error_before_the_head(tmp_path):
    await raises_before_the_head(FileResponse(tmp_path / "none"), FileNotFoundError)


async def test_file_that_is_a_directory_is_an_error_before_the_head(tmp_path, disk):
    await raises_before_the_head(FileResponse(tmp_path), IsADirectoryError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
async def test_file_that_is_a_fifo_is_an_error_and_hangs_nobody(tmp_path, disk):
    os.mkfifo(tmp_path / "fifo")
    await raises_before_the_head(FileResponse(tmp_path / "fifo"), OSError)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs devices")
async def test_file_that_is_a_device_is_an_error():
    await raises_before_the_head(FileResponse("/dev/zero"), OSError)


async def test_file_that_cannot_be_read_is_an_error_before_the_head(path, disk, monkeypatch):
    def failing(*_: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", failing)
    await raises_before_the_head(FileResponse(path), OSError)


async def test_file_that_shrinks_truncates_the_response(path, disk):
    response = FileResponse(path, chunk_bytes=100)
    async with (
        client_of(response, raise_server_exceptions=False, pipe_bytes=1) as client,
        client.open("GET", "/") as exchange,
    ):
        await exchange.wait_blocked()
        os.truncate(path, 250)
        with pytest.raises(httpx2.RemoteProtocolError):
            await exchange.response.aread()
    assert exchange.response.headers["content-length"] == "1024"
    assert exchange.bytes_sent == 250
    assert not exchange.is_complete
    assert response.head_sent is True


async def test_file_that_shrinks_raises_and_never_ends_the_body(path, disk):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        os.truncate(path, 100)

    with pytest.raises(EOFError, match=re.escape("cut short to 100 bytes")):
        await FileResponse(path, chunk_bytes=100)(scope(), never, send)
    assert all(message["more_body"] for message in sent[1:])


async def test_file_that_grows_is_sent_to_its_first_length(path, disk):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        with path.open("ab") as file:
            file.write(b"more")

    await FileResponse(path, chunk_bytes=100)(scope(), never, send)
    assert b"".join(message.get("body", b"") for message in sent) == CONTENT


async def test_file_that_is_replaced_is_sent_as_it_was(path, disk, tmp_path):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        (tmp_path / "new").write_bytes(b"new")
        (tmp_path / "new").replace(path)

    await FileResponse(path, chunk_bytes=100)(scope(), never, send)
    assert b"".join(message.get("body", b"") for message in sent) == CONTENT


# Every way out


async def test_file_is_closed_when_the_client_leaves(path, disk):
    told = Told(disk)
    response = FileResponse(path, chunk_bytes=10, background=BackgroundTask(told))
    async with (
        client_of(response, pipe_bytes=1) as client,
        client.open("GET", "/") as exchange,
    ):
        await exchange.wait_blocked()
        exchange.disconnect()
    assert told.completed == [False]


async def test_file_is_closed_when_the_client_stops_reading(path, disk):
    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    with pytest.raises(SendTimeout):
        await FileResponse(path, chunk_bytes=10, send_timeout=0.05)(scope(), never, send)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_file_is_closed_when_send_raises(path, disk, fails_at):
    sends = 0

    async def send(message: Any) -> None:
        nonlocal sends
        sends += 1
        if sends == fails_at:
            raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        await FileResponse(path, chunk_bytes=10)(scope(), never, send)


async def test_file_is_closed_when_sending_is_cancelled(path, disk):
    response = FileResponse(path, chunk_bytes=10)
    blocked = anyio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            blocked.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(response, scope(), never, send)
        await blocked.wait()
        group.cancel_scope.cancel()


async def test_file_is_closed_when_it_is_cancelled_before_it_is_open(path, disk):
    with anyio.CancelScope() as cancel_scope:
        cancel_scope.cancel()
        await FileResponse(path)(scope(), never, nothing)
    assert cancel_scope.cancelled_caught


async def test_file_is_closed_when_its_task_is_cancelled_while_it_is_opened(path):
    """A cancellation of asyncio's own does not wait for the thread that opens the file."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pytest.skip("asyncio's own cancellation")
    entered, go_on = threading.Event(), threading.Event()
    opened: list[int] = []

    def opener(name: str) -> int:
        entered.set()
        assert go_on.wait(10)
        opened.append(os.open(name, os.O_RDONLY))
        return opened[0]

    task = asyncio.ensure_future(FileResponse(path, opener=opener)(scope(), never, nothing))
    await anyio.to_thread.run_sync(entered.wait, 10)
    task.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


@pytest.mark.parametrize("headers", [[], [(b"if-none-match", b"*")], [(b"range", b"bytes=9999-")]])
async def test_file_background_work_is_told_of_success(path, disk, headers):
    told = Told()

    async def send(message: Any) -> None:
        assert not told.completed

    await FileResponse(path, background=BackgroundTask(told))(scope(headers=headers), never, send)
    assert told.completed == [True]


# Sent by the server


async def test_file_is_sent_by_path_where_the_server_can(path, disk):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    response = FileResponse(os.path.relpath(path))
    await response(scope(extensions={PATHSEND: {}}), never, send)
    start, pathsend = sent
    assert start["status"] == 200
    assert (b"content-length", b"1024") in start["headers"]
    assert pathsend["type"] == PATHSEND
    assert os.path.isabs(pathsend["path"])
    assert os.path.samefile(pathsend["path"], path)
    assert response.head_sent
    assert "read" not in disk.calls


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [("GET", {}, 200), ("GET", {"range": "bytes=0-9"}, 206), ("HEAD", {}, 200)],
)
async def test_file_is_complete_with_a_server_that_sends_paths(
    path, disk, method, headers, expected
):
    app = FileResponse(path)
    async with client_of(app, extensions={PATHSEND: {}}) as client:
        response = await client.request(method, "/", headers=headers)
    assert response.status_code == expected
    assert int(response.headers["content-length"]) == (10 if expected == 206 else 1024)


async def test_file_sent_by_path_to_a_client_that_left(path, disk):
    async def send(message: Any) -> None:
        raise OSError("gone")

    told = Told(disk)
    response = FileResponse(path, background=BackgroundTask(told))
    await response(scope(extensions={PATHSEND: {}}), never, send)
    assert told.completed == [False]
