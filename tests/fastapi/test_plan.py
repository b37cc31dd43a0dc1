"""Plans: what a request gives to an endpoint, without an app around it."""

# ruff: noqa: B008 - so parameters are declared

import math
from contextlib import AsyncExitStack
from typing import Annotated, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from fakes import http_scope
from pydantic import BaseModel

from asgi_rt.errors import ClientDisconnected, HTTPError
from asgi_rt.fastapi.datastructures import UploadFile
from asgi_rt.fastapi.dependencies import exits
from asgi_rt.fastapi.dependencies.body import body_field
from asgi_rt.fastapi.dependencies.plan import Plan
from asgi_rt.fastapi.dependencies.signature import get_dependant
from asgi_rt.fastapi.exceptions import HTTPException
from asgi_rt.fastapi.param_functions import Body, Depends, File, Form, Header, Query
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import Response

JSON = [(b"content-type", b"application/json")]
FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


class Item(BaseModel):
    name: str
    price: float = 1.0


def planned(endpoint, *, path="/", overrides=None, **options) -> Plan:
    dependant = get_dependant(path=path, call=endpoint)
    return Plan(dependant, *body_field(dependant, "it"), overrides, **options)


def asked(path="/", body=b"", headers=(), **scope: Any) -> Request:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        await checkpoint()
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return Request(http_scope(path, headers=list(headers), **scope), receive)


def errors(solved) -> list[tuple[Any, ...]]:
    return [(error["type"], *error["loc"]) for error in solved.errors]


# Without anything to await


def test_a_plan_of_parameters_alone_is_solved_at_once():
    plan = planned(lambda key, q=1, h=Header("x"): None, path="/{key}")
    assert plan.is_immediate
    solved = plan.solve_now(asked("/?q=2", path_params={"key": "a"}))
    assert solved.values == {"key": "a", "q": "2", "h": "x"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("n=1&n=2", 2),
        ("n=1&&m=2", 1),
        ("%6e=3", 3),
        ("n=%33&x=%zz", 3),
        ("", 7),
    ],
)
def test_the_last_of_a_query(query, expected):
    def endpoint(n: int = 7): ...

    assert planned(endpoint).solve_now(asked(f"/?{query}")).values == {"n": expected}


def test_the_first_of_a_header():
    def endpoint(x_n: int = Header()): ...

    headers = [(b"x-n", b"1"), (b"x-n", b"2"), (b"x_n", b"3")]
    assert planned(endpoint).solve_now(asked(headers=headers)).values == {"x_n": 1}


def test_a_default_that_can_be_changed_is_a_new_one_every_time():
    def endpoint(names: Annotated[list[str], Query()] = ["a"]): ...  # noqa: B006 - on purpose

    plan = planned(endpoint)
    plan.solve_now(asked()).values["names"].append("b")
    assert plan.solve_now(asked()).values == {"names": ["a"]}


@pytest.mark.parametrize(
    "endpoint",
    [lambda item=Body(): item, lambda value=Depends(checkpoint): value],
)
def test_a_plan_that_has_to_wait_is_not_immediate(endpoint):
    assert not planned(endpoint).is_immediate


# Bodies


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"18446744073709551617", 18446744073709551617),
        (b'"\\ud800"', "\ud800"),
        (b"1e400", math.inf),
        (b"\xef\xbb\xbf[1]", [1]),
        ("[2]".encode("utf-16"), [2]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
async def test_json_is_what_the_standard_library_takes_for_it(body, value):
    def endpoint(value: Any = Body()): ...

    solved = await planned(endpoint).solve(asked(body=body, headers=JSON))
    assert solved.values == {"value": value}
    assert type(solved.values["value"]) is type(value)


async def test_what_is_no_json_is_an_error_that_says_where():
    def endpoint(item: Item): ...

    solved = await planned(endpoint).solve(asked(body=b'{"name": }', headers=JSON))
    assert solved.errors == [
        {
            "type": "json_invalid",
            "loc": ("body", 9),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": "Expecting value"},
        }
    ]
    assert solved.body == '{"name": }'


@pytest.mark.parametrize("body", [b'"\xff"', b"[" * 100_000])
async def test_what_cannot_be_read_at_all_is_a_bad_request(body):
    def endpoint(item: Item): ...

    with pytest.raises(HTTPException, match="There was an error parsing the body") as raised:
        await planned(endpoint).solve(asked(body=body, headers=JSON))
    assert raised.value.status_code == 400


@pytest.mark.parametrize(
    ("headers", "strict", "is_parsed"),
    [
        (JSON, True, True),
        ([(b"content-type", b"application/problem+json; charset=utf-8")], True, True),
        ([(b"content-type", b"text/plain")], False, False),
        ([], True, False),
        ([], False, True),
    ],
)
async def test_which_bodies_are_json(headers, strict, is_parsed):
    plan = planned(lambda value=Body(): value, strict_content_type=strict)
    solved = await plan.solve(asked(body=b"[1]", headers=headers))
    assert solved.values == {"value": [1] if is_parsed else b"[1]"}
    assert solved.body == solved.values["value"]


@pytest.mark.parametrize("declared", [Body, Form], ids=["json", "form"])
async def test_a_body_that_is_too_large_is_a_413(declared):
    class Small:
        max_body_bytes = 3

    headers = JSON if declared is Body else FORM
    request = asked(body=b"a=" + b"1" * 2_000_000, headers=headers, app=Small())
    with pytest.raises((HTTPError, HTTPException)) as raised:
        await planned(lambda a=declared(): a).solve(request)
    assert raised.value.status_code == 413


@pytest.mark.parametrize("declared", [Body, Form], ids=["json", "form"])
async def test_a_client_that_leaves_half_way_is_no_bad_request(declared):
    async def receive():
        return {"type": "http.disconnect"}

    headers = JSON if declared is Body else FORM
    with pytest.raises(ClientDisconnected):
        await planned(lambda a=declared(): a).solve(Request(http_scope(headers=headers), receive))


async def test_content_that_is_wanted_leaves_the_file_for_others():
    def endpoint(file: UploadFile, content: bytes = File(alias="file")): ...

    part = b'Content-Disposition: form-data; name="file"; filename="a"'
    body = b"--x\r\n" + part + b"\r\n\r\nabc\r\n--x--\r\n"
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    request = asked(body=body, headers=headers)
    values = (await planned(endpoint).solve(request)).values
    assert (values["content"], await values["file"].read()) == (b"abc", b"abc")
    await request.aclose()


# Dependencies


async def test_a_dependency_is_called_once_for_all_who_share_it():
    calls: list[int] = []

    async def shared():
        calls.append(1)
        return len(calls)

    def one(value=Depends(shared)):
        return value

    def endpoint(a=Depends(one), b=Depends(shared), c=Depends(shared, use_cache=False)): ...

    solved = await planned(endpoint).solve(asked())
    assert solved.values == {"a": 1, "b": 1, "c": 2}


async def test_only_what_its_own_parameters_refuse_is_not_called():
    called: list[str] = []

    async def refused(n: int): ...

    async def above(value=Depends(refused)):
        called.append("above")

    async def fine():
        called.append("fine")

    def endpoint(a=Depends(above), b=Depends(fine), m: int = 0): ...

    solved = await planned(endpoint).solve(asked("/?n=x&m=y"))
    assert errors(solved) == [("int_parsing", "query", "n"), ("int_parsing", "query", "m")]
    assert called == ["fine"]
    assert solved.values == {}


async def test_an_error_is_told_for_each_that_asks():
    def dep(n: int): ...
    def endpoint(a=Depends(dep), b=Depends(dep), c: int = Header()): ...

    solved = await planned(endpoint).solve(asked())
    missing = ("missing", "query", "n")
    assert errors(solved) == [missing, missing, ("missing", "header", "c")]


async def test_an_override_is_called_instead_with_parameters_of_its_own():
    def original(): ...
    def instead(n: int):
        return n

    plan = planned(lambda value=Depends(original): value, overrides={original: instead})
    assert (await plan.solve(asked("/?n=3"))).values == {"value": 3}


async def test_the_response_and_the_tasks_are_the_same_for_all():
    def dep(response: Response):
        response.headers["x-dep"] = "1"
        return response

    def endpoint(response: Response, value=Depends(dep)): ...

    solved = await planned(endpoint).solve(asked())
    assert solved.values["value"] is solved.values["response"] is solved.response
    assert solved.response is not None
    assert solved.response.headers.raw == [(b"x-dep", b"1")]
    assert (solved.response.status_code, solved.background) == (None, None)


async def test_several_requests_may_use_a_plan_at_once():
    both = anyio.Event()
    waiting: list[int] = []

    async def dep(n: int):
        waiting.append(n)
        if len(waiting) == 2:
            both.set()
        await both.wait()
        return n

    plan = planned(lambda value=Depends(dep): value)
    found: list[dict[str, Any]] = []

    async def solve(n: int):
        found.append((await plan.solve(asked(f"/?n={n}"))).values)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(solve, 1)
            group.start_soon(solve, 2)
    assert sorted(values["value"] for values in found) == [1, 2]


# Dependencies that yield


def opened(log, *, is_async=True):
    async def yields_later():
        log.append("in")
        try:
            yield "value"
        finally:
            await checkpoint()
            log.append("out")

    def yields():
        log.append("in")
        try:
            yield "value"
        finally:
            log.append("out")

    return yields_later if is_async else yields


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("scope", ["function", "request", None])
async def test_it_goes_on_when_its_stack_is_closed(scope, is_async):
    log: list[str] = []
    plan = planned(lambda value=Depends(opened(log, is_async=is_async), scope=scope): value)
    assert plan.yields
    assert (plan.has_function_scope, plan.has_request_scope) == (
        scope == "function",
        scope != "function",
    )
    async with AsyncExitStack() as request_stack:
        async with AsyncExitStack() as function_stack:
            solved = await plan.solve(
                asked(), request_stack=request_stack, function_stack=function_stack
            )
            assert solved.values == {"value": "value"}
            assert log == ["in"]
        assert log == (["in", "out"] if scope == "function" else ["in"])
    assert log == ["in", "out"]


async def test_without_its_stack_it_is_not_entered():
    log: list[str] = []
    plan = planned(lambda value=Depends(opened(log)): value)
    with pytest.raises(RuntimeError, match="needs a stack"):
        await plan.solve(asked())
    assert log == []


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_request_that_is_cancelled_still_gives_back_what_it_took(is_async):
    log: list[str] = []
    plan = planned(lambda value=Depends(opened(log, is_async=is_async)): value)
    with anyio.CancelScope() as cancelled:
        async with AsyncExitStack() as stack:
            await plan.solve(asked(), request_stack=stack)
            cancelled.cancel()
            await checkpoint()
    assert cancelled.cancelled_caught
    assert log == ["in", "out"]


async def test_what_never_ends_after_a_cancellation_is_given_up(monkeypatch):
    monkeypatch.setattr(exits, "_CLEAN_UP_SECONDS", 0)

    async def never_ends():
        try:
            yield "value"
        finally:
            await anyio.sleep_forever()

    plan = planned(lambda value=Depends(never_ends): value)
    with anyio.fail_after(5), anyio.CancelScope() as cancelled:
        async with AsyncExitStack() as stack:
            await plan.solve(asked(), request_stack=stack)
            cancelled.cancel()
            await checkpoint()
    assert cancelled.cancelled_caught


async def test_what_holds_a_task_group_open_is_left_in_order_when_it_is_cancelled():
    ended = anyio.Event()

    async def background():
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def holds():
        async with anyio.create_task_group() as group:
            group.start_soon(background)
            await checkpoint()
            try:
                yield "value"
            finally:
                group.cancel_scope.cancel()

    plan = planned(lambda value=Depends(holds): value)
    with anyio.fail_after(5), anyio.CancelScope() as cancelled:
        async with AsyncExitStack() as stack:
            await plan.solve(asked(), request_stack=stack)
            cancelled.cancel()
            await checkpoint()
    assert cancelled.cancelled_caught
    assert ended.is_set()


async def test_those_before_one_that_fails_are_left():
    log: list[str] = []

    async def fails(value=Depends(opened(log))):
        raise ValueError("it fails")

    plan = planned(lambda value=Depends(fails): value)
    with pytest.raises(ValueError, match="it fails"):
        async with AsyncExitStack() as stack:
            await plan.solve(asked(), request_stack=stack)
    assert log == ["in", "out"]
