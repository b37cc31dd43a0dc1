"""Serving an app with uvicorn, so that it goes down cleanly whatever is open.

The only module that imports uvicorn.
"""

import asyncio
import copy
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from socket import socket
from types import FrameType
from typing import Any, Final

from asgi_rt.app import App
from asgi_rt.asgi import AnyASGIApp
from asgi_rt.errors import AsgiRtError, MissingExtra
from asgi_rt.server.listen import Listening, listen_tcp, listen_unix
from asgi_rt.server.target import check_app, load_app, search_in
from asgi_rt.websocket.link import DRAIN_SPREAD

try:
    from uvicorn import Config, Server
    from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE
    from uvicorn.supervisors import ChangeReload, Multiprocess
except ModuleNotFoundError as error:
    if error.name != "uvicorn":
        raise
    raise MissingExtra("uvicorn", "standard", "serving an app") from None

__all__ = ["Settings", "run"]

_DEFAULT_GRACE: Final = 10.0
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_logger = logging.getLogger("asgi_rt.server")


def _log_address(url: str) -> None:
    _logger.info("serving %s (Ctrl-C stops it)", url)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve an app."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 is any free port."""
    spare_ports: int = 0
    """How many ports above `port` may be taken instead, where it is in use."""
    uds: str | None = None
    """The path of a unix socket to listen on, instead of host and port."""
    workers: int = 1
    """How many processes; more than one needs the app as `module:attribute`."""
    reload: bool = False
    """Whether to start again when a file changes; needs the app as `module:attribute`."""
    grace: float | None = None
    """Seconds that what is open gets on shutdown; None is the app's own `grace`, or 10."""
    app_dir: str = "."
    """Where to look for the module first."""
    factory: bool = False
    """Whether what was named makes the app when it is called."""
    root_path: str = ""
    proxy_headers: bool = True
    """Whether X-Forwarded-For and -Proto are believed, from `forwarded_allow_ips`."""
    forwarded_allow_ips: str | None = None
    """Comma-separated; None is $FORWARDED_ALLOW_IPS, or this machine."""
    ws_per_message_deflate: bool = False
    """Whether WebSockets may compress: 52 KiB for each idle connection in place of 18."""
    log_level: str = "info"
    access_log: bool = True
    on_listening: Callable[[str], None] = _log_address
    """Called with the address when clients are let in (with workers: just before)."""


def run(app: AnyASGIApp | str, **options: Any) -> None:
    """Serve `app` until SIGINT or SIGTERM; `options` are the fields of `Settings`.

    `app` is an application, or where to find it as `module:attribute`. On the signal the streams
    that are open get `grace` seconds, the lifespan is shut down, and this returns. Raises
    AsgiRtError, in one line, where there is nothing to serve or nowhere to listen, and where the
    app did not start. To be called from the main thread, which alone gets signals.
    """
    settings = Settings(**options)
    if isinstance(app, str):
        search_in(settings.app_dir)
    if settings.reload or settings.workers > 1:
        serve = _serve_reloading if settings.reload else _serve_in_workers
        if not isinstance(app, str):
            raise AsgiRtError("workers and reload need the app as 'module:attribute'")
    else:
        serve = _serve_here
        if isinstance(app, str):
            app = load_app(app, factory=settings.factory)
    config = _Config(app, settings)
    with _listen(settings) as listening, _restored_signals():
        serve(config, listening)


def _listen(settings: Settings) -> AbstractContextManager[Listening]:
    if settings.uds is not None:
        return listen_unix(settings.uds)
    return listen_tcp(settings.host, settings.port, spare_ports=settings.spare_ports)


class _Config(Config):
    """uvicorn's settings. It travels to worker processes, which find the app by themselves."""

    def __init__(self, app: Any, settings: Settings) -> None:
        super().__init__(
            app,
            workers=settings.workers,
            reload=settings.reload,
            reload_dirs=[settings.app_dir] if settings.reload else None,
            root_path=settings.root_path,
            proxy_headers=settings.proxy_headers,
            forwarded_allow_ips=settings.forwarded_allow_ips,
            ws_per_message_deflate=settings.ws_per_message_deflate,
            log_config=_log_config(settings.log_level),
            log_level=settings.log_level,
            access_log=settings.access_log,
        )
        self.settings = settings

    def load_app(self) -> Any:
        found: Any = self.app
        app = self._find(found) if isinstance(found, str) else check_app(found, "what is to run")
        # Whole seconds: uvicorn's bound is the outer one, for what the app's own does not end.
        self.timeout_graceful_shutdown = math.ceil(_agree_on_grace(app, self.settings.grace))
        return app

    def _find(self, target: str) -> AnyASGIApp:
        """The app, in a worker process. The parent gives up on the status that this exits with."""
        try:
            return load_app(target, factory=self.settings.factory)
        except AsgiRtError as error:
            _logger.error("%s", error)
        except Exception:
            _logger.exception("%s could not be imported", target)
        sys.exit(STARTUP_FAILURE)


def _log_config(level: str) -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["asgi_rt"] = {
        "handlers": ["default"],
        "level": "DEBUG" if level == "trace" else level.upper(),
        "propagate": False,
    }
    return config


def _agree_on_grace(app: Any, grace: float | None) -> float:
    """Give the app, and the apps mounted in it, the grace that was asked for; say what holds."""
    if isinstance(app, App):
        if grace is not None:
            app.grace = app.background.grace = grace
            for mount in app.mounts:
                _agree_on_grace(mount.app, grace)
        return app.grace
    if isinstance(getattr(app, "grace", None), int | float):  # the adapter's FastAPI has one
        app.grace = app.grace if grace is None else grace
        return float(app.grace)
    return _DEFAULT_GRACE if grace is None else grace


class _Server(Server):
    def __init__(self, config: _Config, url: str) -> None:
        super().__init__(config)
        self._on_listening = config.settings.on_listening
        self._url = url

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_listening(self._url)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let the app send its WebSockets away one by one, before uvicorn does it all at once."""
        protocol: Any = self.config.ws_protocol_class
        for server in self.servers:
            server.close()
        if any(type(connection) is protocol for connection in self.server_state.connections):
            await asyncio.sleep(DRAIN_SPREAD)
        await super().shutdown(sockets)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal outside of `serve`.

        uvicorn raises again what it was ended by. It was obeyed by then: there is nothing to do,
        and no status but 0 to exit with.
        """
        self.should_exit = True


def _serve_here(config: _Config, listening: Listening) -> None:
    config.load()
    server = _Server(config, listening.url)
    if threading.current_thread() is threading.main_thread():
        for number in _STOP_SIGNALS:
            signal.signal(number, server.on_signal)
    try:
        server.run(listening.sockets)
    except SystemExit as failure:
        if failure.code != STARTUP_FAILURE:
            raise
        raise AsgiRtError("the app did not start; its error is told above") from None


def _serve_reloading(config: _Config, listening: Listening) -> None:
    config.settings.on_listening(listening.url)
    ChangeReload(config, target=Server(config).run, sockets=listening.sockets).run()


def _serve_in_workers(config: _Config, listening: Listening) -> None:
    # By this a worker knows that it is one of several: so a hub that reaches one alone can say so.
    os.environ["WEB_CONCURRENCY"] = str(config.settings.workers)
    config.settings.on_listening(listening.url)
    supervisor = Multiprocess(config, listening.sockets)
    _forward_at_once(supervisor)
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise AsgiRtError("the app did not start; its error is told above")


def _forward_at_once(supervisor: Multiprocess) -> None:
    """Pass the signal to stop to the workers when it comes.

    The supervisor looks for signals twice a second, and that would be taken from the grace.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        supervisor.signal_queue.append(number)
        for process in supervisor.processes:
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)

    for number in _STOP_SIGNALS:
        signal.signal(number, handle)


@contextmanager
def _restored_signals() -> Generator[None, None, None]:
    """Leave the handlers of the signals to stop as they were; only the main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = [(number, signal.getsignal(number)) for number in _STOP_SIGNALS]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
