"""The few shapes that a chart is made of, and the scales that place them.

Values in, elements out. A position has one decimal, so that the same figures are the same file.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

# (light, dark); written out, because not everything that shows an SVG knows variables.
INKS = {
    "red": ("#c93c37", "#ff7b72"),
    "blue": ("#0b62c4", "#6cb6ff"),
    "green": ("#1a7f37", "#57ab5a"),
    "grey": ("#6e7781", "#9da7b1"),
}
GROUNDS = {
    ".back": ("fill", "#ffffff", "#0d1117"),
    "text": ("fill", "#1f2328", "#f0f6fc"),
    ".faint": ("fill", "#59636e", "#9da7b1"),
    ".rule": ("stroke", "#d8dee4", "#30363d"),
}
SHAPES = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
.heading { font-size: 17px; font-weight: 600; }
.panel { font-weight: 600; }
.faint { font-size: 12px; }
.rule { stroke-width: 1; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
"""


def _colours(*, dark: bool) -> str:
    rules = [f"{name} {{ {what}: {pair[dark]}; }}" for name, (what, *pair) in GROUNDS.items()]
    for ink, pair in INKS.items():
        rules.append(f".{ink} {{ fill: {pair[dark]}; }}")
        rules.append(f".curve.{ink} {{ fill: none; stroke: {pair[dark]}; }}")
    return "\n".join(rules)


def _style() -> str:
    dark = f"@media (prefers-color-scheme: dark) {{\n{_colours(dark=True)}\n}}"
    return f"{SHAPES}{_colours(dark=False)}\n{dark}\n"


@dataclass(frozen=True, slots=True)
class Scale:
    """Places values from `low` to `high` between two positions, evenly or by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._of(self.low), self._of(self.high)
        return self.start + (self._of(value) - low) / (high - low) * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.is_log else value


def log_ticks(values: Iterable[float]) -> list[float]:
    """Of 1, 2, 5, 10, 20 and so on, those that enclose positive `values`, and all between them."""
    positive = list(values)
    # One less, as the logarithm of what is just below a power of ten is rounded to that power.
    first = math.floor(math.log10(min(positive))) - 1
    last = math.floor(math.log10(max(positive))) + 1
    steps = [m * 10.0**power for power in range(first, last + 1) for m in (1, 2, 5)]
    below = max(step for step in steps if step <= min(positive))
    above = min(step for step in steps if step >= max(positive) and step > below)
    return [step for step in steps if below <= step <= above]


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """The positions moved down as little as leaves `gap` between neighbours, in the order given."""
    moved = list(positions)
    taken = -math.inf
    for index in sorted(range(len(moved)), key=moved.__getitem__):
        taken = moved[index] = max(moved[index], taken + gap)
    return moved


class Drawing:
    """An SVG picture, with a title and a description for those who cannot see it."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self._root = Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "role": "img",
                "aria-labelledby": "chart-title chart-description",
            },
        )
        SubElement(self._root, "title", {"id": "chart-title"}).text = title
        SubElement(self._root, "desc", {"id": "chart-description"}).text = description
        SubElement(self._root, "style").text = _style()
        self._add("rect", "back", width=width, height=height)

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "start", ink: str = ""
    ) -> None:
        """A line of text whose base line begins, has its middle or ends (`anchor`) at `x`."""
        element = self._add("text", f"{kind} {ink}", x=x, y=y)
        element.set("text-anchor", anchor)
        element.text = text

    def rule(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._add("line", "rule", x1=x1, y1=y1, x2=x2, y2=y2)

    def curve(self, points: Sequence[tuple[float, float]], ink: str) -> None:
        element = self._add("polyline", f"curve {ink}")
        element.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))

    def dot(self, x: float, y: float, *, ink: str, says: str) -> None:
        """A point of a curve; `says` is its figure, for a reader who points at it."""
        dot = self._add("circle", f"dot {ink}", cx=x, cy=y, r=3.5)
        SubElement(dot, "title").text = says

    def bar(self, x: float, y: float, width: float, height: float, *, ink: str, says: str) -> None:
        bar = self._add("rect", f"bar {ink}", x=x, y=y, width=width, height=height)
        SubElement(bar, "title").text = says

    def svg(self) -> str:
        """The file."""
        indent(self._root, " ")
        return tostring(self._root, encoding="unicode") + "\n"

    def _add(self, tag: str, classes: str, **numbers: float) -> Element:
        attributes = {"class": classes.strip()} if classes.strip() else {}
        attributes |= {name: f"{number:.1f}" for name, number in numbers.items()}
        return SubElement(self._root, tag, attributes)
