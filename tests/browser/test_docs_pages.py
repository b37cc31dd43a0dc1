"""The pages about an OpenAPI document, run by a browser whose Swagger UI is a stand-in."""

import json
from typing import Any

from asgi_rt.fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html

ORIGIN = "http://docs.test"
EVIL = """</script><script>window.broken = 1</script><!-- ' \\ \u2028 &quot; "'>"""
STAND_IN = """
window.SwaggerUIBundle = (told) => {
  window.told = told;
  return {initOAuth: (oauth) => { window.oauth = oauth; }};
};
SwaggerUIBundle.presets = {apis: "apis"};
SwaggerUIBundle.SwaggerUIStandalonePreset = "standalone";
"""
OPENER = """
window.closed_ = false; window.close = () => { window.closed_ = true; };
window.answers = [];
Object.defineProperty(window, "opener", {value: {swaggerUIRedirectOauth2: {
  state: "s1", redirectUrl: "/r",
  auth: {name: "mine", schema: new Map([["flow", FLOW]])},
  callback: (answer) => window.answers.push(["callback", {
    code: answer.auth.code, token: answer.token, isValid: answer.isValid,
    redirectUrl: answer.redirectUrl}]),
  errCb: (error) => window.answers.push(["error", error]),
}}});
"""


def serve(page: Any, url: str, body: bytes) -> None:
    page.route(f"{ORIGIN}{url}*", lambda route: route.fulfill(body=body, content_type="text/html"))


def test_swagger_ui_gets_every_text_as_it_was_given(page):
    response = get_swagger_ui_html(
        openapi_url=EVIL,
        title=EVIL,
        swagger_js_url="/ui.js",
        oauth2_redirect_url=EVIL,
        init_oauth={EVIL: [EVIL]},
        swagger_ui_parameters={EVIL: {"deep": EVIL}, "deepLinking": False},
    )
    page.route("**/*", lambda route: route.fulfill(body=""))
    page.route(
        f"{ORIGIN}/ui.js",
        lambda route: route.fulfill(body=STAND_IN, content_type="text/javascript"),
    )
    serve(page, "/docs", response.body)
    page.goto(f"{ORIGIN}/docs")
    assert page.evaluate("window.broken") is None
    assert page.title() == EVIL
    assert page.evaluate("oauth") == {EVIL: [EVIL]}
    assert page.evaluate("told") == {
        "url": EVIL,
        "dom_id": "#swagger-ui",
        "layout": "BaseLayout",
        "deepLinking": False,
        "showExtensions": True,
        "showCommonExtensions": True,
        EVIL: {"deep": EVIL},
        "oauth2RedirectUrl": ORIGIN + EVIL,
        "presets": ["apis", "standalone"],
    }


def answers(page: Any, flow: str, came_back: str) -> Any:
    """What the redirect page told Swagger UI, with the answer of the OAuth2 server in its URL."""
    page.add_init_script(OPENER.replace("FLOW", json.dumps(flow)))
    serve(page, "/redirect", get_swagger_ui_oauth2_redirect_html().body)
    page.goto(f"{ORIGIN}/redirect{came_back}")
    page.wait_for_function("window.closed_")
    return page.evaluate("answers")


def test_a_code_is_handed_over(page):
    told = answers(page, "authorizationCode", "?code=a%2Fb+c&state=s1")
    expected = {"code": "a/b c", "redirectUrl": "/r"}
    assert told == [["callback", {**expected, "token": None, "isValid": None}]]


def test_a_code_with_another_state_is_handed_over_with_a_warning(page):
    warning, told = answers(page, "accessCode", "?code=x&state=other")
    assert warning[0] == "error"
    assert warning[1]["level"] == "warning"
    assert warning[1]["authId"] == "mine"
    assert told[1]["code"] == "x"


def test_an_error_is_told(page):
    [[kind, error]] = answers(
        page, "authorizationCode", "?error=denied&error_description=Not+you&state=s1"
    )
    assert kind == "error"
    assert error == {
        "authId": "mine",
        "source": "auth",
        "level": "error",
        "message": "denied - Not you",
    }


def test_a_code_that_is_missing_is_told(page):
    [[_, error]] = answers(page, "authorizationCode", "?state=s1")
    assert error["level"] == "error"
    assert error["message"]


def test_a_token_in_the_fragment_is_handed_over(page):
    told = answers(page, "implicit", "#access_token=t%3D1&token_type=bearer&state=s1")
    token = {"access_token": "t=1", "token_type": "bearer", "state": "s1"}
    assert told == [
        ["callback", {"code": None, "token": token, "isValid": True, "redirectUrl": "/r"}]
    ]
