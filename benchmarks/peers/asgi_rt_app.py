"""asgi_rt, as its own guide writes an app."""

from typing import Any

from asgi_rt import App

app = App()


@app.get("/json")
async def hello(request: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.get("/items/{item_id:int}")
async def item(request: Any) -> dict[str, int]:
    return {"id": request.path_params["item_id"]}


def many_routes(count: int, *, typed: bool) -> App:
    """An app with `count` routes, each with or each without a typed parameter."""
    many = App()
    for number in range(count):
        if typed:
            many.get(f"/api/resource{number}/{{item_id:int}}")(_typed(number))
        else:
            many.get(f"/api/resource{number}/list")(_static(number))
    return many


def _static(number: int) -> Any:
    async def handler(request: Any) -> dict[str, int]:
        return {"route": number}

    handler.__name__ = f"route_{number}"
    return handler


def _typed(number: int) -> Any:
    async def handler(request: Any) -> dict[str, int]:
        return {"route": number, "id": request.path_params["item_id"]}

    handler.__name__ = f"route_{number}"
    return handler
