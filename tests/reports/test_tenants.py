"""The table of tenants in a report: this period, the one before, and what changed."""

import json
import time
from pathlib import Path

from tests.support.command import run_hcctl
from tests.support.journals import Past

DAY = 86400.0
LINE = (
    "SQL OK - 2 tenants | latency=0.1s tenant/acme/requests={a} tenant/acme/p95={p}s"
    " tenant/*/requests=5 group/topic:x=7\n"
)


def test_tenants_of_two_days(tmp_path: Path) -> None:
    past = Past(tmp_path)
    midnight = time.time() // DAY * DAY
    for at, requests, p95 in ((-1.5, 100, 0.2), (-1.4, 200, 0.2), (-0.5, 300, 0.1)):
        line = LINE.format(a=requests, p=p95)
        past.run("usage", midnight + at * DAY, output=line)
    past.run("plain", midnight - 0.5 * DAY, output="REDIS OK - fine | latency=0.1s\n")
    words = ("report", "day", "--format", "json")
    found = json.loads(run_hcctl(tmp_path, *words, env={"TZ": "UTC"}).stdout)["tenants"]
    rows = [(row["tenant"], row["reading"], row["before"], row["now"]) for row in found]
    assert rows == [
        ("*", "requests", 5, 5),
        ("acme", "p95", 0.2, 0.1),
        ("acme", "requests", 150, 300),
    ]
    text = run_hcctl(tmp_path, "report", "day", env={"TZ": "UTC"}).stdout
    table = text.partition("\nTenants\n")[2]
    assert [line.split() for line in table.splitlines()[1:4]] == [
        ["usage", "*", "requests", "5", "5", "="],
        ["usage", "acme", "p95", "0.1", "s", "0.2", "s", "-50", "%"],
        ["usage", "acme", "requests", "300", "150", "+100", "%"],
    ]


def test_without_tenants_there_is_no_table(tmp_path: Path) -> None:
    Past(tmp_path).run("plain", time.time() - DAY, output="REDIS OK - fine | latency=0.1s\n")
    assert "\nTenants\n" not in run_hcctl(tmp_path, "report", "day").stdout
