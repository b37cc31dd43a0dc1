"""The lifespan protocol around the requests of a client."""

from contextvars import ContextVar

import anyio
import pytest

from asgi_rt.errors import LifespanError
from asgi_rt.testing import AsyncTestClient, Exchange, MessageError, TestClient

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body"}


class LifespanApp:
    """Answers the lifespan as told, and writes down what happened."""

    def __init__(self, startup="complete", shutdown="complete", error=None):
        self.answers = {"lifespan.startup": startup, "lifespan.shutdown": shutdown}
        self.error = error
        self.log = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.log.append("request")
            await send(START)
            await send(END)
            return
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        for phase in self.answers:
            message = await receive()
            self.log.append(message["type"])
            scope["state"][phase] = True
            answer = self.answers[phase]
            await send({"type": f"{phase}.{answer}", "message": "database gone"})
            if self.error is not None:
                raise self.error
            if answer == "failed":
                return


async def test_startup_and_shutdown_stand_around_the_requests():
    app = LifespanApp()
    async with AsyncTestClient(app) as client:
        await client.get("/")
        await client.get("/")
        assert app.log == ["lifespan.startup", "request", "request"]
    assert app.log[3:] == ["lifespan.shutdown"]


async def test_requests_get_a_shallow_copy_of_the_state():
    shared = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            scope["state"]["shared"].append(scope["path"])
            scope["state"]["own"] = True
            await send(START)
            await send(END)
            return
        await receive()
        scope["state"]["shared"] = shared
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async with AsyncTestClient(app) as client:
        assert client.state == {"shared": []}
        exchange = Exchange.of(await client.get("/a"))
        await client.get("/b")
        assert client.state == {"shared": ["/a", "/b"]}
        assert exchange.scope["state"] == {"shared": ["/a", "/b"], "own": True}


async def test_a_failed_startup_is_raised_at_entry_with_its_message():
    error = OSError("refused")
    app = LifespanApp(startup="failed", error=error)
    with pytest.raises(LifespanError, match="startup failed: database gone") as caught:
        async with AsyncTestClient(app):
            pytest.fail("entered")
    assert caught.value.__cause__ is error
    assert app.log == ["lifespan.startup"]


async def test_a_failed_shutdown_is_raised_at_exit_with_its_message():
    app = LifespanApp(shutdown="failed")
    with pytest.raises(LifespanError, match="shutdown failed: database gone"):
        async with AsyncTestClient(app) as client:
            await client.get("/")


async def refuses(scope, receive, send):
    assert scope["type"] == "http"
    await send(START)
    await send(END)


async def ignores(scope, receive, send):
    if scope["type"] == "http":
        await send(START)
        await send(END)


async def confuses(scope, receive, send):
    await receive()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, START)
    await send(END)


@pytest.mark.parametrize("app", [refuses, ignores, confuses])
async def test_an_app_without_a_lifespan_is_left_alone(app):
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).status_code == 200
        assert client.state == {}


async def test_an_error_in_a_startup_that_had_begun_is_raised_at_entry():
    error = KeyError("setting")

    async def app(scope, receive, send):
        await receive()
        raise error

    with pytest.raises(KeyError) as caught:
        async with AsyncTestClient(app):
            pytest.fail("entered")
    assert caught.value is error
    assert "lifespan=False" in error.__notes__[0]


async def test_an_error_between_startup_and_shutdown_is_raised_at_exit():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError("pool lost")

    with pytest.raises(ValueError, match="pool lost"):
        async with AsyncTestClient(app):
            await anyio.wait_all_tasks_blocked()


async def test_a_lifespan_that_never_starts_is_an_error():
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    with pytest.raises(LifespanError, match=r"startup: .* within 0.05 seconds"):
        async with AsyncTestClient(app, lifespan_timeout=0.05):
            pytest.fail("entered")


async def test_a_lifespan_that_never_stops_is_an_error():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await anyio.sleep_forever()

    with pytest.raises(LifespanError, match=r"shutdown: .* within 0.05 seconds"):
        async with AsyncTestClient(app, lifespan_timeout=0.05):
            pass


async def test_an_app_that_forgets_to_return_after_its_shutdown_is_ended():
    ended = []

    async def app(scope, receive, send):
        try:
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
        finally:
            ended.append(True)

    async with AsyncTestClient(app):
        pass
    assert ended == [True]


async def test_what_follows_the_answer_to_the_shutdown_is_waited_for():
    log = []

    async def app(scope, receive, send):
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        log.append("clean")

    async with AsyncTestClient(app):
        pass
    assert log == ["clean"]


async def test_a_cancelled_entry_ends_the_lifespan():
    ended = []

    async def app(scope, receive, send):
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with anyio.move_on_after(0.01):
        async with AsyncTestClient(app, lifespan_timeout=0.05):
            pytest.fail("entered")
    assert ended == [True]


async def test_a_failing_test_still_shuts_the_app_down():
    app = LifespanApp()
    with pytest.raises(LookupError):
        async with AsyncTestClient(app):
            raise LookupError
    assert app.log == ["lifespan.startup", "lifespan.shutdown"]


async def test_open_requests_end_before_the_shutdown():
    log = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await LifespanApp()(scope, receive, send)
            log.append("down")
            return
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass
        log.append("request ended")

    async with AsyncTestClient(app) as client:
        await client.send(client.build_request("GET", "/"), stream=True)
    assert log == ["request ended", "down"]


async def test_without_entering_there_is_no_lifespan():
    app = LifespanApp()
    client = AsyncTestClient(app)
    await client.get("/")
    await client.aclose()
    assert app.log == ["request"]


async def test_lifespan_false_turns_it_off():
    app = LifespanApp()
    async with AsyncTestClient(app, lifespan=False) as client:
        await client.get("/")
    assert app.log == ["request"]


async def test_an_answer_out_of_turn_raises_into_the_apps_send():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.startup.complete"})

    with pytest.raises(MessageError, match=r"'lifespan.startup.complete' when .* was up"):
        async with AsyncTestClient(app):
            await anyio.wait_all_tasks_blocked()


async def test_the_lifespan_sees_the_context_of_the_caller():
    variable = ContextVar("variable", default="unset")
    seen = []

    async def app(scope, receive, send):
        seen.append(variable.get())
        await LifespanApp()(scope, receive, send)

    variable.set("set")
    async with AsyncTestClient(app):
        pass
    assert seen == ["set"]


def test_the_blocking_client_runs_it_too():
    app = LifespanApp()
    with TestClient(app) as client:
        client.get("/")
        assert client.state == {"lifespan.startup": True}
    assert app.log == ["lifespan.startup", "request", "lifespan.shutdown"]


def test_a_failed_startup_is_raised_by_the_blocking_client():
    with pytest.raises(LifespanError, match="database gone"), TestClient(LifespanApp("failed")):
        pytest.fail("entered")
