"""The schemes of the Authorization header: Basic (RFC 7617), Bearer (6750) and Digest (7616)."""

from base64 import b64decode
from typing import Any, ClassVar, Unpack

from pydantic import BaseModel

from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.fastapi.openapi import models
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.fastapi.security.base import SchemeOptions, SecurityBase
from asgi_rt.fastapi.security.utils import get_authorization_scheme_param

__all__ = [
    "HTTPAuthorizationCredentials",
    "HTTPBase",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "HTTPDigest",
]


class HTTPBasicCredentials(BaseModel):
    """A name and a password, as the client sent them."""

    username: str
    password: str


class HTTPAuthorizationCredentials(BaseModel):
    """The two halves of an Authorization header."""

    scheme: str
    credentials: str


class HTTPBase(SecurityBase):
    """Any scheme of the Authorization header; it gives both halves of it."""

    model: Any
    only: ClassVar[str | None] = None
    """The one scheme that is taken, in lower case."""

    def __init__(self, *, scheme: str, **options: Unpack[SchemeOptions]) -> None:
        self._describe(models.HTTPBase, {"scheme": scheme}, **options)

    def make_authenticate_headers(self) -> dict[str, str]:
        """The challenge that goes with a 401; for subclasses to vary."""
        return {"WWW-Authenticate": self.model.scheme.title()}

    def make_not_authenticated_error(self) -> HTTPException:
        return HTTPException(401, "Not authenticated", self.make_authenticate_headers())

    async def __call__(self, request: HTTPConnection) -> Any:
        scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
        if not scheme or not credentials or (self.only and scheme.lower() != self.only):
            return self._refuse()
        return HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials)


class HTTPBasic(HTTPBase):
    """A name and a password. What cannot be decoded is refused, without `auto_error` too."""

    def __init__(self, *, realm: str | None = None, **options: Unpack[SchemeOptions]) -> None:
        super().__init__(scheme="basic", **options)
        self.realm = realm

    def make_authenticate_headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'Basic realm="{self.realm}"' if self.realm else "Basic"}

    async def __call__(self, request: HTTPConnection) -> Any:
        scheme, encoded = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() != "basic":
            return self._refuse()
        try:
            username, colon, password = b64decode(encoded).decode("ascii").partition(":")
        except ValueError as error:
            raise self.make_not_authenticated_error() from error
        if not colon:
            raise self.make_not_authenticated_error()
        return HTTPBasicCredentials(username=username, password=password)


class HTTPBearer(HTTPBase):
    """A bearer token."""

    only = "bearer"

    def __init__(
        self, *, bearerFormat: str | None = None, **options: Unpack[SchemeOptions]
    ) -> None:
        self._describe(models.HTTPBearer, {"bearerFormat": bearerFormat}, **options)


class HTTPDigest(HTTPBase):
    """Digest, only taken from the header: whether the answer is right is for the app to check."""

    only = "digest"

    def __init__(self, **options: Unpack[SchemeOptions]) -> None:
        super().__init__(scheme="digest", **options)
