"""Traffic of each kind, and abuse of several, so that every figure has something to count."""

import asyncio
import contextlib
import json
import struct
import urllib.request

from client import BINARY, CLOSE, TEXT, Client, Closed, Place

PATIENCE_SECONDS = 60
# Of each of two members of a room, at different nodes.
CLUSTER_MESSAGES = 20
# What a member that takes nothing lets wait: more than its socket holds and the server's.
LAG_MESSAGES, LAG_BYTES, RECEIVE_BYTES = 250, 32 * 1024, 4096


def read(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode()


async def of_each_kind(server):
    """One round of everything; takes a few seconds."""
    place = Place(server.address)
    number = place.number()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(
            chat(place, f"chat{number}"),
            somebody_lags(place),
            echo(place),
            relay(place),
            stomp(place),
            rest(place),
            stream(place),
            refused(place),
            badly_ended(place),
        )


async def chat(place, room):
    async with (
        await Client.connect(place, f"/ws/chat?roomId={room}&username=ann") as ann,
        await Client.connect(place, f"/ws/chat?roomId={room}&username=bob") as bob,
    ):
        for number in range(20):
            await ann.send_json(content=f"message {number}")
            await until(bob, f"message {number}")
            # So that it goes on while it is scraped.
            await asyncio.sleep(0.05)
        await ann.close()
        await bob.close()


async def of_a_cluster(*nodes):
    """Members of two nodes talk to each other, and somebody is thrown out at both."""
    one, other = (Place(node.address) for node in nodes)
    target = "/ws/chat?roomId=shared&username="
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with (
            await Client.connect(one, target + "ann") as ann,
            await Client.connect(other, target + "bob") as bob,
            await Client.connect(other, target + "eve"),
        ):
            for number in range(CLUSTER_MESSAGES):
                await ann.send_json(content=f"from ann {number}")
                await until(bob, f"from ann {number}")
                await bob.send_json(content=f"from bob {number}")
                await until(ann, f"from bob {number}")
            await one.ask("POST", "/api/chat/rooms/shared/kick?username=eve")
            await ann.close()
            await bob.close()


async def until(member, content):
    while (await member.receive_json()).get("content") != content:
        pass


async def somebody_lags(place):
    """A member takes nothing for two scrapes and a little more, while others talk."""
    target = "/ws/chat?roomId=crowded&username="
    async with (
        await Client.connect(place, target + "ann") as ann,
        await Client.connect(place, target + "slow", RECEIVE_BYTES) as slow,
    ):
        slow.stall()
        for number in range(LAG_MESSAGES):
            await ann.send_json(content=f"{number} " + "x" * LAG_BYTES)
            # Slower than its rate limit.
            await asyncio.sleep(0.01)
        await until(ann, f"{LAG_MESSAGES - 1} " + "x" * LAG_BYTES)
        await asyncio.sleep(2.5)
        slow.go_on()
        await ann.close()


async def echo(place):
    async with await Client.connect(place, "/echo") as client:
        for _ in range(10):
            await client.send(BINARY, bytes(1000))
            await client.receive()
        await client.close()


async def relay(place):
    async with await Client.connect(place, "/ws/raw?roomId=relay") as client:
        for _ in range(10):
            await client.send(BINARY, bytes(100))
            await client.receive()
        await client.close()


async def stomp(place):
    async with await Client.connect(place, "/ws/stomp") as client:
        await client.send(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\n\n\0")
        await client.receive()
        await client.send(TEXT, b"SUBSCRIBE\nid:1\ndestination:/topic/news\n\n\0")
        for _ in range(5):
            await client.send(TEXT, b"SEND\ndestination:/topic/news\n\nhello\0")
        for _ in range(5):
            await client.receive()
        await client.close()


async def rest(place):
    await place.ask("POST", "/api/chat/rooms/plain/messages", sender="ann", content="by REST")
    await place.ask("GET", "/api/chat/rooms")
    await place.ask("GET", "/healthz")


async def stream(place):
    """An event stream that is there for a scrape."""
    reader, writer = await place.open()
    writer.write(b"GET /sse/rooms/plain?history=1 HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"by REST")
    await asyncio.sleep(1.5)
    writer.transport.abort()


async def refused(place):
    """Requests that are refused, with several statuses."""
    await place.ask("GET", "/nowhere")
    await place.ask("POST", "/api/chat/rooms/plain/messages", sender="ann", content="x" * 2000)
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    for lines in [f"{upgrade}{key}Origin: http://elsewhere.example\r\n", upgrade, f"X: {'x' * 20_000}\r\n"]:
        reader, writer = await place.open()
        writer.write(f"GET /echo HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())
        # A server that refuses a head may have closed before it took all of it.
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()


async def badly_ended(place):
    """Sessions that break the rules, that a room refuses, that vanish."""
    for target, opcode, payload in [
        ("/ws/echo", 0x3, b""),
        ("/ws/echo", TEXT, b"\xff"),
        ("/ws/chat?roomId=plain", None, None),
        ("/ws/chat?roomId=plain&username=eve", BINARY, b"x"),
    ]:
        async with await Client.connect(place, target) as client:
            with contextlib.suppress(Closed):
                if opcode is not None:
                    await client.send(opcode, payload)
                while True:
                    await client.receive()
    async with await Client.connect(place, "/ws/chat?roomId=plain&username=flood") as client:
        with contextlib.suppress(Closed):
            for _ in range(1000):
                await client.send(TEXT, json.dumps({"content": "flood"}).encode())
            await client.send(CLOSE, struct.pack(">H", 1000))
            while True:
                await client.receive()
    async with await Client.connect(place, "/ws/echo") as client:
        client.abort()
