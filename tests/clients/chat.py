"""A chat member on the `websockets` library, and the runner that scenarios share."""

import asyncio
import contextlib
import itertools
import json
import urllib.parse
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SCENARIO_SECONDS = 20.0


def chat_url(base, **query):
    return f"{base}/ws/chat?{urllib.parse.urlencode(query)}"


def unique(prefix):
    """A room name that no other scenario uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def open_socket(url):
    return connect(url, proxy=None, max_size=None)


class Member:
    """One session in a room, after it has seen its own JOIN (`joined` holds it)."""

    def __init__(self, socket, username):
        self.socket = socket
        self.username = username
        self.before_join = []
        self.joined = None

    @classmethod
    @contextlib.asynccontextmanager
    async def enter(cls, base, room, username, **query):
        async with open_socket(chat_url(base, roomId=room, username=username, **query)) as socket:
            member = cls(socket, username)
            while member.joined is None:
                message = await member.receive()
                if message["type"] == "JOIN" and message["content"] == f"{username} joined":
                    member.joined = message
                else:
                    member.before_join.append(message)
            yield member

    async def receive(self):
        """The next message, heart-beats aside."""
        while (text := await self.socket.recv()) == "HEARTBEAT":
            pass
        assert isinstance(text, str), "a chat member got a binary message"
        return json.loads(text)

    async def receive_until(self, wanted):
        """Everything up to and including the first message that `wanted` accepts."""
        got = []
        while not got or not wanted(got[-1]):
            got.append(await self.receive())
        return got

    async def receive_messages(self, count):
        """The next `count` of type MESSAGE; anything else in between is an error."""
        got = [await self.receive() for _ in range(count)]
        kinds = {message["type"] for message in got}
        assert kinds <= {"MESSAGE"}, f"expected only messages, got {kinds}"
        return got

    async def say(self, content, **fields):
        await self.socket.send(json.dumps({"content": content, **fields}))

    async def closed(self):
        """Waits for the server's close; its code and reason."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.socket.recv()
        return self.socket.close_code, self.socket.close_reason


def assert_dense(messages):
    """`seq` grows by one, timestamps grow."""
    for earlier, later in itertools.pairwise(messages):
        assert later["seq"] == earlier["seq"] + 1, f"seq {later['seq']} after {earlier['seq']}"
        assert later["timestamp"] > earlier["timestamp"], f"{later['timestamp']} after {earlier['timestamp']}"


def run_scenarios(label, base, scenarios):
    """Runs each scenario with a deadline and prints PASS or FAIL; the exit status."""
    failed = 0
    for scenario in scenarios:
        name = scenario.__name__.replace("_", " ")

        async def with_deadline(scenario=scenario):
            async with asyncio.timeout(SCENARIO_SECONDS):
                await scenario(base)

        try:
            asyncio.run(with_deadline())
            print(f"PASS {label}: {name}", flush=True)
        except Exception as error:  # whatever went wrong is this scenario's result
            failed += 1
            print(f"FAIL {label}: {name}: {describe(error)}", flush=True)
    return 1 if failed else 0


def describe(error):
    if isinstance(error, TimeoutError):
        return f"not finished within {SCENARIO_SECONDS:.0f} s"
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} (line {trace.tb_lineno} of {trace.tb_frame.f_code.co_name})"
