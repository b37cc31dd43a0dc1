"""Node's most used WebSocket server; the program itself is `node_ws_server.js`."""

import os
import sys
from pathlib import Path

from benchmarks.harness import node
from benchmarks.harness.server import HOST

PROGRAM = Path(__file__).with_suffix(".js")
# Found on import, as the packages of the other peers are.
NODE = node.command("ws")


def main(port: str) -> None:
    """Become Node, so that the process which is watched is the server."""
    environment = {**os.environ, "NODE_PATH": str(node.MODULES)}
    os.execve(NODE, [NODE, str(PROGRAM), HOST, port], environment)


if __name__ == "__main__":
    main(sys.argv[1])
