"""The table of scenarios: a new one is a file in `benchmarks/runs/` and a row here."""

from benchmarks.harness.inprocess import MICROSECONDS
from benchmarks.model import Scenario, Size
from benchmarks.runs import request_inprocess, request_uvicorn, routes_inprocess

SMALLEST_INPROCESS = Size(rounds=2, seconds=0.001)
NORMAL_INPROCESS = Size(rounds=40, seconds=0.025)
SMALLEST_UVICORN = Size(rounds=1, seconds=0.1, connections=2)
NORMAL_UVICORN = Size(rounds=5, seconds=1.5, connections=32)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="json-inprocess",
        measures="GET /json, answered with a small JSON object, without a server",
        metrics=(MICROSECONDS,),
        run=request_inprocess.static_json,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
    ),
    Scenario(
        name="path-inprocess",
        measures="GET /items/42 with an int path parameter, without a server",
        metrics=(MICROSECONDS,),
        run=request_inprocess.path_parameter,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
    ),
    Scenario(
        name="routes-inprocess",
        measures="requests spread over all routes of an app, few and many, without a server",
        metrics=(MICROSECONDS,),
        run=routes_inprocess.many_routes,
        smallest=SMALLEST_INPROCESS,
        normal=NORMAL_INPROCESS,
    ),
    Scenario(
        name="json-uvicorn",
        measures="GET /json over keep-alive connections, one uvicorn worker",
        metrics=request_uvicorn.METRICS,
        run=request_uvicorn.static_json,
        smallest=SMALLEST_UVICORN,
        normal=NORMAL_UVICORN,
    ),
    Scenario(
        name="path-uvicorn",
        measures="GET /items/42 over keep-alive connections, one uvicorn worker",
        metrics=request_uvicorn.METRICS,
        run=request_uvicorn.path_parameter,
        smallest=SMALLEST_UVICORN,
        normal=NORMAL_UVICORN,
    ),
)


def named(names: list[str]) -> list[Scenario]:
    """The scenarios of these names in the order of the table; all of them for no name.

    Raises ValueError, with the names there are, for one that is not there.
    """
    known = [scenario.name for scenario in SCENARIOS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]
