"""What a run keeps of the promises."""

import json

import pytest

from benchmarks import command, targets
from benchmarks.harness.layers import Kind, Layers
from benchmarks.model import Metric, median_difference, median_ratio
from benchmarks.targets import Target

MS = Metric("ms", "p99 ms")
RESULT = {
    "scenarios": {
        "s": {
            "metrics": [{"key": "us"}, {"key": "ms"}],
            "arms": [
                {"label": "a", "samples": {"us": [2.0, 3.0, 20.0], "ms": [1.5, 9.0, 1.75]}},
                {"label": "b", "samples": {"us": [1.0, 2.0, 10.0], "ms": [1.0, 1.0, 1.0]}},
                {"label": "gone", "samples": {}},
            ],
        }
    }
}


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        pytest.param(Target("s", "a", "b", "<=", 2.0), 2.0, True, id="ratio-met"),
        pytest.param(Target("s", "a", "b", ">=", 2.5), 2.0, False, id="ratio-missed"),
        pytest.param(Target("s", "gone", "b", "<=", 2.0), None, False, id="ratio-not-measured"),
        pytest.param(Target("s", "a", "gone", "<=", 2.0), None, False, id="other-not-measured"),
        pytest.param(
            Target("s", "a", "b", "<=", 0.75, "difference", MS), 0.75, True, id="difference-met"
        ),
        pytest.param(
            Target("s", "a", "b", "<=", 0.5, "difference", MS), 0.75, False, id="difference-missed"
        ),
        pytest.param(
            Target("s", "a", "gone", "<=", 1.0, "difference", MS),
            None,
            False,
            id="difference-not-measured",
        ),
        pytest.param(Target("s", "a", None, "<=", 3.0), 3.0, True, id="own-figure-met"),
        pytest.param(Target("s", "a", None, "<=", 1.0, metric=MS), 1.75, False, id="own-missed"),
        pytest.param(Target("s", "gone", None, "<=", 1.0), None, False, id="own-not-measured"),
    ],
)
def test_target_is_met_missed_or_not_measurable(target, value, met):
    (outcome,) = targets.check(RESULT, [target])
    assert (outcome["value"], outcome["met"]) == (value, met)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(Target("s", "not asked for", "b", "<=", 2.0), id="arm"),
        pytest.param(Target("s", "a", "not asked for", "<=", 2.0), id="other-arm"),
        pytest.param(Target("not run", "a", "b", "<=", 2.0), id="scenario"),
    ],
)
def test_target_that_the_run_cannot_tell_about_is_left_out(target):
    assert targets.check(RESULT, [target]) == []


@pytest.mark.parametrize(
    ("target", "promise"),
    [
        (Target("s", "a", "b", "<=", 2.0), "s: a at most 2 x b"),
        (
            Target("s", "a", "b", "<=", 1.0, "difference", MS),
            "s: p99 ms of a at most b + 1",
        ),
        (Target("s", "a", None, ">=", 12.0, metric=MS), "s: p99 ms of a at least 12"),
    ],
)
def test_promise_says_what_is_compared(target, promise):
    assert target.promise() == promise


@pytest.mark.parametrize(
    ("scenario", "key", "kind", "kept", "missed"),
    [
        pytest.param("json-inprocess", "layer_us", Kind.DISPATCH, 4.0, 4.5, id="dispatch"),
        pytest.param("json-inprocess", "layer_us", Kind.HOOK, 1.3, 1.5, id="hook"),
        pytest.param("json-uvicorn", "rps", Kind.DISPATCH, 850, 750, id="dispatch-served"),
        pytest.param("json-uvicorn", "rps", Kind.HOOK, 1250, 1150, id="hook-served"),
    ],
)
def test_five_layers_are_judged_beside_five_of_starlettes(scenario, key, kind, kept, missed):
    for figure, met in ((kept, True), (missed, False)):
        samples = {Kind.BASE_HTTP: [80.0, 90.0, 80.0], kind: [figure, figure, figure]}
        (outcome,) = targets.check(_of_five_layers(f"middleware-{scenario}", key, samples))
        assert outcome["met"] is met


@pytest.mark.parametrize(("microseconds", "met"), [(0.5, True), (0.51, False)])
def test_untouched_layer_is_judged_by_what_it_adds_to_a_chunk(microseconds, met):
    samples = {Kind.DISPATCH_UNTOUCHED: [microseconds]}
    (outcome,) = targets.check(_of_five_layers("middleware-stream-inprocess", "layer_us", samples))
    assert outcome["met"] is met


@pytest.mark.slow
@pytest.mark.parametrize(("strict", "status"), [([], 0), (["--strict"], 1)])
def test_missed_target_fails_the_command_only_when_strict(strict, status, tmp_path, monkeypatch):
    missed = [{"promise": "cannot be kept", "value": 9.0, "met": False}]
    monkeypatch.setattr(targets, "check", lambda result: missed)
    arguments = ["json-inprocess", "--only", "raw", "--smallest", "--output", str(tmp_path)]
    assert command.main([*arguments, *strict]) == status
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["targets"] == missed


def test_ratio_is_the_median_of_the_ratios_per_round():
    assert median_ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0
    assert median_ratio([1.0], [1.0, 2.0]) is None
    assert median_ratio([], []) is None


def test_difference_is_the_median_of_the_differences_per_round():
    assert median_difference([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 6.0
    assert median_difference([1.0], [1.0, 2.0]) is None
    assert median_difference([], []) is None


def _of_five_layers(scenario, key, samples):
    arms = [
        {"label": Layers(kind, 5).label("starlette"), "samples": {key: values}}
        for kind, values in samples.items()
    ]
    return {"scenarios": {scenario: {"metrics": [{"key": key}], "arms": arms}}}
