"""Declarations as default values: typed as anything, so that `q: str = Query()` type-checks."""

from collections.abc import Callable
from typing import Any, ParamSpec

from asgi_rt.fastapi import params

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header", "Path", "Query", "Security"]

P = ParamSpec("P")


def _untyped(declaration: Callable[P, object]) -> Callable[P, Any]:
    return declaration


Path = _untyped(params.Path)
Query = _untyped(params.Query)
Header = _untyped(params.Header)
Cookie = _untyped(params.Cookie)
Body = _untyped(params.Body)
Form = _untyped(params.Form)
File = _untyped(params.File)
Depends = _untyped(params.Depends)
Security = _untyped(params.Security)
