"""The messages that every peer must send back unchanged at `/echo`, and the check that it does."""

from benchmarks.harness.http1 import ProtocolError
from benchmarks.harness.server import HOST
from benchmarks.harness.websocket import TEXT, Frame
from benchmarks.harness.ws_connection import Connection

PATH = "/echo"
TEXT_BYTES = 64
CHECKED = (
    "",
    "žluťoučký kůň 🐎",
    # Each of these lengths is written in another way on the wire.
    "a" * 125,
    "b" * 126,
    "c" * 70_000,
)


class WrongEcho(Exception):
    """What came back is not what was sent; the text says where."""


def text(connection: int, number: int) -> str:
    """A short message that no other connection sends, of `TEXT_BYTES` bytes."""
    return f"message {number} of connection {connection} ".ljust(TEXT_BYTES, ".")


def echo_fault(port: int, timeout: float = 10.0) -> str | None:
    """What is wrong with the echoes of the server on `port`, in one line, or None.

    Raises OSError, TimeoutError among them, where it does not answer at all.
    """
    connection = Connection(HOST, port, PATH, timeout)
    try:
        connection.wait_opened()
        for sent in (*CHECKED, text(0, 0)):
            exchange(connection, sent.encode())
    except (ConnectionError, ProtocolError, WrongEcho) as error:
        return f"{PATH}: {error}"
    finally:
        connection.close()
    return None


def exchange(connection: Connection, sent: bytes) -> None:
    """Send a text and wait for its echo, and nothing else. Raises WrongEcho."""
    connection.send_text(sent)
    while not (received := connection.read()):
        pass
    expect_echo(sent, received)


def expect_echo(sent: bytes, received: list[Frame]) -> None:
    """Raises WrongEcho for anything but one text message that is what was sent."""
    if received != [Frame(TEXT, sent)]:
        shown = [f"{len(frame.payload)} bytes {frame.payload[:40]!r}" for frame in received]
        raise WrongEcho(f"{len(sent)} bytes {sent[:40]!r} came back as {', '.join(shown)}")
