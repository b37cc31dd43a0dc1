"""The Authorization header, taken apart."""

__all__ = ["get_authorization_scheme_param"]


def get_authorization_scheme_param(authorization_header_value: str | None) -> tuple[str, str]:
    """The scheme and what follows it; two empty strings where there is no header."""
    scheme, _, credentials = (authorization_header_value or "").partition(" ")
    return scheme, credentials.strip()
