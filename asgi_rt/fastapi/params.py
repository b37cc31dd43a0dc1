"""How a parameter is declared: where its value comes from, and what pydantic is to ask of it."""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final, Literal

from pydantic import AliasChoices, AliasPath, Discriminator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typing_extensions import TypedDict, Unpack

from asgi_rt.fastapi.exceptions import FastAPIDeprecationWarning

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header"]
__all__ += ["Keywords", "Param", "ParamTypes", "Path", "Query", "Security", "Undefined"]

Undefined: Final[Any] = PydanticUndefined
"""No value: not even None."""


class ParamTypes(Enum):
    """Where a parameter stands; the value opens the `loc` of its errors."""

    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


class Keywords(TypedDict, total=False):
    """What every declaration takes by keyword, besides its default."""

    default_factory: Callable[[], Any] | None
    annotation: Any
    alias: str | None
    alias_priority: int | None
    validation_alias: str | AliasPath | AliasChoices | None
    serialization_alias: str | None
    title: str | None
    description: str | None
    gt: float | None
    ge: float | None
    lt: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    pattern: str | re.Pattern[str] | None
    regex: str | None
    discriminator: str | Discriminator | None
    strict: bool | None
    validate_default: bool | None
    union_mode: Literal["smart", "left_to_right"] | None
    fail_fast: bool | None
    multiple_of: float | None
    allow_inf_nan: bool | None
    max_digits: int | None
    decimal_places: int | None
    examples: list[Any] | None
    example: Any
    openapi_examples: dict[str, Any] | None
    deprecated: Any
    include_in_schema: bool
    json_schema_extra: dict[str, Any] | Callable[[dict[str, Any]], None] | None


def _superseded(old: str, new: str) -> None:
    message = f"`{old}` has been deprecated, please use `{new}` instead"
    warnings.warn(message, FastAPIDeprecationWarning, stacklevel=5)


_Base: Any = FieldInfo  # which is final to type checkers, though programs expect its subclasses


class _Declared(_Base):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass] - see above
    """A pydantic field with what OpenAPI needs besides."""

    def __init__(self, default: Any, keywords: Keywords) -> None:
        for name in keywords.keys() - Keywords.__annotations__.keys():
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
        # pydantic takes None for a value; here it is the same as nothing.
        options: dict[str, Any] = {k: v for k, v in keywords.items() if v is not None}
        self.example: Any = keywords.get("example", Undefined)
        self.include_in_schema: bool = options.pop("include_in_schema", True)
        self.openapi_examples: dict[str, Any] | None = options.pop("openapi_examples", None)
        if options.pop("example", None) is not None:
            _superseded("example", "examples")
        if (regex := options.pop("regex", None)) is not None:
            _superseded("regex", "pattern")
            options.setdefault("pattern", regex)
        if "alias" in options:
            options.setdefault("validation_alias", options["alias"])
            options.setdefault("serialization_alias", options["alias"])
        super().__init__(default=default, **options)  # pyright: ignore[reportUnknownMemberType] - see above

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.default})"


class Param(_Declared):
    """A parameter outside of the body: one of the query, unless a subclass says otherwise."""

    in_ = ParamTypes.query

    def __init__(self, default: Any = Undefined, **keywords: Unpack[Keywords]) -> None:
        super().__init__(default, keywords)


class Path(Param):
    """A parameter in the path; it is always required."""

    in_ = ParamTypes.path

    def __init__(self, default: Any = ..., **keywords: Unpack[Keywords]) -> None:
        assert default is ..., "Path parameters cannot have a default value"
        super().__init__(default, **keywords)


class Query(Param):
    """A parameter in the query string."""

    in_ = ParamTypes.query


class Header(Param):
    """A header field; underscores of its name stand for hyphens unless told otherwise."""

    in_ = ParamTypes.header

    def __init__(
        self,
        default: Any = Undefined,
        *,
        convert_underscores: bool = True,
        **keywords: Unpack[Keywords],
    ) -> None:
        self.convert_underscores = convert_underscores
        super().__init__(default, **keywords)


class Cookie(Param):
    """A cookie."""

    in_ = ParamTypes.cookie


class Body(_Declared):
    """The body, or a member of it: with `embed`, of an object that holds it under its name."""

    default_media_type: ClassVar[str] = "application/json"

    def __init__(
        self,
        default: Any = Undefined,
        *,
        embed: bool | None = None,
        media_type: str | None = None,
        **keywords: Unpack[Keywords],
    ) -> None:
        self.embed = embed
        self.media_type = media_type or self.default_media_type
        super().__init__(default, keywords)


class Form(Body):
    """A field of a form."""

    default_media_type = "application/x-www-form-urlencoded"


class File(Form):
    """A file of a multipart form."""

    default_media_type = "multipart/form-data"


@dataclass(frozen=True)
class Depends:
    """A value that another callable gives; None stands for the annotation itself.

    `scope` says when what follows its `yield` runs: "function", before the response is sent, or
    "request", after it. `use_cache` is to call it once in a request.
    """

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    scope: Literal["function", "request"] | None = None


@dataclass(frozen=True)
class Security(Depends):
    """A dependency that needs OAuth2 scopes; `SecurityScopes` tells it and those below it which."""

    scopes: Sequence[str] | None = None
