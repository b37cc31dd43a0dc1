"""A FastAPI program with a route for each way in which an endpoint takes what it works with."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Header
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []
    description: str | None = None


class User(BaseModel):
    name: str
    client: str


@app.get("/json")
async def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.get("/untyped")
async def untyped():  # type: ignore[no-untyped-def] # noqa: ANN201 - that is the case
    return {"message": "Hello, World!"}


@app.get("/items/{item_id}")
async def item(item_id: int, q: str | None = None, limit: int = 10) -> dict[str, Any]:
    return {"id": item_id, "q": q, "limit": limit}


@app.post("/items")
async def create(item: Item) -> Item:
    return item


async def client(user_agent: Annotated[str, Header()]) -> str:
    return user_agent


async def credentials(client: Annotated[str, Depends(client)]) -> tuple[str, str]:
    return "ada", client


async def current_user(found: Annotated[tuple[str, str], Depends(credentials)]) -> User:
    name, agent = found
    return User(name=name, client=agent)


@app.get("/me")
async def me(user: Annotated[User, Depends(current_user)]) -> User:
    return user


class Session:
    """What stands for a database's: open between the two halves of its dependency."""

    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


async def session() -> AsyncIterator[Session]:
    opened = Session()
    try:
        yield opened
    finally:
        opened.close()


@app.get("/session")
async def in_session(opened: Annotated[Session, Depends(session)]) -> dict[str, bool]:
    return {"open": opened.is_open}


@app.post("/login")
async def login(
    username: Annotated[str, Form()], password: Annotated[str, Form()]
) -> dict[str, Any]:
    return {"username": username, "length": len(password)}
