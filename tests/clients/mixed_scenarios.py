"""Python and Node in one room: both must see the same log, byte for byte."""

import asyncio
import contextlib
import json
import pathlib
import sys

from chat import Member, assert_dense, chat_url, run_scenarios, unique

MEMBER_SCRIPT = pathlib.Path(__file__).with_name("node_member.mjs")
MESSAGES_EACH = 50
PEER_COUNT = 3


class NodeMember:
    """A member in a Node process; it is ended with the context."""

    def __init__(self, child):
        self.child = child

    @classmethod
    @contextlib.asynccontextmanager
    async def enter(cls, base, room, username):
        child = await asyncio.create_subprocess_exec(
            "node",
            MEMBER_SCRIPT,
            chat_url(base, roomId=room, username=username),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(child)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()

    async def receive(self):
        while (line := await self.child.stdout.readline()) == b"HEARTBEAT\n":
            pass
        assert line, "the Node member ended"
        return json.loads(line)

    async def receive_count(self, count):
        return [await self.receive() for _ in range(count)]

    async def say(self, content):
        self.child.stdin.write(content.encode() + b"\n")
        await self.child.stdin.drain()

    async def leave(self):
        self.child.stdin.close()
        assert await self.child.wait() == 0, "the Node member did not end well"


async def python_and_node_share_one_log(base):
    room = unique("mixed")
    async with contextlib.AsyncExitStack() as stack:
        pythons, nodes = [], []
        for number in range(PEER_COUNT):
            pythons.append(await stack.enter_async_context(Member.enter(base, room, f"python {number}")))
            node = await stack.enter_async_context(NodeMember.enter(base, room, f"node {number}"))
            assert (await node.receive())["content"] == f"node {number} joined"
            nodes.append(node)
        # Whoever came earlier has more notices to read.
        for number in range(PEER_COUNT):
            for _ in range(2 * (PEER_COUNT - number) - 1):
                assert (await pythons[number].receive())["type"] == "JOIN"
            for _ in range(2 * (PEER_COUNT - number) - 2):
                assert (await nodes[number].receive())["type"] == "JOIN"

        async def publish(member, label):
            for count in range(MESSAGES_EACH):
                await member.say(f"{label} {count} ⚓")

        members = pythons + nodes
        await asyncio.gather(*(publish(member, number) for number, member in enumerate(members)))
        total = len(members) * MESSAGES_EACH
        logs = await asyncio.gather(
            *(member.receive_messages(total) for member in pythons), *(node.receive_count(total) for node in nodes)
        )
        assert all(log == logs[0] for log in logs), "members saw different logs"
        assert_dense(logs[0])
        for label in range(len(members)):
            own = [m["content"] for m in logs[0] if m["content"].startswith(f"{label} ")]
            assert own == [f"{label} {count} ⚓" for count in range(MESSAGES_EACH)]

        for number, node in enumerate(nodes):
            await node.leave()
            for member in pythons:
                notice = await member.receive()
                assert (notice["type"], notice["content"]) == ("LEAVE", f"node {number} left")


if __name__ == "__main__":
    sys.exit(run_scenarios("python and node", sys.argv[1], [python_and_node_share_one_log]))
