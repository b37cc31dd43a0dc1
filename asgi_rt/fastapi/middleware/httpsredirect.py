"""Sending clients from http to https."""

from asgi_rt.middleware.https_redirect import HTTPSRedirectMiddleware

__all__ = ["HTTPSRedirectMiddleware"]
