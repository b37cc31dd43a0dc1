"""WebSockets: what is said on them, what their functions get, and how they end."""

import json
from typing import Annotated, Any

from pydantic import BaseModel

from tests.fastapi.asked import get, leave, say, script, talk, wait
from tests.fastapi.differential import differential


@differential(
    talk("/text", say("a"), wait(), say("\u00e4"), wait(), say("end")),
    talk("/text", say("a"), wait(), leave(1000)),
    talk("/text", leave(1001, "going")),
    talk("/text", leave(4000, None)),
    talk("/bytes", say(b"\x00\xff"), wait(), say(b"end")),
    talk("/json", say('{"a": [1]}'), wait(), say('"end"')),
    talk("/json-bytes", say(b'{"a":1}'), wait(), say(b'"end"')),
    talk("/iter-text", say("a"), say("b"), leave()),
    talk("/iter-bytes", say(b"a"), leave()),
    talk("/iter-json", say("[1]"), say("2"), leave()),
    talk("/close"),
    talk("/close-code"),
    talk("/close-at-once"),
    talk("/close-at-once-with-code"),
    talk("/sub", subprotocols=["a", "b"]),
    talk("/accept-headers"),
    talk("/states", say("a")),
    talk("/raw", say("a"), say(b"b")),
    talk("/after-close"),
    talk("/not-accepted"),
    talk("/twice"),
    talk("/missing"),
    talk("/deny", denies=True),
    talk("/deny"),
    talk("/deny-json", denies=True),
    talk("/send-odd-json"),
    talk("/caught", leave(1001, "bye")),
    talk("/bad-json", say("{")),
    talk("/bad-mode", say("{}")),
    talk("/http"),
    get("/close"),
)
def test_conversations(api):
    app = api.FastAPI()
    Disconnect = api.WebSocketDisconnect

    @app.websocket("/text")
    async def text(websocket: api.WebSocket):
        await websocket.accept()
        try:
            while (said := await websocket.receive_text()) != "end":
                await websocket.send_text(f"you said {said}")
            await websocket.close(1000, "the end")
        except Disconnect:
            pass

    @app.websocket("/bytes")
    async def of_bytes(websocket: api.WebSocket):
        await websocket.accept()
        while (said := await websocket.receive_bytes()) != b"end":
            await websocket.send_bytes(said[::-1])
        await websocket.close()

    @app.websocket("/json")
    async def of_json(websocket: api.WebSocket):
        await websocket.accept()
        while (said := await websocket.receive_json()) != "end":
            await websocket.send_json({"said": said, "\u00e4": None})
        await websocket.close()

    @app.websocket("/json-bytes")
    async def json_bytes(websocket: api.WebSocket):
        await websocket.accept()
        while (said := await websocket.receive_json(mode="binary")) != "end":
            await websocket.send_json({"said": said}, mode="binary")
        await websocket.close()

    seen: list[Any] = []

    @app.websocket("/iter-text")
    async def iter_text(websocket: api.WebSocket):
        await websocket.accept()
        seen.extend([each async for each in websocket.iter_text()])

    @app.websocket("/iter-bytes")
    async def iter_bytes(websocket: api.WebSocket):
        await websocket.accept()
        seen.extend([each async for each in websocket.iter_bytes()])

    @app.websocket("/iter-json")
    async def iter_json(websocket: api.WebSocket):
        await websocket.accept()
        seen.extend([each async for each in websocket.iter_json()])

    @app.websocket("/close")
    async def close(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.close()

    @app.websocket("/close-code")
    async def close_code(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.close(code=4001, reason="why \u00e4")

    @app.websocket("/close-at-once")
    async def close_at_once(websocket: api.WebSocket):
        await websocket.close()

    @app.websocket("/close-at-once-with-code")
    async def close_at_once_with_code(websocket: api.WebSocket):
        await websocket.close(code=1008, reason="no")

    @app.websocket("/sub")
    async def sub(websocket: api.WebSocket):
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][1])
        await websocket.close()

    @app.websocket("/accept-headers")
    async def accept_headers(websocket: api.WebSocket):
        await websocket.accept(headers=[(b"x-a", b"1"), (b"X-B", b"2")])
        await websocket.close()

    @app.websocket("/states")
    async def states(websocket: api.WebSocket):
        def both():
            return [websocket.client_state.name, websocket.application_state.name]

        found = [both()]
        await websocket.accept()
        found.append(both())
        await websocket.receive_text()
        await websocket.send_json(found)
        await websocket.close()

    @app.websocket("/raw")
    async def raw(websocket: api.WebSocket):
        assert (await websocket.receive())["type"] == "websocket.connect"
        await websocket.send({"type": "websocket.accept"})
        first = await websocket.receive()
        second = await websocket.receive()
        await websocket.send(
            {"type": "websocket.send", "text": f"{first.get('text')} {second.get('bytes')}"}
        )
        await websocket.send({"type": "websocket.close", "code": 3000, "reason": "r"})

    @app.websocket("/after-close")
    async def after_close(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.close()
        try:
            await websocket.send_text("late")
        except RuntimeError as error:
            seen.append(str(error))

    @app.websocket("/not-accepted")
    async def not_accepted(websocket: api.WebSocket):
        try:
            await websocket.send_text("early")
        except RuntimeError as error:
            seen.append(str(error))
        try:
            await websocket.receive_text()
        except RuntimeError as error:
            seen.append(str(error))
        await websocket.accept()
        await websocket.send_text(str(len(seen)))
        await websocket.close()

    @app.websocket("/twice")
    async def twice(websocket: api.WebSocket):
        await websocket.accept()
        try:
            await websocket.accept()
        except RuntimeError:
            await websocket.send_text("refused")
        await websocket.close()

    @app.websocket("/deny")
    async def deny(websocket: api.WebSocket):
        try:
            await websocket.send_denial_response(
                api.responses.PlainTextResponse("no", status_code=403, headers={"x-a": "b"})
            )
        except RuntimeError as error:
            await websocket.close(reason=type(error).__name__)

    @app.websocket("/deny-json")
    async def deny_json(websocket: api.WebSocket):
        await websocket.send_denial_response(api.responses.JSONResponse({"no": 1}, status_code=401))

    @app.websocket("/send-odd-json")
    async def odd_json(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.send_json([1.5, None, "\u00e4", {"a": True}])
        await websocket.close()

    @app.websocket("/caught")
    async def caught(websocket: api.WebSocket):
        await websocket.accept()
        try:
            await websocket.receive_text()
        except Disconnect as error:
            if (error.code, error.reason) != (1001, "bye"):
                raise

    @app.websocket("/bad-json")
    async def bad_json(websocket: api.WebSocket):
        await websocket.accept()
        try:
            await websocket.receive_json()
        except json.JSONDecodeError as error:
            await websocket.send_text(str(error))
        await websocket.close()

    @app.websocket("/bad-mode")
    async def bad_mode(websocket: api.WebSocket):
        await websocket.accept()
        for call in (websocket.receive_json(mode="odd"), websocket.send_json(1, mode="odd")):
            try:
                await call
            except RuntimeError as error:
                await websocket.send_text(str(error))
        await websocket.close()

    @app.get("/http")
    async def http():
        return 1

    return app


class Item(BaseModel):
    a: int


@differential(
    talk("/items/5?q=1"),
    talk("/items/x?q=1"),
    talk("/items/5"),
    talk("/items/5?q=x"),
    talk("/header", headers={"x-token": "t"}),
    talk("/header"),
    talk("/cookie", headers={"cookie": "s=1"}),
    talk("/dep?token=a"),
    talk("/dep?token=b"),
    talk("/dep"),
    talk("/connection?a=1"),
    talk("/router/7"),
    talk("/overridden"),
    talk("/exception"),
    talk("/after-accept"),
    talk("/model?a=5"),
    talk("/model?a=x"),
    talk("/converter/5"),
    talk("/converter/x"),
    talk("/own-error"),
    talk("/named-param"),
    talk("/security"),
    talk("/security", headers={"authorization": "Bearer x"}),
    script(talk("/yields"), get("/log")),
    script(talk("/yields-fail"), get("/log")),
    talk("/late-exception", say("a")),
    talk("/listed"),
    talk("/http-exception", denies=True),
    talk("/missing", denies=True),
    talk("/items/x", denies=True),
)
def test_what_their_functions_get(api):
    app = api.FastAPI()
    log = []

    async def end(websocket, value):
        await websocket.accept()
        await websocket.send_text(repr(value))
        await websocket.close()

    @app.websocket("/items/{number}")
    async def items(websocket: api.WebSocket, number: int, q: int):
        await end(websocket, [number, q])

    @app.websocket("/header")
    async def header(websocket: api.WebSocket, x_token: Annotated[str, api.Header()]):
        await end(websocket, x_token)

    @app.websocket("/cookie")
    async def cookie(websocket: api.WebSocket, s: Annotated[int, api.Cookie()]):
        await end(websocket, s)

    async def token(websocket: api.WebSocket, token: str | None = None):
        if token == "b":
            raise api.WebSocketException(code=api.status.WS_1008_POLICY_VIOLATION, reason="not b")
        return [token, websocket.url.path]

    @app.websocket("/dep")
    async def dep(websocket: api.WebSocket, token: Annotated[Any, api.Depends(token)]):
        await end(websocket, token)

    async def connection(connection: api.requests.HTTPConnection, a: int):
        return [type(connection).__name__, a, connection.headers["host"]]

    @app.websocket("/connection")
    async def of_connection(
        websocket: api.WebSocket, value: Annotated[Any, api.Depends(connection)]
    ):
        await end(websocket, value)

    router = api.APIRouter(prefix="/router")

    @router.websocket("/{number}")
    async def of_router(websocket: api.WebSocket, number: int):
        await end(websocket, number)

    def original():
        return "original"

    @app.websocket("/overridden")
    async def overridden(websocket: api.WebSocket, value: Annotated[str, api.Depends(original)]):
        await end(websocket, value)

    app.dependency_overrides[original] = lambda: "overridden"

    @app.websocket("/exception")
    async def exception(websocket: api.WebSocket):
        raise api.WebSocketException(code=4000, reason="at once")

    @app.websocket("/http-exception")
    async def http_exception(websocket: api.WebSocket):
        raise api.HTTPException(403, "no", headers={"x-a": "b"})

    @app.websocket("/after-accept")
    async def after_accept(websocket: api.WebSocket):
        await websocket.accept()
        raise api.WebSocketException(4001)

    @app.websocket("/late-exception")
    async def late(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.receive_text()
        raise api.WebSocketException(code=1007, reason="late \u00e4")

    @app.websocket("/model")
    async def model(websocket: api.WebSocket, item: Annotated[Item, api.Query()]):
        await end(websocket, item)

    @app.websocket("/converter/{number:int}")
    async def converter(websocket: api.WebSocket, number: int):
        await end(websocket, number)

    class Own(Exception):
        pass

    @app.exception_handler(Own)
    async def own(websocket: api.WebSocket, error):
        await websocket.close(4100, type(error).__name__)

    @app.websocket("/own-error")
    async def own_error(websocket: api.WebSocket):
        await websocket.accept()
        raise Own

    @app.websocket("/named-param")
    async def named(*, a: int = 5, ws: api.WebSocket):
        await end(ws, a)

    bearer = api.security.OAuth2PasswordBearer("t", auto_error=False)

    async def on_connection(connection: api.requests.HTTPConnection):
        return await bearer(connection)

    @app.websocket("/security")
    async def security(websocket: api.WebSocket, token: Annotated[Any, api.Depends(on_connection)]):
        await end(websocket, token)

    async def yields():
        log.append("+")
        try:
            yield "y"
        except Exception as error:
            log.append(type(error).__name__)
            raise
        finally:
            log.append("-")

    @app.websocket("/yields")
    async def with_yield(websocket: api.WebSocket, value: Annotated[str, api.Depends(yields)]):
        log.append("endpoint")
        await end(websocket, value)

    @app.websocket("/yields-fail")
    async def yields_fail(websocket: api.WebSocket, value: Annotated[str, api.Depends(yields)]):
        await websocket.accept()
        raise api.WebSocketException(4002, "x")

    async def refuses():
        raise api.WebSocketException(4003)

    @app.websocket("/listed", dependencies=[api.Depends(refuses)])
    async def listed(websocket: api.WebSocket):
        await end(websocket, "never")

    @app.get("/log")
    async def get_log():
        return log

    app.include_router(router)
    return app


@differential(talk("/"), talk("/items/x"), talk("/plain"), talk("/api-route"), talk("/class"))
def test_handlers_and_other_ways(api):
    app = api.FastAPI()

    @app.exception_handler(api.exceptions.WebSocketRequestValidationError)
    async def invalid(websocket, error):
        await websocket.close(4422, f"{len(error.errors())} {error.errors()[0]['type']}")

    @app.exception_handler(api.WebSocketException)
    async def closed(websocket, error):
        await websocket.close(4423, f"{error.code} {error.reason}")

    @app.websocket("/")
    async def endpoint(websocket: api.WebSocket):
        raise api.WebSocketException(4000, "r")

    @app.websocket("/items/{number}")
    async def items(websocket: api.WebSocket, number: int):
        pass

    async def plain(websocket):
        await websocket.accept()
        await websocket.send_text("plain")
        await websocket.close()

    app.router.add_websocket_route("/plain", plain)
    app.router.add_api_websocket_route("/api-route", plain_with_type(api))
    return app


def plain_with_type(api):
    async def endpoint(socket: api.WebSocket):
        await socket.accept()
        await socket.send_json(
            [
                socket.query_params.get("a"),
                socket.cookies,
                socket.client.host,
                str(socket.url),
                str(socket.base_url),
                socket.path_params,
            ]
        )
        await socket.close()

    return endpoint
