"""How far a response is."""

import pytest

from asgi_rt.middleware.progress import ends_response, is_event_stream, readable


@pytest.mark.parametrize(
    ("message", "is_end"),
    [
        ({"type": "http.response.start", "status": 200}, False),
        ({"type": "http.response.body", "body": b"x", "more_body": True}, False),
        ({"type": "http.response.body", "body": b"x", "more_body": False}, True),
        ({"type": "http.response.body"}, True),
        ({"type": "http.response.zerocopysend", "file": 3, "more_body": True}, False),
        ({"type": "http.response.zerocopysend", "file": 3}, True),
        ({"type": "http.response.pathsend", "path": "/file"}, True),
        ({"type": "http.response.early_hint", "links": []}, False),
        ({"type": "http.response.debug", "info": {}}, False),
    ],
)
def test_the_last_piece_of_a_body_ends_a_response(message, is_end):
    assert ends_response(message) is is_end


@pytest.mark.parametrize(
    ("headers", "is_stream"),
    [
        ([(b"content-type", b"text/event-stream")], True),
        ([(b"content-type", b"text/event-stream; charset=utf-8")], True),
        ([(b"Content-Type", b"Text/Event-Stream")], True),
        ([(b"content-type", b"text/plain")], False),
        ([(b"x-type", b"text/event-stream")], False),
        ([], False),
    ],
)
def test_an_event_stream_is_known_by_its_content_type(headers, is_stream):
    assert is_event_stream({"type": "http.response.start", "headers": headers}) is is_stream


def test_a_head_may_have_no_fields():
    assert not is_event_stream({"type": "http.response.start", "status": 200})


@pytest.mark.parametrize("fields", [[], [(b"a", b"1")], ((b"a", b"1"),)])
def test_a_head_whose_fields_can_be_read_again_is_kept(fields):
    head = {"type": "http.response.start", "status": 200, "headers": fields}
    assert readable(head) is head


def test_a_head_without_fields_is_kept():
    head = {"type": "http.response.start", "status": 200}
    assert readable(head) is head


def test_fields_that_can_be_read_once_are_read_into_a_head_of_their_own():
    head = {"type": "http.response.start", "status": 200, "headers": iter([(b"a", b"1")])}
    read = readable(head)
    assert read == {**head, "headers": [(b"a", b"1")]}
    assert read is not head
