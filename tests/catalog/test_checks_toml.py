"""The catalogue that hcrun has built in: the whole plan, with commands that are right."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
import pytest

from hcrun import catalog
from hcrun.catalog import Check
from hcrun.catalog.schedule import Cron, Every
from hcrun.ctl.main import main
from hcrun.run.options import parse
from hcrun.settings import Settings
from probes.framework.options import Source
from scripts.docs.probe_pages import scripts

CHECKS = catalog.load(catalog.SHIPPED, Settings({}, {})).checks
MINUTE, HOUR = 60, 3600
BIN = Path(sys.executable).parent

# slug, tier, every so many seconds or when, time-out, grace
PLAN = [
    ("postgres", "1", 30, 10, 2 * MINUTE),
    ("redis", "1", 30, 5, 2 * MINUTE),
    ("api", "1", 60, 15, 3 * MINUTE),
    ("celery-worker-sso", "1", 60, 10, 5 * MINUTE),
    ("celery-beat", "1", 60, 5, 5 * MINUTE),
    ("healthchecks", "1", 60, 10, 5 * MINUTE),
    ("kafka", "2", 120, 10, 5 * MINUTE),
    ("zookeeper", "2", 120, 5, 5 * MINUTE),
    ("kafka-consumer", "2", 120, 10, 5 * MINUTE),
    ("minio", "2", 300, 10, 10 * MINUTE),
    ("vault", "2", 300, 10, 10 * MINUTE),
    ("refresh-expiring-tokens", "3", "*/15 * * * *", None, 5 * MINUTE),
    ("health-check", "3", "*/5 * * * *", 30, 2 * MINUTE),
    ("cleanup-expired-tokens", "3", "0 2 * * *", None, HOUR),
    ("expired-tokens", "3", "15 3 * * *", 60, HOUR),
    ("rotate-encryption-keys", "3", "0 3 1 * *", None, 2 * HOUR),
    ("encryption-keys", "3", "30 5 * * *", 30, HOUR),
    ("all", "3", 600, 60, 20 * MINUTE),
    ("healthchecks-backup", "3", "30 1 * * *", HOUR, 2 * HOUR),
    ("maintenance", "3", 300, 60, 10 * MINUTE),
    ("active-tenants", "4", 1800, 60, HOUR),
    ("failed-logins", "4", 300, 30, 10 * MINUTE),
    ("api-p95", "4", 300, 60, 10 * MINUTE),
    ("database-connections", "4", 300, 10, 10 * MINUTE),
    ("redis-memory", "4", 600, 10, 20 * MINUTE),
    ("consumer-lag", "4", 300, 10, 10 * MINUTE),
    ("s3-usage", "4", 1800, 30, HOUR),
    ("token-refresh-rate", "4", 900, 30, 30 * MINUTE),
    ("weekly-report", "4", "0 7 * * 1", 10 * MINUTE, HOUR),
    ("escalation", "emergency", 60, 10, 5 * MINUTE),
]


def test_the_plan() -> None:
    found = [
        (
            check.slug,
            check.tier,
            check.schedule.seconds if isinstance(check.schedule, Every) else expression(check),
            check.timeout,
            check.grace,
        )
        for check in CHECKS
    ]
    assert Counter(found) == Counter(PLAN)
    assert {check.environment for check in CHECKS} == {"production"}


def expression(check: Check) -> str:
    assert isinstance(check.schedule, Cron)
    return check.schedule.expression


def test_who_is_told() -> None:
    by_tier = {
        "emergency": ("email", "slack", "pagerduty", "phone"),
        "1": ("email", "slack", "pagerduty"),
        "2": ("email", "slack"),
        "3": ("email", "slack"),
        "4": ("email",),
    }
    assert {check.tier: check.channels for check in CHECKS} == by_tier
    assert {(check.tier, check.channels) for check in CHECKS} == set(by_tier.items())


def test_what_is_promised() -> None:
    promised = {check.slug: (check.slo.kind, check.slo.percent) for check in CHECKS if check.slo}
    assert promised.pop("api") == ("availability", 99.9)
    assert promised.pop("healthchecks") == ("availability", 99.9)
    assert promised.pop("postgres") == promised.pop("redis") == ("availability", 99.95)
    assert promised.pop("refresh-expiring-tokens") == ("success", 99)
    jobs = {check.slug for check in CHECKS if check.tier == "3"} - {"refresh-expiring-tokens"}
    assert promised == dict.fromkeys(jobs, ("success", 95))


@pytest.mark.parametrize("check", CHECKS, ids=[check.slug for check in CHECKS])
def test_the_actions_are_in_the_description(check: Check) -> None:
    words = re.findall(r"^(Logs|Restart|Depends on): \S", check.description, re.M)
    assert words == [word for word in ("Logs", "Restart", "Depends on") if word in words]
    assert (
        check.tier not in ("1", "2", "3")
        or "Depends on" in words
        or check.slug in (*("vault", "all"),)
    )
    assert check.tier not in ("1", "2") or words[:2] == ["Logs", "Restart"]


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.command], ids=lambda check: check.slug
)
def test_the_commands_are_right(check: Check) -> None:
    """Their own parsers read them; and each ends by itself before hcrun ends it."""
    program, *arguments = check.command
    parse([*check.options, check.slug, "--", *check.command])
    assert check.user == ("root" if check.slug == "healthchecks-backup" else "hcrun")
    probes = {script.name: script for script in scripts()}
    if program == "hcctl":
        name, *rest = arguments
        found = main.get_command(click.Context(main), name)
        assert found
        found.make_context(name, rest)
    elif program == "sh":
        assert arguments[0] == "-c"
        subprocess.run(["sh", "-n", "-c", arguments[1]], check=True)
    elif probe := probes[program].probe:
        look = probe.prepare(arguments, Source(Settings({}, {}), probe.url))
        assert check.timeout
        assert check.timeout - look.options["timeout"] == 1
    else:
        assert (program, arguments) == ("probe-all", ["--timeout", "50s"])


def test_nothing_is_asked_of_escalation_but_tier_1() -> None:
    [check] = [check for check in CHECKS if check.slug == "escalation"]
    assert "--tag" not in check.command
    shown = subprocess.run([BIN / "probe-escalation", "--help"], capture_output=True, text=True)
    assert f"default: {catalog.TIER_TAG}1]" in shown.stdout
    assert sum(catalog.TIER_TAG + "1" in other.tags for other in CHECKS) == 6
