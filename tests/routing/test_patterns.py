"""Patterns: what they refuse, what their converters take, and how a path is built from them."""

import math
import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_rt.errors import ReverseError, RouteError
from asgi_rt.routing.patterns import CONVERTERS, Mixed, parse_pattern

ID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"

# Parsing


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "begins with a slash"),
        ("items", "begins with a slash"),
        ("{x}", "begins with a slash"),
        ("/a?b=c", "the query"),
        ("/a#b", "never sends"),
        ("/a%20b", "decoded"),
        ("/{a", "a parameter is written"),
        ("/a}", "a parameter is written"),
        ("/{}", "a parameter is written"),
        ("/{a b}", "a parameter is written"),
        ("/{a:}", "a parameter is written"),
        ("/{1a}", "a parameter is written"),
        ("/{{a}}", "a parameter is written"),
        ("/{a{b}}", "a parameter is written"),
        ("/a/../b", "resolve"),
        ("/./b", "resolve"),
        ("/..", "resolve"),
        ("/a\ud800", "Unicode"),
        ("/{x}/{x}", "twice"),
        ("/{x}/{x:path}", "twice"),
        ("/{x}-{x}", "twice"),
        ("/{p:path}/a/{q:path}", "two `path` parameters"),
        ("/{a}{b}", "literal text between"),
        ("/v{a}{b}", "literal text between"),
        ("/{a:nothing}", "no converter 'nothing'"),
        ("/v{p:path}", "stands alone"),
        ("/{p:path}.txt", "stands alone"),
    ],
)
def test_what_cannot_match_is_refused_by_name(pattern, reason):
    with pytest.raises(RouteError, match=reason) as caught:
        parse_pattern(pattern)
    named = repr(pattern) if reason in ("Unicode", "begins with a slash") else pattern
    assert named in str(caught.value)


@pytest.mark.parametrize("pattern", ["/", "//", "/a//b", "/Größe", "/a b", "/...", "/a:b", "/-"])
def test_literal_patterns_of_all_kinds_are_taken(pattern):
    assert parse_pattern(pattern).is_literal


def test_the_names_of_parameters_are_in_the_order_of_the_path():
    pattern = parse_pattern("/{b}/v{a:int}.{d}/{c:path}")
    assert list(pattern.converters) == ["b", "a", "d", "c"]


# Converters: what they parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("007", 7),
        ("-0", 0),
        pytest.param("9" * 400, int("9" * 400), id="long"),
    ],
)
def test_int_takes_decimal_digits(text, value):
    assert CONVERTERS["int"].parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "-",
        "--1",
        "+1",
        "1.0",
        "1_0",
        " 1",
        "1\n",
        "٣",
        "²",
        "0x1",
        "x",
        pytest.param("9" * 401, id="long"),
    ],
)
def test_int_refuses_everything_else(text):
    with pytest.raises(ValueError, match=re.escape(text.lstrip("-")) or "x"):
        CONVERTERS["int"].parse(text)


@pytest.mark.parametrize(("text", "value"), [("1", 1.0), ("-1.5", -1.5), ("007.250", 7.25)])
def test_float_takes_decimal_numbers(text, value):
    assert CONVERTERS["float"].parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "1e5",
        "1.",
        ".5",
        "-",
        "+1",
        "1.5\n",
        "٣",
        "1_0",
        pytest.param("9" * 400, id="infinite"),
    ],
)
def test_float_refuses_everything_else_and_what_is_infinite(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        CONVERTERS["float"].parse(text)


def test_uuid_takes_the_hyphenated_form_in_either_case():
    assert CONVERTERS["uuid"].parse(ID) == CONVERTERS["uuid"].parse(ID.upper()) == UUID(ID)


@pytest.mark.parametrize("text", [ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", ID + "\n"])
def test_uuid_refuses_every_other_form(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        CONVERTERS["uuid"].parse(text)


# Mixed segments


def mixed(segment: str) -> Mixed:
    (parsed,) = parse_pattern("/" + segment).segments
    assert isinstance(parsed, Mixed)
    return parsed


@pytest.mark.parametrize(
    ("segment", "text", "values"),
    [
        ("v{n:int}", "v3", [3]),
        ("v{n:int}", "v-3", [-3]),
        ("{name}.txt", ".txt.txt", [".txt"]),
        ("{name}.{extension}", "archive.tar.gz", ["archive.tar", "gz"]),
        ("{name}.{extension}", "a..b", ["a.", "b"]),
        ("{slug}-{id:int}", "my-post-42", ["my-post", 42]),
        ("{id:int}-{slug}", "42-my-post", [42, "my-post"]),
        ("{a}-{b}-{c}", "1-2-3-4", ["1-2", "3", "4"]),
        ("{a}--{b}", "x---y", ["x-", "y"]),
        ("a{x}a", "aaa", ["a"]),
        ("{a}\n{b}", "x\ny", ["x", "y"]),
    ],
)
def test_a_mixed_segment_is_split_late_and_else_early(segment, text, values):
    assert mixed(segment).parse(text) == values


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        ("v{n:int}", "v"),
        ("v{n:int}", "x3"),
        ("v{n:int}", "vx"),
        ("{name}.txt", ".txt"),
        ("{a}.{b}", "a."),
        ("{a}.{b}", ".b"),
        ("{a}.{b}", "."),
        ("{a}-{b}-{c}", "a--c"),
        ("a{x}a", "aa"),
        ("a{x}a", "a"),
    ],
)
def test_a_mixed_segment_needs_something_for_every_parameter(segment, text):
    with pytest.raises(ValueError, match=re.escape(text) + "|invalid|x"):
        mixed(segment).parse(text)


@settings(deadline=None)
@given(
    st.sampled_from(["{a}.{b}", "x{a}--{b}", "{a}-{b}-{c}", "{a}ab{b}a{c}b"]),
    st.text("ab-.x", max_size=14),
)
def test_a_mixed_segment_matches_what_a_regular_expression_matches(segment, text):
    shape = "".join(
        "(.+)" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{\w\})", segment)
    )
    match = re.fullmatch(shape, text)
    try:
        values = mixed(segment).parse(text)
    except ValueError:
        values = None
    assert values == (None if match is None else list(match.groups()))


def test_a_long_segment_is_split_in_linear_time():
    """A regular expression would try each of some 10^16 ways."""

    class Fastidious(str):
        """Text that counts how much of it is searched."""

        searched = 0

        def rfind(self, *args):  # type: ignore[override]
            Fastidious.searched += len(self)
            return super().rfind(*args)

        def find(self, *args):  # type: ignore[override]
            Fastidious.searched += len(self)
            return super().find(*args)

        def __getitem__(self, index):
            return Fastidious(super().__getitem__(index))

    segment = mixed("{a}-{b}-{c}-{d}-{e:int}x")
    with pytest.raises(ValueError, match="-"):
        segment.parse(Fastidious("-" * 10_000 + "x"))
    assert 0 < Fastidious.searched < 100_000


# Building paths


def test_literals_and_values_are_percent_encoded():
    pattern = parse_pattern("/Größe/{x}/v{y}")
    assert pattern.format({"x": "a/b c?#%", "y": "é"}) == (
        "/Gr%C3%B6%C3%9Fe/a%2Fb%20c%3F%23%25/v%C3%A9"
    )


def test_a_path_parameter_keeps_its_slashes():
    assert parse_pattern("/f/{p:path}").format({"p": "a/b c/"}) == "/f/a/b%20c/"


@pytest.mark.parametrize("value", ["/evil.com", "//evil.com", "/"])
def test_a_path_never_begins_with_two_slashes_that_a_value_brought(value):
    path = parse_pattern("/{p:path}").format({"p": value})
    assert path.startswith("/%2F")


def test_a_path_that_would_begin_with_two_slashes_for_want_of_a_value_is_refused():
    with pytest.raises(ReverseError, match="another host"):
        parse_pattern("/{p:path}/evil.com").format({"p": ""})


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("/{x}", ""),
        ("/{x}", "."),
        ("/{x}", ".."),
        ("/.{x}", "."),
        ("/{x:path}", "a/../b"),
        ("/{x:path}", "."),
        ("/a/{x:path}/b", ".."),
        ("/{x}", "\ud800"),
        ("/{x:path}", "\ud800"),
        ("/{x:int}", "a"),
        ("/{x:int}", 1.5),
        ("/{x:int}", None),
        ("/{x:int}", math.inf),
        ("/{x:int}", math.nan),
        pytest.param("/{x:int}", 10**400, id="large"),
        pytest.param("/{x:int}", 10**5000, id="huge"),
        ("/{x:float}", math.inf),
        ("/{x:float}", math.nan),
        pytest.param("/{x:float}", 10**400, id="large float"),
        ("/{x:float}", "x"),
        ("/{x:uuid}", "x"),
    ],
)
def test_a_value_that_no_path_can_carry_is_refused_by_name(pattern, value):
    with pytest.raises(ReverseError, match=re.escape(pattern) + ".*'x'"):
        parse_pattern(pattern).format({"x": value})


@pytest.mark.parametrize(
    ("pattern", "params"),
    [
        ("/{a}.{b}", {"a": "x", "b": "y.z"}),
        ("/{a}-{b:int}", {"a": "x", "b": -1}),
        ("/v{a}", {"a": ""}),
    ],
)
def test_values_that_would_be_read_back_as_others_are_refused(pattern, params):
    with pytest.raises(ReverseError, match=r"read back|empty"):
        parse_pattern(pattern).format(params)


def test_missing_and_unknown_parameters_are_named():
    with pytest.raises(ReverseError, match=r"missing: \['b'\], unknown: \['c'\]"):
        parse_pattern("/{a}/{b}").format({"a": 1, "c": 2})


def test_an_int_may_be_given_as_text_or_as_a_whole_float():
    pattern = parse_pattern("/{x:int}")
    assert pattern.format({"x": "12"}) == pattern.format({"x": 12.0}) == "/12"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_comes_back_as_it_was(value):
    converter = CONVERTERS["float"]
    back = converter.parse(converter.format(value))
    assert (back, math.copysign(1, back)) == (value, math.copysign(1, value))
