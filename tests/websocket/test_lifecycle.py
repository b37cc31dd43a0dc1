"""The tables of the lifecycle, against what the ASGI specification says, written down once more."""

import gc
import re
from itertools import product
from pathlib import Path

import pytest

from asgi_rt.errors import LifecycleError
from asgi_rt.websocket.lifecycle import (
    LINKS,
    TRANSITIONS,
    Lifecycle,
    Side,
    State,
    diagram,
    message_name,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "websocket.md"
GENERATED = re.compile(r"(?<=<!-- lifecycle: generated -->\n).*?(?=<!-- end -->)", re.DOTALL)
RENEW = """the diagram in docs/websocket.md is not that of the tables any more; renew it with
    python tests/websocket/test_lifecycle.py"""

# What a connection is after each message, for every pair of states that it can be in: the client's,
# then the app's. Written out by hand from the specification; a pair that is missing is an error.
OUTCOMES = {
    ("new", "new"): {
        "websocket.connect": ("connecting", "connecting"),
    },
    ("connecting", "connecting"): {
        "websocket.disconnect": ("closed", "closed"),
        "websocket.accept": ("open", "open"),
        "websocket.close": ("connecting", "closed"),
        "websocket.http.response.start": ("connecting", "denying"),
    },
    ("connecting", "denying"): {
        "websocket.disconnect": ("closed", "closed"),
        "websocket.http.response.body": ("connecting", "denying"),
        "websocket.http.response.end": ("connecting", "closed"),
    },
    ("connecting", "closed"): {
        "websocket.disconnect": ("closed", "closed"),
    },
    ("open", "open"): {
        "websocket.receive": ("open", "open"),
        "websocket.disconnect": ("closed", "closed"),
        "websocket.send": ("open", "open"),
        "websocket.close": ("open", "closed"),
    },
    ("open", "closed"): {
        "websocket.receive": ("open", "closed"),
        "websocket.disconnect": ("closed", "closed"),
    },
    ("closed", "closed"): {
        "websocket.disconnect": ("closed", "closed"),
    },
}
FROM_CLIENT = ["websocket.connect", "websocket.receive", "websocket.disconnect"]
FROM_APP = [
    "websocket.accept",
    "websocket.send",
    "websocket.close",
    "websocket.http.response.start",
    "websocket.http.response.body",
    "websocket.http.response.end",
]
UNKNOWN = ["websocket.ping", "http.request", "lifespan.startup", ""]
NAMES = FROM_CLIENT + FROM_APP + UNKNOWN

# Each side alone, as (state, message): the state after it.
CLIENT_MOVES = {
    ("new", "websocket.connect"): "connecting",
    ("connecting", "websocket.disconnect"): "closed",
    ("open", "websocket.receive"): "open",
    ("open", "websocket.disconnect"): "closed",
    ("closed", "websocket.disconnect"): "closed",
}
APP_MOVES = {
    ("connecting", "websocket.accept"): "open",
    ("connecting", "websocket.close"): "closed",
    ("connecting", "websocket.http.response.start"): "denying",
    ("open", "websocket.send"): "open",
    ("open", "websocket.close"): "closed",
    ("denying", "websocket.http.response.body"): "denying",
    ("denying", "websocket.http.response.end"): "closed",
}
MOVES = {"client": CLIENT_MOVES, "app": APP_MOVES}


def lifecycle_in(client, app):
    lifecycle = Lifecycle()
    lifecycle.client, lifecycle.app = State(client), State(app)
    return lifecycle


def states_of(lifecycle):
    return lifecycle.client.value, lifecycle.app.value


def note(lifecycle, side, name):
    (lifecycle.received if side == "client" else lifecycle.sent)(name)


@pytest.mark.parametrize("side", MOVES)
@pytest.mark.parametrize("state", ["new", "connecting", "open", "denying", "closed"])
def test_a_side_takes_the_messages_of_its_state_and_no_others(side, state):
    for name in NAMES:
        # The other side stands where no link touches it: these are checked on their own.
        lifecycle = (
            lifecycle_in(state, "closed") if side == "client" else lifecycle_in("new", state)
        )
        expected = MOVES[side].get((state, name))
        if expected is None:
            with pytest.raises(LifecycleError):
                note(lifecycle, side, name)
        else:
            note(lifecycle, side, name)
        after = dict(zip(["client", "app"], states_of(lifecycle), strict=True))
        assert after[side] == (expected or state), name


@pytest.mark.parametrize("before", OUTCOMES)
def test_a_message_leads_both_sides_to_where_the_specification_says(before):
    for side, name in product(["client", "app"], NAMES):
        lifecycle = lifecycle_in(*before)
        belongs = name in (FROM_CLIENT if side == "client" else FROM_APP)
        expected = OUTCOMES[before].get(name) if belongs else None
        if expected is None:
            with pytest.raises(LifecycleError):
                note(lifecycle, side, name)
            assert states_of(lifecycle) == before, "a message that is refused changes nothing"
        else:
            note(lifecycle, side, name)
            assert states_of(lifecycle) == expected, name


def test_no_pair_of_states_can_be_reached_beside_those_of_the_specification():
    reached = {("new", "new")}
    pending = [("new", "new")]
    while pending:
        before = pending.pop()
        for side, name in product(["client", "app"], NAMES):
            lifecycle = lifecycle_in(*before)
            try:
                note(lifecycle, side, name)
            except LifecycleError:
                continue
            if (after := states_of(lifecycle)) not in reached:
                reached.add(after)
                pending.append(after)
    assert reached == set(OUTCOMES)


@pytest.mark.parametrize("entered", State)
@pytest.mark.parametrize("other", State)
def test_a_link_moves_the_other_side_and_only_where_it_must(entered, other):
    from_client = {("connecting", "new"): "connecting"} | {
        ("closed", state): "closed" for state in ["new", "connecting", "open", "denying", "closed"]
    }
    from_app = {("open", "connecting"): "open"}
    assert LINKS[Side.CLIENT].get(entered, {}).get(other) == from_client.get((entered, other))
    assert LINKS[Side.APP].get(entered, {}).get(other) == from_app.get((entered, other))


def test_the_tables_name_every_side_and_every_state():
    assert set(TRANSITIONS) == set(Side)
    assert all(set(moves) == set(State) for moves in TRANSITIONS.values())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "websocket.connect"}, "websocket.connect"),
        ({"type": "websocket.send", "text": "x", "more_body": False}, "websocket.send"),
        ({"type": "websocket.http.response.body"}, "websocket.http.response.end"),
        (
            {"type": "websocket.http.response.body", "body": b"x", "more_body": False},
            "websocket.http.response.end",
        ),
        (
            {"type": "websocket.http.response.body", "body": b"x", "more_body": True},
            "websocket.http.response.body",
        ),
    ],
)
def test_message_name_tells_the_last_body_from_the_others(message, expected):
    assert message_name(message) == expected


def test_an_error_says_which_message_where_and_what_would_be_allowed():
    lifecycle = lifecycle_in("connecting", "connecting")
    with pytest.raises(LifecycleError) as caught:
        lifecycle.sent("websocket.send")
    assert str(caught.value) == (
        "websocket.send is out of turn: the app side of this WebSocket is connecting, which allows"
        " websocket.accept, websocket.close, websocket.http.response.start"
    )
    with pytest.raises(LifecycleError, match=r"client side .* is new, which allows websocket\.con"):
        Lifecycle().received("websocket.receive")
    with pytest.raises(LifecycleError, match=r"app side .* is closed, which allows no message"):
        lifecycle_in("open", "closed").sent("websocket.send")


def test_a_lifecycle_takes_no_more_memory_than_its_two_states():
    lifecycle = Lifecycle()
    assert not hasattr(lifecycle, "__dict__")
    owned = [each for each in gc.get_referents(lifecycle) if not isinstance(each, State)]
    assert owned == [Lifecycle]


def test_the_diagram_shows_every_pair_of_states_and_every_message():
    lines = [line.strip() for line in diagram().splitlines()]
    assert lines[0] == "stateDiagram-v2"
    assert "[*] --> new_new" in lines
    assert "closed_closed --> [*]" in lines
    for (client, app), outcomes in OUTCOMES.items():
        assert f'state "client {client}, app {app}" as {client}_{app}' in lines
        for name, after in outcomes.items():
            side = "client" if name in FROM_CLIENT else "app"
            [labels] = [
                line.partition(" : ")[2].split(", ")
                for line in lines
                if line.startswith(f"{client}_{app} --> {'_'.join(after)} : ")
            ]
            assert f"{side} {name.removeprefix('websocket.')}" in labels


def test_the_diagram_holds_nothing_that_ends_a_mermaid_label():
    for line in diagram().splitlines():
        label = line.partition(" : ")[2]
        assert not set(label) & set(":;#\"'")


def generated():
    return f"\n```mermaid\n{diagram()}\n```\n\n"


def test_the_document_shows_the_diagram_of_the_tables():
    found = GENERATED.search(DOCUMENT.read_text())
    assert found is not None, "docs/websocket.md has lost the comments around the diagram"
    assert found[0] == generated(), RENEW


if __name__ == "__main__":
    DOCUMENT.write_text(GENERATED.sub(generated(), DOCUMENT.read_text()))
