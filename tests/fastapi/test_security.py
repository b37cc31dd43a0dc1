"""What the security schemes are in OpenAPI, and what they read that a request alone cannot show."""

import inspect
from typing import Any

import fastapi.security as real
import pytest

from asgi_rt.fastapi import security
from asgi_rt.fastapi.security.utils import get_authorization_scheme_param

SCHEMES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("HTTPBasic", (), {}),
    ("HTTPBasic", (), {"realm": "r", "description": "d", "scheme_name": "n"}),
    ("HTTPBearer", (), {"bearerFormat": "JWT"}),
    ("HTTPDigest", (), {"auto_error": False}),
    ("APIKeyQuery", (), {"name": "k"}),
    ("APIKeyHeader", (), {"name": "k", "description": "d"}),
    ("APIKeyCookie", (), {"name": "k"}),
    ("OAuth2", (), {}),
    ("OAuth2", (), {"flows": {"password": {"tokenUrl": "t"}}}),
    ("OAuth2PasswordBearer", ("t", "n", {"s": "scope"}, "d", False, "r"), {}),
    ("OAuth2AuthorizationCodeBearer", ("a", "t", "r", "n", {"s": "x"}, "d", True), {}),
    ("OpenIdConnect", (), {"openIdConnectUrl": "u"}),
]


@pytest.mark.parametrize(("name", "args", "options"), SCHEMES, ids=str)
def test_a_scheme_describes_itself_as_in_fastapi(name, args, options):
    ours, theirs = getattr(security, name)(*args, **options), getattr(real, name)(*args, **options)
    dumped = [
        each.model.model_dump_json(by_alias=True, exclude_none=True) for each in (ours, theirs)
    ]
    assert dumped[0] == dumped[1]
    assert (ours.scheme_name, ours.auto_error) == (theirs.scheme_name, theirs.auto_error)


@pytest.mark.parametrize("name", ["OAuth2PasswordRequestForm", "OAuth2PasswordRequestFormStrict"])
def test_the_forms_take_what_fastapis_take(name):
    ours, theirs = getattr(security, name), getattr(real, name)
    parameters = [inspect.signature(each).parameters for each in (ours, theirs)]
    assert list(parameters[0]) == list(parameters[1])
    assert [each.kind for each in parameters[0].values()] == [
        each.kind for each in parameters[1].values()
    ]
    form = ours(grant_type="password", username="u", password="p", scope="a  b")
    assert (form.scopes, form.username, form.client_id) == (["a", "b"], "u", None)


def test_scopes_are_also_one_str():
    assert security.SecurityScopes(["a", "b"]).scope_str == "a b"
    assert security.SecurityScopes().scopes == []


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  a b ", "a"], ids=repr)
def test_the_header_taken_apart(header):
    from fastapi.security.utils import get_authorization_scheme_param as real_param

    assert get_authorization_scheme_param(header) == real_param(header)


def test_all_the_names_are_there():
    public = {name for name, value in vars(real).items() if inspect.isclass(value)}
    assert public <= vars(security).keys()
