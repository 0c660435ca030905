"""Disks that fail, and a room that is watched meanwhile."""

import asyncio
import contextlib
import http.client
import itertools
import json
import signal
import subprocess
import tempfile
import pathlib

import harness
from chat import chat_url, open_socket

TOOL_SECONDS = 10.0
ASK_SECONDS = 10.0
PAGE_MESSAGES = 1000


@contextlib.contextmanager
def small_disk(mebibytes):
    """A file system of this size, mounted for as long as the context."""
    with tempfile.TemporaryDirectory(prefix="foghorn-disk-") as path:
        harness.run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "foghorn-disk", path)
        try:
            yield pathlib.Path(path)
        finally:
            harness.run("umount", "--lazy", path)


def remount(path, mode):
    """Makes a disk that nobody writes to read-only (`ro`), or writable again (`rw`)."""
    harness.run("mount", "-o", f"remount,{mode}", path)


@contextlib.asynccontextmanager
async def failing(pid, calls, error):
    """As long as the context, these system calls of a process do nothing and return this error."""
    strace = await asyncio.create_subprocess_exec(
        *["strace", "-f", "-p", str(pid), "-o", "/dev/null"],
        *["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TOOL_SECONDS):
            said = (await strace.stderr.readline()).decode()
        if "attached" not in said:
            raise harness.Failure(f"strace does not attach: {said.strip()}")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            strace.send_signal(signal.SIGINT)
        async with asyncio.timeout(TOOL_SECONDS):
            await strace.wait()


@contextlib.asynccontextmanager
async def stalling(pid, calls):
    """As long as the context, these system calls of a process take ten minutes."""
    strace = await asyncio.create_subprocess_exec(
        *["strace", "-f", "-p", str(pid), "-o", "/dev/null"],
        *["-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter=600s"],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TOOL_SECONDS):
            said = (await strace.stderr.readline()).decode()
        if "attached" not in said:
            raise harness.Failure(f"strace does not attach: {said.strip()}")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            strace.kill()
        await strace.wait()


def start_in_vain(binary, *options):
    """Starts a server that has to give up; its exit status and what it says."""
    command = [binary, "serve", "--listen", "127.0.0.1:0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)
    assert done.stdout == "", f"it is ready: {done.stdout}"
    return done.returncode, done.stderr


async def ask(server, method, path, body=None):
    """A request with a JSON body, or none; status, headers and body of the response."""

    def request():
        connection = http.client.HTTPConnection(server.address, timeout=ASK_SECONDS)
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.headers, json.loads(response.read())

    return await asyncio.to_thread(request)


class Room:
    """A room as a witness sees it, who is a member from the beginning to the end."""

    def __init__(self, server, name, socket):
        self.server = server
        self.name = name
        self.path = f"/api/chat/rooms/{name}/messages"
        self.socket = socket
        self.epoch = None
        # Everything that the witness was shown, by number: without a hole.
        self.shown = {}
        self.contents = set()
        self.refusals = 0
        # Old and new epoch, each time that the log began anew.
        self.renewals = []
        self._changed = asyncio.Condition()
        self._numbers = itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def watched(cls, server, name, **query):
        url = chat_url(server.ws_url, roomId=name, username="witness", hello=1, **query)
        async with open_socket(url) as socket:
            room = cls(server, name, socket)
            welcome = json.loads(await socket.recv())
            room.epoch = welcome["epoch"]
            task = asyncio.create_task(room._watch(welcome["seq"]))
            try:
                yield room
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _watch(self, last):
        async for text in self.socket:
            message = {"type": "HEARTBEAT"} if text == "HEARTBEAT" else json.loads(text)
            async with self._changed:
                if message["type"] == "ERROR":
                    assert message["code"] == "unavailable", f"refused as {message}"
                    self.refusals += 1
                elif message["type"] == "GAP":
                    assert message["epoch"] != self.epoch and message["from"] == 1, f"a gap: {message}"
                    self.renewals.append((self.epoch, message["epoch"]))
                    last, self.epoch = message["to"], message["epoch"]
                    self.shown = {seq: shown for seq, shown in self.shown.items() if seq <= last}
                elif message["type"] != "HEARTBEAT":
                    last += 1
                    assert message.get("seq") == last, f"{last} was due: {message}"
                    self.shown[last] = message
                    self.contents.add(message["content"])
                self._changed.notify_all()

    def new_content(self, size):
        return f"{next(self._numbers)} ".ljust(size, ".")

    async def say(self, content):
        """Publishes on the WebSocket; whether it was shown, or else refused."""
        refusals = self.refusals
        await self.socket.send(json.dumps({"content": content, "id": content.split()[0]}))
        async with self._changed:
            await self._changed.wait_for(lambda: self.refusals > refusals or content in self.contents)
        return self.refusals == refusals

    async def post(self, content):
        """Publishes by REST; whether it was acknowledged, or else refused."""
        # An id belongs to its sender, whatever the door: the same one publishes on the WebSocket.
        body = {"sender": "witness", "content": content, "id": content.split()[0]}
        status, headers, _ = await ask(self.server, "POST", self.path, body)
        assert status in (201, 503), f"status {status}"
        assert status == 201 or headers["Retry-After"], "nobody says when to try again"
        return status == 201

    async def settle(self):
        """Waits until the witness has seen what REST tells."""
        head = max((message["seq"] for message in (await log_of(self.server, self.name))[1]), default=0)
        async with self._changed:
            await self._changed.wait_for(lambda: max(self.shown, default=0) >= head)


async def log_of(server, room):
    """Epoch and messages of a room, whose numbers are dense."""
    log, epoch = [], None
    while True:
        path = f"/api/chat/rooms/{room}/messages?limit={PAGE_MESSAGES}&after={len(log)}"
        status, headers, page = await ask(server, "GET", path)
        assert status == 200, f"status {status}"
        epoch, _, _ = headers["Foghorn-Position"].partition(":")
        if not page:
            return epoch, log
        log += page
        assert [message["seq"] for message in log] == list(range(1, len(log) + 1)), "the log is not dense"


def assert_kept(log, shown):
    """Whatever was shown is in the log."""
    for seq, message in shown.items():
        kept = log[seq - 1] if seq <= len(log) else None
        assert kept is not None and same(kept, message), f"shown and lost: {message}, there is {kept}"


def same(one, other):
    """The same message; its id tells of the epoch, too, and may differ."""
    return all(one[name] == other[name] for name in ["seq", "sender", "content", "type", "timestamp"])
