"""Cookies: read leniently, written strictly."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.cookies import format_set_cookie, parse_cookies

TOKEN_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~"
COOKIE_OCTETS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\')


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;", {"a": "1", "b": "2"}),
        ("a=1; a=2", {"a": "1"}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ('a="quoted value"', {"a": "quoted value"}),
        ('a="', {"a": '"'}),
        ("flag; a=1; =x", {"a": "1"}),
        (" a \t= 1 ", {"a": "1"}),
    ],
)
def test_parse_cookies_reads_a_header(header, expected):
    assert parse_cookies(header) == expected


def test_parse_cookies_keeps_the_bytes_of_a_value_in_utf_8():
    header = "city=Città".encode().decode("latin-1")
    assert parse_cookies(header)["city"].encode("latin-1").decode() == "Città"


@given(st.text(max_size=60))
def test_parse_cookies_takes_anything(header):
    assert all(name for name in parse_cookies(header))


@given(st.text(TOKEN_CHARACTERS, min_size=1), st.text(COOKIE_OCTETS))
def test_a_cookie_that_was_written_is_read_back(name, value):
    written = format_set_cookie(name, value).partition(";")[0]
    assert parse_cookies(f"first=1; {written}; last=2")[name] == ("1" if name == "first" else value)


@given(st.text(max_size=6), st.text(max_size=10))
def test_a_cookie_of_anything_is_refused_or_one_safe_pair(name, value):
    try:
        written = format_set_cookie(name, value, path=None, samesite=None)
    except ValueError:
        return
    assert written == f"{name}={value}"
    assert not set(written) & set("\r\n\x00;, ")


def test_set_cookie_by_default_is_lax_and_for_the_whole_site():
    assert format_set_cookie("a", "1") == "a=1; Path=/; SameSite=Lax"


def test_set_cookie_writes_every_attribute():
    cookie = format_set_cookie(
        "a",
        "1",
        max_age=60,
        expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        path="/shop",
        domain="example.com",
        secure=True,
        httponly=True,
        samesite="none",
        partitioned=True,
    )
    assert cookie == (
        "a=1; Max-Age=60; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Domain=example.com; Path=/shop;"
        " SameSite=None; Secure; HttpOnly; Partitioned"
    )


def test_set_cookie_without_optional_attributes_is_the_pair_alone():
    assert format_set_cookie("a", "", path=None, samesite=None) == "a="


def test_set_cookie_writes_expires_in_gmt():
    expires = datetime(2030, 1, 2, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert "Expires=Tue, 01 Jan 2030 23:00:00 GMT" in format_set_cookie("a", "1", expires=expires)


def test_set_cookie_with_a_naive_expiry_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        format_set_cookie("a", "1", expires=datetime(2030, 1, 2))


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "é", "a\r\n"])
def test_set_cookie_with_a_bad_name_is_refused(name):
    with pytest.raises(ValueError, match="not a cookie name"):
        format_set_cookie(name, "1")


@pytest.mark.parametrize("value", ["a b", 'a"', "a,b", "a;b", "a\\b", "é", "a\r\nb", "a\n", "\x7f"])
def test_set_cookie_with_a_value_that_no_cookie_carries_is_refused(value):
    with pytest.raises(ValueError, match=r"'a'.*encode it"):
        format_set_cookie("a", value)


@pytest.mark.parametrize("attribute", [{"path": "/;x"}, {"domain": "a\r\nb"}, {"path": "/\x7f"}])
def test_set_cookie_with_an_attribute_that_breaks_out_is_refused(attribute):
    with pytest.raises(ValueError, match=f"the {next(iter(attribute))} of the cookie 'a'"):
        format_set_cookie("a", "1", **attribute)


@pytest.mark.parametrize("attributes", [{"samesite": "none"}, {"partitioned": True}])
def test_set_cookie_that_browsers_only_take_when_secure_is_refused_otherwise(attributes):
    with pytest.raises(ValueError, match="must be secure"):
        format_set_cookie("a", "1", **attributes)
    assert "Secure" in format_set_cookie("a", "1", secure=True, **attributes)
