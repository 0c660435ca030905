"""Takes the steps of scenarios with `stomp.py`: `python_runner.py PLAN`, one line of JSON per scenario."""

import concurrent.futures
import json
import logging
import os
import pathlib
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from clients import Chatter, Library, Raw

AT_ONCE = 16
WAIT_SECONDS = 10.0
CLOSE_SECONDS = 6.0
QUIET_SECONDS = 0.4
SHOWN_MAX = 40
VARIABLE = re.compile(r"\$([a-z][a-z0-9]*)(?:\+(\d+))?")


class Unmet(Exception):
    """A step that did not come out as the scenario says."""


class Scenario:
    def __init__(self, plan):
        self.plan = plan
        self.clients = {}
        self.values = dict(plan["given"])
        self.awaited = 0
        self.faults = []

    def run(self, steps):
        try:
            for step in steps:
                try:
                    self._take(step)
                except Exception as error:  # whatever went wrong is this scenario's result
                    self._note(step, str(error) if isinstance(error, Unmet) else f"{type(error).__name__}: {error}")
                    return "; ".join(self.faults)
            self._left_over()
            return "; ".join(self.faults) or "ok"
        finally:
            for client in self.clients.values():
                client.cut()

    def _note(self, step, fault):
        self.faults.append(f"`{step['text']}`: {self._anonymous(fault)}")

    def _left_over(self):
        for who, client in self.clients.items():
            left = [frame for frame in client.frames if frame.command not in ("EOL", "CONNECTED", "JSON")]
            if left:
                self.faults.append(f"{who} has a {self._anonymous(_shown(left[0]))} left over")

    def _take(self, step):
        words = step.get("words", [])
        client = self.clients.get(step.get("who"))
        match step["verb"]:
            case "connects":
                client = self.clients[step["who"]] = Library(self.plan["url"], words, self._headers(step))
                self._next(client, "CONNECTED", lambda _: True)
            case "opens":
                self.clients[step["who"]] = Raw(self.plan["url"], words[0].split(",") if words else None)
            case "speaks":
                _demand(_unlike("the subprotocol", client.subprotocol, words[0]))
            case "frame":
                self._frame(client, step)
            case "sends" | "sends binary":
                for string in step["strings"]:
                    client.say(self._bytes([string]), step["verb"] == "sends binary")
            case "gets" | "hears":
                self._get(client, step)
            case "gets nothing":
                self._nothing(client, _seconds(words[0]) if words else QUIET_SECONDS)
            case "is closed":
                self._closed(client, words[0] if words else None)
            case "leaves":
                self._leave(client)
            case "is cut":
                client.cut()
            case "waits":
                time.sleep(_seconds(words[0]))
            case "chats":
                query = urllib.parse.urlencode(self._headers(step))
                self.clients[step["who"]] = Chatter(f"{self.plan['chat']}?{query}")
            case "says":
                client.say(self._bytes(step["strings"]).decode(), self._headers(step))
            case "POST":
                self._post(step["path"])
            case verb:
                raise ValueError(f"no verb {verb}")

    def _frame(self, client, step):
        headers = self._headers(step)
        if step["awaited"]:
            self.awaited += 1
            headers["receipt"] = f"awaited-{self.awaited}"
        client.send(step["command"], headers, self._bytes(step["strings"]))
        if step["awaited"]:
            own = {"receipt-id": headers["receipt"]}
            client.take(self._next(client, "RECEIPT", lambda frame: own.items() <= frame.headers.items()))

    def _get(self, client, step):
        wanted = self._headers(step)
        own = {
            name: wanted[name]
            for name in ("receipt-id", "subscription")
            if name in wanted and not wanted[name].startswith(("?", "=", "!", "-"))
        }
        frame = self._next(client, step.get("command", "JSON"), lambda frame: own.items() <= frame.headers.items())
        client.take(frame)
        # The frame is there: what is wrong with it is noted, and the scenario goes on.
        for name, value in wanted.items():
            if fault := self._compare(name, frame.headers.get(name), value):
                self._note(step, fault)
        if step["strings"]:
            body = self._bytes(step["strings"])
            if frame.body != body:
                self._note(step, f"the body is {_brief(frame.body)} instead of {_brief(body)}")

    def _compare(self, name, found, wanted):
        """What is wrong with a header; None, if it is as wanted."""
        value = wanted[1:]
        match wanted[:1]:
            case "-":
                return None if found is None else f"{name} is there: {_quoted(found)}"
            case "!":
                return f"{name} is {_quoted(found)}" if found == value else None
            case "?":
                return f"{name} is missing" if found is None else None
            case "=":
                if found is None:
                    return f"{name} is missing"
                self.values[value] = found
                return None
            case _:
                return _unlike(name, found, wanted)

    @staticmethod
    def _next(client, command, accept):
        """The next frame of that command, left where it is; an ERROR nobody asked for is a failure."""

        def look():
            errors = []
            for frame in client.frames:
                if frame.command == command and accept(frame):
                    return frame
                if frame.command == "ERROR" or frame.command.startswith("("):
                    errors.append(frame)
            return errors[0] if errors else client.over and "the connection ended"

        found = client.until(look, WAIT_SECONDS)
        if found is None:
            raise Unmet(f"no {command} came")
        if isinstance(found, str):
            raise Unmet(f"{found} instead")
        if found.command != command:
            raise Unmet(f"{_shown(found)} came instead")
        return found

    @staticmethod
    def _nothing(client, seconds):
        def look():
            for frame in client.frames:
                if frame.command not in ("EOL", "CONNECTED"):
                    return frame
            return client.over and "the connection ended"

        found = client.until(look, seconds)
        if found is not None:
            raise Unmet(found if isinstance(found, str) else f"{_shown(found)} came")

    @staticmethod
    def _closed(client, code):
        over = client.until(lambda: client.over, CLOSE_SECONDS)
        if over is None:
            raise Unmet("still open")
        if code:
            _demand(_unlike("the close code", str(over[0]), code))

    def _leave(self, client):
        receipt = "leaving"
        client.send("DISCONNECT", {"receipt": receipt}, b"")
        self._closed(client, None)
        with client.changed:
            client.frames = [frame for frame in client.frames if frame.headers.get("receipt-id") != receipt]

    def _post(self, path):
        request = urllib.request.Request(self.plan["http"] + self._filled(path), method="POST", data=b"")
        try:
            urllib.request.urlopen(request, timeout=WAIT_SECONDS).close()
        except urllib.error.HTTPError as error:
            raise Unmet(f"status {error.code}") from None

    def _headers(self, step):
        return {name: self._filled(value) for name, value in step["headers"]}

    def _bytes(self, strings):
        if not strings:
            return b""
        string = strings[0]
        return bytes.fromhex(string["hex"]) if "hex" in string else self._filled(string["text"]).encode()

    def _filled(self, text):
        """`$name` is what was noted under it, or else a name that nobody else uses; `$name+1` is one more."""

        def value(found):
            name, more = found.groups()
            noted = self.values.setdefault(name, f"{name}-{uuid.uuid4().hex[:8]}")
            return noted if more is None else str(int(noted) + int(more))

        return VARIABLE.sub(value, text)

    def _anonymous(self, text):
        for name, value in self.values.items():
            if len(value) > 4:
                text = text.replace(value, f"${name}")
        return re.sub(r"\s+", " ", text)


def _seconds(word):
    return float(word.removesuffix("s"))


def _unlike(what, found, wanted):
    if found == wanted:
        return None
    if found is None:
        return f"{what} is missing"
    return f"{what} is {_quoted(found)} instead of {_quoted(wanted)}"


def _demand(fault):
    if fault:
        raise Unmet(fault)


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)


def _brief(body):
    if len(body) > SHOWN_MAX:
        return f"of {len(body)} bytes"
    return _quoted(body.decode(errors="replace"))


def _shown(frame):
    if frame.command == "ERROR":
        return f"ERROR {_quoted(frame.headers.get('message', ''))}"
    return f"MESSAGE {_brief(frame.body)}" if frame.command == "MESSAGE" else frame.command


def main():
    # What the library says of lost connections is its way to end them.
    logging.disable()
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    # Text streams are not thread-safe: one that is flushed while another thread writes can lose that line.
    printing = threading.Lock()

    def play(scenario):
        started = time.monotonic()
        outcome = Scenario(plan).run(scenario["steps"])
        seconds = time.monotonic() - started
        with printing:
            print(json.dumps({"name": scenario["name"], "outcome": outcome, "seconds": seconds}), flush=True)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(play, plan["scenarios"]))
    # Threads of the library may still wait for something.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
