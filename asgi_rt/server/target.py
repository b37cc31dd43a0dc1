"""Finding the application that `module:attribute` names."""

import importlib
import inspect
import os
import sys
from types import ModuleType
from typing import Any, cast

from asgi_rt.app import App
from asgi_rt.asgi import AnyASGIApp
from asgi_rt.errors import AsgiRtError

__all__ = ["check_app", "load_app", "search_in"]


def search_in(directory: str) -> None:
    """Look for modules in `directory` first."""
    path = os.path.abspath(directory)
    if not os.path.isdir(path):
        raise AsgiRtError(f"the app directory {path} does not exist")
    if sys.path[0] != path:
        sys.path.insert(0, path)


def load_app(target: str, *, factory: bool = False) -> AnyASGIApp:
    """The application that `module:attribute` names; with `factory`, what calling it gives.

    Raises AsgiRtError, in one line, where there is no such module or attribute, or where it is no
    ASGI application. What the module itself raises while it is imported passes through.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise AsgiRtError(f"{target!r} names no app: write it as module:attribute")
    module = _import(module_name)
    found: Any = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AsgiRtError(_not_in_module(module, attribute)) from None
    if factory:
        if not callable(found):
            raise AsgiRtError(f"{target} is no factory: it is of type {_kind(found)}, not callable")
        found = found()
    return check_app(found, target)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it imports is not
        raise AsgiRtError(
            f"no module named {error.name!r} in {sys.path[0]} or elsewhere on the import path;"
            " --app-dir says where to look"
        ) from None


def _not_in_module(module: ModuleType, attribute: str) -> str:
    message = f"the module {module.__name__!r} ({module.__file__}) has no {attribute!r}"
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    return f"{message}; its apps are {', '.join(apps)}" if apps else f"{message} and no asgi_rt App"


def check_app(app: Any, label: str) -> AnyASGIApp:
    """`app`, if it can be called as an ASGI application. Raises AsgiRtError."""
    if not callable(app):
        raise AsgiRtError(
            f"{label} is no ASGI application: it is of type {_kind(app)}, not callable"
        )
    if _takes(app, 3) or _takes(app, 1):
        return cast("AnyASGIApp", app)
    hint = "; if it makes one, add --factory" if _takes(app, 0) else ""
    raise AsgiRtError(
        f"{label} is no ASGI application: it does not take scope, receive and send{hint}"
    )


def _takes(func: Any, count: int) -> bool:
    try:
        inspect.signature(func).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin that tells nothing about itself
        return True
    return True


def _kind(value: Any) -> str:
    return type(value).__qualname__
