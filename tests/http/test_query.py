"""The query string: every field, in order, or a clear refusal."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.query import Query, parse_field, parse_query

# Lone surrogates are no text that UTF-8 could carry.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", []),
        (b"a=1", [("a", "1")]),
        (b"a=1&a=2&b=3", [("a", "1"), ("a", "2"), ("b", "3")]),
        (b"a", [("a", "")]),
        (b"a=", [("a", "")]),
        (b"=1", [("", "1")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"&&a=1&", [("a", "1")]),
        (b"a+b=c+d", [("a b", "c d")]),
        (b"a=%2B%20", [("a", "+ ")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        ("a=é".encode(), [("a", "é")]),
        (b"a=%C3%a9", [("a", "é")]),
    ],
)
def test_parse_query_reads_fields_in_order(raw, expected):
    assert list(parse_query(raw).pairs) == expected


def test_query_gives_the_last_value_or_all():
    query = parse_query(b"a=1&b=2&a=3")
    assert query["a"] == "3"
    assert query.get_all("a") == ["1", "3"]
    assert list(query) == ["a", "b"]
    assert len(query) == 2
    assert dict(query) == {"a": "3", "b": "2"}


def test_query_without_a_key_says_so():
    query = Query()
    assert query.get("a") is None
    assert query.get_all("a") == []
    with pytest.raises(KeyError):
        query["a"]


def test_query_shows_its_pairs():
    assert repr(Query([("a", "1"), ("a", "2")])) == "Query([('a', '1'), ('a', '2')])"


@pytest.mark.parametrize("raw", [b"a=%", b"a=%2", b"a=%zz", b"%g0=1", b"a=%%20", b"a=% 20"])
def test_parse_query_with_a_bare_percent_sign_is_refused(raw):
    with pytest.raises(ValueError, match="two hexadecimal digits"):
        parse_query(raw)


@pytest.mark.parametrize("raw", [b"a=%ff", b"a=\xff", b"%C3=1", b"a=%ED%A0%80"])
def test_parse_query_that_is_not_utf_8_is_refused(raw):
    with pytest.raises(ValueError, match=r"the query field .* is not UTF-8"):
        parse_query(raw)


def test_parse_query_shows_no_more_than_the_beginning_of_a_bad_field():
    with pytest.raises(ValueError, match="the query field") as caught:
        parse_query(b"a=" + b"x" * 10_000 + b"%")
    assert len(str(caught.value)) < 200


def test_parse_query_with_more_fields_than_allowed_is_refused():
    assert len(parse_query(b"a=1&b=2", max_fields=2)) == 2
    with pytest.raises(ValueError, match="has 3 fields; at most 2"):
        parse_query(b"a=1&b=2&c=3", max_fields=2)


def test_parse_query_reads_a_thousand_fields_by_default():
    assert len(parse_query(b"a=1&" * 1000).pairs) == 1000
    with pytest.raises(ValueError, match="1001 fields"):
        parse_query(b"a=1&" * 1001)


def test_parse_field_tells_where_a_bad_field_stood():
    assert parse_field(b"a=%20") == ("a", " ")
    with pytest.raises(ValueError, match="the form field 'x%'"):
        parse_field(b"a=x%", "form")


@given(st.lists(st.tuples(texts, texts), max_size=6))
def test_parse_query_reads_what_urlencode_wrote(pairs):
    assert list(parse_query(urlencode(pairs).encode()).pairs) == pairs


@given(st.binary(max_size=40))
def test_parse_query_of_any_bytes_is_a_query_or_a_value_error(raw):
    try:
        query = parse_query(raw)
    except ValueError:
        return
    assert len(query.pairs) == len([field for field in raw.split(b"&") if field])
