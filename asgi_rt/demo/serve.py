"""`asgi-rt demo`: the demo app under uvicorn, on the first port that is free."""

from typing import Final

from asgi_rt.demo.app import app
from asgi_rt.server.run import run

__all__ = ["serve"]

_SPARE_PORTS: Final = 20


def serve(port: int) -> None:
    """Serve until Ctrl-C; on another port, and say so, where this one is taken."""

    def announce(url: str) -> None:
        if port and not url.endswith(f":{port}"):
            print(f"Port {port} is taken.")
        print(f"The demo is at {url}\nPress Ctrl-C to stop it.", flush=True)

    print("Starting the demo ...", flush=True)
    run(app, port=port, spare_ports=_SPARE_PORTS, log_level="warning", on_listening=announce)
