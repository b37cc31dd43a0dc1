"""The tree cannot lie: layers, cycles, pure modules, the size of the face, and what loads.

Read from the source with `ast`, imports under TYPE_CHECKING and inside functions included.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "asgi_rt"

# Which layer a module belongs to, by the longest prefix. A module imports its own layer and below.
LAYERS = {
    "asgi_rt.asgi": 0,
    "asgi_rt.errors": 0,
    "asgi_rt.codec": 0,
    "asgi_rt.http.headers": 1,
    "asgi_rt.http.cookies": 1,
    "asgi_rt.http.query": 1,
    "asgi_rt.http.ranges": 1,
    "asgi_rt.http.disposition": 1,
    "asgi_rt.replay": 1,
    "asgi_rt.token_bucket": 1,
    "asgi_rt.sse.framing": 1,
    "asgi_rt.sse.backoff": 1,
    "asgi_rt.websocket.lifecycle": 1,
    "asgi_rt.websocket.closing": 1,
    "asgi_rt.websocket.guard": 1,
    "asgi_rt.websocket.envelope": 1,
    "asgi_rt.websocket.validation": 1,
    "asgi_rt.websocket.dataclass_check": 1,
    "asgi_rt.middleware.negotiation": 1,
    "asgi_rt.middleware.compressible": 1,
    "asgi_rt.routing.patterns": 1,
    "asgi_rt.routing.tree": 1,
    "asgi_rt.middleware.authority": 1,
    "asgi_rt.middleware.cors_policy": 1,
    "asgi_rt.hub.bounds": 1,
    "asgi_rt.hub.topics": 1,
    "asgi_rt.hub.timeline": 1,
    "asgi_rt.hub.recent": 1,
    "asgi_rt.hub.checks": 1,
    "asgi_rt.hub.losses": 1,
    "asgi_rt.hub.history": 1,
    "asgi_rt.hub.routes": 1,
    "asgi_rt.hub.mailbox": 1,
    "asgi_rt.hub.cohort": 1,
    "asgi_rt.hub.message": 1,
    "asgi_rt.hub.outcome": 1,
    "asgi_rt.hub.backplane.protocol": 1,
    "asgi_rt.hub.backplane.places": 1,
    "asgi_rt.background": 2,
    "asgi_rt.handlers": 2,
    "asgi_rt.drain": 2,
    "asgi_rt.http": 2,
    "asgi_rt.hub": 2,
    "asgi_rt.sse": 2,
    "asgi_rt.websocket": 2,
    "asgi_rt.routing": 3,
    "asgi_rt.serving": 3,
    "asgi_rt.error_handlers": 3,
    "asgi_rt.lifespan": 3,
    "asgi_rt.late_lifespan": 3,
    "asgi_rt.middleware": 3,
    "asgi_rt.app": 3,
    "asgi_rt.feeds": 3,
    "asgi_rt.embed": 4,
    "asgi_rt.fastapi": 4,
    "asgi_rt.fastapi.testclient": 5,
    "asgi_rt.fastapi.__main__": 5,
    "asgi_rt.testing": 4,
    "asgi_rt.server": 5,
    "asgi_rt.demo": 5,
    "asgi_rt.__main__": 5,
    "asgi_rt": 5,  # the face
}
PURE = {
    "asgi_rt.http.headers",
    "asgi_rt.http.cookies",
    "asgi_rt.http.query",
    "asgi_rt.http.ranges",
    "asgi_rt.http.disposition",
    "asgi_rt.replay",
    "asgi_rt.token_bucket",
    "asgi_rt.sse.framing",
    "asgi_rt.sse.backoff",
    "asgi_rt.websocket.lifecycle",
    "asgi_rt.websocket.closing",
    "asgi_rt.websocket.guard",
    "asgi_rt.websocket.envelope",
    "asgi_rt.websocket.validation",
    "asgi_rt.websocket.dataclass_check",
    "asgi_rt.middleware.negotiation",
    "asgi_rt.middleware.compressible",
    "asgi_rt.routing.patterns",
    "asgi_rt.routing.tree",
    "asgi_rt.middleware.authority",
    "asgi_rt.middleware.cors_policy",
    "asgi_rt.hub.bounds",
    "asgi_rt.hub.topics",
    "asgi_rt.hub.timeline",
    "asgi_rt.hub.recent",
    "asgi_rt.hub.checks",
    "asgi_rt.hub.losses",
    "asgi_rt.hub.history",
    "asgi_rt.hub.routes",
    "asgi_rt.hub.mailbox",
    "asgi_rt.hub.cohort",
    "asgi_rt.hub.message",
    "asgi_rt.hub.outcome",
}
# Who may import a package from outside: by default every module may import the core dependencies.
CORE = {"anyio", "asgiref"}
ONLY_IN = {
    "orjson": {"asgi_rt.codec"},
    "uvicorn": {"asgi_rt.server.run"},
    "python_multipart": {"asgi_rt.http.forms"},
    "httpx2": {
        "asgi_rt.fastapi.testclient",
        "asgi_rt.testing",
        "asgi_rt.sse.client",
        "asgi_rt.sse.client_request",
        "asgi_rt.sse.client_response",
    },
    "trio": {"asgi_rt.testing"},
    "starlette": {"asgi_rt.embed"},
    "pydantic": {"asgi_rt.fastapi"},
    "pydantic_core": {"asgi_rt.fastapi"},
    "annotated_types": {"asgi_rt.fastapi"},
    "typing_extensions": {"asgi_rt.fastapi"},
    "jinja2": {"asgi_rt.fastapi.templating"},
    "prometheus_client": {"asgi_rt.middleware.metrics"},
    "brotli": {"asgi_rt.middleware.encoders"},
    "zstandard": {"asgi_rt.middleware.encoders"},
}
IMPURE = {"time", "random", "secrets", "socket", "ssl", "threading", "asyncio", "anyio", "os", "io"}
MAX_LINES = 400
MAX_FACE = 40


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def imported_names(module: str) -> Iterator[str]:
    """What a module imports, by full name, wherever in it the import stands."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def imports(module: str) -> set[str]:
    """The modules of this package that a module imports, itself left out."""
    known = modules()
    found = set()
    for name in imported_names(module):
        if name.split(".")[0] == "asgi_rt":
            found.add(name if name in known else name.rpartition(".")[0])
    return found - {module}


def layer(module: str) -> int:
    prefix = module
    while prefix not in LAYERS or (prefix == "asgi_rt" and module != "asgi_rt"):
        prefix, _, last = prefix.rpartition(".")
        assert last, f"{module} has no layer: add it to LAYERS"
    return LAYERS[prefix]


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module):
    up = {other for other in imports(module) if layer(other) > layer(module)}
    assert not up, f"{module} (layer {layer(module)}) imports {up}"


def test_there_is_no_cycle():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in done:
            return
        for other in imports(module):
            visit(other, (*path, module))
        done.add(module)

    for module in modules():
        visit(module, ())


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_modules_have_no_await_no_clock_and_no_io(module):
    for node in ast.walk(parsed(module)):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today"}, f"{module} reads a clock"
    outside = {name.split(".")[0] for name in imported_names(module)}
    assert not outside & IMPURE
    assert outside <= set(sys.stdlib_module_names) | {"asgi_rt"}
    for other in imports(module):
        assert other in PURE or layer(other) == 0, f"{module} imports {other}"


@pytest.mark.parametrize("module", modules())
def test_dependencies_are_imported_where_they_belong(module):
    for name in {name.split(".")[0] for name in imported_names(module)}:
        if name in sys.stdlib_module_names or name in CORE or name == "asgi_rt":
            continue
        assert name in ONLY_IN, f"{module} imports {name}: no module may"
        assert any(module == at or module.startswith(at + ".") for at in ONLY_IN[name])


@pytest.mark.parametrize("module", modules())
def test_files_are_short(module):
    assert len(modules()[module].read_text().splitlines()) <= MAX_LINES


def test_the_face_is_small_and_all_there():
    import asgi_rt

    assert len(asgi_rt.__all__) <= MAX_FACE
    assert len(set(asgi_rt.__all__)) == len(asgi_rt.__all__)
    assert [name for name in asgi_rt.__all__ if not hasattr(asgi_rt, name)] == []


def test_importing_the_package_loads_no_optional_dependency():
    optional = (
        "pydantic starlette fastapi uvicorn redis nats python_multipart httpx2 trio uvloop"
        " prometheus_client brotli zstandard"
    )
    script = f"import sys, asgi_rt; print(*[n for n in {optional.split()!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []


def test_every_module_imports_where_fastapi_and_starlette_are_missing():
    script = """
import importlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"fastapi", "starlette"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
for name in sys.argv[1:]:
    importlib.import_module(name)
print("all", len(sys.argv) - 1)
"""
    apart = ("asgi_rt.embed", "asgi_rt.__main__", "asgi_rt.fastapi.__main__")
    names = [name for name in modules() if not name.startswith(apart)]
    done = subprocess.run(
        [sys.executable, "-c", script, *names], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.split() == ["all", str(len(names))], done.stderr
