"""What asgi_rt costs beside raw ASGI and beside other frameworks: `python -m benchmarks`."""
