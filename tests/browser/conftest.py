"""A real Chromium, driven by Playwright. Where one of the two is missing, the tests are skipped,
and the summary says so in one line.
"""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_process import TIMEOUT, ServerProcess

HERE = Path(__file__).parent
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _missing() -> str | None:
    if shutil.which("chromium") is None:
        return "no chromium on PATH"
    if importlib.util.find_spec("playwright") is None:
        return "the package playwright is not installed"
    return None


MISSING = _missing()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSING is not None:
        terminalreporter.write_line(f"browser tests skipped: {MISSING}")


@pytest.fixture(scope="session", autouse=True)
def _browser_is_there() -> None:
    if MISSING is not None:
        pytest.skip(f"browser tests: {MISSING}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Of one module, no longer: while it is open, Playwright's event loop runs in this thread, where
    # the tests of other modules have loops of their own.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page that knows `listen`, of listen.js."""
    with browser.new_context() as context:
        context.set_default_timeout(TIMEOUT * 1000)
        context.add_init_script(path=HERE / "listen.js")
        yield context.new_page()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server of `served.py`."""
    command = ("-m", "asgi_rt", "run", "served:app", "--port", "0", "--no-access-log")
    with ServerProcess(*command, cwd=HERE) as server:
        yield server
