"""What a request tells of itself, and the types that it tells it in."""

import pytest

from tests.fastapi.asked import ask, get, post, script
from tests.fastapi.differential import compare, differential

URLS = [
    get("/a/b?c=d&e=%20f#g"),
    get("/%C3%A4?q=%C3%A4"),
    get("/x", scheme="https"),
    get("/x", headers={"host": "other:8080"}),
    get("/x", headers={"host": "other:80"}),
    get("/x", root_path="/root"),
    get("/root/x", root_path="/root"),
    get("/x", server=None, headers={"host": "h"}),
    get("/x", headers={"host": "user@h"}),
    get("/"),
    get("/x", scheme="https", headers={"host": "h:443"}),
    get("/x", headers={"host": ""}),
    get("/x", server=("10.0.0.1", 8000), headers={"host": "bad host"}),
    get("/a%2Fb"),
    get("/x?"),
]


@pytest.mark.parametrize("asked", URLS, ids=lambda each: f"{each.label} {dict(each.scope)}")
def test_urls(asked):
    def build(api):
        app = api.FastAPI(openapi_url=None)

        @app.get("/{rest:path}")
        async def endpoint(request: api.Request, rest: str):
            url = request.url
            return [
                str(url),
                url.scheme,
                url.netloc,
                url.path,
                url.query,
                url.fragment,
                url.hostname,
                url.port,
                url.username,
                url.password,
                url.is_secure,
                repr(url),
                str(url.replace(path="/new", query="x=1", port=99)),
                str(url.include_query_params(a="b c")),
                str(url.replace_query_params(z=1)),
                str(url.remove_query_params("c")),
                url == str(url),
                str(request.base_url),
                str(url.replace(hostname="h", scheme="ftp")),
                str(url.components.path),
            ]

        return app

    compare(build, asked)


@differential(
    get("/?a=1&a=2&b=&c&d=%20x+y"),
    get("/"),
    get("/?a=%C3%A4&%C3%A4=1"),
    get("/?=x&&"),
    get("/?a=1;b=2"),
)
def test_query_params(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(request: api.Request):
        query = request.query_params
        return [
            query.get("a"),
            query.get("z", "default"),
            query.getlist("a"),
            list(query),
            list(query.keys()),
            list(query.values()),
            list(query.items()),
            query.multi_items(),
            "a" in query,
            len(query),
            str(query),
            repr(query),
            dict(query),
            query == type(query)(str(query)),
            query.get("d"),
            type(query).__name__,
        ]

    return app


@differential(get("/", headers=[("X-A", "1"), ("x-a", "2"), ("X-B", "\xe4")]), get("/"))
def test_headers(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(request: api.Request):
        headers = request.headers
        try:
            missing = headers["nothing"]
        except KeyError as error:
            missing = repr(error)
        mutable = headers.mutablecopy()
        mutable["x-new"] = "n"
        mutable.append("x-a", "3")
        mutable.setdefault("x-b", "no")
        mutable.update({"x-c": "c"})
        mutable.add_vary_header("Origin")
        return [
            headers.get("X-a"),
            headers.getlist("x-A"),
            "X-B" in headers,
            list(headers),
            headers.keys(),
            headers.values(),
            headers.items(),
            len(headers),
            missing,
            [[each.decode("latin-1") for each in pair] for pair in headers.raw],
            dict(headers),
            mutable.items(),
            headers == mutable,
            repr(headers),
            repr(mutable),
        ]

    return app


@differential(
    get("/"), get("/", client=None), get("/", client=("1.2.3.4", 5)), get("/", http_version="2")
)
def test_the_rest_of_a_connection(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(request: api.Request):
        def tried(name):
            try:
                return getattr(request, name)
            except Exception as error:
                return [type(error).__name__, str(error)]

        return [
            request.client,
            request.client and request.client.host,
            request.client and request.client.port,
            request.method,
            request["path"],
            "type" in request,
            request.scope["http_version"],
            tried("session"),
            tried("user"),
            tried("auth"),
            request.path_params,
            request.app is app,
            request.scope["endpoint"] is endpoint,
            request.get("nothing", 5),
            request == request,
            isinstance(hash(request), int),
            request.scope["route"].path,
            type(request.scope["route"]).__name__,
        ]

    return app


@differential(
    post("/body", content=b"abc"),
    post("/body", chunks=[b"a", b"b", b""]),
    post("/body"),
    post("/json", json={"a": [1]}),
    post("/json", content=b"{"),
    post("/json"),
    post("/stream", chunks=[b"a", b"", b"bc"]),
    post("/stream"),
    post("/twice", content=b"abc"),
    post("/body-then-stream", content=b"abc"),
    post("/stream-then-body", content=b"abc"),
    post("/json", content='{"a": NaN}'),
    post("/json", content="\u00e4"),
    post("/json", content='"\u00e4"'.encode("utf-16")),
    post("/body-then-form", data={"a": "1"}),
    post("/disconnected", content=b"a"),
    post("/in-dependency", content=b"abc"),
    get("/body"),
    post("/raw", content=b"abc"),
    post("/json-twice", json=[1]),
)
def test_bodies(api):
    app = api.FastAPI()

    def told(error):
        return [type(error).__name__, str(error)]

    @app.api_route("/body", methods=["GET", "POST"])
    async def body(request: api.Request):
        return (await request.body()).decode()

    @app.post("/json")
    async def json(request: api.Request):
        try:
            return repr(await request.json())
        except ValueError as error:
            return told(error)

    @app.post("/json-twice")
    async def json_twice(request: api.Request):
        return await request.json() is await request.json()

    @app.post("/stream")
    async def stream(request: api.Request):
        return [each.decode() async for each in request.stream()]

    @app.post("/twice")
    async def twice(request: api.Request):
        return [(await request.body()).decode(), (await request.body()).decode()]

    @app.post("/body-then-stream")
    async def body_then_stream(request: api.Request):
        await request.body()
        return [each.decode() async for each in request.stream()]

    @app.post("/stream-then-body")
    async def stream_then_body(request: api.Request):
        seen = [each.decode() async for each in request.stream()]
        try:
            return [seen, (await request.body()).decode()]
        except RuntimeError:
            return "consumed"

    @app.post("/body-then-form")
    async def body_then_form(request: api.Request):
        raw = await request.body()
        return [raw.decode(), (await request.form()).get("a")]

    @app.post("/disconnected")
    async def disconnected(request: api.Request):
        await request.body()
        return await request.is_disconnected()

    async def reads(request: api.Request):
        return (await request.body()).decode()

    @app.post("/in-dependency")
    async def in_dependency(request: api.Request, first: str = api.Depends(reads)):
        return [first, (await request.body()).decode()]

    @app.post("/raw")
    async def raw(request: api.Request):
        message = await request.receive()
        return [message["type"], message["body"].decode()]

    return app


@differential(script(get("/"), get("/")))
def test_state_of_a_request(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint(request: api.Request):
        before = hasattr(request.state, "a")
        request.state.a = 1
        again = api.requests.Request(request.scope, request.receive)
        return [before, request.state.a, again.state.a, request.scope["state"]]

    return app


@differential(get("/"), ask("OPTIONS", "/x"))
def test_requests_that_are_made_by_hand(api):
    app = api.FastAPI()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/p",
        "query_string": b"a=1",
        "headers": [(b"host", b"h"), (b"cookie", b"c=d")],
        "scheme": "http",
        "server": ("s", 80),
        "http_version": "1.1",
        "root_path": "",
    }

    @app.get("/")
    async def endpoint():
        request = api.Request(scope)
        connection = api.requests.HTTPConnection(scope)
        return [
            request.method,
            str(request.url),
            request.query_params["a"],
            request.cookies,
            connection.headers["host"],
            dict(connection)["path"],
            len(connection) == len(scope),
        ]

    return app


@differential(get("/"))
def test_types_of_data(api):
    app = api.FastAPI()

    @app.get("/")
    async def endpoint():
        data = api.datastructures
        form = data.FormData([("a", "1"), ("a", "2")])
        query = data.QueryParams({"a": 1, "b": [1]})
        headers = data.Headers({"A": "b"})
        url = data.URL("https://user:pw@host:1/p?q=1#f")
        return [
            form["a"],
            form.getlist("a"),
            str(query),
            query["b"],
            headers["a"],
            url.username,
            str(url.replace(password="x")),
            repr(url),
            data.Address("h", 1).host,
            repr(form),
            headers == {"a": "b"},
            data.URL(scheme="x", path="/y").path,
        ]

    return app
