"""Conditional requests and HTTP dates: RFC 9110 section 13, in the order of 13.2.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.ranges import (
    CONDITIONAL_FIELDS,
    ByteRange,
    format_date,
    parse_date,
    select,
)

MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"


def status(method: str = "GET", *, etag: str | None = '"a"', **fields: str) -> int:
    names = {name.replace("_", "-"): value for name, value in fields.items()}
    return select(method, names, size=200, etag=etag, last_modified=MODIFIED).status_code


def test_request_without_conditions_gets_everything():
    assert select("GET", {}, size=200) == (200, (ByteRange(0, 200),))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", 304),
        ('"a"', 304),
        ('W/"a"', 304),
        ('"b", "a"', 304),
        ('"b,c" , W/"a"', 304),
        ('"b"', 200),
        ('"A"', 200),
        ("a", 200),
        ("", 200),
        ('"', 200),
        ('w/"a"', 200),
    ],
)
def test_if_none_match(header, expected):
    assert status(if_none_match=header) == expected


def test_if_none_match_compares_a_weak_tag_of_ours_weakly():
    assert status(etag='W/"a"', if_none_match='"a"') == 304


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", 200),
        ('"a"', 200),
        ('"b", "a"', 200),
        ('W/"a"', 412),
        ('"b"', 412),
        ("nonsense", 412),
    ],
)
def test_if_match(header, expected):
    assert status(if_match=header) == expected


def test_if_match_never_matches_a_weak_tag_of_ours():
    assert status(etag='W/"a"', if_match='W/"a"') == 412


def test_if_match_fails_where_there_is_no_tag():
    assert status(etag=None, if_match='"a"') == 412


@pytest.mark.parametrize(
    ("date", "since", "unmodified_since"),
    [(DATE, 304, 200), (LATER, 304, 200), (EARLIER, 200, 412), ("yesterday", 200, 200)],
)
def test_conditions_on_the_date(date, since, unmodified_since):
    assert status(if_modified_since=date) == since
    assert status(if_unmodified_since=date) == unmodified_since


def test_conditions_on_the_date_of_what_has_none_hold():
    for name in ("if-modified-since", "if-unmodified-since"):
        assert select("GET", {name: EARLIER}, size=1).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_conditions_of_a_method_that_does_not_read(method):
    assert status(method, if_none_match="*") == 412
    assert status(method, if_modified_since=LATER) == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"if_match": '"a"', "if_unmodified_since": EARLIER}, 200),
        ({"if_match": '"b"', "if_none_match": '"a"'}, 412),
        ({"if_unmodified_since": EARLIER, "if_none_match": '"a"'}, 412),
        ({"if_none_match": '"b"', "if_modified_since": LATER}, 200),
        ({"if_none_match": '"a"', "range": "bytes=0-1"}, 304),
        ({"if_match": '"a"', "range": "bytes=0-1"}, 206),
        ({"if_match": '"b"', "range": "bytes=900-"}, 412),
        ({"if_modified_since": LATER, "range": "bytes=900-"}, 304),
    ],
)
def test_conditions_come_in_the_order_of_the_specification(fields, expected):
    assert status(**fields) == expected


@pytest.mark.parametrize(
    ("if_range", "expected"),
    [
        ('"a"', 206),
        ('W/"a"', 200),
        ('"b"', 200),
        ('"a", "b"', 200),
        ("*", 200),
        ("", 200),
        (DATE, 206),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 206),
        (LATER, 200),
        (EARLIER, 200),
    ],
)
def test_if_range(if_range, expected):
    assert status(if_range=if_range, range="bytes=0-1") == expected


def test_if_range_never_matches_a_weak_tag_of_ours():
    assert status(etag='W/"a"', if_range='W/"a"', range="bytes=0-1") == 200


def test_if_range_of_another_version_hides_an_unsatisfiable_range():
    assert status(if_range='"b"', range="bytes=900-") == 200
    assert status(if_range='"a"', range="bytes=900-") == 416


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_range_counts_for_get_only(method):
    assert status(method, range="bytes=0-1") == 200


fields = st.dictionaries(
    st.sampled_from(sorted(CONDITIONAL_FIELDS)),
    st.one_of(
        st.text(),
        st.text("bytes=0123456789-, "),
        st.sampled_from(
            [DATE, LATER, '"a"', 'W/"a"', "*", "bytes=0-1", "bytes=5-,0-1", "bytes=99-"]
        ),
    ),
)


@given(fields, st.sampled_from(["GET", "HEAD", "PUT"]), st.integers(0, 60))
def test_select_never_raises_and_stays_within_the_representation(fields, method, size):
    selection = select(method, fields, size=size, etag='"a"', last_modified=MODIFIED)
    assert bool(selection.ranges) == (selection.status_code in (200, 206))
    assert all(0 <= start <= stop <= size for start, stop in selection.ranges)


# Dates


@pytest.mark.parametrize(
    "text",
    [
        DATE,
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 6 nov 1994 08:49:37 gmt",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        " 06 Nov 1994 08:49:37 ",
    ],
)
def test_date_is_read_in_every_format(text):
    assert parse_date(text) == MODIFIED


def test_date_with_a_leap_second_is_the_second_before():
    assert parse_date("Thu, 31 Dec 1998 23:59:60 GMT") == 915148799


@pytest.mark.parametrize(("year", "expected"), [("70", 0), ("69", 3124224000)])
def test_date_with_two_digits_of_a_year_turns_at_1970(year, expected):
    assert parse_date(f"Thursday, 01-Jan-{year} 00:00:00 GMT") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "yesterday",
        "1994-11-06T08:49:37Z",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0200",
        "Sun, 06 Nov 1994 08:49:37 EST",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_date_that_is_none(text):
    assert parse_date(text) is None


def test_date_is_written_in_the_preferred_format():
    assert format_date(MODIFIED) == DATE


@given(st.integers(0, 253402300799))
def test_date_is_read_as_it_was_written(timestamp):
    assert parse_date(format_date(timestamp)) == timestamp


@given(st.text())
def test_date_never_raises(text):
    parse_date(text)
