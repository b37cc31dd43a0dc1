"""Plans: the tree of dependencies as a flat list, made once and run for every request."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, Literal, cast

from asgi_rt.fastapi.background import BackgroundTasks
from asgi_rt.fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from asgi_rt.fastapi.dependencies.body import JsonBody, read_form, read_json
from asgi_rt.fastapi.dependencies.calls import call_kind
from asgi_rt.fastapi.dependencies.exits import Exits
from asgi_rt.fastapi.dependencies.models import Dependant, Errors, ModelField, SecurityScopes
from asgi_rt.fastapi.dependencies.signature import get_dependant
from asgi_rt.fastapi.dependencies.values import FormValues, Parameters, Sources
from asgi_rt.fastapi.params import Undefined
from asgi_rt.fastapi.responses import Response
from asgi_rt.http.request import Request
from asgi_rt.websocket.connection import WebSocket

__all__ = ["Plan", "Solved"]

_NO_FORM: Final = FormValues()


class Solved:
    """What a request gives to its endpoint."""

    body: Any = None
    """The body as it was parsed; None where there is none."""
    background: BackgroundTasks | None = None
    """The tasks, if someone asked for them."""
    response: Response | None = None
    """The response, if someone asked for it; its `status_code` is None until it is set."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        """The keyword arguments; none where there are errors."""
        self.errors: Errors = []
        """What the client did wrong, in the order of the declarations."""


class _Node:
    """One call of a plan."""

    def __init__(
        self,
        dependant: Dependant,
        below: list[tuple[str | None, int]],
        *,
        is_form: bool,
        embed: bool,
    ) -> None:
        call = dependant.call
        self.kind = call_kind(call)
        self.call: Callable[..., Any] = call
        if self.kind == "generator":
            self.call = contextmanager(call)
        elif self.kind == "async_generator":
            self.call = asynccontextmanager(call)
        self.ends_early = dependant.scope == "function"
        self.below = frozenset(at for _, at in below)
        """The calls that come before this one."""
        self.arguments = tuple((name, at) for name, at in below if name is not None)
        fields = dependant.body_params
        parameters = Parameters(dependant, is_form=is_form)
        self.parameters = parameters if parameters.are_any else None
        self.json = JsonBody(fields, embed=embed) if fields and not is_form else None
        self.special = tuple(dependant.special.items())
        self.scopes = dependant.oauth_scopes

    async def enter(self, exits: Exits, values: dict[str, Any]) -> Any:
        """What it yields first."""
        manager = self.call(**values)
        is_async = self.kind == "async_generator"
        if not is_async:
            manager = contextmanager_in_threadpool(manager)
        return await exits.enter(manager, ends_early=self.ends_early, is_shielded=is_async)

    def give(self, connection: Request | WebSocket, values: dict[str, Any], solved: Solved) -> None:
        """Add the parameters that are part of the exchange itself."""
        for name, kind in self.special:
            if kind == "connection":
                values[name] = connection
            elif kind == "request":
                if isinstance(connection, Request):
                    values[name] = connection
            elif kind == "websocket":
                if isinstance(connection, WebSocket):
                    values[name] = connection
            elif kind == "response":
                solved.response = solved.response or _blank_response()
                values[name] = solved.response
            elif kind == "background":
                solved.background = solved.background or BackgroundTasks()
                values[name] = solved.background
            else:
                values[name] = SecurityScopes(list(self.scopes))


def _blank_response() -> Response:
    response = Response()
    del response.headers["content-length"]
    response.status_code = cast("int", None)  # until someone sets it
    return response


class Plan:
    """How to come by the arguments of an endpoint. For any number of requests at once.

    `overrides` are called instead of the dependencies that are its keys.
    """

    def __init__(
        self,
        dependant: Dependant,
        body_field: ModelField | None = None,
        embed: bool = False,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
        *,
        strict_content_type: bool = True,
    ) -> None:
        self.body_kind: Literal["json", "form"] | None = None
        """What the body is read as; None where it is not read."""
        if body_field is not None:
            self.body_kind = "form" if body_field.kind in ("form", "file") else "json"
        self._is_strict = strict_content_type
        self._embed = embed
        self._overrides = overrides or {}
        self._nodes: list[_Node] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._order: list[int] = []  # of errors: a call that is made once may be asked for often
        self._add(dependant, dependant, use_cache=False)
        calls = self._nodes[:-1]
        yielding = [node for node in calls if node.kind in ("generator", "async_generator")]
        self.yields = bool(yielding)
        """Whether any dependency goes on after its value was used."""
        self.has_function_scope = any(node.ends_early for node in yielding)
        """Whether one of them does so before the response is sent."""
        self.has_request_scope = not all(node.ends_early for node in yielding)
        """Whether one of them does so after the response was sent."""
        self.is_immediate = not calls and self.body_kind is None
        """Whether nothing has to be awaited, so that `solve_now` serves."""

    def _add(self, asked: Dependant, called: Dependant, *, use_cache: bool) -> int:
        below = [(each.name, self._add_below(each)) for each in called.dependencies]
        key = asked.cache_key
        at = self._known.get(key) if use_cache else None
        if at is None:
            at = len(self._nodes)
            is_form = self.body_kind == "form"
            self._nodes.append(_Node(called, below, is_form=is_form, embed=self._embed))
            self._known.setdefault(key, at)
        self._order.append(at)
        return at

    def _add_below(self, asked: Dependant) -> int:
        called = asked
        if asked.call in self._overrides:
            called = get_dependant(
                path=asked.path,
                call=self._overrides[asked.call],
                name=asked.name,
                parent_oauth_scopes=asked.oauth_scopes,
                scope=asked.scope,
            )
        return self._add(asked, called, use_cache=asked.use_cache)

    def solve_now(self, connection: Request | WebSocket) -> Solved:
        """The arguments at once. Only where the plan `is_immediate`."""
        solved = Solved()
        node = self._nodes[-1]
        if node.parameters is not None:
            node.parameters.read(Sources(connection, _NO_FORM), solved.values, solved.errors)
        if node.json is not None:  # of a WebSocket, which has no body
            node.json.read(Undefined, solved.values, solved.errors)
        if node.special:
            node.give(connection, solved.values, solved)
        return solved

    async def solve(
        self,
        connection: Request | WebSocket,
        *,
        request_stack: AsyncExitStack | None = None,
        function_stack: AsyncExitStack | None = None,
    ) -> Solved:
        """Read the body, call the dependencies, and give the arguments.

        A dependency is not called where its own parameters are wrong, the others are. Those that
        yield go on when the stacks are closed, in this same task: a plan that `has_request_scope`
        or `has_function_scope` needs that stack. Raises what the dependencies raise, HTTPException
        400 for a body that cannot be read, HTTPError 413 for one that is too large, and
        ClientDisconnected.
        """
        solved = Solved()
        body, form = Undefined, _NO_FORM
        if self.body_kind is not None:
            body, form = await self._read_body(cast("Request", connection), solved)
            if solved.errors:
                return solved
        sources = Sources(connection, form)
        exits = Exits(request_stack, function_stack) if self.yields else None
        nodes = self._nodes
        results: list[Any] = [None] * len(nodes)
        failed: dict[int, Errors] = {}
        for at, node in enumerate(nodes):
            errors: Errors = []
            values: dict[str, Any] = {}
            for name, source in node.arguments:
                values[name] = results[source]
            if node.parameters is not None:
                if node.parameters.contents:
                    await form.load(node.parameters.contents)
                node.parameters.read(sources, values, errors)
            if node.json is not None:
                node.json.read(body, values, errors)
            if node.special:
                node.give(connection, values, solved)
            if errors or (failed and not failed.keys().isdisjoint(node.below)):
                failed[at] = errors
            elif node is nodes[-1]:
                solved.values = values
            elif node.kind == "coroutine":
                results[at] = await node.call(**values)
            elif exits is None or node.kind == "thread":
                results[at] = await run_in_threadpool(node.call, **values)
            else:
                results[at] = await node.enter(exits, values)
        if failed:
            solved.errors = [error for at in self._order for error in failed.get(at, ())]
        return solved

    async def _read_body(self, request: Request, solved: Solved) -> tuple[Any, FormValues]:
        if self.body_kind == "form":
            solved.body = await read_form(request)
            return Undefined, FormValues(solved.body.multi_items())
        body = await read_json(request, solved.errors, is_strict=self._is_strict)
        solved.body = None if body is Undefined else body
        return body, _NO_FORM
