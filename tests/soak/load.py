"""Who loads the server during a soak, and what each of them insists on."""

import asyncio
import contextlib
import itertools
import os
import random
from urllib.parse import quote

from client import BINARY, TEXT, Client, Closed

ROOMS = 4
MEMBERS = 10
MESSAGES_PER_SECOND = 20
SIZES = [10, 100, 3000]
# What the kernel takes for somebody who does not read, some megabytes, is little here.
LOUD = "loud"
LOUD_BYTES = 30_000
LOUD_MESSAGES_PER_SECOND = 80
SLEEP_SECONDS = (4, 6)
SLEEPER_BYTES = 4096
SETTLE_SECONDS = 15.0
KICKED = 4001


class Wrong(Exception):
    """The server has not done what it promises."""


class Follower:
    """Reads a chat room: the numbers have no gap and none comes twice, nor does what a publisher counts up."""

    def __init__(self, load, room, name):
        self.load, self.room, self.name = load, room, name
        self.seq = self.epoch = None
        self.counts = {}

    async def join(self, come_back=False, receive_bytes=None):
        target = f"/ws/chat?roomId={self.room}&username={self.name}&hello=1"
        if come_back:
            target += f"&sinceSeq={self.seq}&epoch={self.epoch}"
        client = await Client.connect(self.load.place, target, receive_bytes)
        welcome = await client.receive_json()
        if welcome["type"] != "WELCOME":
            raise Wrong(f"{self.name} was not welcomed but told {welcome}")
        if come_back and welcome["epoch"] != self.epoch:
            raise Wrong(f"{self.room} has another epoch")
        if not come_back:
            self.seq, self.epoch, self.counts = welcome["seq"], welcome["epoch"], {}
        return client

    async def read(self, client):
        """The next message, which must be the next in the room; answers to what was said twice aside."""
        message = await client.receive_json()
        while message["type"] == "ACK":
            message = await client.receive_json()
        if message["type"] in ("GAP", "ERROR"):
            raise Wrong(f"{self.name} in {self.room} at {self.seq} got {message}")
        if message["seq"] != self.seq + 1:
            raise Wrong(f"{self.name} in {self.room} got {message['seq']} after {self.seq}")
        self.seq = message["seq"]
        if message["type"] == "MESSAGE":
            sender, count = message["sender"], int(message["content"].split()[0])
            if count != self.counts.get(sender, count - 1) + 1:
                raise Wrong(f"{self.name} in {self.room} got {count} of {sender} after {self.counts[sender]}")
            self.counts[sender] = count
        self.load.delivered += 1
        return message

    async def read_for(self, client, seconds):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.read(client)

    async def read_until(self, client, seq):
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while self.seq < seq:
                    await self.read(client)
        except TimeoutError:
            raise Wrong(f"{self.name} in {self.room} is at {self.seq} of {seq}") from None


class Load:
    """Everybody together. `run` returns when the time is over and everything sent has arrived."""

    def __init__(self, place, seconds):
        self.place = place
        self.ends_at = asyncio.get_running_loop().time() + seconds
        self.delivered = self.sent = self.rounds = 0
        self.rooms = [f"r{room}" for room in range(ROOMS)]
        self.published = {room: asyncio.Event() for room in [*self.rooms, LOUD]}

    def goes_on(self):
        return asyncio.get_running_loop().time() < self.ends_at

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for room in self.rooms:
                group.create_task(self.publisher(room, SIZES, MESSAGES_PER_SECOND))
                for member in range(MEMBERS):
                    group.create_task(self.member(room, f"m{member}"))
                group.create_task(self.returner(room))
                group.create_task(self.kicked(room))
            group.create_task(self.publisher(LOUD, [LOUD_BYTES], LOUD_MESSAGES_PER_SECOND))
            group.create_task(self.member(LOUD, "m"))
            group.create_task(self.returner(LOUD))
            group.create_task(self.sleeper(LOUD, "sleeper"))
            group.create_task(self.sleeper(LOUD, "other sleeper"))
            for _ in range(4):
                group.create_task(self.echo())
                group.create_task(self.churn())
                group.create_task(self.rest())
            group.create_task(self.relay())

    async def head(self, room):
        status, newest = await self.place.ask("GET", f"/api/chat/rooms/{room}/messages?limit=1")
        if status != 200:
            raise Wrong(f"the messages of {room}: {status} {newest}")
        return newest[0]["seq"]

    async def publisher(self, room, sizes, rate):
        """Says one number after the other, some twice, and hears each once."""
        me = Follower(self, room, "publisher")
        async with await me.join() as client:
            for count in itertools.count():
                if not self.goes_on():
                    break
                said = {"content": f"{count} {'x' * random.choice(sizes)}", "id": f"{room}-{count}"}
                for _ in range(1 + (count % 10 == 0)):
                    await client.send_json(**said)
                self.sent += 1
                while me.counts.get(me.name, -1) < count:
                    await me.read(client)
                await me.read_for(client, 1 / rate)
            self.published[room].set()
            await me.read_until(client, await self.head(room))

    async def member(self, room, name):
        """Stays from the beginning to the end."""
        me = Follower(self, room, name)
        async with await me.join() as client:
            while not self.published[room].is_set():
                await me.read_for(client, 0.5)
            await me.read_until(client, await self.head(room))

    async def returner(self, room):
        """Goes, with and without a word, and comes back for what it missed."""
        me = Follower(self, room, "returner")
        client = await me.join()
        while self.goes_on():
            await me.read_for(client, random.uniform(0.1, 1))
            if random.random() < 0.5:
                client.abort()
            else:
                await client.close()
            await asyncio.sleep(random.uniform(0, 0.5))
            client = await me.join(come_back=True)
            self.rounds += 1
        await me.read_until(client, await self.head(room))
        await client.close()

    async def sleeper(self, room, name):
        """Does not read for a while, then reads everything."""
        me = Follower(self, room, quote(name))
        while self.goes_on():
            async with await me.join(receive_bytes=SLEEPER_BYTES) as client:
                client.stall()
                await asyncio.sleep(random.uniform(*SLEEP_SECONDS))
                client.go_on()
                await me.read_until(client, await self.head(room))
                await client.close()
            self.rounds += 1

    async def kicked(self, room):
        """Is kicked by REST, and comes again."""
        me = Follower(self, room, "kicked")
        while self.goes_on():
            async with await me.join() as client:
                status, answer = await self.place.ask("POST", f"/api/chat/rooms/{room}/kick?username={me.name}")
                if (status, answer) != (200, {"closed": 1}):
                    raise Wrong(f"a kick was answered {status} {answer}")
                try:
                    await me.read_for(client, SETTLE_SECONDS)
                    raise Wrong("somebody kicked is still here")
                except Closed as closed:
                    if closed.code != KICKED:
                        raise Wrong(f"somebody kicked was {closed}") from None
            self.rounds += 1
            await asyncio.sleep(0.5)

    async def echo(self):
        """Hears back what it says, of many sizes."""
        async with await Client.connect(self.place, "/echo") as client:
            while self.goes_on():
                payload = os.urandom(random.choice([0, 1, 125, 126, 5000, 65535, 65536, 300_000]))
                await client.send(BINARY, payload)
                if await client.receive() != (BINARY, payload):
                    raise Wrong("an echo differs")
                self.rounds += 1
                await asyncio.sleep(0.02)
            await client.close()

    async def churn(self):
        """Comes, says a word, hears it and goes; every other time without good-bye."""
        while self.goes_on():
            async with await Client.connect(self.place, "/ws/echo") as client:
                await client.send(TEXT, b"word")
                if await client.receive() != (TEXT, b"Echo: word"):
                    raise Wrong("an echo differs")
                if self.rounds % 2 == 0:
                    await client.close()
            self.rounds += 1
            await asyncio.sleep(0.01)

    async def rest(self):
        """Creates a room, publishes to it, reads it, deletes it."""
        while self.goes_on():
            name = f"room {self.place.number()}"
            status, room = await self.place.ask("POST", "/api/chat/rooms", name=name, description="d", createdBy="c")
            if status != 201:
                raise Wrong(f"a room was not created: {status} {room}")
            path = f"/api/chat/rooms/{room['id']}"
            for count in range(5):
                status, message = await self.place.ask("POST", f"{path}/messages", sender="c", content=str(count))
                if status != 201:
                    raise Wrong(f"a message was not published: {status} {message}")
            _, messages = await self.place.ask("GET", f"{path}/messages?limit=50")
            if [message["content"] for message in messages] != ["4", "3", "2", "1", "0"]:
                raise Wrong(f"other messages than were published: {messages}")
            status, _ = await self.place.ask("DELETE", path)
            if status != 204:
                raise Wrong(f"a room was not deleted: {status}")
            self.rounds += 1
            await asyncio.sleep(0.1)

    async def relay(self):
        """Two in a room without JSON hear the same in the same order."""
        target = "/ws/raw?roomId=relay"
        async with await Client.connect(self.place, target) as one, await Client.connect(self.place, target) as other:
            # Only who has heard something is known to be in the room.
            for client in (one, other):
                await client.send(TEXT, b"ready")
                while (await client.receive())[1] != b"ready":
                    pass
            await one.send(TEXT, b"begin")
            for client in (one, other):
                while (await client.receive())[1] != b"begin":
                    pass
            for count in itertools.count():
                if not self.goes_on():
                    return
                payload = str(count).encode() * random.choice([1, 100, 3000])
                await (one, other)[count % 2].send(BINARY, payload)
                heard = [await client.receive() for client in (one, other)]
                if heard != [(BINARY, payload)] * 2:
                    raise Wrong(f"number {count} was not relayed to both")
                self.rounds += 1
                await asyncio.sleep(0.01)
