import signal
import sys

from benchmarks.command import main


def _end(number: int, frame: object) -> None:
    # The servers are ended on the way out, which without this would not be taken.
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, _end)
sys.exit(main())
