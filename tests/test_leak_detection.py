"""The search for leaks in conftest.py finds them: each of these tests must fail."""

import shutil
import subprocess
import sys
from pathlib import Path

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
    "nothing": ("1 passed", "pass"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_fails_the_test(tmp_path, name):
    expected, code = LEAKS[name]
    shutil.copy(HERE / "conftest.py", tmp_path)
    shutil.copy(HERE.parent / "pyproject.toml", tmp_path)
    (tmp_path / "test_leak.py").write_text(f"""
import asyncio
import pytest
keep = []
async def gen():
    yield 1
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_leak(anyio_backend):
    {code}
""")
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "test_leak.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert expected in done.stdout, done.stdout
    assert (done.returncode == 0) == (name == "nothing"), done.stdout
