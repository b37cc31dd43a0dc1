"""The search for leaks in conftest.py finds them: each of these tests must fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

HERE = Path(__file__).parent

LEAKS = {
    "a_task": ("tasks are left", "asyncio.ensure_future(asyncio.sleep(60))"),
    "a_generator": (
        "async generators are left open",
        "keep.append(begun := gen()); await anext(begun)",
    ),
    "a_socket": ("ResourceWarning", "import socket; socket.socket()"),
    "a_warning": ("DeprecationWarning", "import warnings; warnings.warn('x', DeprecationWarning)"),
}
NOTHING = "nothing"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each test, all run by one pytest; of the last, which leaves nothing, too."""
    directory = tmp_path_factory.mktemp("leaks")
    shutil.copy(HERE / "conftest.py", directory)
    shutil.copy(HERE.parent / "pyproject.toml", directory)
    tests = "\n".join(
        f"async def test_{name}(anyio_backend):\n    {code}\n"
        for name, code in [*((name, code) for name, (_, code) in LEAKS.items()), (NOTHING, "pass")]
    )
    (directory / "test_leaks.py").write_text(f"""
import asyncio
import pytest
pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])
keep = []
async def gen():
    yield 1
{tests}
""")
    report = directory / "report.xml"
    command = [sys.executable, "-m", "pytest", "--rootdir", str(directory), f"--junit-xml={report}"]
    # Where Hypothesis keeps its table of all characters, which it would make anew for seconds.
    env = {"HYPOTHESIS_STORAGE_DIRECTORY": str(HERE.parent / ".hypothesis"), **os.environ}
    command.append("test_leaks.py")
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    cases = ElementTree.parse(report).iter("testcase")
    return {
        case.attrib["name"].removeprefix("test_").partition("[")[0]: "".join(case.itertext())
        for case in cases
    }


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_fails_the_test(complaints, name):
    expected, _ = LEAKS[name]
    assert expected in complaints[name]


def test_a_test_that_leaves_nothing_passes(complaints):
    assert complaints[NOTHING] == ""
