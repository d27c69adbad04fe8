"""What each finding of `hcctl doctor` says; the whole command is in test_doctor.py."""

import os
import py_compile
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import SHIPPED, Catalog
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule
from hcrun.doctor import checks, host, install, jobs, journal, pings, server, settings, times
from hcrun.doctor.finding import Finding, ok, within
from hcrun.journal.inspection import Inspection
from hcrun.ping.http import Reply
from hcrun.run.job import Job
from hcrun.schedulers.installed import Crontabs, Line, Timers, hcruns
from hcrun.schedulers.users import User, can_access
from hcrun.settings import Settings
from tests.support.catalogs import a_check

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0


def text(findings: Iterator[Finding] | list[Finding] | Finding) -> list[str]:
    every = [findings] if isinstance(findings, Finding) else list(findings)
    return [f"{one.severity}: {one.what}" for one in every]


def remote(slug: str = "job", **more: Any) -> RemoteCheck:
    given: dict[str, Any] = {
        "name": slug,
        "slug": slug,
        "tags": "",
        "desc": "",
        "status": "up",
        "started": False,
        "last_ping": None,
        "next_ping": None,
        "grace": 3600,
        "n_pings": 1,
        "methods": "",
        "manual_resume": False,
        "channels": "1",
        "uuid": f"uuid-of-{slug}",
    }
    return RemoteCheck.from_json(given | more)


def catalogue(*slugs: str, path: str = "checks.toml") -> Catalog:
    return Catalog(path, tuple(a_check(slug) for slug in slugs), {}, {}, {})


def iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))


# Settings


def test_every_setting_of_the_code_is_known() -> None:
    """One that is not would be called a misspelling."""
    source = "".join(
        path.read_text() for name in ("hcrun", "probes") for path in (ROOT / name).rglob("*.py")
    )
    used = set(re.findall(r'"(HEALTHCHECKS_[A-Z_]*[A-Z])"', source))
    assert {name.removesuffix("_FILE") for name in used} <= settings.PLAIN | settings.SECRETS


def test_where_settings_come_from(tmp_path: Path) -> None:
    (tmp_path / "healthchecks_read_key").write_text("r")
    environ = {
        "HEALTHCHECKS_PING_URL": "https://user:password@hc.example.com/ping",
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "HC_CHECK_A_B": "x",
    }
    from_file = {
        "HEALTHCHECKS_PING_URL": "https://elsewhere",
        "HEALTHCHECKS_API_KEY_FILE": "/etc/hcrun/api.key",
        "HEALTHCHECKS_PING_KEY": "k",
        "HC_CHECK_C": "y",
    }
    found = settings.in_use(Settings(environ, from_file, "/etc/hcrun/hcrun.env"))
    assert [(one.name, one.value, one.source) for one in found] == [
        ("HC_CHECK_*", "a-b, c", "environment, /etc/hcrun/hcrun.env"),
        ("HEALTHCHECKS_API_KEY", "(secret)", "/etc/hcrun/api.key (named in /etc/hcrun/hcrun.env)"),
        ("HEALTHCHECKS_PING_KEY", "(secret)", "/etc/hcrun/hcrun.env"),
        ("HEALTHCHECKS_PING_URL", "https://hc.example.com/ping", "environment"),
        ("HEALTHCHECKS_READ_KEY", "(secret)", str(tmp_path / "healthchecks_read_key")),
    ]


def test_misspelt() -> None:
    found = settings.evaluate(Settings({"HEALTHCHECKS_API_KEYS": "x", "HEALTHCHECKS_ZZZ": "y"}, {}))
    assert [one.fix for one in found if one.severity == "warning"] == [
        "rename it to HEALTHCHECKS_API_KEY, or remove it",
        "remove it",
    ]


# Pings and keys


def reply(status: int, text: str = "", error: str = "") -> Reply:
    made = Reply(status, error)
    made.text = text
    return made


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(404, "not found"), "ok: {} accepts pings"),
        (reply(200, "OK (not found)"), "ok: {} accepts pings"),
        (reply(0, error="no answer in time"), "error: cannot reach {}: no answer in time"),
        (reply(400, "<html>"), "error: the server does not accept the host name hc.example.com"),
        (reply(502), "error: {} answers 502"),
        (reply(404, "<html>was not found"), "error: {} does not accept pings: it answers 404"),
        (reply(200, "<html>log in"), "error: {} does not accept pings: it answers 200"),
    ],
)
def test_ping_url(answer: Reply, expected: str) -> None:
    found = pings.evaluate_url("https://user:secret@hc.example.com/ping", answer)
    assert text(found) == [expected.format("https://hc.example.com/ping")]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("statuses", "certain", "severity"),
    [
        ([400], True, "ok"),
        ([409], True, "ok"),
        ([404, 404, 400], False, "ok"),
        ([404], True, "error"),
        ([404, 404, 404], False, "note"),
        ([], False, "note"),
        ([0], True, "note"),
        ([500], True, "note"),
    ],
)
def test_ping_key(statuses: list[int], certain: bool, severity: str) -> None:
    assert pings.evaluate_key(statuses, certain).severity == severity


def test_uuids() -> None:
    """A read-only key shows no UUIDs, but what can be made of them; others are tried."""
    ours, theirs = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11", "11111111-1c4b-4b57-9f3a-8f1f5b0e7c11"
    given = Settings({"HC_CHECK_OURS": ours, "HC_CHECK_THEIRS": theirs}, {})
    shown = [remote(uuid=ours)]
    tried: list[str] = []

    def is_there(url: str) -> bool:
        tried.append(url.rpartition("/")[2])
        return False

    found = text(pings.evaluate_uuids(given, shown, is_there))
    assert found == ["error: HC_CHECK_*: no check has the UUID of theirs"]
    assert tried == [theirs]
    assert text(pings.evaluate_uuids(given, shown, lambda _: True)) == []
    (key,) = pings._keys(f"https://hc.example.com/ping/{ours}") - {ours}
    tried.clear()
    list(pings.evaluate_uuids(given, [remote(uuid="", unique_key=key)], is_there))
    assert tried == [theirs]


@pytest.mark.parametrize(
    ("pinged", "api", "shown", "expected"),
    [
        ("https://a.x/ping", "https://a.x/api/v3", "https://a.x/ping", ""),
        ("https://a.x/ping/", "", "https://a.x/ping", ""),
        ("", "", "https://a.x/ping", ""),
        (
            "https://a.x",
            "",
            "https://a.x/ping",
            "error: the server accepts pings at https://a.x/ping, but they go to https://a.x",
        ),
        (
            "https://a.x/ping",
            "",
            "http://b.x/ping",
            "warning: the server's own address is http://b.x/ping, but pings go to https://a.x/ping",
        ),
        (
            "http://127.0.0.1:8000/ping",
            "",
            "https://a.x/ping",
            "note: the server's own address is https://a.x/ping; this host pings it over loopback",
        ),
        (
            "",
            "https://a.x/api/v3",
            "https://a.x/ping",
            (
                "error: HEALTHCHECKS_PING_URL is not set: pings go to https://hc-ping.com,"
                " API calls to https://a.x/api/v3"
            ),
        ),
    ],
)
def test_addresses(pinged: str, api: str, shown: str, expected: str) -> None:
    given = Settings({"HEALTHCHECKS_PING_URL": pinged, "HEALTHCHECKS_API_URL": api}, {})
    found = text(pings.evaluate_addresses(given, [remote(ping_url=f"{shown}/uuid")]))
    assert found == ([expected] if expected else [])


def test_addresses_with_a_read_only_key() -> None:
    given = Settings({"HEALTHCHECKS_PING_URL": "https://a.x/ping"}, {})
    badge = [remote(badge_url="https://b.x/b/2/x.svg")]
    assert text(pings.evaluate_addresses(given, badge)) == [
        "warning: the server's own address is https://b.x, but pings go to https://a.x"
    ]
    assert text(pings.evaluate_addresses(given, [remote()])) == []


@pytest.mark.parametrize(
    ("key", "found", "slug", "expected"),
    [
        ("hcr_x", [remote(uuid="")], "job", "ok: the read-only key is valid"),
        ("hcr_x", [], "", "ok: the read-only key is valid; its project has 0 checks"),
        ("hcw_x", [], "", "warning: HEALTHCHECKS_READ_KEY is a read-write key"),
        ("old", [remote()], "job", "warning: HEALTHCHECKS_READ_KEY is a read-write key"),
        (
            "hcr_x",
            [],
            "job",
            "error: the read-only key does not belong to the project of the API key",
        ),
    ],
)
def test_read_key(key: str, found: list[RemoteCheck], slug: str, expected: str) -> None:
    assert text(server.evaluate_read_key(key, found, slug)) == [expected]


# Alerts and clocks


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ""),
        ({"status": "down"}, ""),
        ({"status": "down", "next_ping": iso(NOW - 3600 - 59)}, ""),
        ({"status": "down", "next_ping": iso(NOW - 3600 - 120)}, "that of job by 2 min"),
        ({"status": "down", "next_ping": iso(NOW - 9999), "started": True}, ""),
        ({"status": "grace", "next_ping": iso(NOW - 9999)}, ""),
    ],
)
def test_overdue(more: dict[str, Any], expected: str) -> None:
    found = text(server.evaluate_overdue([remote(**more)], NOW))
    late = f"error: 1 alert overdue, {expected}"
    assert found == [late if expected else "ok: no alert is overdue"]


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (None, "note: cannot compare the clocks of this host and the server"),
        (NOW, "ok: the clocks of this host and the server agree"),
        (NOW - 9, "ok: the clocks of this host and the server agree"),
        (NOW - 30, "warning: this host's clock is 30 s ahead of the server's"),
        (NOW + 119, "warning: this host's clock is 1 min 59 s behind the server's"),
        (NOW + 3600, "error: this host's clock is 1 h behind the server's"),
    ],
)
def test_clock(theirs: float | None, expected: str) -> None:
    assert text(server.evaluate_clock(theirs, NOW))[0].partition(" (")[0] == expected


def test_date_of_a_proxy() -> None:
    assert server._date("Sun, 22 Nov 2026 19:00:00 GMT") == 1795374000
    for nothing in ("", "yesterday", "1795374000"):
        assert server._date(nothing) is None


# Checks


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ""),
        ({"status": "down"}, ""),
        ({"status": "new", "n_pings": 0}, "warning: 1 check never pinged: job"),
        ({"status": "new"}, "warning: 1 check resumed and not pinged since: job"),
        ({"status": "paused"}, "note: 1 check paused until the next ping: job"),
        (
            {"status": "paused", "manual_resume": True},
            "warning: 1 check paused until resumed by hand: job",
        ),
        ({"methods": "POST"}, ""),
        ({"filter_subject": True, "filter_body": True}, ""),  # of e-mails
        ({"filter_http_body": True}, "warning: 1 check filtered by keywords: job (no keywords)"),
        (
            {"filter_http_body": True, "failure_kw": "ERROR", "success_kw": "done,OK"},
            "warning: 1 check filtered by keywords: job (ERROR, done,OK)",
        ),
    ],
)
def test_state_and_filters(more: dict[str, Any], expected: str) -> None:
    there = [remote(**more)]
    found = [*checks.evaluate_status(there), *checks.evaluate_filters(there)]
    assert text(found) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("longest", "more", "expected"),
    [
        ({}, {}, ""),
        ({"job": 3600.0}, {}, ""),
        ({"other": 9999.0}, {}, ""),
        ({"job": 7200.0}, {}, "2 h"),
        ({}, {"last_duration": 5400}, "1 h 30 min"),
        ({"": 9999.0}, {"slug": ""}, ""),
    ],
)
def test_grace(longest: dict[str, float], more: dict[str, Any], expected: str) -> None:
    found = text(checks.evaluate_grace(catalogue("job"), [remote(**more)], longest))
    warned = [f"warning: job has a grace time of 1 h, but a run took {expected}"]
    assert found == (warned if expected else [])


def test_shipped_catalogue_that_nobody_uses() -> None:
    """Who makes checks by other means is not told of 29 that are missing."""
    shipped = catalogue("redis", path=SHIPPED)
    for catalog, there, expected in (
        (shipped, [remote()], "note: no catalogue is in use: the server has none of the shipped"),
        (shipped, [remote("redis")], "ok: all 1 checks"),
        (catalogue("redis"), [], "error: 1 of 1 checks"),
    ):
        (found,) = text(list(checks.evaluate_catalog(catalog, there)))
        assert found.startswith(expected)


# This host


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("hcrun a -- true", [["hcrun", "a", "--", "true"]]),
        ("sleep 30; /opt/x/hcrun a -- true", [["/opt/x/hcrun", "a", "--", "true"]]),
        ("cd /srv && hcrun a -- sh -c 'x; y' >/dev/null", [["hcrun", "a", "--", "sh", "-c"]]),
        ("hcrun a -- true; hcrun b -- true", [["hcrun", "a"], ["hcrun", "b"]]),
        ("nice -n 5 hcrun a -- true", [["hcrun", "a"]]),
        ("backup.sh", []),
        ("pgrep hcrun", []),
        ("echo 'hcrun a'", []),
        ("echo 'open", []),
    ],
)
def test_hcrun_in_a_command(command: str, expected: list[list[str]]) -> None:
    found = list(hcruns(command))
    assert len(found) == len(expected)
    assert all(words[: len(first)] == first for words, first in zip(found, expected, strict=True))


@given(st.text())
def test_any_command_can_be_looked_at(command: str) -> None:
    for words in hcruns(command):
        assert os.path.basename(words[0]) == "hcrun"


WORKDAYS = Calendar("Mon..Fri *-*-* 02:00")


@pytest.mark.parametrize(
    ("here", "zone", "there", "wrong"),
    [
        (Cron("0 2 * * *"), "Etc/UTC", Cron("0 2 * * *"), False),
        (Cron("0 2 * * *"), "Europe/Riga", Cron("0 2 * * *"), True),
        (Cron("0 2 * * *"), "Africa/Abidjan", Cron("0 2 * * *"), False),  # the same clocks
        (Cron("*/5 * * * *"), "Europe/Riga", Cron("*/5 * * * *"), False),  # at all hours alike
        (Cron("0 * * * *"), "Asia/Kolkata", Cron("0 * * * *"), True),  # half an hour off
        (Cron("0 2 * * *"), "Europe/London", Cron("0 2 * * *"), True),  # in summer only
        (Cron("0 2 * * 0"), "UTC", Cron("0 2 * * *"), True),
        (Cron("0 2 * * *"), "UTC", Cron("0 2 * * 0"), True),
        (Cron("0 2 1 * *"), "UTC", Cron("0 2 1,15 * *"), True),
        (Calendar("*-*-* 02:00 UTC"), "Europe/Riga", Cron("0 2 * * *"), False),
        (WORKDAYS, "UTC", Cron("0 2 * * 1-5"), False),
        (WORKDAYS, "UTC", Cron("0 2 * * *"), True),
        (Calendar("*:*:0/30"), "UTC", Every(60), False),
        (Cron("*/5 * * * *"), "Europe/Riga", Every(300), False),
        (Cron("*/5 8-18 * * *"), "UTC", Every(300), True),  # nothing at night
        (Cron("0 2 * * *"), "UTC", Every(3600), True),
        (Cron("0 2 * * *"), "UTC", Every(82800), False),  # within its grace
        (Cron("0 2 * * *"), "UTC", Every(7 * 86400), True),
        (Every(400), "UTC", Every(420), False),
        (Every(86400), "UTC", Cron("0 2 * * *"), False),  # nobody knows when it began
        (Calendar("what only systemd can read"), "UTC", Cron("0 2 * * *"), False),
    ],
)
def test_schedules(here: Schedule, zone: str, there: Schedule, wrong: bool) -> None:
    check = a_check("job", schedule=there, zone="UTC", grace=3600)
    catalog = Catalog("checks.toml", (check,), {}, {}, {})
    lines = [Line("line 1", Job("job", ["true"]), times=(here,))]
    found = text(times.evaluate(lines, zone, catalog, []))
    assert [one.partition(" whose")[0] for one in found] == ["error: 1 check"] * wrong
    assert text(times.evaluate([], zone, catalog, [])) == []


def test_the_schedule_of_the_server_comes_first() -> None:
    check = a_check("job", schedule=Cron("0 2 * * *"), zone="UTC")
    catalog = Catalog("checks.toml", (check,), {}, {}, {})
    lines = [Line("line 1", Job("job", ["true"]), times=(Cron("0 2 * * *"),))]
    (found,) = text(times.evaluate(lines, "UTC", catalog, [remote(schedule="0 3 * * *", tz="UTC")]))
    assert found.endswith(": job (0 2 * * * UTC, not 0 3 * * * UTC)")
    for odd in ({"schedule": "0 2 * *"}, {"timeout": None}):
        assert text(times.evaluate(lines, "UTC", catalog, [remote(**odd)])) == []


def test_ten_thousand_lines_of_one_check_and_a_thousand_checks() -> None:
    nothing = Catalog("checks.toml", (), {}, {}, {})
    many = [line_of_job(f"/etc/cron.d/a line {n}", "true") for n in range(10_000)]
    crons = [Cron(f"{n % 60} {n // 60} * * *") for n in range(1000)]
    checks = tuple(a_check(f"c{n}", schedule=when, zone="UTC") for n, when in enumerate(crons))
    catalog = Catalog("checks.toml", checks, {}, {}, {})
    lines = [Line("x", Job(f"c{n}", ["true"]), times=(when,)) for n, when in enumerate(crons)]
    started = time.process_time()
    assert len(text(times.evaluate(many, "UTC", nothing, []))) == 1
    assert text(times.evaluate(lines, "UTC", catalog, [])) == []
    assert time.process_time() - started < 5


def line_of_job(where: str, *command: str, **more: Any) -> Line:
    given: dict[str, Any] = {"times": (Cron("0 2 * * *"),)}
    return Line(where, Job("job", list(command)), **given | more)


@pytest.mark.parametrize(
    ("other", "twice"),
    [
        (line_of_job("/etc/cron.d/a line 2", "true"), True),
        (line_of_job("/etc/cron.d/a line 2", "true", delay=30.0), False),
        (line_of_job("/etc/cron.d/a line 2", "true", times=(Cron("0 4 * * *"),)), False),
        (line_of_job("/etc/cron.d/a line 2", "true", times=(Cron("* 2 * * *"),)), True),
        (line_of_job("/etc/cron.d/a line 2", "true", times=()), False),  # @reboot
        (line_of_job("/etc/cron.d/a line 2", "false", times=(Cron("0 4 * * *"),)), True),
        (line_of_job("/etc/cron.d/a line 2", "true", user="app"), True),
        (line_of_job("/etc/cron.d/b line 1", "true", times=(Cron("0 4 * * *"),)), True),
        (line_of_job("job.timer", "true", timer=True), True),
    ],
)
def test_a_check_that_two_lines_run(other: Line, twice: bool) -> None:
    lines = [line_of_job("/etc/cron.d/a line 1", "true"), other]
    nothing = Catalog("checks.toml", (), {}, {}, {})
    found = text(times.evaluate(lines, "UTC", nothing, []))
    places = f"job (/etc/cron.d/a line 1 and {other.where})"
    expected = f"error: 1 check run by two crontab lines or timers: {places}"
    assert found == [expected] * twice


def test_many_lines_with_one_mistake() -> None:
    lines = [Line(f"line {n}", missing="hcrun") for n in range(9)]
    assert text(host.evaluate_lines(lines)) == [
        "error: line 0, line 1, line 2, line 3, line 4 and 4 more: hcrun does not exist"
    ]


def test_timers_of_a_target_are_enabled_by_it() -> None:
    found = Timers(dead={f"a@{n}.timer": "hcrun.target" for n in range(3)} | {"b.timer": "b.timer"})
    assert [one.fix for one in host.evaluate_files(Crontabs(), found, [])] == [
        "systemctl enable --now hcrun.target",
        "systemctl enable --now b.timer",
    ]


def test_what_may_not_be_read() -> None:
    crontabs = Crontabs(unread=["/var/spool/cron/crontabs"])
    (found,) = host.evaluate_files(crontabs, Timers(), [])
    assert text(found) == ["note: cannot read /var/spool/cron/crontabs"]


@pytest.mark.parametrize(
    ("command", "own", "extra", "bare"),
    [
        ("probe-redis", {}, {}, True),
        ("/opt/hcrun/bin/probe-redis --timeout 4s", {}, {}, True),
        ("probe-redis --host cache", {}, {}, False),
        ("probe-redis --url=redis://cache", {}, {}, False),
        ("probe-redis", {"REDIS_HOST": "cache"}, {}, False),
        ("probe-redis", {"REDIS_URL_FILE": "/etc/hcrun/redis"}, {}, False),
        ("probe-redis", {}, {"status": "up"}, False),
        ("probe-redis", {}, {"status": "down"}, False),  # another host runs it
        ("backup.sh", {}, {}, False),
        ("probe-of-mine", {}, {}, False),
        ("probe-escalation", {}, {}, False),  # its default is right
    ],
)
def test_services(command: str, own: dict[str, str], extra: dict[str, Any], bare: bool) -> None:
    check = a_check("job", command=tuple(command.split()))
    catalog = Catalog("checks.toml", (check,), {}, {}, {})
    there = [remote(**extra)] if extra else []
    found = text(jobs.evaluate_services([], Settings(own, {}), catalog, there))
    expected = "warning: 1 probe whose service is not configured: job (REDIS_URL or REDIS_HOST)"
    assert found == [expected] * bare
    if extra.get("status") == "down":
        lines = [Line("line 1", Job("job", command.split()))]
        assert text(jobs.evaluate_services(lines, Settings(own, {}), catalog, there)) == [expected]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for other users")
@pytest.mark.parametrize(
    ("directory", "file", "uid", "gid", "expected"),
    [
        (0o755, 0o644, 0, 0, True),
        (0o755, 0o640, 0, 0, False),
        (0o755, 0o640, 0, 7, True),
        (0o755, 0o600, 5, 0, True),
        (0o755, 0o004, 5, 0, False),  # the owner's bits come first
        (0o700, 0o644, 0, 0, False),
        (0o711, 0o644, 0, 0, True),
    ],
)
def test_the_kernel_says_who_may_read(
    directory: int, file: int, uid: int, gid: int, expected: bool
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # pytest's own directories are closed
        path = Path(place) / "file"
        path.touch()
        os.chown(path, uid, gid)
        path.chmod(file)
        Path(place).chmod(directory)
        user = User(5, (6, 7))
        assert can_access(user, str(path), os.R_OK) is expected
        assert can_access(user, "/file", os.R_OK, place) is expected
        assert can_access(User(0, (0,)), str(path), os.R_OK)
        assert not can_access(user, f"{place}/nothing", os.R_OK)


# The journal


def inspection(**more: Any) -> Inspection:
    return Inspection("/s/journal.db", **{"whole": True, "runs": 7, "free": 10**9} | more)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "ok: {}: 7 runs, 0 B, 1.0 GB free"),
        ({"whole": None}, "ok: {}: 7 runs, 0 B, 1.0 GB free (checked only in part, for 5 s)"),
        ({"whole": False}, "error: {} is damaged"),
        ({"trouble": "unable to open"}, "error: {}: unable to open"),
        ({"foreign": ["/s/x"]}, "error: /s/x: not owned by the owner of the journal"),
        ({"readable": True}, "warning: other users can read {}"),
        ({"free": 10**6}, "warning: the disk of /s has 1.0 MB left"),
        ({"size": 4 * 10**8}, "note: {} has a size of 400.0 MB"),
        ({"aside": ["/s/x"]}, "note: set aside as corrupt: /s/x"),
        (
            {"pending": 3, "oldest_pending": NOW - 60},
            "note: 3 results not delivered, the oldest for 1 min",
        ),
        (
            {"pending": 3, "oldest_pending": NOW - 7200},
            "warning: 3 results not delivered, the oldest for 2 h",
        ),
        ({"rejected": ["a", "b"]}, "warning: the server rejected results of a, b within a week"),
        ({}, "warning: HCRUN_FLEET_URL is set, but /s/journal.db was never shipped"),
        (
            {"unshipped": 40, "oldest_unshipped": NOW - 7200},
            "warning: 40 runs not in the fleet database, the oldest for 2 h",
        ),
    ],
)
def test_journal(more: dict[str, Any], expected: str) -> None:
    found = text(journal.evaluate(inspection(**more), NOW, ships=True))
    assert expected.format("/s/journal.db") in found


@pytest.mark.parametrize("more", [{}, {"unshipped": 40, "oldest_unshipped": NOW - 7200}])
def test_a_journal_that_is_not_to_be_shipped(more: dict[str, Any]) -> None:
    assert "fleet" not in text(journal.evaluate(inspection(**more), NOW))
    few = inspection(unshipped=3, oldest_unshipped=NOW - 300)
    assert "fleet" not in text(journal.evaluate(few, NOW, ships=True))


# The installation


def test_byte_compiled(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1\n")
    assert install.stale([str(tmp_path)]) == ([str(path)], 1)
    py_compile.compile(str(path))
    assert install.stale([str(tmp_path)]) == ([], 1)
    os.utime(path, (1, 1))
    assert install.stale([str(tmp_path)]) == ([str(path)], 1)
    hashed = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(path), invalidation_mode=hashed)
    assert install.stale([str(tmp_path)]) == ([], 1)
    found = install.evaluate([str(tmp_path)], [str(path)], 1)
    assert text(found) == ["warning: 1 of 1 module not byte-compiled"]
    assert found.fix == f"python3 -m compileall -q {tmp_path}, as the user who installed it"


# Patience


def test_within_keeps_what_was_found() -> None:
    """As it is found, until the time is over; the thread that hangs keeps nobody."""
    gate = threading.Event()

    def work() -> Iterator[Finding]:
        yield ok("first")
        gate.wait(60)
        yield ok("second")

    found = within(0.2, work())
    assert next(found) == ok("first")
    with pytest.raises(TimeoutError):
        next(found)
    gate.set()


def test_within_raises_what_went_wrong() -> None:
    def work() -> Iterator[Finding]:
        yield ok("first")
        raise ValueError("a bug")

    found = within(20, work())
    assert next(found) == ok("first")
    with pytest.raises(ValueError, match="a bug"):
        next(found)
    assert list(within(20, iter([]))) == []
