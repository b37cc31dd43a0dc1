"""The nodes of a tree that a path leads to, for other rules of precedence."""

import pytest

from asgi_rt.routing.patterns import parse_pattern
from asgi_rt.routing.tree import Precedence, Tree


def tree_of(*paths: str) -> Tree[str]:
    tree: Tree[str] = Tree(Precedence.FIRST)
    for path in paths:
        tree.put(parse_pattern(path), "GET", path)
    return tree


def targets(tree: Tree[str], path: str) -> list[tuple[str, dict[str, object]]]:
    """What stands where the whole path ends, by the order of registration."""
    segments = path.split("/")[1:]
    leaves = [
        (leaf.order, leaf.target, leaf.params(values))
        for node, values, depth in tree.reached(segments)
        if depth == len(segments)
        for leaf in node.leaves.values()
    ]
    return [found[1:] for found in sorted(leaves, key=lambda each: each[0])]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", [("/a", {})]),
        ("/a/b", [("/a/{x}", {"x": "b"}), ("/a/b", {})]),
        ("/a/7", [("/a/{x}", {"x": "7"}), ("/a/{n:int}", {"n": 7})]),
        ("/a/b/c", []),
        ("/b", []),
        ("/", []),
    ],
)
def test_every_target_that_a_path_has_is_reached(path, expected):
    assert targets(tree_of("/a", "/a/{x}", "/a/b", "/a/{n:int}"), path) == expected


def test_a_parameter_above_is_not_missed():
    tree = tree_of("/a/b/c", "/{x}/b/c", "/{rest:path}")
    assert targets(tree, "/a/b/c") == [
        ("/a/b/c", {}),
        ("/{x}/b/c", {"x": "a"}),
        ("/{rest:path}", {"rest": "a/b/c"}),
    ]


def test_a_mount_on_the_way_is_reached_with_its_depth():
    tree = tree_of("/a/b")
    tree.put_mount(parse_pattern("/a"), "mounted")
    found = [
        (node.mount.target, depth)
        for node, _, depth in tree.reached(["a", "b"])
        if node.mount is not None
    ]
    assert found == [("mounted", 1)]
