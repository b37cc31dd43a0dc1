"""A tree of path segments. Pure: paths and methods in, targets and values out.

A node has one child for each literal, one for each kind of parameter, at most one for `path`
parameters, and at most one mount. Looking a path up visits the nodes that match it, so its cost
grows with the length of the path and not with the number of routes. (Segments that mix text and
parameters are tried one after the other, where many different ones stand at the same place.)

Two rules of precedence. `SPECIFIC`: literal before mixed before typed before `str` before `path`
before mounts, segment by segment, whatever the order of registration; of two `path` parameters the
one that takes less. `FIRST`: of all that match, the one that was registered first.
"""

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from asgi_rt.routing.patterns import Literal, Mixed, Param, Pattern, Rest, Segment

__all__ = ["WEBSOCKET", "Found", "Leaf", "Precedence", "Tree"]

WEBSOCKET: Final = "websocket "
"""Stands where a request's method does. No request can name it, as a method has no space."""

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
    depth: int | None
    """Of a mount: how many segments its prefix has. None for a route."""

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
    """The way on from a node for one kind of parameter."""

    order: tuple[Any, ...]
    key: object
    takes_anything: bool
    parse: Parse
    is_mixed: bool
    """Whether `parse` gives several values, in a list."""
    node: "_Node[T]"


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    children: "list[_Child[T]]" = field(default_factory=list)
    """The most specific first."""
    by_key: "dict[object, _Child[T]]" = field(default_factory=dict)
    rest: "_Node[T] | None" = None
    is_forked: bool = False
    """Whether there are other ways on than literals; a mount is one."""
    leaves: dict[str, Leaf[T]] = field(default_factory=dict)
    """By method."""
    mount: Leaf[T] | None = None
    height: int = 0
    """How many segments the longest pattern through this node has after it."""


class Tree(Generic[T]):
    """Targets by pattern and method. Built once, then only read: any task may look up at once."""

    def __init__(self, precedence: Precedence = Precedence.SPECIFIC) -> None:
        self.precedence = precedence
        self._root: _Node[T] = _Node()
        self._forks: dict[str, _Node[T]] = {}
        """Nodes that are reached by literals alone and have other ways on, by the path to them."""
        self._count = 0

    def get(self, pattern: Pattern, method: str) -> T | None:
        """What stands in the place of this pattern, for this method."""
        leaf = self._place(pattern.segments).leaves.get(method)
        return None if leaf is None else leaf.target

    def put(self, pattern: Pattern, method: str, target: T) -> None:
        """Put a target in its place, whatever stood there."""
        self._place(pattern.segments).leaves[method] = self._leaf(pattern, target)

    def get_mount(self, prefix: Pattern) -> T | None:
        """What is mounted at this very prefix."""
        mount = self._place(prefix.segments).mount
        return None if mount is None else mount.target

    def put_mount(self, prefix: Pattern, target: T) -> None:
        """Put a target over every path that begins with the prefix, which has no `path` in it."""
        node = self._place(prefix.segments)
        node.is_forked = True
        node.mount = self._leaf(prefix, target, len(prefix.segments))

    def _leaf(self, pattern: Pattern, target: T, depth: int | None = None) -> Leaf[T]:
        self._count += 1
        return Leaf(target, self._count, tuple(pattern.converters), depth)

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
            node.height = max(node.height, len(segments) - at - 1)
        return node

    def find(self, segments: list[str], method: str) -> Found[T] | None:
        """The target for a path, given as its decoded segments, and a method."""
        if self.precedence is Precedence.FIRST:
            return self._find_first(segments, method)
        values: list[Any] = []
        leaf = _find(self._root, segments, 0, values, method)
        if leaf is None:
            return None
        depth = len(segments) if leaf.depth is None else leaf.depth
        return Found(leaf.target, leaf.params(values), depth)

    def find_route(self, path: str, method: str) -> tuple[T, dict[str, Any]] | None:
        """The route for a path without escapes, in the commonest case; None says nothing.

        The case is a path of which the last segment alone is not literal. It needs one look-up for
        all that is: a third of the time of `find`. Not for `Precedence.FIRST`, and not for a path
        that a pattern or a mount without parameters has.
        """
        head, _, last = path.rpartition("/")
        node = self._forks.get(head)
        if node is None or not last:
            return None
        for child in node.children:
            leaf = child.node.leaves.get(method)
            if leaf is None:
                if child.node.mount is not None:
                    return None
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
        """The methods, of HTTP, for which a route matches."""
        return _methods(self._root, segments, 0)

    def _find_first(self, segments: list[str], method: str) -> Found[T] | None:
        best: Leaf[T] | None = None
        found: Found[T] | None = None
        for node, values, depth in _walk(self._root, segments, 0, []):
            for leaf in (node.mount, node.leaves.get(method) if depth == len(segments) else None):
                if leaf is not None and (best is None or leaf.order < best.order):
                    best, found = leaf, Found(leaf.target, leaf.params(values), depth)
        return found

    def reached(self, segments: list[str]) -> "Iterator[tuple[_Node[T], list[Any], int]]":
        """The nodes that some beginning of the path leads to, the values on the way to each, and
        how many segments it took: for rules of precedence that are none of those here.

        Nodes on the way that no parameter and no mount stands at are left out.
        """
        node, at = self._root, 0
        while at < len(segments) and not node.is_forked:
            below = node.literals.get(segments[at])
            if below is None:
                return iter(())
            node, at = below, at + 1
        return _walk(node, segments, at, [])

    def covering(self, pattern: Pattern, method: str) -> Iterator[T]:
        """The targets that take every path this pattern matches, as far as they are known."""
        for node, at in _walk_covering(self._root, pattern.segments, 0):
            if node.mount is not None:
                yield node.mount.target
            if at == len(pattern.segments) and method in node.leaves:
                yield node.leaves[method].target

    def covering_mounts(self, prefix: Pattern) -> Iterator[T]:
        """The mounts that take every path below this prefix."""
        for node, _ in _walk_covering(self._root, prefix.segments, 0):
            if node.mount is not None:
                yield node.mount.target


def _step(node: _Node[T], segment: Segment) -> _Node[T]:
    """The child of a node for a segment, made if need be."""
    if isinstance(segment, Literal):
        return node.literals.setdefault(segment.text, _Node())
    node.is_forked = True
    if isinstance(segment, Rest):
        if node.rest is None:
            node.rest = _Node()
        return node.rest
    child = node.by_key.get(segment.key)
    if child is None:
        child = node.by_key[segment.key] = _child(segment)
        insort(node.children, child, key=lambda each: each.order)
    return child.node


def _child(segment: Param | Mixed) -> _Child[Any]:
    is_mixed = isinstance(segment, Mixed)
    parse = segment.parse if isinstance(segment, Mixed) else segment.converter.parse
    return _Child(segment.order, segment.key, segment.takes_anything, parse, is_mixed, _Node())


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
        return node.leaves.get(method) or _mount_of(node, segments, at, method)
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
            leaf = below.leaves.get(method) or _mount_of(below, segments, count, method)
        else:
            leaf = _find(below, segments, at + 1, values, method)
        if leaf is not None:
            return leaf
        del values[known:]
    if node.rest is not None:
        leaf = _find_in_rest(node.rest, segments, at, values, method)
        if leaf is not None:
            return leaf
    return _mount_of(node, segments, at, method)


def _find_in_rest(
    node: _Node[T], segments: list[str], at: int, values: list[Any], method: str
) -> Leaf[T] | None:
    known = len(values)
    values.append("")
    for end in _ends_of_rest(node, segments, at):
        leaf = _find(node, segments, end, values, method)
        if leaf is not None:
            values[known] = "/".join(segments[at:end])
            return leaf
    del values[known:]
    return None


def _ends_of_rest(node: _Node[T], segments: list[str], at: int) -> range:
    """Where a `path` parameter that begins at `at` may end, so that what follows can match.

    After it each segment of a pattern takes one of the path: only the last few ends are possible,
    however long the path is.
    """
    return range(max(at + 1, len(segments) - node.height), len(segments) + 1)


def _mount_of(node: _Node[T], segments: list[str], at: int, method: str) -> Leaf[T] | None:
    """What is mounted at a node, unless a route below it has the path, be it by another method."""
    if node.mount is None or (method != WEBSOCKET and _methods(node, segments, at)):
        return None
    return node.mount


def _methods(node: _Node[T], segments: list[str], at: int) -> set[str]:
    methods: set[str] = set()
    for below, _, depth in _walk(node, segments, at, []):
        if depth == len(segments):
            methods.update(below.leaves)
    methods.discard(WEBSOCKET)
    return methods


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
            for end in _ends_of_rest(node.rest, segments, at):
                taken = [*values, "/".join(segments[at:end])]
                yield from _walk(node.rest, segments, end, taken)
    yield node, values, at


def _walk_covering(
    node: _Node[T], segments: tuple[Segment, ...], at: int
) -> Iterator[tuple[_Node[T], int]]:
    """Every node that whatever the segments match reaches as well, and after how many of them."""
    yield node, at
    if at == len(segments):
        return
    if node.rest is not None:
        for end in range(at + 1, len(segments) + 1):
            yield from _walk_covering(node.rest, segments, end)
    segment = segments[at]
    if isinstance(segment, Literal) and segment.text in node.literals:
        yield from _walk_covering(node.literals[segment.text], segments, at + 1)
    for child in node.children:
        if _covers(child, segment):
            yield from _walk_covering(child.node, segments, at + 1)


def _covers(child: _Child[Any], segment: Segment) -> bool:
    if isinstance(segment, Literal):
        return bool(segment.text) and _parses(child.parse, segment.text)
    if isinstance(segment, Rest):
        return False
    return child.takes_anything or child.key == segment.key


def _parses(parse: Parse, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
