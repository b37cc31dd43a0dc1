"""The demo's pages: files in `page`, which load nothing from anywhere else."""

from pathlib import Path
from typing import Final

from asgi_rt import FileResponse, Response

__all__ = ["FOLDER", "page"]

FOLDER: Final = Path(__file__).parent / "page"
_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def page(name: str) -> Response:
    """The page in this file."""
    return FileResponse(FOLDER / name, headers=_HEADERS)
