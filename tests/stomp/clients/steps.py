"""Reads the scenarios in `scenarios/*.txt` and makes them the steps that both runners take.

The notation is told in `scenarios/README.md`; what does not follow it is an error with file and line.
"""

import json
import pathlib
import re

import harness

DIRECTORY = pathlib.Path(__file__).resolve().parent / "scenarios"
# What only a Foghorn has, and what only one has that asks for tokens; the other lists are for every broker.
FOGHORN = ("foghorn",)
GUARDED = ("guarded",)

TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
STRING = re.compile(r'("(?:[^"\\]|\\.)*")(?:\*(\d+))?')
LOOP = re.compile(r"\s+for (\d+)\.\.(\d+)$")
# Verbs of one word and more, each with whether it takes headers and strings.
VERBS = {
    "connects": (True, False),
    "opens": (False, False),
    "speaks": (False, False),
    "sends": (False, True),
    "sends binary": (False, True),
    "gets nothing": (False, False),
    "gets": (True, True),
    "is closed": (False, False),
    "is cut": (False, False),
    "leaves": (False, False),
    "waits": (False, False),
    "chats": (True, False),
    "says": (True, True),
    "hears": (True, False),
}


def common_lists():
    """The names of the lists that every broker is asked to follow."""
    apart = {*FOGHORN, *GUARDED}
    return sorted(path.stem for path in DIRECTORY.glob("*.txt") if path.stem not in apart)


def read_lists(names):
    """The scenarios of the lists, in order: `{"name", "steps"}`."""
    scenarios = []
    for name in names:
        scenarios += _read(DIRECTORY / f"{name}.txt")
    seen = set()
    for scenario in scenarios:
        if scenario["name"] in seen:
            raise harness.Failure(f"two scenarios are called «{scenario['name']}»")
        seen.add(scenario["name"])
    return scenarios


def _read(path):
    scenarios = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if not line.startswith(" "):
                scenarios.append({"name": line.strip(), "steps": []})
            else:
                scenarios[-1]["steps"] += _repeated(line.strip())
        except (ValueError, IndexError) as error:
            raise harness.Failure(f"{path.name}:{number}: {error}") from None
    return scenarios


def _repeated(line):
    loop = LOOP.search(line)
    if loop is None:
        return [_step(line)]
    first, last = int(loop[1]), int(loop[2])
    body = line[: loop.start()]
    return [_step(re.sub(r"\$i\b", str(i), body)) for i in range(first, last + 1)]


def _step(line):
    tokens = TOKEN.findall(line)
    if tokens[0] == "POST":
        return {"text": line, "verb": "POST", "path": tokens[1]}
    who, *rest = tokens
    step = {"text": line, "who": who}
    verb = rest[0]
    if verb.rstrip("!").isupper():
        step["verb"], step["command"] = "frame", verb.rstrip("!")
        step["awaited"] = verb.endswith("!")
        takes, rest = (True, True), rest[1:]
    else:
        if " ".join(rest[:2]) in VERBS:
            verb = " ".join(rest[:2])
        if verb not in VERBS:
            raise ValueError(f"no verb «{verb}»")
        step["verb"] = verb
        takes, rest = VERBS[verb], rest[len(verb.split()) :]
        if verb == "gets":
            step["command"], rest = rest[0], rest[1:]
    words, headers, strings = [], [], []
    for token in rest:
        if STRING.fullmatch(token):
            strings.append(_string(token))
        elif token.startswith("0x"):
            strings.append({"hex": bytes.fromhex(token[2:]).hex()})
        elif ":" in token and takes[0]:
            headers.append(_header(token))
        else:
            words.append(token)
    if strings and not takes[1]:
        raise ValueError(f"«{verb}» takes no text")
    return step | {"words": words, "headers": headers, "strings": strings}


def _string(token):
    """A string in quotes, as in JSON and with `\\0`; `"x"*7` is seven of them."""
    quoted, count = STRING.fullmatch(token).groups()
    return {"text": _unquoted(quoted) * int(count or 1)}


def _unquoted(quoted):
    return json.loads(re.sub(r"\\(.)", lambda found: r"\u0000" if found[1] == "0" else found[0], quoted))


def _header(token):
    """`name:value`; either may be in quotes."""
    if token.startswith('"'):
        quoted = STRING.match(token)[1]
        name, value = _unquoted(quoted), token[len(quoted) + 1 :]
    else:
        name, _, value = token.partition(":")
    return [name, _unquoted(value) if value.startswith('"') else value]
