"""What a message must be: a model of any kind made into one check, once, at registration."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, Protocol, TypeAlias, is_typeddict, runtime_checkable

from asgi_rt.errors import RouteError
from asgi_rt.websocket.dataclass_check import UncheckableError, dataclass_check
from asgi_rt.websocket.envelope import MAX_QUOTE, FieldError, Refusal, cut, field_errors, quote

__all__ = ["Check", "make_check"]

Check: TypeAlias = Callable[[dict[str, Any]], Any]
"""Makes of a message what its handler gets, or raises Refusal."""


@runtime_checkable
class _Model(Protocol):
    """A pydantic model, without importing pydantic."""

    model_config: Any
    model_fields: Any

    def model_validate(self, obj: Any, /) -> Any: ...


@runtime_checkable
class _Adapter(Protocol):
    """A pydantic TypeAdapter."""

    def validate_python(self, obj: Any, /) -> Any: ...


def make_check(model: Any, name: str, key: str) -> Check:
    """A check for the messages called `name`, whose type stands under `key`.

    `model` is a dataclass, a pydantic model or TypeAdapter, or a function of the message that
    raises ValueError or TypeError for one that is not valid. Raises RouteError for anything else.
    """
    envelope = (key, "id")
    if isinstance(model, _Model):
        hidden = _unknown_to(model, envelope)
        return _calling(_without(hidden, model.model_validate), ValueError, name)
    if isinstance(model, _Adapter):
        return _calling(model.validate_python, ValueError, name)
    if inspect.isclass(model) and is_dataclass(model):
        return _dataclass_check(model, envelope, name)
    _check_callable(model, name)
    return _calling(model, (ValueError, TypeError), name)


def _calling(
    validate: Callable[[dict[str, Any]], Any],
    expected: type[Exception] | tuple[type[Exception], ...],
    name: str,
) -> Check:
    def check(message: dict[str, Any]) -> Any:
        try:
            return validate(message)
        except expected as error:
            raise _refusal(name, field_errors(error)) from None

    return check


def _dataclass_check(model: type, envelope: tuple[str, ...], name: str) -> Check:
    try:
        read = dataclass_check(model, besides=envelope)
    except UncheckableError as error:
        raise RouteError(
            f"the message {quote(name)}: {error}; give a pydantic model, or a function that checks"
        ) from None

    def check(message: dict[str, Any]) -> Any:
        errors: list[FieldError] = []
        made = read(message, errors)
        if errors:
            raise _refusal(name, errors)
        return made

    return check


def _refusal(name: str, errors: list[FieldError]) -> Refusal:
    first = errors[0]
    place = cut(".".join(str(part) for part in first.loc), MAX_QUOTE)
    at = f" at {place}" if place else ""
    detail = f"the message {quote(name)} is not valid{at}: {cut(first.msg)}"
    return Refusal("invalid", detail, tuple(errors))


def _unknown_to(model: _Model, envelope: tuple[str, ...]) -> tuple[str, ...]:
    """What of the envelope a pydantic model would refuse as extra."""
    if model.model_config.get("extra") != "forbid":
        return ()
    known = set(model.model_fields)
    for field in model.model_fields.values():
        known.update(_aliases(field))
    return tuple(name for name in envelope if name not in known)


def _aliases(field: Any) -> Iterator[Any]:
    yield field.alias
    alias = field.validation_alias
    for choice in getattr(alias, "choices", [alias]):  # of an AliasChoices
        yield getattr(choice, "path", [choice])[0]  # of an AliasPath


def _without(
    names: tuple[str, ...], validate: Callable[[dict[str, Any]], Any]
) -> Callable[[dict[str, Any]], Any]:
    if not names:
        return validate
    return lambda message: validate(
        {name: value for name, value in message.items() if name not in names}
    )


def _check_callable(model: Any, name: str) -> None:
    where = f"the message {quote(name)}"
    if not callable(model):
        raise RouteError(
            f"{where}: a model is a dataclass, a pydantic model or a function, not {model!r}"
        )
    if is_typeddict(model):
        raise RouteError(
            f"{where}: the TypedDict {model.__name__} checks nothing when it is called;"
            " give a dataclass, or pydantic's TypeAdapter of it"
        )
    if inspect.iscoroutinefunction(model) or inspect.iscoroutinefunction(type(model).__call__):
        raise RouteError(f"{where}: a model that is awaited cannot be; check it in the handler")
    try:
        found = inspect.signature(model)
    except (TypeError, ValueError):  # a builtin that tells nothing about itself
        return
    try:
        found.bind({})
    except TypeError:
        shown = getattr(model, "__name__", repr(model))
        raise RouteError(
            f"{where}: the model {shown}{found} must take one argument, the message"
        ) from None
