"""Which layers of middleware an app has around it, and how that is seen in its answers.

Every layer does the same: it sets one header of the response, each its own. What says how many
there are, and of which kind, is the name of the application, so that a server can be told by it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from benchmarks.harness.questions import Answer


class Kind(Enum):
    """How a layer is written; the value is what a table calls it.

    Those that are `untouched` hand the response on as it is, and set nothing.
    """

    BASE_HTTP = "BaseHTTPMiddleware"
    BASE_HTTP_UNTOUCHED = "BaseHTTPMiddleware untouched"
    DISPATCH = "DispatchMiddleware"
    DISPATCH_UNTOUCHED = "DispatchMiddleware untouched"
    HOOK = "hook Middleware"
    BY_HAND = "hand-written ASGI"

    @property
    def sets_header(self) -> bool:
        return self not in (Kind.BASE_HTTP_UNTOUCHED, Kind.DISPATCH_UNTOUCHED)


SETTING = tuple(kind for kind in Kind if kind.sets_header)
HEADER_VALUE = "1"


def header_name(number: int) -> str:
    """The header that layer `number`, counted from 0, sets."""
    return f"x-layer-{number}"


@dataclass(frozen=True, slots=True)
class Layers:
    """`count` layers of one kind; without any the kind says nothing."""

    kind: Kind = Kind.BY_HAND
    count: int = 0

    @property
    def application(self) -> str:
        """The name of the application that has them, as in `base_http_5`."""
        return f"{self.kind.name.lower()}_{self.count}" if self.count else "app"

    @classmethod
    def of(cls, application: str) -> "Layers":
        """What `application` names. Raises AttributeError for what names none."""
        found = re.fullmatch(r"([a-z_]+)_([1-9]\d*)", application)
        if found is None or found[1].upper() not in Kind.__members__:
            raise AttributeError(f"no application {application}")
        return cls(Kind[found[1].upper()], int(found[2]))

    def label(self, app: str) -> str:
        """How an arm with them is called, as in `starlette 5 BaseHTTPMiddleware`."""
        return f"{app} {self.count} {self.kind.value}" if self.count else f"{app} 0"

    def fault(self, answer: Answer) -> str | None:
        """What the headers of `answer` say against these layers, or None where they are theirs."""
        expected: set[str] = (
            {header_name(n) for n in range(self.count)} if self.kind.sets_header else set()
        )
        found = {name for name in answer.headers if name.startswith(header_name(0)[:-1])}
        if found != expected:
            return f"headers of layers {sorted(found)} instead of {sorted(expected)}"
        wrong = {answer.headers[name] for name in found} - {HEADER_VALUE}
        return f"a layer's header is {wrong.pop()!r}" if wrong else None


def stacks(counts: Sequence[int], kinds: Sequence[Kind] = tuple(Kind)) -> list[Layers]:
    """No layers, and then each of `counts` in each of `kinds`."""
    return [Layers(), *(Layers(kind, count) for count in counts for kind in kinds)]
