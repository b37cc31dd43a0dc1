"""An event stream as the HTML standard interprets it (9.2.5, 9.2.6), written from its text.

What the decoder is compared with: over the whole stream at once, character by character, one clause
of the text after the other.
"""

from dataclasses import dataclass, field

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
# The one deviation: the standard knows no greatest integer.
MAX_RETRY_DIGITS = 18


@dataclass
class Message:
    """One event as it is dispatched; the last two are of its block, which the standard asks not."""

    type: str
    data: str
    last_event_id: str
    id: str | None
    retry: int | None


@dataclass
class Source:
    """What a client has at the end of the stream."""

    messages: list[Message] = field(default_factory=list)
    last_event_id: str = ""
    reconnection_time: int | None = None


def interpret(stream: bytes) -> Source:
    source = Source()
    data_buffer = event_type_buffer = last_event_id_buffer = ""
    block_id = block_retry = None
    for line in lines(utf8_decode(stream)):
        if line == "":
            source.last_event_id = last_event_id_buffer
            if data_buffer != "":
                if data_buffer[-1] == "\n":
                    data_buffer = data_buffer[:-1]
                kind = event_type_buffer if event_type_buffer != "" else "message"
                source.messages.append(
                    Message(kind, data_buffer, source.last_event_id, block_id, block_retry)
                )
            data_buffer = event_type_buffer = ""
            block_id = block_retry = None
            continue
        if line[0] == ":":
            continue
        if ":" in line:
            name = line[: line.index(":")]
            value = line[line.index(":") + 1 :]
            if value != "" and value[0] == " ":
                value = value[1:]
        else:
            name = line
            value = ""
        if name == "event":
            event_type_buffer = value
        elif name == "data":
            data_buffer += value
            data_buffer += "\n"
        elif name == "id":
            if "\0" not in value:
                last_event_id_buffer = block_id = value
        elif name == "retry":
            digits = all(character in "0123456789" for character in value)
            if digits and 1 <= len(value) <= MAX_RETRY_DIGITS:
                source.reconnection_time = block_retry = int(value)
    return source


def utf8_decode(stream: bytes) -> str:
    text = stream.decode("utf-8", errors="replace")
    return text[1:] if text[:1] == BOM else text


def lines(text: str) -> list[str]:
    """The lines that are ended; what the end of the file cuts off is pending data, to discard."""
    found: list[str] = []
    line = ""
    position = 0
    while position < len(text):
        if text[position : position + 2] == "\r\n":
            found.append(line)
            line = ""
            position += 2
        elif text[position] in "\r\n":
            found.append(line)
            line = ""
            position += 1
        else:
            line += text[position]
            position += 1
    return found
