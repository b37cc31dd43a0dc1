"""What errors become, unless the app says otherwise."""

import json
from typing import Any, Final

from asgi_rt.codec import dump_json
from asgi_rt.fastapi.encoders import jsonable_encoder
from asgi_rt.fastapi.exceptions import StarletteHTTPException, ValidationException
from asgi_rt.fastapi.responses import JSONResponse, Response
from asgi_rt.fastapi.websockets import WebSocket
from asgi_rt.http.response import has_body

_SAYABLE: Final = ("type", "loc", "msg")


async def http_exception_handler(request: Any, exc: StarletteHTTPException) -> Response:
    """The status, with the detail as JSON where the status allows a body."""
    if not has_body(exc.status_code):
        return Response(None, exc.status_code, exc.headers)
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)


async def request_validation_exception_handler(request: Any, exc: ValidationException) -> Response:
    """A 422 with all the errors, and with what was sent, as far as JSON can say it."""
    errors = exc.errors()
    try:
        return JSONResponse({"detail": jsonable_encoder(errors)}, 422)
    except (ValueError, RecursionError):
        # NaN, lone surrogates, bytes that are no text, and what is nested too deep: a client that
        # sends those is told what is wrong too, and does not crash anything.
        told = [{name: each[name] for name in _SAYABLE} | {"input": None} for each in errors]
        return Response(json.dumps({"detail": told}), 422, media_type="application/json")


async def websocket_request_validation_exception_handler(
    websocket: WebSocket, exc: ValidationException
) -> None:
    """Close it with 1008; the reason is as much of the errors as fits, as JSON."""
    await websocket.close(1008, dump_json(jsonable_encoder(exc.errors())).decode())
