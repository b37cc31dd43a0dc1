"""FastAPI's face over this package: `from asgi_rt.fastapi import FastAPI` in place of `fastapi`.

The modules are called as FastAPI's are. Needs the extra: pip install "asgi-rt[fastapi]".
"""

from importlib import import_module

from asgi_rt.errors import MissingExtra

try:
    import_module("pydantic")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "pydantic":
        raise
    raise MissingExtra("pydantic", "fastapi", "asgi_rt.fastapi") from error

from asgi_rt.fastapi import status
from asgi_rt.fastapi.alias import alias
from asgi_rt.fastapi.applications import FastAPI
from asgi_rt.fastapi.background import BackgroundTasks
from asgi_rt.fastapi.datastructures import UploadFile
from asgi_rt.fastapi.exceptions import HTTPException, WebSocketException
from asgi_rt.fastapi.param_functions import (
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Path,
    Query,
    Security,
)
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import Response
from asgi_rt.fastapi.routing import APIRouter
from asgi_rt.fastapi.websockets import WebSocket, WebSocketDisconnect

__all__ = [
    "APIRouter",
    "BackgroundTasks",
    "Body",
    "Cookie",
    "Depends",
    "FastAPI",
    "File",
    "Form",
    "HTTPException",
    "Header",
    "Path",
    "Query",
    "Request",
    "Response",
    "Security",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "alias",
    "status",
]
