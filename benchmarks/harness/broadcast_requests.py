"""The two requests by which a load talks to a server that broadcasts."""

import http.client
import time
from dataclasses import asdict
from urllib.parse import urlencode

from benchmarks.harness.broadcast import Publishing

LIMIT = 10.0
"""Seconds that a server may take to answer, and to see who has come and gone."""


class WrongAnswer(Exception):
    """The server did not answer as it must; the text says what was wrong."""


def publish(host: str, port: int, order: Publishing) -> None:
    """Have the server begin to publish. Raises WrongAnswer, OSError and HTTPException."""
    _get(host, port, f"/publish?{urlencode(asdict(order))}")


def await_subscribers(host: str, port: int, count: int) -> None:
    """Wait until the server knows of exactly `count`. Raises as `publish` does."""
    deadline = time.monotonic() + LIMIT
    while (known := _get(host, port, "/subscribers")) != str(count):
        if time.monotonic() > deadline:
            raise WrongAnswer(f"the server knows of {known[:20]} subscribers instead of {count}")
        time.sleep(0.02)


def _get(host: str, port: int, target: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT)
    try:
        connection.request("GET", target, headers={"connection": "close"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    finally:
        connection.close()
    if response.status // 100 != 2:
        raise WrongAnswer(f"GET {target}: status {response.status}, body {text[:80]!r}")
    return text
