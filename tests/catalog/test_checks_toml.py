"""The built-in catalogue. test_catalogue_docs.py has its schedules, time-outs and graces."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hcrun import catalog
from hcrun.catalog import Check, schedule
from hcrun.ctl.main import main
from hcrun.run.options import parse
from hcrun.schedulers import invocation
from hcrun.settings import Settings
from probes.framework.options import Source
from scripts.docs.probe_pages import scripts

CATALOG = catalog.load(catalog.SHIPPED, Settings({}, {}))
CHECKS = CATALOG.checks
BIN = Path(sys.executable).parent


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
    assert {check.environment for check in CHECKS} == {"production"}


def test_what_is_promised() -> None:
    promised = {check.slug: (check.slo.kind, check.slo.percent) for check in CHECKS if check.slo}
    assert promised.pop("api") == ("availability", 99.9)
    assert promised.pop("healthchecks") == ("availability", 99.9)
    assert promised.pop("postgres") == promised.pop("redis") == ("availability", 99.95)
    assert promised.pop("refresh-expiring-tokens") == ("success", 99)
    jobs = {check.slug for check in CHECKS if check.tier == "3"} - {"refresh-expiring-tokens"}
    assert promised == dict.fromkeys(jobs, ("success", 95))


SENDING = 5  # seconds: the ping, and sendalerts, which looks every 2 s
PROBES = [check for check in CHECKS if check.command and invocation.is_probe(check)]


@pytest.mark.parametrize("check", PROBES, ids=lambda check: check.slug)
def test_one_slow_answer_alerts_nobody(check: Check) -> None:
    """By fail_after for the shortest periods, by a retry for others."""
    job = parse(invocation.command_line(check, "hcrun")[1:])
    often = schedule.period(check.schedule) <= 30
    found = (job.fail_after, job.retries, job.retry_delay)
    assert found == ((2, 0, 0) if often else (1, 1, 15))
    assert job.recover_after == (2 if check.tier == "4" else 1)


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.tier == "1"], ids=lambda check: check.slug
)
def test_an_outage_of_tier_1_alerts_within_two_minutes(check: Check) -> None:
    """One that begins after a look, and in which each probe hangs and must be killed."""
    job = parse(invocation.command_line(check, "hcrun")[1:])
    longest = invocation.longest_run(check)
    assert longest
    assert job.fail_after * schedule.period(check.schedule) + longest + SENDING <= 120


RUNBOOK = re.findall(
    r"^## (?:probe-)?(\S+)$", Path("docs/runbook.md").read_text(encoding="utf-8"), re.M
)
ROOTS = {"channels-test", "healthchecks-backup", "restore-drill"}  # which only root may read


@pytest.mark.parametrize("check", CHECKS, ids=[check.slug for check in CHECKS])
def test_the_actions_are_in_the_description(check: Check) -> None:
    steps = re.findall(r"^(\d)\. (Logs|Restart|Depends on): \S", check.description, re.M)
    assert [number for number, _ in steps] == ["1", "2", "3"][: len(steps)]
    words = [word for _, word in steps]
    level = CATALOG.tiers[check.tier].level
    assert check.description.startswith(f"Severity: {level}\nEnvironment: production\n\n")
    assert check.title == f"[{level} production] {check.name}"
    assert check.tags[:3] == (f"severity:{level}", f"tier:{check.tier}", "env:production")
    (section,) = re.findall(r"\n\nRunbook: hcctl docs runbook (\S+)$", check.description)
    assert section in RUNBOOK
    assert words == [word for word in ("Logs", "Restart", "Depends on") if word in words]
    if check.tier in ("1", "2", "3") and check.slug not in ("vault", "all"):
        assert "Depends on" in words
    assert check.tier not in ("1", "2") or words[:2] == ["Logs", "Restart"]


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.command], ids=lambda check: check.slug
)
def test_the_commands_are_right(check: Check) -> None:
    """Their own parsers read them; and each ends by itself before hcrun ends it."""
    program, *arguments = check.command
    parse([*check.options, check.slug, "--", *check.command])
    assert check.user == ("root" if check.slug in ROOTS else "hcrun")
    probes = {script.name: script for script in scripts()}
    if program == "hcrun-mail":
        assert arguments[0] == "root"
        program, *arguments = arguments[1:]
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
    assert sum(catalog.TIER_TAG + "1" in other.tags for other in CHECKS) == 7
