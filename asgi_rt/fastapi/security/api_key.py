"""A key in a query parameter, a header or a cookie."""

from typing import Any, ClassVar, Unpack

from asgi_rt.fastapi.exceptions import StarletteHTTPException
from asgi_rt.fastapi.openapi.models import APIKey, APIKeyIn
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.fastapi.security.base import SchemeOptions, SecurityBase

__all__ = ["APIKeyBase", "APIKeyCookie", "APIKeyHeader", "APIKeyQuery"]


class APIKeyBase(SecurityBase):
    """What the three places of a key have in common."""

    model: Any
    location: ClassVar[APIKeyIn]
    where: ClassVar[str]
    """The attribute of a request that has what is sent in that place."""

    def __init__(self, *, name: str, **options: Unpack[SchemeOptions]) -> None:
        self._describe(APIKey, {"in": self.location, "name": name}, **options)

    def make_not_authenticated_error(self) -> StarletteHTTPException:
        return StarletteHTTPException(401, "Not authenticated", {"WWW-Authenticate": "APIKey"})

    def check_api_key(self, api_key: str | None) -> str | None:
        """The key; for none, or an empty one, the error or None."""
        return api_key or self._refuse()

    async def __call__(self, request: HTTPConnection) -> str | None:
        sent: Any = getattr(request, self.where)
        return self.check_api_key(sent.get(self.model.name))


class APIKeyQuery(APIKeyBase):
    """The key in the query parameter `name`."""

    location = APIKeyIn.query
    where = "query_params"


class APIKeyHeader(APIKeyBase):
    """The key in the header `name`."""

    location = APIKeyIn.header
    where = "headers"


class APIKeyCookie(APIKeyBase):
    """The key in the cookie `name`."""

    location = APIKeyIn.cookie
    where = "cookies"
