"""asgi_rt inside a Starlette or FastAPI app: its parts with their classes."""
