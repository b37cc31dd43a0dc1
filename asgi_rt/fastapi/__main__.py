"""`python -m asgi_rt.fastapi run module:app`: `asgi-rt` for an app that imports `fastapi`."""

import sys

from asgi_rt.fastapi.alias import AliasedText, alias
from asgi_rt.server.cli import main

if __name__ == "__main__":
    alias()
    # The workers are sent some of these, and nothing else of this process.
    sys.exit(main([AliasedText(each) for each in sys.argv[1:]]))
