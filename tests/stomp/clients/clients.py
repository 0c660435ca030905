"""The three kinds of client a scenario can name: of the library, raw, and a member of JSON chat."""

import contextlib
import json
import socket
import threading
import time
import urllib.parse

import stomp
import websocket
from stomp.adapter.ws import WSTransport
from stomp.connect import BaseConnection
from stomp.protocol import Protocol10, Protocol11, Protocol12

import frames
from frames import Frame

OPEN_SECONDS = 5.0


class Inbox:
    """What a client got and nobody has asked for yet."""

    def __init__(self):
        self.frames = []
        self.over = None
        self.changed = threading.Condition()

    def accept(self, frame):
        with self.changed:
            self.frames.append(frame)
            self.changed.notify_all()

    def end(self, code=None):
        """The connection has ended; only the raw client knows the code."""
        with self.changed:
            self.over = self.over or (code,)
            self.changed.notify_all()

    def until(self, look, seconds):
        """Waits until `look()` returns something other than None; None after that time."""
        late = time.monotonic() + seconds
        with self.changed:
            while (found := look()) is None and (left := late - time.monotonic()) > 0:
                self.changed.wait(left)
            return found

    def take(self, frame):
        with self.changed:
            self.frames.remove(frame)


class Library(Inbox, stomp.ConnectionListener):
    """A connection of `stomp.py` over its WebSocket transport, in any of its three versions."""

    def __init__(self, url, words, headers):
        super().__init__()
        headers = {"host": "/"} | headers
        version = headers.pop("version", "1.2")
        beats = tuple(int(beat) for beat in headers.pop("heart-beat", "0,0").split(","))
        self.connection, self.protocol = _connection(url, version, beats, "binary" in words)
        self.connection.set_listener("inbox", self)
        self.connection.transport.start()
        credentials = {"username": headers.pop("login", None), "passcode": headers.pop("passcode", None)}
        self.protocol.connect(self.connection, **credentials, headers=headers)

    def on_connected(self, frame):
        self._pass_on(frame)

    def on_message(self, frame):
        self._pass_on(frame)

    def on_receipt(self, frame):
        self._pass_on(frame)

    def on_error(self, frame):
        self._pass_on(frame)

    def on_heartbeat(self):
        self.accept(frames.EOL)

    def on_disconnected(self):
        self.end()

    def _pass_on(self, frame):
        self.accept(Frame(frame.cmd, dict(frame.headers), frame.body))

    def send(self, command, headers, body):
        headers = dict(headers)
        match command:
            case "SEND":
                self.connection.send(headers.pop("destination"), body, headers=headers)
            case "SUBSCRIBE":
                mode = headers.pop("ack", "auto")
                self.connection.subscribe(headers.pop("destination"), headers.pop("id"), mode, headers=headers)
            case "UNSUBSCRIBE":
                self.connection.unsubscribe(id=headers.pop("id"), headers=headers)
            case "ACK" | "NACK":
                name = headers.pop("id", None) or headers.pop("message-id")
                # 1.0 and 1.2 have no subscription here, and the library no parameter for it.
                getattr(self.connection, command.lower())(name, **headers)
            case "BEGIN" | "COMMIT" | "ABORT":
                getattr(self.connection, command.lower())(headers["transaction"])
            case "DISCONNECT":
                self.protocol.disconnect(self.connection, headers["receipt"])
            case _:
                raise ValueError(f"the library sends no {command}")

    def cut(self):
        _cut(self.connection.transport.socket)


def _connection(url, version, beats, binary):
    """What `WSStompConnection` is for 1.2, for any version; and the protocol that speaks it."""
    address = urllib.parse.urlsplit(url)
    transport = WSTransport(
        [(address.hostname, address.port)],
        vhost="/",
        auto_decode=False,
        reconnect_attempts_max=1,
        ws_path=address.path,
        header=[f"Sec-WebSocket-Protocol: v{version.replace('.', '')}.stomp"],
        binary_mode=binary,
    )
    protocol = {"1.0": Protocol10, "1.1": Protocol11, "1.2": Protocol12}[version]
    connection = type("Connection", (BaseConnection, protocol), {})(transport)
    options = {} if version == "1.0" else {"heartbeats": beats}
    protocol.__init__(connection, transport, **options)
    return connection, protocol


class Raw(Inbox):
    """A socket that says what it is told to, and reads frames by itself."""

    def __init__(self, url, protocols):
        super().__init__()
        self.version = "1.0"
        self.socket = _open(url, subprotocols=protocols)
        self.subprotocol = self.socket.subprotocol or ""
        threading.Thread(target=_read, args=(self.socket, self._receive, self.end), daemon=True).start()

    def _receive(self, message):
        try:
            for frame in frames.decode(message, self.version):
                if frame.command == "CONNECTED":
                    self.version = frame.headers.get("version", "1.0")
                self.accept(frame)
        except ValueError as error:
            self.accept(Frame(f"({error})", {}, message))

    def send(self, command, headers, body):
        self.say(frames.encode(command, headers, body), not _is_text(body))

    def say(self, message, binary):
        self.socket.send(message, websocket.ABNF.OPCODE_BINARY if binary else websocket.ABNF.OPCODE_TEXT)

    def cut(self):
        _cut(self.socket)


class Chatter(Inbox):
    """A member of JSON chat; its messages are frames `JSON` with their fields as headers."""

    def __init__(self, url):
        super().__init__()
        self.socket = _open(url)
        threading.Thread(target=_read, args=(self.socket, self._receive, self.end), daemon=True).start()

    def _receive(self, message):
        if message != b"HEARTBEAT":
            fields = {name: str(value) for name, value in json.loads(message).items()}
            self.accept(Frame("JSON", fields, b""))

    def say(self, content, fields):
        self.socket.send(json.dumps({"content": content, **fields}))

    def cut(self):
        _cut(self.socket)


def _open(url, **options):
    opened = websocket.create_connection(url, timeout=OPEN_SECONDS, enable_multithread=True, **options)
    opened.settimeout(None)
    return opened


def _read(source, receive, end):
    code = None
    with contextlib.suppress(OSError, websocket.WebSocketException):
        while True:
            opcode, message = source.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code = int.from_bytes(message[:2], "big") if message else 1005
                break
            receive(message)
    end(code or 1006)
    _cut(source)


def _cut(source):
    """Ends the connection as if the process had died: nothing is said any more."""
    with contextlib.suppress(OSError, AttributeError):
        source.sock.shutdown(socket.SHUT_RDWR)


def _is_text(body):
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
