"""Every expression that the repository tells operators, evaluated by Prometheus."""

import math
import re

import dashboard
import harness
import traffic

ALERT_TESTS = harness.ROOT / "tests" / "prometheus" / "alerts.test.yml"
METRICS_PAGE = harness.ROOT / "docs" / "metrics.md"
ALL = ".+"
# Panels and questions that have nothing to show under the load of this check, and why. There is none: it hits limits, ends
# sessions badly and lags.
SILENT = {}


def of_the_page():
    """The questions of `docs/metrics.md`, each with its expressions."""
    section = METRICS_PAGE.read_text().partition("## Questions")[2]
    for row in re.findall(r"^\| ([^|]+) \| (`.+`) \|$", section, re.MULTILINE):
        yield from ((row[0], text.replace(r"\|", "|")) for text in re.findall(r"`([^`]+)`", row[1]))


def all_of(instance):
    """Where each stands, the expression, and the form of its legend."""
    for title, text, legend in dashboard.targets():
        yield f"panel {title!r}", dashboard.expression(text, instance), legend
    for question, text in of_the_page():
        yield f"docs/metrics.md, {question!r}", re.sub(r"\[\dm\]", "[10s]", text), None


def count():
    """How many there are, those of the rules not counted."""
    return sum(1 for _ in all_of(ALL))


def only(server):
    """One server, as Grafana escapes it: as a regular expression, and that as a string of PromQL."""
    return re.escape(server.address).replace("\\", "\\\\")


def silent(prometheus, busy, node):
    """Those that are not valid, or without a number all the time: for all servers, and for the busy one alone, or for the one
    that is in a cluster where that is meant."""
    for of_cluster, instance in [(None, ALL), (False, only(busy)), (True, only(node))]:
        for where, text, legend in all_of(instance):
            if of_cluster is not None and of_cluster != ("foghorn_cluster_" in text):
                continue
            try:
                found = [(labels, values) for labels, values in prometheus.lately(text) if values]
            except harness.Failure as refused:
                yield f"{where}: {refused}\n    {text}"
                continue
            finite = [labels for labels, values in found if any(math.isfinite(value) for value in values)]
            if (not finite) != (where in SILENT):
                yield f"{where}: {'nothing' if not finite else 'it does have something'} to show\n    {text}"
            if legend is not None:
                names = [dashboard.legend(legend, labels) for labels, _ in found]
                if len(set(names)) != len(names) or "" in names:
                    yield f"{where}: its series are called {sorted(names)}"


def untrue(prometheus, servers):
    """Where a value is another one than what is known from outside."""
    offered = sorted(labels["instance"] for labels in prometheus.now("foghorn_build_info"))
    if offered != sorted(server.address for server in servers):
        yield f"the dashboard offers the servers {offered}"
    targets = {(title, legend): text for title, text, legend in dashboard.targets()}
    resident = prometheus.value(dashboard.expression(targets["Memory", "resident"], ALL))
    foghorn = prometheus.value('sum(process_resident_memory_bytes{job="foghorn"})')
    if not foghorn * 0.5 < resident < foghorn * 1.5:
        yield f"panel 'Memory' says that the servers have {resident} bytes, and they have {foghorn}"
    for at_least, text in [
        (1, targets["Members that lag", "more than 10"]),
        (10, targets["Longest lag", "messages"]),
    ]:
        seen = prometheus.lately(dashboard.expression(text, ALL))
        most = max((value for _, values in seen for value in values), default=0)
        if most < at_least:
            yield f"a member lagged, and all that was ever seen of it is {most}: {text}"


def untrue_of_the_cluster(prometheus, nodes):
    """The same of what a cluster counts."""
    targets = {(title, legend): text for title, text, legend in dashboard.targets()}
    shown = prometheus.now('foghorn_cluster_contact == 1')
    if sorted(labels["instance"] for labels in shown) != sorted(node.address for node in nodes):
        yield f"Redis answers these nodes, they say: {shown}"
    count = prometheus.value(dashboard.expression(targets["Cluster: nodes, batches in doubt", "nodes"], ALL))
    if count != len(nodes):
        yield f"{len(nodes)} nodes say that they are {count}"
    heard = prometheus.value('min(foghorn_cluster_announcements_total{outcome="shown"})')
    if heard < traffic.CLUSTER_MESSAGES:
        yield f"a node was told of {heard} messages of the other one, and there were more than {traffic.CLUSTER_MESSAGES}"


def rules_that_fail(prometheus):
    """Rules that Prometheus does not evaluate, that ask for series that no server has, or that have no test."""
    (group,) = prometheus.ask("rules")["groups"]
    tests = ALERT_TESTS.read_text()
    for rule in group["rules"]:
        if rule["health"] != "ok":
            yield f"rule {rule['name']} is {rule['health']}: {rule.get('lastError')}"
        if f'alertname="{rule["name"]}"' not in tests:
            yield f"rule {rule['name']}: {ALERT_TESTS.name} never lets it fire"
        for selector in selectors(rule["query"]):
            if not prometheus.now(selector):
                yield f"rule {rule['name']}: no server has {selector}"


def selectors(text):
    """The series that an expression asks for, those of an alternative of a label each by itself."""
    for name, labels in re.findall(r"\b(up|(?:foghorn|process)_\w+)(\{[^}]*\})?", text):
        alternatives = re.search(r'(\w+)=~"([\w.|]+)"', labels)
        if alternatives is None:
            yield name + labels
            continue
        for one in alternatives[2].split("|"):
            yield name + labels.replace(alternatives[0], f'{alternatives[1]}="{one}"')
