"""How layers of middleware are named, and how an answer tells them."""

import pytest

from benchmarks.harness.layers import Kind, Layers, header_name, stacks
from benchmarks.harness.questions import Answer


@pytest.mark.parametrize(
    ("layers", "application", "label"),
    [
        (Layers(), "app", "starlette 0"),
        (Layers(Kind.BASE_HTTP, 5), "base_http_5", "starlette 5 BaseHTTPMiddleware"),
        (
            Layers(Kind.DISPATCH_UNTOUCHED, 20),
            "dispatch_untouched_20",
            "starlette 20 DispatchMiddleware untouched",
        ),
        (Layers(Kind.HOOK, 1), "hook_1", "starlette 1 hook Middleware"),
    ],
)
def test_layers_name_an_application_and_an_arm(layers, application, label):
    assert layers.application == application
    assert layers.label("starlette") == label


@pytest.mark.parametrize("layers", stacks([1, 20])[1:], ids=lambda layers: layers.application)
def test_application_names_its_layers(layers):
    assert Layers.of(layers.application) == layers


@pytest.mark.parametrize("name", ["__path__", "hook", "hook_", "hook_0", "hook_x", "unknown_3"])
def test_application_that_names_none_is_no_attribute(name):
    with pytest.raises(AttributeError, match=name):
        Layers.of(name)


def test_stacks_are_none_and_then_every_kind_of_every_count():
    made = stacks([1, 3], [Kind.HOOK, Kind.BY_HAND])
    assert [layers.application for layers in made] == [
        "app",
        "hook_1",
        "by_hand_1",
        "hook_3",
        "by_hand_3",
    ]


@pytest.mark.parametrize(
    ("layers", "headers", "fault"),
    [
        pytest.param(Layers(), {}, None, id="none"),
        pytest.param(Layers(Kind.HOOK, 2), {"x-layer-0": "1", "x-layer-1": "1"}, None, id="all"),
        pytest.param(Layers(Kind.DISPATCH_UNTOUCHED, 2), {}, None, id="untouched"),
        pytest.param(Layers(Kind.HOOK, 2), {"x-layer-0": "1"}, "x-layer-1", id="one-missing"),
        pytest.param(Layers(), {"x-layer-0": "1"}, "x-layer-0", id="one-too-many"),
        pytest.param(Layers(Kind.HOOK, 1), {"x-layer-0": "2"}, "'2'", id="another-value"),
        pytest.param(
            Layers(Kind.BASE_HTTP_UNTOUCHED, 1), {"x-layer-0": "1"}, "x-layer-0", id="touched"
        ),
    ],
)
def test_headers_of_an_answer_tell_its_layers(layers, headers, fault):
    found = layers.fault(Answer(200, "", b"", {"date": "today", **headers}))
    assert (found is None) if fault is None else (fault in found)


def test_every_layer_has_a_header_of_its_own():
    assert len({header_name(number) for number in range(20)}) == 20
