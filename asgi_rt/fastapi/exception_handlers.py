"""What errors become, unless the app says otherwise."""

from typing import Any

from asgi_rt.codec import dump_json
from asgi_rt.fastapi.encoders import jsonable_encoder
from asgi_rt.fastapi.exceptions import StarletteHTTPException, ValidationException
from asgi_rt.fastapi.responses import JSONResponse, Response
from asgi_rt.fastapi.websockets import WebSocket
from asgi_rt.http.response import has_body


async def http_exception_handler(request: Any, exc: StarletteHTTPException) -> Response:
    """The status, with the detail as JSON where the status allows a body."""
    if not has_body(exc.status_code):
        return Response(None, exc.status_code, exc.headers)
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)


async def request_validation_exception_handler(
    request: Any, exc: ValidationException
) -> JSONResponse:
    """A 422 with all the errors."""
    return JSONResponse({"detail": jsonable_encoder(exc.errors())}, 422)


async def websocket_request_validation_exception_handler(
    websocket: WebSocket, exc: ValidationException
) -> None:
    """Close it with 1008; the reason is as much of the errors as fits, as JSON."""
    await websocket.close(1008, dump_json(jsonable_encoder(exc.errors())).decode())
