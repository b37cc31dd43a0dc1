"""What Starlette's class has not: trailers and files through a wrapped body, and lost sends."""

import anyio
import pytest
from starlette.background import BackgroundTask

from asgi_rt.errors import DispatchError
from embed.exchange import Exchange
from embed.layers import load, stack, through

START = {"type": "http.response.start", "status": 200, "headers": []}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
BODY = {"type": "http.response.body", "body": b"ab", "more_body": False}
FILE = {"type": "http.response.zerocopysend", "file": 5, "count": 2, "more_body": False}


async def wrapping(request, call_next):
    response = await call_next(request)
    response.body_iterator = same(response.body_iterator)
    return response


async def same(chunks):
    async for piece in chunks:
        yield piece


class Taking(Exchange):
    """A server that takes the messages of extensions, and keeps all of them."""

    async def send(self, message):
        self.messages.append(message)


async def sent_by(messages, layers):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    exchange = Taking()
    await exchange.run(stack(load("asgi_rt"), app, layers))
    return exchange.messages


@pytest.mark.parametrize("layers", [[through], [wrapping], [through, wrapping, through]])
async def test_trailers_follow_the_body(layers):
    messages = await sent_by([{**START, "trailers": True}, BODY, TRAILERS], layers)
    assert messages[0]["trailers"] is True
    assert b"".join(each.get("body", b"") for each in messages) == b"ab"
    assert [each.get("more_body") for each in messages if "body" in each][-1] is False
    assert messages[-1] == TRAILERS


@pytest.mark.parametrize("layers", [[through], [wrapping], [through, wrapping, through]])
async def test_files_go_by_their_descriptors(layers):
    assert await sent_by([START, FILE], layers) == [START, FILE]


@pytest.mark.parametrize("by_child", [False, True])
async def test_a_head_that_the_app_gives_up_in_dispatch_is_an_error(by_child):
    """Its work is not done, as it is not where an error is raised."""
    waiting = anyio.Event()
    done = []

    async def app(scope, receive, send):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as attempt:
                group.start_soon(give_up, attempt)
                if by_child:
                    async with anyio.create_task_group() as children:
                        children.start_soon(send, START)
                else:
                    await send(START)

    async def give_up(attempt):
        await waiting.wait()
        await anyio.wait_all_tasks_blocked()
        attempt.cancel()

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.background = BackgroundTask(done.append, True)
        waiting.set()
        await anyio.sleep_forever()

    exchange = Exchange()
    with pytest.raises(DispatchError, match="cancelled"):
        await exchange.run(stack(load("asgi_rt"), app, [dispatch]))
    assert exchange.messages == []
    assert done == []


async def test_work_is_done_for_a_client_that_left_in_the_middle_of_a_wrapped_body():
    """As it is for one that left in a body that was not wrapped."""
    done = []

    async def app(scope, receive, send):
        await send(START)
        await send({**BODY, "more_body": True})
        exchange.leave()

    async def dispatch(request, call_next):
        response = await wrapping(request, call_next)
        response.background = BackgroundTask(work)
        return response

    async def work():
        done.append(True)

    exchange = Exchange()
    await exchange.run(stack(load("asgi_rt"), app, [dispatch]))
    assert (exchange.body, done) == (b"ab", [True])
