"""A tree of path segments. Pure: paths and methods in, targets and values out.

A node has one child for each literal, one for each kind of parameter, at most one for `path`
parameters, and at most one mount. Looking a path up visits the nodes that match it, so its cost
grows with the length of the path and not with the number of routes.

Two rules of precedence. `SPECIFIC`: literal before mixed before typed before `str` before `path`
before mounts, segment by segment, whatever the order of registration. `FIRST`: of all that match,
the one that was registered first.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

from asgi_rt.routing.patterns import (
    STR_RANK,
    Converter,
    Literal,
    Mixed,
    Param,
    Pattern,
    Rest,
    Segment,
)

__all__ = ["Found", "Leaf", "Precedence", "Tree"]

T = TypeVar("T")
Parse = Callable[[str], Any]


class Precedence(Enum):
    """Which of several routes that match a path is taken."""

    SPECIFIC = "specific"
    """The one whose pattern is the most specific, whatever the order of registration."""
    FIRST = "first"
    """The one that was registered first."""


@dataclass(slots=True)
class Leaf(Generic[T]):
    """One target, where its pattern ends."""

    target: T
    order: int
    names: tuple[str, ...]

    def params(self, values: list[Any]) -> dict[str, Any]:
        """The values by the names that this leaf's pattern gives them."""
        return dict(zip(self.names, values, strict=True))


@dataclass(slots=True)
class Found(Generic[T]):
    """A target, and what the path held for it."""

    target: T
    params: dict[str, Any]
    depth: int
    """How many segments a mount's prefix took; of a route, all of them."""


@dataclass(slots=True)
class _Child(Generic[T]):
    rank: int
    key: object
    parse: Parse
    is_mixed: bool
    """Whether `parse` gives several values, in a list."""
    node: "_Node[T]"


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    children: "list[_Child[T]]" = field(default_factory=list)
    rest: "_Node[T] | None" = None
    is_forked: bool = False
    """Whether there are other ways on than literals."""
    leaves: dict[str, Leaf[T]] = field(default_factory=dict)
    """By method."""
    mount: Leaf[T] | None = None


class Tree(Generic[T]):
    """Targets by pattern and method. Built once, then only read: any task may look up at once."""

    def __init__(self, precedence: Precedence = Precedence.SPECIFIC) -> None:
        self.precedence = precedence
        self._root: _Node[T] = _Node()
        self._forks: dict[str, _Node[T]] = {}
        """Nodes that are reached by literals alone and have other ways on, by the path to them."""
        self._count = 0

    def add(self, pattern: Pattern, method: str, target: T) -> T | None:
        """Put a target in its place. The one that stood there, if any, stays and is returned."""
        node = self._place(pattern.segments)
        present = node.leaves.get(method)
        if present is not None:
            return present.target
        node.leaves[method] = self._leaf(pattern, target)
        return None

    def replace(self, pattern: Pattern, method: str, target: T) -> None:
        """Put a target in the place of another one."""
        self._place(pattern.segments).leaves[method] = self._leaf(pattern, target)

    def add_mount(self, pattern: Pattern, target: T) -> T | None:
        """Put a target over every path that begins with the pattern, like `add`."""
        segments = pattern.segments
        if segments and segments[-1] == Literal(""):
            segments = segments[:-1]
        node = self._place(segments)
        if node.mount is not None:
            return node.mount.target
        node.mount = self._leaf(pattern, target)
        return None

    def _leaf(self, pattern: Pattern, target: T) -> Leaf[T]:
        self._count += 1
        return Leaf(target, self._count, tuple(pattern.converters))

    def _place(self, segments: tuple[Segment, ...]) -> _Node[T]:
        node = self._root
        literal = ""
        for at, segment in enumerate(segments):
            if not isinstance(segment, Literal):
                if literal.count("/") == at:
                    self._forks[literal] = node
            else:
                literal += "/" + segment.text
            node = _step(node, segment)
        return node

    def find(self, segments: list[str], method: str) -> Found[T] | None:
        """The target for a path, given as its decoded segments, and a method."""
        if self.precedence is Precedence.FIRST:
            return self._find_first(segments, method)
        values: list[Any] = []
        leaf = _find(self._root, segments, 0, values, method)
        if leaf is not None:
            return Found(leaf.target, leaf.params(values), len(segments))
        return None if self.methods(segments) else self._find_mount(segments)

    def find_route(self, path: str, method: str) -> tuple[T, dict[str, Any]] | None:
        """The route for a path without escapes, in the commonest case; None says nothing.

        The case is a path of which the last segment alone is not literal. It needs one look-up for
        all that is: a third of the time of `find`. Not for `Precedence.FIRST`.
        """
        head, _, last = path.rpartition("/")
        node = self._forks.get(head)
        if node is None or not last:
            return None
        for child in node.children:
            leaf = child.node.leaves.get(method)
            if leaf is None:
                continue
            try:
                value = child.parse(last)
            except ValueError:
                continue
            if child.is_mixed:
                return leaf.target, leaf.params(value)
            return leaf.target, {leaf.names[0]: value}
        return None

    def methods(self, segments: list[str]) -> set[str]:
        """The methods for which `find` would find a route."""
        methods: set[str] = set()
        for node, _, depth in _walk(self._root, segments, 0, []):
            if depth == len(segments):
                methods.update(node.leaves)
        return methods

    def _find_mount(self, segments: list[str]) -> Found[T] | None:
        """The mount with the longest prefix, the more specific where two are as long."""
        best: Found[T] | None = None
        for node, values, depth in _walk(self._root, segments, 0, []):
            if node.mount is not None and (best is None or depth > best.depth):
                best = Found(node.mount.target, node.mount.params(values), depth)
        return best

    def _find_first(self, segments: list[str], method: str) -> Found[T] | None:
        best: Leaf[T] | None = None
        found: Found[T] | None = None
        for node, values, depth in _walk(self._root, segments, 0, []):
            for leaf in (node.mount, node.leaves.get(method) if depth == len(segments) else None):
                if leaf is not None and (best is None or leaf.order < best.order):
                    best, found = leaf, Found(leaf.target, leaf.params(values), depth)
        return found

    def covering(self, pattern: Pattern, method: str) -> T | None:
        """A target that takes every path this pattern matches, registered before it. For FIRST."""
        for node, depth in _walk_covering(self._root, pattern.segments, 0):
            if node.mount is not None:
                return node.mount.target
            if depth == len(pattern.segments) and method in node.leaves:
                return node.leaves[method].target
        return None


def _step(node: _Node[T], segment: Segment) -> _Node[T]:
    """The child of a node for a segment, made if need be."""
    if isinstance(segment, Literal):
        return node.literals.setdefault(segment.text, _Node())
    node.is_forked = True
    if isinstance(segment, Rest):
        if node.rest is None:
            node.rest = _Node()
        return node.rest
    key: object = segment.shape if isinstance(segment, Mixed) else segment.converter
    for child in node.children:
        if child.key == key:
            return child.node
    child = _child(segment, key)
    node.children.append(child)
    node.children.sort(key=lambda each: each.rank)  # stable: equals stay in order of registration
    return child.node


def _child(segment: Param | Mixed, key: object) -> _Child[Any]:
    if isinstance(segment, Param):
        return _Child(segment.rank, key, segment.converter.parse, False, _Node())
    converters = [part.converter for part in segment.parts if isinstance(part, Param)]
    parse = _mixed_parser(segment.compile(), converters)
    return _Child(segment.rank, key, parse, True, _Node())


def _mixed_parser(shape: re.Pattern[str], converters: list[Converter]) -> Parse:
    def parse(text: str) -> list[Any]:
        match = shape.fullmatch(text)
        if match is None:
            raise ValueError(text)
        return [
            converter.parse(part)
            for converter, part in zip(converters, match.groups(), strict=True)
        ]

    return parse


def _find(
    node: _Node[T], segments: list[str], at: int, values: list[Any], method: str
) -> Leaf[T] | None:
    """The most specific route below a node, going back where a branch leads nowhere.

    The values on the way to it are added to `values`.
    """
    count = len(segments)
    while at < count and not node.is_forked:
        below = node.literals.get(segments[at])
        if below is None:
            return None
        node = below
        at += 1
    if at == count:
        return node.leaves.get(method)
    segment = segments[at]
    below = node.literals.get(segment)
    if below is not None:
        leaf = _find(below, segments, at + 1, values, method)
        if leaf is not None:
            return leaf
    known = len(values)
    for child in node.children if segment else ():
        try:
            value = child.parse(segment)
        except ValueError:
            continue
        if child.is_mixed:
            values.extend(value)
        else:
            values.append(value)
        below = child.node
        if at + 1 == count:  # one call less for nearly every path
            leaf = below.leaves.get(method)
        else:
            leaf = _find(below, segments, at + 1, values, method)
        if leaf is not None:
            return leaf
        del values[known:]
    return None if node.rest is None else _find_in_rest(node.rest, segments, at, values, method)


def _find_in_rest(
    node: _Node[T], segments: list[str], at: int, values: list[Any], method: str
) -> Leaf[T] | None:
    known = len(values)
    for end in range(len(segments), at, -1):
        values.append("/".join(segments[at:end]))
        leaf = _find(node, segments, end, values, method)
        if leaf is not None:
            return leaf
        del values[known:]
    return None


def _walk(
    node: _Node[T], segments: list[str], at: int, values: list[Any]
) -> Iterator[tuple[_Node[T], list[Any], int]]:
    """Every node that some beginning of the path reaches, the deeper ones first."""
    if at < len(segments):
        segment = segments[at]
        below = node.literals.get(segment)
        if below is not None:
            yield from _walk(below, segments, at + 1, values)
        for child in node.children if segment else ():
            try:
                value = child.parse(segment)
            except ValueError:
                continue
            taken = [*values, *value] if child.is_mixed else [*values, value]
            yield from _walk(child.node, segments, at + 1, taken)
        if node.rest is not None:
            for end in range(len(segments), at, -1):
                taken = [*values, "/".join(segments[at:end])]
                yield from _walk(node.rest, segments, end, taken)
    yield node, values, at


def _walk_covering(
    node: _Node[T], segments: tuple[Segment, ...], at: int
) -> Iterator[tuple[_Node[T], int]]:
    """Every node whose pattern matches whatever the segments match."""
    yield node, at
    if node.rest is not None:
        yield node.rest, len(segments)
    if at == len(segments):
        return
    segment = segments[at]
    if isinstance(segment, Literal):
        if segment.text in node.literals:
            yield from _walk_covering(node.literals[segment.text], segments, at + 1)
        for child in node.children:
            if segment.text and _parses(child.parse, segment.text):
                yield from _walk_covering(child.node, segments, at + 1)
    elif isinstance(segment, Param | Mixed):
        key: object = segment.shape if isinstance(segment, Mixed) else segment.converter
        for child in node.children:
            if child.key == key or child.rank == STR_RANK:
                yield from _walk_covering(child.node, segments, at + 1)


def _parses(parse: Parse, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
