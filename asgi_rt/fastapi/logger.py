"""The logger that programs written for FastAPI import."""

import logging

__all__ = ["logger"]

logger = logging.getLogger("asgi_rt.fastapi")
