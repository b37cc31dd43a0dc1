"""How an app's call ended, and what the test is told about it."""

from typing import cast

import httpx2

from asgi_rt.errors import WebSocketClosed
from asgi_rt.testing.errors import (
    AppError,
    ClientGoneError,
    CloseTimeoutError,
    IncompleteResponseError,
)
from asgi_rt.testing.options import ServerOptions
from asgi_rt.testing.task import PlainTask, TaskCancelledError

__all__ = ["Outcome"]


class Outcome:
    """What went wrong in one exchange, if anything did. It is raised once, the original object."""

    def __init__(
        self,
        name: str,
        request: httpx2.Request,
        options: ServerOptions,
        *,
        disconnect: str = "http.disconnect",
    ) -> None:
        self.error: BaseException | None = None
        self._name = name
        self._request = request
        self._timeout = options.close_timeout
        self._raises = options.raise_server_exceptions
        self._disconnect = disconnect
        self._is_raised = False

    def upload_failed(self, error: BaseException) -> None:
        """The caller's own iterable raised: that is raised whatever the options say."""
        self.error = error
        self._raises = True

    def app_ended(
        self, task: PlainTask, *, is_excused: bool, sent: str, is_over: bool = False
    ) -> None:
        """Judge the end of `task`: `is_excused` when it owed nothing more, having sent `sent`.

        `is_over` when it was a WebSocket's, whose connection is over.
        """
        if self.error is not None or task.is_cancelled:
            return
        if isinstance(task.error, TaskCancelledError):
            self.error = AppError(
                f"{self._name}: the app's task was cancelled, and not by the client"
            )
        elif task.error is not None:
            self.error = None if _is_goodbye(task.error, is_over=is_over) else task.error
        elif not is_excused:
            self.error = IncompleteResponseError(f"{self._name}: the app ended after {sent}")

    def raise_once(self) -> None:
        """Raise what went wrong, unless that was done before or server exceptions are off."""
        if self._raises and not self._is_raised and self.error is not None:
            self._is_raised = True
            raise self.error

    def raise_broken_off(self, *, is_disconnected: bool, sent: str) -> None:
        """Say to a reader why there is nothing more to read."""
        self.raise_once()
        if is_disconnected:
            raise httpx2.ReadError(
                f"{self._name}: the client has disconnected", request=self._request
            )
        raise httpx2.RemoteProtocolError(
            f"{self._name}: the response breaks off after {sent}", request=self._request
        ) from self.error

    def raise_close_timeout(self, task: PlainTask) -> None:
        """Say that the app had to be cancelled."""
        how = "it has been cancelled" if task.is_done else "it does not end when cancelled either"
        raise CloseTimeoutError(
            f"{self._name}: the app was still running {self._timeout} seconds after its client was "
            f"done with it; {how}. End it on {self._disconnect}, or set close_timeout"
        ) from task.error


def _is_goodbye(error: BaseException, *, is_over: bool) -> bool:
    """Whether this is nothing but the disconnect, on its way out of the app."""
    if isinstance(error, BaseExceptionGroup):
        errors = cast("tuple[BaseException, ...]", error.exceptions)
        return all(_is_goodbye(each, is_over=is_over) for each in errors)
    if is_over and isinstance(error, WebSocketClosed):
        return True
    # Starlette's, FastAPI's and Litestar's handlers end with an exception of this name.
    if is_over and type(error).__name__ == "WebSocketDisconnect":
        return True
    return isinstance(error, ClientGoneError)
