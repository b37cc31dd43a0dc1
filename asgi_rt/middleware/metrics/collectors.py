"""The metrics themselves, and which registry has them."""

import re
import threading
from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

__all__ = ["LIFETIME_BUCKETS", "SECONDS_BUCKETS", "Children", "Metrics", "metrics_in"]

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The upper bounds that seconds of a request are counted under."""
LIFETIME_BUCKETS: Final = (0.1, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""The same of streams and WebSockets."""

_PREFIX: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

M = TypeVar("M", bound=MetricWrapperBase)


class Children(dict[tuple[Any, ...], M]):
    """A metric by the values of its labels. What was asked for once costs a look-up and no lock."""

    def __init__(self, metric: M) -> None:
        self._metric = metric

    def __missing__(self, labels: tuple[Any, ...]) -> M:
        child = self[labels] = self._metric.labels(*labels)
        return child


class Metrics:
    """The metrics of one prefix in one registry, shared by all layers that count in them."""

    def __init__(self, prefix: str, buckets: Sequence[float], lifetimes: Sequence[float]) -> None:
        self.buckets = (tuple(buckets), tuple(lifetimes))
        self._namespace = prefix
        self.all: list[MetricWrapperBase] = []
        by_method = ("method", "route")
        self.requests = self._counter("requests", "Answers", *by_method, "status")
        self.in_progress = self._gauge("requests_in_progress", "HTTP requests not over")
        self.streams = Children(self._gauge("streams_open", "Streams not over", "route"))
        self.websockets = Children(self._gauge("websockets_open", "Open WebSockets", "route"))
        self.first_byte = self._histogram(
            "time_to_first_byte_seconds", "Until the head of the answer", buckets, *by_method
        )
        self.durations = self._histogram(
            "request_duration_seconds", "Until the end of a request", buckets, *by_method
        )
        self.stream_durations = self._histogram(
            "stream_duration_seconds", "Until the end of a stream", lifetimes, "route"
        )
        self.websocket_durations = self._histogram(
            "websocket_duration_seconds", "Until the end of a WebSocket", lifetimes, "route"
        )
        self.bytes_received = self._counter("bytes_received", "Bytes from clients", "route")
        self.bytes_sent = self._counter("bytes_sent", "Bytes to clients", "route")
        self.messages_received = self._counter(
            "websocket_messages_received", "Messages from clients", "route"
        )
        self.messages_sent = self._counter(
            "websocket_messages_sent", "Messages to clients", "route"
        )
        self.closes = self._counter("websocket_closes", "How WebSockets ended", "route", "code")
        self.disconnects = self._counter(
            "client_disconnects", "Clients that have left", "protocol", "route"
        )

    def register(self, registry: CollectorRegistry) -> None:
        """Put all of them into the registry, or none. Raises ValueError where a name is taken."""
        done: list[MetricWrapperBase] = []
        try:
            for metric in self.all:
                registry.register(metric)
                done.append(metric)
        except ValueError as error:
            for metric in done:
                registry.unregister(metric)
            raise ValueError(
                f"the registry has other metrics of these names: give another prefix than"
                f" {self._namespace!r}, or another registry ({error})"
            ) from error

    def _counter(self, name: str, documentation: str, *labels: str) -> Children[Counter]:
        metric = Counter(name, documentation, labels, namespace=self._namespace, registry=None)
        self.all.append(metric)
        return Children(metric)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        metric = Gauge(
            name,
            documentation,
            labels,
            namespace=self._namespace,
            registry=None,
            multiprocess_mode="livesum",  # what a worker that was killed had open is open no more
        )
        self.all.append(metric)
        return metric

    def _histogram(
        self, name: str, documentation: str, buckets: Sequence[float], *labels: str
    ) -> Children[Histogram]:
        metric = Histogram(
            name,
            documentation,
            labels,
            namespace=self._namespace,
            registry=None,
            buckets=buckets,
        )
        self.all.append(metric)
        return Children(metric)


# A registry knows its metrics by name, but does not give them out again. They go when it goes.
_known: Final[WeakKeyDictionary[CollectorRegistry, dict[str, Metrics]]] = WeakKeyDictionary()
_lock: Final = threading.Lock()


def metrics_in(
    registry: CollectorRegistry,
    prefix: str,
    buckets: Sequence[float],
    lifetimes: Sequence[float],
) -> Metrics:
    """The metrics of that prefix, made if there are none yet."""
    if not isinstance(cast("Any", registry), CollectorRegistry):
        raise TypeError(f"registry must be a CollectorRegistry, not {registry!r}")
    if prefix and _PREFIX.fullmatch(prefix) is None:
        raise ValueError(
            f"prefix must be letters, digits and underscores, not beginning with a digit, or empty;"
            f" not {prefix!r}"
        )
    made = Metrics(prefix, buckets, lifetimes)
    with _lock:
        known = _known.setdefault(registry, {})
        metrics = known.get(prefix)
        if metrics is None:
            made.register(registry)
            metrics = known[prefix] = made
    if metrics.buckets != made.buckets:
        raise ValueError(
            f"the metrics with the prefix {prefix!r} are in the registry already, with other"
            " buckets: give the same ones, or another prefix"
        )
    return metrics
