"""Programs in documents: each fenced block of Python that declares an endpoint is a case.

Nothing of the documents is kept here. What a block leaves undefined is told by `symtable`, and what
its endpoints take by `ast`.
"""

import ast
import builtins
import json
import re
import symtable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

__all__ = ["Block", "Endpoint", "blocks_of"]

_FENCE = re.compile(r"^[ \t]*```python[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_IMPORT = re.compile(r"^(\s*)(from|import) (fastapi|starlette|sse_starlette)\b(.*)$", re.MULTILINE)
_DECORATOR = re.compile(r"^[ \t]*@\w+\.(?:get|post|put|patch|delete|websocket)\(", re.MULTILINE)
_METHODS = {"get", "post", "put", "patch", "delete", "websocket"}
_SPECIAL = {"Request", "WebSocket", "HTTPConnection", "Response", "BackgroundTasks"}
_WORDS = {"int": "1", "float": "1.5", "bool": "true"}


@dataclass(frozen=True)
class Endpoint:
    """One function that answers, and what it is plausibly asked."""

    method: str
    """Of HTTP, or WEBSOCKET."""
    path: str
    query: str
    body: bytes
    content_type: str
    messages: tuple[str, ...]
    """What a client of a WebSocket says."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Block:
    """One block of a document, and the blocks that stand before it."""

    document: int
    index: int
    source: str = field(repr=False)
    before: tuple["Block", ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.document}-{self.index}"

    @property
    def declares(self) -> bool:
        """Whether an endpoint is declared in it, sound or not."""
        return _DECORATOR.search(self.source) is not None

    def with_changed_imports(self, package: str) -> str:
        """The source with its import lines changed, and nothing else."""
        return _IMPORT.sub(lambda found: _changed(found, package), self.source)

    @cached_property
    def undefined(self) -> frozenset[str]:
        """The names that it uses as globals and does not bind."""
        table = symtable.symtable(self.source, "block", "exec")
        bound = {each.get_name() for each in table.get_symbols() if _is_bound(each)}
        return frozenset(_globals_of(table) - bound - set(dir(builtins)))

    @cached_property
    def awaited(self) -> frozenset[str]:
        """The names of functions that must give coroutines: awaited, or started as tasks."""
        calls = [each for each in ast.walk(self._tree) if isinstance(each, ast.Call)]
        started = [
            each.args[0]
            for each in calls
            if isinstance(each.func, ast.Attribute) and each.func.attr == "start_soon" and each.args
        ]
        waits = [each.value for each in ast.walk(self._tree) if isinstance(each, ast.Await)]
        started += [each.func for each in waits if isinstance(each, ast.Call)]
        return frozenset(each.id for each in started if isinstance(each, ast.Name))

    @cached_property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that it declares; none where it cannot be parsed."""
        try:
            functions = [each for each in ast.walk(self._tree) if _is_function(each)]
        except SyntaxError:
            return ()
        return tuple(
            _endpoint(method, path, function, self._tree)
            for function in functions
            for method, path in _declarations(function)
        )

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.source)


def blocks_of(folder: Path) -> list[Block]:
    """All blocks of Python of all documents of a folder."""
    found: list[Block] = []
    for number, path in enumerate(sorted(folder.iterdir())):
        before: list[Block] = []
        for index, source in enumerate(_FENCE.findall(path.read_text())):
            before.append(Block(number, index, source, tuple(before)))
        found += before
    return found


def _changed(found: re.Match[str], package: str) -> str:
    indent, verb, name, rest = found.groups()
    if name == "sse_starlette":
        return f"{indent}{verb} {package}.{name}{re.sub(r'^[.](sse|event)', '', rest)}"
    if verb == "import" and not rest:
        return f"{indent}import {package} as {name}"
    return f"{indent}{verb} {package}{rest}"


def _is_bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    is_module = table.get_type() == "module"
    names = {
        each.get_name()
        for each in table.get_symbols()
        if each.is_referenced() and (each.is_global() or is_module)
    }
    return names.union(*(_globals_of(child) for child in table.get_children()))


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _declarations(function: Any) -> list[tuple[str, str]]:
    return [
        (each.func.attr.upper(), each.args[0].value)
        for each in function.decorator_list
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in _METHODS
        and each.args
        and isinstance(each.args[0], ast.Constant)
    ]


def _parameters(function: Any) -> list[tuple[str, str, ast.expr | None]]:
    args = function.args.args
    defaults = [None] * (len(args) - len(function.args.defaults)) + function.args.defaults
    return [
        (arg.arg, ast.unparse(arg.annotation) if arg.annotation else "str", default)
        for arg, default in zip(args, defaults, strict=True)
    ]


def _needs_value(default: ast.expr | None) -> bool:
    if isinstance(default, ast.Call) and default.args:
        return isinstance(default.args[0], ast.Constant) and default.args[0].value is Ellipsis
    return default is None


def _endpoint(method: str, path: str, function: Any, tree: ast.Module) -> Endpoint:
    query: dict[str, str] = {}
    body: dict[str, Any] = {}
    has_file = False
    for name, annotation, default in _parameters(function):
        if annotation in _SPECIAL or not _needs_value(default):
            continue
        if f"{{{name}" in path:
            path = re.sub(rf"{{{name}[^}}]*}}", _WORDS.get(annotation, "alpha"), path)
        elif annotation == "UploadFile":
            has_file = True
        elif annotation in {"str", "int", "float", "bool"}:
            query[name] = _WORDS.get(annotation, "alpha")
        else:
            body[name] = _example(ast.parse(annotation, mode="eval").body)
    if method == "WEBSOCKET":
        query = dict.fromkeys(_looked_up(tree), "alpha") | query
    content, kind = _multipart() if has_file else _json(body)
    messages = _messages(tree) if method == "WEBSOCKET" else ()
    return Endpoint(method, path, urlencode(query), content, kind, messages)


def _looked_up(tree: ast.Module) -> list[str]:
    """The fields of the query that the block takes from the query by itself."""
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("query_params.get")
        and isinstance(node.args[0], ast.Constant)
    ]


def _json(body: dict[str, Any]) -> tuple[bytes, str]:
    if not body:
        return b"", ""
    value = body if len(body) > 1 else next(iter(body.values()))
    return json.dumps(value).encode(), "application/json"


def _multipart() -> tuple[bytes, str]:
    lines = [
        "--limit",
        'Content-Disposition: form-data; name="file"; filename="alpha.txt"',
        "Content-Type: text/plain",
        "",
        "what is in the file",
        "--limit--",
        "",
    ]
    return "\r\n".join(lines).encode(), "multipart/form-data; boundary=limit"


def _example(annotation: ast.expr) -> Any:
    if isinstance(annotation, ast.Subscript):
        if ast.unparse(annotation.value) in {"List", "list"}:
            return [_example(annotation.slice)]
        return {"name": "alpha", "value": 1}
    text = ast.unparse(annotation)
    return {"int": 1, "float": 1.5, "bool": True, "str": "alpha"}.get(
        text, {"name": "alpha", "value": 1}
    )


def _messages(tree: ast.Module) -> tuple[str, ...]:
    """One of each type that the block compares with, and one of none of them."""
    kinds = {
        constant.value: None
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq)
        for constant in node.comparators
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    said = {"message": "hello", "content": "hello"}
    return tuple(json.dumps({"type": kind, **said}) for kind in (*kinds, "other"))
