"""Forms and files: what comes of their fields, of empty ones, and of broken ones."""

# ruff: noqa: B008 - calls as defaults are what FastAPI programs have

from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from tests.fastapi.asked import BOUNDARY, multipart, post
from tests.fastapi.differential import compare, differential

FILE = ("file", ("a.txt", b"content of a", "text/plain"))
NO_FILE = ("file", ("", b"", "application/octet-stream"))
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


@differential(
    post("/login", data={"username": "a", "password": "b"}),
    post("/login", data={"username": "a"}),
    post("/login", data={}),
    post("/login"),
    post("/login", json={"username": "a", "password": "b"}),
    post("/login", data=[("username", "a"), ("username", "c"), ("password", "b")]),
    post("/login", data={"username": "", "password": "b"}),
    post("/login", data={"username": "ä &=+", "password": "%"}),
    post("/login", data={"username": "a", "password": "b", "age": "5"}),
    post("/login", data={"username": "a", "password": "b", "age": "x"}),
    post("/login", data={"username": "a", "password": "b", "age": ""}),
    post("/login", content="username=a&password=b", content_type="text/plain"),
    post(
        "/login",
        content="username=a&password=b",
        content_type="Application/X-WWW-Form-Urlencoded; charset=utf-8",
    ),
    post("/login", content="username&password=b", content_type="application/x-www-form-urlencoded"),
    post(
        "/login", content="username=a;password=b", content_type="application/x-www-form-urlencoded"
    ),
    post(
        "/login",
        content="&&username=a&&password=b&",
        content_type="application/x-www-form-urlencoded",
    ),
    post(
        "/login",
        content=b"username=%FF&password=%zz",
        content_type="application/x-www-form-urlencoded",
    ),
    post(
        "/login",
        content=b"username=\xff\xe4&password=b",
        content_type="application/x-www-form-urlencoded",
    ),
    post("/login", data={"username": "a", "password": "b"}, files=[]),
    post("/login", files=[("username", ("f", b"a")), ("password", ("f", b"b"))]),
    post("/many", data=[("values", "1"), ("values", "2")]),
    post("/many", data={"values": "x"}),
    post("/many", data={}),
    post("/many", data={"values": ""}),
    post("/optional", data={}),
    post("/optional"),
    post("/optional", data={"a": "1"}),
    post("/optional", data={"a": ""}),
    post("/alias", data={"the-name": "5"}),
    post("/alias", data={"name": "5"}),
    post("/alias", data={"two": "5", "the-name": "1"}),
    post("/alias", data={"the-name": "50"}),
    post("/with-query?q=1", data={"a": "2"}),
    post("/with-query?q=x", data={}),
    post("/flag", data={"flag": "on"}),
    post("/flag", data={}),
    post("/flag", data={"flag": "maybe"}),
    post("/single", data={"a": "1"}),
    post("/single", data={"a": "x"}),
    post("/single", data={}),
)
def test_forms(api):
    app = api.FastAPI()

    @app.post("/login")
    async def login(
        username: Annotated[str, api.Form()],
        password: Annotated[str, api.Form()],
        age: Annotated[int | None, api.Form()] = None,
    ):
        return [username, password, age]

    @app.post("/many")
    async def many(values: Annotated[list[int], api.Form()]):
        return values

    @app.post("/optional")
    async def optional(a: str = api.Form("default"), b: list[str] = api.Form([])):
        return [a, b]

    @app.post("/alias")
    async def alias(
        name: int = api.Form(alias="the-name", le=10),
        choice: int = api.Form(0, validation_alias=AliasChoices("one", "two")),
    ):
        return [name, choice]

    @app.post("/with-query")
    async def with_query(q: int, a: int = api.Form()):
        return [q, a]

    @app.post("/flag")
    async def flag(flag: bool = api.Form(False)):
        return flag

    @app.post("/single")
    async def single(a: int = api.Form()):
        return a

    return app


class Profile(BaseModel):
    name: str
    age: int = Field(18, ge=18)
    tags: list[str] = []
    note: str | None = Field(None, alias="the-note")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


@differential(
    post("/profile", data={"name": "a"}),
    post("/profile", data=[("name", "a"), ("tags", "x"), ("tags", "y")]),
    post("/profile", data={"name": "a", "age": "5", "the-note": "n", "more": "1"}),
    post("/profile", data={}),
    post("/profile"),
    post("/profile", data={"name": ""}),
    post("/profile", json={"name": "a"}),
    post("/profile", data={"name": "a", "age": "", "the-note": ""}),
    post("/closed", data={"name": "a"}),
    post("/closed", data={"name": "a", "b": "1"}),
    post("/closed", data=[("name", "a"), ("b", "1"), ("b", "2")]),
    post("/open", data=[("name", "a"), ("b", "1"), ("b", "2"), ("c", "")]),
    post("/two", data={"name": "a", "extra": "1"}),
    post("/two", data={"name": "a"}),
    post("/optional", data={}),
    post("/optional", data={"name": "b"}),
    post("/optional", data={"age": "x"}),
    post("/files", data={"name": "a"}, files=[FILE]),
    post("/files", data={"name": "a"}, files=[]),
)
def test_models_of_forms(api):
    class WithFile(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        name: str
        file: api.UploadFile

    app = api.FastAPI()

    @app.post("/profile")
    async def profile(profile: Annotated[Profile, api.Form()]):
        return [profile, sorted(profile.model_fields_set)]

    @app.post("/closed")
    async def closed(closed: Annotated[Closed, api.Form()]):
        return closed

    @app.post("/open")
    async def opened(one: Annotated[Open, api.Form()]):
        return [one, one.model_extra]

    @app.post("/two")
    async def two(profile: Annotated[Profile, api.Form()], extra: Annotated[int, api.Form()]):
        return [profile, extra]

    @app.post("/optional")
    async def optional(profile: Annotated[Profile | None, api.Form()] = None):
        return profile

    @app.post("/files")
    async def files(form: Annotated[WithFile, api.Form()]):
        return [form.name, form.file.filename]

    return app


@differential(
    post("/file", files=[FILE]),
    post("/file", files=[NO_FILE]),
    post("/file", files=[]),
    post("/file"),
    post("/file", data={"file": "text"}),
    post("/file", data={"file": "text"}, files=[]),
    post("/file", files=[FILE, ("file", ("b.txt", b"of b"))]),
    post("/bytes", files=[FILE]),
    post("/bytes", files=[NO_FILE]),
    post("/bytes", files=[("file", ("", b"data"))]),
    post("/bytes", data={"file": "text"}, files=[]),
    post("/files", files=[FILE, ("file", ("b.bin", b"\x00\xff"))]),
    post("/files", files=[NO_FILE]),
    post("/files", files=[]),
    post("/files", files=[FILE, NO_FILE]),
    post("/byte-files", files=[FILE, ("file", ("b", b"2"))]),
    post("/byte-files", files=[]),
    post("/optional", files=[]),
    post("/optional", files=[FILE]),
    post("/optional", files=[NO_FILE]),
    post("/optional"),
    post("/mixed", data={"token": "t"}, files=[FILE, ("other", ("o", b"o", "image/png"))]),
    post("/mixed", files=[FILE]),
    post("/mixed", data={"token": "t"}),
    post("/bare", files=[FILE]),
    post("/bare", files=[]),
    post("/bare-list", files=[FILE, FILE]),
    post("/big", files=[("file", ("big", b"x" * 1_200_000))], label="a big file"),
    post(
        "/big",
        chunks=[
            multipart({}, [("file", ("c", b"y" * 5000))])[i : i + 700] for i in range(0, 5200, 700)
        ],
        content_type=MULTIPART,
        label="a file in pieces",
    ),
    post("/reading", files=[("file", ("r", b"0123456789"))]),
    post("/aliased", files=[("the-file", ("x", b"y"))]),
    post("/aliased", files=[FILE]),
    post("/file", files=[("file", ("\u00e4 \u20ac.txt", b"x", "text/plain; charset=utf-8"))]),
    post("/file", files=[("file", ("a\\b/c.txt", b"x"))]),
)
def test_files(api):
    app = api.FastAPI()

    async def shown(file):
        content = await file.read()
        return [
            file.filename,
            file.content_type,
            file.size,
            len(content),
            repr(content[:20]),
            sorted(file.headers.items()),
        ]

    @app.post("/file")
    async def file(file: Annotated[api.UploadFile, api.File()]):
        return await shown(file)

    @app.post("/bytes")
    async def a_bytes(file: Annotated[bytes, api.File()]):
        return repr(file)

    @app.post("/files")
    async def files(file: Annotated[list[api.UploadFile], api.File()]):
        return [await shown(each) for each in file]

    @app.post("/byte-files")
    async def byte_files(file: Annotated[list[bytes], api.File()]):
        return repr(file)

    @app.post("/optional")
    async def optional(
        file: api.UploadFile | None = None,
        data: bytes | None = api.File(None),
        more: list[api.UploadFile] = api.File([]),
    ):
        return [file and await shown(file), data, more]

    @app.post("/mixed")
    async def mixed(
        file: bytes = api.File(), other: api.UploadFile = api.File(), token: str = api.Form()
    ):
        return [repr(file), await shown(other), token]

    @app.post("/bare")
    async def bare(file: api.UploadFile):
        return await shown(file)

    @app.post("/bare-list")
    async def bare_list(file: list[api.UploadFile]):
        return [await shown(each) for each in file]

    @app.post("/big")
    async def big(file: api.UploadFile):
        return [file.size, len(await file.read())]

    @app.post("/reading")
    async def reading(file: api.UploadFile):
        first = await file.read(3)
        await file.seek(1)
        second = await file.read(3)
        await file.write(b"more")
        await file.seek(0)
        return [
            repr(each) for each in (first, second, await file.read(), file.file.tell(), file.size)
        ]

    @app.post("/aliased")
    async def aliased(file: api.UploadFile = api.File(alias="the-file")):
        return await shown(file)

    return app


HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n'.encode()
BROKEN = {
    "no boundary": (multipart({"a": "1"}), "multipart/form-data"),
    "another boundary": (multipart({"a": "1"}), "multipart/form-data; boundary=other"),
    "quoted boundary": (multipart({"a": "1"}), f'multipart/form-data; boundary="{BOUNDARY}"'),
    "garbage": (b"garbage", MULTIPART),
    "no name": (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(),
        MULTIPART,
    ),
    "no disposition": (f"--{BOUNDARY}\r\nX: y\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(), MULTIPART),
    "bad head": (
        f"--{BOUNDARY}\r\nContent Disposition\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(),
        MULTIPART,
    ),
    "only the end": (f"--{BOUNDARY}--\r\n".encode(), MULTIPART),
    "bare line feeds": (multipart({"a": "1"}).replace(b"\r\n", b"\n"), MULTIPART),
    "a preamble": (b"preamble\r\n" + multipart({"a": "1"}), MULTIPART),
    "an epilogue": (multipart({"a": "1"}) + b"epilogue", MULTIPART),
    "text of all kinds": (
        HEAD + "\u00e4\u20ac\0".encode() + f"\r\n--{BOUNDARY}--\r\n".encode(),
        MULTIPART,
    ),
    "a charset": (
        HEAD + b"\xc3\xa4" + f"\r\n--{BOUNDARY}--\r\n".encode(),
        MULTIPART + "; charset=utf-8",
    ),
    "too many fields": (multipart([("a", "1")] * 1001), MULTIPART),
    "many fields": (multipart([("a", "1")] * 1000), MULTIPART),
    "too many files": (multipart([], [("a", ("f", b""))] * 1001), MULTIPART),
    "a big field": (multipart({"a": "x" * (1024 * 1024 + 1)}), MULTIPART),
    "many urlencoded": (b"&".join([b"a=1"] * 1001), "application/x-www-form-urlencoded"),
    "a big urlencoded": (b"a=" + b"x" * (1024 * 1024 + 1), "application/x-www-form-urlencoded"),
    "a filename*": (
        (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=a; filename*=utf-8''%C3%A4"
            f"\r\n\r\n1\r\n--{BOUNDARY}--\r\n"
        ).encode(),
        MULTIPART,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_forms(name):
    content, content_type = BROKEN[name]

    def build(api):
        app = api.FastAPI()

        @app.post("/")
        async def endpoint(a: list[str] = api.Form(["none"])):
            return [len(a), a[0][:10]]

        return app

    compare(build, post(content=content, content_type=content_type))


@differential(
    post("/", data={"a": "1"}),
    post("/", data=[("a", "1"), ("a", "2"), ("b", "")]),
    post("/", files=[FILE, FILE], data={"x": "y"}),
    post("/", content="x"),
    post("/", json={}),
    post("/limited", data=[("a", "1"), ("b", "1")]),
    post("/limited", files=[FILE, FILE]),
    post("/limited", data={"a": "x" * 50}, files=[]),
    post("/twice", data={"a": "1"}),
)
def test_the_form_of_a_request(api):
    app = api.FastAPI()

    def shown(form):
        return [
            [
                [key, value if isinstance(value, str) else value.filename]
                for key, value in form.multi_items()
            ],
            list(form.keys()),
            len(form),
            form.get("nothing"),
            len(form.getlist("a")),
            type(form).__name__,
        ]

    @app.post("/")
    async def endpoint(request: api.Request):
        form = await request.form()
        await form.close()
        return shown(form)

    @app.post("/limited")
    async def limited(request: api.Request):
        async with request.form(max_fields=1, max_files=1, max_part_size=20) as form:
            return shown(form)

    @app.post("/twice")
    async def twice(request: api.Request, a: int = api.Form()):
        form = await request.form()
        return [a, shown(form), form is await request.form()]

    return app


@differential(post("/", files=[FILE]), post("/", files=[]))
def test_files_of_dependencies(api):
    app = api.FastAPI()

    async def size(file: api.UploadFile):
        return len(await file.read())

    @app.post("/")
    async def endpoint(size: Annotated[int, api.Depends(size)], file: bytes = api.File()):
        return [size, repr(file)]

    return app
