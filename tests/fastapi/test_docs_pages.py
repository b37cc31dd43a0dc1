"""The pages that show a document load what FastAPI's load, and nothing that they are given ends
their script or an attribute."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from asgi_rt.fastapi import FastAPI
from asgi_rt.fastapi.openapi.docs import (
    get_redoc_html,
    get_swagger_ui_html,
    get_swagger_ui_oauth2_redirect_html,
    swagger_ui_default_parameters,
)
from tests.fastapi.asked import get
from tests.fastapi.differential import ADAPTER, REAL, outcomes

EVIL = """</script><script>alert("1")</script><!-- ' \\ \u2028 &quot; "'>"""


class Read(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, set[str]] = {}
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open = tag
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data

    @property
    def urls(self) -> set[str]:
        return self.attributes.get("href", set()) | self.attributes.get("src", set())


def page_of(response: Any) -> str:
    return response.body.decode()


def both(function: str, **options: Any) -> tuple[Read, Read]:
    """The page of the adapter and the one of FastAPI."""
    ours, theirs = (
        Read(page_of(getattr(api.openapi.docs, function)(**options))) for api in (ADAPTER, REAL)
    )
    return ours, theirs


@pytest.mark.parametrize("function", ["get_swagger_ui_html", "get_redoc_html"])
def test_a_page_loads_the_assets_that_fastapis_loads(function):
    ours, theirs = both(function, openapi_url="/openapi.json", title="Shop - docs")
    assert ours.urls == theirs.urls
    assert ours.texts["title"] == theirs.texts["title"] == "Shop - docs"


def test_redoc_is_told_of_the_document_and_may_do_without_fonts():
    options = {"openapi_url": "/a/openapi.json", "title": "x", "with_google_fonts": False}
    ours, theirs = both("get_redoc_html", **options)
    assert ours.attributes["spec-url"] == theirs.attributes["spec-url"] == {"/a/openapi.json"}
    assert ours.urls == theirs.urls


def test_assets_may_be_elsewhere():
    page = Read(
        page_of(
            get_swagger_ui_html(
                openapi_url="/o",
                title="x",
                swagger_js_url="/static/ui.js?a=1&b=2",
                swagger_css_url="/static/ui.css",
                swagger_favicon_url="/static/icon.png",
            )
        )
    )
    assert page.urls == {"/static/ui.js?a=1&b=2", "/static/ui.css", "/static/icon.png"}
    redoc = get_redoc_html(
        openapi_url="/o", title="x", redoc_js_url="/r.js", redoc_favicon_url="/i.png"
    )
    assert {"/r.js", "/i.png"} < Read(page_of(redoc)).urls


def test_swagger_ui_is_told_what_fastapi_tells_it():
    options = {
        "openapi_url": "/openapi.json",
        "title": "x",
        "oauth2_redirect_url": "/docs/oauth2-redirect",
        "init_oauth": {"clientId": "me", "usePkce": True},
        "swagger_ui_parameters": {"syntaxHighlight": {"theme": "obsidian"}, "deepLinking": False},
    }
    ours, theirs = (read.texts["script"] for read in both("get_swagger_ui_html", **options))
    for said in (
        "url: '/openapi.json'",
        "oauth2RedirectUrl: window.location.origin + '/docs/oauth2-redirect'",
        '"dom_id": "#swagger-ui"',
        '"syntaxHighlight": {"theme": "obsidian"}',
        '"deepLinking": false',
        'ui.initOAuth({"clientId": "me", "usePkce": true})',
        "SwaggerUIBundle.presets.apis",
    ):
        assert said in ours
        assert said in theirs


def test_the_default_parameters_are_fastapis_and_are_not_changed_by_a_page():
    assert swagger_ui_default_parameters == REAL.openapi.docs.swagger_ui_default_parameters
    get_swagger_ui_html(openapi_url="/", title="", swagger_ui_parameters={"deepLinking": False})
    assert swagger_ui_default_parameters["deepLinking"] is True


def _evil_swagger(text: str) -> Any:
    return get_swagger_ui_html(
        openapi_url=text,
        title=text,
        swagger_js_url=text,
        swagger_css_url=text,
        swagger_favicon_url=text,
        oauth2_redirect_url=text,
        init_oauth={text: [text]},
        swagger_ui_parameters={text: {"deep": text}},
    )


def _evil_redoc(text: str) -> Any:
    return get_redoc_html(openapi_url=text, title=text, redoc_js_url=text, redoc_favicon_url=text)


@pytest.mark.parametrize("make", [_evil_swagger, _evil_redoc])
def test_no_text_gets_out_of_where_it_was_put(make):
    evil, harmless = Read(page_of(make(EVIL))), Read(page_of(make("text")))
    assert evil.tags == harmless.tags
    assert evil.texts["title"] == EVIL
    assert EVIL in evil.urls
    script = evil.texts.get("script", "")
    assert not re.search("[<>\u2028]|<!--", script)


def test_the_redirect_page_knows_where_swagger_ui_left_its_state():
    page = page_of(get_swagger_ui_oauth2_redirect_html())
    assert "window.opener.swaggerUIRedirectOauth2" in page
    assert Read(page).tags.count("script") == 1


def test_the_pages_of_an_app_are_found_where_it_says():
    app = FastAPI(docs_url="/d", redoc_url=None, openapi_url="/o.json")
    paths = {getattr(route, "path", None) for route in app.routes}
    assert {"/d", "/o.json", "/docs/oauth2-redirect"} <= paths
    assert "/redoc" not in paths


def documented(api: Any) -> Any:
    made = api.FastAPI(title="x", redoc_url=None)

    @made.get("/items/{item_id}")
    def read(item_id: int) -> None: ...

    return made


@pytest.mark.parametrize("scope", [{}, {"root_path": "/proxied"}])
def test_a_document_by_http_is_fastapis(scope):
    asked = get("/openapi.json", scope=scope)
    [ours], [theirs] = (outcomes(api, documented, asked) for api in (ADAPTER, REAL))
    assert ours["status"] == theirs["status"] == 200
    assert json.loads(ours["body"]) == json.loads(theirs["body"])


def test_a_page_that_is_switched_off_is_not_found():
    [answer] = outcomes(ADAPTER, documented, get("/redoc"))
    assert answer["status"] == 404
