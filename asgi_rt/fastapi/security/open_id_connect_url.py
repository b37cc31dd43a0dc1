"""OpenID Connect, as far as OpenAPI needs it."""

from typing import Unpack

from asgi_rt.fastapi.openapi import models
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.fastapi.security.base import SchemeOptions, SecurityBase

__all__ = ["OpenIdConnect"]


class OpenIdConnect(SecurityBase):
    """Gives the Authorization header as it is; what it means is for a subclass to find out."""

    def __init__(self, *, openIdConnectUrl: str, **options: Unpack[SchemeOptions]) -> None:
        self._describe(models.OpenIdConnect, {"openIdConnectUrl": openIdConnectUrl}, **options)

    async def __call__(self, request: HTTPConnection) -> str | None:
        return request.headers.get("authorization") or self._refuse()
