"""STOMP frames as the raw client reads and writes them; what it writes may be as wrong as the scenario wants it."""

import re
import typing

UNESCAPED = {"\\n": "\n", "\\r": "\r", "\\c": ":", "\\\\": "\\"}


class Frame(typing.NamedTuple):
    command: str
    headers: dict
    body: bytes


EOL = Frame("EOL", {}, b"")


def encode(command, headers, body):
    """A frame exactly as a step says it: headers in that order, escaped, nothing added."""
    lines = "".join(f"{_escape(name)}:{_escape(value)}\n" for name, value in headers.items())
    return f"{command}\n{lines}\n".encode() + body + b"\0"


def _escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace(":", "\\c")


def _unescape(text):
    return re.sub(r"\\.", lambda found: UNESCAPED.get(found[0], found[0]), text)


def decode(message, version):
    """The frames of one WebSocket message of a server; an EOL between them is a frame `EOL`."""
    at = 0
    while at < len(message):
        if message[at : at + 1] == b"\n":
            at += 1
            yield EOL
            continue
        end = message.find(b"\n\n", at)
        if end < 0:
            raise ValueError("a frame without the end of its headers")
        command, *lines = message[at:end].decode().split("\n")
        escaped = version != "1.0" and command != "CONNECTED"
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("a header line without a colon")
            if escaped:
                name, value = _unescape(name), _unescape(value)
            headers.setdefault(name, value)
        start = end + 2
        length = headers.get("content-length")
        stop = message.find(b"\0", start) if length is None else start + int(length)
        if message[stop : stop + 1] != b"\0":
            raise ValueError("a frame without NUL at its end")
        yield Frame(command, headers, message[start:stop])
        at = stop + 1
