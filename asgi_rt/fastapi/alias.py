"""`fastapi`, `starlette` and `sse_starlette` as names of this adapter, in the whole process."""

import dis
import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, spec_from_loader
from types import FrameType, ModuleType
from typing import Any, Final

__all__ = ["Alias", "AliasedText", "alias", "aliased"]

_ADAPTER: Final = "asgi_rt.fastapi"
_VERSIONS: Final = {"fastapi": "0.165.0", "starlette": "1.10.0", "sse_starlette": "3.7.0"}
"""What is aliased, and the releases whose behaviour is followed."""
_RENAMED: Final = {
    ("starlette.applications", "Starlette"): "FastAPI",
    ("starlette.exceptions", "HTTPException"): "StarletteHTTPException",
}
_BORROWED: Final = (
    *("starlette._utils", "starlette.authentication", "starlette.config"),
    *("starlette.middleware.authentication", "starlette.middleware.sessions"),
)
"""Modules of Starlette's that stand on names the adapter has: its own, where it is installed."""


def _target(name: str) -> str | None:
    """The module that stands behind an aliased name; None where there is none."""
    top, _, rest = name.partition(".")
    if top == "sse_starlette":
        return f"{_ADAPTER}.{top}" if rest in ("", "sse", "event") else None
    target = f"{_ADAPTER}.{rest}" if rest else _ADAPTER
    try:
        return target if find_spec(target) else None
    except ModuleNotFoundError:  # what stands before the last dot is no package
        return None


def _borrowed(name: str) -> ModuleSpec | None:
    """Where Starlette has the module itself."""
    spec = PathFinder.find_spec("starlette") if name in _BORROWED else None
    if spec is None:
        return None
    inner = name.split(".")[1:-1]
    places = ["/".join((place, *inner)) for place in spec.submodule_search_locations or ()]
    return PathFinder.find_spec(name, places)


class _Facade(ModuleType):
    """A module whose names are those of another one, to read and to replace."""

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name)
        self.__dict__["_target"] = target

    def __getattr__(self, name: str) -> Any:
        top = self.__name__.partition(".")[0]
        if name == "__version__":
            return _VERSIONS[top]
        found = _RENAMED.get((self.__name__, name), name)
        try:
            return getattr(self.__dict__["_target"], found)
        except AttributeError:
            error = ImportError if _imports(sys._getframe(1)) else AttributeError  # pyright: ignore[reportPrivateUsage] - the only way to the frame
            raise error(_missing(f"{self.__name__}.{name}", top)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        is_submodule = getattr(value, "__name__", None) == f"{self.__name__}.{name}"
        if is_submodule or name.startswith("__"):  # the import system's
            super().__setattr__(name, value)
        else:
            setattr(self.__dict__["_target"], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__dict__["_target"], name)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_target"])


def _imports(frame: FrameType) -> bool:
    """Whether the frame is in a `from ... import`: its error can say more than that of getattr."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"


def _missing(name: str, top: str) -> str:
    return (
        f"{name} is not in asgi_rt.fastapi, which stands in for {top} in this process"
        " (asgi_rt.fastapi.alias()). Use what asgi_rt has for it, or take this import out"
    )


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.partition(".")[0]
        if top not in _VERSIONS:
            return None
        if _target(fullname) is not None:
            return spec_from_loader(fullname, self, is_package=True)
        spec = _borrowed(fullname)
        if spec is None:
            raise ModuleNotFoundError(_missing(fullname, top), name=fullname)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        target = _target(spec.name)
        assert target is not None
        return _Facade(spec.name, importlib.import_module(target))

    def exec_module(self, module: ModuleType) -> None:
        pass  # its names are looked up in the module behind it


class Alias:
    """The names `fastapi`, `starlette` and `sse_starlette`, held by the adapter until `undo`."""

    def __init__(self) -> None:
        self._finder = _Finder()
        self.is_installed = False

    def install(self) -> None:
        """Take the names, once. Raises ImportError if something that is no alias has one."""
        if self.is_installed:
            return
        taken = [name for name in _VERSIONS if name in sys.modules]
        if taken:
            raise ImportError(
                f"{' and '.join(taken)} was imported before asgi_rt.fastapi.alias() was called:"
                " call it first thing, before whatever imports it, or run the app with"
                " `python -m asgi_rt.fastapi run module:app`"
            )
        sys.meta_path.insert(0, self._finder)
        self.is_installed = True

    def undo(self) -> None:
        """Give the names back. What was imported under them stays as it is."""
        if not self.is_installed:
            return
        sys.meta_path.remove(self._finder)
        for name, module in [*sys.modules.items()]:
            if isinstance(module, _Facade) or name in _BORROWED:
                del sys.modules[name]
        self.is_installed = False


_ALIAS: Final = Alias()


def alias() -> Alias:
    """From now on `import fastapi` gets this adapter in this process, as do Starlette's and
    sse-starlette's public modules. Call it before anything imports them; again does nothing.

    Raises ImportError if one of them was imported before. What the adapter does not have raises
    ImportError where it is imported.
    """
    _ALIAS.install()
    return _ALIAS


@contextmanager
def aliased() -> Generator[Alias, None, None]:
    """The same for the length of a block."""
    was_installed = _ALIAS.is_installed
    try:
        yield alias()
    finally:
        if not was_installed:
            _ALIAS.undo()


class AliasedText(str):
    """Text, such as where an app is, that takes the alias along into the process it is sent to."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_alias, (str(self),)


def _with_alias(text: str) -> str:
    alias()
    return text
