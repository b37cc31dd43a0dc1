"""The Host field, and URLs made of it."""

import ipaddress
import re
import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.errors import HTTPError
from asgi_rt.middleware.authority import Authority, authority_of, parse_authority, url_at


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        (b"example.com", "example.com", None),
        (b"EXAMPLE.Com", "example.com", None),
        (b"example.com.", "example.com", None),
        (b"example.com:8000", "example.com", 8000),
        (b"example.com.:8000", "example.com", 8000),
        (b"example.com:", "example.com", None),
        (b"example.com:00080", "example.com", 80),
        (b"localhost", "localhost", None),
        (b"my_service", "my_service", None),
        (b"xn--mller-kva.example", "xn--mller-kva.example", None),
        (b"127.0.0.1:65535", "127.0.0.1", 65535),
        (b"[::1]", "[::1]", None),
        (b"[::1]:8000", "[::1]", 8000),
        (b"[0:0:0:0:0:0:0:1]", "[::1]", None),
        (b"[2001:DB8::1]", "[2001:db8::1]", None),
    ],
)
def test_a_host_field_is_read_into_one_form(value, host, port):
    assert parse_authority(value) == Authority(host, port)


BAD = [
    b"",
    b" ",
    b"example.com ",
    b" example.com",
    b"example .com",
    b"example.com\r\nset-cookie: a=b",
    b"example.com\n",
    b"example.com\x00",
    b"example.com\x7f",
    b"\x1b[31mexample.com",
    b"example.com/path",
    b"example.com\\path",
    b"example.com?query",
    b"example.com#fragment",
    b"user@example.com",
    b"example.com@evil.example",
    b"http://example.com",
    b"example.com, evil.example",
    b"*.example.com",
    b"example..com",
    b".example.com",
    b"example.com..",
    b".",
    b":8000",
    b"example.com:http",
    b"example.com:0",
    b"example.com:65536",
    b"example.com:100000",
    b"example.com:80:80",
    b"example.com:-1",
    b"m\xc3\xbcller.example",
    b"m\xfcller.example",
    b"example.com%2f.evil.example",
    b"::1",
    b"[::1",
    b"[::1]x",
    b"[::1%eth0]",
    b"[:::]",
    b"[example.com]",
    b"[v1.x]",
    b"a" * 100_000,
    b"a." * 50_000,
    b"[" + b":" * 100_000 + b"]",
    b"example.com:" + b"0" * 100_000,
]


@pytest.mark.parametrize("value", BAD, ids=lambda value: repr(value[:30]))
def test_what_is_neither_a_name_nor_an_address_is_none(value):
    began = time.perf_counter()
    assert parse_authority(value) is None
    assert time.perf_counter() - began < 1


@given(st.binary(max_size=60))
def test_a_host_that_is_read_can_stand_in_a_url(value):
    authority = parse_authority(value)
    if authority is not None:
        assert re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", authority.host)
        parts = urlsplit(url_at("https", authority, b"/", b""))
        assert parts.netloc.startswith(authority.host)
        assert parts.port == (None if authority.port == 443 else authority.port)


@given(st.ip_addresses(), st.none() | st.integers(1, 65535))
def test_every_address_is_read(address, port):
    text = f"[{address.exploded}]" if address.version == 6 else str(address)
    authority = parse_authority(text.encode() + (b"" if port is None else b":%d" % port))
    assert authority is not None
    assert ipaddress.ip_address(authority.host.strip("[]")) == address
    assert authority.port == port


def test_a_request_is_for_the_host_of_its_only_field():
    headers = [(b"accept", b"*/*"), (b"host", b"example.com:80")]
    assert authority_of(headers) == Authority("example.com", 80)


@pytest.mark.parametrize(
    ("hosts", "detail"),
    [
        ([], "a request has one Host header"),
        ([b"example.com", b"example.com"], "a request has one Host header"),
        ([b"evil.example/"], "the Host header is not a host, with or without a port"),
    ],
)
def test_a_request_without_one_host_in_order_is_a_400(hosts, detail):
    with pytest.raises(HTTPError) as caught:
        authority_of([(b"host", each) for each in hosts])
    assert (caught.value.status_code, caught.value.detail) == (400, detail)


@pytest.mark.parametrize(
    ("scheme", "port", "path", "query", "url"),
    [
        ("https", None, b"/", b"", "https://example.com/"),
        ("https", 443, b"/", b"", "https://example.com/"),
        ("https", 80, b"/", b"", "https://example.com:80/"),
        ("wss", 443, b"/", b"", "wss://example.com/"),
        ("http", 80, b"/a%2Fb%20c", b"d=%26&e", "http://example.com/a%2Fb%20c?d=%26&e"),
        ("http", None, b"//evil.example/", b"", "http://example.com//evil.example/"),
        ("http", None, b"/\\evil.example", b"", "http://example.com/%5Cevil.example"),
        ("http", None, b"/a b\r\n\xff#?", b"", "http://example.com/a%20b%0D%0A%FF%23%3F"),
        ("http", None, b"/", b"\r\n\xff#?", "http://example.com/?%0D%0A%FF%23?"),
    ],
)
def test_a_url_keeps_path_and_query_as_they_came(scheme, port, path, query, url):
    assert url_at(scheme, Authority("example.com", port), path, query) == url


@pytest.mark.parametrize("target", [b"", b"*", b".evil.example/", b"http://evil.example/", b"@b"])
def test_a_target_that_would_go_on_with_the_host_is_a_400(target):
    with pytest.raises(HTTPError) as caught:
        url_at("https", Authority("example.com"), target, b"")
    assert caught.value.status_code == 400


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_url_never_leaves_its_host(path, query):
    url = url_at("https", Authority("example.com"), b"/" + path, query)
    assert url.isascii()
    assert url.isprintable()
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "example.com", "")
