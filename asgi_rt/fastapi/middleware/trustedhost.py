"""Serving only the hosts that the app is for."""

from collections.abc import Collection

from asgi_rt.asgi import ASGIApp
from asgi_rt.errors import HTTPError
from asgi_rt.fastapi.responses import PlainTextResponse
from asgi_rt.http.response import Response
from asgi_rt.middleware.connection import Connection
from asgi_rt.middleware.trusted_host import TrustedHostMiddleware as PlainTrustedHostMiddleware

__all__ = ["TrustedHostMiddleware"]


class TrustedHostMiddleware(PlainTrustedHostMiddleware):
    """Answers 400 for hosts that are not listed, and for what is no host; None lists every host."""

    def __init__(
        self, app: ASGIApp, allowed_hosts: Collection[str] | None = None, www_redirect: bool = True
    ) -> None:
        hosts = ("*",) if allowed_hosts is None else allowed_hosts
        super().__init__(app, allowed_hosts=hosts, www_redirect=www_redirect)

    def before(self, connection: Connection) -> Response | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - a refusal too
        try:
            return super().before(connection)
        except HTTPError:
            return PlainTextResponse("Invalid host header", 400)
