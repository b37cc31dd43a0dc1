"""Letting pages of other origins read the app's responses."""

import re
from collections.abc import Collection
from typing import ClassVar

from asgi_rt.asgi import ASGIApp, Message, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.http.headers import MutableHeaders
from asgi_rt.http.response import Response, problem_response
from asgi_rt.middleware.cors_policy import CORSPolicy, is_preflight

__all__ = ["CORSMiddleware"]


class CORSMiddleware:
    """Tells browsers which pages of other origins may use the app, and answers their preflights.

    - `allow_origins`: "https://app.example.com"; "https://*.example.com" for every subdomain;
      "null" for pages without an origin, such as files; "*" for every page. By default none.
    - `allow_origin_regex`: allows the origins that match as a whole. "null" must be listed.
    - `allow_methods`, `allow_headers`: what a preflight may ask for; "*" is any. Accept,
      Accept-Language, Content-Language and Content-Type are always allowed.
    - `allow_credentials`: whether such pages may send cookies and the like. "*" then names the
      origin that asks, without "null": every site acts with the rights of its visitors.
    - `allow_private_network`: whether public pages may reach a server in a private network.
    - `expose_headers`: fields of responses that pages may read; "*" is all of them.
    - `max_age`: seconds for which browsers may keep the answer to a preflight, 0 for not at all.

    A refused preflight is a 400 that says why. Any other request goes to the app: it is the browser
    that keeps the response from a page, so CORS protects no route. A response that has an
    Access-Control-Allow-Origin of its own keeps its policy, but for preflights.

    WebSockets pass untouched. CORS does not apply to them; asgi_rt's routes have their own rule,
    `origins=`. To have the fields on answers of layers further out as well, such as the 500 of a
    crash, wrap the app itself: `CORSMiddleware(app, ...)`.

    Raises TypeError and ValueError for options that are wrong. Specification: Fetch.
    """

    policy_class: ClassVar[type[CORSPolicy]] = CORSPolicy

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Collection[str] = (),
        allow_origin_regex: str | re.Pattern[str] | None = None,
        allow_methods: Collection[str] = ("GET",),
        allow_headers: Collection[str] = (),
        allow_credentials: bool = False,
        allow_private_network: bool = False,
        expose_headers: Collection[str] = (),
        max_age: int = 600,
    ) -> None:
        self.app = app
        self._policy = self.policy_class(
            allow_origins=allow_origins,
            allow_origin_regex=allow_origin_regex,
            allow_methods=allow_methods,
            allow_headers=allow_headers,
            allow_credentials=allow_credentials,
            allow_private_network=allow_private_network,
            expose_headers=expose_headers,
            max_age=max_age,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; whatever is no HTTP goes straight to the app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        if scope["method"] == "OPTIONS" and is_preflight(headers):
            await self._preflight(scope, receive, send)
            return
        origin = self._policy.allowed_origin(headers)
        await self.app(scope, receive, _Sender(self._policy, origin, send).send)

    async def _preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            fields = self._policy.preflight(scope["headers"])
        except HTTPError as error:
            response = problem_response(error)
        else:
            response = Response(status_code=204)
            response.headers = MutableHeaders(fields)
        await response(scope, receive, send)


class _Sender:
    """A `send` that puts a policy's fields on the head."""

    __slots__ = ("_origin", "_policy", "sends_on")

    def __init__(self, policy: CORSPolicy, origin: bytes | None, send: Send) -> None:
        self._policy = policy
        self._origin = origin
        self.sends_on = send
        """For `sends_from_anywhere`."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = self._policy.fields(message.get("headers", ()), self._origin)
            message = {**message, "headers": headers}
        await self.sends_on(message)
