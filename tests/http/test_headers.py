"""Header fields as a multi-map, and the pieces of values with parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.headers import (
    Headers,
    MutableHeaders,
    connection_close,
    encode_header,
    parse_options,
    quote_value,
    raw_headers,
)

TOKEN_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~"
tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=8)
values = st.text(
    st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=12
)


def test_encode_header_lower_cases_the_name_and_strips_the_value():
    assert encode_header("X-Trace", " \tabc ") == (b"x-trace", b"abc")


def test_encode_header_keeps_every_latin_1_character_of_the_value():
    assert encode_header("x", "caf\xe9\xa0") == (b"x", b"caf\xe9\xa0")


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\x00", "é", "(x)", "\u212aey"])
def test_encode_header_with_a_name_that_is_no_token_is_refused(name):
    with pytest.raises(ValueError, match="header"):
        encode_header(name, "v")


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nset-cookie: x=1", "a\x00", "\n", "a\n"])
def test_encode_header_with_a_line_break_or_nul_in_the_value_is_refused(value):
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        encode_header("x-name", value)


def test_encode_header_beyond_latin_1_says_what_to_do():
    with pytest.raises(ValueError, match=r"'x-name'.*percent-encode"):
        encode_header("x-name", "€")


@given(st.text(max_size=8), st.text(max_size=12))
def test_encode_header_of_anything_is_refused_or_safe_and_read_back(name, value):
    try:
        raw_name, raw_value = encode_header(name, value)
    except ValueError:
        return
    assert not set(raw_name + raw_value) & set(b"\r\n\x00")
    assert Headers([(raw_name, raw_value)])[name] == value.strip(" \t")


def test_headers_are_found_by_a_name_in_any_case():
    headers = Headers([(b"content-type", b"text/html")])
    assert headers["Content-Type"] == headers["CONTENT-TYPE"] == "text/html"
    assert "CONTENT-type" in headers


def test_headers_of_a_repeated_name_give_the_first_or_all():
    headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert headers["a"] == "1"
    assert headers.get_all("A") == ["1", "3"]
    assert list(headers) == ["a", "b"]
    assert len(headers) == 2


def test_headers_that_are_absent_are_told_apart():
    headers = Headers()
    assert headers.get("a") is None
    assert headers.get_all("a") == []
    assert 1 not in headers
    with pytest.raises(KeyError):
        headers["a"]


def test_headers_fold_only_ascii_letters():
    headers = Headers([(b"cookie", b"secret"), (b"\xc9", b"upper")])
    assert "coo\u212aie" not in headers
    assert headers.get("coo\u212aie") is None
    assert headers["\xc9"] == "upper"


def test_headers_are_equal_whatever_the_order_of_different_names():
    assert Headers([(b"a", b"1"), (b"b", b"2")]) == Headers([(b"b", b"2"), (b"a", b"1")])
    assert Headers([(b"a", b"1")]) != Headers([(b"a", b"2")])
    assert Headers() != {}


def test_headers_with_the_values_of_one_name_in_another_order_are_not_equal():
    assert Headers([(b"a", b"1"), (b"a", b"2")]) != Headers([(b"a", b"2"), (b"a", b"1")])


def test_headers_show_their_pairs():
    assert repr(Headers([(b"a", b"1")])) == "Headers([(b'a', b'1')])"


def test_headers_cannot_be_hashed():
    with pytest.raises(TypeError):
        hash(Headers())


def test_setting_a_header_replaces_every_value_at_the_place_of_the_first():
    headers = MutableHeaders([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    headers["A"] = "4"
    assert headers.raw == [(b"a", b"4"), (b"b", b"2")]


def test_deleting_a_header_removes_every_value():
    headers = MutableHeaders([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    del headers["A"]
    assert headers.raw == [(b"b", b"2")]
    with pytest.raises(KeyError):
        del headers["a"]


def test_setdefault_keeps_a_header_that_is_there():
    headers = MutableHeaders([(b"a", b"1")])
    assert headers.setdefault("A", "2") == "1"
    assert headers.setdefault("b", "2") == "2"
    assert headers.raw == [(b"a", b"1"), (b"b", b"2")]


def test_every_write_of_a_header_is_checked():
    headers = MutableHeaders()
    for write in (headers.__setitem__, headers.append, headers.setdefault):
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            write("x", "a\r\nb")
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        headers.update({"x": "a\nb"})
    assert headers.raw == []


def test_update_replaces_what_was_there_and_keeps_repeated_names():
    headers = MutableHeaders([(b"a", b"1"), (b"b", b"2")])
    headers.update([("A", "3"), ("a", "4")])
    assert headers.raw == [(b"b", b"2"), (b"a", b"3"), (b"a", b"4")]


def test_update_from_headers_takes_every_value():
    headers = MutableHeaders()
    headers.update(Headers([(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]))
    assert headers.get_all("set-cookie") == ["a=1", "b=2"]


def test_update_with_one_bad_field_changes_nothing():
    headers = MutableHeaders([(b"a", b"1")])
    with pytest.raises(ValueError, match="header"):
        headers.update({"a": "2", "b c": "3"})
    assert headers.raw == [(b"a", b"1")]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([], ["Accept"]),
        ([(b"vary", b"origin")], ["origin, Accept"]),
        ([(b"vary", b"origin"), (b"vary", b"cookie")], ["origin, cookie, Accept"]),
        ([(b"vary", b"origin, accept")], ["origin, accept"]),
        ([(b"vary", b"*")], ["*"]),
        ([(b"vary", b"")], ["Accept"]),
    ],
)
def test_vary_names_a_request_header_once(present, expected):
    headers = MutableHeaders(present)
    headers.vary("Accept")
    assert headers.get_all("vary") == expected


def test_raw_headers_take_a_mapping_pairs_or_headers():
    assert raw_headers(None) == []
    assert raw_headers({"A": "1"}) == [(b"a", b"1")]
    assert raw_headers([("A", "1"), ("a", "2")]) == [(b"a", b"1"), (b"a", b"2")]
    assert raw_headers(Headers([(b"a", b"1"), (b"a", b"2")])) == [(b"a", b"1"), (b"a", b"2")]


def test_raw_headers_of_headers_are_a_copy():
    headers = MutableHeaders([(b"a", b"1")])
    raw_headers(headers).clear()
    assert headers["a"] == "1"


@pytest.mark.parametrize("raw", [(b"x", b"a\r\nb"), (b"x y", b"a")])
def test_raw_headers_of_headers_made_from_unchecked_bytes_are_refused(raw):
    with pytest.raises(ValueError, match="header"):
        raw_headers(Headers([raw]))


operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), tokens, values),
        st.tuples(st.just("append"), tokens, values),
        st.tuples(st.just("setdefault"), tokens, values),
        st.tuples(st.just("delete"), tokens, st.just("")),
    ),
    max_size=12,
)


@given(operations)
def test_mutable_headers_behave_like_a_case_insensitive_multimap(steps):
    headers = MutableHeaders()
    model: dict[str, list[str]] = {}
    for step, name, value in steps:
        key, stripped = name.lower(), value.strip(" \t")
        if step == "set":
            headers[name] = value
            model[key] = [stripped]
        elif step == "append":
            headers.append(name, value)
            model.setdefault(key, []).append(stripped)
        elif step == "setdefault":
            headers.setdefault(name, value)
            model.setdefault(key, [stripped])
        elif name in headers:
            del headers[name]
            del model[key]
    assert {name: headers.get_all(name.upper()) for name in headers} == model
    assert len(headers) == len(model)
    assert {name: headers[name] for name in headers} == {k: v[0] for k, v in model.items()}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("", {})),
        ("Text/HTML", ("text/html", {})),
        ("text/html; Charset=UTF-8", ("text/html", {"charset": "UTF-8"})),
        ("a/b;x=1;y=2", ("a/b", {"x": "1", "y": "2"})),
        ("a/b; x = 1", ("a/b", {"x": "1"})),
        ('a/b; x="q;\\"w\\\\"; y=2', ("a/b", {"x": 'q;"w\\', "y": "2"})),
        ("a/b; x=", ("a/b", {"x": ""})),
        ("a/b; x=1; X=2", ("a/b", {"x": "1"})),
        ("a/b;", ("a/b", {})),
        ("a/b; boundary=--=_x/:", ("a/b", {"boundary": "--=_x/:"})),
    ],
)
def test_parse_options_reads_parameters(value, expected):
    assert parse_options(value) == expected


@pytest.mark.parametrize(
    "bad", ["", "flag", "=1", 'x="q"w', "x=1 2", 'x=a"b"', "@=1"], ids=lambda bad: bad or "empty"
)
def test_parse_options_leaves_out_only_the_parameter_that_does_not_parse(bad):
    assert parse_options(f"a/b; {bad}; charset=utf-8") == ("a/b", {"charset": "utf-8"})


def test_parse_options_leaves_out_what_an_open_quote_swallows():
    assert parse_options('a/b; x=1; y="open; charset=utf-8') == ("a/b", {"x": "1"})


@given(tokens, st.text(st.characters(max_codepoint=255), max_size=12))
def test_parse_options_reads_what_quote_value_wrote(name, text):
    assert parse_options(f"a/b; {name}={quote_value(text)}") == ("a/b", {name.lower(): text})


@given(st.text(max_size=40))
def test_parse_options_takes_anything(value):
    head, options = parse_options(value)
    assert head == value.partition(";")[0].strip(" \t").lower()
    assert all(name == name.lower() for name in options)


@pytest.mark.parametrize("hostile", ['a;"' * 20_000, 'a;x="\\' * 20_000, "a; =" * 20_000])
def test_parse_options_takes_linear_time(hostile):
    parse_options(hostile)  # a quadratic walk over 80 kB would run into the test's timeout


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0", {"connection": "close"}), ("1.1", {"connection": "close"}), ("2", {}), ("3", {})],
)
def test_connection_close_is_sent_by_http_1_alone(version, expected):
    assert connection_close({"http_version": version}) == expected
