"""A run as a Markdown table, from its file or fresh."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.results import Result


def markdown(result: Result) -> str:
    """Everything that a reader of a run needs, one table per scenario."""
    parts = [_heading(result)]
    parts += [_scenario(name, record) for name, record in result["scenarios"].items()]
    if result["targets"]:
        parts.append(_targets(result["targets"]))
    parts.append(_packages(result["packages"]))
    return "\n\n".join(parts) + "\n"


def _heading(result: Result) -> str:
    machine, python, git = result["machine"], result["python"], result["git"]
    commit = (git["commit"] or "no commit")[:12] + (" with local changes" if git["dirty"] else "")
    return "\n".join(
        [
            f"# Benchmarks, {result['started']}",
            "",
            f"{machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['kernel']}, "
            f"{python['implementation']} {python['version']}, {commit}, "
            f"load average {machine['load_average']} at the start.",
        ]
    )


def _scenario(name: str, record: dict[str, Any]) -> str:
    parameters = record["parameters"]
    size = f"{parameters['rounds']} rounds of {parameters['seconds']:g} s"
    if parameters["connections"] > 1:
        size += f", {parameters['connections']} connections"
    metrics = record["metrics"]
    heads = ["", *(metric["title"] for metric in metrics), "ratio", "to"]
    rows = [_row(arm, metrics) for arm in record["arms"]]
    notes = [_left_out(arm) for arm in record["arms"] if arm["status"] != "measured"]
    body = "\n".join([_table(heads, rows), *notes])
    return f"## {name}\n\n{record['measures']}; medians of {size}.\n\n{body}"


def _row(arm: dict[str, Any], metrics: Sequence[dict[str, Any]]) -> list[str]:
    if arm["status"] != "measured":
        return [arm["label"], arm["status"], *[""] * (len(metrics) + 1)]
    medians = arm["medians"]
    figures = [
        f"{medians[metric['key']]:,.{metric['digits']}f}" if metric["key"] in medians else "-"
        for metric in metrics
    ]
    ratio = "-" if arm["ratio"] is None else f"{arm['ratio']:.2f}"
    return [arm["label"], *figures, ratio, arm["reference"] or ""]


def _left_out(arm: dict[str, Any]) -> str:
    how = "stalled" if arm["status"] == "stalled" else f"left out, {arm['status']}"
    return f"\n{arm['label']} {how}: {' '.join(arm['reason'].split())}"


def _targets(targets: Iterable[dict[str, Any]]) -> str:
    rows = [
        [
            "met" if target["met"] else "missed",
            target["promise"],
            "not measured" if target["value"] is None else f"{target['value']:.2f}",
        ]
        for target in targets
    ]
    return f"## Targets\n\n{_table(['', 'promise', 'value'], rows)}"


def _packages(packages: dict[str, str | None]) -> str:
    return "Packages: " + ", ".join(f"{name} {found or 'none'}" for name, found in packages.items())


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = [_line(heads, widths), _line(["-" * width for width in widths], widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
