"""A hub in memory says when there are clients that it cannot reach."""

import logging

import pytest

from asgi_rt import Hub
from asgi_rt.hub.workers import warn_of_workers


@pytest.mark.parametrize("number", ["2", "16"])
def test_several_workers_are_warned_of(caplog, number):
    warn_of_workers({"WEB_CONCURRENCY": number})
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_rt.hub", logging.WARNING)
    assert f"WEB_CONCURRENCY is {number}" in record.getMessage()


@pytest.mark.parametrize("environment", [{}, *({"WEB_CONCURRENCY": n} for n in ("1", "", "two"))])
def test_one_worker_is_nothing_to_warn_of(caplog, environment):
    warn_of_workers(environment)
    assert not caplog.records


async def test_a_hub_warns_once_on_its_event_loop(caplog, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    hub = Hub()
    async with hub.subscribe("a"):
        await hub.publish("a", 1)
    async with hub.subscribe("a"):
        await hub.publish("a", 2)
    assert len(caplog.records) == 1
