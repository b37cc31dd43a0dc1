"""Pages made of templates."""

import sys
from typing import Any

import pytest

from asgi_rt.errors import MissingExtra
from asgi_rt.fastapi import FastAPI, Request
from asgi_rt.fastapi.templating import Jinja2Templates
from asgi_rt.fastapi.testclient import TestClient


def page(directory: Any, text: str, context: dict[str, Any], **options: Any) -> Any:
    """The response to a page of that template."""
    pytest.importorskip("jinja2")
    (directory / "page.html").write_text(text)
    templates = Jinja2Templates(directory, **options)
    app = FastAPI()

    @app.get("/items/{item_id}", name="item")
    async def item(item_id: str, request: Request) -> Any:
        return templates.TemplateResponse(request, "page.html", context, 201, {"x-a": "b"})

    with TestClient(app) as client:
        return client.get("/items/5")


def test_template_is_a_page_with_what_it_is_given(tmp_path):
    response = page(tmp_path, "<p>{{ name }} {{ request.path_params.item_id }}", {"name": "<b>"})
    assert response.text == "<p>&lt;b&gt; 5"
    assert response.status_code == 201
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-a"] == "b"


def test_template_knows_urls(tmp_path):
    response = page(tmp_path, "{{ url_for('item', item_id='a b') }}", {})
    assert response.text == "http://testserver/items/a b"


def test_processors_give_more_to_templates(tmp_path):
    processors = [lambda request: {"user": request.headers["user-agent"]}]
    response = page(tmp_path, "{{ user }}", {}, context_processors=processors)
    assert response.text == "testclient"


def test_environment_is_taken_in_place_of_a_directory():
    jinja2 = pytest.importorskip("jinja2")
    templates = Jinja2Templates(env=jinja2.Environment(loader=jinja2.DictLoader({"a": "{{ 1 }}"})))
    assert templates.get_template("a").render() == "1"
    with pytest.raises(AssertionError, match="either"):
        Jinja2Templates()


def test_missing_jinja_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r'pip install "asgi-rt\[templates\]"'):
        Jinja2Templates("templates")
