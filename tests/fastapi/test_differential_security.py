"""The classes of security: what they read, what they refuse, and what scopes come to."""

# ruff: noqa: B008 - calls as defaults are what FastAPI programs have

import base64
from typing import Annotated, Any

import pytest

from tests.fastapi.asked import get, post
from tests.fastapi.differential import compare, differential

GIVEN: list[dict[str, Any]] = [
    {},
    {"headers": {"authorization": "Bearer abc"}},
    {"headers": {"authorization": "bearer abc"}},
    {"headers": {"authorization": "Bearer"}},
    {"headers": {"authorization": "Bearer  a b "}},
    {"headers": {"authorization": "Basic " + base64.b64encode(b"user:pass:more").decode()}},
    {"headers": {"authorization": "basic " + base64.b64encode(b"user").decode()}},
    {"headers": {"authorization": "Basic x"}},
    {"headers": {"authorization": "Basic " + base64.b64encode(b"\xff:\xfe").decode()}},
    {"headers": {"authorization": "Basic " + base64.b64encode("\u00e4:b".encode()).decode()}},
    {"headers": {"authorization": "Digest abc"}},
    {"headers": {"authorization": ""}},
    {"headers": {"authorization": "abc"}},
    {"headers": {"x-key": "k"}},
    {"headers": {"x-key": ""}},
    {"cookies": "key=c"},
    {"url": "?key=q"},
    {"url": "?key="},
    {"url": "?key=a&key=b"},
    {"headers": {"authorization": "Basic"}},
    {"headers": {"authorization": "Basic " + base64.b64encode(b":").decode()}},
]

SCHEMES = {
    "bearer": lambda s, **o: s.HTTPBearer(**o),
    "basic": lambda s, **o: s.HTTPBasic(**o),
    "basic of a realm": lambda s, **o: s.HTTPBasic(realm="here", **o),
    "digest": lambda s, **o: s.HTTPDigest(**o),
    "header": lambda s, **o: s.APIKeyHeader(name="x-key", **o),
    "cookie": lambda s, **o: s.APIKeyCookie(name="key", **o),
    "query": lambda s, **o: s.APIKeyQuery(name="key", **o),
    "password": lambda s, **o: s.OAuth2PasswordBearer(tokenUrl="token", **o),
    "code": lambda s, **o: s.OAuth2AuthorizationCodeBearer(authorizationUrl="a", tokenUrl="t", **o),
    "oauth2": lambda s, **o: s.OAuth2(**o),
    "open id": lambda s, **o: s.OpenIdConnect(openIdConnectUrl="o", **o),
}


@pytest.mark.parametrize("auto_error", [True, False], ids=["required", "optional"])
@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes(scheme, given, auto_error):
    def build(api):
        app = api.FastAPI()
        security = SCHEMES[scheme](api.security, auto_error=auto_error)

        @app.get("/")
        async def endpoint(value: Annotated[Any, api.Security(security)]):
            return [type(value).__name__, value]

        return app

    rest = {key: value for key, value in given.items() if key != "url"}
    compare(build, get("/" + given.get("url", ""), **rest))


@differential(
    get("/none"),
    get("/one"),
    get("/many"),
    get("/nested"),
    get("/listed"),
    get("/mixed"),
    get("/router/a"),
    get("/cached"),
    get("/depends"),
)
def test_scopes(api):
    app = api.FastAPI()
    calls = []

    async def scopes(security_scopes: api.security.SecurityScopes):
        calls.append(security_scopes.scopes)
        return [security_scopes.scopes, security_scopes.scope_str]

    async def user(scopes: Annotated[Any, api.Security(scopes, scopes=["user"])]):
        return scopes

    async def admin(
        user: Annotated[Any, api.Security(user, scopes=["admin"])], own: api.security.SecurityScopes
    ):
        return [user, own.scopes]

    @app.get("/none")
    async def none(value: Annotated[Any, api.Depends(scopes)]):
        return value

    @app.get("/one")
    async def one(value: Annotated[Any, api.Security(scopes, scopes=["a"])]):
        return value

    @app.get("/many")
    async def many(value: Any = api.Security(scopes, scopes=["a", "b", "a"])):
        return value

    @app.get("/nested")
    async def nested(value: Annotated[Any, api.Security(admin, scopes=["top"])]):
        return value

    @app.get("/listed", dependencies=[api.Security(scopes, scopes=["listed"])])
    async def listed(value: Annotated[Any, api.Security(user, scopes=["x"])]):
        return [value, calls]

    @app.get("/mixed")
    async def mixed(
        a: Annotated[Any, api.Depends(user)], b: Annotated[Any, api.Security(user, scopes=["b"])]
    ):
        return [a, b]

    @app.get("/cached")
    async def cached(
        a: Annotated[Any, api.Security(scopes, scopes=["a"])],
        b: Annotated[Any, api.Security(scopes, scopes=["a"])],
        c: Annotated[Any, api.Security(scopes, scopes=["c"])],
    ):
        return [a is b, a is c, calls]

    @app.get("/depends")
    async def depends(own: api.security.SecurityScopes):
        return own.scopes

    router = api.APIRouter(prefix="/router", dependencies=[api.Security(scopes, scopes=["router"])])

    @router.get("/a")
    async def of_router():
        return calls

    app.include_router(router, dependencies=[api.Security(scopes, scopes=["include"])])
    return app


@differential(
    post("/token", data={"username": "a", "password": "b"}),
    post(
        "/token",
        data={"username": "a", "password": "b", "grant_type": "password", "scope": "a b c"},
    ),
    post("/token", data={"username": "a", "password": "b", "grant_type": "other"}),
    post("/token", data={}),
    post("/token"),
    post("/token", json={}),
    post("/strict", data={"username": "a", "password": "b"}),
    post(
        "/strict",
        data={
            "username": "a",
            "password": "b",
            "grant_type": "password",
            "client_id": "c",
            "client_secret": "d",
        },
    ),
    post("/strict", data={"grant_type": "x"}),
    post("/token", data={"username": "a", "password": "b", "scope": ""}),
)
def test_the_form_of_a_password(api):
    app = api.FastAPI()

    @app.post("/token")
    async def token(form: Annotated[api.security.OAuth2PasswordRequestForm, api.Depends()]):
        return vars(form)

    @app.post("/strict")
    async def strict(form: api.security.OAuth2PasswordRequestFormStrict = api.Depends()):
        return vars(form)

    return app


@differential(
    get("/", headers={"authorization": "Bearer a"}),
    get("/"),
    get("/both", headers={"authorization": "Bearer a", "x-key": "k"}),
    get("/both"),
    get("/value"),
)
def test_schemes_together(api):
    app = api.FastAPI()
    bearer = api.security.OAuth2PasswordBearer("token", scopes={"a": "about a"}, auto_error=False)
    key = api.security.APIKeyHeader(name="x-key")

    async def user(token: Annotated[str | None, api.Depends(bearer)]):
        if token is None:
            raise api.HTTPException(401, "who are you", {"WWW-Authenticate": "Bearer"})
        return token

    @app.get("/")
    async def endpoint(user: Annotated[str, api.Depends(user)]):
        return user

    @app.get("/both", dependencies=[api.Depends(key)])
    async def both(user: Annotated[str, api.Depends(user)]):
        return user

    @app.get("/value")
    async def value():
        credentials = api.security.HTTPAuthorizationCredentials(scheme="s", credentials="c")
        return [
            credentials,
            api.security.HTTPBasicCredentials(username="u", password="p"),
            bearer.scheme_name,
            bearer.auto_error,
        ]

    return app
