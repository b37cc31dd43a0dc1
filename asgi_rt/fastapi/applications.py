"""The app: what is said of an API as a whole, its routes, and what surrounds them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from asgi_rt.asgi import Receive, Scope, Send
from asgi_rt.fastapi.datastructures import State
from asgi_rt.fastapi.decorators import Decorators
from asgi_rt.fastapi.engine import Engine
from asgi_rt.fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)
from asgi_rt.fastapi.exceptions import (
    RequestValidationError,
    StarletteHTTPException,
    WebSocketRequestValidationError,
)
from asgi_rt.fastapi.middleware import Middleware
from asgi_rt.fastapi.middleware.base import BaseHTTPMiddleware
from asgi_rt.fastapi.requests import Request
from asgi_rt.fastapi.responses import HTMLResponse, JSONResponse
from asgi_rt.fastapi.routes import BaseRoute
from asgi_rt.fastapi.routing import APIRouter, RouteList, Shared

__all__ = ["FastAPI"]

H = TypeVar("H", bound=Callable[..., Any])
P = ParamSpec("P")
T = TypeVar("T")


_DESCRIBED: Final = (
    *("title", "version", "openapi_version", "summary", "description", "terms_of_service"),
    *("contact", "license_info", "servers", "separate_input_output_schemas"),
)


def _of_router(method: Callable[Concatenate[APIRouter, P], T]) -> Callable[Concatenate[Any, P], T]:
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        found: Callable[P, T] = getattr(self.router, method.__name__)
        return found(*args, **kwargs)

    call.__doc__ = method.__doc__
    return call


class FastAPI(Decorators):
    """An ASGI application of path operations. Register everything at import time.

    Each attribute below is an option by its name, and so is all that a router may say of its routes
    but a prefix. What else is given is in `extra`. With both a lifespan and event handlers, all
    run, the lifespan around the others.
    """

    debug: bool = False
    title: str = "FastAPI"
    summary: str | None = None
    description: str = ""
    version: str = "0.1.0"
    openapi_version: str = "3.1.0"
    openapi_url: str | None = "/openapi.json"
    openapi_tags: list[dict[str, Any]] | None = None
    openapi_external_docs: dict[str, Any] | None = None
    servers: Sequence[dict[str, Any]] = ()
    docs_url: str | None = "/docs"
    redoc_url: str | None = "/redoc"
    swagger_ui_oauth2_redirect_url: str | None = "/docs/oauth2-redirect"
    swagger_ui_init_oauth: dict[str, Any] | None = None
    swagger_ui_parameters: dict[str, Any] | None = None
    terms_of_service: str | None = None
    contact: dict[str, Any] | None = None
    license_info: dict[str, Any] | None = None
    root_path_in_servers: bool = True
    separate_input_output_schemas: bool = True
    asyncapi_url: str | None = "/asyncapi.json"
    """Where WebSockets and streams are described; None, or `openapi_url=None`, is nowhere."""
    topics: Mapping[str, Any] = MappingProxyType({})
    """The types, by topic, of what the hubs of the app publish: for that description."""
    max_body_bytes: int | None = None
    """How large a body may be that is read whole, FastAPI's `max_body_size`; None is any size."""
    grace: float = 10.0
    """How many seconds streams and WebSockets get when the server goes down."""

    def __init__(
        self,
        *,
        routes: Iterable[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        middleware: Iterable[Middleware] | None = None,
        exception_handlers: Mapping[Any, Callable[..., Any]] | None = None,
        on_startup: Sequence[Callable[[], Any]] | None = None,
        on_shutdown: Sequence[Callable[[], Any]] | None = None,
        lifespan: Any = None,
        root_path: str = "",
        openapi_prefix: str = "",
        webhooks: APIRouter | None = None,
        **options: Any,
    ) -> None:
        shared: Any = {name: options.pop(name) for name in {*Shared.__annotations__} & {*options}}
        for name in {*FastAPI.__annotations__} & {*options}:
            setattr(self, name, options.pop(name))
        if "max_body_size" in options:
            self.max_body_bytes = options.pop("max_body_size")
        self.extra = options
        if self.openapi_url:
            assert self.title, "A title must be provided for OpenAPI, e.g.: 'My API'"
            assert self.version, "A version must be provided for OpenAPI, e.g.: '2.1.0'"
        self.root_path = root_path or openapi_prefix
        self.servers = self.servers or []
        self.webhooks = webhooks or APIRouter()
        self.state = State()
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        """What is called in place of which dependency. May be changed at any time."""
        self.router = APIRouter(
            routes=routes,
            redirect_slashes=redirect_slashes,
            dependency_overrides_provider=self,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
            lifespan=lifespan,
            **shared,
        )
        self.exception_handlers: dict[Any, Callable[..., Any]] = {
            StarletteHTTPException: http_exception_handler,
            RequestValidationError: request_validation_exception_handler,
            WebSocketRequestValidationError: websocket_request_validation_exception_handler,
            **(exception_handlers or {}),
        }
        """By class of exception or by status. 500 and Exception are what nothing else handles."""
        self.user_middleware = list(middleware or ())
        """The outermost first."""
        self.openapi_schema: dict[str, Any] | None = None
        self._described_version = -1
        self._engine: Engine | None = None
        self.setup()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange, or the lifespan. What crashes is answered, then raised."""
        if self.root_path:
            scope["root_path"] = self.root_path
        await (self._engine or self._start())(scope, receive, send)

    def _start(self) -> Engine:
        engine = self._engine = Engine(self, grace=self.grace)
        for cls, args, kwargs in reversed(self.user_middleware):
            engine.add_layer(cls, args, kwargs)
        return engine

    @property
    def routes(self) -> RouteList:
        """All routes, in order. May be changed."""
        return self.router.routes

    add_api_route = _of_router(APIRouter.add_api_route)
    add_api_websocket_route = _of_router(APIRouter.add_api_websocket_route)
    add_route = _of_router(APIRouter.add_route)
    add_websocket_route = _of_router(APIRouter.add_websocket_route)
    add_event_handler = _of_router(APIRouter.add_event_handler)
    include_router = _of_router(APIRouter.include_router)
    mount = _of_router(APIRouter.mount)
    url_path_for = _of_router(APIRouter.url_path_for)

    def add_middleware(self, middleware_class: Any, *args: Any, **kwargs: Any) -> None:
        """Wrap the app in `middleware_class(app, *args, **kwargs)`, around what is there already.

        Raises RuntimeError once the app has served something.
        """
        if self._engine is not None:
            raise RuntimeError("Cannot add middleware after an application has started")
        self.user_middleware.insert(0, Middleware(middleware_class, *args, **kwargs))

    def middleware(self, middleware_type: str) -> Callable[[H], H]:
        """A function `dispatch(request, call_next)` as middleware, for "http"."""
        assert middleware_type == "http", "Currently only middleware('http') is supported."

        def register(dispatch: H) -> H:
            self.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
            return dispatch

        return register

    def add_exception_handler(
        self, exc_class_or_status_code: int | type[Exception], handler: Callable[..., Any]
    ) -> None:
        """Answer exceptions of a class, or of a status, with what `handler(request, exc)` returns.

        500 and Exception are what nothing else handles; that is raised to the server all the same.
        """
        self.exception_handlers[exc_class_or_status_code] = handler

    def exception_handler(
        self, exc_class_or_status_code: int | type[Exception]
    ) -> Callable[[H], H]:
        """Decorator form of `add_exception_handler`."""

        def register(handler: H) -> H:
            self.add_exception_handler(exc_class_or_status_code, handler)
            return handler

        return register

    # Its documents

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made again when routes were added. May be replaced."""
        from asgi_rt.fastapi.openapi.utils import get_openapi

        if not self.openapi_schema or self._described_version != self.routes.version:
            self._described_version = self.routes.version
            self.openapi_schema = get_openapi(
                routes=self.routes,
                webhooks=self.webhooks.routes,
                tags=self.openapi_tags,
                external_docs=self.openapi_external_docs,
                **{name: getattr(self, name) for name in _DESCRIBED},
            )
        return self.openapi_schema

    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI document of WebSockets, streams and topics."""
        from asgi_rt.fastapi.asyncapi import get_asyncapi

        return get_asyncapi(
            title=self.title,
            version=self.version,
            description=self.description,
            routes=self.routes,
            hubs=self.topics,
            servers=self.servers,
        )

    def setup(self) -> None:
        """Register the routes of the documents, and of the pages that show them."""
        for path, show in (
            (self.openapi_url, self._show_openapi),
            (self.openapi_url and self.docs_url, self._show_swagger),
            (
                self.openapi_url and self.docs_url and self.swagger_ui_oauth2_redirect_url,
                self._show_redirect,
            ),
            (self.openapi_url and self.redoc_url, self._show_redoc),
            (self.openapi_url and self.asyncapi_url, self._show_asyncapi),
        ):
            if path:
                name = show.__name__.removeprefix("_show_")
                self.add_route(path, show, name=name, include_in_schema=False)

    async def _show_openapi(self, request: Request) -> JSONResponse:
        schema = self.openapi()
        root = _root(request)
        known: list[dict[str, Any]] = schema.get("servers", [])
        if root and self.root_path_in_servers and root not in [each.get("url") for each in known]:
            schema = {**schema, "servers": [{"url": root}, *known]}
        return JSONResponse(schema)

    async def _show_swagger(self, request: Request) -> HTMLResponse:
        from asgi_rt.fastapi.openapi.docs import get_swagger_ui_html

        redirect = self.swagger_ui_oauth2_redirect_url
        return get_swagger_ui_html(
            openapi_url=f"{_root(request)}{self.openapi_url}",
            title=f"{self.title} - Swagger UI",
            oauth2_redirect_url=redirect and _root(request) + redirect,
            init_oauth=self.swagger_ui_init_oauth,
            swagger_ui_parameters=self.swagger_ui_parameters,
        )

    async def _show_redirect(self, request: Request) -> HTMLResponse:
        from asgi_rt.fastapi.openapi.docs import get_swagger_ui_oauth2_redirect_html

        return get_swagger_ui_oauth2_redirect_html()

    async def _show_redoc(self, request: Request) -> HTMLResponse:
        from asgi_rt.fastapi.openapi.docs import get_redoc_html

        url = f"{_root(request)}{self.openapi_url}"
        return get_redoc_html(openapi_url=url, title=f"{self.title} - ReDoc")

    async def _show_asyncapi(self, request: Request) -> JSONResponse:
        return JSONResponse(self.asyncapi())


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")
