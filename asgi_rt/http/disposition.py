"""The `Content-Disposition` of a part of a form, RFC 7578 section 4.2."""

import re
from typing import Final

__all__ = ["parse_form_data"]

_PARAMETER: Final = re.compile(
    r"""[ \t]*;[ \t]*(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^ \t";]*))""",
    re.VERBOSE | re.DOTALL,
)
_BACKSLASHED: Final = re.compile(r'\\(["\\])')
_ESCAPES: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_ESCAPE: Final = re.compile("|".join(_ESCAPES))


def parse_form_data(value: str) -> tuple[str, str | None]:
    """The name of the part, and its file name; None where it has none and so is no file.

    `value` is the header field as Latin-1; the names in it are UTF-8. `filename*` is not read, as
    it must not be used in a form. Raises ValueError, which says what the part has.
    """
    try:
        text = value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("a Content-Disposition that is not UTF-8") from None
    kind = text.partition(";")[0]
    params: dict[str, str] = {}
    at = len(kind)
    while match := _PARAMETER.match(text, at):
        name = match["name"].lower()
        if name in params:
            raise ValueError(f"two parameters {name[:40]!r} in its Content-Disposition")
        quoted = match["quoted"]
        params[name] = match["token"] if quoted is None else _unquoted(quoted)
        at = match.end()
    if kind.strip(" \t").lower() != "form-data" or text[at:].strip(" \t;"):
        raise ValueError("no Content-Disposition form-data, or a malformed one")
    if "name" not in params:
        raise ValueError("no name in its Content-Disposition")
    return params["name"], params.get("filename")


def _unquoted(text: str) -> str:
    """What a client put into quotes, escaped as browsers do (HTML section 4.10.21.8) or as curl.

    A backslash before anything but a quote or a backslash is itself, as in `C:\\dir\\name.txt`.
    """
    text = _BACKSLASHED.sub(r"\1", text)
    return _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)
