"""What the documents say is so: every code block runs, every link leads somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

import asgi_rt
from asgi_rt.testing import TestClient

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
# Commands are run elsewhere: by whoever reads, in continuous integration, in tests/server.
COMMANDS = re.compile(
    r"make (demo|test|check|bench(-middleware|-fastapi|-broadcast)?)|pip install .*"
    r"|asgi-rt (run|routes|demo)\b.*|python -m asgi_rt.fastapi run\b.*|python -m benchmarks.*"
)


def blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(path, code, id=f"{path.relative_to(ROOT)}-{number}")
        for path in DOCUMENTS
        for number, (language, code) in enumerate(_BLOCK.findall(path.read_text()))
        if language in languages
    ]


@pytest.mark.parametrize(("path", "code"), blocks("python"))
def test_a_python_block_runs(path, code):
    exec(compile(code, str(path), "exec"), {"__name__": "document"})


@pytest.mark.parametrize(("path", "code"), blocks("sh", "console", "bash"))
def test_a_shell_block_holds_commands_that_are_known(path, code):
    for line in code.splitlines():
        command = line.partition("#")[0].strip()
        assert not command or COMMANDS.fullmatch(command), f"{path.name}: {command}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path):
    for target in _LINK.findall(path.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_first_example_of_the_readme_does_what_it_says():
    readme = (ROOT / "README.md").read_text()
    code = next(code for language, code in _BLOCK.findall(readme) if language == "python")
    assert len(code.splitlines()) == 15
    namespace: dict[str, asgi_rt.App] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    with TestClient(namespace["app"]) as client:
        assert client.get("/stars/1").json() == {"name": "Sirius"}
        assert client.get("/stars/9").json() == {"name": "unknown"}
        assert client.get("/stars/x").status_code == 404
        assert len(client.get("/stars").text.splitlines()) == 3


def test_the_changelog_begins_with_what_is_unreleased_or_this_version():
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] in ("Unreleased", asgi_rt.__version__)


def test_the_version_is_the_one_of_the_project_file():
    assert f'version = "{asgi_rt.__version__}"' in (ROOT / "pyproject.toml").read_text()
