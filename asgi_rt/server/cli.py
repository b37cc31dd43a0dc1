"""The command line: `asgi-rt run`, `asgi-rt routes`, `asgi-rt demo`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import asgi_rt
from asgi_rt.errors import AsgiRtError
from asgi_rt.server.routes import format_routes, has_routes
from asgi_rt.server.target import load_app, search_in

__all__ = ["main"]

_LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0, or 1 with one line on stderr that says what is wrong.

    Raises SystemExit with status 2 where the command line itself is wrong, and whatever the app's
    module raises while it is imported.
    """
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        command(**options)
    except AsgiRtError as error:
        print(f"asgi-rt: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asgi-rt", description="Serve and inspect ASGI apps.")
    parser.add_argument("--version", action="version", version=f"asgi-rt {asgi_rt.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="serve an app with uvicorn"))
    _add_routes(commands.add_parser("routes", help="print an app's routes"))
    _add_demo(commands.add_parser("demo", help="serve the demo and print its address"))
    return parser


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=_target, metavar="MODULE:APP", help="where the app is")
    parser.add_argument(
        "--app-dir", default=".", metavar="DIR", help="look for MODULE there first (default: .)"
    )
    parser.add_argument("--factory", action="store_true", help="APP makes the app when called")


def _add_run(parser: argparse.ArgumentParser) -> None:
    # What is not given is left to the defaults of `asgi_rt.server.run.Settings`.
    parser.set_defaults(command=partial(_run, parser))
    _add_target(parser)
    left_out: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--host", **left_out, help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, **left_out, help="default: 8000; 0 is any free one")
    parser.add_argument("--uds", metavar="PATH", **left_out, help="listen on a unix socket instead")
    processes = parser.add_mutually_exclusive_group()
    processes.add_argument(
        "--workers", type=_positive, metavar="N", **left_out, help="processes (default: 1)"
    )
    processes.add_argument(
        "--reload", action="store_true", **left_out, help="start again when a file changes"
    )
    parser.add_argument(
        "--grace",
        type=_seconds,
        metavar="SECONDS",
        **left_out,
        help="what is open gets that long on shutdown (default: the app's own grace, else 10)",
    )
    parser.add_argument("--root-path", **left_out, help="the path that a proxy serves the app at")
    parser.add_argument(
        "--proxy-headers",
        action=argparse.BooleanOptionalAction,
        **left_out,
        help="believe X-Forwarded-For and -Proto of trusted proxies (default: yes)",
    )
    parser.add_argument(
        "--forwarded-allow-ips",
        metavar="LIST",
        **left_out,
        help="the trusted proxies, comma-separated, * is all (default: this machine)",
    )
    parser.add_argument(
        "--ws-per-message-deflate",
        action="store_true",
        **left_out,
        help="let WebSockets compress: 52 KiB per idle connection in place of 18",
    )
    parser.add_argument("--log-level", choices=_LOG_LEVELS, **left_out, help="default: info")
    parser.add_argument(
        "--access-log",
        action=argparse.BooleanOptionalAction,
        **left_out,
        help="log every request (default: yes)",
    )


def _add_routes(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_routes)
    _add_target(parser)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_demo)
    parser.add_argument(
        "--port", type=_port, default=8000, help="default: 8000, or the next one that is free"
    )


def _target(text: str) -> str:
    module, _, attribute = text.partition(":")
    if not module or not attribute:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form module:app")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 up")
    return seconds


def _run(parser: argparse.ArgumentParser, target: str, **options: Any) -> None:
    if "uds" in options and not options.keys().isdisjoint({"host", "port"}):
        parser.error("--uds takes the place of --host and --port: give one or the other")
    # Imported here, as the other commands do without uvicorn.
    from asgi_rt.server.run import run

    run(target, **options)


def _routes(target: str, app_dir: str, *, factory: bool) -> None:
    search_in(app_dir)
    app = load_app(target, factory=factory)
    if not has_routes(app):
        kind = type(app).__qualname__
        raise AsgiRtError(f"{target} has no routes to print: it is a {kind}, not an asgi_rt App")
    print(format_routes(app))


def _demo(port: int) -> None:
    from asgi_rt.demo.serve import serve

    serve(port)
