"""Pages made of Jinja's templates."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from asgi_rt.errors import MissingExtra
from asgi_rt.fastapi.requests import HTTPConnection
from asgi_rt.fastapi.responses import HTMLResponse

__all__ = ["Jinja2Templates"]


class Jinja2Templates:
    """Templates in a directory, or several, or of an environment of Jinja's: `env`.

    In templates of HTML, by their suffix, what is put in is escaped; `url_for` is the request's.
    `context_processors` give more variables for each request. Needs the extra `templates`.
    """

    def __init__(
        self,
        directory: Any = None,
        *,
        context_processors: Sequence[Callable[[Any], dict[str, Any]]] | None = None,
        env: Any = None,
    ) -> None:
        assert (directory is None) is not (env is None), "give either a directory or an env"
        try:
            jinja2: Any = import_module("jinja2")
        except ModuleNotFoundError:
            raise MissingExtra("jinja2", "templates", "Jinja2Templates") from None
        loader = jinja2.FileSystemLoader(directory or ())
        escapes = jinja2.select_autoescape()
        self.env: Any = env or jinja2.Environment(loader=loader, autoescape=escapes)
        self.env.globals.setdefault("url_for", jinja2.pass_context(_url_for))
        self.context_processors = context_processors or ()

    def get_template(self, name: str) -> Any:
        """The template of that name, compiled."""
        return self.env.get_template(name)

    def TemplateResponse(
        self,
        request: HTTPConnection,
        name: str,
        context: dict[str, Any] | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        **options: Any,
    ) -> HTMLResponse:
        """The template with the variables of `context` and `request`, as a page."""
        variables = {"request": request, **(context or {})}
        for processor in self.context_processors:
            variables.update(processor(request))
        page = self.get_template(name).render(variables)
        return HTMLResponse(page, status_code, headers, media_type, **options)


def _url_for(context: Mapping[str, Any], name: str, /, **params: Any) -> Any:
    return context["request"].url_for(name, **params)
