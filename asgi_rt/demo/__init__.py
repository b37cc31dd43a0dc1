"""The demo: `python -m asgi_rt demo`. Begin to read in `app.py`."""
