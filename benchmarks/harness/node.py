"""Finds Node and the packages that were installed for it, which Python's own tools do not know."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

from benchmarks.harness.server import HOST

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("benchmarks/results/local/node")
"""Where the packages are, below the root of the checkout; git ignores it."""
MODULES = ROOT / FOLDER / "node_modules"


class NodeMissing(ImportError):
    """Node or a package of it is not installed; the text says how to get it."""


def command(*packages: str) -> str:
    """The path of Node. Raises NodeMissing unless it and all the packages are there."""
    node = shutil.which("node")
    if node is None:
        raise NodeMissing("node is not installed")
    for package in packages:
        if package_version(package) is None:
            install = f"npm install --prefix {FOLDER} {package}"
            raise NodeMissing(f"the npm package {package} is not installed: {install}")
    return node


def become(command: str, program: Path, port: str) -> NoReturn:
    """Turn this process into Node running `program`, so that the process watched is the server."""
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    os.execve(command, [command, str(program), HOST, port], environment)


def package_version(package: str) -> str | None:
    """The installed version of an npm package, or None."""
    try:
        version: str = json.loads((MODULES / package / "package.json").read_text())["version"]
    except OSError:
        return None
    return version


def node_version() -> str | None:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().removeprefix("v") or None
