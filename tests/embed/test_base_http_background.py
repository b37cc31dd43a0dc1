"""Work after the response: the endpoint's and dispatch's, and that nobody waits for it."""

import anyio
import pytest
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from embed.exchange import Exchange, ask
from embed.layers import Parts, through

COUNTS = pytest.mark.parametrize("count", [1, 3])
STREAMS = pytest.mark.parametrize("streams", [True, False])


class Work:
    """Work after a response, which may be held up, and what the client had when it was begun."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.gate = anyio.Event()
        self.begun = anyio.Event()
        self.done: list[tuple[str, bool]] = []

    def task(self, name: str) -> BackgroundTask:
        return BackgroundTask(self.do, name)

    async def do(self, name: str) -> None:
        self.begun.set()
        await self.gate.wait()
        self.done.append((name, self.exchange.is_complete))

    def do_in_thread(self, name: str) -> None:
        self.done.append((name, self.exchange.is_complete))


def answering(streams, background):
    async def endpoint(request: Request):
        kind = StreamingResponse if streams else PlainTextResponse
        return kind(Parts([b"he", b"llo"]) if streams else "hello", background=background)

    return endpoint


def setting(background):
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = background
        return response

    return dispatch


@STREAMS
@COUNTS
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_all_of_the_work_is_done_once_when_the_client_has_the_response(
    serve, streams, count, spec_version
):
    work = Work()
    work.gate.set()
    work.exchange = Exchange(spec_version=spec_version)
    layers = [setting(work.task(f"layer {number}")) for number in range(count)]
    app = serve(answering(streams, work.task("endpoint")), *layers)
    await work.exchange.run(app)
    names = ["endpoint", *(f"layer {number}" for number in range(count))]
    assert sorted(work.done) == [(name, True) for name in sorted(names)]
    assert work.exchange.body == b"hello"


@STREAMS
@COUNTS
@pytest.mark.parametrize("whose", ["endpoint", "dispatch"])
async def test_the_client_has_the_response_before_the_work_is_done(serve, streams, count, whose):
    work = Work()
    tasks = {whose: work.task(whose)}
    app = serve(
        answering(streams, tasks.get("endpoint")),
        *[through] * (count - 1),
        setting(tasks.get("dispatch")),
    )
    async with anyio.create_task_group() as group:
        group.start_soon(work.exchange.run, app)
        await work.exchange.completed.wait()
        await work.begun.wait()
        assert work.done == []
        work.gate.set()
    assert work.done == [(whose, True)]


@COUNTS
@pytest.mark.parametrize("whose", ["endpoint", "dispatch"])
async def test_the_next_request_does_not_wait_for_the_work_of_the_last(serve, count, whose):
    work = Work()
    is_first = True

    async def endpoint(request: Request):
        nonlocal is_first
        background = work.task("x") if is_first and whose == "endpoint" else None
        is_first = is_first and whose != "endpoint"
        return PlainTextResponse("hello", background=background)

    async def dispatch(request, call_next):
        nonlocal is_first
        response = await call_next(request)
        if is_first and whose == "dispatch":
            is_first = False
            response.background = work.task("x")
        return response

    app = serve(endpoint, *[through] * (count - 1), dispatch)
    async with anyio.create_task_group() as group:
        group.start_soon(work.exchange.run, app)
        await work.begun.wait()
        assert (await ask(app)).body == b"hello"
        assert work.done == []
        work.gate.set()
    assert work.done == [("x", True)]


@pytest.mark.parametrize("whose", ["endpoint", "dispatch"])
async def test_several_works_are_done_in_their_order_in_threads_or_not(serve, whose):
    work = Work()
    work.gate.set()
    tasks = BackgroundTasks()
    tasks.add_task(work.do, "1")
    tasks.add_task(work.do_in_thread, "2")
    tasks.add_task(work.do, "3")
    layers = [setting(tasks)] if whose == "dispatch" else [through]
    app = serve(answering(False, tasks if whose == "endpoint" else None), *layers, through)
    await work.exchange.run(app)
    assert work.done == [("1", True), ("2", True), ("3", True)]


@pytest.mark.parametrize("calls", [True, False])
@pytest.mark.parametrize("count", [0, 2])
async def test_the_work_of_another_response_is_done_and_so_is_the_endpoints(serve, calls, count):
    """What dispatch has set on the response that it does not return is not."""
    work = Work()
    work.gate.set()

    async def dispatch(request, call_next):
        if calls:
            response = await call_next(request)
            response.background = work.task("never")
        return PlainTextResponse("other", background=work.task("other"))

    app = serve(answering(False, work.task("endpoint")), *[through] * count, dispatch)
    await work.exchange.run(app)
    names = ["endpoint", "other"] if calls else ["other"]
    assert sorted(work.done) == [(name, True) for name in names]
    assert work.exchange.body == b"other"


@COUNTS
async def test_the_work_is_done_for_a_client_that_has_left(serve, count):
    work = Work()
    work.gate.set()

    async def endpoint(request: Request):
        work.exchange.leave()
        return PlainTextResponse("hello", background=work.task("endpoint"))

    layers = [*[through] * (count - 1), setting(work.task("dispatch"))]
    await work.exchange.run(serve(endpoint, *layers))
    assert sorted(name for name, _ in work.done) == ["dispatch", "endpoint"]
    assert work.exchange.messages == []


async def test_the_work_has_the_context_and_the_request_of_dispatch(serve):
    seen = []

    async def dispatch(request, call_next):
        request.state.user = "ada"
        response = await call_next(request)

        async def work():
            seen.append((request.state.user, request.url.path))

        response.background = BackgroundTask(work)
        return response

    await ask(serve(answering(True, None), dispatch), "/path")
    assert seen == [("ada", "/path")]
