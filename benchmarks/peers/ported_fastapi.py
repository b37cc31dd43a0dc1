"""The FastAPI programs of this folder on asgi_rt.fastapi: their imports are changed, nothing else.

Each is an attribute of this module, so `benchmarks.peers.ported_fastapi:fastapi_sse_app.app` is the
application of `fastapi_sse_app.py`.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
_IMPORT = re.compile(r"^from fastapi\b", re.MULTILINE)


def program(name: str) -> ModuleType:
    """The program of this name, run afresh. Raises AttributeError for what names none."""
    path = FOLDER / f"{name}.py"
    if not path.is_file():
        raise AttributeError(f"no program {name}")
    source, changed = _IMPORT.subn("from asgi_rt.fastapi", path.read_text(encoding="utf-8"))
    if not changed:
        raise AttributeError(f"{name} is no FastAPI program")
    module = ModuleType(f"{__name__}.{name}")
    module.__file__ = str(path)
    # What resolves annotations looks the module up by its name.
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def __getattr__(name: str) -> ModuleType:
    if name.startswith("__"):
        raise AttributeError(name)
    return program(name)
