"""Dashboard, alert rules and docs/metrics.md name what is exported, and nothing else."""

import json
import re
import shutil
import subprocess
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.catalogs import write
from tests.support.command import run_hcctl
from tests.support.journals import Past

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "metrics.md").read_text()
RULES = (DOCS / "alert-rules.yml").read_text()
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text())
RECORDED = set(re.findall(r"record: (\S+)", RULES))
NAME = re.compile(r"\b(?:check:)?hcrun_\w+(?::\w+)?")
EXPRESSIONS = re.findall(r"expr: (?:>-\n((?: {10,}.*\n)+)|(.*))", RULES)


@pytest.fixture
def exported(tmp_path: Path) -> dict[str, tuple[str, str, set[str]]]:
    """Name -> kind, help and labels of all that there can be."""
    past = Past(tmp_path)
    line = "PROBE OK - well | a=1s b=2B c=3% d=4 e=5c"
    line += " tenants::tenant_up/acme=1 tenants::tenant_time/acme=1s"  # as of probe-all
    now = time.time()
    for hour in reversed(range(1, 100)):  # then slower than ever
        past.run("job", now - 60 - hour * 3600, 1.0)
    past.run("job", now - 60, 9.0, output=line, pending=True)
    path = write(tmp_path, job='every = "5m"\nslo = { availability = 99 }')
    done = run_hcctl(tmp_path, "metrics", "--catalog", path)
    assert (done.returncode, done.stderr) == (0, "")
    found = {}
    for family in text_string_to_metric_families(done.stdout):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, family.documentation, labels)
    return found


Exported = dict[str, tuple[str, str, set[str]]]


def test_page_has_all_of_it(exported: Exported) -> None:
    rows = re.findall(r"^\| `(hcrun_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", PAGE, re.MULTILINE)
    assert {
        name: (kind, words, set(filter(None, labels.split(", "))))
        for name, kind, labels, words in rows
    } == exported


def test_page_has_the_columns_of_the_view() -> None:
    table = PAGE.partition("| column | |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    sql = (files("hcrun.metrics") / "sql_view.sql").read_text()
    head = sql.partition("RETURNS TABLE")[2].partition("LANGUAGE")[0]
    columns = re.findall(r"^    (\w+) ", head, re.MULTILINE)
    assert columns[0] == "service_name"
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == columns


def test_rules_name_what_is_exported(exported: Exported) -> None:
    text = " ".join("".join(each) for each in EXPRESSIONS)
    assert len(EXPRESSIONS) == RULES.count("expr:") == 12
    named = set(NAME.findall(text))
    assert named <= set(exported) | RECORDED
    assert named >= RECORDED
    assert set(re.findall(r'result=~"([\w|]+)"', text)) == {
        "fail|held|lost",
        "success|fail|held|lost",
    }


def test_page_names_the_alerts() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES)
    assert re.findall(r"^\| `(Hcrun\w+)`", PAGE, re.MULTILINE) == alerts


def expressions(node: Any) -> list[str]:
    """All that the dashboard asks Prometheus."""
    if isinstance(node, list):
        return [each for item in node for each in expressions(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("expr", "definition") if key in node]
    return own + [each for item in node.values() for each in expressions(item)]


def test_dashboard_names_what_is_exported_and_all_of_it(exported: Exported) -> None:
    text = " ".join(expressions(DASHBOARD))
    named = set(NAME.findall(text))
    assert named <= set(exported) | RECORDED
    assert set(exported) <= named
    labels = set(re.findall(r"(\w+)=~?\"", text)) | {
        label for words in re.findall(r"by \(([\w, ]+)\)", text) for label in words.split(", ")
    }
    known = {label for _, _, given in exported.values() for label in given}
    assert labels <= known | {"instance"}


def test_dashboard_is_in_order() -> None:
    panels = DASHBOARD["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert x < 24
                assert (x, y) not in taken
                taken.add((x, y))
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = {name for name in re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)) if name[:2] != "__"}
    assert used == variables


def test_dashboard_has_limits_of_the_budget_and_links_to_healthchecks() -> None:
    panels = {panel["title"]: panel["fieldConfig"] for panel in DASHBOARD["panels"]}
    graph = panels["Error budget left"]["defaults"]
    assert graph["custom"]["thresholdsStyle"]["mode"] == "dashed+area"  # otherwise none is shown
    columns = {
        column["matcher"]["options"]: {each["id"]: each["value"] for each in column["properties"]}
        for column in panels["Checks"]["overrides"]
    }
    limits = [(step["color"], step["value"]) for step in graph["thresholds"]["steps"]]
    assert limits == [("red", None), ("orange", 0.001), ("green", 0.25)]
    assert columns["budget left"]["thresholds"] == graph["thresholds"]
    [link] = columns["check"]["links"]
    assert link["url"] == "${healthchecks}?search=${__value.text}"
    [link] = panels["Failed runs"]["defaults"]["links"]
    assert link["url"] == "${healthchecks}?search=${__field.labels.check}"
    assert [link["url"] for link in DASHBOARD["links"]] == ["${healthchecks}"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
@pytest.mark.parametrize(
    "command", ["check rules docs/alert-rules.yml", "test rules tests/alert-rules-test.yml"]
)
def test_promtool(command: str) -> None:
    promtool(command, "")


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_promtool_accepts_what_is_exported(tmp_path: Path, exported: Exported) -> None:
    assert exported
    promtool("check metrics", run_hcctl(tmp_path, "metrics").stdout)


def promtool(command: str, text: str) -> None:
    done = subprocess.run(
        ["promtool", *command.split()],
        cwd=DOCS.parent,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
