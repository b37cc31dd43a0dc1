"""The pages that show an OpenAPI document: Swagger UI, its OAuth2 redirect, and ReDoc."""

import html
import json
from typing import Any, Final

from asgi_rt.fastapi.encoders import jsonable_encoder
from asgi_rt.fastapi.responses import HTMLResponse

__all__ = [
    "get_redoc_html",
    "get_swagger_ui_html",
    "get_swagger_ui_oauth2_redirect_html",
    "swagger_ui_default_parameters",
]

_ASSETS: Final = "https://cdn.jsdelivr.net/npm"
_FAVICON: Final = "https://fastapi.tiangolo.com/img/favicon.png"
_FONTS: Final = "https://fonts.googleapis.com/css?family=Montserrat:300,400,700|Roboto:300,400,700"

swagger_ui_default_parameters: dict[str, Any] = {
    "dom_id": "#swagger-ui",
    "layout": "BaseLayout",
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
}
"""What Swagger UI is told unless `swagger_ui_parameters` tells it something else."""

# What would end a script or begin a comment in it, whatever string of JSON it stands in.
_UNSAFE: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&'\u2028\u2029"}


def get_swagger_ui_html(
    *,
    openapi_url: str,
    title: str,
    swagger_js_url: str = f"{_ASSETS}/swagger-ui-dist@5/swagger-ui-bundle.js",
    swagger_css_url: str = f"{_ASSETS}/swagger-ui-dist@5/swagger-ui.css",
    swagger_favicon_url: str = _FAVICON,
    oauth2_redirect_url: str | None = None,
    init_oauth: dict[str, Any] | None = None,
    swagger_ui_parameters: dict[str, Any] | None = None,
) -> HTMLResponse:
    """The page that shows the document at `openapi_url` in Swagger UI.

    Parameters go into the page as JSON that cannot end its script, and URLs as attributes that
    cannot end their element, so either may hold any text.
    """
    parameters = {**swagger_ui_default_parameters, **(swagger_ui_parameters or {})}
    options = [f"url: {_quoted(openapi_url)}"]
    options += [f"{_safe(str(key))}: {_safe(value)}" for key, value in parameters.items()]
    if oauth2_redirect_url:
        options.append(
            f"oauth2RedirectUrl: window.location.origin + {_quoted(oauth2_redirect_url)}"
        )
    options.append(
        "presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]"
    )
    lines = "".join(f"  {option},\n" for option in options)
    script = f"const ui = SwaggerUIBundle({{\n{lines}}})"
    if init_oauth:
        script += f"\nui.initOAuth({_safe(init_oauth)})"
    head = f'<link rel="stylesheet" href="{html.escape(swagger_css_url)}">'
    body = (
        '<div id="swagger-ui"></div>\n'
        f'<script src="{html.escape(swagger_js_url)}"></script>\n<script>\n{script}\n</script>'
    )
    return _page(title, swagger_favicon_url, head, body)


def get_redoc_html(
    *,
    openapi_url: str,
    title: str,
    redoc_js_url: str = f"{_ASSETS}/redoc@2/bundles/redoc.standalone.js",
    redoc_favicon_url: str = _FAVICON,
    with_google_fonts: bool = True,
) -> HTMLResponse:
    """The page that shows the document at `openapi_url` in ReDoc."""
    head = "<style>body { margin: 0; padding: 0 }</style>"
    if with_google_fonts:
        head = f'<link rel="stylesheet" href="{_FONTS}">\n{head}'
    body = (
        "<noscript>This page is drawn by JavaScript, which is switched off here.</noscript>\n"
        f'<redoc spec-url="{html.escape(openapi_url)}"></redoc>\n'
        f'<script src="{html.escape(redoc_js_url)}"></script>'
    )
    return _page(title, redoc_favicon_url, head, body)


# Swagger UI left what it needs in the window that opened this one. It wants the `code` of the code
# flows put into `auth`, and of the others everything that came back as `token`.
_REDIRECT: Final = """<script>
"use strict";
addEventListener("DOMContentLoaded", () => {
  const flow = window.opener.swaggerUIRedirectOauth2;
  const {auth, redirectUrl} = flow;
  const inHash = /code|token|error/.test(location.hash);
  const answer = Object.fromEntries(
    new URLSearchParams((inHash ? location.hash : location.search).slice(1)));
  const isValid = answer.state === flow.state;
  const tell = (level, message) =>
    flow.errCb({authId: auth.name, source: "auth", level, message});
  const isCodeFlow = ["accessCode", "authorizationCode", "authorization_code"]
    .includes(auth.schema.get("flow"));
  if (!isCodeFlow || auth.code) {
    flow.callback({auth, token: answer, isValid, redirectUrl});
  } else {
    if (!isValid) tell("warning", "The state that came back is not the one that was sent.");
    if (answer.code) {
      delete flow.state;
      auth.code = answer.code;
      flow.callback({auth, redirectUrl});
    } else {
      const details = [answer.error, answer.error_description, answer.error_uri];
      tell("error", details.filter(Boolean).join(" - ") || "No authorization code came back.");
    }
  }
  window.close();
});
</script>"""


def get_swagger_ui_oauth2_redirect_html() -> HTMLResponse:
    """The page that an OAuth2 server sends the browser back to: it tells Swagger UI, and closes."""
    return _page("Swagger UI: OAuth2 redirect", None, "", _REDIRECT)


def _page(title: str, favicon_url: str | None, head: str, body: str) -> HTMLResponse:
    if favicon_url is not None:
        head = f'<link rel="shortcut icon" href="{html.escape(favicon_url)}">\n{head}'
    return HTMLResponse(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _safe(value: Any) -> str:
    return json.dumps(jsonable_encoder(value)).translate(_UNSAFE)


def _quoted(text: str) -> str:
    # In single quotes, which is how programs that look into the page know it.
    return f"'{_safe(text)[1:-1]}'"
