"""The rules of CORS: who is allowed what, and what is never sent back."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.errors import HTTPError
from asgi_rt.middleware.cors_policy import CORSPolicy, is_preflight

APP = "https://app.example.com"
DEFAULTS = {
    "allow_origins": (),
    "allow_origin_regex": None,
    "allow_methods": ("GET",),
    "allow_headers": (),
    "allow_credentials": False,
    "allow_private_network": False,
    "expose_headers": (),
    "max_age": 600,
}
ANYTHING = {
    "allow_origins": ["*"],
    "allow_methods": ["*"],
    "allow_headers": ["*"],
    "allow_credentials": True,
    "allow_private_network": True,
}


def policy(*origins, **options):
    return CORSPolicy(**{**DEFAULTS, "allow_origins": origins, **options})


def asking(origin=APP, method="GET", headers=None, private=None):
    """The header fields of a preflight."""
    fields = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
        "access-control-request-private-network": private,
    }
    return [
        (name.encode(), value.encode("latin-1"))
        for name, value in fields.items()
        if value is not None
    ]


def preflight(policy, **asked):
    """The fields of its answer; the sentence of its refusal where it is refused."""
    try:
        fields = policy.preflight(asking(**asked))
    except HTTPError as error:
        return f"{error.status_code}: {error.detail}"
    names = [name for name, _ in fields]
    assert len(names) == len(set(names))
    return {name.decode(): value.decode() for name, value in fields}


def allows(policy, origin):
    value = origin.encode("latin-1") if isinstance(origin, str) else origin
    allowed = policy.allowed_origin([(b"origin", value)])
    assert allowed in (None, value)
    return allowed is not None


# Origins


@pytest.mark.parametrize(
    ("entry", "origin", "is_allowed"),
    [
        (APP, APP, True),
        (APP, "https://app.example.com:443", True),
        ("https://app.example.com:443", APP, True),
        ("https://APP.example.com", APP, True),
        (APP, "http://app.example.com", False),
        (APP, "https://app.example.com:8443", False),
        (APP, "https://app.example.com.evil.example", False),
        (APP, "https://evil-app.example.com", False),
        (APP, "https://app.example.com/", False),
        (APP, "https://app.example.com@evil.example", False),
        (APP, "null", False),
        (APP, "", False),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://localhost:3000", "http://localhost", False),
        ("http://[::1]:3000", "http://[0:0:0:0:0:0:0:1]:3000", True),
        ("https://*.example.com", APP, True),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://evilexample.com", False),
        ("https://*.example.com", "http://app.example.com", False),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("null", "null", True),
        ("null", "NULL", False),
    ],
)
def test_an_origin_is_allowed_by_what_is_listed(entry, origin, is_allowed):
    assert allows(policy(entry), origin) is is_allowed


@pytest.mark.parametrize(
    ("regex", "origin", "is_allowed"),
    [
        (r"https://.*\.example\.com", APP, True),
        (r"https://.*\.example\.com", APP + ".evil.example", False),
        (r"https://.*\.example\.com", "xhttps://app.example.com", False),
        (r"example", APP, False),
        (r"file://", "file://", True),
        (re.compile(r"HTTPS://APP\.EXAMPLE\.COM", re.IGNORECASE), APP, True),
        (r".*", "null", False),
        (r"(?s).*", "https://a\nb", False),
        (r".*", "https://a b", False),
        (r".*", "https://a,https://b", False),
        (r".*", "https://\u00e4.example", False),
    ],
)
def test_a_regex_has_to_match_the_whole_of_an_origin(regex, origin, is_allowed):
    assert allows(policy(allow_origin_regex=regex), origin) is is_allowed


def test_a_regex_and_a_list_allow_what_either_does():
    both = policy(APP, allow_origin_regex=r"http://localhost:\d+")
    assert allows(both, APP)
    assert allows(both, "http://localhost:5173")
    assert not allows(both, "http://localhost")


def test_nobody_is_allowed_by_default():
    assert not allows(policy(), APP)
    assert not allows(policy(), "null")


def test_for_everybody_is_a_star_whatever_the_request_says():
    for headers in ([], [(b"origin", b"null")], [(b"origin", b"a" * 100_000)]):
        assert policy("*").allowed_origin(headers) == b"*"


def test_everybody_with_credentials_is_the_origin_that_asks():
    everybody = policy("*", allow_credentials=True)
    assert allows(everybody, APP)
    assert not allows(everybody, "null")
    assert everybody.allowed_origin([]) is None


def test_null_with_credentials_must_be_listed():
    assert allows(policy("*", "null", allow_credentials=True), "null")
    assert allows(policy("null", allow_credentials=True), "null")


def test_more_than_one_origin_is_none():
    twice = [(b"origin", APP.encode()), (b"origin", APP.encode())]
    assert policy(APP).allowed_origin(twice) is None
    assert policy("*", allow_credentials=True).allowed_origin(twice) is None


@pytest.mark.parametrize("options", [{}, {"allow_origin_regex": "(?s).*"}])
@pytest.mark.parametrize(
    "origin",
    [
        b"https://" + b"a" * 100_000,
        b"https://" + b"a." * 50_000 + b"example.com",
        b"a" * 100_000 + b"://",
        b"https://[" + b":" * 100_000 + b"]",
        b"https://a.example.com\r\nset-cookie: a=b",
        b"https://a.example.com\x00",
        b"https://a.example.com\x7f",
        b"\x1b[31mhttps://a.example.com",
        b"https://\xff.example.com",
        b"https://a.example.com/path",
        b"https://a.example.com?query",
        b"https://user@a.example.com",
        b"https://a.example.com, https://b.example.com",
        b"//a.example.com",
        b"a.example.com",
    ],
)
def test_what_is_no_origin_is_refused_at_once(origin, options):
    strict = policy("https://*.example.com", **options)
    lax = policy("*", allow_credentials=True, **options)
    began = time.perf_counter()
    assert not allows(strict, origin)
    assert not allows(lax, origin)
    assert time.perf_counter() - began < 1


@given(st.binary(max_size=80))
def test_only_printable_ascii_is_ever_sent_back(origin):
    allowed = policy("*", allow_credentials=True).allowed_origin([(b"origin", origin)])
    if allowed is not None:
        assert allowed == origin
        assert allowed.decode("ascii").isprintable()
        assert not set(allowed) & set(b' ,"<>\\/?#@') - set(b"/")
        assert allowed.count(b"/") == 2


# Preflights


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"origin": APP, "access-control-request-method": "GET"}, True),
        ({"origin": APP, "access-control-request-method": ""}, True),
        ({"origin": APP}, False),
        ({"access-control-request-method": "GET"}, False),
        ({}, False),
    ],
)
def test_a_preflight_is_known_by_its_fields(asked, expected):
    assert is_preflight([(n.encode(), v.encode()) for n, v in asked.items()]) is expected


def test_a_preflight_is_told_all_that_is_allowed_and_for_how_long():
    some = policy(APP, allow_methods=["GET", "PUT"], allow_headers=["X-Token"], max_age=60)
    assert preflight(some, method="PUT", headers="x-token,content-type") == {
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": (
            "Accept, Accept-Language, Content-Language, Content-Type, X-Token"
        ),
        "access-control-max-age": "60",
        "vary": (
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers,"
            " Access-Control-Request-Private-Network"
        ),
    }


@pytest.mark.parametrize("credentials", [False, True])
def test_stars_are_never_sent_for_methods_and_headers(credentials):
    """Browsers take a "*" literally beside credentials, and never for Authorization."""
    options = {**ANYTHING, "allow_credentials": credentials}
    answer = preflight(policy(**options), method="PROPFIND", headers="Authorization, X-A")
    assert answer["access-control-allow-methods"].split(", ")[-1] == "PROPFIND"
    assert "PATCH" in answer["access-control-allow-methods"]
    assert answer["access-control-allow-headers"] == "authorization, x-a"
    assert answer["access-control-allow-origin"] == (APP if credentials else "*")
    assert answer.get("access-control-allow-credentials") == ("true" if credentials else None)


def test_any_header_lists_none_where_none_is_asked_for():
    assert "access-control-allow-headers" not in preflight(policy(APP, allow_headers=["*"]))
    empty = preflight(policy(APP, allow_headers=["*"]), headers="")
    assert "access-control-allow-headers" not in empty


@pytest.mark.parametrize("listed", ["delete", "DELETE", "Delete"])
def test_methods_are_listed_in_any_case_and_asked_for_in_one(listed):
    assert isinstance(preflight(policy(APP, allow_methods=[listed]), method="DELETE"), dict)
    assert isinstance(preflight(policy(APP, allow_methods=[listed]), method="delete"), str)


@pytest.mark.parametrize("headers", ["X-Token", "x-token", " x-token\t", "x-token, ,X-TOKEN,"])
def test_headers_have_no_case_and_empty_elements_are_none(headers):
    assert isinstance(preflight(policy(APP, allow_headers=["x-TOKEN"]), headers=headers), dict)


def test_headers_may_be_asked_for_in_several_fields():
    extra = [(b"access-control-request-headers", b"x-b")]
    fields = policy(APP, allow_headers=["X-A", "X-B"]).preflight([*asking(headers="x-a"), *extra])
    assert fields
    with pytest.raises(HTTPError):
        policy(APP, allow_headers=["X-A"]).preflight([*asking(headers="x-a"), *extra])


@pytest.mark.parametrize("private", [None, "true"])
def test_a_private_network_is_opened_where_that_is_asked_for(private):
    answer = preflight(policy(APP, allow_private_network=True), private=private)
    assert answer.get("access-control-allow-private-network") == private


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({"origin": "https://evil.example"}, "the origin"),
        ({"method": "DELETE"}, "the method"),
        ({"headers": "x-token"}, "a header"),
        ({"headers": "content-type, x-token"}, "a header"),
        ({"private": "true"}, "a private network"),
        ({"origin": "null", "method": "", "headers": "\x00"}, "the origin, the method, a header"),
    ],
)
def test_a_refused_preflight_says_what_is_not_allowed_and_sends_nothing_back(asked, refused):
    expected = f"400: this preflight asks for what is not allowed here: {refused}"
    assert preflight(policy(APP), **asked) == expected


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "A" * 100_000},
        {"method": "GET\r\nset-cookie: a=b"},
        {"method": "GET, PUT"},
        {"method": ""},
        {"method": "*\x00"},
        {"headers": ",".join(f"x-{number}" for number in range(10_000))},
        {"headers": "x" * 100_000},
        {"headers": "," * 100_000},
        {"headers": "x-a\r\nset-cookie: a=b"},
        {"headers": "x a"},
        {"headers": "x-\xe4"},
        {"headers": "x-a\x00"},
    ],
)
def test_what_is_no_method_or_header_is_refused_even_where_any_is_allowed(asked):
    began = time.perf_counter()
    assert isinstance(preflight(policy(**ANYTHING), **asked), str)
    assert isinstance(preflight(policy(APP), **asked), str)
    assert time.perf_counter() - began < 1


def test_a_method_that_is_asked_for_twice_is_refused():
    with pytest.raises(HTTPError):
        policy(APP).preflight([*asking(), (b"access-control-request-method", b"GET")])


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=4)
)
def test_nothing_that_could_break_a_header_is_ever_sent_back(origin, method, headers, private):
    asked = [
        (b"origin", origin),
        (b"access-control-request-method", method),
        (b"access-control-request-headers", headers),
        (b"access-control-request-private-network", private),
    ]
    try:
        fields = policy(**ANYTHING).preflight(asked)
    except HTTPError as error:
        fields = [(b"detail", str(error.detail).encode())]
    assert all(value.decode("ascii").isprintable() for _, value in fields)


TOKENS = st.text("abcXYZ-_!", min_size=1, max_size=6)


@given(st.lists(TOKENS, max_size=4), st.lists(TOKENS, max_size=4))
def test_headers_are_allowed_if_all_of_them_are_listed(listed, asked):
    answer = preflight(policy(APP, allow_headers=listed), headers=",".join(asked))
    known = {each.lower() for each in listed}
    assert isinstance(answer, dict) == all(each.lower() in known for each in asked)


# Responses


def added(policy, own=(), origin=APP):
    """What a response gets beside its own fields."""
    own = list(own)
    fields = policy.fields(own, None if origin is None else origin.encode())
    assert fields[: len(own)] == own
    return fields[len(own) :]


def test_the_apps_own_list_of_fields_is_left_as_it_is():
    own = [(b"vary", b"Accept")]
    assert policy(APP).fields(own, APP.encode())[0] == (b"vary", b"Accept, Origin")
    assert own == [(b"vary", b"Accept")]


def test_a_response_to_an_allowed_origin_names_it():
    some = policy(APP, allow_credentials=True, expose_headers=["X-A", "X-B"])
    assert added(some) == [
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", APP.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"X-A, X-B"),
    ]


def test_a_response_to_nobody_only_says_that_it_varies():
    some = policy(APP, allow_credentials=True, expose_headers=["X-A", "X-B"])
    assert added(some, origin=None) == [(b"vary", b"Origin")]


def test_a_response_for_everybody_does_not_vary():
    some = policy("*", expose_headers=["*"])
    assert added(some, origin="*") == [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"*"),
    ]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([b"Accept"], b"Accept, Origin"),
        ([b"Accept", b"Cookie"], b"Accept, Cookie, Origin"),
        ([b"origin"], b"origin"),
        ([b"Accept, ORIGIN"], b"Accept, ORIGIN"),
        ([b"*"], b"*"),
        ([b""], b"Origin"),
    ],
)
def test_vary_is_one_field_and_names_the_origin_once(own, expected):
    headers = policy(APP).fields([(b"vary", each) for each in own], None)
    assert headers == [(b"vary", expected)]


def test_a_response_with_a_policy_of_its_own_keeps_it():
    own = [(b"access-control-allow-origin", b"https://other.example")]
    some = policy(APP, allow_credentials=True, expose_headers=["X-A"])
    assert added(some, own) == [(b"vary", b"Origin")]
    assert added(policy("*"), own, "*") == []


def test_other_fields_of_the_response_stay_beside_those_of_the_layer():
    own = [(b"access-control-expose-headers", b"X-Own")]
    assert added(policy(APP, expose_headers=["X-A"]), own) == [
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", APP.encode()),
    ]


def test_all_headers_are_named_where_a_star_would_be_taken_literally():
    some = policy(APP, allow_credentials=True, expose_headers=["*"])
    own = [(b"x-b", b""), (b"set-cookie", b"a=b"), (b"x-a", b""), (b"x-a", b""), (b"vary", b"*")]
    exposed = dict(some.fields(own, APP.encode()))[b"access-control-expose-headers"]
    assert exposed == b"x-a, x-b"
    assert b"access-control-expose-headers" not in dict(some.fields([], APP.encode()))


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow_origins": ["https://a.example/"]}, "allow_origins: 'https://a.example/' cannot"),
        ({"allow_origins": ["a.example"]}, "it has no scheme"),
        ({"allow_origins": ["https://a.*.example"]}, "a wildcard stands for a whole subdomain"),
        ({"allow_origins": ["same"]}, "leave 'same' out"),
        ({"allow_origin_regex": "("}, "allow_origin_regex is no regular expression"),
        ({"allow_methods": ["GET, PUT"]}, "'GET, PUT' is neither a method nor a header name"),
        ({"allow_methods": [""]}, "'' is neither"),
        ({"allow_headers": ["X-A\r\n"]}, "is neither a method nor a header name"),
        ({"allow_headers": ["X-\u212a"]}, "is neither a method nor a header name"),
        ({"expose_headers": ["X A"]}, "'X A' is neither"),
        ({"max_age": -1}, "max_age is at least 0 seconds, not -1"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_the_reason(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        policy(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow_origins": "*"}, "allow_origins is a list of str, such as ['*'], not '*'"),
        ({"allow_methods": "GET"}, "allow_methods is a list of str, such as ['GET']"),
        ({"allow_headers": None}, "allow_headers is a list of str"),
        ({"expose_headers": [b"x"]}, "expose_headers is a list of str; b'x' is none"),
        ({"allow_origin_regex": re.compile(b"x")}, "matched against str"),
        ({"max_age": 0.5}, "max_age is a whole number of seconds, not 0.5"),
        ({"max_age": True}, "max_age is a whole number"),
        ({"max_age": None}, "max_age is a whole number"),
    ],
)
def test_an_option_of_a_wrong_type_is_refused(options, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        policy(**options)
