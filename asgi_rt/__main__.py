"""`python -m asgi_rt` is the command `asgi-rt`."""

import sys

from asgi_rt.server.cli import main

if __name__ == "__main__":
    sys.exit(main())
