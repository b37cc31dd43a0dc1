"""Compressing responses."""

from collections.abc import Iterable

from asgi_rt.asgi import ASGIApp
from asgi_rt.middleware.compression import CompressionMiddleware

__all__ = ["GZipMiddleware"]

_LARGER = [f"{main}/*" for main in ("application", "font", "image", "model", "multipart", "text")]
_COMPRESSED = (
    "application/grpc application/gzip application/x-gzip application/zip font/woff font/woff2"
    " image/avif image/gif image/jpeg image/png image/webp text/event-stream"
)


class GZipMiddleware(CompressionMiddleware):
    """Compresses responses of `minimum_size` bytes and streams by gzip, where that makes sense.

    What takes long runs in worker threads in any case, without a `thread_minimum_size`.
    """

    def __init__(
        self,
        app: ASGIApp,
        minimum_size: int = 500,
        compresslevel: int = 9,
        thread_minimum_size: int = 0,
        *,
        exclude_content_types: Iterable[str] = tuple(_COMPRESSED.split()),
    ) -> None:
        super().__init__(
            app,
            encodings=["gzip"],
            levels={"gzip": max(compresslevel, 1)},
            minimum_size=minimum_size,
            content_types=_LARGER,
            exclude_content_types=exclude_content_types,
        )
