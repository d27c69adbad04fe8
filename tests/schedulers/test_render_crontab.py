"""The catalogue as a file for /etc/cron.d."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.catalog import Check
from hcrun.catalog.schedule import Calendar, Cron
from hcrun.errors import CatalogError
from hcrun.formats.crontab import entries, problems
from hcrun.run.options import parse
from hcrun.schedulers.crontab import fields, render
from tests.support.scheduled import catalog, check

HCRUN = "/opt/hcrun/bin/hcrun"
HEADER = """\
# Times are in the time zone of the host{zone}. To remove: hcctl install crontab --uninstall
# Mail is off because the server sends the alerts. PATH is complete because cron expands nothing.
MAILTO=""
PATH=/opt/hcrun/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def rendered(*checks: Check) -> str:
    return render(catalog(*checks), HCRUN).files["hcrun"]


def lines(*checks: Check) -> list[str]:
    text = rendered(*checks)
    assert problems(text) == []
    return [line for line in text.splitlines() if line and line[0] in "*0123456789"]


def test_needs() -> None:
    """The line has their names, so that only a failed run reads the catalogue."""
    [line] = lines(check("app", 300, "probe-app", needs=("redis", "db")))
    words = shlex.split(line)
    job = parse(words[words.index(HCRUN) + 1 :])
    assert (job.needs, job.sends_start) == (["redis", "db"], False)


def errors(*checks: Check) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        rendered(*checks)
    return str(caught.value).splitlines()


def test_the_whole_file() -> None:
    backup = check(
        "backup",
        Cron("30 1 * * 1-5"),
        *("sh", "-c", "pg_dump app > $(date +%F).sql"),
        name="Backup\nof app",
        zone="Europe/Riga",
        grace=3600,
        timeout=1800,
        user="postgres",
        options=("--retries", "2"),
    )
    redis = check("redis", 300, "probe-redis", timeout=10)
    ours = check("tokens", 900)
    assert rendered(backup, redis, ours) == (
        HEADER.format(zone=" (must be Europe/Riga)")
        + """
# Backup of app
30 1 * * 1-5  postgres  /opt/hcrun/bin/hcrun --timeout 30m --retries 2 backup -- \
sh -c 'pg_dump app > $(date +\\%F).sql'

# Redis
*/5 * * * *  hcrun  /opt/hcrun/bin/hcrun --timeout 10s --splay 30s redis -- probe-redis
"""
    )


@pytest.mark.parametrize(("period", "count"), [(10, 6), (15, 4), (20, 3), (30, 2), (60, 1)])
def test_below_a_minute(period: int, count: int) -> None:
    commands = [entry.command for entry in entries(rendered(check("a", period, "true")))]
    waits = [int(c.split()[1].rstrip(";")) if c.startswith("sleep") else 0 for c in commands]
    assert waits == [period * number for number in range(count)]


@pytest.mark.parametrize(
    ("more", "flags"),
    [
        ({"timeout": 10}, "--timeout 10s --splay 30s"),
        ({"timeout": 90, "grace": 100}, "--timeout 90s --splay 5s"),
        ({"timeout": 120, "grace": 120}, "--timeout 2m"),
        ({"timeout": 300, "grace": 300}, "--timeout 5m --overlap skip"),
        ({}, "--splay 30s --overlap skip"),
        ({"options": ("--splay", "5s", "--overlap=wait")}, "--splay 5s --overlap=wait"),
        ({"options": ("--timeout", "1m")}, "--splay 30s --timeout 1m"),
        (
            {"timeout": 10, "options": ("--retries", "20")},
            "--timeout 10s --splay 30s --overlap skip --retries 20",
        ),
    ],
)
def test_flags(more: dict[str, object], flags: str) -> None:
    (line,) = lines(check("a", 300, "true", **more))
    assert line == f"*/5 * * * *  root  /opt/hcrun/bin/hcrun {flags} a -- true"


@pytest.mark.parametrize("command", [("/opt/fill",), ("sh", "-c", "a | b")])
def test_a_job_runs_as_cron_runs_it(command: tuple[str, ...]) -> None:
    """At the minute that its schedule says, even if the previous run is still in progress."""
    (line,) = lines(check("a", Cron("* * * * *"), *command))
    assert line == f"* * * * *  root  /opt/hcrun/bin/hcrun a -- {shlex.join(command)}"


def test_mail_of_one_check() -> None:
    text = rendered(check("a", 300, "true", mailto="ops@example.org,root"), check("b", 300, "true"))
    environs = {entry.command.split()[-3]: entry.environ for entry in entries(text)}
    assert {slug: environ["MAILTO"] for slug, environ in environs.items()} == {
        "a": "ops@example.org,root",
        "b": "",
    }


def test_periods() -> None:
    minutes = {1: "* * * * *", 2: "*/2 * * * *", 30: "*/30 * * * *", 60: "0 * * * *"}
    minutes |= {8 * 60: "0 */8 * * *", 24 * 60: "0 0 * * *", 7 * 24 * 60: "0 0 * * 1"}
    assert {minute: fields(60 * minute) for minute in minutes} == minutes


def test_all_problems_are_reported_at_once() -> None:
    periods = [45, 90, 420, 5 * 3600, 2 * 86400, 30 * 86400]
    others = [
        check("b", Cron("5 * * * *"), "true"),
        check("c", 300, "x" * 990, line=7),
        check("d", Cron("0 1 * * *"), "true", line=8, zone="Europe/Riga"),
    ]
    slow = (check(f"p{line}", seconds, "true", line=line) for line, seconds in enumerate(periods))
    what = "every: cron cannot run this every"
    size = "the command has 1044 bytes; the maximum is 998; put it into a script"
    zones = "cron has only one time zone, but b is in UTC and d in Europe/Riga"
    assert errors(*slow, *others) == [
        f"checks.toml:0: checks.p0: {what} 45s; write 30s or 1m",
        f"checks.toml:1: checks.p1: {what} 90s; write 1m or 2m",
        f"checks.toml:2: checks.p2: {what} 7m; write 6m or 10m",
        f"checks.toml:3: checks.p3: {what} 5h; write 4h or 6h",
        f"checks.toml:4: checks.p4: {what} 2d; write 1d or 7d",
        f"checks.toml:5: checks.p5: {what} 30d; write 7d",
        f"checks.toml:7: checks.c: command: {size}",
        f"checks.toml:8: checks.d: {zones}; set the same zone, or write calendar = and use systemd",
    ]


def test_too_many_checks() -> None:
    many = [check(f"c{number}", 3600, "true") for number in range(3400)]
    why = "has 10204 lines; the maximum is 10000"
    assert errors(*many) == [f"checks.toml: cron would ignore this crontab: {why}"]


def test_calendars_are_left_out() -> None:
    found = render(catalog(check("a", Calendar("Mon *-*-* 07:00"), "true", name="A")), HCRUN)
    why = "cron has no calendar schedules (Mon *-*-* 07:00)"
    hint = "write cron = instead of calendar =, or use systemd"
    assert found.notes == [f"a is left out: {why}; {hint}"]
    assert found.files["hcrun"] == (HEADER.format(zone="") + f"\n# A: left out, because {why}\n")
    assert found.zone == ""


TEXT = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=40)


@given(st.lists(TEXT, min_size=1, max_size=4).filter(lambda words: words[0]), TEXT)
def test_any_command_and_name(command: list[str], name: str) -> None:
    found = entries(rendered(check("a", 3600, *command, name=name)))
    (entry,) = found
    assert parse(shlex.split(entry.command)[1:]).command == command
