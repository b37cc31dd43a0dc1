"""Runs a measuring process: what loads a server must not share the interpreter of anything else."""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from benchmarks.harness.server import ROOT


def run_order(module: str, order: Any, limit: float) -> dict[str, Any]:
    """The report that `module` prints for the dataclass `order`.

    Raises RuntimeError if it fails or takes more than `limit` seconds.
    """
    command = [sys.executable, "-m", module, json.dumps(asdict(order))]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the load generator did not end within {limit:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["nothing written"]
        raise RuntimeError(f"the load generator failed: {lines[-1]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
