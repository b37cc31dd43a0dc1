"""Header fields that tell browsers to be careful with the app's responses."""

import secrets
from typing import Any, Final

from asgi_rt.asgi import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from asgi_rt.http.headers import encode_header

__all__ = ["SecurityHeadersMiddleware"]

_YEAR_SECONDS: Final = 31_536_000
_POLICY: Final = "content-security-policy"
_NONCE: Final = "{nonce}"
_NONCE_BYTES: Final = 16
_NONCE_STATE: Final = "csp_nonce"

# What browsers understand; anything else they ignore without a word.
_KNOWN: Final = {
    "x-content-type-options": {"nosniff"},
    "x-frame-options": {"DENY", "SAMEORIGIN"},
    "referrer-policy": {
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    },
    "cross-origin-opener-policy": {
        "same-origin",
        "same-origin-allow-popups",
        "noopener-allow-popups",
        "unsafe-none",
    },
}


class SecurityHeadersMiddleware:
    """Adds to each response those of the fields below that it does not have.

    - `content_type_options`: "nosniff": browsers take the content type as it is given.
    - `frame_options`: "DENY" or "SAMEORIGIN": which pages may show this one in a frame. Where a
      Content-Security-Policy has `frame-ancestors`, browsers go by that instead.
    - `referrer_policy`: how much other sites learn of the page that a link to them is on.
    - `cross_origin_opener_policy`: which pages may reach this one's window. Sign-in windows of
      other sites that report back need "same-origin-allow-popups".
    - `hsts_max_age`: seconds for which browsers use nothing but https for this host, a year by
      default; 0 makes them forget it. Sent over https alone, as RFC 6797 section 7.2 has it.
      `hsts_subdomains` is for every host below as well, `hsts_preload` for the list that browsers
      come with.
    - `permissions_policy`, `content_security_policy`: as they are to be sent; none by default.

    None leaves a field out. "{nonce}" in `content_security_policy` becomes a new nonce for each
    request, which the app finds as `request.state["csp_nonce"]`, and in Starlette and FastAPI as
    `request.state.csp_nonce`.

    The scheme is the scope's: behind a proxy that ends TLS the server must know it from there.
    WebSockets pass untouched. Raises ValueError for a value that browsers would not understand, and
    for what no header may hold; TypeError for a `hsts_max_age` that is no whole number.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        content_type_options: str | None = "nosniff",
        frame_options: str | None = "DENY",
        referrer_policy: str | None = "strict-origin-when-cross-origin",
        cross_origin_opener_policy: str | None = "same-origin",
        hsts_max_age: int | None = _YEAR_SECONDS,
        hsts_subdomains: bool = False,
        hsts_preload: bool = False,
        permissions_policy: str | None = None,
        content_security_policy: str | None = None,
    ) -> None:
        self.app = app
        has_nonce = content_security_policy is not None and _NONCE in content_security_policy
        fields = {
            "x-content-type-options": content_type_options,
            "x-frame-options": frame_options,
            "referrer-policy": referrer_policy,
            "cross-origin-opener-policy": cross_origin_opener_policy,
            "permissions-policy": permissions_policy,
            _POLICY: content_security_policy,
        }
        pairs = dict(_field(name, value) for name, value in fields.items() if value is not None)
        policy = pairs.pop(_POLICY.encode(), None) if has_nonce else None
        self._policy_template = None if policy is None else policy.decode("latin-1")
        self._plain: RawHeaders = list(pairs.items())
        hsts = _hsts(hsts_max_age, subdomains=hsts_subdomains, preload=hsts_preload)
        self._secure: RawHeaders = [*self._plain, *hsts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; whatever is no HTTP goes straight to the app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        pairs = self._secure if scope.get("scheme") == "https" else self._plain
        if self._policy_template is not None:
            pairs = [*pairs, _policy_with_nonce(self._policy_template, scope)]
        await self.app(scope, receive, _Sender(pairs, send).send)


class _Sender:
    """A `send` that adds to the head what it does not have."""

    __slots__ = ("_pairs", "sends_on")

    def __init__(self, pairs: RawHeaders, send: Send) -> None:
        self._pairs = pairs
        self.sends_on = send
        """For `sends_from_anywhere`."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            raw: RawHeaders = [*message.get("headers", ())]
            present = {name for name, _ in raw}
            raw += [pair for pair in self._pairs if pair[0] not in present]
            message = {**message, "headers": raw}
        await self.sends_on(message)


def _policy_with_nonce(template: str, scope: Scope) -> tuple[bytes, bytes]:
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    scope.setdefault("state", {})[_NONCE_STATE] = nonce
    return _POLICY.encode(), template.replace(_NONCE, nonce).encode("latin-1")


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    """One field. Raises ValueError for a value that browsers do not know."""
    if not value.strip(" \t"):
        raise ValueError(f"the value of {name} is empty; None leaves the field out")
    known = _KNOWN.get(name)
    for each in _values(name, value):
        if known is not None and each not in known:
            raise ValueError(f"{each!r} is no {name}; {' or '.join(sorted(known))} is")
    return encode_header(name, value)


def _values(name: str, value: str) -> list[str]:
    if name == "referrer-policy":  # the last one that a browser understands counts
        return [each.strip(" ") for each in value.split(",")]
    if name == "cross-origin-opener-policy":  # where to report what it kept apart may follow
        return [value.partition(";")[0].rstrip(" ")]
    return [value]


def _hsts(max_age: int | None, *, subdomains: bool, preload: bool) -> RawHeaders:
    """The field of HTTP Strict Transport Security, RFC 6797 section 6.1."""
    given: Any = max_age
    if given is None:
        if subdomains or preload:
            raise ValueError("hsts_subdomains and hsts_preload need an hsts_max_age")
        return []
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"hsts_max_age is a whole number of seconds, not {given!r}")
    if given < 0:
        raise ValueError(f"hsts_max_age is at least 0 seconds, not {given}; None leaves HSTS out")
    if preload and (given < _YEAR_SECONDS or not subdomains):
        raise ValueError(
            f"hsts_preload needs an hsts_max_age of a year, {_YEAR_SECONDS}, and hsts_subdomains:"
            " the lists take no less"
        )
    directives = [f"max-age={given}"]
    directives += ["includeSubDomains"] if subdomains else []
    directives += ["preload"] if preload else []
    return [encode_header("strict-transport-security", "; ".join(directives))]
