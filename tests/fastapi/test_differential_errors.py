"""What becomes of exceptions: of HTTP ones, of invalid data, and of all others."""

from typing import Annotated

from pydantic import BaseModel, ValidationError

from tests.fastapi.asked import ask, get, post, script
from tests.fastapi.differential import differential


@differential(
    get("/plain"),
    get("/detail"),
    get("/headers"),
    get("/none"),
    get("/204"),
    get("/304"),
    get("/starlette"),
    get("/nothing"),
    get("/unknown-code"),
    get("/enum"),
    get("/model"),
    get("/subclass"),
    get("/error"),
    get("/group"),
    get("/chained"),
    get("/system"),
    post("/plain"),
    get("/assert"),
    get("/validation"),
    get("/pydantic"),
    get("/response-validation"),
    get("/bad-detail"),
    ask("HEAD", "/head"),
    get("/sync"),
    get("/positional"),
)
def test_http_exceptions(api):
    import http

    app = api.FastAPI()
    HTTPException = api.HTTPException

    class Detail(BaseModel):
        a: int

    class Own(HTTPException):
        def __init__(self):
            super().__init__(status_code=409, detail="own")

    def raising(path, error):
        @app.get(path, name=path)
        async def endpoint():
            raise error()

    raising("/plain", lambda: HTTPException(status_code=404))
    raising("/detail", lambda: HTTPException(status_code=400, detail={"a": ["ä", None]}))
    raising(
        "/headers", lambda: HTTPException(401, "x", {"WWW-Authenticate": "Basic", "X-A": "\xe4"})
    )
    raising("/none", lambda: HTTPException(404, None))
    raising("/204", lambda: HTTPException(204, "x", {"x-a": "b"}))
    raising("/304", lambda: HTTPException(304))
    raising("/starlette", lambda: api.exceptions.StarletteHTTPException(410, "gone"))
    raising("/unknown-code", lambda: HTTPException(599))
    raising("/enum", lambda: HTTPException(http.HTTPStatus.IM_A_TEAPOT))
    raising("/model", lambda: HTTPException(400, Detail(a=1)))
    raising("/subclass", Own)
    raising("/error", lambda: KeyError("x"))
    raising("/group", lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]))
    raising("/assert", lambda: AssertionError("x"))
    raising(
        "/validation",
        lambda: api.exceptions.RequestValidationError(
            [{"type": "t", "loc": ("a", 1), "msg": "m", "input": b"x"}]
        ),
    )
    raising("/bad-detail", lambda: HTTPException(400, {1, 2}))
    raising("/positional", lambda: HTTPException(402, "pay"))

    @app.get("/chained")
    async def chained():
        try:
            raise KeyError("x")
        except KeyError as error:
            raise HTTPException(400, "chained") from error

    @app.get("/system")
    async def system():
        raise NotImplementedError

    @app.get("/pydantic")
    async def of_pydantic():
        Detail(a="x")

    @app.get("/response-validation", response_model=Detail)
    async def response_validation():
        return {"b": 1}

    @app.head("/head")
    async def head():
        raise HTTPException(404, "x")

    @app.get("/sync")
    def sync():
        raise HTTPException(404, "of a thread")

    return app


@differential(
    get("/own"),
    get("/own-child"),
    get("/other"),
    get("/http"),
    get("/http-409"),
    get("/missing"),
    post("/own"),
    get("/validated?n=x"),
    get("/error"),
    get("/sync-handled"),
    get("/in-handler"),
    get("/reraised"),
    get("/response-validation"),
    get("/pydantic"),
    get("/not-a-response"),
    get("/cookies"),
    get("/group"),
    get("/of-dependency"),
    get("/started"),
)
def test_handlers(api):
    app = api.FastAPI()
    respond = api.responses.JSONResponse

    class Own(Exception):
        def __init__(self, name="own"):
            self.name = name

    class OwnChild(Own):
        pass

    class SyncHandled(Exception):
        pass

    class Reraised(Exception):
        pass

    class InHandler(Exception):
        pass

    class NoResponse(Exception):
        pass

    @app.exception_handler(Own)
    async def own(request: api.Request, error: Own):
        return respond(
            {"own": error.name, "path": request.url.path}, status_code=418, headers={"x-a": "1"}
        )

    @app.exception_handler(SyncHandled)
    def sync_handled(request, error):
        return respond("sync")

    @app.exception_handler(api.exceptions.StarletteHTTPException)
    async def http(request, error):
        return respond(
            {"http": error.status_code, "detail": error.detail, "type": type(error).__name__},
            status_code=error.status_code,
        )

    @app.exception_handler(409)
    async def conflict(request, error):
        return respond("the 409", status_code=409)

    @app.exception_handler(api.exceptions.RequestValidationError)
    async def invalid(request, error):
        return await api.exception_handlers.request_validation_exception_handler(request, error)

    @app.exception_handler(api.exceptions.ResponseValidationError)
    async def invalid_response(request, error):
        return respond(
            {"response": api.encoders.jsonable_encoder(error.errors()), "body": repr(error.body)},
            status_code=500,
        )

    @app.exception_handler(ValidationError)
    async def of_pydantic(request, error):
        return respond(error.errors(include_url=False), status_code=400)

    @app.exception_handler(Reraised)
    async def reraised(request, error):
        raise error

    @app.exception_handler(InHandler)
    async def in_handler(request, error):
        raise api.HTTPException(400, "of the handler")

    @app.exception_handler(NoResponse)
    async def no_response(request, error):
        return None

    def raising(path, error):
        @app.get(path, name=path)
        async def endpoint():
            raise error

    raising("/own", Own())
    raising("/own-child", OwnChild("child"))
    raising("/other", KeyError("x"))
    raising("/http", api.HTTPException(403, "h"))
    raising("/http-409", api.HTTPException(409, "h"))
    raising("/error", KeyError("x"))
    raising("/sync-handled", SyncHandled())
    raising("/reraised", Reraised())
    raising("/in-handler", InHandler())
    raising("/not-a-response", NoResponse())
    raising("/group", ExceptionGroup("one", [Own()]))

    class Model(BaseModel):
        a: int

    @app.get("/validated")
    async def validated(n: int):
        return n

    @app.get("/response-validation")
    async def response_validation() -> Model:
        return {"a": "x"}

    @app.get("/pydantic")
    async def pydantic():
        return Model(a="x")

    @app.get("/cookies")
    async def cookies(response: api.Response):
        response.set_cookie("a", "lost")
        raise Own

    async def dependency():
        raise Own("dependency")

    @app.get("/of-dependency")
    async def of_dependency(value: Annotated[int, api.Depends(dependency)]):
        return value

    @app.get("/started")
    async def started():
        async def chunks():
            yield b"a"
            raise Own

        return api.responses.StreamingResponse(chunks())

    return app


@differential(
    get("/error"), get("/http"), get("/missing"), get("/started"), get("/500"), get("/base")
)
def test_a_handler_of_everything(api):
    app = api.FastAPI()

    @app.exception_handler(Exception)
    async def everything(request, error):
        return api.responses.JSONResponse({"everything": type(error).__name__}, status_code=500)

    @app.get("/error")
    async def error():
        raise KeyError("x")

    @app.get("/http")
    async def http():
        raise api.HTTPException(400, "x")

    @app.get("/500")
    async def a_500():
        raise api.HTTPException(500, "x")

    @app.get("/started")
    async def started():
        async def chunks():
            yield b"a"
            raise KeyError

        return api.responses.StreamingResponse(chunks())

    return app


@differential(get("/error"), get("/http"), get("/a"), get("/missing"), get("/invalid?n=x"))
def test_handlers_that_are_given_at_once(api):
    async def of_500(request, error):
        return api.responses.PlainTextResponse(f"500 {type(error).__name__}", status_code=500)

    def of_404(request, error):
        return api.responses.PlainTextResponse(f"404 {error.detail}", status_code=404)

    async def invalid(request, error):
        return api.responses.PlainTextResponse(str(len(error.errors())), status_code=422)

    app = api.FastAPI(
        exception_handlers={
            500: of_500,
            404: of_404,
            api.exceptions.RequestValidationError: invalid,
        }
    )

    @app.get("/error")
    async def error():
        raise KeyError("x")

    @app.get("/http")
    async def http():
        raise api.HTTPException(404, "none of it")

    @app.get("/invalid")
    async def of_invalid(n: int, m: int):
        return n

    app.add_exception_handler(KeyError, of_500)
    return app


@differential(get("/default"), get("/validation"), get("/http"), get("/text"))
def test_exceptions_as_values(api):
    app = api.FastAPI()
    errors = [{"type": "t", "loc": ("a",), "msg": "m"}]

    @app.get("/default")
    async def default():
        one, two = api.HTTPException(404), api.HTTPException(404, "d", {"a": "b"})
        return [
            one.detail,
            one.headers,
            one.status_code,
            two.detail,
            two.headers,
            repr(two),
            str(two),
        ]

    @app.get("/validation")
    async def validation():
        one = api.exceptions.RequestValidationError(errors, body={"a": 1})
        return [
            one.errors(),
            one.body,
            isinstance(one, api.exceptions.ValidationException),
            isinstance(one, ValueError),
        ]

    @app.get("/http")
    async def http():
        return [
            issubclass(api.HTTPException, api.exceptions.StarletteHTTPException),
            issubclass(api.exceptions.FastAPIError, RuntimeError),
            issubclass(
                api.exceptions.WebSocketRequestValidationError, api.exceptions.ValidationException
            ),
            api.WebSocketException(1008, "r").reason,
        ]

    @app.get("/text")
    async def text():
        return str(api.exceptions.ResponseValidationError(errors)).splitlines()[:2]

    return app


@differential(script(get("/a"), get("/b"), lifespan=True), get("/a"))
def test_debug_says_more(api):
    app = api.FastAPI()

    @app.get("/a")
    async def a():
        return [app.debug, app.title, app.version, app.openapi_version]

    return app
