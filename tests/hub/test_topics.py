"""Topics and patterns: tables of what is none, and the tree against matching by definition."""

import gc
import timeit

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from asgi_rt.hub.topics import (
    MAX_LENGTH,
    PatternTree,
    check_pattern,
    check_topic,
    is_pattern,
    matcher,
    topic_token,
)

TOPICS = [
    *("a", "prices.eur", "a.b.c.d", "user-1_2~", "a:b/c", "%2A", "größe.€", "日本.東京", "😀", "0"),
    *("$SYS.x", "a#b", 'a"b', "a\\b", "a<b", "(a|b)+", "[a]", "a{1}", "^a$", "a?", "\u200b"),
    "x" * MAX_LENGTH,
    ".".join("x" * 128),
]
PATTERNS = ["*", ">", "a.*", "*.a", "a.>", "*.>", "*.*", "a.*.b.>", "*.a.*", "*." * 126 + ">"]
NEITHER = [
    *("", ".", "..", ".a", "a.", "a..b", "a.b.", " ", "a b", " a", "a ", "a.\tb", "a\n", "\na"),
    *("a\x00", "\x1f", "a\x7fb", "a\x80", "a\x9bb", "a\x85b", "a\xa0b", "a\u2028b", "a\u3000b"),
    *("a*b", "a*", "*a", "**", "a.**", ">.a", "a.>.b", ">>", "a>", ">a", "*>", ">*", "a.b>"),
    *("\ud800", "a.\udfff", "\ud83d\ude00"),
    "x" * (MAX_LENGTH + 1),
    ".".join("x" * 129),
]


def short(value):
    return ascii(value)[:24]


@pytest.mark.parametrize("topic", TOPICS, ids=short)
def test_a_topic_is_a_topic_and_a_pattern_that_stands_for_itself(topic):
    check_topic(topic)
    check_pattern(topic)
    assert not is_pattern(topic)
    assert matcher(topic)(topic)


@pytest.mark.parametrize("pattern", PATTERNS, ids=short)
def test_a_pattern_is_no_topic(pattern):
    check_pattern(pattern)
    assert is_pattern(pattern)
    with pytest.raises(ValueError, match="is no topic: tokens joined by dots"):
        check_topic(pattern)


@pytest.mark.parametrize("text", NEITHER, ids=short)
def test_what_is_neither_is_refused(text):
    with pytest.raises(ValueError, match="is no topic: tokens joined by dots"):
        check_topic(text)
    with pytest.raises(ValueError, match="is no topic and no pattern: tokens joined by dots"):
        check_pattern(text)


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"], ("a",), object()], ids=repr)
def test_what_is_no_text_is_a_type_error(value):
    for check in (check_topic, check_pattern, topic_token):
        with pytest.raises(TypeError):
            check(value)


@pytest.mark.parametrize("value", [None, 0, b"", ()], ids=repr)
def test_what_is_no_text_makes_no_token_even_if_it_is_empty(value):
    with pytest.raises(TypeError):
        topic_token(value)


@pytest.mark.parametrize("check", [check_topic, check_pattern, topic_token])
def test_an_error_does_not_hold_all_of_a_long_text(check):
    with pytest.raises(ValueError, match=r"(at most|1 to) 255 characters") as caught:
        check("\x00" * 1_000_000)
    assert len(str(caught.value)) < 2000


HOSTILE = {
    "one token": "x",
    "dots": ".",
    "tokens": "x.",
    "stars": "*.",
    "rests": ">.",
    "spaces": " ",
    "nearly": "a*",
}


@pytest.mark.slow
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("check", [check_topic, check_pattern, topic_token])
def test_a_long_hostile_text_takes_no_longer_than_one_that_is_just_too_long(check, unit):
    def refuse(text):
        with pytest.raises(ValueError, match=r"is no topic|gives no token"):
            check(text)

    def seconds(length):
        text = (unit * length)[:length] + " "
        return min(timeit.repeat(lambda: refuse(text), number=20, repeat=10))

    assert seconds(1_000_000) < 20 * seconds(2 * MAX_LENGTH)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["*." * 126 + ">", "*." * 127 + "*", "x.>", "*.>", ">"])
def test_matching_takes_time_in_proportion_to_the_topic(pattern):
    def seconds(topic):
        return min(timeit.repeat(lambda: matches(topic), number=20, repeat=10))

    matches = matcher(pattern)
    short, long = "x." * 500, "x." * 50_000
    assert seconds(long) < 20 * 100 * seconds(short)


# Tokens of any text

texts = st.text(min_size=1, max_size=20) | st.text(".*> %\n\t\x9b\ud800\ude002Aa", min_size=1)


@given(texts | st.text(st.characters(codec=None), min_size=1, max_size=20))
@example("*")
@example(">")
@example(".")
@example("..")
@example("\ud800")
def test_any_text_gives_a_valid_single_token(text):
    token = topic_token(text)
    check_topic(token)
    check_pattern(f"a.{token}.b")
    assert "." not in token
    assert not is_pattern(token)
    token.encode("utf-8")


def decoded(token):
    """The text that a token stands for: so no two have the same one."""
    parts = token.split("%")
    raw = parts[0].encode()
    for part in parts[1:]:
        raw += bytes([int(part[:2], 16)]) + part[2:].encode()
    return raw.decode("utf-8", "surrogatepass")


@given(texts | st.text(st.characters(codec=None), min_size=1, max_size=20))
def test_the_text_can_be_read_from_its_token(text):
    assert decoded(topic_token(text)) == text


@given(texts, texts)
@example("*", "%2A")
@example("%2A", "%252A")
@example("\ud83d\ude00", "😀")
def test_different_texts_give_different_tokens(one, other):
    assume(one != other)
    assert topic_token(one) != topic_token(other)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("ada", "ada"),
        ("größe", "größe"),
        ("a.b", "a%2Eb"),
        ("*", "%2A"),
        (">", "%3E"),
        ("100%", "100%25"),
        ("a b", "a%20b"),
        ("\u2028", "%E2%80%A8"),
        ("\ud800", "%ED%A0%80"),
    ],
    ids=short,
)
def test_reserved_characters_are_percent_encoded(text, token):
    assert topic_token(text) == token


@pytest.mark.parametrize("text", ["", "x" * 256, "*" * 86], ids=short)
def test_a_text_that_gives_no_token_is_refused(text):
    with pytest.raises(ValueError, match="gives no token of 1 to 255 characters"):
        topic_token(text)


@pytest.mark.parametrize("text", ["x" * 255, "*" * 85], ids=short)
def test_the_longest_token_is_a_topic(text):
    check_topic(topic_token(text))


# Matching

tokens = st.sampled_from(["a", "b", "aa", "ä", "a+"])
topics = st.lists(tokens, min_size=1, max_size=5).map(".".join)


@st.composite
def pattern_texts(draw):
    parts = draw(st.lists(tokens | st.just("*"), max_size=5))
    if not parts or draw(st.booleans()):
        parts.append(">")
    return ".".join(parts)


def stands_for(pattern, topic):
    """The definition, token by token."""
    if not pattern or not topic:
        return not pattern and not topic
    if pattern[0] == ">":
        return True
    return pattern[0] in ("*", topic[0]) and stands_for(pattern[1:], topic[1:])


def defined(pattern, topic):
    return stands_for(pattern.split("."), topic.split("."))


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*", "a", True),
        ("*", "a.b", False),
        ("*.b", "a.b", True),
        ("*.b", "ab", False),
        (">", "a", True),
        (">", "a.b.c", True),
        ("a.>", "a", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "ab.c", False),
        ("a.*.>", "a.b", False),
        ("a.*.>", "a.b.c", True),
        ("a.b", "a.b", True),
        ("a.b", "aXb", False),
        ("a+.*", "aa.b", False),
        ("a+.*", "a+.b", True),
        ("A.*", "a.b", False),
    ],
)
def test_what_a_pattern_stands_for(pattern, topic, expected):
    tree = PatternTree()
    tree.set(pattern, "found")
    assert matcher(pattern)(topic) is expected
    assert tree.match(topic) == ["found"] * expected
    assert defined(pattern, topic) is expected


@settings(deadline=None)
@given(pattern_texts(), topics)
def test_a_matcher_is_the_definition(pattern, topic):
    check_pattern(pattern)
    check_topic(topic)
    assert matcher(pattern)(topic) is defined(pattern, topic)


@settings(deadline=None)
@given(st.lists(pattern_texts() | topics, max_size=12), st.lists(topics, min_size=1, max_size=6))
def test_a_tree_finds_what_matchers_find_each_once(patterns, topics):
    tree = PatternTree()
    for pattern in patterns:
        tree.set(pattern, pattern)
    for topic in topics:
        found = tree.match(topic)
        assert sorted(found) == sorted(each for each in set(patterns) if matcher(each)(topic))


# The tree


def nodes(tree):
    """How many nodes a tree has, its root left out."""

    def below(node):
        return sum(1 + below(child) for child in (node.children or {}).values())

    return below(tree._root)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), pattern_texts() | topics), max_size=40), topics)
def test_a_tree_is_a_dict_of_patterns_that_keeps_nothing_of_what_was_removed(actions, topic):
    tree, model = PatternTree(), {}
    for number, (is_set, pattern) in enumerate(actions):
        if is_set:
            tree.set(pattern, number)
            model[pattern] = number
        else:
            tree.remove(pattern)
            model.pop(pattern, None)
        assert len(tree) == len(model)
        assert tree.get(pattern) == model.get(pattern)
        branches = {
            tuple(each.split(".")[:depth])
            for each in model
            for depth in range(1, each.count(".") + 2)
        }
        assert nodes(tree) == len(branches)
    found = [number for pattern, number in model.items() if defined(pattern, topic)]
    assert sorted(tree.match(topic)) == sorted(found)
    for pattern in model:
        tree.remove(pattern)
    assert (len(tree), nodes(tree), tree._root.children) == (0, 0, None)


def test_what_is_not_there_has_no_value_and_can_be_removed():
    tree = PatternTree()
    tree.set("a.b.c", 1)
    for pattern in ("a", "a.b", "a.b.c.d", "b", "a.*", ">"):
        assert tree.get(pattern) is None
        tree.remove(pattern)
    assert (len(tree), tree.get("a.b.c"), nodes(tree)) == (1, 1, 3)


def test_a_value_takes_the_place_of_the_one_before():
    tree = PatternTree()
    tree.set("a.*", 1)
    tree.set("a.*", 2)
    assert (len(tree), tree.match("a.b")) == (1, [2])


@pytest.mark.parametrize("value", [False, 0, ""], ids=repr)
def test_a_value_may_be_false(value):
    tree = PatternTree()
    tree.set("a.>", value)
    assert (len(tree), tree.match("a.b"), tree.get("a.>")) == (1, [value], value)
    tree.remove("a.>")
    assert (len(tree), nodes(tree)) == (0, 0)


def test_what_was_matched_is_the_callers():
    tree = PatternTree()
    tree.set(">", 1)
    tree.match("a").append(2)
    assert tree.match("a") == [1]


def test_a_removed_value_is_let_go_of():
    tree = PatternTree()
    before = len(gc.get_objects())
    tree.set("a.*.c", object)
    tree.set("a.b", object)
    tree.remove("a.*.c")
    tree.remove("a.b")
    gc.collect()
    assert len(gc.get_objects()) <= before
