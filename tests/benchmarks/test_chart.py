"""The charts show the figures of a run, all of them, where the scales say they are."""

import json
import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks import command, results
from benchmarks.chart import INKS, charts, write_charts
from benchmarks.harness.layers import SETTING, Kind, Layers, stacks
from benchmarks.svg import Scale, log_ticks, spread

COUNTS = (1, 5, 20)
SVG = "{http://www.w3.org/2000/svg}"


def times():
    """Microseconds that tell which layers they are of."""
    cost = {Kind.BASE_HTTP: 75.0, Kind.DISPATCH: 4.25, Kind.HOOK: 1.6, Kind.BY_HAND: 0.6}
    return {layers: 7.5 + cost[layers.kind] * layers.count for layers in stacks(COUNTS, SETTING)}


def rates():
    return {layers: round(1e6 / (25 + time)) for layers, time in times().items()}


def result_of(times, rates, app="starlette"):
    scenarios = {}
    for name, key, figures in (
        ("middleware-json-inprocess", "us", times),
        ("middleware-json-uvicorn", "rps", rates),
    ):
        if figures is not None:
            scenarios[name] = {
                "arms": [
                    {"label": layers.label(app), "medians": {} if figure is None else {key: figure}}
                    for layers, figure in figures.items()
                ]
            }
    return {
        "format": 1,
        "started": "2026-01-31T09:15:00+00:00",
        "machine": {"cpu": "AMD EPYC", "cores": 2},
        "python": {"implementation": "CPython", "version": "3.11.7"},
        "scenarios": scenarios,
    }


@pytest.fixture
def picture():
    return ElementTree.fromstring(charts(result_of(times(), rates()))["starlette"])


def test_every_time_is_drawn_where_the_axes_say(picture):
    x_ticks = ticks(picture, "x-tick", "x")
    y_ticks = ticks(picture, "y-tick", "y")
    drawn = set()
    for dot in picture.iter(f"{SVG}circle"):
        count = round(value_at(float(dot.get("cx")), x_ticks), 1)
        # The base line of a label is 4 below the line that it names.
        time = 10 ** value_at(
            float(dot.get("cy")) + 4, {math.log10(v): y_ticks[v] for v in y_ticks}
        )
        drawn.add((ink_of(dot), count))
        kind = next(kind for kind, ink in INKS.items() if ink == ink_of(dot))
        expected = times()[Layers(kind, int(count)) if count else Layers()]
        assert time == pytest.approx(expected, rel=0.01)
    assert drawn == {(ink, count) for ink in INKS.values() for count in (0, *COUNTS)}


def test_every_curve_goes_through_its_dots(picture):
    curves = {ink_of(curve): points(curve) for curve in picture.iter(f"{SVG}polyline")}
    assert set(curves) == set(INKS.values())
    for ink, curve in curves.items():
        dots = [dot for dot in picture.iter(f"{SVG}circle") if ink_of(dot) == ink]
        assert curve == [(float(dot.get("cx")), float(dot.get("cy"))) for dot in dots]


def test_every_rate_is_as_long_as_it_is_large(picture):
    bars = of_class(picture, "rect", "bar")
    assert len(bars) == len(rates())
    per_pixel = max(rates().values()) / max(float(bar.get("width")) for bar in bars)
    widths = {title_of(bar).partition(":")[0]: float(bar.get("width")) for bar in bars}
    for layers, rate in rates().items():
        assert widths[name(layers)] * per_pixel == pytest.approx(rate, rel=0.005, abs=per_pixel)


def test_figures_are_written_beside_what_is_drawn(picture):
    said = {title_of(bar) for bar in of_class(picture, "rect", "bar")}
    assert said == {f"{name(layers)}: {n:,} requests per second" for layers, n in rates().items()}
    figures = [text.text for text in of_class(picture, "text", "figure")]
    assert sorted(figures) == sorted(f"{rate:,}" for rate in rates().values())
    said = {title_of(dot) for dot in picture.iter(f"{SVG}circle")}
    assert said == {f"{name(layers)}: {time:,.2f} µs" for layers, time in times().items()}


def test_who_cannot_see_it_is_told_everything(picture):
    assert picture.get("role") == "img"
    parts = picture.get("aria-labelledby").split()
    title, description = (picture.find(f"*[@id='{part}']").text for part in parts)
    assert title == "What layers of middleware cost a Starlette app"
    for layers, time in times().items():
        assert f"{name(layers)} {time:,.2f}" in description
    for layers, rate in rates().items():
        assert f"{name(layers)} {rate:,}" in description


def test_every_kind_is_named_in_its_own_colour(picture):
    named = {(text.text, ink_of(text)) for text in of_class(picture, "text", "name")}
    assert named == {(kind.value, ink) for kind, ink in INKS.items()}


def test_every_colour_has_one_for_the_dark(picture):
    light, _, dark = picture.find(f"{SVG}style").text.partition("prefers-color-scheme: dark")
    colour = re.compile(r"([^\s{}]+) \{ (?:fill: none; )?(?:fill|stroke): (#\w{6}); \}")
    in_light, in_dark = dict(colour.findall(light)), dict(colour.findall(dark))
    assert in_light.keys() == in_dark.keys()
    assert {f".{ink}" for ink in INKS.values()} <= in_light.keys()
    assert all(contrast(in_light[name], in_light[".back"]) > 4.5 for name in readable(in_light))
    assert all(contrast(in_dark[name], in_dark[".back"]) > 4.5 for name in readable(in_dark))


@pytest.mark.parametrize("app", ["starlette", "fastapi", "asgi_rt"])
def test_no_text_leaves_the_picture_or_covers_another(app):
    drawn = charts(result_of(times(), rates(), app))[app]
    picture = ElementTree.fromstring(drawn)
    boxes = [(text.text, *box(text)) for text in picture.iter(f"{SVG}text")]
    width, height = float(picture.get("width")), float(picture.get("height"))
    for at, (words, left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= width, words
        assert 0 <= top < bottom <= height, words
        for other, *side in boxes[at + 1 :]:
            apart = right <= side[0] or side[2] <= left or bottom <= side[1] or side[3] <= top
            assert apart, (words, other)


def test_same_figures_are_the_same_file():
    result = result_of(times(), rates())
    assert charts(result) == charts(json.loads(json.dumps(result)))


def test_arm_that_was_not_measured_is_not_drawn():
    some = {layers: None if layers.kind is Kind.HOOK else time for layers, time in times().items()}
    picture = ElementTree.fromstring(charts(result_of(some, None))["starlette"])
    assert not [dot for dot in picture.iter(f"{SVG}circle") if ink_of(dot) == INKS[Kind.HOOK]]
    assert [dot for dot in picture.iter(f"{SVG}circle") if ink_of(dot) == INKS[Kind.DISPATCH]]
    assert Kind.HOOK.value not in {text.text for text in picture.iter(f"{SVG}text")}


@pytest.mark.parametrize(
    ("drawn", "absent"), [("circle", "bar"), ("bar", "circle")], ids=["times", "rates"]
)
def test_panel_without_figures_is_left_out(drawn, absent):
    result = result_of(times() if drawn == "circle" else None, rates() if drawn == "bar" else None)
    svg = charts(result)["starlette"]
    assert drawn in svg
    assert absent not in svg


def test_untouched_layers_are_not_drawn():
    untouched = {Layers(Kind.BASE_HTTP_UNTOUCHED, 5): 400.0}
    drawn = charts(result_of(times() | untouched, None))
    assert drawn == charts(result_of(times(), None))


@pytest.mark.parametrize(("app", "other"), [("fastapi", "starlette"), ("asgi_rt", "fastapi")])
def test_app_without_figures_has_no_chart(app, other):
    made = charts(result_of(times(), rates(), app))
    assert list(made) == [app]
    assert other not in made


def test_charts_are_written_beside_the_result(tmp_path):
    (path,) = write_charts(result_of(times(), rates()), tmp_path / "run.json")
    assert path == tmp_path / "run-middleware-starlette.svg"
    assert path.read_text(encoding="utf-8").startswith("<svg ")


def test_command_draws_an_earlier_run(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(json.dumps(result_of(times(), rates())))
    assert command.main(["--chart", str(file)]) == 0
    drawn = tmp_path / "run-middleware-starlette.svg"
    assert drawn.read_text(encoding="utf-8") == charts(results.read(file))["starlette"]
    assert str(drawn) in capsys.readouterr().out


def test_command_says_that_there_is_nothing_to_draw(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(json.dumps(result_of(None, None)))
    assert command.main(["--chart", str(file)]) == 1
    assert "no figures of middleware" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.slow
@pytest.mark.parametrize("published", [True, False])
def test_only_a_published_run_is_drawn_at_once(published, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    place = ["--publish"] if published else ["--output", str(tmp_path / "local")]
    names = ["middleware-json-inprocess", "--only", "asgi_rt", "--smallest"]
    assert command.main([*names, *place]) == 0
    drawn = [path.name for path in tmp_path.rglob("*.svg")]
    assert len(drawn) == published
    assert all(name.endswith("-middleware-asgi_rt.svg") for name in drawn)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=20))
@example([999999.9999999999])
def test_ticks_enclose_the_values_and_are_of_one_two_five(values):
    ticks = log_ticks(values)
    assert len(ticks) > 1
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= min(values) <= max(values) <= ticks[-1]
    assert all(f"{tick:e}"[0] in "125" for tick in ticks)


@given(st.lists(st.floats(0, 500), max_size=8))
def test_labels_are_moved_apart_and_keep_their_order(positions):
    moved = spread(positions, 16)
    assert all(there >= here for here, there in zip(positions, moved, strict=True))
    ordered = sorted(moved)
    assert all(below - above >= 16 - 1e-6 for above, below in pairwise(ordered))


@pytest.mark.parametrize(
    ("scale", "value", "position"),
    [
        (Scale(0, 20, 100, 300), 5, 150),
        (Scale(10, 1000, 200, 0, is_log=True), 100, 100),
    ],
)
def test_scale_places_a_value(scale, value, position):
    assert scale(value) == pytest.approx(position)


def name(layers):
    return f"{layers.count} {layers.kind.value}" if layers.count else "no layers"


def ink_of(element):
    return element.get("class").split()[-1]


def title_of(element):
    return element.find(f"{SVG}title").text


def of_class(picture, tag, kind):
    return [e for e in picture.iter(f"{SVG}{tag}") if kind in e.get("class", "").split()]


def ticks(picture, kind, axis):
    """Positions by the values that stand at them."""
    found = of_class(picture, "text", kind)
    return {float(text.text.replace(",", "")): float(text.get(axis)) for text in found}


def value_at(position, ticks):
    """Read off an axis, whose first and last tick are given."""
    (low, start), (high, end) = min(ticks.items()), max(ticks.items())
    return low + (position - start) / (end - start) * (high - low)


def points(curve):
    return [tuple(map(float, point.split(","))) for point in curve.get("points").split()]


def box(text):
    """What a line of text covers, rather too wide than too narrow."""
    classes = text.get("class", "").split()
    size = 17 if "heading" in classes else 12 if "faint" in classes else 13
    width = len(text.text) * size * 0.56
    anchors = {"start": 0.0, "middle": width / 2, "end": width}
    left = float(text.get("x")) - anchors[text.get("text-anchor")]
    base = float(text.get("y"))
    return left, base - size * 0.8, left + width, base + size * 0.25


def readable(colours):
    """Everything but the lines of the grid and the ground, which need not stand out."""
    return colours.keys() - {".back", ".rule"}


def contrast(one, other):
    """The ratio that WCAG 2.2 defines, section 1.4.3: text needs 4.5."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
