"""Any value as what JSON can hold, and as JSON."""

import dataclasses
import datetime
import ipaddress
import json
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import attrgetter, methodcaller
from pathlib import PurePath
from re import Pattern
from types import GeneratorType
from typing import Any, Final
from uuid import UUID

from pydantic import AnyUrl, BaseModel, NameEmail, SecretBytes, SecretStr
from pydantic_core import PydanticUndefinedType, Url

from asgi_rt.codec import dump_with

__all__ = ["ENCODERS_BY_TYPE", "encode_item", "encode_json", "jsonable_encoder"]

_LISTS: Final = (list, set, frozenset, GeneratorType, tuple, deque)


def _number(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)


ENCODERS_BY_TYPE: dict[type[Any], Callable[[Any], Any]] = {
    bytes: bytes.decode,
    datetime.date: methodcaller("isoformat"),
    datetime.time: methodcaller("isoformat"),
    datetime.timedelta: datetime.timedelta.total_seconds,
    Decimal: _number,
    Pattern: attrgetter("pattern"),
    **dict.fromkeys((ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network), str),
    **dict.fromkeys((ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network), str),
    **dict.fromkeys((UUID, Url, AnyUrl, NameEmail, SecretBytes, SecretStr), str),
}
"""What stands for a value of a type, or of a subclass; an app may add types of its own."""


def jsonable_encoder(
    obj: Any,
    include: Any = None,
    exclude: Any = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    custom_encoder: dict[Any, Callable[[Any], Any]] | None = None,
    sqlalchemy_safe: bool = True,
) -> Any:
    """`obj` as dicts, lists, str, numbers, bool and None.

    The options of pydantic hold for models and, as far as they can, for mappings and objects.
    `custom_encoder` goes by type and before everything else; `sqlalchemy_safe` leaves out what
    SQLAlchemy keeps in its objects. Raises ValueError for what cannot be taken apart.
    """
    inner: Any = obj  # its type stays as wide as it is
    of_models: dict[str, Any] = {
        "by_alias": by_alias,
        "exclude_unset": exclude_unset,
        "exclude_defaults": exclude_defaults,
        "exclude_none": exclude_none,
    }
    shared: dict[str, Any] = of_models | {
        "custom_encoder": custom_encoder,
        "sqlalchemy_safe": sqlalchemy_safe,
    }
    include, exclude = _keys(include), _keys(exclude)
    chosen = {"include": include, "exclude": exclude}
    if custom_encoder and (encode := _encoder(obj, custom_encoder)):
        return encode(obj)
    if isinstance(obj, BaseModel):
        dumped = obj.model_dump(mode="json", **chosen, **of_models)
        return jsonable_encoder(dumped, exclude_none=exclude_none, sqlalchemy_safe=sqlalchemy_safe)
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return jsonable_encoder(dataclasses.asdict(obj), **chosen, **shared)
    if isinstance(obj, Enum):
        return obj.value
    if isinstance(obj, PurePath):
        return str(obj)
    if obj is None or isinstance(obj, str | int | float):
        return obj
    if isinstance(obj, PydanticUndefinedType):
        return None
    if isinstance(obj, dict):
        return {
            jsonable_encoder(key, **shared): jsonable_encoder(value, **shared)
            for key, value in inner.items()
            if not (sqlalchemy_safe and isinstance(key, str) and key.startswith("_sa"))
            and not (exclude_none and value is None)
            and (include is None or key in include)
            and (exclude is None or key not in exclude)
        }
    if isinstance(obj, _LISTS):
        return [jsonable_encoder(item, **chosen, **shared) for item in inner]
    if encode := _encoder(obj, ENCODERS_BY_TYPE):
        return encode(obj)
    return jsonable_encoder(_attributes(obj), **chosen, **shared)


def _keys(chosen: Any) -> Any:
    keys: Any = chosen
    return keys if keys is None or isinstance(chosen, set | dict) else set(keys)


def _encoder(value: Any, encoders: dict[Any, Callable[[Any], Any]]) -> Callable[[Any], Any] | None:
    if found := encoders.get(type(value)):
        return found
    return next((encode for kind, encode in encoders.items() if isinstance(value, kind)), None)


def _attributes(value: Any) -> Any:
    errors: list[Exception] = []
    ways: Any = (dict, vars)
    for take_apart in ways:
        try:
            return take_apart(value)
        except Exception as error:
            errors.append(error)
    raise ValueError(errors) from errors[-1]


def _stand_in(value: Any) -> Any:
    """What a serializer takes for a value that it does not know."""
    if isinstance(value, GeneratorType):  # it can be read only once, and this may be in vain
        raise TypeError("a generator is not JSON")
    return jsonable_encoder(value)


# Compact, as responses are, and with spaces and in ASCII, as the items of streams are.
_dump_compact: Final = partial(
    json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)


def _finite_encoder() -> Callable[[Any], str]:
    # JSONEncoder makes one for each value, which takes longer than a small value itself.
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(allow_nan=False, default=_stand_in).encode
    quote = json.encoder.encode_basestring_ascii
    encode = make(None, _stand_in, quote, None, ": ", ", ", False, False, False)
    return lambda value: "".join(encode(value, 0))


_dump_finite: Final = _finite_encoder()


def encode_json(value: Any) -> bytes:
    """`jsonable_encoder(value)` as compact UTF-8 JSON.

    Raises ValueError for a float that is not finite, and for what `jsonable_encoder` refuses.
    Exponents are written as orjson writes them.
    """
    try:
        encoded = dump_with(value, _stand_in)
    except TypeError:
        encoded = b""
    if not encoded or encoded.find(b'"_sa') >= 0:
        return _dump_compact(jsonable_encoder(value)).encode()
    if encoded.find(b"null") >= 0:  # which orjson writes for a float that is not finite
        _dump_finite(value)
    return encoded


def encode_item(value: Any) -> bytes:
    """`jsonable_encoder(value)` as one line of ASCII: an item of a stream that has no type.

    A float that is not finite becomes null. Raises ValueError for what `jsonable_encoder` refuses.
    """
    try:
        text = _dump_finite(value)
        if '"_sa' not in text:
            return text.encode()
    except (TypeError, ValueError):
        pass
    text = json.dumps(jsonable_encoder(value))
    return json.dumps(json.loads(text, parse_constant=lambda name: None)).encode()
