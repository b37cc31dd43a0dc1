"""Several lifespans as one: of mounted apps, hubs, and a Starlette or FastAPI app's own."""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias, cast

from asgi_rt.asgi import ASGIApp
from asgi_rt.background import TaskGroup
from asgi_rt.hub.hub import Hub
from asgi_rt.lifespan import Lifespan, mounted_lifespan, run_lifespan

__all__ = ["HUB_KEY", "Part", "join_lifespans"]

HUB_KEY: Final = "asgi_rt.hub"
"""Where the state holds the hub that was joined first."""
Part: TypeAlias = Lifespan | ASGIApp | Hub
_State: TypeAlias = dict[str, Any]


def join_lifespans(
    *parts: Part, grace: float = 10.0
) -> Callable[[Any], AbstractAsyncContextManager[_State]]:
    """A lifespan for a Starlette or FastAPI app, of several parts.

    ```python
    app = FastAPI(lifespan=join_lifespans(open_database, hub, realtime))
    app.mount("/realtime", realtime)
    ```

    A part is a lifespan as both take them, an ASGI app that is mounted, or a Hub. They start in
    their order and are unwound in reverse, also when one fails to start, which raises what it
    raised, or LifespanError for an app. What they give for the state is shared.

    With it the app has a drain: streams and WebSockets of asgi_rt's see the server go down, and
    have `grace` seconds from then, which their background tasks share.
    """
    openers = [_opener(part, grace) for part in parts]

    @asynccontextmanager
    async def joined(app: Any) -> AsyncGenerator[_State, None]:
        state: _State = {}
        lifespans = [partial(opener, state) for opener in openers]
        async with run_lifespan(app, lifespans, (), state, background=TaskGroup(grace=grace)):
            yield state

    return joined


_Opener: TypeAlias = Callable[[_State, Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


def _opener(part: Part, grace: float) -> _Opener:
    """What opens a part, when it is given the state and the app."""
    if isinstance(part, Hub):
        return partial(_open_hub, part)
    if _is_asgi(part):
        return partial(_open_app, cast("ASGIApp", part), grace)
    if inspect.isasyncgenfunction(part):
        part = cast("Lifespan", asynccontextmanager(part))
    if not callable(part) or inspect.iscoroutinefunction(part):
        raise TypeError(f"a lifespan, an ASGI app or a Hub is joined, not {part!r}")
    return partial(_open_lifespan, cast("Lifespan", part))


def _is_asgi(part: Any) -> bool:
    if isinstance(part, type):
        return False
    if inspect.isroutine(part):
        return inspect.iscoroutinefunction(part) and _takes_three(part)
    return inspect.iscoroutinefunction(part) or inspect.iscoroutinefunction(
        getattr(part, "__call__", None)  # noqa: B004 - whether it is async is the question
    )


def _takes_three(part: Callable[..., Any]) -> bool:
    try:
        inspect.signature(part).bind(None, None, None)
    except TypeError:
        return False
    return True


def _open_lifespan(
    lifespan: Lifespan, state: _State, app: Any
) -> AbstractAsyncContextManager[Mapping[str, Any] | None]:
    return lifespan(app)


@asynccontextmanager
async def _open_hub(hub: Hub, state: _State, app: Any) -> AsyncGenerator[_State, None]:
    async with hub:
        yield {HUB_KEY: state.get(HUB_KEY, hub)}


@asynccontextmanager
async def _open_app(
    mounted: ASGIApp, grace: float, state: _State, app: Any
) -> AsyncGenerator[None, None]:
    async with mounted_lifespan(type(mounted).__name__, mounted, state, grace=grace):
        yield
