"""Cookies: the request's header read, the response's header written. RFC 6265.

The reading is lenient, as section 5 asks of whoever receives cookies; the writing is strict.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, Literal

__all__ = ["SameSite", "format_set_cookie", "parse_cookies"]

SameSite = Literal["lax", "strict", "none"]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")
_ATTRIBUTE: Final = re.compile(r"[^\x00-\x1f\x7f;]*")


def parse_cookies(header: str) -> dict[str, str]:
    """The cookies of one `Cookie` header; of a repeated name the first, which is the most specific.

    Pairs without `=` are left out; quotes around a value are removed.
    """
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, separator, value = pair.partition("=")
        # Nothing but these two: to str.strip the end of an "à" in UTF-8 is a space as well.
        name, value = name.strip(" \t"), value.strip(" \t")
        if not separator or not name:
            continue
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        cookies.setdefault(name, value)
    return cookies


def format_set_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: SameSite | None = "lax",
    partitioned: bool = False,
) -> str:
    """The value of a `Set-Cookie` header. `max_age` is in seconds; `expires` carries its time zone.

    Raises ValueError where the name or the value holds what a cookie cannot carry (encode such a
    value first), and where the attributes contradict each other.
    """
    _check(name, value, path, domain)
    if (samesite == "none" or partitioned) and not secure:
        raise ValueError(f"the cookie {name!r} must be secure: browsers refuse it otherwise")
    parts = [f"{name}={value}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if expires is not None:
        if expires.tzinfo is None:
            raise ValueError(f"the cookie {name!r}: `expires` must carry a time zone")
        parts.append(f"Expires={format_datetime(expires.astimezone(UTC), usegmt=True)}")
    if domain is not None:
        parts.append(f"Domain={domain}")
    if path is not None:
        parts.append(f"Path={path}")
    if samesite is not None:
        parts.append(f"SameSite={samesite.capitalize()}")
    flags = (("Secure", secure), ("HttpOnly", httponly), ("Partitioned", partitioned))
    parts.extend(flag for flag, wanted in flags if wanted)
    return "; ".join(parts)


def _check(name: str, value: str, path: str | None, domain: str | None) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a cookie name")
    if _VALUE.fullmatch(value) is None:
        raise ValueError(
            f"the value of the cookie {name!r} holds a space, quote, comma, semicolon, backslash"
            " or a character outside ASCII; encode it, for example with urllib.parse.quote"
        )
    for label, attribute in (("path", path), ("domain", domain)):
        if attribute is not None and _ATTRIBUTE.fullmatch(attribute) is None:
            raise ValueError(f"the {label} of the cookie {name!r} holds a control or a semicolon")
