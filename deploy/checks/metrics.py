"""Dashboards and alert rules: every query names metrics and labels that the server sends."""

import json
import re
import subprocess
from pathlib import Path

import promql_parser
import yaml

# What Grafana puts in before it asks.
VARIABLES = {"$__rate_interval": "5m", "$database": "shop"}
# Labels that are no attribute of a metric: of a histogram, and of who sends.
ADDED = {"le", "job", "instance", "__name__"}
# Suffixes that say a unit; docs/metrics.md names the units in UCUM.
UNITS = {"s": "seconds", "By": "bytes"}
GRAFANA_UNITS = {"seconds": {"s"}, "bytes": {"bytes", "Bps"}}


def check(root, tools):
    series = known_series(root)
    problems = []
    for place, query in queries(root):
        problems += [f"{place}: {problem}" for problem in wrong_in(query, series)]
    problems += unused(root, series)
    problems += layout(root)
    problems += anchors(root)
    return problems + rules(root, tools)


def known_series(root):
    """The labels of each series, under the name that exporters for Prometheus give it."""
    names = (root / "server/src/telemetry/names.rs").read_text()
    in_code = dict(re.findall(r'name: "(switchback\.\w+)",\s*unit: "([^"]*)"', names))
    rows = re.findall(
        r"^\| `(switchback\.\w+)` \|[^|]*\|[^|]*\|[^|]*\| (\w+); (.*) \|$",
        (root / "docs/metrics.md").read_text(),
        re.MULTILINE,
    )
    kinds = {name: (kind, re.sub(r"\(.*?\)", "", labels)) for name, kind, labels in rows}
    series = {}
    for name, unit in in_code.items():
        if name not in kinds:
            raise SystemExit(f"error: docs/metrics.md does not list {name} with its kind and attributes")
        kind, labels = kinds[name]
        labels = set(re.findall(r"`(\w+)`", labels))
        for suffix in {"gauge": [""], "counter": ["_total"]}.get(kind, ["_bucket", "_sum", "_count"]):
            series[prometheus_name(name, unit) + suffix] = labels
    return series


def prometheus_name(name, unit):
    """As OpenTelemetry's specification of the compatibility with Prometheus has it: dots become
    underscores, the unit is appended where it is not there, and one in braces is dropped."""
    name = name.replace(".", "_")
    word = "" if unit.startswith("{") else UNITS.get(unit, unit)
    return name if not word or word in name.split("_") else f"{name}_{word}"


def queries(root):
    """Each query and where it stands."""
    board = json.loads((root / "deploy/grafana/switchback.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']!r}", target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']!r}", annotation["expr"]
    for variable in board["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", ""))
        if asked:
            yield f"variable {variable['name']!r}", "max by ({1}) ({0})".format(*asked.groups())
    for rule in alerts(root):
        yield f"alert {rule['alert']}", rule["expr"]


def alerts(root):
    text = yaml.safe_load((root / "deploy/prometheus/rules.yml").read_text())
    return [rule for group in text["groups"] for rule in group["rules"]]


def wrong_in(query, series):
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    try:
        tree = promql_parser.parse(query)
    except ValueError as error:
        return [f"is no PromQL: {error}"]
    problems, labels = [], set()

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            if node.name not in series:
                problems.append(f"no metric is called {node.name}")
            named = {matcher.name for matcher in node.matchers.matchers}
            labels.update(series.get(node.name, set()))
            problems.extend(
                f"{node.name} has no label {label}"
                for label in sorted(named - series.get(node.name, named) - ADDED)
            )

    promql_parser.walk(tree, visit)
    grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
    for label in {word.strip() for group in grouped for word in group.split(",")}:
        if label not in labels | ADDED:
            problems.append(f"groups by {label}, which none of its metrics has")
    return problems


def unused(root, series):
    """A metric that no panel shows is one that nobody sees."""
    board = (root / "deploy/grafana/switchback.json").read_text()
    return [f"no panel shows {name}" for name in series if not re.search(rf"\b{name}\b", board)]


def layout(root):
    """What Grafana does not complain about: panels that share an id or a place, and wrong units."""
    board = json.loads((root / "deploy/grafana/switchback.json").read_text())
    problems, ids, taken = [], set(), {}
    for panel in board["panels"]:
        title, grid = panel["title"], panel["gridPos"]
        if panel["id"] in ids:
            problems.append(f"panel {title!r}: its id is taken")
        ids.add(panel["id"])
        if grid["x"] + grid["w"] > 24:
            problems.append(f"panel {title!r}: is wider than the page")
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if (x, y) in taken:
                    problems.append(f"panel {title!r}: covers {taken[x, y]!r}")
                taken[x, y] = title
        problems += wrong_unit(panel)
    return sorted(set(problems))


def wrong_unit(panel):
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
    for word, allowed in GRAFANA_UNITS.items():
        for target in panel.get("targets", []):
            # Where queries have several units, the columns say which.
            if unit and f"_{word}" in target["expr"] and unit not in allowed:
                yield f"panel {panel['title']!r}: {word} are shown as {unit}"


def anchors(root):
    """An alert names the part of the runbook that says what to do."""
    problems = []
    for rule in alerts(root):
        page, anchor = rule["annotations"]["runbook"].split("#")
        if anchor not in headings(root / page):
            problems.append(f"alert {rule['alert']}: {page} has no #{anchor}")
    return problems


def headings(page):
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            yield words.replace(" ", "-")


def rules(root, tools):
    """Prometheus' own opinion of the rules, and their tests."""
    problems = []
    directory = root / "deploy/prometheus"
    for arguments in (["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]):
        command = [tools / "prometheus/usr/bin/promtool", *arguments]
        ran = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        if ran.returncode:
            problems.append(f"promtool {' '.join(arguments)}:\n{ran.stdout}{ran.stderr}")
    tested = (directory / "rules_test.yml").read_text()
    untested = [
        rule["alert"] for rule in alerts(root) if not re.search(rf"\b{rule['alert']}\b", tested)
    ]
    return problems + [f"alert {name} has no test" for name in untested]
