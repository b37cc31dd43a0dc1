"""The tree against an oracle that knows no tree: each pattern is one regular expression."""

import contextlib
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asgi_rt.errors import RouteError
from asgi_rt.routing import Precedence, Router

ID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
METHODS = ["GET", "POST", "PUT"]


class Vowels:
    def parse(self, text):
        if not set(text) <= set("aeiou"):
            raise ValueError(text)
        return text.upper()

    def format(self, value):
        return value.lower()


# kind -> its rank, its regular expression within a segment, what makes a value of its text
KINDS: dict[str, tuple[int, str, Any]] = {
    "int": (2, "-?[0-9]+", int),
    "uuid": (2, "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", UUID),
    "float": (3, r"-?[0-9]+(?:\.[0-9]+)?", float),
    "vowels": (4, "[aeiou]+", str.upper),
    "str": (5, "[^/]+", str),
}
LITERALS = ["a", "1", "v1", "a.b", "", "é", "x y"]
PARAMS = ["{:int}", "{:uuid}", "{:float}", "{:vowels}", "{:str}"]
MIXED = ["v{:int}", "v{:str}", "{:str}.{:str}", "{:str}-{:int}", "{:int}-{:str}", "a{:str}b"]
TEXTS = {
    "{:int}": ["1", "-2"],
    "{:uuid}": [ID],
    "{:float}": ["1", "-2", "1.5"],
    "{:vowels}": ["a", "e", "ae"],
    "{:str}": [*LITERALS[:-3], "1.5", "é", "e", "a-5"],
    "v{:int}": ["v1", "v-2"],
    "v{:str}": ["v1", "vx", "v1.5"],
    "{:str}.{:str}": ["a.b", "a.b.c", "1.5", "v1.5"],
    "{:str}-{:int}": ["a-5", "a-b-5", "1--2"],
    "{:int}-{:str}": ["5-a", "5-a-b", "1--2", "-1-2"],
    "a{:str}b": ["axb", "a.b", "a--b"],
}
ANY_TEXT = sorted({*LITERALS, *(text for texts in TEXTS.values() for text in texts)})

route_segments = st.sampled_from([*LITERALS[:2], *LITERALS, *PARAMS, *PARAMS, *MIXED])


@dataclass
class Entry:
    """A route or a mount, as the oracle sees it."""

    label: str
    text: str
    methods: tuple[str, ...]  # none: a mount
    regex: re.Pattern[str]
    kinds: tuple[str, ...]
    segments: tuple[str, ...]

    @classmethod
    def of(cls, number: int, segments: tuple[str, ...], methods: tuple[str, ...]) -> "Entry":
        kinds: list[str] = []
        texts, regexes = [], []
        for segment in segments:
            text, regex = "", ""
            for part in re.split(r"(\{:\w+\})", segment):
                if part.startswith("{"):
                    kind = part[2:-1]
                    text += f"{{p{len(kinds)}{part[1:]}"
                    regex += "(.*)" if kind == "path" else f"({KINDS[kind][1]})"
                    kinds.append(kind)
                else:
                    text += part
                    regex += re.escape(part)
            texts.append(text)
            regexes.append(regex)
        prefix = "".join("/" + regex for regex in regexes)
        regex = re.compile(prefix if methods else prefix + "(?:/.*)?", re.DOTALL)
        text = "".join("/" + text for text in texts)
        return cls(f"r{number}", text, methods, regex, tuple(kinds), segments)

    def values(self, path: str) -> list[Any] | None:
        match = self.regex.fullmatch(path)
        if match is None:
            return None
        return [
            KINDS[kind][2](text) if kind != "path" else text
            for kind, text in zip(self.kinds, match.groups(), strict=True)
        ]

    def allows(self, method: str) -> bool:
        return not self.methods or method in self.methods or (method == "HEAD" and self.is_get)

    @property
    def is_get(self) -> bool:
        return "GET" in self.methods

    def key(self, path: str) -> tuple[tuple[Any, ...], ...]:
        """Sorts what matches a path by how specific it is, segment by segment."""
        key: list[tuple[Any, ...]] = []
        for segment in self.segments:
            kinds = re.findall(r"\{:(\w+)\}", segment)
            literal = re.sub(r"\{:\w+\}", "", segment)
            if not kinds:
                key.append((0, segment))
            elif kinds == ["path"]:
                key.append((6, path.count("/") - len(self.segments)))
            elif literal:
                ranks = tuple(KINDS[kind][0] for kind in kinds)
                shape = tuple(part.strip("{:}") for part in re.split(r"(\{:\w+\})", segment))
                key.append((1, -len(literal), ranks, tuple(part for part in shape if part)))
            else:
                key.append((KINDS[kinds[0]][0], kinds[0]))
        return (*key,) if self.methods else (*key, (7,))


@st.composite
def entries(draw: Any, *, with_mounts: bool = True) -> list[Entry]:
    found: list[Entry] = []
    for number in range(draw(st.integers(1, 9))):
        segments = draw(st.lists(route_segments, min_size=1, max_size=2))
        is_mount = with_mounts and draw(st.integers(0, 4)) == 0
        if is_mount:
            segments = segments[: draw(st.integers(0, 3))]
            if segments and not segments[-1]:
                segments[-1] = "a"  # a prefix does not end with a slash
        elif draw(st.integers(0, 3)) == 0:
            segments.insert(draw(st.integers(0, len(segments))), "{:path}")
        methods = () if is_mount else draw(st.sets(st.sampled_from(METHODS), min_size=1))
        found.append(Entry.of(number, tuple(segments), tuple(sorted(methods))))
    return found


@st.composite
def requests(draw: Any, among: list[Entry]) -> tuple[str, str]:
    """A path and a method that are likely to match an entry, and several if they can."""
    each = draw(st.sampled_from(among))
    segments: list[str] = []
    for segment in each.segments:
        if segment == "{:path}":
            segments += draw(st.lists(st.sampled_from(ANY_TEXT), min_size=1, max_size=3))
        elif draw(st.integers(0, 9)) == 0:
            segments.append(draw(st.sampled_from(ANY_TEXT)))
        else:
            segments.append(draw(st.sampled_from(TEXTS.get(segment, [segment]))))
    if not each.methods or draw(st.integers(0, 9)) == 0:
        segments += draw(st.lists(st.sampled_from(ANY_TEXT), max_size=3))
    method = draw(st.sampled_from([*METHODS, "HEAD", "DELETE", *each.methods * 3]))
    return "/" + "/".join(segments), method


async def handler(request): ...


async def app(scope, receive, send): ...


def register(router: Router, each: Entry) -> None:
    if each.methods:
        router.add_route(each.text, handler, methods=each.methods, name=each.label)
    else:
        router.mount(each.text, app, name=each.label)


def answer(router: Router, path: str, method: str) -> tuple[str, list[Any]] | None:
    found = router.tree.find(path.split("/")[1:], method)
    return None if found is None else (found.target.name, list(found.params.values()))


def first_match(among: list[Entry], path: str, method: str) -> tuple[str, list[Any]] | None:
    for each in among:
        values = each.values(path)
        if values is not None and each.allows(method):
            return each.label, values
    return None


def most_specific(among: list[Entry], path: str, method: str) -> tuple[str, list[Any]] | None:
    matching = [(each.key(path), each) for each in among if each.values(path) is not None]
    for key, each in sorted(matching, key=lambda pair: pair[0]):
        if not each.methods:
            prefix = key[:-1]
            if any(other.methods and at[: len(prefix)] == prefix for at, other in matching):
                continue  # a route below the prefix has the path, by another method
        if each.allows(method):
            values = each.values(path)
            assert values is not None
            return each.label, values
    return None


def routed_methods(among: list[Entry], path: str) -> set[str]:
    methods: set[str] = set()
    for each in among:
        if each.methods and each.values(path) is not None:
            methods |= {*each.methods, *(["HEAD"] if each.is_get else [])}
    return methods


def accepted(router: Router, among: list[Entry]) -> list[Entry]:
    """Register what can be, and return that."""
    kept = []
    for each in among:
        with contextlib.suppress(RouteError):
            register(router, each)
            kept.append(each)
    return kept


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_first_gives_the_first_that_matches(data):
    among = data.draw(entries())
    router = Router(precedence=Precedence.FIRST, converters={"vowels": Vowels()}, allow_hidden=True)
    for each in among:
        register(router, each)
    for _ in range(5):
        path, method = data.draw(requests(among))
        expected = first_match(among, path, method)
        assert answer(router, path, method) == expected
        if expected is None:  # otherwise nobody asks
            assert router.tree.methods(path.split("/")[1:]) == routed_methods(among, path)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_route_that_first_refuses_could_never_have_matched(data):
    among = data.draw(entries())
    router = Router(precedence=Precedence.FIRST, converters={"vowels": Vowels()})
    kept = accepted(router, among)
    refused = [each for each in among if each not in kept]
    assume(refused)
    for _ in range(5):
        path, _ = data.draw(requests(refused))
        for each in refused:
            hidden = [
                method
                for method in each.methods or METHODS
                if (first_match(among, path, method) or ("", 0))[0] != each.label
            ]
            assert hidden, f"{each.text} answers {path}"


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_specific_gives_the_most_specific_that_matches(data):
    router = Router(converters={"vowels": Vowels()})
    among = accepted(router, data.draw(entries()))
    for _ in range(5):
        path, method = data.draw(requests(among))
        assert answer(router, path, method) == most_specific(among, path, method)
        assert router.tree.methods(path.split("/")[1:]) == routed_methods(among, path)


@settings(deadline=None)
@given(st.data())
def test_specific_does_not_depend_on_the_order_of_registration(data):
    router, shuffled = (Router(converters={"vowels": Vowels()}) for _ in range(2))
    among = accepted(router, data.draw(entries()))
    for each in data.draw(st.permutations(among)):
        register(shuffled, each)
    for _ in range(5):
        path, method = data.draw(requests(among))
        assert answer(router, path, method) == answer(shuffled, path, method)


@settings(deadline=None, max_examples=150)
@given(st.data())
@pytest.mark.parametrize("precedence", Precedence)
def test_the_short_cuts_agree_with_the_tree(precedence, data):
    router = Router(precedence=precedence, converters={"vowels": Vowels()}, allow_hidden=True)
    among = accepted(router, data.draw(entries()))
    for _ in range(5):
        path, method = data.draw(requests(among))
        known = router.literals.get(path)
        quick = None
        if known is not None:
            quick = (known[method], {}) if method in known else None
        elif precedence is Precedence.SPECIFIC:
            quick = router.tree.find_route(path, method)
        if quick is not None:
            found = router.tree.find(path.split("/")[1:], method)
            assert found is not None
            assert (found.target, found.params) == quick
