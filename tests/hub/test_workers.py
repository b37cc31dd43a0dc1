"""A hub in memory says when there are clients that it cannot reach."""

import logging

import pytest

from asgi_rt import Hub
from asgi_rt.hub.workers import said_of_workers, warn_of_workers


@pytest.mark.parametrize("number", ["2", "16"])
def test_several_workers_are_warned_of(caplog, number):
    warn_of_workers({"WEB_CONCURRENCY": number}, [])
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_rt.hub", logging.WARNING)
    assert f"WEB_CONCURRENCY is {number}" in record.getMessage()


@pytest.mark.parametrize(
    "environment", [{}, *({"WEB_CONCURRENCY": n} for n in ("1", "", "two", "9" * 5000))]
)
def test_one_worker_is_nothing_to_warn_of(caplog, environment):
    warn_of_workers(environment, [])
    assert not caplog.records


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("--workers", ["/bin/uvicorn", "app:app", "--workers", "2"]),
        ("--workers", ["/lib/uvicorn/__main__.py", "app:app", "--workers=2"]),
        ("-w", ["gunicorn", "-w", "2", "app:app"]),
        ("--workers", ["gunicorn", "--workers", "2", "app:app"]),
        ("-w", ["gunicorn", "-w2", "app:app"]),
        ("--workers", ["/bin/fastapi", "run", "--workers", "2", "app.py"]),
        ("-w", ["hypercorn", "-w", "2", "app:app"]),
        ("--workers", ["granian", "--interface", "asgi", "--workers=2", "app:app"]),
    ],
)
def test_a_command_line_that_says_several_is_warned_of_by_its_name(caplog, said, arguments):
    warn_of_workers({}, arguments)
    (record,) = caplog.records
    assert f"{said} is 2" in record.getMessage()


@pytest.mark.parametrize(
    "arguments",
    [
        ["uvicorn", "app:app"],
        ["uvicorn", "app:app", "--workers"],
        ["uvicorn", "app:app", "--workers", "two"],
        ["uvicorn", "app:app", "-w", "2"],
        ["import.py", "--workers", "2"],
        ["gunicorn", "-worker-class", "2"],
        ["hypercorn", "--workers"],
        [],
    ],
)
def test_a_command_line_that_says_nothing_of_workers_of_a_server(arguments):
    assert said_of_workers({}, arguments) is None


def test_the_command_line_goes_before_the_environment():
    arguments = ["uvicorn", "app:app", "--workers", "1"]
    assert said_of_workers({"WEB_CONCURRENCY": "4"}, arguments) == ("--workers", 1)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [(["-w", "4", "--workers", "2"], 2), (["-w2", "--workers=4"], 4), (["--workers=4", "-w1"], 1)],
)
def test_what_comes_later_in_a_command_line_is_what_counts(arguments, number):
    found = said_of_workers({}, ["gunicorn", *arguments])
    assert found is not None
    assert found[1] == number


@pytest.mark.parametrize(
    ("variables", "arguments", "said"),
    [
        ({"UVICORN_WORKERS": "3"}, ["uvicorn"], ("UVICORN_WORKERS", 3)),
        ({"UVICORN_WORKERS": "3"}, ["uvicorn", "--workers=2"], ("--workers", 2)),
        ({"UVICORN_WORKERS": "3"}, ["fastapi", "run"], ("WEB_CONCURRENCY", 4)),
        ({"GRANIAN_WORKERS": "3"}, ["granian"], ("GRANIAN_WORKERS", 3)),
        ({}, ["granian"], None),
        ({}, ["hypercorn"], None),
        ({}, ["unknown"], ("WEB_CONCURRENCY", 4)),
        ({}, ["uvicorn", "--reload", "--workers", "2"], None),
        ({}, ["fastapi", "dev"], None),
        ({}, ["fastapi", "dev", "--no-reload", "--workers=2"], ("--workers", 2)),
        ({}, ["fastapi", "run", "dev", "--workers=2"], ("--workers", 2)),
        ({}, ["uvicorn", "--app-dir", "dev", "--workers=2"], ("--workers", 2)),
        ({"UVICORN_RELOAD": "1"}, ["uvicorn", "--workers=2"], None),
        ({"UVICORN_RELOAD": "0"}, ["uvicorn", "--workers=2"], ("--workers", 2)),
        ({"UVICORN_RELOAD": "1"}, ["gunicorn", "-w", "2"], ("-w", 2)),
        ({}, ["gunicorn", "--reload", "-w", "2"], ("-w", 2)),
        ({"GUNICORN_CMD_ARGS": "--preload -w 3"}, ["gunicorn"], ("-w", 3)),
        ({"GUNICORN_CMD_ARGS": "-w 3"}, ["gunicorn", "--workers", "2"], ("--workers", 2)),
        ({"GUNICORN_CMD_ARGS": "-w '3' --name 'pool -w 8'"}, ["gunicorn"], ("-w", 3)),
        ({"GUNICORN_CMD_ARGS": "-w 3 '"}, ["gunicorn"], ("WEB_CONCURRENCY", 4)),
        ({"GUNICORN_CMD_ARGS": "-w 3"}, ["uvicorn"], ("WEB_CONCURRENCY", 4)),
    ],
)
def test_what_is_a_servers_own_goes_before_what_is_everybodys(variables, arguments, said):
    assert said_of_workers({"WEB_CONCURRENCY": "4", **variables}, arguments) == said


async def test_a_hub_warns_once_on_its_event_loop(caplog, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    hub = Hub()
    async with hub.subscribe("a"):
        await hub.publish("a", 1)
    async with hub.subscribe("a"):
        await hub.publish("a", 2)
    assert len(caplog.records) == 1
