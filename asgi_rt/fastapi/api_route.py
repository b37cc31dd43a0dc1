"""What one route does with a request, from its parameters to its response.

A route without `yield` in its dependencies takes the short way, where plain JSON goes out without
an object for it. Any other has two exit stacks around it, as FastAPI has: dependencies of function
scope are closed before the response is sent, those of request scope after its background tasks.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import cached_property, partial
from typing import Any, Final, TypeAlias

from asgi_rt.asgi import Send
from asgi_rt.fastapi.concurrency import run_in_threadpool
from asgi_rt.fastapi.datastructures import DefaultPlaceholder
from asgi_rt.fastapi.dependencies.plan import Plan, Solved
from asgi_rt.fastapi.encoders import encode_item
from asgi_rt.fastapi.exceptions import (
    FastAPIError,
    RequestValidationError,
    ResponseValidationError,
)
from asgi_rt.fastapi.path_operation import PathOperation, allows_body
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import Response
from asgi_rt.fastapi.routes import deliver
from asgi_rt.fastapi.serialization import Encode, content_encoder, json_encoder
from asgi_rt.fastapi.streams import EventsResponse, JSONLinesResponse, warn_of_held
from asgi_rt.http.response import Response as AnyResponse
from asgi_rt.serving import BEGUN, JSON_TYPE, KNOWN_LENGTHS, LENGTHS, content_length

__all__ = ["APIRoute", "Serve"]

Serve: TypeAlias = Callable[[Request, Send], Awaitable[None]]
Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Any]]

_REQUEST_STACK: Final = "fastapi_inner_astack"
_FUNCTION_STACK: Final = "fastapi_function_astack"
_SWALLOWED: Final = (
    "No response was made or sent. A dependency with `yield` has probably caught an exception"
    " and not raised it again."
)
"""Said where FastAPI says the same at length."""


class APIRoute(PathOperation):
    """A path operation that serves requests. A subclass may override `get_route_handler`."""

    @cached_property
    def serve(self) -> Serve:
        """Answers a request of this route. Made when the first one comes."""
        if self.is_sse_stream or self.is_json_stream:
            warn_of_held(self.dependant, self.path_format)
        if type(self).get_route_handler is not APIRoute.get_route_handler:
            return self._serve_by(self.get_route_handler())
        if self.plan.yields or self.yields:
            return self._serve_whole
        return self._serve_short()

    def get_route_handler(self) -> Handler:
        """What makes the response to a request; a subclass may put another one around it."""

        async def handle(request: Request) -> Any:
            stacks = request.scope[_REQUEST_STACK], request.scope[_FUNCTION_STACK]
            return await self._respond(self.current_plan(), request, *stacks)

        return handle

    # What is returned, as bytes or as content

    @cached_property
    def encode(self) -> Encode:
        """What makes the JSON of a response of the default class."""
        return json_encoder(self.response_field, self.response_options)

    @cached_property
    def encode_item(self) -> Encode:
        """What makes the JSON of an item of a stream."""
        return json_encoder(self.stream_item_field, self.response_options, encode_item)

    @cached_property
    def _content(self) -> Encode:
        return content_encoder(self.response_field, self.response_options)

    # The short way

    def _serve_short(self) -> Serve:
        plan, call, encode, overrider = self.plan, self.endpoint, self.encode, self.overrider
        solve_now = plan.solve_now if plan.is_immediate else None
        is_async = self.kind == "coroutine"
        status = self.status_code or 200
        is_plain = isinstance(self.response_class, DefaultPlaceholder) and allows_body(status)

        async def serve(request: Request, send: Send) -> None:
            if overrider.dependency_overrides:
                await self._serve_whole(request, send)
                return
            solved = await plan.solve(request) if solve_now is None else solve_now(request)
            if solved.errors:
                raise self._invalid(solved, request)
            values = solved.values
            result = await (call(**values) if is_async else run_in_threadpool(call, **values))
            if (
                not is_plain
                or isinstance(result, AnyResponse)
                or solved.response is not None
                or solved.background is not None
            ):
                await deliver(self._response_of(result, solved, request), request, send)
                return
            try:
                body: bytes = encode(result)
            except ResponseValidationError as error:
                raise self._located(error, request) from None
            size = len(body)
            length = LENGTHS[size] if size < KNOWN_LENGTHS else content_length(size)
            request.response = BEGUN
            headers = [length, JSON_TYPE]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return serve

    # The whole way

    async def _serve_whole(self, request: Request, send: Send) -> None:
        plan = self.current_plan()  # once: another thread may change the overrides
        if plan.yields:
            await self._serve_between(partial(self._respond, plan), request, send)
        else:
            await deliver(await self._respond(plan, request), request, send)

    def _serve_by(self, handle: Handler) -> Serve:
        async def respond(request: Request, *stacks: AsyncExitStack) -> Any:
            request.scope[_REQUEST_STACK], request.scope[_FUNCTION_STACK] = stacks
            return await handle(request)

        async def serve(request: Request, send: Send) -> None:
            await self._serve_between(respond, request, send)

        return serve

    async def _serve_between(
        self, respond: Callable[..., Awaitable[Any]], request: Request, send: Send
    ) -> None:
        response, is_sent = None, False
        async with AsyncExitStack() as request_stack:
            async with AsyncExitStack() as function_stack:
                response = await respond(request, request_stack, function_stack)
            if response is not None:
                await deliver(response, request, send)
                is_sent = True
        if not is_sent:
            raise FastAPIError(_SWALLOWED)

    async def _respond(
        self,
        plan: Plan,
        request: Request,
        request_stack: AsyncExitStack | None = None,
        function_stack: AsyncExitStack | None = None,
    ) -> Any:
        solved = await plan.solve(
            request, request_stack=request_stack, function_stack=function_stack
        )
        if solved.errors:
            raise self._invalid(solved, request)
        call, values = self.endpoint, solved.values
        if self.yields:
            return self._stream(call(**values), solved)
        if self.kind == "coroutine":
            result = await call(**values)
        else:
            result = await run_in_threadpool(call, **values)
        return self._response_of(result, solved, request)

    def _stream(self, source: Any, solved: Solved) -> AnyResponse:
        options = self._options(solved)
        response: AnyResponse
        if self.is_sse_stream:
            response = EventsResponse(source, self.encode_item, **options)
        elif self.is_json_stream:
            response = JSONLinesResponse(source, self.encode_item, **options)
        else:
            response = self.response_class(source, **options)
        return _with_headers(response, solved)

    def _response_of(self, result: Any, solved: Solved, request: Request) -> AnyResponse:
        if isinstance(result, AnyResponse):
            if result.background is None:
                result.background = solved.background
            return result
        options = self._options(solved)
        try:
            if isinstance(self.response_class, DefaultPlaceholder):
                content = self.encode(result)
                response = Response(content, media_type="application/json", **options)
            else:
                response = self.response_class(self._content(result), **options)
        except ResponseValidationError as error:
            raise self._located(error, request) from None
        if not allows_body(response.status_code):
            response.body = b""
        return _with_headers(response, solved)

    def _options(self, solved: Solved) -> dict[str, Any]:
        asked = None if solved.response is None else solved.response.status_code
        status = asked or self.status_code
        options: dict[str, Any] = {} if status is None else {"status_code": status}
        return {**options, "background": solved.background}

    # Errors

    def _invalid(self, solved: Solved, request: Request) -> RequestValidationError:
        context = self.context(request.method, request.scope)
        return RequestValidationError(solved.errors, body=solved.body, endpoint_ctx=context)

    def _located(self, error: ResponseValidationError, request: Request) -> ResponseValidationError:
        error.endpoint_ctx = self.context(request.method, request.scope)
        return error


def _with_headers(response: AnyResponse, solved: Solved) -> AnyResponse:
    if solved.response is not None:
        response.headers.raw.extend(solved.response.headers.raw)
    return response
