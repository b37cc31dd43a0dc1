"""What registering and looking up cost, counted in calls: no noise of a machine changes those."""

import random
import sys
from typing import Any

import pytest

from asgi_rt.routing import Mount, Precedence, Route, Router
from asgi_rt.routing.patterns import CONVERTERS


async def handler(request): ...


async def app(scope, receive, send): ...


class Counting:
    """A converter that takes whatever begins with a letter, and counts how often it is asked."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls = 0

    def parse(self, text):
        self.calls += 1
        return self.inner.parse(text)

    def format(self, value):
        return self.inner.format(value)


@pytest.mark.parametrize("precedence", Precedence)
@pytest.mark.parametrize("count", [10, 10_000])
def test_the_cost_of_a_look_up_does_not_grow_with_the_number_of_routes(precedence, count):
    number = Counting(CONVERTERS["int"])
    router = Router(precedence=precedence, converters={"number": number})
    for each in range(count):
        router.add_route(f"/r{each}/{{x:number}}", handler)
        router.add_route(f"/r{each}/{{x:number}}/more", handler)
    assert number.calls == 0, "registration asks no converter"
    assert router.tree.find([f"r{count - 1}", "5"], "GET") is not None
    assert number.calls == 1


@pytest.mark.parametrize("precedence", Precedence)
def test_ten_thousand_routes_are_registered_in_linear_time(precedence):
    def calls_for(count: int) -> int:
        router = Router(precedence=precedence)
        calls = 0

        def count_call(frame, event, arg):
            nonlocal calls
            calls += 1

        sys.setprofile(count_call)
        try:
            for each in range(count):
                router.add_route(f"/a/r{each}", handler)
                router.add_route(f"/b/{{x:int}}/r{each}", handler)
        finally:
            sys.setprofile(None)
        return calls

    assert calls_for(1000) < calls_for(100) * 11


@pytest.mark.parametrize("precedence", Precedence)
def test_a_long_path_asks_each_converter_once_for_each_place_it_can_stand(precedence):
    text = Counting(CONVERTERS["str"])
    router = Router(precedence=precedence, converters={"text": text}, allow_hidden=True)
    for pattern in (
        "/{p:path}/{x:text}/end",
        "/{y:text}/{p:path}/{x:text}/end",
        "/a/{p:path}/{x:text}/{z:text}/stop",
        "/{p:path}/{x:text}/{y:text}/{z:text}/stop",
    ):
        router.add_route(pattern, handler)
    segments = ["a"] * 5000
    assert router.tree.find(segments, "GET") is None
    assert router.tree.methods(segments) == set()
    assert text.calls < 60


@pytest.mark.parametrize("precedence", Precedence)
def test_a_path_of_any_length_is_answered(precedence):
    router = Router(precedence=precedence)
    router.add_route("/{a}/{b}/{p:path}/{c}/end", handler)
    router.add_route("/x/{a}", handler)
    router.mount("/x", app)
    segments = ["x"] * 20_000
    found = router.tree.find(segments, "GET")
    assert found is not None
    assert isinstance(found.target, Mount)
    segments[-1] = "end"
    router = Router(precedence=precedence)
    router.add_route("/{a}/{b}/{p:path}/{c}/end", handler)
    found = router.tree.find(segments, "GET")
    assert found is not None
    assert isinstance(found.target, Route)
    assert found.params["p"].count("x") == 20_000 - 4


@pytest.mark.parametrize("precedence", Precedence)
def test_branches_that_lead_nowhere_are_each_visited_once(precedence):
    text = Counting(CONVERTERS["str"])
    router = Router(precedence=precedence, converters={"text": text}, allow_hidden=True)
    choices = ["a", "{%s:int}", "{%s:float}", "{%s:text}", "{%s}"]
    patterns = set()
    shuffle = random.Random(1)
    while len(patterns) < 400:
        patterns.add(
            "".join(
                "/" + (choice % f"p{at}" if "%" in choice else choice)
                for at, choice in enumerate(shuffle.choices(choices, k=6))
            )
        )
    for pattern in patterns:
        router.add_route(pattern + "/end", handler)
    text.calls = 0
    assert router.tree.find(["1"] * 6 + ["nowhere"], "GET") is None
    assert text.calls <= 6 * len(patterns)
