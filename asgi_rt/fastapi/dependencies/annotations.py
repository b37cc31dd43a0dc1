"""What annotations say: where a parameter stands, and how its values are gathered."""

import inspect
import types
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from asgi_rt.fastapi.datastructures import UploadFile

__all__ = ["is_kind_of", "is_of", "is_scalar", "is_scalar_sequence", "is_sequence", "model_of"]
__all__ += ["sequence_type", "typed_return", "typed_signature"]

_SEQUENCES: Final = (Sequence, list, tuple, set, frozenset, deque)


def is_kind_of(annotation: Any, kinds: type | tuple[type, ...]) -> bool:
    """Whether the annotation is one of those classes, or derives from one."""
    # A generic alias is a class to `isclass`, but not to `issubclass`.
    is_class = get_origin(annotation) is None and inspect.isclass(annotation)
    return is_class and issubclass(annotation, kinds)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _members(annotation: Any) -> tuple[Any, ...]:
    """What a union joins; of anything else, itself."""
    return get_args(annotation) if _is_union(annotation) else (annotation,)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model, where the annotation is one, or one or None."""
    members = [each for each in _members(annotation) if each is not type(None)]
    is_model = len(members) == 1 and is_kind_of(members[0], BaseModel)
    return members[0] if is_model else None


def _is_one_sequence(annotation: Any) -> bool:
    return is_kind_of(annotation, _SEQUENCES) and not is_kind_of(annotation, (str, bytes))


def is_sequence(annotation: Any) -> bool:
    """Whether it takes several values, as a member of a union does at least."""
    members = map(_bare, _members(_bare(annotation)))
    return any(_is_one_sequence(get_origin(each) or each) for each in members)


def sequence_type(annotation: Any) -> Callable[[list[Any]], Any]:
    """What gathers the values of a sequence."""
    first = next(each for each in _members(_bare(annotation)) if each is not type(None))
    origin: Any = get_origin(first) or first
    return list if origin is Sequence else origin


def is_scalar(annotation: Any) -> bool:
    """Whether one text can hold it."""
    annotation = _bare(annotation)
    if _is_union(annotation):
        return all(map(is_scalar, get_args(annotation)))
    origin = get_origin(annotation)
    return not hasattr(origin, "__get_pydantic_core_schema__") and not any(
        is_kind_of(each, (BaseModel, Mapping, UploadFile))
        or _is_one_sequence(each)
        or is_dataclass(each)
        for each in (annotation, origin)
    )


def is_scalar_sequence(annotation: Any) -> bool:
    """Whether repeated texts can hold it."""
    annotation = _bare(annotation)
    if not _is_union(annotation):
        return is_sequence(annotation) and all(map(is_scalar, get_args(annotation)))
    members = get_args(annotation)
    fit = all(is_scalar_sequence(each) or is_scalar(each) for each in members)
    return fit and any(map(is_scalar_sequence, members))


def is_of(annotation: Any, kind: type, *, many: bool = False) -> bool:
    """Whether it is `kind` or a union with it; with `many`, a sequence of such alone."""
    if not many:
        return any(is_kind_of(each, kind) for each in _members(annotation))
    if _is_union(annotation):
        return any(is_of(each, kind, many=True) for each in get_args(annotation))
    return is_sequence(annotation) and all(is_of(each, kind) for each in get_args(annotation))


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(call, eval_str=True)
    except NameError:  # of what is imported for type checkers alone, and may not matter here
        return inspect.signature(call)


def _evaluated(annotation: Any, call: Callable[..., Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    names = getattr(inspect.unwrap(call), "__globals__", {})
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        found = get_type_hints(holder, names, names, include_extras=True)["it"]
    except NameError:
        return annotation
    return None if found is type(None) else found


def typed_signature(call: Callable[..., Any]) -> inspect.Signature:
    """The signature, its annotations evaluated as far as their names are known."""
    parameters = _signature(call).parameters.values()
    return inspect.Signature(
        [each.replace(annotation=_evaluated(each.annotation, call)) for each in parameters]
    )


def typed_return(call: Callable[..., Any]) -> Any:
    """The annotation of what is returned; None where there is none."""
    annotation = _signature(call).return_annotation
    return None if annotation is inspect.Signature.empty else _evaluated(annotation, call)
