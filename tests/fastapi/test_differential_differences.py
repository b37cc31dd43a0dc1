"""Where the adapter does something else than FastAPI, and means to: each with what either does."""

# ruff: noqa: B008 - calls as defaults are what FastAPI programs have

from contextlib import suppress
from typing import Annotated

import pytest

from tests.fastapi.asked import BOUNDARY, ask, get, leave, multipart, post, say, script, talk, wait
from tests.fastapi.differential import ADAPTER, REAL, outcomes

pytestmark = pytest.mark.skipif(ADAPTER is REAL, reason="compares FastAPI with itself")

MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def both(build, asked):
    """What became of the first step: with FastAPI, and with the adapter."""
    return outcomes(REAL, build, asked)[0], outcomes(ADAPTER, build, asked)[0]


def headers(outcome):
    return dict(outcome["headers"])


def test_a_websocket_that_nobody_closes_ends_with_1000():
    """FastAPI leaves it to the server, which says 1006 or 1000 as it likes."""

    def build(api):
        app = api.FastAPI()

        @app.websocket("/")
        async def endpoint(websocket: api.WebSocket):
            await websocket.accept()
            await websocket.send_text("a")

        return app

    real, adapter = both(build, talk("/"))
    assert real["sent"] == [("accept", None, []), "a"]
    assert adapter["sent"] == [("accept", None, []), "a", ("close", 1000, "")]


def test_a_websocket_whose_function_fails_ends_with_1011():
    def build(api):
        app = api.FastAPI()

        @app.websocket("/")
        async def endpoint(websocket: api.WebSocket):
            await websocket.accept()
            raise KeyError("x")

        return app

    real, adapter = both(build, talk("/"))
    assert real["sent"] == [("accept", None, [])]
    assert real["raised"] == "KeyError"
    assert [each[:2] for each in adapter["sent"]] == [("accept", None), ("close", 1011)]


def test_a_disconnect_that_nobody_catches_is_no_error():
    """FastAPI raises WebSocketDisconnect to the server, which logs it."""

    def build(api):
        app = api.FastAPI()

        @app.websocket("/")
        async def endpoint(websocket: api.WebSocket):
            await websocket.accept()
            await websocket.send_text("a")
            await websocket.receive_text()

        return app

    real, adapter = both(build, talk("/", wait(), leave(1001)))
    assert real["raised"] == "WebSocketDisconnect"
    assert adapter == {"sent": real["sent"], "raised": None}


def test_a_message_of_the_wrong_kind_closes_with_1003():
    """FastAPI raises a KeyError."""

    def build(api):
        app = api.FastAPI()

        @app.websocket("/")
        async def endpoint(websocket: api.WebSocket):
            await websocket.accept()
            await websocket.receive_text()

        return app

    real, adapter = both(build, talk("/", say(b"bytes")))
    assert real["raised"] == "KeyError"
    assert [each[:2] for each in adapter["sent"]] == [("accept", None), ("close", 1003)]


def test_a_server_without_denial_responses_gets_none():
    """FastAPI sends one to any server."""

    def build(api):
        app = api.FastAPI()

        @app.websocket("/")
        async def endpoint(websocket: api.WebSocket):
            raise api.HTTPException(403)

        return app

    real, adapter = both(build, talk("/"))
    assert real["sent"][0][:2] == ("denied", 403)
    assert [each[:2] for each in adapter["sent"]] == [("close", 1008)]
    assert outcomes(REAL, build, talk("/", denies=True)) == outcomes(
        ADAPTER, build, talk("/", denies=True)
    )


@pytest.mark.parametrize("kind", ["events", "lines", "stream"])
def test_a_stream_that_fails_before_its_first_piece_is_a_500(kind):
    """FastAPI has sent the 200 by then, and breaks the connection."""

    def build(api):
        app = api.FastAPI()
        classes = {"events": api.sse.EventSourceResponse, "stream": api.responses.StreamingResponse}
        options = {"response_class": classes[kind]} if kind in classes else {}

        @app.get("/", **options)
        async def endpoint():
            raise KeyError("x")
            yield b""

        return app

    real, adapter = both(build, get())
    assert (real["status"], real["messages"]) == (200, ["start"])
    assert (adapter["status"], adapter["body"]) == (500, b"Internal Server Error")
    assert adapter["raised"] == "KeyError"


def test_an_http_exception_before_the_first_piece_is_answered():
    def build(api):
        app = api.FastAPI()

        @app.get("/", response_class=api.sse.EventSourceResponse)
        async def endpoint():
            raise api.HTTPException(404, "none")
            yield

        return app

    real, adapter = both(build, get())
    assert (real["status"], real["raised"]) == (200, "ExceptionGroup")
    assert (adapter["status"], adapter["body"]) == (404, b'{"detail":"none"}')


def test_events_before_a_failure_are_sent_and_the_failure_is_itself():
    """FastAPI may lose them, and has the failure in an exception group."""

    def build(api):
        app = api.FastAPI()

        @app.get("/", response_class=api.sse.EventSourceResponse)
        async def endpoint():
            yield 1
            raise KeyError("x")

        return app

    real, adapter = both(build, get())
    assert real["raised"] == "ExceptionGroup"
    assert (adapter["body"], adapter["messages"], adapter["raised"]) == (
        b"data: 1\n\n",
        ["start"],
        "KeyError",
    )


def test_lines_within_an_event_or_an_id_are_kept_apart():
    """FastAPI writes them as they are, so that they are fields of their own choice."""

    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            return api.sse.format_sse_event(event="a\ndata: b")

        return app

    real, adapter = both(build, get())
    assert real["body"] == b'"event: a\\ndata: b\\n\\n"'
    assert adapter["body"] == b'"event: a\\nevent: data: b\\n\\n"'


def test_exponents_are_spelt_without_a_zero():
    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            return [1e22, 1e-7]

        return app

    real, adapter = both(build, get())
    assert real["body"] == b"[1e+22,1e-07]"
    assert adapter["body"] == b"[1e+22,1e-7]"


def test_tasks_behind_one_that_fails_run_all_the_same():
    """FastAPI leaves them out."""

    def build(api):
        app = api.FastAPI()
        log = []

        def fails():
            log.append("fails")
            raise KeyError("x")

        @app.get("/")
        async def endpoint(tasks: api.BackgroundTasks):
            tasks.add_task(fails)
            tasks.add_task(log.append, "next")

        @app.get("/log")
        async def get_log():
            return log

        return app

    asked = script(get("/"), get("/log"))
    assert outcomes(REAL, build, asked)[1]["body"] == b'["fails"]'
    assert outcomes(ADAPTER, build, asked)[1]["body"] == b'["fails","next"]'


def test_events_of_routers_happen_once():
    """FastAPI of this version has those of an included router twice."""

    def build(api):
        app = api.FastAPI()
        router = api.APIRouter()
        log = []
        router.on_event("startup")(lambda: log.append("start"))
        app.include_router(router)

        @app.get("/")
        async def endpoint():
            return log

        return app

    real, adapter = both(build, script(get("/"), lifespan=True))
    assert real["body"] == b'["start","start"]'
    assert adapter["body"] == b'["start"]'


def test_a_failure_that_a_dependency_swallows_is_told_as_such():
    """FastAPI stumbles over its own unset variable where the scope is the function."""

    def build(api):
        app = api.FastAPI()

        async def swallows():
            with suppress(KeyError):
                yield

        @app.get("/")
        async def endpoint(_: Annotated[None, api.Depends(swallows, scope="function")]):
            raise KeyError("x")

        return app

    real, adapter = both(build, get())
    assert (real["raised"], adapter["raised"]) == ("UnboundLocalError", "FastAPIError")
    assert real["status"] == adapter["status"] == 500


CUT = multipart({"a": "1"})[:-20]
LATIN = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n'.encode()
    + b"\xe4"
    + f"\r\n--{BOUNDARY}--\r\n".encode()
)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (CUT, MULTIPART),
        (b"", MULTIPART),
        (LATIN, MULTIPART),
        (LATIN, f"{MULTIPART}; charset=latin-1"),
    ],
    ids=["cut", "empty", "not UTF-8", "another charset"],
)
def test_a_form_that_is_not_whole_or_not_utf_8_is_refused(content, content_type):
    """FastAPI takes what it got, and guesses at the rest."""

    def build(api):
        app = api.FastAPI()

        @app.post("/")
        async def endpoint(a: list[str] = api.Form(["none"])):
            return a

        return app

    real, adapter = both(build, post(content=content, content_type=content_type))
    assert (real["status"], adapter["status"]) == (200, 400)
    assert b"detail" in adapter["body"]


def test_a_form_that_is_read_leaves_the_body():
    """FastAPI has it consumed."""

    def build(api):
        app = api.FastAPI()

        @app.post("/")
        async def endpoint(request: api.Request):
            form = await request.form()
            return [form["a"], (await request.body()).decode()]

        return app

    real, adapter = both(build, post(data={"a": "1"}))
    assert real["raised"] == "RuntimeError"
    assert (adapter["status"], adapter["body"]) == (200, b'["1","a=1"]')


@pytest.mark.parametrize(
    "asked_range", ["bytes=x", "bytes=", "bytes=5-2", "items=0-1", "bytes 0-3"]
)
def test_a_range_that_is_none_is_not_looked_at(asked_range, tmp_path):
    """RFC 9110, section 14.2; FastAPI answers 400."""
    real, adapter = both(a_file(tmp_path), get(headers={"range": asked_range}))
    assert (real["status"], adapter["status"]) == (400, 200)
    assert adapter["body"] == b"0123456789"


def test_a_range_of_head_is_not_looked_at(tmp_path):
    """RFC 9110, section 14.2: only GET has ranges; FastAPI answers 206."""
    real, adapter = both(a_file(tmp_path), ask("HEAD", headers={"range": "bytes=0-1"}))
    assert (real["status"], adapter["status"]) == (206, 200)


def test_a_file_that_the_client_has_is_not_sent_again(tmp_path):
    """RFC 9110, section 13; of FastAPI's only StaticFiles look at the conditions."""
    real, adapter = both(a_file(tmp_path), get(headers={"if-none-match": "*"}))
    assert (real["status"], real["body"]) == (200, b"0123456789")
    assert (adapter["status"], adapter["body"]) == (304, b"")


def test_several_ranges_are_the_same_parts(tmp_path):
    """Only the boundary has another length, and the last line its end."""
    real, adapter = both(a_file(tmp_path), get(headers={"range": "bytes=0-1,4-5"}))
    assert real["status"] == adapter["status"] == 206
    assert parts(real["body"]) == parts(adapter["body"])


def parts(body):
    return [each.strip() for each in body.split(b"--" + body.split(b"\r\n")[0].lstrip(b"-"))]


def a_file(folder):
    file = folder / "a.txt"
    file.write_bytes(b"0123456789")

    def build(api):
        app = api.FastAPI()

        @app.api_route("/", methods=["GET", "HEAD"])
        async def endpoint():
            return api.responses.FileResponse(file)

        return app

    return build


def test_gzip_that_is_ruled_out_is_not_sent():
    """FastAPI looks only for the word."""

    def build(api):
        app = api.FastAPI()
        app.add_middleware(api.middleware.gzip.GZipMiddleware, minimum_size=10)

        @app.get("/")
        async def endpoint():
            return "x" * 100

        return app

    real, adapter = both(build, get(headers={"accept-encoding": "gzip;q=0"}))
    assert headers(real)["content-encoding"] == "gzip"
    assert "content-encoding" not in headers(adapter)


def test_a_header_that_cannot_be_sent_is_a_value_error():
    """FastAPI raises UnicodeEncodeError, which is one too, and lets line ends pass."""

    def build(api):
        app = api.FastAPI()

        @app.get("/")
        async def endpoint():
            return api.Response("a", headers={"x": "a\r\nb: c"})

        return app

    real, adapter = both(build, get())
    assert ("x", "a\r\nb: c") in real["headers"]
    assert (adapter["status"], adapter["raised"]) == (500, "ValueError")
