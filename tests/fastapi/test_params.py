"""Declarations of parameters, as objects."""

import pytest
from pydantic.fields import FieldInfo

from asgi_rt.fastapi import exceptions, param_functions, params
from asgi_rt.fastapi.params import Undefined

DECLARATIONS = ["Path", "Query", "Header", "Cookie", "Body", "Form", "File"]


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_declaration_is_a_pydantic_field(name):
    declared = getattr(param_functions, name)(title="a title", gt=1, max_length=3)
    assert isinstance(declared, FieldInfo)
    assert isinstance(declared, getattr(params, name))
    assert (declared.title, declared.default) == ("a title", Undefined)
    assert len(declared.metadata) == 2


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_keyword_that_is_unknown_is_refused(name):
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'colour'"):
        getattr(params, name)(colour="red")


@pytest.mark.parametrize("name", DECLARATIONS)
def test_none_for_a_keyword_is_the_same_as_nothing(name):
    keywords = dict.fromkeys(params.Keywords.__annotations__)
    declared, bare = getattr(params, name)(**keywords), getattr(params, name)()
    for attribute in ("alias", "validation_alias", "default", "metadata", "include_in_schema"):
        assert getattr(declared, attribute) == getattr(bare, attribute)


def test_an_alias_is_the_name_for_input_and_output():
    declared = params.Query(alias="outside")
    assert (declared.validation_alias, declared.serialization_alias) == ("outside", "outside")


def test_an_alias_of_one_direction_keeps_its_own():
    declared = params.Query(alias="outside", validation_alias="in", serialization_alias="out")
    assert (declared.validation_alias, declared.serialization_alias) == ("in", "out")


def test_a_path_parameter_has_no_default():
    with pytest.raises(AssertionError, match="Path parameters cannot have a default value"):
        params.Path(3)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [({"regex": "^a$"}, "`regex`.*`pattern`"), ({"example": 3}, "`example`.*`examples`")],
)
def test_what_is_superseded_warns(keywords, message):
    with pytest.warns(exceptions.FastAPIDeprecationWarning, match=message):
        params.Query(**keywords)


@pytest.mark.filterwarnings("ignore::asgi_rt.fastapi.exceptions.FastAPIDeprecationWarning")
def test_a_regex_is_a_pattern():
    (from_regex,), (from_pattern,) = (
        params.Query(regex="^a$").metadata,
        params.Query(pattern="^a$").metadata,
    )
    assert from_regex.pattern == from_pattern.pattern == "^a$"


@pytest.mark.parametrize(
    ("declared", "media_type"),
    [
        (params.Body(), "application/json"),
        (params.Form(), "application/x-www-form-urlencoded"),
        (params.File(), "multipart/form-data"),
        (params.Form(media_type="multipart/form-data"), "multipart/form-data"),
    ],
)
def test_the_media_type_of_a_body(declared, media_type):
    assert declared.media_type == media_type


def test_dependencies_that_say_the_same_are_equal():
    assert params.Depends(int, scope="request") == params.Depends(int, scope="request")
    assert params.Security(int, scopes=("a",)) != params.Security(int, scopes=("b",))
