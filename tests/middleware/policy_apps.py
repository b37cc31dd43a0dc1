"""One small app in three frameworks, to be put behind layers; and each of them behind four."""

import os
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

import asgi_rt
from asgi_rt.middleware.cors import CORSMiddleware
from asgi_rt.middleware.https_redirect import HTTPSRedirectMiddleware
from asgi_rt.middleware.security_headers import SecurityHeadersMiddleware
from asgi_rt.middleware.trusted_host import TrustedHostMiddleware

__all__ = ["APPS", "PAGE_ORIGIN", "behind_all", "starlette_app"]

PAGE_ORIGIN = "https://app.example.com"
METHODS = ["GET", "POST", "PUT"]


def asgi_rt_app() -> asgi_rt.App:
    app = asgi_rt.App()

    @app.route("/", methods=METHODS)
    async def index(request: asgi_rt.Request) -> Any:
        return "served"

    @app.get("/stream")
    async def stream(request: asgi_rt.Request) -> Any:
        yield b"one"
        yield b"two"

    @app.get("/nonce")
    async def nonce(request: asgi_rt.Request) -> Any:
        return request.state["csp_nonce"]

    @app.websocket("/ws", origins=None)
    async def echo(ws: asgi_rt.WebSocket) -> None:
        await ws.accept()
        await ws.send_text(await ws.receive_text())

    return app


async def _index(request: Any) -> PlainTextResponse:
    return PlainTextResponse("served")


async def _stream(request: Any) -> StreamingResponse:
    return StreamingResponse(iter([b"one", b"two"]))


async def _nonce(request: Any) -> PlainTextResponse:
    return PlainTextResponse(request.state.csp_nonce)


async def _echo(websocket: Any) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def starlette_app(framework: type[Starlette] = Starlette) -> Starlette:
    return framework(
        routes=[
            Route("/", _index, methods=METHODS),
            Route("/stream", _stream),
            Route("/nonce", _nonce),
            WebSocketRoute("/ws", _echo),
        ]
    )


def fastapi_app() -> Starlette:
    return starlette_app(FastAPI)


APPS = {"asgi_rt": asgi_rt_app, "starlette": starlette_app, "fastapi": fastapi_app}


def behind_all() -> Any:
    """The app that POLICY_APP names, with each layer as `add_middleware` takes it."""
    app: Any = APPS[os.environ["POLICY_APP"]]()
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[PAGE_ORIGIN],
        allow_methods=["GET", "PUT"],
        allow_headers=["X-Token"],
        allow_credentials=True,
    )
    app.add_middleware(HTTPSRedirectMiddleware)
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=["example.com", "www.example.net", "127.0.0.1"]
    )
    app.add_middleware(
        SecurityHeadersMiddleware, content_security_policy="script-src 'nonce-{nonce}'"
    )
    return app
