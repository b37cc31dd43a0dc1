"""Security schemes as they stand in a document (OpenAPI 3.1.0, section 4.8.27)."""

from enum import Enum
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict, Field


class Example(TypedDict, total=False):
    """One of the `openapi_examples` of a parameter or a body."""

    summary: str | None
    description: str | None
    value: Any
    externalValue: str | None


class APIKeyIn(Enum):
    query = "query"
    header = "header"
    cookie = "cookie"


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class SecurityBase(_Open):
    type_: str = Field(alias="type")
    description: str | None = None


class APIKey(SecurityBase):
    type_: str = Field("apiKey", alias="type")
    in_: APIKeyIn = Field(alias="in")
    name: str


class HTTPBase(SecurityBase):
    type_: str = Field("http", alias="type")
    scheme: str


class HTTPBearer(HTTPBase):
    scheme: str = "bearer"
    bearerFormat: str | None = None


class OAuthFlow(_Open):
    refreshUrl: str | None = None
    scopes: dict[str, str] = {}


class OAuthFlowImplicit(OAuthFlow):
    authorizationUrl: str


class OAuthFlowPassword(OAuthFlow):
    tokenUrl: str


class OAuthFlowClientCredentials(OAuthFlow):
    tokenUrl: str


class OAuthFlowAuthorizationCode(OAuthFlow):
    authorizationUrl: str
    tokenUrl: str


class OAuthFlows(_Open):
    implicit: OAuthFlowImplicit | None = None
    password: OAuthFlowPassword | None = None
    clientCredentials: OAuthFlowClientCredentials | None = None
    authorizationCode: OAuthFlowAuthorizationCode | None = None


class OAuth2(SecurityBase):
    type_: str = Field("oauth2", alias="type")
    flows: OAuthFlows


class OpenIdConnect(SecurityBase):
    type_: str = Field("openIdConnect", alias="type")
    openIdConnectUrl: str
