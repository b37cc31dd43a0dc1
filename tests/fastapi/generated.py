"""Signatures, models and requests as Hypothesis makes them: for either side the same ones."""

import datetime
import enum
import json
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from tests.fastapi.asked import Ask, ask

__all__ = [
    "FIELD_TYPES",
    "Parameter",
    "endpoint_of",
    "jsons",
    "models",
    "requests_for",
    "returned",
    "signatures",
]


class Colour(str, enum.Enum):  # noqa: UP042 - as programs have it
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function, as it is written."""

    name: str
    kind: str  # path, query, header, cookie, body or form
    annotation: Any
    required: bool
    default: Any
    options: tuple[tuple[str, Any], ...]
    style: str  # annotated or default

    @property
    def sent_as(self) -> str:
        alias = dict(self.options).get("alias")
        if alias is not None:
            return alias
        return self.name.replace("_", "-") if self.kind == "header" else self.name


INT = ("ge", "gt", "le", "lt", "multiple_of")
STR = ("min_length", "max_length", "pattern")
SCALARS: dict[Any, tuple[str, ...]] = {
    int: INT,
    float: INT[:4],
    str: STR,
    bool: (),
    datetime.date: (),
    uuid.UUID: (),
    Colour: (),
    Literal["a", "b"]: (),
    int | None: INT[:4],
    str | None: STR[:2],
    int | str: (),
}
LISTS: dict[Any, tuple[str, ...]] = {
    list[int]: STR[:2],
    list[str]: STR[:2],
    set[int]: (),
    list[int] | None: (),
}
DEFAULTS = {
    int: 7,
    float: 2.5,
    str: "dflt",
    bool: True,
    list[int]: [1],
    list[str]: ["z"],
    set[int]: {3},
}
OPTIONS = {
    "ge": st.integers(-3, 3),
    "gt": st.integers(-3, 3),
    "le": st.integers(0, 9),
    "lt": st.integers(0, 9),
    "multiple_of": st.integers(1, 3),
    "min_length": st.integers(0, 3),
    "max_length": st.integers(1, 5),
    "pattern": st.sampled_from(["^[a-z]*$", r"\d", "^x"]),
}
NAMES = ["a", "b_c", "item_id", "x", "user_agent", "page"]


@st.composite
def parameters(draw: st.DrawFn, name: str, kind: str) -> Parameter:
    types = dict(SCALARS)
    if kind in ("query", "header", "form"):
        types |= LISTS
    annotation = draw(st.sampled_from(list(types)))
    chosen = (
        draw(st.lists(st.sampled_from(types[annotation]), max_size=2, unique=True))
        if types[annotation]
        else []
    )
    options = [(each, draw(OPTIONS[each])) for each in chosen]
    if kind != "path" and draw(st.integers(0, 4)) == 0:
        options.append(("alias", f"other-{name}"))
    required = kind == "path" or draw(st.booleans())
    default = DEFAULTS.get(annotation) if draw(st.booleans()) else None
    style = draw(st.sampled_from(["annotated", "default"]))
    return Parameter(name, kind, annotation, required, default, tuple(options), style)


@st.composite
def signatures(draw: st.DrawFn) -> tuple[Parameter, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    last = draw(st.sampled_from(["body", "form", "query"]))
    kinds = st.sampled_from(["query", "header", "cookie", "path", last])
    return tuple(draw(parameters(name, draw(kinds))) for name in names)


def endpoint_of(api: Any, wanted: tuple[Parameter, ...]) -> tuple[str, Any]:
    """The path and the function: written out, so that it is an ordinary one."""
    space: dict[str, Any] = {}
    written = []
    for number, each in enumerate(wanted):
        marker = getattr(api, each.kind.capitalize())
        options = dict(each.options)
        if each.style == "annotated":
            space[f"T{number}"] = Annotated[each.annotation, marker(**options)]
            space[f"D{number}"] = each.default
            end = "" if each.required else f" = D{number}"
        else:
            space[f"T{number}"] = each.annotation
            space[f"D{number}"] = (
                marker(**options) if each.required else marker(each.default, **options)
            )
            end = f" = D{number}"
        written.append(f"{each.name}: T{number}{end}")
    told = ", ".join(f"'{each.name}': repr({each.name})" for each in wanted)
    exec(f"async def endpoint(*, {', '.join(written)}):\n    return {{{told}}}\n", space)
    path = "".join(f"/{{{each.name}}}" for each in wanted if each.kind == "path")
    return f"/e{path}", space["endpoint"]


TEXTS = st.sampled_from(
    [
        "5",
        "-1",
        "0",
        "x",
        "",
        "true",
        "off",
        "1.5",
        "red",
        "a",
        "2020-01-01",
        str(uuid.UUID(int=3)),
        "abcdef",
        " 7 ",
        "ä",
        "null",
        "[1]",
        "1e3",
    ],
) | st.text("abx019-. ", max_size=6)


@st.composite
def requests_for(draw: st.DrawFn, wanted: tuple[Parameter, ...]) -> Ask:
    def sent(kind: str, most: int = 2) -> list[tuple[str, str]]:
        pairs = []
        for each in wanted:
            if each.kind == kind:
                values = draw(st.lists(TEXTS, max_size=most))
                pairs += [(each.sent_as, value) for value in values]
        return pairs

    segments = [draw(TEXTS) or "-" for each in wanted if each.kind == "path"]
    url = "/e" + "".join(f"/{quote(each, safe='')}" for each in segments)
    query = "&".join(f"{name}={quote(value)}" for name, value in sent("query"))
    headers = [(name, value.encode("utf-8").decode("latin-1")) for name, value in sent("header")]
    cookies = (
        "; ".join(f"{name}={value}" for name, value in sent("cookie")).encode().decode("latin-1")
    )
    if cookies:
        headers.append(("cookie", cookies))
    rest: dict[str, Any] = {}
    bodies = [each for each in wanted if each.kind == "body"]
    if bodies:
        rest = {"content": draw(_contents(bodies)), "content_type": "application/json"}
    elif form := sent("form"):
        rest = {"data": form}
    return ask("POST", f"{url}?{query}" if query else url, headers=headers, **rest)


@st.composite
def _contents(draw: st.DrawFn, bodies: list[Parameter]) -> str:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(["", "{", "[]", "null", "5"]) | jsons().map(json.dumps))
    value = {each.sent_as: draw(jsons()) for each in bodies if draw(st.integers(0, 3))}
    return json.dumps(value)


def jsons(leaves: int = 4) -> st.SearchStrategy[Any]:
    """JSON values, of which many are what a field wants."""
    plain = (
        st.none()
        | st.booleans()
        | st.integers(-5, 300)
        | st.sampled_from([1.5, 2.0, 2**70])
        | TEXTS
    )
    return st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
        ),
        max_leaves=leaves,
    )


class Inner(BaseModel):
    a: int
    b: str = "b"


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int = 0


FIELD_TYPES: list[Any] = [
    int,
    float,
    str,
    bool,
    int | None,
    list[int],
    dict[str, int],
    Inner,
    list[Inner],
    Inner | None,
    Closed,
    Inner | Closed,
    int | str,
    Literal["a", 5],
    Colour,
    datetime.date,
    datetime.datetime,
    uuid.UUID,
    tuple[int, str],
    set[str],
    Any,
    bytes,
    datetime.timedelta,
    Annotated[int, Field(ge=0, lt=100)],
    Annotated[str, Field(max_length=3)],
    Annotated[list[int], Field(min_length=1)],
    Annotated[str, Field(pattern="^a")],
]


@st.composite
def models(draw: st.DrawFn) -> tuple[type[BaseModel], Any]:
    """A model, and a JSON value for it that may be right."""
    names = draw(
        st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=4, unique=True)
    )
    fields: dict[str, Any] = {}
    sent: dict[str, Any] = {}
    for name in names:
        alias = f"{name}Alias" if draw(st.integers(0, 4)) == 0 else None
        default = ... if draw(st.booleans()) else None
        fields[name] = (draw(st.sampled_from(FIELD_TYPES)), Field(default, alias=alias))
        if draw(st.integers(0, 4)):
            sent[alias or name] = draw(jsons())
    extra = draw(st.sampled_from(["ignore", "forbid", "allow"]))
    if draw(st.integers(0, 3)) == 0:
        sent["more"] = draw(jsons())
    model = create_model("Made", __config__=ConfigDict(extra=extra), **fields)
    return model, sent if draw(st.integers(0, 7)) else draw(jsons())


def returned() -> st.SearchStrategy[Any]:
    """What functions return. Floats are such that they are spelt without an exponent."""
    floats = st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda value: "e" not in repr(value)
    )
    plain = st.none() | st.booleans() | st.integers() | floats | st.text(max_size=8)
    others = (
        st.dates()
        | st.datetimes()
        | st.integers(0, 10**6).map(lambda seconds: datetime.timedelta(seconds=seconds))
        | st.uuids()
        | st.sampled_from([Colour.RED, b"bytes", Inner(a=1)])
        | st.decimals(-100, 100, places=2)
    )
    keys = st.text(max_size=4) | st.integers(-9, 9)
    return st.recursive(
        plain | others,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(keys, inner, max_size=4)
            | st.tuples(inner, inner)
        ),
        max_leaves=8,
    )
