"""A WebSocket client and an HTTP client on asyncio's streams: as little as the soak needs, and nothing that retries."""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HEAD_SECONDS = 20.0


class Closed(Exception):
    """The other side has closed the session, or the connection."""

    def __init__(self, code=None, reason=""):
        super().__init__(f"closed with {code} {reason}")
        self.code = code


class Client:
    """One session, open from `connect` on; an asynchronous context manager."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, place, target, receive_bytes=None):
        reader, writer = await place.open(receive_bytes)
        client = cls(reader, writer)
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            client.abort()
            raise Closed(None, f"no answer to the upgrade: {error!r}") from None
        if not head.startswith(b"HTTP/1.1 101 "):
            client.abort()
            raise Closed(None, head.split(b"\r\n")[0].decode())
        return client

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        self.abort()

    async def send(self, opcode, payload):
        key = os.urandom(4)
        length = len(payload)
        if length < 126:
            head = bytes([0x80 | opcode, 0x80 | length])
        elif length < 1 << 16:
            head = bytes([0x80 | opcode, 0xFE]) + struct.pack(">H", length)
        else:
            head = bytes([0x80 | opcode, 0xFF]) + struct.pack(">Q", length)
        mask = int.from_bytes(key * (length // 4 + 1))
        masked = int.from_bytes(payload.ljust(4 * (length // 4 + 1), b"\0")) ^ mask
        self._writer.write(head + key + masked.to_bytes(4 * (length // 4 + 1))[:length])
        try:
            await self._writer.drain()
        except OSError as error:
            raise Closed(None, str(error)) from None

    async def send_json(self, **fields):
        await self.send(TEXT, json.dumps(fields).encode())

    async def receive(self):
        """The next message, as opcode and payload. Pings are answered."""
        while True:
            try:
                first, length = await self._reader.readexactly(2)
                if length >= 126:
                    size = 2 if length == 126 else 8
                    length = int.from_bytes(await self._reader.readexactly(size))
                payload = await self._reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError) as error:
                raise Closed(None, repr(error)) from None
            opcode = first & 0x0F
            if opcode == PING:
                await self.send(PONG, payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2]) if payload else None
                raise Closed(code, payload[2:].decode())
            elif opcode != PONG:
                return opcode, payload

    async def receive_json(self):
        """The next message that is not a sign of life, read as JSON."""
        while True:
            _, payload = await self.receive()
            if payload != b"HEARTBEAT":
                return json.loads(payload)

    async def close(self):
        """Says good-bye and waits for the answer; what comes before it is dropped."""
        with contextlib.suppress(Closed):
            await self.send(CLOSE, struct.pack(">H", 1000))
            while True:
                await self.receive()
        self.abort()

    def abort(self):
        """Ends the connection at once."""
        self._writer.transport.abort()

    def stall(self):
        """Takes nothing from the socket until `go_on`."""
        self._writer.transport.pause_reading()

    def go_on(self):
        self._writer.transport.resume_reading()


class Place:
    """Where the server is."""

    def __init__(self, address, tls=None):
        host, _, port = address.rpartition(":")
        self._host, self._port, self._tls = host, int(port), tls
        self._numbers = itertools.count()

    async def open(self, receive_bytes=None):
        """A connection; with `receive_bytes`, the kernel holds about so many that nobody has read."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        name = self._host if self._tls else None
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self._host, self._port))
            return await asyncio.open_connection(sock=sock, ssl=self._tls, server_hostname=name)
        except OSError as error:
            sock.close()
            raise Closed(None, f"no connection: {error}") from None

    def number(self):
        """Another one each time."""
        return next(self._numbers)

    async def ask(self, method, target, **fields):
        """One request on a connection of its own: the status and the JSON that came back."""
        reader, writer = await self.open()
        body = json.dumps(fields).encode() if fields else b""
        # A kick and a deletion are answered on the server's own machine alone, asked for by a name of it.
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        writer.write((head + "Content-Type: application/json\r\n\r\n").encode() + body)
        try:
            answer = await asyncio.wait_for(reader.read(), HEAD_SECONDS)
        except (OSError, TimeoutError) as error:
            raise Closed(None, f"no answer to {method} {target}: {error!r}") from None
        finally:
            writer.transport.abort()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head[9:12]), json.loads(body) if body else None
