"""Prometheus metrics of every connection, and the page that Prometheus reads them from.

```python
app.add_middleware(MetricsMiddleware)
app.mount("/metrics", metrics_app())
```

By `route`, the template of the path, and with the prefix "asgi":

| metric | labels | what |
|---|---|---|
| `asgi_requests_total` | method, route, status | answers, counted when their head is sent |
| `asgi_requests_in_progress` | | HTTP requests that are not over, streams included |
| `asgi_streams_open` | route | responses without a Content-Length that are not over |
| `asgi_websockets_open` | route | WebSockets that were accepted and are not over |
| `asgi_time_to_first_byte_seconds` | method, route | until the head of the answer |
| `asgi_request_duration_seconds` | method, route | until the end, background tasks included |
| `asgi_stream_duration_seconds` | route | the same, of streams |
| `asgi_websocket_duration_seconds` | route | the same, of WebSockets that were accepted |
| `asgi_bytes_received_total` | route | bytes of bodies that the app has read, and of messages |
| `asgi_bytes_sent_total` | route | bytes of bodies and of messages |
| `asgi_websocket_messages_received_total` | route | |
| `asgi_websocket_messages_sent_total` | route | |
| `asgi_websocket_closes_total` | route, code | |
| `asgi_client_disconnects_total` | protocol, route | clients that left before their response was \
whole; WebSockets that the client closed or lost |

With several worker processes use prometheus_client's multiprocess mode: set the environment
variable `PROMETHEUS_MULTIPROC_DIR` to a directory that is empty when the server starts, and
`metrics_app()` gives the sum of all of them. Where workers are killed, as gunicorn does it, call
`prometheus_client.multiprocess.mark_process_dead(pid)` for each (its hook `child_exit`), so that
what they had open is not counted for ever.

Needs the extra: pip install "asgi-rt[metrics]".
"""

from importlib import import_module

from asgi_rt.errors import MissingExtra

try:
    import_module("prometheus_client")  # before the imports below, whose own error names no extra
except ModuleNotFoundError as error:
    if error.name != "prometheus_client":
        raise
    raise MissingExtra("prometheus-client", "metrics", "asgi_rt.middleware.metrics") from error

from asgi_rt.middleware.metrics.collectors import LIFETIME_BUCKETS, SECONDS_BUCKETS
from asgi_rt.middleware.metrics.layer import MetricsMiddleware
from asgi_rt.middleware.metrics.page import metrics_app

__all__ = ["LIFETIME_BUCKETS", "SECONDS_BUCKETS", "MetricsMiddleware", "metrics_app"]
