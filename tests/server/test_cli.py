"""The command line: what it prints, and what it says when it cannot do as it is told."""

import subprocess
import sys
from pathlib import Path

import pytest

import asgi_rt
from asgi_rt.server.cli import main

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _unchanged_import_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "served", raising=False)


def fails_with(capsys, *arguments):
    """The one line on stderr that a command ends with, having exited with 1."""
    assert main([*arguments, "--app-dir", str(HERE)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("asgi-rt: ")
    return line


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"asgi-rt {asgi_rt.__version__}\n"


def test_routes_prints_a_table_with_what_is_mounted(capsys):
    assert main(["routes", "asgi_rt.demo.app:app"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[0] == ["METHODS", "PATH", "NAME", "HANDLER"]
    assert ["GET", "/health", "health", "asgi_rt.demo.app:health"] in table
    assert ["PUT", "/upload", "upload_body", "asgi_rt.demo.app:upload_body"] in table
    assert ["GET", "/api/stations/{station_id:int}", "station", "asgi_rt.demo.app:station"] in table
    assert ["*", "/page/...", "asgi_rt.http.static:StaticFiles"] in table


def test_routes_of_an_app_mounted_in_another_have_its_prefix(capsys):
    assert main(["routes", "served:app", "--app-dir", str(HERE)]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["GET", "/inner/leaf", "leaf", "served:leaf"] in table


def test_routes_of_what_a_factory_makes(capsys):
    assert main(["routes", "served:make_app", "--factory", "--app-dir", str(HERE)]) == 0
    assert "served:endless" in capsys.readouterr().out


def test_routes_of_the_apps_of_fastapi(capsys):
    tables = []
    for name in ("app", "real"):
        assert main(["routes", f"served_fastapi:{name}", "--app-dir", str(HERE)]) == 0
        tables.append([line.split() for line in capsys.readouterr().out.splitlines()][1:])
    leaf = ["GET", "/inner/leaf", "leaf", "served_fastapi:leaf"]
    ported, real = tables
    assert ported == [
        leaf,
        ["GET", "/items/{item_id}", "item", "served_fastapi:item"],
        ["websocket", "/chat", "chat", "served_fastapi:chat"],
    ]
    below = [[each[0], f"/ported{each[1]}", *each[2:]] for each in ported]
    assert real == [leaf, *below, ["POST", "/items/{item_id}", "item", "served_fastapi:item"]]


def test_routes_needs_an_asgi_rt_app(capsys):
    assert "it is a function" in fails_with(capsys, "routes", "served:foreign")


@pytest.mark.parametrize("command", ["run", "routes"])
def test_a_module_that_is_not_there_is_named_with_the_directory(capsys, command):
    line = fails_with(capsys, command, "no_such_module:app")
    assert "no module named 'no_such_module'" in line
    assert str(HERE) in line


def test_a_submodule_that_is_not_there_is_named(capsys):
    assert "'json.nothing'" in fails_with(capsys, "run", "json.nothing:app")


def test_a_module_that_fails_to_import_shows_where(tmp_path):
    (tmp_path / "importing.py").write_text("import no_such_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        main(["run", "importing:app", "--app-dir", str(tmp_path)])


@pytest.mark.parametrize("command", ["run", "routes"])
def test_an_attribute_that_is_not_there_is_named_with_the_apps_that_are(capsys, command):
    line = fails_with(capsys, command, "served:application")
    assert "has no 'application'" in line
    assert str(HERE / "served.py") in line
    assert line.endswith("its apps are app, inner, failing, with_a_hub")


def test_what_is_no_app_is_named_with_its_type(capsys):
    assert "served:number is no ASGI application" in fails_with(capsys, "run", "served:number")


def test_a_factory_that_is_not_declared_as_one_is_recognised(capsys):
    assert "add --factory" in fails_with(capsys, "run", "served:make_app")


def test_a_factory_must_be_callable(capsys):
    assert "is no factory" in fails_with(capsys, "run", "served:number", "--factory")


def test_a_directory_that_is_not_there_is_named(capsys, tmp_path):
    missing = tmp_path / "missing"
    assert main(["run", "served:app", "--app-dir", str(missing)]) == 1
    assert str(missing) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: COMMAND"),
        (["run"], "required: MODULE:APP"),
        (["run", "served"], "module:app"),
        (["run", ":app"], "module:app"),
        (["run", "served:app", "--port", "65536"], "0 to 65535"),
        (["run", "served:app", "--port", "x"], "0 to 65535"),
        (["run", "served:app", "--workers", "0"], "from 1 up"),
        (["run", "served:app", "--workers", "2", "--reload"], "not allowed with"),
        (["run", "served:app", "--grace", "-1"], "number of seconds"),
        (["run", "served:app", "--grace", "inf"], "number of seconds"),
        (["run", "served:app", "--grace", "soon"], "number of seconds"),
        (["run", "served:app", "--log-level", "loud"], "invalid choice"),
        (["run", "served:app", "--uds", "s", "--port", "1"], "--uds takes the place"),
        (["serve"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_exits_with_2(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("command", [["run", "served:app"], ["demo"]], ids=["run", "demo"])
def test_without_uvicorn_one_line_tells_what_to_install(command):
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from asgi_rt.server.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=HERE, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        'asgi-rt: serving an app needs the package uvicorn: run pip install "asgi-rt[standard]"\n'
    )


@pytest.mark.slow
def test_routes_does_without_uvicorn():
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from asgi_rt.server.cli import main; sys.exit(main(['routes', 'served:app']))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE).returncode == 0
