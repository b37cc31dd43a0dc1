"""What the app around it does with an error."""

from asgi_rt.asgi import Scope

__all__ = ["has_handler"]


def has_handler(error: BaseException, scope: Scope) -> bool:
    """Whether the Starlette or FastAPI app has an exception handler for errors of that class."""
    by_class, _ = scope.get("starlette.exception_handlers", ({}, {}))
    return any(kind in by_class for kind in type(error).__mro__)
