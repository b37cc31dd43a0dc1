"""Which pages may open a WebSocket."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.websocket.guard import OriginRule

SAME = OriginRule()


def handshake(origin=None, host="app.example.com", **others):
    headers = [(b"host", host.encode("latin-1"))] if host is not None else []
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    headers += [
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in others.items()
    ]
    return [*headers, (b"cookie", b"session=secret")]


def lets_in(rule, origin, host="app.example.com", scheme="ws", **others):
    return rule.refusal(handshake(origin, host, **others), scheme) is None


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "is_let_in"),
    [
        # The same host and port, and the scheme that belongs to it.
        ("http://app.example.com", "app.example.com", "ws", True),
        ("https://app.example.com", "app.example.com", "wss", True),
        ("http://localhost:8000", "localhost:8000", "ws", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws", True),
        # A page without TLS, over a connection with it, and the other way behind a TLS proxy.
        ("http://app.example.com", "app.example.com", "wss", False),
        ("http://app.example.com:443", "app.example.com:443", "wss", False),
        ("https://app.example.com", "app.example.com", "ws", True),
        ("https://app.example.com:8443", "app.example.com:8443", "ws", True),
        # The schemes of a WebSocket stand for those of its page.
        ("ws://app.example.com", "app.example.com", "ws", True),
        ("wss://app.example.com", "app.example.com", "wss", True),
        ("ws://app.example.com", "app.example.com", "wss", False),
        # Another host.
        ("http://evil.example", "app.example.com", "ws", False),
        ("http://example.com", "app.example.com", "ws", False),
        ("http://app.example.com.evil.example", "app.example.com", "ws", False),
        ("http://evil-app.example.com", "app.example.com", "ws", False),
        ("http://evil.app.example.com", "app.example.com", "ws", False),
        ("http://app.example.co", "app.example.com", "ws", False),
        ("http://localhost", "127.0.0.1", "ws", False),
        # Ports, default ones included.
        ("http://app.example.com:80", "app.example.com", "ws", True),
        ("http://app.example.com", "app.example.com:80", "ws", True),
        ("https://app.example.com:443", "app.example.com", "wss", True),
        ("https://app.example.com", "app.example.com:443", "wss", True),
        ("http://localhost:3000", "localhost:8000", "ws", False),
        ("http://localhost", "localhost:8000", "ws", False),
        ("http://localhost:8000", "localhost", "ws", False),
        ("https://app.example.com:80", "app.example.com", "ws", False),
        ("http://app.example.com", "app.example.com:443", "ws", False),
        ("https://app.example.com", "app.example.com:80", "ws", False),
        # Case, and the dot of the root.
        ("http://APP.Example.COM", "app.example.com", "ws", True),
        ("HTTP://app.example.com", "App.Example.Com", "ws", True),
        ("http://app.example.com.", "app.example.com", "ws", True),
        ("http://app.example.com", "app.example.com.:80", "ws", True),
        ("http://app.example.com..", "app.example.com", "ws", False),
        # IPv6 in any of its spellings.
        ("http://[::1]:8000", "[::1]:8000", "ws", True),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]", "ws", True),
        ("http://[2001:DB8::1]", "[2001:db8:0:0::1]", "ws", True),
        ("http://[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "ws", True),
        ("http://[::1]", "[::2]", "ws", False),
        ("http://[::1]", "::1", "ws", False),
        ("http://[::1%eth0]", "[::1%eth0]", "ws", False),
        ("http://[:::]", "[:::]", "ws", False),
        # An origin that belongs to no web server.
        ("chrome-extension://app.example.com", "app.example.com", "ws", False),
        ("null", "app.example.com", "ws", False),
        # No host to compare with.
        ("http://app.example.com", None, "ws", False),
        ("http://app.example.com", "", "ws", False),
        ("http://app.example.com", "app.example.com/x", "ws", False),
        ("http://app.example.com", "app.example.com, evil.example", "ws", False),
    ],
)
def test_same_lets_in_the_pages_of_our_own_host(origin, host, scheme, is_let_in):
    assert lets_in(SAME, origin, host, scheme) is is_let_in


BEHIND_PROXY = [
    ({"x_forwarded_host": "app.example.com"}, True),
    ({"x_forwarded_host": "app.example.com:443"}, True),
    ({"x_forwarded_host": " app.example.com , inner.example"}, True),
    ({"x_forwarded_host": "APP.example.com."}, True),
    ({"x_forwarded_host": "inner.example, app.example.com"}, False),
    ({"x_forwarded_host": "app.example.com:8443"}, False),
    ({"x_forwarded_host": ""}, False),
    ({"forwarded": "host=app.example.com"}, True),
    ({"forwarded": 'for=192.0.2.1;host="app.example.com:443";proto=https, for=10.0.0.1'}, True),
    ({"forwarded": 'For="[2001:db8::1]:4711" ; Host=app.example.com'}, True),
    ({"forwarded": 'for="a, b;host=evil.example";host=app.example.com'}, True),
    ({"forwarded": "for=192.0.2.1, host=app.example.com"}, False),
    ({"forwarded": "host=inner.example, host=app.example.com"}, False),
    ({"forwarded": 'for="host=app.example.com"'}, False),
    ({"forwarded": "host"}, False),
    ({"forwarded": 'host="app.example.com'}, False),
    ({"forwarded": ""}, False),
    ({"forwarded": "host=inner.example", "x_forwarded_host": "app.example.com"}, True),
    ({"x_forwarded_server": "app.example.com"}, False),
]


@pytest.mark.parametrize(("headers", "is_let_in"), BEHIND_PROXY)
def test_same_counts_the_host_that_a_proxy_names_as_ours(headers, is_let_in):
    host = "10.0.0.7:8000"
    assert lets_in(SAME, "https://app.example.com", host, **headers) is is_let_in


def test_same_takes_the_first_of_a_header_that_a_proxy_repeats():
    headers = handshake("https://app.example.com", "inner.example")
    outer, inner = (b"x-forwarded-host", b"app.example.com"), (b"x-forwarded-host", b"b.example")
    assert SAME.refusal([*headers, outer, inner], "ws") is None
    assert SAME.refusal([*headers, inner, outer], "ws") is not None


NOT_ORIGINS = [
    "",
    " ",
    "/",
    "app.example.com",
    "//app.example.com",
    "http:app.example.com",
    "http:/app.example.com",
    "http://",
    "http://:80",
    "://app.example.com",
    "1http://app.example.com",
    "http://app.example.com/",
    "http://app.example.com/path",
    "http://app.example.com?x",
    "http://app.example.com#x",
    "http://user@app.example.com",
    "http://user:password@app.example.com",
    "http://evil.example\\@app.example.com",
    "http://app.example.com:",
    "http://app.example.com:0",
    "http://app.example.com:65536",
    "http://app.example.com:123456",
    "http://app.example.com:-80",
    "http://app.example.com:80:80",
    "http://app.example.com:8０",
    "http://app .example.com",
    "http://app.example.com http://app.example.com",
    "http://app.example.com, http://app.example.com",
    "http://app.example.com\x00",
    "http://app.example.com\r\n",
    "http://*.example.com",
    "http://*",
    "*",
    "same",
    "http://.app.example.com",
    "http://app..example.com",
    "http://äpp.example.com",
    "http://app.example.com\xa0",
    "http://%61pp.example.com",
    "http://[app.example.com]",
    "http://[::1",
    "http://[]",
    "Null",
    "null null",
    "file://",
]


@pytest.mark.parametrize("text", NOT_ORIGINS)
def test_a_header_that_is_not_an_origin_is_refused(text):
    rule = OriginRule(("same", "null", "http://app.example.com", "http://*.example.com"))
    # Non-ASCII text is on the wire in UTF-8; no host may then be made of it by accident.
    headers = [(b"host", b"app.example.com"), (b"origin", text.encode())]
    assert rule.refusal(headers, "ws") == "the Origin header is not an origin"
    headers = [(b"host", text.encode()), (b"origin", b"http://other.example")]
    assert rule.refusal(headers, "ws") is not None


def test_what_is_longer_than_any_host_name_is_refused_whatever_it_ends_with():
    rule = OriginRule(("https://*.example.com",))
    assert lets_in(rule, "https://" + "a." * 100 + "example.com")
    assert not lets_in(rule, "https://" + "a." * 30_000 + "example.com")


def test_spaces_around_a_header_are_no_part_of_it():
    assert lets_in(SAME, " http://app.example.com\t", " app.example.com ")


def test_several_origins_are_refused_even_if_each_would_be_let_in():
    headers = [*handshake("http://app.example.com"), (b"origin", b"http://app.example.com")]
    assert SAME.refusal(headers, "ws") == "there is more than one Origin header"


def test_header_names_are_compared_without_case():
    headers = [(b"Host", b"app.example.com"), (b"Origin", b"http://evil.example")]
    assert SAME.refusal(headers, "ws") is not None
    headers[1] = (b"Origin", b"http://app.example.com")
    assert SAME.refusal(headers, "ws") is None


@pytest.mark.parametrize("allowed", [("same",), ("null",), ("https://a.example",), (), ("*",)])
def test_a_missing_origin_is_let_in_unless_it_must_be_there(allowed):
    assert lets_in(OriginRule(allowed), None)
    strict = OriginRule(allowed, allow_missing=False)
    assert strict.refusal(handshake(None), "ws") == "an Origin header is required"


@pytest.mark.parametrize("allowed", [("same",), ("null",), ("https://a.example",), ()])
def test_null_is_let_in_only_where_it_is_listed(allowed):
    assert lets_in(OriginRule(allowed), "null") is ("null" in allowed)


@pytest.mark.parametrize("origins", ["*", None, ["*"], ["https://a.example", "*"]])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "not an origin", None])
def test_any_checks_nothing(origins, origin):
    assert lets_in(OriginRule.parse(origins), origin)


@pytest.mark.parametrize(
    ("entry", "origin", "is_let_in"),
    [
        ("https://app.example.com", "https://app.example.com", True),
        ("https://app.example.com", "https://app.example.com:443", True),
        ("https://app.example.com:443", "https://app.example.com", True),
        ("HTTPS://App.Example.com.", "https://app.example.com", True),
        ("wss://app.example.com", "https://app.example.com", True),
        ("https://app.example.com", "http://app.example.com", False),
        ("https://app.example.com", "https://app.example.com:8443", False),
        ("https://app.example.com", "https://example.com", False),
        ("https://app.example.com", "https://a.app.example.com", False),
        ("https://app.example.com", "https://evil.example", False),
        ("http://app.example.com", "http://app.example.com", True),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://localhost:3000", "http://localhost", False),
        ("http://[::1]:3000", "http://[0::1]:3000", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("capacitor://localhost", "http://localhost", False),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh", True),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgi", False),
        ("https://*.example.com", "https://app.example.com", True),
        ("https://*.example.com", "https://a.b.c.example.com", True),
        ("https://*.example.com", "https://APP.example.com.", True),
        ("https://*.example.com", "https://app.example.com:443", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://evilexample.com", False),
        ("https://*.example.com", "https://app.example.com.evil.example", False),
        ("https://*.example.com", "http://app.example.com", False),
        ("https://*.example.com", "https://app.example.com:8443", False),
        ("https://*.example.com", "https://[::1]", False),
        ("https://*.example.com:8443", "https://app.example.com:8443", True),
        ("https://*.example.com:8443", "https://app.example.com", False),
        ("http://*.localhost:3000", "http://app.localhost:3000", True),
    ],
)
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_listed_origin_lets_in_its_pages_and_no_others(entry, origin, is_let_in, scheme):
    assert lets_in(OriginRule((entry,)), origin, "api.example", scheme) is is_let_in


def test_a_list_without_same_refuses_our_own_pages():
    origins = ["https://other.example"]
    assert not lets_in(OriginRule.parse(origins), "https://app.example.com")
    assert lets_in(OriginRule.parse([*origins, "same"]), "https://app.example.com")
    assert lets_in(OriginRule.parse([*origins, "same"]), "https://other.example")


def test_an_empty_list_refuses_every_page():
    rule = OriginRule.parse([])
    assert not lets_in(rule, "http://app.example.com")
    assert not lets_in(rule, "null")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("same", OriginRule()),
        ("*", OriginRule(("*",))),
        (None, OriginRule(("*",))),
        ("null", OriginRule(("null",))),
        ("https://a.example", OriginRule(("https://a.example",))),
        (["same", "https://a.example"], OriginRule(("same", "https://a.example"))),
        (iter(["same"]), OriginRule()),
        (OriginRule(("null",), allow_missing=False), OriginRule(("null",), allow_missing=False)),
    ],
)
def test_parse_takes_what_a_route_may_say(value, expected):
    assert OriginRule.parse(value) == expected


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("", "it has no scheme"),
        ("SAME", "it has no scheme"),
        ("app.example.com", "it has no scheme"),
        ("*.example.com", "it has no scheme"),
        ("://app.example.com", "'' is not a scheme"),
        (" https://app.example.com", "' https' is not a scheme"),
        ("*://app.example.com", r"'\*' is not a scheme"),
        ("https://app.example.com/", "without a path or a slash"),
        ("https://app.example.com/path", "without a path or a slash"),
        ("https://app.example.com?x", "without a path or a slash"),
        ("https://user@app.example.com", "an origin holds no user"),
        ("https://u:p@app.example.com", "an origin holds no user"),
        ("https://*", "a wildcard stands for a whole subdomain, at the start of the host"),
        ("https://app.*.com", "a wildcard stands for a whole subdomain"),
        ("https://app*.example.com", "a wildcard stands for a whole subdomain"),
        ("https://*app.example.com", "a wildcard stands for a whole subdomain"),
        ("https://*.*.example.com", "a wildcard stands for a whole subdomain"),
        ("https://*.example.com:*", "a wildcard stands for a whole subdomain"),
        ("https://*.[::1]", "an address has no subdomains"),
        ("https://*.", "its host is neither a name nor an address"),
        ("https://", "its host is neither a name nor an address"),
        ("https://a b.example", "its host is neither a name nor an address"),
        ("https://[::1", "its host is neither a name nor an address"),
        ("https://[fe80::1%eth0]", "its host is neither a name nor an address"),
        ("https://äpp.example.com", "in its xn-- form"),
        ("https://\N{KELVIN SIGN}.example", "in its xn-- form"),
        ("https://app.example.com:", "'' is not a port"),
        ("https://app.example.com:port", "'port' is not a port"),
        ("https://app.example.com:70000", "'70000' is not a port"),
        ("https://a.example,https://b.example", "without a path or a slash"),
    ],
)
def test_a_bad_entry_is_refused_with_what_is_wrong_and_what_to_write(entry, fault):
    with pytest.raises(ValueError, match=fault) as caught:
        OriginRule.parse(["same", entry])
    assert str(caught.value).startswith(f"{entry!r} cannot be an allowed origin: ")
    assert "https://*.example.com" in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "origin", "scheme", "expected"),
    [
        (SAME, "https://evil.example", "ws", "its page is not from this host"),
        (SAME, "http://app.example.com", "wss", "its page was loaded without TLS"),
        (SAME, "app://localhost", "ws", "this origin is not allowed"),
        (SAME, "null", "ws", "pages without an origin are not allowed"),
        (OriginRule(("https://secret.example",)), "https://x.example", "ws", "is not allowed"),
    ],
)
def test_a_refusal_tells_the_client_why_and_nothing_of_ours(rule, origin, scheme, expected):
    sentence = rule.refusal(handshake(origin, x_forwarded_host="inner.example"), scheme)
    assert sentence is not None
    assert expected in sentence
    for secret in ("secret.example", "inner.example", "app.example.com"):
        assert secret not in sentence


def test_a_rule_cannot_be_changed():
    rule = OriginRule()
    with pytest.raises(AttributeError):
        rule.allowed = ("*",)
    assert rule == OriginRule()
    assert hash(rule) == hash(OriginRule(("same",)))
    assert repr(rule) == "OriginRule(allowed=('same',), allow_missing=True)"


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ADDRESSES = st.ip_addresses(v=6).map(lambda address: f"[{address}]") | st.ip_addresses(v=4).map(str)
SCHEMES = st.sampled_from(["http", "https"])
PORTS = st.none() | st.integers(1, 65535)


def with_port(host, port):
    return host if port is None else f"{host}:{port}"


@given(SCHEMES, NAMES | ADDRESSES, PORTS)
def test_a_page_of_any_host_is_let_in_by_that_host_and_by_its_own_entry(scheme, host, port):
    address = with_port(host, port)
    origin = f"{scheme}://{address}"
    assert lets_in(SAME, origin, address)
    assert lets_in(SAME, origin.upper(), address)
    assert lets_in(SAME, origin, address.upper())
    assert lets_in(OriginRule.parse(origin), origin, "other.example")
    assert not lets_in(SAME, origin, "127.0.0.1.other.example")


@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_ipv6_address_is_the_same_host(address):
    assert isinstance(address, ipaddress.IPv6Address)
    assert lets_in(SAME, f"http://[{address.exploded}]", f"[{address.compressed}]")
    assert lets_in(OriginRule((f"http://[{address.exploded}]",)), f"http://[{address}]", "x")


@given(NAMES, NAMES)
def test_a_wildcard_lets_in_subdomains_and_nothing_else(parent, other):
    rule = OriginRule((f"https://*.{parent}",))
    assert lets_in(rule, f"https://{other}.{parent}")
    assert not lets_in(rule, f"https://{parent}")
    assert lets_in(rule, f"https://{other}") is other.endswith(f".{parent}")
    assert not lets_in(rule, f"https://{other}{parent}")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_bytes_of_a_client_raise(origin, host):
    headers = [
        (b"host", host),
        (b"x-forwarded-host", host),
        (b"forwarded", b"host=" + host),
        (b"origin", origin),
    ]
    refusal = OriginRule(("same", "https://*.example.com")).refusal(headers, "ws")
    assert refusal is None or refusal.isascii()


@given(st.text(max_size=30))
def test_an_entry_is_refused_or_lets_in_itself(text):
    for entry in (text, f"https://{text}"):
        try:
            rule = OriginRule.parse([entry])
        except ValueError:
            continue
        if entry in ("same", "null", "*") or "*" in entry:
            continue
        assert lets_in(rule, entry, None)
