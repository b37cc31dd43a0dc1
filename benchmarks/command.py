"""The command line: `python -m benchmarks`."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import results, targets
from benchmarks.chart import write_charts
from benchmarks.model import Plan, Scenario, Size
from benchmarks.peers import Peer
from benchmarks.results import LOCAL, RESULTS
from benchmarks.scenarios import SCENARIOS, named
from benchmarks.table import markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; the exit status is 1 only for a miss under --strict,
    or where there is nothing to draw."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        _print_list()
        return 0
    if options.show is not None:
        print(markdown(results.read(options.show)), end="")
        return 0
    if options.chart is not None:
        return _draw(options.chart)
    try:
        scenarios = named(options.scenario)
        only = _peer_names(options.only)
    except ValueError as error:
        parser.error(str(error))
    result = results.begin(_peers())
    _warn_of_company(result["machine"])
    for scenario in scenarios:
        _run(scenario, Plan(_size(scenario, options), only, scenario.peers), result)
    result["targets"] = targets.check(result)
    table = markdown(result)
    path = results.write(result, options.output, table)
    print(table)
    if options.smallest:
        print("The smallest sizes show that the scenarios run; their figures say nothing.")
    print(f"Written to {path}")
    if options.output == RESULTS:
        write_charts(result, path)
    missed = any(not target["met"] for target in result["targets"])
    return 1 if options.strict and missed else 0


def _run(scenario: Scenario, plan: Plan, result: results.Result) -> None:
    print(f"{scenario.name}: {scenario.measures}", file=sys.stderr, flush=True)
    arms = scenario.run(plan)
    for arm in arms:
        if arm.status != "measured":
            print(f"  {arm.label}: {arm.status}: {arm.reason}", file=sys.stderr)
    result["scenarios"][scenario.name] = results.scenario_record(scenario, plan, arms)


def _draw(path: Path) -> int:
    written = write_charts(results.read(path), path)
    for chart in written:
        print(f"Written to {chart}")
    if not written:
        print(f"{path} has no figures of middleware, and so no chart.", file=sys.stderr)
    return 0 if written else 1


def _warn_of_company(machine: dict[str, Any]) -> None:
    if machine["load_average"] > machine["cores"] / 2:
        print(
            f"The machine is busy (load average {machine['load_average']}): trust no figure.",
            file=sys.stderr,
        )


def _size(scenario: Scenario, options: argparse.Namespace) -> Size:
    size = scenario.smallest if options.smallest else scenario.normal
    asked = {
        "rounds": options.rounds,
        "seconds": options.duration,
        "connections": options.connections,
    }
    return replace(size, **{name: value for name, value in asked.items() if value is not None})


def _peers() -> list[Peer]:
    return [peer for scenario in SCENARIOS for peer in scenario.peers]


def _peer_names(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(","))
    known = list(dict.fromkeys(peer.name for peer in _peers()))
    if unknown := sorted(names.difference(known)):
        raise ValueError(f"no peer {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def _print_list() -> None:
    width = max(len(scenario.name) for scenario in SCENARIOS)
    for scenario in SCENARIOS:
        print(f"{scenario.name.ljust(width)}  {scenario.measures}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare asgi_rt with raw ASGI and with other frameworks.",
    )
    parser.add_argument(
        "scenario", nargs="*", help="which to run; without one, all but those that take long"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and stop")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print a result file and stop")
    parser.add_argument(
        "--chart",
        type=Path,
        metavar="FILE",
        help="draw the charts of a result file beside it, stop",
    )
    parser.add_argument("--smallest", action="store_true", help="only show that everything runs")
    parser.add_argument("--only", metavar="PEERS", help="peer names, separated by commas")
    parser.add_argument("--rounds", type=_positive(int), help="how often each peer is measured")
    parser.add_argument(
        "--duration", type=_positive(float), help="seconds of one measurement of one peer"
    )
    parser.add_argument("--connections", type=_positive(int), help="clients that load a server")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--output", type=Path, default=LOCAL, metavar="FOLDER", help="where the result goes"
    )
    place.add_argument(
        "--publish",
        dest="output",
        action="store_const",
        const=RESULTS,
        help="write to benchmarks/results, to be committed",
    )
    return parser


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    parse.__name__ = kind.__name__
    return parse
