"""Path operations: all that was said about one, and the fields that this makes."""

import inspect
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from enum import Enum, IntEnum
from functools import cached_property
from typing import Any, Final, TypedDict, get_args, get_origin

from typing_extensions import Unpack

from asgi_rt.fastapi.datastructures import Default, DefaultPlaceholder
from asgi_rt.fastapi.dependencies.annotations import is_kind_of, typed_return
from asgi_rt.fastapi.dependencies.body import body_field
from asgi_rt.fastapi.dependencies.calls import call_kind
from asgi_rt.fastapi.dependencies.models import ModelField
from asgi_rt.fastapi.dependencies.plan import Plan
from asgi_rt.fastapi.overridable import Overridable
from asgi_rt.fastapi.params import Depends
from asgi_rt.fastapi.responses import JSONResponse
from asgi_rt.fastapi.routes import BaseRoute
from asgi_rt.fastapi.sse import EventSourceResponse, ServerSentEvent
from asgi_rt.fastapi.types import IncEx
from asgi_rt.http.response import Response, has_body

__all__ = ["PathOperation", "RouteOptions", "allows_body", "generate_unique_id"]

_STREAMS: Final = (
    AsyncIterable,
    AsyncIterator,
    AsyncGenerator,
    Iterable,
    Iterator,
    Generator,
)
Tags = list[str | Enum]
Responses = dict[int | str, dict[str, Any]]


class RouteOptions(TypedDict, total=False):
    """What can be said of a path operation besides its path and its methods."""

    response_model: Any
    status_code: int | None
    tags: Tags | None
    dependencies: Sequence[Depends] | None
    summary: str | None
    description: str | None
    response_description: str
    responses: Responses | None
    deprecated: bool | None
    operation_id: str | None
    response_model_include: IncEx | None
    response_model_exclude: IncEx | None
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    include_in_schema: bool
    response_class: Any
    name: str | None
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Any
    strict_content_type: Any


def generate_unique_id(route: BaseRoute) -> str:
    """An id of a path operation: its name, its path, and a method."""
    assert route.methods
    name = re.sub(r"\W", "_", f"{route.name}{route.path_format}")
    return f"{name}_{next(iter(route.methods)).lower()}"


_DEFAULTS: Final[dict[str, Any]] = {
    **dict.fromkeys(RouteOptions.__annotations__),
    "response_model": Default(None),
    "response_description": "Successful Response",
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
    "include_in_schema": True,
    "response_class": Default(JSONResponse),
    "generate_unique_id_function": Default(generate_unique_id),
    "strict_content_type": Default(True),
}
_OF_DUMP: Final = ("include", "exclude", "exclude_unset", "exclude_defaults", "exclude_none")


class PathOperation(Overridable, BaseRoute):
    """A path operation: the options are its attributes, and its fields are made of them, when they
    are first needed.

    Raises AssertionError and FastAPIError for what contradicts itself; `check` raises the rest.
    """

    summary: str | None
    response_description: str
    deprecated: bool | None
    response_class: Any
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Any
    strict_content_type: Any
    response_model_by_alias: bool
    stream_item_type: Any = None
    """What a typed stream yields; None where it is not known."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Iterable[str] | None = None,
        dependency_overrides_provider: Any = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        assert callable(endpoint), "An endpoint must be a callable"
        unknown = options.keys() - _DEFAULTS.keys()
        if unknown:
            raise TypeError(f"a path operation has no option {min(unknown)!r}")
        given: dict[str, Any] = {**_DEFAULTS, **options}
        super().__init__(path, endpoint, given.pop("name"))
        model, status, described = map(given.pop, ("response_model", "status_code", "description"))
        self.__dict__.update(given)
        self.methods = {method.upper() for method in methods or ("GET",)}
        self.dependency_overrides_provider = dependency_overrides_provider
        self.tags: Tags = given["tags"] or []
        self.responses: Responses = given["responses"] or {}
        self.dependencies = list(given["dependencies"] or ())
        self.status_code: int | None = int(status) if isinstance(status, IntEnum) else status
        text: str = described or inspect.cleandoc(endpoint.__doc__ or "")
        self.description = text.split("\f")[0].strip()
        self.operation_id: str | None = given["operation_id"]
        self.kind = call_kind(endpoint)
        """How the handler is called."""
        self.yields = self.kind in ("generator", "async_generator")
        """Whether the handler itself yields."""
        generate = self.generate_unique_id_function
        make = generate.value if isinstance(generate, DefaultPlaceholder) else generate
        self.unique_id: str = self.operation_id or make(self)
        self._find_types(model)

    def _find_types(self, model: Any) -> None:
        """What is returned or yielded, by what was said or else by the annotation."""
        is_default = isinstance(self.response_class, DefaultPlaceholder)
        is_sse = is_kind_of(self.response_class, EventSourceResponse)
        self.is_sse_stream = self.yields and is_sse
        self.is_json_stream = self.yields and is_default
        if isinstance(model, DefaultPlaceholder):
            model = typed_return(self.endpoint)
            item = _item_of(model) if self.yields else None
            if item is not None:
                if (is_default or is_sse) and not is_kind_of(item, ServerSentEvent):
                    self.stream_item_type = item
                model = None
            elif is_kind_of(model, Response):
                model = None
        self.response_model = model
        if model:
            _check_body(self.status_code)

    def make_plan(self, overrides: dict[Any, Any]) -> Plan:
        strict = bool(self.strict_content_type)  # of a placeholder, what it stands for
        return Plan(
            self.dependant, self.body_field, self.embed, overrides, strict_content_type=strict
        )

    @property
    def options(self) -> dict[str, Any]:
        """What was said of it, as it is by now: what another like it is made with."""
        return {name: getattr(self, name) for name in (*RouteOptions.__annotations__, "methods")}

    @cached_property
    def response_options(self) -> dict[str, Any]:
        """How pydantic is to write what is returned: those options that were given."""
        given = {name: getattr(self, f"response_model_{name}") for name in _OF_DUMP}
        given = {name: value for name, value in given.items() if value}
        return {"by_alias": self.response_model_by_alias, **given}

    # Fields

    @cached_property
    def _body(self) -> tuple[ModelField | None, bool]:
        return body_field(self.dependant, self.unique_id)

    @property
    def body_field(self) -> ModelField | None:
        """The whole body, as one field."""
        return self._body[0]

    @property
    def embed(self) -> bool:
        """Whether the body holds its parameters as members."""
        return self._body[1]

    @cached_property
    def response_field(self) -> ModelField | None:
        """What is returned."""
        return self._field("Response", self.response_model)

    @cached_property
    def stream_item_field(self) -> ModelField | None:
        """What is yielded."""
        return self._field("StreamItem", self.stream_item_type)

    @cached_property
    def response_fields(self) -> dict[int | str, ModelField]:
        """What is returned with other statuses."""
        fields: dict[int | str, ModelField] = {}
        for status, response in self.responses.items():
            assert isinstance(response, dict), "An additional response must be a dict"  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            if response.get("model"):
                _check_body(status)
                name = f"Response_{status}_{self.unique_id}"
                fields[status] = ModelField.make(response["model"], None, name, "response")
        return fields

    def _field(self, prefix: str, kind: Any) -> ModelField | None:
        if not kind:
            return None
        return ModelField.make(kind, None, f"{prefix}_{self.unique_id}", "response")

    def check(self) -> None:
        """Make the fields. Raises for what contradicts itself."""
        _ = self.dependant, self._body, self.response_field, self.stream_item_field
        _ = self.response_fields
        if self.path.startswith("/"):
            _ = self.pattern


def _item_of(annotation: Any) -> Any:
    if get_origin(annotation) not in _STREAMS:
        return None
    return (*get_args(annotation), Any)[0]


def allows_body(status: int | str | None) -> bool:
    """Whether a response of that status has content; "default" and "4XX" have."""
    return not str(status).isdecimal() or (has_body(int(status or 0)) and int(status or 0) != 205)


def _check_body(status: int | str | None) -> None:
    assert allows_body(status), f"Status code {status} must not have a response body"
