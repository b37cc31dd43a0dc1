"""Callables with dependencies, which tests may replace at any time; WebSocket routes are some."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any, Final

from asgi_rt.asgi import Scope
from asgi_rt.fastapi.dependencies.models import Dependant
from asgi_rt.fastapi.dependencies.plan import Plan
from asgi_rt.fastapi.dependencies.signature import get_dependant, get_parameterless_sub_dependant
from asgi_rt.fastapi.exceptions import WebSocketRequestValidationError
from asgi_rt.fastapi.params import Depends
from asgi_rt.fastapi.routes import WebSocketRoute
from asgi_rt.fastapi.websockets import WebSocket
from asgi_rt.handlers import handler_name

__all__ = ["APIWebSocketRoute", "Overridable"]


class _NoOverrides:
    dependency_overrides: Final[dict[Any, Any]] = {}


class Overridable:
    """A callable with dependencies that tests may replace at any time."""

    endpoint: Callable[..., Any]
    path_format: str
    dependencies: list[Depends]
    dependency_overrides_provider: Any
    _replaced: tuple[dict[Any, Any], Plan] | None = None

    @cached_property
    def dependant(self) -> Dependant:
        """What it asks for, and what its dependencies ask for."""
        path = self.path_format
        made = get_dependant(path=path, call=self.endpoint, scope="function")
        made.dependencies[:0] = [
            get_parameterless_sub_dependant(depends=each, path=path) for each in self.dependencies
        ]
        return made

    @cached_property
    def plan(self) -> Plan:
        """The plan without overrides."""
        return self.make_plan({})

    @cached_property
    def overrider(self) -> Any:
        """What holds the overrides."""
        provider = self.dependency_overrides_provider
        return provider if hasattr(provider, "dependency_overrides") else _NoOverrides

    def make_plan(self, overrides: dict[Any, Any]) -> Plan:
        """A plan with these overrides."""
        return Plan(self.dependant, overrides=overrides)

    def current_plan(self) -> Plan:
        """The plan with the overrides that are there now."""
        overrides: dict[Any, Any] = self.overrider.dependency_overrides
        if not overrides:
            return self.plan
        replaced = self._replaced
        if replaced is None or replaced[0] != overrides:
            taken = dict(overrides)  # a test's own thread may change them at any time
            replaced = self._replaced = (taken, self.make_plan(taken))
        return replaced[1]

    def context(self, verb: str, scope: Scope) -> Any:
        """Where the handler stands, for the text of an error."""
        root: str = scope.get("root_path", "").rstrip("/")
        return {**self._place, "path": f"{verb} {root}{self.dependant.path}"}

    @cached_property
    def _place(self) -> dict[str, Any]:
        name = handler_name(self.endpoint)
        try:
            line = inspect.getsourcelines(self.endpoint)[1]
            return {"file": inspect.getfile(self.endpoint), "line": line, "function": name}
        except (OSError, TypeError):  # it has no source, or is an instance
            return {"function": name}


class APIWebSocketRoute(Overridable, WebSocketRoute):
    """A function with parameters and dependencies that serves WebSockets.

    `options` are those of `asgi_rt.websocket.options.WebSocketOptions`.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        name: str | None = None,
        dependencies: Sequence[Depends] | None = None,
        dependency_overrides_provider: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(path, endpoint, name)
        self.dependencies = list(dependencies or ())
        self.dependency_overrides_provider = dependency_overrides_provider
        self.options = options

    async def talk(self, websocket: WebSocket) -> None:
        plan = self.current_plan()
        if not plan.yields:
            await self._talk(plan, websocket)
            return
        async with AsyncExitStack() as request_stack, AsyncExitStack() as function_stack:
            await self._talk(plan, websocket, request_stack, function_stack)

    async def _talk(self, plan: Plan, websocket: WebSocket, *stacks: AsyncExitStack) -> None:
        options = dict(zip(("request_stack", "function_stack"), stacks, strict=False))
        solved = await plan.solve(websocket, **options)
        if solved.errors:
            context = self.context("WS", websocket.scope)
            raise WebSocketRequestValidationError(solved.errors, endpoint_ctx=context)
        await self.endpoint(**solved.values)
