"""Each test of the contract runs with both classes, in an app of both frameworks."""

import functools

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from embed.layers import MODULES, load, make_app, stack


@pytest.fixture(params=MODULES)
def base(request):
    """A BaseHTTPMiddleware: Starlette's, and the one that is to stand in for it."""
    return load(request.param)


@pytest.fixture(params=[Starlette, FastAPI])
def framework(request):
    return request.param


@pytest.fixture
def serve(base, framework):
    """Makes an app of an endpoint and its layers."""
    return functools.partial(make_app, framework, base)


@pytest.fixture
def wrap(base):
    """Puts a bare ASGI app behind layers."""
    return functools.partial(stack, base)
