"""The charts of a run: what layers of middleware cost an app, by their kind and their number."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness.layers import SETTING, Kind, Layers, stacks
from benchmarks.results import Result
from benchmarks.runs.middleware_inprocess import COUNTS
from benchmarks.svg import Drawing, Scale, log_ticks, spread

IN_PROCESS = "middleware-json-inprocess"
SERVED = "middleware-json-uvicorn"
APPS = {"starlette": "a Starlette", "fastapi": "a FastAPI", "asgi_rt": "an asgi_rt"}
INKS = {Kind.BASE_HTTP: "red", Kind.DISPATCH: "blue", Kind.HOOK: "green", Kind.BY_HAND: "grey"}

WORK = "GET, answered with a small JSON object; every layer sets a header of the response"

WIDTH = 760.0
LEFT = 64.0
RIGHT = WIDTH - 24
NAMES = 150.0
"""What the name of a kind takes, beside a curve or before a bar."""
BARS_LEFT = 236.0
TOP = 94.0
PANEL_TITLE = 26.0
CURVES_HEIGHT = 260.0
ROW = 19.0
GROUP_GAP = 26.0

Figures = dict[Layers, float]
"""Medians, of those layers that were measured."""


def charts(result: Result) -> dict[str, str]:
    """For each app behind middleware whose figures a run holds, its name and an SVG file.

    What was not measured is not drawn: an arm, or a panel of which no arm was.
    """
    drawn = {app: _chart(app, result) for app in APPS}
    return {app: svg for app, svg in drawn.items() if svg is not None}


def write_charts(result: Result, path: Path) -> list[Path]:
    """Write the charts of a run beside its file, which is at `path`."""
    written: list[Path] = []
    for app, svg in charts(result).items():
        written.append(path.with_name(f"{path.stem}-middleware-{app}.svg"))
        written[-1].write_text(svg, encoding="utf-8")
    return written


def _chart(app: str, result: Result) -> str | None:
    times = _figures(result, IN_PROCESS, app, "us")
    rates = _figures(result, SERVED, app, "rps")
    if not times and not rates:
        return None
    curves = PANEL_TITLE + CURVES_HEIGHT + 60 if times else 0.0
    bars = PANEL_TITLE + _bars_height(rates) if rates else 0.0
    title = f"What layers of middleware cost {APPS[app]} app"
    drawing = Drawing(WIDTH, TOP + curves + bars + 12, title, _in_words(times, rates))
    drawing.text(24, 34, title, "heading")
    drawing.text(24, 54, WORK, "faint")
    drawing.text(24, 71, _where(result), "faint")
    if times:
        _draw_curves(drawing, times, TOP)
    if rates:
        _draw_bars(drawing, rates, TOP + curves)
    return drawing.svg()


def _figures(result: Result, scenario: str, app: str, key: str) -> Figures:
    record = result["scenarios"].get(scenario, {"arms": ()})
    medians = {arm["label"]: arm["medians"].get(key) for arm in record["arms"]}
    found = {layers: medians.get(layers.label(app)) for layers in stacks(COUNTS, SETTING)}
    return {layers: figure for layers, figure in found.items() if figure is not None}


def _where(result: Result) -> str:
    machine, python = result["machine"], result["python"]
    system = f"{python['implementation']} {python['version']}"
    return f"{machine['cpu']}, {machine['cores']} cores, {system}, {result['started'][:10]}"


def _of_kind(figures: Mapping[Layers, float], kind: Kind) -> list[tuple[int, float]]:
    """Figures by the number of layers, beginning with none, which is of every kind."""
    return [
        (layers.count, figure)
        for layers, figure in figures.items()
        if layers.kind is kind or not layers.count
    ]


def _draw_curves(drawing: Drawing, times: Figures, top: float) -> None:
    drawing.text(24, top + 14, "µs per request in process, by the number of layers", "panel")
    ticks = log_ticks(times.values())
    upper = top + PANEL_TITLE + 8
    x = Scale(0, max(COUNTS), LEFT, RIGHT - NAMES)
    y = Scale(ticks[0], ticks[-1], upper + CURVES_HEIGHT, upper, is_log=True)
    for tick in ticks:
        drawing.rule(LEFT, y(tick), RIGHT - NAMES, y(tick))
        drawing.text(LEFT - 8, y(tick) + 4, f"{tick:,g}", "faint y-tick", "end")
    for count in (0, *COUNTS):
        drawing.text(x(count), y.start + 20, str(count), "faint x-tick", "middle")
    curves = {kind: points for kind in SETTING if len(points := _of_kind(times, kind)) > 1}
    for kind, points in curves.items():
        drawing.curve([(x(count), y(time)) for count, time in points], INKS[kind])
        for count, time in points:
            drawing.dot(
                x(count), y(time), ink=INKS[kind], says=f"{_name(kind, count)}: {time:,.2f} µs"
            )
    ends = spread([y(points[-1][1]) for points in curves.values()], 16)
    for (kind, points), end in zip(curves.items(), ends, strict=True):
        drawing.text(x(points[-1][0]) + 10, end + 4, kind.value, "name", ink=INKS[kind])


def _draw_bars(drawing: Drawing, rates: Figures, top: float) -> None:
    drawing.text(24, top + 14, "requests per second under uvicorn, one process", "panel")
    x = Scale(0, max(rates.values()), BARS_LEFT, RIGHT - 60)
    at = top + PANEL_TITLE
    for count, group in _groups(rates):
        heading = f"{count} layer{'s' if count > 1 else ''}" if count else "no layers"
        drawing.text(24, at + 14, heading, "faint")
        for kind, rate in group:
            ink = INKS[kind] if count else "grey"
            if count:
                drawing.text(BARS_LEFT - 8, at + 14, kind.value, "name", "end", ink)
            says = f"{_name(kind, count)}: {rate:,.0f} requests per second"
            drawing.bar(x(0), at + 2, x(rate) - x(0), ROW - 4, ink=ink, says=says)
            drawing.text(x(rate) + 6, at + 14, f"{rate:,.0f}", "figure")
            at += ROW
        at += GROUP_GAP - ROW


def _groups(rates: Figures) -> list[tuple[int, Sequence[tuple[Kind, float]]]]:
    counts = sorted({layers.count for layers in rates})
    return [
        (count, [(layers.kind, rate) for layers, rate in rates.items() if layers.count == count])
        for count in counts
    ]


def _bars_height(rates: Figures) -> float:
    return len(rates) * ROW + len(_groups(rates)) * (GROUP_GAP - ROW)


def _name(kind: Kind, count: int) -> str:
    return f"{count} {kind.value}" if count else "no layers"


def _in_words(times: Figures, rates: Figures) -> str:
    """Everything that is drawn, for who cannot see it."""
    sentences: list[str] = []
    if times:
        figures = [f"{_name(each.kind, each.count)} {time:,.2f}" for each, time in times.items()]
        sentences.append(f"Microseconds per request in process: {'; '.join(figures)}.")
    if rates:
        figures = [f"{_name(each.kind, each.count)} {rate:,.0f}" for each, rate in rates.items()]
        sentences.append(f"Requests per second under uvicorn: {'; '.join(figures)}.")
    return " ".join(sentences)
