"""What all security schemes have in common."""

from typing import Any, TypedDict, Unpack

from asgi_rt.fastapi.exceptions import StarletteHTTPException
from asgi_rt.fastapi.openapi.models import SecurityBase as SecurityBaseModel

__all__ = ["SchemeOptions", "SecurityBase"]


class SchemeOptions(TypedDict, total=False):
    """What every scheme takes."""

    scheme_name: str | None
    description: str | None
    auto_error: bool


class SecurityBase:
    """A security scheme: a dependency that gives what the client authenticates with.

    With `auto_error` a request without it is answered 401; otherwise the dependency gives None.
    """

    model: SecurityBaseModel
    """The scheme as OpenAPI describes it."""
    scheme_name: str
    auto_error: bool = True

    def make_not_authenticated_error(self) -> StarletteHTTPException:
        """The answer to a client that shows nothing, or the wrong thing; for subclasses to vary."""
        return StarletteHTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})

    def _describe(
        self,
        kind: type[SecurityBaseModel],
        fields: dict[str, Any],
        **options: Unpack[SchemeOptions],
    ) -> None:
        self.model = kind.model_validate({**fields, "description": options.get("description")})
        self.scheme_name = options.get("scheme_name") or type(self).__name__
        self.auto_error = options.get("auto_error", True)

    def _refuse(self) -> Any:
        """Nothing, in the place of credentials; with `auto_error` the error."""
        if self.auto_error:
            raise self.make_not_authenticated_error()
        return None
