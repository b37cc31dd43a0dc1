"""Letting pages of other origins read the app's responses."""

from collections.abc import Iterable
from typing import Final

from asgi_rt.asgi import RawHeaders, Receive, Scope, Send
from asgi_rt.errors import HTTPError
from asgi_rt.fastapi.responses import PlainTextResponse
from asgi_rt.http.headers import Headers, MutableHeaders
from asgi_rt.middleware.cors import CORSMiddleware as PlainCORSMiddleware
from asgi_rt.middleware.cors_policy import CORSPolicy

__all__ = ["CORSMiddleware"]

_ALLOW: Final = "access-control-allow-"
_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_REFUSALS: Final = {
    "the method": "method",
    "a header": "headers",
    "a private network": "private-network",
}


class _Policy(CORSPolicy):
    """The same decisions, told in Starlette's words: whoever has an origin is told what holds."""

    def allowed_origin(self, headers: RawHeaders) -> bytes | None:
        """The origin or "*"; b"" for one that is refused, and None where there is none."""
        if not any(name == b"origin" for name, _ in headers):
            return None
        return super().allowed_origin(headers) or b""

    def fields(self, raw: Iterable[tuple[bytes, bytes]], origin: bytes | None) -> RawHeaders:
        own = {_ALLOW_ORIGIN, *dict(self._response)} if origin else ()
        fields = super().fields([pair for pair in raw if pair[0] not in own], origin or None)
        if origin == b"":
            fields += self._response
        MutableHeaders(fields).vary("Origin")
        return fields

    def answer(self, raw: RawHeaders) -> PlainTextResponse:
        """The answer to a preflight: what is allowed, and a 400 where it asks for more."""
        asked = Headers(raw)
        origin = self.allowed_origin(raw)
        refused = [] if origin else ["origin"]
        try:
            self.preflight(raw)
        except HTTPError as error:
            refused += [short for what, short in _REFUSALS.items() if what in str(error.detail)]
        text = "Disallowed CORS " + ", ".join(refused)
        response = PlainTextResponse(text, 400) if refused else PlainTextResponse("OK")
        headers = response.headers
        headers.raw += self._preflight
        headers[_ALLOW + "methods"] = self._allow_methods.decode()
        if not self._any_header:
            headers[_ALLOW + "headers"] = self._allow_headers.decode()
        elif "headers" not in refused and (names := asked.get("access-control-request-headers")):
            headers[_ALLOW + "headers"] = names
        if origin:
            headers[_ALLOW + "origin"] = origin.decode()
        if self._allow_private_network and "access-control-request-private-network" in asked:
            headers[_ALLOW + "private-network"] = "true"
        return response


class CORSMiddleware(PlainCORSMiddleware):
    """As asgi_rt's, but that it says the same as Starlette's, also to those whom it refuses."""

    policy_class = _Policy
    _policy: _Policy  # pyright: ignore[reportIncompatibleVariableOverride] - made of that class

    async def _preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._policy.answer(scope["headers"])(scope, receive, send)
