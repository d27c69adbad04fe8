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
30 1 * * 1-5  postgres  /opt/hcrun/bin/hcrun --timeout 30m --splay 30s --retries 2 backup -- \
sh -c 'pg_dump app > $(date +\\%F).sql'

# Redis
*/5 * * * *  hcrun  /opt/hcrun/bin/hcrun --timeout 10s --splay 30s redis -- probe-redis
"""
    )


def test_half_a_minute_takes_two_lines() -> None:
    assert lines(check("redis", 30, "probe-redis", timeout=10)) == [
        f"* * * * *  hcrun  {before}/opt/hcrun/bin/hcrun --timeout 10s --no-start --splay 10s"
        " redis -- probe-redis"
        for before in ("", "sleep 30; ")
    ]


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


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (60, "* * * * *"),
        (120, "*/2 * * * *"),
        (1800, "*/30 * * * *"),
        (3600, "0 * * * *"),
        (8 * 3600, "0 */8 * * *"),
        (86400, "0 0 * * *"),
        (7 * 86400, "0 0 * * 1"),
    ],
)
def test_periods(seconds: int, expected: str) -> None:
    assert fields(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (420, "7m; write 6m or 10m"),
        (90, "90s; write 1m or 2m"),
        (45, "45s; write 30s or 1m"),
        (5 * 3600, "5h; write 4h or 6h"),
        (2 * 86400, "2d; write 1d or 7d"),
        (30 * 86400, "30d; write 7d"),
    ],
)
def test_periods_that_cron_does_not_have(seconds: int, why: str) -> None:
    message = f"checks.toml:7: checks.slow: every: cron cannot run this every {why}"
    assert errors(check("slow", seconds, "true", line=7)) == [message]


def test_all_problems_are_reported_at_once() -> None:
    found = errors(
        check("a", 90, "true", line=1),
        check("b", Cron("5 * * * *"), "true", line=2),
        check("c", 300, "x" * 990, line=3),
        check("d", Cron("0 1 * * *"), "true", line=4, zone="Europe/Riga"),
    )
    assert [line.partition(": checks.")[2][:45] for line in found] == [
        "a: every: cron cannot run this every 90s; wri",
        "c: command: the command has 1044 bytes; the m",
        "d: cron has only one time zone, but b is in U",
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
