"""An app of each framework behind one layer with all the hooks. What they see is printed."""

import os
from typing import Any

from middleware.layered import in_asgi_rt, in_fastapi, in_starlette

from asgi_rt import HTTPError
from asgi_rt.asgi import ASGIApp
from asgi_rt.middleware import Head, Middleware, Outcome, middleware
from asgi_rt.middleware.connection import Connection


class Guard(Middleware):
    """Lets nobody in without the token."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        super().__init__(app)
        self.token = token

    async def before(self, connection: Connection) -> Any:
        if connection.path == "/early":
            return {"websocket": connection.is_websocket}
        if connection.headers.get("token", self.token) != self.token:
            raise HTTPError(401, headers={"www-authenticate": "Token"})
        return None

    def head(self, connection: Connection, head: Head) -> None:
        head.headers["x-guard"] = "1"

    async def done(self, connection: Connection, outcome: Outcome) -> None:
        note(f"guard {told(connection, outcome)}")


@middleware
def stepped(connection: Connection, field: str) -> Any:
    head = yield
    head.headers[field] = "2"
    note(f"stepped {told(connection, (yield))}")


def told(connection: Connection, outcome: Outcome) -> str:
    error = type(outcome.error).__name__ if outcome.error else "-"
    left = "left" if outcome.disconnected else "-"
    return f"{connection.path} {outcome.status} {outcome.bytes_sent} {outcome.code} {left} {error}"


def note(text: str) -> None:
    # In one write, as the log goes into the same pipe.
    os.write(1, f"{text}\n".encode())


asgi_rt, starlette, fastapi = in_asgi_rt(), in_starlette(), in_fastapi()
for app in (asgi_rt, starlette, fastapi):
    app.add_middleware(stepped, field="x-stepped")
    app.add_middleware(Guard, token="secret")
