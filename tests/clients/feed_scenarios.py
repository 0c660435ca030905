"""A room over plain HTTP as `curl` reads it: server-sent events and long polling."""

import asyncio
import json
import os
import sys

from chat import Member, run_scenarios, unique


def http(base):
    return base.replace("ws://", "http://", 1)


async def curl(*arguments, seconds=20):
    """Runs curl; what it printed, and how it ended."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--no-buffer", "--max-time", str(seconds), *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode(), process.returncode


class Events:
    """A stream of events in a curl of its own."""

    @classmethod
    async def open(cls, base, room, *, last_id=None):
        events = cls()
        header = [] if last_id is None else ["--header", f"Last-Event-ID: {last_id}"]
        events.process = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--no-buffer", *header, f"{http(base)}/sse/rooms/{room}", stdout=asyncio.subprocess.PIPE
        )
        events.last_id = last_id
        await events.next()
        return events

    async def next(self):
        """The data of the next event, if it has any."""
        data = None
        while True:
            line = (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().rstrip("\n")
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
            elif line == "":
                return data

    async def close(self):
        self.process.kill()
        await self.process.wait()


async def curl_reads_a_room_and_comes_back(base):
    room = unique("curl")
    events = await Events.open(base, room)
    async with Member.enter(base, room, "Ann") as ann:
        assert (await events.next())["content"] == "Ann joined"
        heard = []
        for number in range(40):
            await ann.say(f"{number}")
            if number % 8 == 7:
                await events.close()
                events = await Events.open(base, room, last_id=events.last_id)
            elif number % 8 < 4:
                heard.append((await events.next())["content"])
        while len(heard) < 40:
            heard.append((await events.next())["content"])
        assert heard == [str(number) for number in range(40)], heard
    await events.close()


async def a_loop_of_curl_polls_gets_every_message_once(base):
    room = unique("poll")
    async with Member.enter(base, room, "Ann") as ann:
        async def speak():
            for number in range(30):
                await ann.say(f"{number}")
                await asyncio.sleep(0.005)

        speaking = asyncio.create_task(speak())
        heard, position = [], "sinceSeq=0"
        while len(heard) < 31:
            output, status = await curl(f"{http(base)}/poll/rooms/{room}?{position}&wait=10")
            assert status == 0
            news = json.loads(output)
            assert news, "nothing in ten seconds"
            heard += news
            position = f"sinceSeq={news[-1]['seq']}"
        await speaking
        assert [m["seq"] for m in heard] == list(range(1, 32))
        assert [m["content"] for m in heard[1:]] == [str(number) for number in range(30)]


async def curl_is_told_why_there_is_nothing(base):
    for path, status in [("/sse/rooms/a/b", "404"), ("/poll/rooms/r?wait=x", "400"), ("/sse/rooms/r?since=x", "400")]:
        output, _ = await curl("--output", os.devnull, "--write-out", "%{http_code}", http(base) + path)
        assert output == status, (path, output)


if __name__ == "__main__":
    scenarios = [
        curl_reads_a_room_and_comes_back,
        a_loop_of_curl_polls_gets_every_message_once,
        curl_is_told_why_there_is_nothing,
    ]
    sys.exit(run_scenarios("curl", sys.argv[1], scenarios))
