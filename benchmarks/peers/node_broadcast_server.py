"""A broadcast of ws on Node; the program itself is `node_broadcast_server.js`."""

import sys
from pathlib import Path

from benchmarks.harness import node

PROGRAM = Path(__file__).with_suffix(".js")
# Found on import, as the packages of the other peers are.
NODE = node.command("ws")

if __name__ == "__main__":
    node.become(NODE, PROGRAM, sys.argv[1])
