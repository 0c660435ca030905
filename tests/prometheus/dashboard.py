"""The dashboard of `deploy/prometheus`, as JSON: its panels, their expressions, and what Grafana would not take."""

import itertools
import json
import re

import harness

FILE = harness.ROOT / "deploy" / "prometheus" / "grafana.json"
# Of Grafana 10 and 11; every later version reads it.
SCHEMA_VERSION = 39
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Those of Grafana's units that are in use here.
UNITS = {"short", "reqps", "ops", "Bps", "s", "bytes"}
COLUMNS = 24
# What Grafana puts in place of these; a rate needs several scrapes, which come each second here.
RATE_INTERVAL = "10s"
# Whole: what is missing is another thing in another version of Grafana.
OPTIONS = {
    "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
PANEL_KEYS = {"id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets"}


def load():
    return json.loads(FILE.read_text())


def targets():
    """Each expression as it stands, with the title of its panel and the form of its legend."""
    for panel in load()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def expression(text, instance):
    """An expression as Grafana sends it if this server, as a regular expression, is chosen."""
    text = text.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", instance)
    assert "$" not in text, f"a variable that the dashboard does not have: {text}"
    return text


def legend(form, labels):
    """What Grafana writes at a series."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), form).strip()


def mistakes():
    """What is wrong with the file itself."""
    board = load()
    if board["schemaVersion"] != SCHEMA_VERSION:
        yield f"the dashboard names the schema {board['schemaVersion']}, and is checked as {SCHEMA_VERSION}"
    yield from variables(board["templating"]["list"])
    for number in ["id", "title"]:
        values = [panel[number] for panel in board["panels"]]
        if len(set(values)) != len(values):
            yield f"two panels have one {number}"
    for one, other in itertools.combinations(board["panels"], 2):
        if overlap(one["gridPos"], other["gridPos"]):
            yield f"the panels {one['title']!r} and {other['title']!r} lie on each other"
    for panel in board["panels"]:
        yield from (f"panel {panel['title']!r}: {what}" for what in mistakes_of(panel))


def variables(found):
    by_name = {variable["name"]: variable for variable in found}
    if list(by_name) != ["datasource", "instance"]:
        yield f"the dashboard's variables are {list(by_name)}; one can be chosen only after those that it needs"
        return
    source, instance = by_name.values()
    if (source["type"], source["query"]) != ("datasource", "prometheus"):
        yield "the data source cannot be chosen among those that are a Prometheus"
    if instance["datasource"] != DATA_SOURCE or instance["query"] != "label_values(foghorn_build_info, instance)":
        yield "the servers are not those of the data source that was chosen"
    if not (instance["multi"] and instance["includeAll"] and instance["allValue"] == ".+" and instance["refresh"] == 2):
        yield "all servers, or several, cannot be chosen, or those of the chosen time are not found"


def overlap(one, other):
    apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not apart and not above


def mistakes_of(panel):
    if set(panel) != PANEL_KEYS:
        yield f"its keys are {sorted(panel)}"
    if panel["type"] != "timeseries" or not panel["description"].endswith("."):
        yield "no time series with a sentence that says what it shows"
    place = panel["gridPos"]
    if place["x"] + place["w"] > COLUMNS:
        yield f"it is wider than the page: {place}"
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["unit"] not in UNITS:
        yield f"Grafana has no unit {defaults['unit']!r}"
    if defaults["min"] != 0:
        yield "its axis does not begin at 0"
    if panel["options"] != OPTIONS:
        yield f"its legend and its tooltip are not those of the others: {panel['options']}"
    letters = [target["refId"] for target in panel["targets"]]
    if letters != [chr(ord("A") + at) for at in range(len(letters))]:
        yield f"its targets are called {letters}"
    for target in [panel, *panel["targets"]]:
        if target["datasource"] != DATA_SOURCE:
            yield "it does not ask the data source that was chosen"
    for target in panel["targets"]:
        yield from mistakes_of_target(target, defaults["unit"])


def mistakes_of_target(target, unit):
    text = target["expr"]
    if len(re.findall(r"\bfoghorn_\w+\{|\bprocess_\w+\{", text)) != text.count('instance=~"$instance"'):
        yield f"not all of it is of the chosen servers: {text}"
    of_time = ["_seconds_bucket"] if unit == "s" else ["_bytes"] if unit in ("Bps", "bytes") else None
    if of_time and not any(part in text for part in of_time):
        yield f"the unit {unit!r} is not that of {text}"
    # A rate by another one is none.
    is_rate = text.count("rate(") == 1 and "histogram_quantile" not in text
    if (unit in ("ops", "reqps", "Bps")) != is_rate:
        yield f"a rate and the unit {unit!r} do not agree: {text}"
