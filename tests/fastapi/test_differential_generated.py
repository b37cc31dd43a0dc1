"""What nobody thought of: signatures, bodies and requests that Hypothesis makes."""

import json
from typing import Annotated, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fastapi.asked import BOUNDARY, ask, get, post
from tests.fastapi.differential import compare
from tests.fastapi.generated import endpoint_of, jsons, models, requests_for, returned, signatures

quick = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@quick
@given(st.data())
def test_signatures(data):
    wanted = data.draw(signatures())
    asked = data.draw(requests_for(wanted))

    def build(api):
        app = api.FastAPI(openapi_url=None)
        path, endpoint = endpoint_of(api, wanted)
        app.post(path)(endpoint)
        return app

    compare(build, asked, trio=False)


@quick
@given(models(), st.booleans())
def test_models_of_bodies(made, answered):
    model, sent = made

    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.post("/", response_model=model if answered else None)
        async def endpoint(body: model):
            return body

        return app

    compare(build, post(json=sent), trio=False)


@quick
@given(models(), st.sampled_from(["exclude_none", "exclude_unset", "exclude_defaults"]))
def test_models_of_responses(made, option):
    model, sent = made

    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.get("/", response_model=model, **{f"response_model_{option}": True})
        async def endpoint():
            return sent

        return app

    compare(build, get(), trio=False)


@quick
@given(returned(), st.booleans())
def test_values_that_are_returned(value, annotated):
    def build(api):
        app = api.FastAPI(openapi_url=None)

        async def endpoint():
            return value

        if annotated:
            endpoint.__annotations__["return"] = Any
        app.get("/")(endpoint)
        return app

    compare(build, get(), trio=False)


@quick
@given(
    st.text('{}[]":,01.eE-+ \n\\utrfalsn', max_size=20)
    | jsons()
    .map(json.dumps)
    .flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end]))
)
def test_texts_that_may_be_json(text):
    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.post("/")
        async def endpoint(body: Annotated[Any, api.Body()]):
            return repr(body)

        return app

    compare(build, post(content=text, content_type="application/json"), trio=False)


@quick
@given(st.text("ab=&;+% 0f#?/", max_size=20))
def test_query_strings(query):
    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.get("/")
        async def endpoint(
            request: api.Request, a: Annotated[list[str] | None, api.Query()] = None, b: int = 0
        ):
            return [a, b, request.query_params.multi_items()]

        return app

    compare(build, get("/?" + query), trio=False)


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["x-a", "X-A", "x_a", "x-b", "accept", "x-c"]),
            st.text("ab,; 01\xe4", max_size=6),
        ),
        max_size=5,
    ),
    st.text('ab=;", \\071%\xe4', max_size=20),
)
def test_headers_and_cookies(headers, cookie):
    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.get("/")
        async def endpoint(
            request: api.Request,
            x_a: Annotated[list[str] | None, api.Header()] = None,
            x_b: Annotated[int, api.Header()] = 0,
            accept: Annotated[str | None, api.Header()] = None,
            a: Annotated[str | None, api.Cookie()] = None,
            b: Annotated[int | None, api.Cookie()] = None,
        ):
            return [x_a, x_b, accept, a, b, request.cookies]

        return app

    compare(build, get("/", headers=[*headers, ("cookie", cookie)]), trio=False)


@quick
@given(st.binary(max_size=20) | st.text("ab=&;+% 0f", max_size=20).map(str.encode))
def test_forms(content):
    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.post("/")
        async def endpoint(
            a: Annotated[list[str], api.Form()] = (), b: Annotated[int, api.Form()] = 0
        ):
            return [a, b]

        return app

    compare(
        build, post(content=content, content_type="application/x-www-form-urlencoded"), trio=False
    )


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "f"]),
        st.none() | st.sampled_from(["", "x.txt"]),
        st.text("ab01\r\n-ä", max_size=8),
    ),
    max_size=5,
)


@quick
@given(PARTS, st.integers(1, 64))
def test_forms_in_parts(parts, size):
    content = b""
    for name, file, text in parts:
        named = "" if file is None else f'; filename="{file}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}'
        content += f"{head}\r\n\r\n{text}\r\n".encode()
    content += f"--{BOUNDARY}--\r\n".encode()
    chunks = [content[start : start + size] for start in range(0, len(content), size)]

    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.post("/")
        async def endpoint(
            a: Annotated[list[str] | None, api.Form()] = None,
            b: Annotated[str, api.Form()] = "none",
            f: list[api.UploadFile] | None = None,
        ):
            files = [[each.filename, (await each.read()).decode()] for each in f or []]
            return [a, b, files]

        return app

    kind = f"multipart/form-data; boundary={BOUNDARY}"
    compare(build, post(chunks=chunks, content_type=kind), trio=False)


SEGMENTS = st.lists(
    st.sampled_from(["a", "b", "{x}", "{y:int}", "{z:path}", "c.d"]),
    min_size=1,
    max_size=3,
    unique=True,
)


@quick
@given(
    st.lists(
        st.tuples(SEGMENTS, st.sampled_from(["", "/"]), st.sampled_from(["GET", "POST"])),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.lists(st.sampled_from(["a", "b", "5", "c.d", "", "q%2Fr"]), max_size=4),
)
def test_paths(declared, method, asked):
    def build(api):
        app = api.FastAPI(openapi_url=None)
        for number, (segments, end, own) in enumerate(declared):

            def made(number=number):
                async def endpoint(request: api.Request):
                    return [number, request.path_params, request.url.path]

                return endpoint

            app.add_api_route("/" + "/".join(segments) + end, made(), methods=[own])
        return app

    compare(build, ask(method, "/" + "/".join(asked)), trio=False)
