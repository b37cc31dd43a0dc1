"""Topics, and the patterns that stand for many of them.

A topic is tokens joined by dots: `prices.eur`. In a pattern the token `*` stands for any one token,
and `>` at the end for one or more.
"""

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["PatternTree", "check_pattern", "check_topic", "is_pattern", "matcher", "topic_token"]

T = TypeVar("T")

MAX_LENGTH: Final = 255
"""How many characters a topic or a pattern may have."""
# Topics stand in log lines and in the protocols of other systems, which end at white space or
# control characters, and are UTF-8, which has no lone surrogates.
_OUTSIDE: Final = r"\s\x00-\x1f\x7f-\x9f\ud800-\udfff.*>"
_TOKEN: Final = rf"[^{_OUTSIDE}]+"
_TOPIC: Final = re.compile(rf"{_TOKEN}(?:\.{_TOKEN})*")
_PATTERN: Final = re.compile(rf"(?:(?:{_TOKEN}|\*)(?:\.(?:{_TOKEN}|\*))*(?:\.>)?|>)")
_RESERVED: Final = re.compile(rf"[{_OUTSIDE}%]")
_ANY: Final = "*"
_REST: Final = ">"


def check_topic(topic: str) -> None:
    """Raise ValueError for what is no topic that can be published to."""
    if not _is_whole(_TOPIC, topic):
        raise ValueError(
            f"{_cut(topic)} is no topic: tokens joined by dots, without white space, '*' and '>',"
            f" at most {MAX_LENGTH} characters; `topic_token` makes a token of any text"
        )


def check_pattern(pattern: str) -> None:
    """Raise ValueError for what is neither a topic nor a pattern."""
    if not _is_whole(_PATTERN, pattern):
        raise ValueError(
            f"{_cut(pattern)} is no topic and no pattern: tokens joined by dots, where '*' stands"
            f" for one token and '>' for all that follow, at most {MAX_LENGTH} characters"
        )


def is_pattern(pattern: str) -> bool:
    """Whether it stands for more than one topic."""
    return _ANY in pattern or _REST in pattern


def topic_token(text: str) -> str:
    """A token that stands for any text, so that what a user typed is never a wildcard.

    Reserved characters are percent-encoded, so different texts give different tokens. Raises
    ValueError for the empty text, and for one whose token would be longer than a topic may be.
    """
    # No character becomes shorter, so what is cut off here is too long anyway.
    token = _RESERVED.sub(_quote, text[: MAX_LENGTH + 1])
    if not 1 <= len(token) <= MAX_LENGTH:
        raise ValueError(f"{_cut(text)} gives no token of 1 to {MAX_LENGTH} characters")
    return token


def _is_whole(expression: re.Pattern[str], text: str) -> bool:
    # Looked at no further than to where it is too long, however long it is.
    return expression.fullmatch(text, 0, MAX_LENGTH + 1) is not None and len(text) <= MAX_LENGTH


def _cut(text: str) -> str:
    """A text as it stands in an error, which a client may have chosen, and is logged."""
    return repr(text) if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]!r}..."


def _quote(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def matcher(pattern: str) -> Callable[[str], bool]:
    """What tells of a topic whether a pattern, or topic, stands for it."""
    if not is_pattern(pattern):
        return pattern.__eq__
    expression = re.escape(pattern).replace(r"\*", "[^.]+")
    if pattern.endswith(_REST):
        expression = expression.removesuffix(_REST) + ".+"
    match = re.compile(expression).fullmatch
    return lambda topic: match(topic) is not None


class PatternTree(Generic[T]):
    """Values by pattern, found by topic: only patterns that begin as the topic does are looked at.

    They are followed token by token, also by `*`, even where they do not match in the end. So with
    many patterns of many `*` a look takes long: they are not for clients to choose. Each pattern
    has one value, which is not None. One task at a time.
    """

    __slots__ = ("_root", "_size")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def get(self, pattern: str) -> T | None:
        """The value of exactly this pattern."""
        node = self._root
        for token in pattern.split("."):
            if node.children is None or (found := node.children.get(token)) is None:
                return None
            node = found
        return node.value

    def set(self, pattern: str, value: T) -> None:
        """Put a value under a pattern, in place of the one that was there."""
        node = self._root
        for token in pattern.split("."):
            if node.children is None:
                node.children = {}
            node = node.children.setdefault(token, _Node())
        self._size += node.value is None
        node.value = value

    def remove(self, pattern: str) -> None:
        """Take a pattern's value away, and the branches that then lead nowhere."""
        path: list[tuple[_Node[T], str]] = []
        node = self._root
        for token in pattern.split("."):
            if node.children is None or token not in node.children:
                return
            path.append((node, token))
            node = node.children[token]
        self._size -= node.value is not None
        node.value = None
        for parent, token in reversed(path):
            if node.value is not None or node.children is not None:
                return
            assert parent.children is not None
            del parent.children[token]
            parent.children = parent.children or None
            node = parent

    def match(self, topic: str) -> list[T]:
        """The values of all patterns that stand for a topic, each once."""
        found: list[T] = []
        nodes = [self._root] if self._size else []
        for token in topic.split("."):
            following: list[_Node[T]] = []
            for node in nodes:
                children = node.children
                if children is None:
                    continue
                if (rest := children.get(_REST)) is not None and rest.value is not None:
                    found.append(rest.value)
                if (child := children.get(token)) is not None:
                    following.append(child)
                if (child := children.get(_ANY)) is not None:
                    following.append(child)
            if not following:
                return found
            nodes = following
        found.extend(node.value for node in nodes if node.value is not None)
        return found


class _Node(Generic[T]):
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] | None = None
        self.value: T | None = None
