"""The requests that every peer must answer alike, and the check that it did."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What an ordinary HTTP library sends: a server with fewer headers to parse would flatter everyone.
CLIENT_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"host", b"api.example.com"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"example-client/1.0"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request of `path`, which is to be answered by 200 and the JSON value `answer`.

    Without a `method` it is a POST if it has a `body`, and a GET otherwise.
    """

    path: str
    answer: Any
    query: str = ""
    body: bytes = b""
    content_type: str = "application/json"
    """Of the body."""
    method: str = ""

    @property
    def verb(self) -> str:
        return self.method or ("POST" if self.body else "GET")

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""


HELLO = Question("/json", {"message": "Hello, World!"})
ITEM = Question("/items/42", {"id": 42})


def fault(question: Question, answer: Answer) -> str | None:
    """What is wrong with `answer`, in one line, or None where it is right."""
    if answer.status != 200:
        return f"status {answer.status} instead of 200"
    if not answer.content_type.startswith("application/json"):
        return f"content-type {answer.content_type!r} instead of application/json"
    try:
        value = json.loads(answer.body)
    except ValueError:
        return f"the body is not JSON: {answer.body[:80]!r}"
    if value != question.answer:
        return f"body {answer.body[:80]!r} instead of {json.dumps(question.answer)}"
    return None
