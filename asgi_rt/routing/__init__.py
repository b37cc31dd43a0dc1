"""Routing: which handler or mounted app answers a path. Knows requests, not the app."""

from asgi_rt.routing.patterns import Converter
from asgi_rt.routing.router import Mount, Route, Router
from asgi_rt.routing.tree import Precedence

__all__ = ["Converter", "Mount", "Precedence", "Route", "Router"]
