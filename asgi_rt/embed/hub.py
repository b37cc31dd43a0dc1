"""The hub of an app as a dependency of FastAPI's."""

from typing import cast

from starlette.requests import HTTPConnection

from asgi_rt.embed.lifespans import HUB_KEY
from asgi_rt.errors import HubError
from asgi_rt.hub.hub import Hub

__all__ = ["hub_dependency"]


async def hub_dependency(connection: HTTPConnection) -> Hub:
    """The hub that was joined to the app's lifespan: `hub: Annotated[Hub, Depends(...)]`.

    For requests and WebSockets alike; in Starlette it is called with either of them. Tests put
    another in its place with `app.dependency_overrides[hub_dependency]`. Raises HubError where no
    hub was joined.
    """
    hub = connection.scope.get("state", {}).get(HUB_KEY)
    if hub is None:
        raise HubError(
            "this app has no hub: give it one with FastAPI(lifespan=join_lifespans(hub)), and"
            " serve it with its lifespan"
        )
    return cast("Hub", hub)
