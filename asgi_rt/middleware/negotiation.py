"""Which content coding a response is sent in: `Accept-Encoding`, RFC 9110 section 12.5.3."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["MAX_FIELD_CHARACTERS", "Choice", "choose_coding", "parse_accept_encoding"]

MAX_FIELD_CHARACTERS: Final = 1024
"""A longer field is taken for none. Browsers send some thirty characters; what needs thousands is
an attack, and a body without a coding is always a right answer to it."""
_CHOICES: Final = 256
"""So many fields are kept with what was chosen for them: clients send the same few."""

_IDENTITY: Final = "identity"
_ANY: Final = "*"
_ALIASES: Final = {"x-gzip": "gzip"}  # section 8.4.1.3
_ELEMENT: Final = re.compile(
    r"""[ \t]*(?P<coding>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)
        (?:[ \t]*;[ \t]*[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*""",
    re.VERBOSE,
)


class Choice(NamedTuple):
    """What was chosen for one client."""

    coding: str | None
    """The coding, in lower case; None is a body without one."""
    refuses_identity: bool = False
    """Whether the client refuses a body without a coding."""


_NONE: Final = Choice(None)


def parse_accept_encoding(field: str) -> dict[str, float]:
    """The weight from 0 to 1 of each coding that the field lists, in lower case, `*` included.

    An element that does not parse is left out, as if the client had not listed it. Of a coding that
    is listed twice the lesser weight counts: what is refused once stays refused.
    """
    weights: dict[str, float] = {}
    for element in field.split(","):
        match = _ELEMENT.fullmatch(element)
        if match is not None:
            coding = match["coding"].lower()
            coding = _ALIASES.get(coding, coding)
            weight = 1.0 if match["weight"] is None else float(match["weight"])
            weights[coding] = min(weight, weights.get(coding, 1.0))
    return weights


def choose_coding(field: str | None, offered: tuple[str, ...]) -> Choice:
    """The coding with the greatest weight; of several with the same, the one offered first.

    `field` is the client's `Accept-Encoding`, repeated ones joined by commas. A client that sends
    none, or an empty one, gets no coding: it may take any by the specification, but many that say
    nothing can decode nothing. A body without a coding, `identity`, is chosen over a coding only
    where the client gives it a greater weight. `offered` holds names in lower case.
    """
    if not field or len(field) > MAX_FIELD_CHARACTERS:
        return _NONE
    return _choose(field, offered)


@lru_cache(_CHOICES)
def _choose(field: str, offered: tuple[str, ...]) -> Choice:
    weights = parse_accept_encoding(field)
    # What is not listed is refused, unless there is a `*`; but for `identity`, which is allowed.
    unlisted = weights.get(_ANY, 0.0)
    identity = weights.get(_IDENTITY, unlisted)
    refuses_identity = identity == 0 and (_IDENTITY in weights or _ANY in weights)
    chosen = max(offered, key=lambda coding: weights.get(coding, unlisted), default=None)
    weight = 0.0 if chosen is None else weights.get(chosen, unlisted)
    if weight == 0 or weight < identity:
        chosen = None
    return Choice(chosen, refuses_identity)
