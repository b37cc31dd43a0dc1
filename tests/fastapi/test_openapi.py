"""The OpenAPI document of an app is FastAPI's, whole, and is one that the standard allows."""

import json
import warnings
from copy import deepcopy
from typing import Annotated, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator
from pydantic import create_model

from asgi_rt.fastapi import APIRouter, FastAPI, Form, Query
from asgi_rt.fastapi.openapi.utils import get_openapi
from tests.fastapi.differential import ADAPTER, REAL, Api
from tests.fastapi.openapi_apps import APPS, LoginForm, Problem

_STREAMS = {"event_streams", "json_lines"}


def document(api: Api, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = APPS[name](api).openapi()
    return json.loads(json.dumps(made))


@pytest.mark.parametrize("name", APPS)
def test_a_document_is_the_one_of_fastapi(name):
    assert document(ADAPTER, name) == document(REAL, name)


@pytest.mark.parametrize("name", sorted(APPS.keys() - _STREAMS))
def test_a_document_is_valid(name):
    OpenAPIV31SpecValidator(document(ADAPTER, name)).validate()


@pytest.mark.parametrize("name", sorted(_STREAMS))
def test_a_document_of_streams_is_valid_as_openapi_3_2_which_has_itemschema(name):
    OpenAPIV32SpecValidator({**document(ADAPTER, name), "openapi": "3.2.0"}).validate()


def test_an_operation_id_that_is_there_twice_is_warned_of():
    app = FastAPI()

    @app.get("/a", operation_id="same")
    def a() -> None: ...

    @app.get("/b", operation_id="same")
    def b() -> None: ...

    with pytest.warns(UserWarning, match="Duplicate Operation ID same for function b at .*py"):
        app.openapi()


def test_a_document_leaves_what_the_app_was_given_as_it_was():
    responses = {404: {"model": Problem, "content": {"text/plain": {}}}}
    extra = {"responses": {"404": {"x-more": 1}, "422": {"x-more": 1}}, "tags": ["extra"]}
    given = deepcopy((responses, extra))
    app, again = FastAPI(), FastAPI()
    for each in (app, again):

        @each.get("/{x}", responses=responses, openapi_extra=extra, tags=["own"])
        def read(x: int) -> Problem: ...

    assert app.openapi() == again.openapi()
    assert (responses, extra) == given


def test_a_document_is_made_of_any_routes():
    app, hooks = FastAPI(), FastAPI()

    @app.get("/a")
    def a() -> None: ...

    @hooks.post("b")
    def b() -> None: ...

    made = get_openapi(
        title="mine",
        version="7",
        openapi_version="3.1.1",
        routes=app.routes,
        webhooks=hooks.routes,
        description="",
    )
    assert made["openapi"] == "3.1.1"
    assert made["info"] == {"title": "mine", "version": "7"}
    assert list(made["paths"]) == ["/a"]
    assert list(made["webhooks"]) == ["b"]


# Where a document is not FastAPI's


def test_what_only_a_callback_refers_to_is_there():
    """FastAPI's document refers to a component that it does not have."""
    app, calls = FastAPI(), APIRouter()

    @calls.post("{$request.body#/url}")
    def called(body: Problem) -> None: ...

    @app.post("/", callbacks=calls.routes)
    def call() -> None: ...

    assert "HTTPValidationError" in app.openapi()["components"]["schemas"]
    OpenAPIV31SpecValidator(app.openapi()).validate()


def test_a_form_that_is_an_optional_model_is_the_model_or_nothing():
    """FastAPI says by conditions on the fields that all of them may be missing."""
    app = FastAPI()

    @app.post("/")
    def log_in(form: Annotated[LoginForm | None, Form()] = None) -> None: ...

    [media] = app.openapi()["paths"]["/"]["post"]["requestBody"]["content"].values()
    assert media["schema"]["anyOf"] == [
        {"$ref": "#/components/schemas/LoginForm"},
        {"type": "null"},
    ]


def test_there_may_be_very_many_models_of_parameters():
    """FastAPI raises KeyError for more than it keeps the fields of."""
    app = FastAPI()
    for number in range(200):
        model = create_model(f"Model{number}", **{f"field_{number}": (int, 1)})

        @app.get(f"/{number}", operation_id=str(number))
        def read(query: Annotated[model, Query()]) -> None: ...

    [parameter] = app.openapi()["paths"]["/7"]["get"]["parameters"]
    assert parameter["name"] == "field_7"
