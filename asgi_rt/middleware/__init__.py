"""Pure ASGI middleware: no task, no queue; for any ASGI app, Starlette's and FastAPI's included."""

from asgi_rt.middleware.function import middleware
from asgi_rt.middleware.head import Head
from asgi_rt.middleware.hooks import Middleware
from asgi_rt.middleware.outcome import Outcome

__all__ = ["Head", "Middleware", "Outcome", "middleware"]
