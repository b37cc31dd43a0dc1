"""The types that programs written for FastAPI and Starlette name."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic.main import IncEx

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ASGIApp", "DecoratedCallable", "IncEx", "Message", "Receive", "Scope", "Send"]

DecoratedCallable = TypeVar("DecoratedCallable", bound=Callable[..., Any])
