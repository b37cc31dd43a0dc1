"""A large FastAPI program: `routes_1000` is its app with a thousand routes, made when asked for.

Their signatures are of five kinds in turn, and they come by routers of a hundred, as they do in
programs of that size.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query
from pydantic import BaseModel

ROUTES_OF_A_ROUTER = 100


class Order(BaseModel):
    number: int
    note: str | None = None


class Receipt(BaseModel):
    route: int
    number: int


class Paging(BaseModel):
    offset: int
    limit: int


async def paging(offset: Annotated[int, Query(ge=0)] = 0, limit: int = 20) -> Paging:
    return Paging(offset=offset, limit=limit)


async def agent(user_agent: Annotated[str | None, Header()] = None) -> str:
    return user_agent or ""


def _plain(router: APIRouter, n: int) -> None:
    async def endpoint() -> dict[str, int]:
        return {"route": n}

    _add(router.get, f"/resource{n}/all", endpoint, n)


def _typed(router: APIRouter, n: int) -> None:
    async def endpoint(item_id: int, q: str | None = None) -> dict[str, Any]:
        return {"route": n, "id": item_id, "q": q}

    _add(router.get, f"/resource{n}/{{item_id}}", endpoint, n)


def _body(router: APIRouter, n: int) -> None:
    async def endpoint(order: Order) -> Receipt:
        return Receipt(route=n, number=order.number)

    _add(router.post, f"/resource{n}/orders", endpoint, n)


def _dependent(router: APIRouter, n: int) -> None:
    async def endpoint(
        page: Annotated[Paging, Depends(paging)], agent: Annotated[str, Depends(agent)]
    ) -> dict[str, Any]:
        return {"route": n, "limit": page.limit, "agent": agent}

    _add(router.get, f"/resource{n}/page", endpoint, n)


def _embedded(router: APIRouter, n: int) -> None:
    async def endpoint(
        item_id: int,
        number: Annotated[int, Body(embed=True)],
        dry: Annotated[bool, Query(description="change nothing")] = False,
    ) -> Receipt:
        return Receipt(route=n, number=item_id + number)

    _add(router.put, f"/resource{n}/{{item_id}}/number", endpoint, n)


KINDS = (_plain, _typed, _body, _dependent, _embedded)


def _add(method: Callable[[str], Any], path: str, endpoint: Callable[..., Any], n: int) -> None:
    endpoint.__name__ = f"endpoint_{n}"
    method(path)(endpoint)


def build(count: int) -> FastAPI:
    """The program with `count` routes."""
    made = FastAPI()
    for first in range(0, count, ROUTES_OF_A_ROUTER):
        router = APIRouter(prefix="/api", tags=[f"part {first}"])
        for n in range(first, min(first + ROUTES_OF_A_ROUTER, count)):
            KINDS[n % len(KINDS)](router, n)
        made.include_router(router)
    return made


def __getattr__(name: str) -> FastAPI:
    found = re.fullmatch(r"routes_([1-9]\d*)", name)
    if found is None:
        raise AttributeError(f"no application {name}")
    return build(int(found[1]))
