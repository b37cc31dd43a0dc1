"""The file of a run: what was measured, where, with what, down to the raw samples."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.model import Arm, Plan, Scenario, median_ratio
from benchmarks.peers import Peer

RESULTS = Path(__file__).resolve().parent / "results"
LOCAL = RESULTS / "local"

Result = dict[str, Any]
"""A run as its file holds it."""


def begin(peers: Sequence[Peer]) -> Result:
    """A run without scenarios yet: when, on what machine, with which versions."""
    packages = [package for peer in peers for package in peer.packages]
    return {
        "format": 1,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.machine_facts(),
        "python": machine.python_facts(),
        "packages": machine.package_versions(packages),
        "git": machine.git_facts(),
        "scenarios": {},
        "targets": [],
    }


def scenario_record(scenario: Scenario, plan: Plan, arms: Sequence[Arm]) -> Result:
    """One scenario's part of a run: parameters, then per arm samples, medians and ratio."""
    primary = scenario.metrics[0].key
    samples = {arm.label: arm.samples.get(primary, []) for arm in arms}
    return {
        "measures": scenario.measures,
        "metrics": [asdict(metric) for metric in scenario.metrics],
        "parameters": asdict(plan.size),
        "arms": [
            {
                **asdict(arm),
                "reason": arm.reason.replace(f"{machine.ROOT}/", ""),
                "medians": {key: median(values) for key, values in arm.samples.items()},
                "ratio": median_ratio(samples[arm.label], samples.get(arm.reference or "", [])),
            }
            for arm in arms
        ],
    }


def file_stem(result: Result) -> str:
    """`2026-01-31T0915-amd-epyc-2-cores`: the time is UTC."""
    moment = datetime.fromisoformat(result["started"]).strftime("%Y-%m-%dT%H%M%S")
    return f"{moment}-{machine.machine_tag(result['machine'])}"


def write(result: Result, folder: Path, markdown: str) -> Path:
    """Write the JSON file and its table beside it; the path is that of the JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_stem(result)}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown, encoding="utf-8")
    return path


def read(path: Path) -> Result:
    """A run as it was written. Raises ValueError for a file of another format."""
    result: Result = json.loads(path.read_text(encoding="utf-8"))
    if result.get("format") != 1:
        raise ValueError(f"{path}: not a result file of format 1")
    return result
