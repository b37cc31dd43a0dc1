"""OAuth 2 (RFC 6749): bearer tokens, and the form that a token is asked for with."""

from typing import Annotated, Any, Final, Unpack

from asgi_rt.fastapi.dependencies.models import SecurityScopes as SecurityScopes
from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.fastapi.openapi import models
from asgi_rt.fastapi.param_functions import Form
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.fastapi.security.base import SchemeOptions, SecurityBase
from asgi_rt.fastapi.security.utils import get_authorization_scheme_param

_SECRET: Final = {"format": "password"}


class OAuth2PasswordRequestForm:
    """What a client asks for a token with, as form fields; `scopes` are those of `scope`."""

    def __init__(
        self,
        *,
        grant_type: Annotated[str | None, Form(pattern="^password$")] = None,
        username: Annotated[str, Form()],
        password: Annotated[str, Form(json_schema_extra=_SECRET)],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form(json_schema_extra=_SECRET)] = None,
    ) -> None:
        self.grant_type = grant_type
        self.username = username
        self.password = password
        self.scopes = scope.split()
        self.client_id = client_id
        self.client_secret = client_secret


class OAuth2PasswordRequestFormStrict(OAuth2PasswordRequestForm):
    """The same with the `grant_type` that RFC 6749 section 4.3.2 requires."""

    def __init__(
        self,
        grant_type: Annotated[str, Form(pattern="^password$")],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        who = {"client_id": client_id, "client_secret": client_secret, "grant_type": grant_type}
        super().__init__(username=username, password=password, scope=scope, **who)


class OAuth2(SecurityBase):
    """OAuth 2 with any flows. Gives the Authorization header as it is."""

    def __init__(
        self,
        *,
        flows: models.OAuthFlows | dict[str, Any] | None = None,
        **options: Unpack[SchemeOptions],
    ) -> None:
        self._describe(models.OAuth2, {"flows": flows or {}}, **options)

    def make_not_authenticated_error(self) -> HTTPException:
        return HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})

    async def __call__(self, request: HTTPConnection) -> str | None:
        return request.headers.get("authorization") or self._refuse()


class _Bearer(OAuth2):
    async def __call__(self, request: HTTPConnection) -> str | None:
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        return token if scheme.lower() == "bearer" else self._refuse()


class OAuth2PasswordBearer(_Bearer):
    """A bearer token that `tokenUrl` gives for a name and a password. Gives the token."""

    def __init__(
        self,
        tokenUrl: str,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
        refreshUrl: str | None = None,
    ) -> None:
        flow = {"tokenUrl": tokenUrl, "refreshUrl": refreshUrl, "scopes": scopes or {}}
        options = SchemeOptions(
            scheme_name=scheme_name, description=description, auto_error=auto_error
        )
        super().__init__(flows={"password": flow}, **options)


class OAuth2AuthorizationCodeBearer(_Bearer):
    """A bearer token that `tokenUrl` gives for an authorization code. Gives the token."""

    def __init__(
        self,
        authorizationUrl: str,
        tokenUrl: str,
        refreshUrl: str | None = None,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        urls = {"authorizationUrl": authorizationUrl, "tokenUrl": tokenUrl}
        flow = {**urls, "refreshUrl": refreshUrl, "scopes": scopes or {}}
        options = SchemeOptions(
            scheme_name=scheme_name, description=description, auto_error=auto_error
        )
        super().__init__(flows={"authorizationCode": flow}, **options)
