"""Servers for the tests, ended with them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from server_process import ServerProcess

HERE = Path(__file__).parent

Start = Callable[..., ServerProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server, given what follows `python`, in the directory of `served.py`."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(ServerProcess(*arguments, cwd=HERE))


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path for a unix socket; pytest's own directories can be too long for one."""
    with tempfile.TemporaryDirectory() as directory:
        yield f"{directory}/s"
