"""Middleware: functions, classes, and the ones that come with it."""

import pytest

from tests.fastapi.asked import ask, get, post, script, talk
from tests.fastapi.differential import compare, differential


@differential(
    script(get("/a"), get("/log")),
    script(get("/missing"), get("/log")),
    script(get("/error"), get("/log")),
    script(get("/http"), get("/log")),
    script(get("/short"), get("/log")),
    script(get("/stream"), get("/log")),
    script(post("/body", json={"a": 1}), get("/log")),
    script(get("/state"), get("/log")),
    script(talk("/ws"), get("/log")),
    script(get("/fails"), get("/log")),
    script(get("/fails-after"), get("/log")),
    script(get("/http-of-it"), get("/log")),
    script(get("/read"), post("/read", json=[1]), get("/log")),
    get("/tasks"),
    script(get("/yield"), get("/log")),
)
def test_functions(api):
    app = api.FastAPI()
    log = []

    @app.middleware("http")
    async def inner(request: api.Request, call_next):
        log.append(f"inner {request.url.path}")
        if request.url.path == "/short":
            return api.responses.PlainTextResponse("short", status_code=202)
        if request.url.path == "/fails":
            raise KeyError("x")
        if request.url.path == "/http-of-it":
            raise api.HTTPException(418, "tea")
        request.state.seen = "by inner"
        response = await call_next(request)
        if request.url.path == "/fails-after":
            raise KeyError("y")
        response.headers["X-Inner"] = str(response.status_code)
        log.append("inner after")
        return response

    @app.middleware("http")
    async def outer(request: api.Request, call_next):
        log.append("outer")
        if request.url.path == "/read":
            log.append((await request.body()).decode())
        response = await call_next(request)
        response.headers.append("X-Outer", "1")
        log.append("outer after")
        return response

    @app.get("/a")
    @app.get("/fails-after")
    async def a():
        log.append("a")
        return {"a": 1}

    @app.get("/error")
    async def error():
        raise KeyError("x")

    @app.get("/http")
    async def http():
        raise api.HTTPException(403)

    @app.get("/stream")
    async def stream():
        async def chunks():
            yield b"a"
            yield b"b"

        return api.responses.StreamingResponse(chunks())

    @app.post("/body")
    async def body(body: dict):
        return body

    @app.get("/read")
    @app.post("/read")
    async def read(request: api.Request):
        return (await request.body()).decode()

    @app.get("/state")
    async def state(request: api.Request):
        return request.state.seen

    @app.websocket("/ws")
    async def ws(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.close()

    @app.get("/tasks")
    async def tasks(tasks: api.BackgroundTasks):
        tasks.add_task(log.append, "task")
        return 1

    async def yields():
        yield 1
        log.append("left")

    @app.get("/yield")
    async def with_yield(value: int = api.Depends(yields)):
        return value

    @app.get("/log")
    async def get_log():
        return log

    return app


@differential(
    script(get("/a"), get("/a", headers={"x-skip": "1"}), talk("/ws")),
    get("/missing"),
    get("/error"),
)
def test_classes(api):
    class Named(api.middleware.base.BaseHTTPMiddleware):
        def __init__(self, app, name="none"):
            super().__init__(app)
            self.name = name

        async def dispatch(self, request, call_next):
            if "x-skip" in request.headers:
                return api.responses.JSONResponse({"skipped": self.name})
            response = await call_next(request)
            response.headers[f"x-{self.name}"] = "seen"
            return response

    class Pure:
        def __init__(self, app, *, value):
            self.app, self.value = app, value

        async def __call__(self, scope, receive, send):
            async def marked(message):
                if message["type"] == "http.response.start":
                    message["headers"].append((b"x-pure", self.value))
                await send(message)

            scope["pure"] = True
            await self.app(scope, receive, marked)

    app = api.FastAPI(middleware=[api.middleware.Middleware(Named, name="given")])
    app.add_middleware(Named, name="one")
    app.add_middleware(Pure, value=b"pure")
    app.add_middleware(Named)

    @app.get("/a")
    async def a(request: api.Request):
        return request.scope["pure"]

    @app.get("/error")
    async def error():
        raise KeyError

    @app.websocket("/ws")
    async def ws(websocket: api.WebSocket):
        await websocket.accept()
        await websocket.send_json(websocket.scope["pure"])
        await websocket.close()

    return app


CORS = {
    "listed": {
        "allow_origins": ["https://a.test", "https://b.test"],
        "allow_methods": ["GET", "PUT"],
        "allow_headers": ["X-A"],
        "expose_headers": ["X-B"],
        "max_age": 5,
    },
    "with credentials": {
        "allow_origins": ["https://a.test"],
        "allow_credentials": True,
        "allow_methods": ["*"],
    },
    "any with credentials": {
        "allow_origins": ["*"],
        "allow_credentials": True,
        "allow_methods": ["*"],
        "allow_headers": ["*"],
    },
    "pattern": {
        "allow_origin_regex": r"https://.*\.test",
        "allow_methods": ["GET", "PUT"],
        "allow_headers": ["x-a"],
    },
    "bare": {"allow_origins": ["https://a.test"], "allow_methods": ("PUT",)},
    "any": {"allow_origins": ["*"], "expose_headers": ["X-B"]},
    "private": {
        "allow_origins": ["https://a.test"],
        "allow_private_network": True,
        "allow_headers": ["*"],
        "allow_methods": ["*"],
        "expose_headers": ["X-B"],
        "allow_credentials": True,
    },
}
ORIGINS = [
    {},
    {"origin": "https://a.test"},
    {"origin": "https://a.test", "cookie": "a=1"},
    {"origin": "https://a.test", "access-control-request-method": "PUT"},
    {
        "origin": "https://a.test",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
    },
]


@pytest.mark.parametrize("path", ["/", "/own", "/missing", "/error"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origin", range(len(ORIGINS)))
@pytest.mark.parametrize("options", CORS)
def test_cors(options, origin, method, path):
    def build(api):
        app = api.FastAPI()
        app.add_middleware(api.middleware.cors.CORSMiddleware, **CORS[options])

        @app.get("/")
        async def endpoint(response: api.Response):
            response.headers["vary"] = "Accept"
            return 1

        @app.get("/own")
        async def own():
            fields = [
                "access-control-allow-origin",
                "access-control-expose-headers",
                "access-control-allow-credentials",
            ]
            return api.responses.JSONResponse(1, headers=dict.fromkeys(fields, "own"))

        @app.get("/error")
        async def error():
            raise KeyError("x")

        return app

    compare(build, ask(method, path, headers=ORIGINS[origin]))


@pytest.mark.parametrize(
    "path", ["/long", "/short", "/stream", "/encoded", "/vary", "/missing", "/events"]
)
@pytest.mark.parametrize("accept", ["gzip", "", "deflate"])
def test_gzip(path, accept):
    """The bytes of the compressed body may be other ones, what they say and their headers not."""

    def build(api):
        app = api.FastAPI()
        app.add_middleware(api.middleware.gzip.GZipMiddleware, minimum_size=100, compresslevel=9)

        @app.get("/long")
        async def long():
            return "x" * 500

        @app.get("/short")
        async def short():
            return "x"

        @app.get("/stream")
        async def stream():
            return api.responses.StreamingResponse(
                iter([b"x" * 100, b"y" * 100]), media_type="text/plain"
            )

        @app.get("/encoded")
        async def encoded():
            return api.responses.PlainTextResponse("x" * 500, headers={"content-encoding": "br"})

        @app.get("/vary")
        async def vary():
            return api.responses.PlainTextResponse("x" * 500, headers={"vary": "Origin"})

        @app.get("/events")
        async def events():
            return api.responses.StreamingResponse(
                iter([b"data: x\n\n" * 100]), media_type="text/event-stream"
            )

        return app

    compare(build, get(path, headers={"accept-encoding": accept} if accept else {}))


@differential(
    get("/"),
    get("/", headers={"host": "example.com"}),
    get("/", headers={"host": "example.com:80"}),
    get("/", headers={"host": "sub.example.org"}),
    get("/", headers={"host": "example.org"}),
    get("/", headers={"host": "evil.com"}),
    get("/", headers={"host": "www.redirected.com"}),
    get("/", headers={"host": "redirected.com"}),
    get("/", headers={"host": ""}),
    get("/", headers={"host": "EXAMPLE.com"}),
    talk("/ws", denies=True),
)
def test_trusted_hosts(api):
    app = api.FastAPI()
    hosts = ["example.com", "*.example.org", "www.redirected.com"]
    app.add_middleware(api.middleware.trustedhost.TrustedHostMiddleware, allowed_hosts=hosts)

    @app.get("/")
    async def endpoint():
        return 1

    return app


@differential(
    get("/a?b=c"),
    get("/a", scheme="https"),
    get("/", headers={"host": "h:80"}),
    get("/", headers={"host": "h:8080"}),
    post("/a", json=1),
    get("/missing"),
)
def test_redirects_to_https(api):
    app = api.FastAPI()
    app.add_middleware(api.middleware.httpsredirect.HTTPSRedirectMiddleware)

    @app.get("/a")
    async def endpoint():
        return 1

    return app


@differential(get("/a"), script(get("/a"), get("/late"), label="after the first request"))
def test_middleware_that_comes_too_late(api):
    app = api.FastAPI()

    class Pure:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    @app.get("/a")
    async def a():
        return 1

    @app.get("/late")
    async def late():
        try:
            app.add_middleware(Pure)
        except Exception as error:
            return [type(error).__name__, str(error)]
        return "taken"

    return app
