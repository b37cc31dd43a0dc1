"""Which exception becomes which response."""

import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeAlias

from asgi_rt.errors import HTTPError
from asgi_rt.http.request import Request
from asgi_rt.http.response import Response, TextResponse, problem_response

__all__ = ["UNHANDLED", "ErrorHandler", "ErrorHandlers"]

ErrorHandler: TypeAlias = Callable[[Request, Any], Any]
"""Takes the request and the exception; returns, or is awaited for, what a handler may return."""

UNHANDLED: Final = object()
"""What `response_to` gives for an error that nobody expected; None is an answer: 204."""
_PLAIN_500: Final = HTTPError(500)


class ErrorHandlers:
    """Handlers of exceptions, by class and by status."""

    def __init__(self, *, debug: bool) -> None:
        self.debug = debug
        self._by_class: dict[type[Exception], ErrorHandler] = {}
        self._by_status: dict[int, ErrorHandler] = {}

    def add(self, key: type[Exception] | int, handler: ErrorHandler) -> None:
        """Register a handler. `Exception` and 500 are the same: whatever nothing else handles."""
        if isinstance(key, int):
            if not 400 <= key <= 599:
                raise ValueError(f"an error handler is for a 4xx or 5xx status, not {key}")
            self._by_status[key] = handler
        elif isinstance(key, type) and issubclass(key, Exception):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            self._by_class[key] = handler
        else:
            raise TypeError(f"an error handler is for an exception class or a status, not {key!r}")

    async def response_to(self, error: Exception, request: Request) -> Any:
        """What answers an error that is expected: an HTTPError, or one of a registered class.

        UNHANDLED for any other. What a failing handler raises is raised.
        """
        handler = self._find(error)
        if handler is not None:
            return await _call(handler, request, error)
        return problem_response(error) if isinstance(error, HTTPError) else UNHANDLED

    def _find(self, error: Exception) -> ErrorHandler | None:
        if isinstance(error, HTTPError) and error.status_code in self._by_status:
            return self._by_status[error.status_code]
        for parent in type(error).__mro__:
            if parent is Exception:
                break
            if parent in self._by_class:
                return self._by_class[parent]
        return None

    def answers_to_crash(self, error: Exception, request: Request) -> Iterator[Awaitable[Any]]:
        """What answers an error that nobody expected: the handler's answer, then a plain 500.

        The second is for where the first fails. It tells nothing of the error unless `debug`.
        """
        handler = self._by_class.get(Exception) or self._by_status.get(500)
        if handler is not None:
            yield _call(handler, request, error)
        yield _plain(_traceback(error) if self.debug else problem_response(_PLAIN_500))


async def _plain(response: Response) -> Response:
    return response


async def _call(handler: ErrorHandler, request: Request, error: Exception) -> Any:
    result = handler(request, error)
    return await result if inspect.isawaitable(result) else result


def _traceback(error: Exception) -> Response:
    return TextResponse("".join(traceback.format_exception(error)), 500)
