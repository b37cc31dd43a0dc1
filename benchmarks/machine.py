"""The facts without which a figure says nothing: machine, Python, packages, commit."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness import node
from benchmarks.harness.cpu import cores_to_pin

ROOT = Path(__file__).resolve().parents[1]
SERVER_PACKAGES = ("uvicorn", "uvloop", "httptools", "websockets")


def machine_facts() -> dict[str, Any]:
    """Processor, cores, kernel, and how busy the machine is before anything is measured.

    `pinned` is the core of the servers and that of the load, or None where nothing is pinned.
    """
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "kernel": platform.release(),
        "pinned": cores_to_pin(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def python_facts() -> dict[str, str]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
    }


def package_versions(names: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each distribution, None for one that is not installed."""
    return {name: _version(name) for name in sorted({*names, *SERVER_PACKAGES})}


def git_facts() -> dict[str, Any]:
    """The commit that was measured and whether files differ from it; None where git cannot say."""
    # Results that are published one after another must not make each other look dirty.
    status = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return {
        "commit": _git("rev-parse", "--verify", "--quiet", "HEAD"),
        "dirty": None if status is None else bool(status),
    }


def machine_tag(machine: dict[str, Any]) -> str:
    """A short name for a machine, for file names: `amd-epyc-2-cores`."""
    words = re.sub(r"\(.*?\)|@.*|\bcpu\b|\bprocessor\b", " ", machine["cpu"].lower())
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:32].strip("-")
    return f"{slug or 'unknown'}-{machine['cores']}-cores"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    if name == "node":
        return node.node_version()
    if name.startswith("npm:"):
        return node.package_version(name.removeprefix("npm:"))
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
