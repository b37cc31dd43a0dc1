"""The client plays the server as uvicorn does: the same app, the same client, the same notes."""

import importlib.util
import json
import re
import signal
import socket
import struct

import pytest
import websockets.exceptions
from server_process import TIMEOUT, RawClient, ServerProcess
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_rt.testing import ConnectionClosed, TestClient, WebSocketDenied

APP = '''
"""Does what the path says and prints what it sees."""

import json

ACCEPT = {"type": "websocket.accept"}
DENY = {"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-a", b"1")]}


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    what = scope["path"].strip("/")
    seen = []
    if what == "scope":
        seen.append(scope["headers"] and sorted(set(scope) - {"headers"}))
        seen.append([scope["asgi"], scope["scheme"], scope["http_version"], scope["extensions"]])
        seen.append([scope["subprotocols"], scope["path"], scope["query_string"].decode()])
    seen.append(await receive())
    try:
        await act(what, seen, receive, send)
    except Exception as error:
        seen.append("OSError" if isinstance(error, OSError) else type(error).__name__)
        if "raise" in what:
            raise
    finally:
        print("seen", json.dumps([what, seen], default=str), flush=True)


async def act(what, seen, receive, send):
    if what == "deny":
        await send({"type": "websocket.close", "code": 4000, "reason": "secret"})
        seen.append(await receive())
    elif what == "respond":
        await send(DENY)
        await send({"type": "websocket.http.response.body", "body": b"tea", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"pot"})
        seen.append(await receive())
    elif what == "raise-early":
        raise KeyError("early")
    elif what != "return-early":
        await send({**ACCEPT, "headers": [(b"x-b", b"2")]})
        await act_open(what, seen, receive, send)


async def act_open(what, seen, receive, send):
    if what == "raise":
        raise KeyError("late")
    if what == "close":
        await send({"type": "websocket.send", "text": "last"})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        seen.append(await receive())
    if what in {"echo", "lost", "blank", "scope"}:
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message)
            await send({**message, "type": "websocket.send"})
        seen.append(message)
        await send({"type": "websocket.send", "text": "too late"})
'''

HANDSHAKE = """GET /{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noting")
    (folder / "noting_app.py").write_text(APP)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    arguments = ["-m", "uvicorn", "noting_app:app", "--port", "0", "--ws", "websockets-sansio"]
    with ServerProcess(*arguments, cwd=folder) as process:
        assert process.url
        yield process


@pytest.fixture(scope="module")
def app(folder):
    spec = importlib.util.spec_from_file_location("noting_app", folder / "noting_app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def seen_in(text):
    """What the app printed: the pattern takes no path, as each is run once."""
    [found] = re.findall(r"^seen (.*)$", text, re.MULTILINE)
    return json.loads(found)


def talk(path, ws, receive):
    """What the client does at `path`, whichever it is. Returns what it received before the end."""
    saw = []
    if path in {"echo", "scope"}:
        for data in ("text", b"data", ""):
            ws.send(data)
            saw.append(receive())
        ws.close(4002, "bye")
    if path == "close":
        saw.append(receive())
    return saw


def with_uvicorn(server, path):
    host, port = server.address
    url = f"ws://{host}:{port}/{path}?q=1"
    try:
        connecting = connect(url, subprotocols=["a", "b"], proxy=None, compression=None)
    except InvalidStatus as denied:
        response = denied.response
        saw = [response.status_code, bytes(response.body or b""), response.headers.get("x-a")]
    else:
        with connecting as ws:
            saw = [*talk(path, ws, lambda: ws.recv(TIMEOUT)), ws.response.headers["x-b"]]
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                ws.recv(TIMEOUT)
            saw += [ws.close_code, ws.close_reason]
    line = server.wait_for(f'seen ."{path}",')
    return saw, seen_in(line.string)


def with_the_test_client(app, path, capsys):
    client = TestClient(app, lifespan=False, raise_server_exceptions=False)
    with client:
        try:
            with client.websocket_connect(f"/{path}?q=1", subprotocols=["a", "b"]) as ws:
                saw = [*talk(path, ws, ws.receive), ws.headers["x-b"]]
                with pytest.raises(ConnectionClosed):
                    ws.receive()
                saw += [ws.close_code, ws.close_reason]
        except WebSocketDenied as denied:
            response = denied.response
            saw = [response.status_code, response.content, response.headers.get("x-a")]
    return saw, seen_in(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    ["scope", "echo", "close", "return", "raise", "deny", "respond", "raise-early", "return-early"],
)
def test_client_and_app_see_what_they_see_with_uvicorn(server, app, path, capsys):
    client_saw, app_saw = with_uvicorn(server, path)
    ours = with_the_test_client(app, path, capsys)
    if path.endswith("early"):
        client_saw[1] = ours[0][1]  # the text of a server's own error page
    assert ours == (client_saw, app_saw)
    assert app_saw[0] == path


@pytest.mark.slow
@pytest.mark.parametrize("path", ["lost", "blank"])
def test_the_app_sees_a_bare_end_as_with_uvicorn(server, app, path, capsys):
    with RawClient(server.address) as raw:
        raw.socket.sendall(HANDSHAKE.format(path=path).encode())
        raw.read_until(b"\r\n\r\n")
        if path == "blank":
            raw.socket.sendall(b"\x88\x80\0\0\0\0")
            raw.read_rest()
        else:
            at_once = struct.pack("ii", 1, 0)
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    line = server.wait_for(f'seen ."{path}",')
    with TestClient(app, lifespan=False).websocket_connect(f"/{path}") as ws:
        if path == "blank":
            ws.close(None)
        else:
            ws.disconnect()
    assert seen_in(capsys.readouterr().out) == seen_in(line.string)


@pytest.mark.slow
def test_both_see_a_server_go_down_as_with_uvicorn(folder, app, capsys):
    arguments = ["-m", "uvicorn", "noting_app:app", "--port", "0", "--ws", "websockets-sansio"]
    with ServerProcess(*arguments, cwd=folder) as server:
        url = f"ws://{server.address[0]}:{server.address[1]}/echo"
        with connect(url, proxy=None) as real:
            server.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                real.recv(TIMEOUT)
        line = server.wait_for("^seen")
    with TestClient(app, lifespan=False).websocket_connect("/echo") as ws:
        ws.server_close()
        closed = ws.wait_closed()
    assert (closed.code, closed.reason) == (real.close_code, real.close_reason)
    assert seen_in(capsys.readouterr().out) == seen_in(line.string)
