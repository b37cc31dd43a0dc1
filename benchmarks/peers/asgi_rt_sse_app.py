"""asgi_rt's server-sent events, as its own guide writes them."""

from collections.abc import AsyncIterator
from typing import Any

from asgi_rt import App
from benchmarks.harness.quotes import forever, quote, turn

app = App()


@app.sse("/ready")
async def ready(request: Any) -> AsyncIterator[dict[str, Any]]:
    for n in range(int(request.query["count"])):
        yield quote(n)


@app.sse("/waiting")
async def waiting(request: Any) -> AsyncIterator[dict[str, Any]]:
    for n in range(int(request.query["count"])):
        await turn()
        yield quote(n)


@app.sse("/idle")
async def idle(request: Any) -> AsyncIterator[dict[str, Any]]:
    yield quote(0)
    await forever()
