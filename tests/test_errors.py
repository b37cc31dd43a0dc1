"""The exceptions: one tree, and messages that tell what to do."""

import re

import pytest

from asgi_rt import errors
from asgi_rt.errors import (
    AsgiRtError,
    BodyOverrun,
    ClientDisconnected,
    HTTPError,
    LifespanError,
    MissingExtra,
    ReverseError,
    RouteError,
    SendTimeout,
    phrase,
)


def test_every_exception_derives_from_the_one_of_the_package():
    exceptions = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    ]
    assert all(issubclass(exception, AsgiRtError) for exception in exceptions)
    assert {exception.__name__ for exception in exceptions} <= set(errors.__all__)


def test_the_tree_in_the_docstring_is_the_tree():
    named = set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    assert named == {cls.__name__ for cls in AsgiRtError.__subclasses__()} & set(errors.__all__)


def test_errors_that_are_also_something_else():
    assert issubclass(MissingExtra, ImportError)
    assert issubclass(ReverseError, LookupError)


@pytest.mark.parametrize(("status", "text"), [(404, "Not Found"), (503, "Service Unavailable")])
def test_phrase_is_the_standard_one(status, text):
    assert phrase(status) == text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
    ],
)
def test_phrase_is_that_of_rfc_9110_on_every_python(status, text):
    assert phrase(status) == text


def test_phrase_of_a_status_without_one_is_error():
    assert phrase(499) == "Error"


@pytest.mark.parametrize("status", [200, 302, 399, 600, 0])
def test_http_error_of_a_status_that_is_no_error_is_refused(status):
    with pytest.raises(ValueError, match=f"4xx or 5xx answer, not {status}"):
        HTTPError(status)


def test_http_error_reads_as_status_title_and_detail():
    assert str(HTTPError(404)) == "404 Not Found"
    assert str(HTTPError(404, "no such cat")) == "404 Not Found: no such cat"
    assert str(HTTPError(404, title="No Cat")) == "404 No Cat"


def test_problem_of_an_http_error_has_the_members_of_rfc_9457():
    assert HTTPError(404).problem() == {"type": "about:blank", "title": "Not Found", "status": 404}
    error = HTTPError(
        402,
        "too poor",
        title="No Credit",
        type="https://example.com/no-credit",
        extensions={"balance": 3},
    )
    assert error.problem() == {
        "type": "https://example.com/no-credit",
        "title": "No Credit",
        "status": 402,
        "detail": "too poor",
        "balance": 3,
    }


def test_extensions_of_an_http_error_do_not_replace_its_members():
    problem = HTTPError(404, "gone", extensions={"status": 200, "detail": "fine"}).problem()
    assert (problem["status"], problem["detail"]) == (404, "gone")


def test_http_error_copies_what_it_was_given():
    headers, extensions = {"retry-after": "1"}, {"a": 1}
    error = HTTPError(503, headers=headers, extensions=extensions)
    error.headers["x"] = "y"
    error.extensions["b"] = 2
    assert headers == {"retry-after": "1"}
    assert extensions == {"a": 1}


def test_send_timeout_tells_how_long():
    assert SendTimeout(2.5).timeout == 2.5
    assert "2.5 seconds" in str(SendTimeout(2.5))


def test_body_overrun_tells_what_to_do():
    assert BodyOverrun(10).max_bytes == 10
    assert "more than 10 bytes" in str(BodyOverrun(10))
    assert "read the body before" in str(BodyOverrun(10))


def test_missing_extra_gives_the_command_that_cures_it():
    error = MissingExtra("python-multipart", "forms", "reading a form")
    assert str(error) == (
        'reading a form needs the package python-multipart: run pip install "asgi-rt[forms]"'
    )
    assert error.name == error.package == "python-multipart"
    assert error.extra == "forms"


def test_client_disconnected_has_a_message_of_its_own():
    assert str(ClientDisconnected()) == "the client disconnected"


@pytest.mark.parametrize("cls", [RouteError, ReverseError, LifespanError])
def test_other_errors_carry_their_message(cls):
    assert str(cls("what was wrong")) == "what was wrong"
