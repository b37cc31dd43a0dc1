"""Which coding a client gets: weights, ties, what is refused, and fields that are no fields."""

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.middleware.negotiation import (
    MAX_FIELD_CHARACTERS,
    Choice,
    choose_coding,
    parse_accept_encoding,
)

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        # what clients send
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        ("identity", None),
        ("deflate", None),
        ("compress, x-compress, snappy", None),
        # weights
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("gzip;q=0.501, br;q=0.5", "gzip"),
        ("gzip;q=0.5, br;q=0.5, zstd;q=0.4", "br"),
        ("br;q=0.001", "br"),
        ("gzip;q=0.", None),
        ("gzip;q=1.", "gzip"),
        # refused
        ("gzip;q=0", None),
        ("gzip;q=0.000, br", "br"),
        ("zstd;q=0, *", "br"),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        # any
        ("*", "zstd"),
        ("gzip;q=0.5, *;q=0.8", "zstd"),
        ("zstd;q=0.5, br;q=0.5, *;q=0.1", "zstd"),
        ("zstd, *;q=0.1", "zstd"),
        # without a coding
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("identity, gzip", "gzip"),
        # letters, spaces, lists
        ("GZIP", "gzip"),
        ("GZip;Q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        (" \t gzip \t;\t q=0.5 ,\t", "gzip"),
        (",,gzip,,", "gzip"),
        ("gzip;q=0, gzip;q=1", None),
        ("gzip;q=1, x-gzip;q=0", None),
        # what does not parse is not listed
        ("gzip;q=", None),
        ("gzip;q=x", None),
        ("gzip;q=-1", None),
        ("gzip;q=2", None),
        ("gzip;q=1.001", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=nan", None),
        ("gzip;q=1e0", None),
        ("gzip;q = 1", None),
        ("gzip;level=9", None),
        ("gzip br", None),
        ('"gzip"', None),
        ("gzip;q=x, br;q=0.1", "br"),
        ("gz\u0131p", None),
        ("\u212agzip", None),
        ("gzip\x00", None),
        (";;;===,,,", None),
        ("", None),
        (None, None),
    ],
)
def test_the_coding_that_is_chosen(field, coding):
    assert choose_coding(field, OFFERED).coding == coding


@pytest.mark.parametrize(
    ("field", "is_refused"),
    [
        ("identity;q=0", True),
        ("gzip, identity;q=0", True),
        ("gzip, *;q=0", True),
        ("gzip;q=0, *;q=0", True),
        ("*;q=0, identity;q=0.1", False),
        ("*, identity;q=0", True),
        ("gzip", False),
        ("gzip;q=0", False),
        ("identity;q=x", False),
        ("", False),
        (None, False),
    ],
)
def test_a_body_without_a_coding_is_refused_only_by_name_or_with_all_others(field, is_refused):
    assert choose_coding(field, OFFERED).refuses_identity is is_refused


def test_a_star_stands_for_a_body_without_a_coding_too():
    assert choose_coding("gzip;q=0.5, *", ("gzip",)).coding is None
    assert choose_coding("gzip, *;q=0.5", ("gzip",)).coding == "gzip"


def test_ties_go_to_what_is_offered_first():
    assert choose_coding("gzip, br, zstd", ("br", "gzip")).coding == "br"
    assert choose_coding("gzip, br, zstd", ("gzip", "br")).coding == "gzip"


@pytest.mark.parametrize("field", ["*", "gzip", None])
def test_nothing_is_chosen_where_nothing_is_offered(field):
    assert choose_coding(field, ()) == Choice(None)


def test_a_field_may_be_as_long_as_the_limit_and_no_longer():
    padding = MAX_FIELD_CHARACTERS - len("gzip,")
    assert choose_coding("gzip," + "a" * padding, OFFERED).coding == "gzip"
    assert choose_coding("gzip," + "a" * (padding + 1), OFFERED).coding is None


@pytest.mark.parametrize(
    "field",
    [
        "gzip," * 20_000,
        "gzip;q=0.5," * 10_000,
        "a" * 100_000,
        "," * 100_000,
        " " * 100_000 + "gzip",
        "gzip;q=" + "0" * 100_000,
        "gzip" + ";" * 100_000,
    ],
)
def test_a_huge_field_costs_nothing_and_gets_no_coding(field):
    began = time.perf_counter()
    for _ in range(100):
        assert choose_coding(field, OFFERED) == Choice(None)
    assert time.perf_counter() - began < 0.05


weights = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
names = st.sampled_from(["gzip", "br", "zstd", "identity", "*", "deflate"])


def written(weighted):
    return ", ".join(f"{name};q={weight:.3f}" for name, weight in weighted.items())


@given(st.dictionaries(names, weights))
def test_parsing_gives_back_what_was_written(weighted):
    assert parse_accept_encoding(written(weighted)) == weighted


@given(st.dictionaries(names, weights))
def test_the_choice_is_what_the_specification_says(weighted):
    choice = choose_coding(written(weighted), OFFERED)
    unlisted = weighted.get("*", 0)
    given_to = {name: weighted.get(name, unlisted) for name in OFFERED}
    identity = weighted.get("identity", unlisted)
    if choice.coding is None:
        assert all(weight == 0 or weight < identity for weight in given_to.values())
    else:
        best = given_to[choice.coding]
        assert best > 0
        assert best >= identity
        assert choice.coding == next(name for name in OFFERED if given_to[name] == best)
        assert best == max(given_to.values())


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_any_field_gets_an_answer(field):
    assert choose_coding(field, OFFERED).coding in (None, *OFFERED)


@given(st.text(alphabet=string.ascii_letters + string.digits + ";,=*q. \t", max_size=60))
def test_any_weight_is_one(field):
    assert all(0 <= weight <= 1 for weight in parse_accept_encoding(field).values())
