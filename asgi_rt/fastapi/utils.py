"""What programs take from FastAPI's module of this name."""

from asgi_rt.fastapi.path_operation import allows_body as is_body_allowed_for_status_code
from asgi_rt.fastapi.path_operation import generate_unique_id

__all__ = ["generate_unique_id", "is_body_allowed_for_status_code"]
