"""Signatures: what is made of the parameters of a function, and which are refused."""

# ruff: noqa: B008 - so parameters are declared

from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated

import pytest
from pydantic import BaseModel

from asgi_rt.fastapi.dependencies.body import body_field
from asgi_rt.fastapi.dependencies.calls import call_kind
from asgi_rt.fastapi.dependencies.models import SecurityScopes
from asgi_rt.fastapi.dependencies.signature import flat_dependant, flat_params, get_dependant
from asgi_rt.fastapi.exceptions import DependencyScopeError, FastAPIError
from asgi_rt.fastapi.param_functions import Body, Depends, File, Form, Header, Path, Query, Security
from asgi_rt.fastapi.requests import Request
from asgi_rt.http.request import Request as PlainRequest

if TYPE_CHECKING:
    from asgi_rt.asgi import Scope as Unknown


class Item(BaseModel):
    name: str


class Filter(BaseModel):
    first: int = 0
    last_name: str = ""


def names(fields):
    return [field.name for field in fields]


def test_each_parameter_finds_its_place():
    def endpoint(
        key: int, item: Item, limit: int = 3, agent: str = Header(), session=Query(), *, r: Request
    ): ...

    found = get_dependant(path="/{key}", call=endpoint)
    places = (found.path_params, found.query_params, found.header_params, found.body_params)
    assert [names(each) for each in places] == [["key"], ["limit", "session"], ["agent"], ["item"]]
    assert found.special == {"r": "request"}


def test_a_converter_is_no_part_of_the_name_in_the_path():
    def endpoint(rest: str): ...

    assert names(get_dependant(path="/{rest:path}", call=endpoint).path_params) == ["rest"]


def test_the_request_of_the_framework_itself_is_one_too():
    def endpoint(request: PlainRequest): ...

    assert get_dependant(path="/", call=endpoint).special == {"request": "request"}


def test_a_name_that_only_type_checkers_know_does_not_matter_where_it_is_returned():
    def endpoint(limit: "int") -> "Unknown": ...

    (limit,) = get_dependant(path="/", call=endpoint).query_params
    assert limit.annotation is int


def test_a_type_that_cannot_be_validated_is_refused():
    class Opaque: ...

    def endpoint(value: Opaque): ...

    with pytest.raises(FastAPIError, match="Opaque"):
        get_dependant(path="/", call=endpoint)


def test_a_dependency_does_not_outlive_what_it_depends_on():
    def short():
        yield 1

    async def long(value=Depends(short, scope="function")):
        yield value

    with pytest.raises(DependencyScopeError, match='The dependency "long"'):
        get_dependant(path="/", call=lambda value=Depends(long): value)


def test_the_scopes_of_all_above_come_first():
    def user(scopes: SecurityScopes): ...
    def active(value=Security(user, scopes=["read", "write"])): ...
    def endpoint(value=Security(active, scopes=["admin", "read"])): ...

    *_, last = flat_dependant(get_dependant(path="/", call=endpoint))
    assert last.call is user
    assert last.oauth_scopes == ["admin", "read", "write"]


def test_a_dependency_that_has_no_use_for_scopes_is_shared_among_them():
    def plain(): ...
    def endpoint(a=Security(plain), b=Depends(plain), c=Security(plain, scopes=["x"])): ...

    assert len(flat_dependant(get_dependant(path="/", call=endpoint))) == 3


def test_the_members_of_a_parameter_model_are_the_parameters():
    def endpoint(wanted: Annotated[Filter, Query()], other: int = 0): ...

    flat = flat_params(get_dependant(path="/", call=endpoint))
    assert names(flat) == ["first", "last_name", "other"]
    assert {field.kind for field in flat} == {"query"}


def test_a_model_may_stand_for_the_parameters_of_a_path():
    def endpoint(wanted: Annotated[Filter, Path()]): ...

    (flat, _) = flat_params(get_dependant(path="/{first}", call=endpoint))
    assert (flat.name, flat.kind) == ("first", "path")


@pytest.mark.parametrize(
    ("endpoint", "kind", "embeds"),
    [
        (lambda item=Body(): item, "body", False),
        (lambda item=Body(embed=True): item, "body", True),
        (lambda item=Body(), other=Body(): item, "body", True),
        (lambda item=Form(): item, "form", True),
        (lambda item=Form(), other=File(): item, "file", True),
    ],
)
def test_what_the_whole_body_is(endpoint, kind, embeds):
    field, embed = body_field(get_dependant(path="/", call=endpoint), "it")
    assert field is not None
    assert (field.kind, embed) == (kind, embeds)


def test_where_nothing_reads_a_body_there_is_none():
    assert body_field(get_dependant(path="/", call=lambda q=1: q), "it") == (None, False)


def test_a_body_of_a_dependency_counts():
    def dep(second: int = Body()): ...
    def endpoint(first: int = Body(), value=Depends(dep)): ...

    field, embed = body_field(get_dependant(path="/", call=endpoint), "it")
    assert field is not None
    assert embed
    assert list(field.annotation.model_fields) == ["first", "second"]


# How a callable is called


class Instance:
    def __init__(self): ...
    async def __call__(self): ...


class Yielding:
    def __call__(self):
        yield


async def coroutine(): ...


async def yields_later():
    yield


def yields():
    yield


def decorated(function):
    @wraps(function)
    def inner():
        return function()

    return inner


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (len, "thread"),
        (Instance, "thread"),
        (Instance(), "coroutine"),
        (Yielding, "thread"),
        (Yielding(), "generator"),
        (partial(Yielding()), "generator"),
        (coroutine, "coroutine"),
        (partial(partial(coroutine)), "coroutine"),
        (decorated(coroutine), "coroutine"),
        (yields, "generator"),
        (decorated(yields), "generator"),
        (yields_later, "async_generator"),
        (partial(yields_later), "async_generator"),
    ],
)
def test_how_it_is_called(call, kind):
    assert call_kind(call) == kind
