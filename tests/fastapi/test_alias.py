"""Programs that import `fastapi` get the adapter: in this process, and in those it starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from server_process import ServerProcess

PUBLIC = [
    *("", ".applications", ".background", ".concurrency", ".datastructures", ".encoders"),
    *(".exceptions", ".exception_handlers", ".middleware.cors", ".middleware.gzip", ".params"),
    *(".middleware.trustedhost", ".openapi.docs", ".openapi.models", ".openapi.utils", ".requests"),
    *(".responses", ".routing", ".security", ".security.http", ".security.oauth2", ".sse"),
    *(".staticfiles", ".templating", ".testclient", ".types", ".websockets"),
]
OF_STARLETTE = [
    *("", ".applications", ".background", ".concurrency", ".datastructures", ".exceptions"),
    *(".middleware", ".middleware.base", ".middleware.cors", ".middleware.gzip", ".requests"),
    *(".middleware.trustedhost", ".middleware.httpsredirect", ".responses", ".routing"),
    *(".staticfiles", ".status", ".templating", ".testclient", ".types", ".websockets"),
]
ALIAS = "from asgi_rt.fastapi import alias; held = alias()\n"


def printed(code: str) -> str:
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_module_is_the_adapters():
    names = [f"fastapi{each}" for each in PUBLIC] + [f"starlette{each}" for each in OF_STARLETTE]
    names += ["sse_starlette", "sse_starlette.sse", "sse_starlette.event"]
    code = f"{ALIAS}import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    code += "print({m.__file__.split('asgi_rt')[0] for n, m in sys.modules.items()"
    code += " if n.startswith(('fastapi', 'starlette', 'sse_starlette'))})"
    assert printed(code) == str({f"{Path(__file__).parents[2]}/"})


def test_the_names_are_the_same_objects():
    assert printed(
        f"{ALIAS}import asgi_rt.fastapi as adapter, asgi_rt.fastapi.exceptions as errors\n"
        "from fastapi import FastAPI, HTTPException\n"
        "from starlette.exceptions import HTTPException as Base\n"
        "from starlette.requests import Request\n"
        "print(FastAPI is adapter.FastAPI, HTTPException is adapter.HTTPException,"
        " Base is errors.StarletteHTTPException, Request is adapter.Request)"
    ) == " ".join(["True"] * 4)


def test_it_needs_nothing_that_it_stands_in_for():
    assert "one" in printed(
        "import sys\n"
        "class Uninstalled:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('fastapi', 'starlette', 'sse_starlette'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Uninstalled())\n"
        f"{ALIAS}"
        "from fastapi import FastAPI\n"
        "from fastapi.testclient import TestClient\n"
        "app = FastAPI()\n"
        "@app.get('/')\n"
        "def one(): return 'one'\n"
        "print(TestClient(app).get('/').json())"
    )


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("from fastapi.responses import Nothing", "fastapi.responses.Nothing"),
        ("from fastapi import nothing", "fastapi.nothing"),
        ("import fastapi.nothing", "fastapi.nothing"),
        ("import fastapi.routing.nothing", "fastapi.routing.nothing"),
        ("import starlette.middleware.wsgi", "starlette.middleware.wsgi"),
        ("from starlette.middleware.wsgi import W", "starlette.middleware.wsgi"),
        ("import sse_starlette.nothing", "sse_starlette.nothing"),
    ],
)
def test_what_is_not_there_is_told_where_it_is_imported(statement, missing):
    said = printed(f"{ALIAS}try: {statement}\nexcept ImportError as error: print(error)")
    assert said.startswith(f"{missing} is not in asgi_rt.fastapi, which stands in for")
    assert "take this import out" in said


def test_starlettes_modules_that_need_no_more_than_the_adapter_are_its_own():
    assert printed(
        f"{ALIAS}import sys\n"
        "import asgi_rt.fastapi.middleware as adapters\n"
        "from fastapi import FastAPI, Request\n"
        "from fastapi.testclient import TestClient\n"
        "from starlette.authentication import AuthCredentials, SimpleUser, requires\n"
        "from starlette.config import Config\n"
        "from starlette.middleware.authentication import AuthenticationMiddleware\n"
        "from starlette.middleware.sessions import SessionMiddleware\n"
        "class Backend:\n"
        "    async def authenticate(self, connection):\n"
        "        if 'a' in connection.headers: return AuthCredentials(['in']), SimpleUser('ann')\n"
        "app = FastAPI()\n"
        "app.add_middleware(AuthenticationMiddleware, backend=Backend())\n"
        "app.add_middleware(SessionMiddleware, secret_key='secret')\n"
        "@app.get('/')\n"
        "@requires('in')\n"
        "async def count(request: Request):\n"
        "    request.session['n'] = request.session.get('n', 0) + 1\n"
        "    return [request.user.username, request.session['n']]\n"
        "client = TestClient(app)\n"
        "print(*(client.get('/', headers={'a': ''}).json() for _ in range(2)))\n"
        "print(client.get('/').json(), Config()('NOTHING', default=5))\n"
        "held.undo()\n"
        "left = [name for name in sys.modules if name.startswith('starlette')]\n"
        "print(left, vars(adapters).get('sessions'))"
    ).split("\n") == ["['ann', 1] ['ann', 2]", "{'detail': 'Forbidden'} 5", "[] None"]


def test_looking_for_a_name_is_no_import():
    assert (
        printed(
            f"{ALIAS}import fastapi, starlette.status\n"
            "print(hasattr(fastapi, 'nothing'), getattr(starlette.status, 'HTTP_9', 9))"
        )
        == "False 9"
    )


def test_what_is_replaced_is_replaced_in_the_adapter():
    assert printed(
        f"{ALIAS}from unittest.mock import patch\n"
        "import asgi_rt.fastapi.routing as routing, fastapi.routing\n"
        "own = routing.APIRouter\n"
        "with patch('fastapi.routing.APIRouter', 5): print(routing.APIRouter)\n"
        "print(routing.APIRouter is own, fastapi.routing.APIRouter is own)"
    ).split() == ["5", "True", "True"]


def test_a_framework_that_is_there_already_is_an_error():
    said = printed(
        "import fastapi\nfrom asgi_rt.fastapi import alias\n"
        "try: alias()\nexcept ImportError as error: print(error)"
    )
    assert "fastapi" in said
    assert "before asgi_rt.fastapi.alias() was called: call it first thing" in said


def test_a_second_call_does_nothing_and_undo_gives_the_names_back():
    assert printed(
        f"{ALIAS}from asgi_rt.fastapi.alias import aliased\n"
        "import fastapi, sys\n"
        "assert alias() is held\n"
        "with aliased(): pass\n"
        "import fastapi.responses\n"
        "held.undo(); held.undo()\n"
        "print(sorted(n for n in sys.modules if n.startswith(('fastapi', 'starlette'))))\n"
        "import fastapi\n"
        "print(fastapi.FastAPI.__module__)"
    ).split("\n") == ["[]", "fastapi.applications"]


def test_a_block_with_the_alias():
    assert (
        printed(
            "from asgi_rt.fastapi.alias import aliased\n"
            "import asgi_rt.fastapi.routing as own\n"
            "with aliased(): from fastapi import routing\n"
            "import asgi_rt.fastapi, sys\n"
            "print(asgi_rt.fastapi.routing is own, 'fastapi' in sys.modules, routing is own)"
        )
        == "True False True"
    )


PROGRAM = """
import os
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

app = FastAPI()

@app.get("/")
def root():
    return PlainTextResponse(f"{FastAPI.__module__} {os.getpid()}")

def make():
    return app
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["program:app"],
        ["program:make", "--factory"],
        ["program:app", "--workers", "2"],
        ["program:app", "--reload"],
    ],
    ids=" ".join,
)
def test_the_command_serves_a_program_as_it_is(options, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = ["-m", "asgi_rt.fastapi", "run", *options, "--port", "0"]
    with ServerProcess(*command, cwd=tmp_path, env={"PYTHONPATH": os.getcwd()}) as server:
        module, pid = httpx2.get(server.url, timeout=30).text.split()
        assert module == "asgi_rt.fastapi.applications"
        is_alone = len(options) == 1 or "--factory" in options
        assert (int(pid) == server.process.pid) is is_alone
        server.send_signal(signal.SIGTERM)
        assert server.exit_status() == 0
