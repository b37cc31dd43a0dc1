"""The media type and the `Content-Disposition` of a file, from its name."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rt.http.files import FileResponse, format_disposition


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.JS", "text/javascript; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a.svgz", "application/gzip"),
        ("a.csv.xz", "application/x-xz"),
        ("a", "application/octet-stream"),
        ("a.nothing-known", "application/octet-stream"),
        ("data:text/html,a", "application/octet-stream"),
    ],
)
def test_media_type_is_guessed_from_the_name(name, expected):
    assert FileResponse(name).headers["content-type"] == expected
    assert FileResponse("a.png", filename=name).headers["content-type"] == expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("report 1.pdf", 'attachment; filename="report 1.pdf"'),
        ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ('a"b\\c', "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a/b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%2Fb"),
        ("a\r\nset-cookie: b", 'attachment; filename="a__set-cookie: b"'),
        ("\ud800", "attachment; filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
def test_disposition_of_a_name(filename, expected):
    assert FileResponse("a", filename=filename).headers["content-disposition"] == expected


def test_disposition_is_absent_without_a_name_and_inline_on_request():
    assert "content-disposition" not in FileResponse("a.txt").headers
    response = FileResponse("a.txt", filename="b.txt", content_disposition="inline")
    assert response.headers["content-disposition"] == 'inline; filename="b.txt"'


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_disposition_of_any_name_is_read_back_as_it_was(filename):
    value = format_disposition("attachment", filename)
    match = re.fullmatch(r"attachment; filename=\"(.*?)\"(?:; filename\*=UTF-8''(.*))?", value)
    assert match is not None
    assert (match[1] if match[2] is None else unquote(match[2])) == filename


@given(st.text())
def test_disposition_of_any_name_is_one_safe_header(filename):
    value = FileResponse("a", filename=filename).headers["content-disposition"]
    assert re.fullmatch(
        r"attachment; filename=\"[ -~]*\"(; filename\*=UTF-8''[!#$&+\-.^_`|~0-9A-Za-z%]*)?", value
    )
