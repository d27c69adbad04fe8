"""`hcctl report`: figures of a server's changes and this host's runs, in every format."""

import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hcrun.journal.maintenance import check_key
from hcrun.reports.availability import Availability
from hcrun.reports.period import Period
from hcrun.reports.render import as_json, phrases, text
from hcrun.reports.render.sections import sections
from hcrun.units import iso
from tests.servers.stored import Flip
from tests.stub.healthchecks import Fault, HealthchecksStub, answers, hangs_up
from tests.support.catalogs import write
from tests.support.command import HCCTL, PATIENCE, environment, run_hcctl
from tests.support.journals import Past
from tests.support.made_up import report

pytestmark = pytest.mark.slow

UTC_ENV = {"TZ": "UTC", "HEALTHCHECKS_RETRY_DELAY": "0", "HEALTHCHECKS_RETRY_COUNT": "1"}
TODAY = datetime.now(UTC).date()
HOUR, DAY = 3600.0, 86400.0


def midnight(days_ago: int) -> float:
    day = TODAY - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def env(stub: HealthchecksStub, **more: str) -> dict[str, str]:
    return (
        UTC_ENV
        | {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_READ_KEY": stub.read_key}
        | more
    )


def run(tmp_path: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a report."""
    done = run_hcctl(tmp_path, "report", *arguments, env=UTC_ENV | more)
    return done.returncode, done.stdout, done.stderr


def as_object(tmp_path: Path, *arguments: str, **more: str) -> dict[str, Any]:
    """The output of --format json, with `checks` by slug."""
    status, printed, error = run(tmp_path, *arguments, "--format", "json", **more)
    assert (status, error) == (0, "")
    found: dict[str, Any] = json.loads(printed)
    found["checks"] = {check["slug"]: check for check in found["checks"]}
    return found


TIER = "[tiers.1]\nlevel = 'critical'\nslo = { availability = 99.9 }\n"
NIGHTLY = """\
cron = "0 2 * * *"
grace = "1h"
zone = "UTC"
slo = { success = 95 }
"""


def catalog(tmp_path: Path) -> str:
    return write(tmp_path, head=TIER, api='every = "1m"\ntier = "1"', nightly=NIGHTLY)


# a server


def test_availability_of_yesterday_and_its_slo(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check("api", last_ping=time.monotonic())
    check.stored_status = "up"
    begin = midnight(1)
    check.flips = [
        Flip("up", begin - 3 * DAY),
        Flip("down", begin - HOUR),
        Flip("up", begin + 0.5 * HOUR),
        Flip("down", begin + 5 * HOUR),
        Flip("up", begin + 6.9 * HOUR),
    ]
    found = as_object(tmp_path, "day", "--catalog", catalog(tmp_path), **env(stub))
    assert (found["server"], found["journal"], found["zone"]) == (stub.api_url, None, "UTC")
    assert found["period"] == {
        "first": str(TODAY - timedelta(days=1)),
        "last": str(TODAY - timedelta(days=1)),
        "begin": iso(begin),
        "end": iso(begin + DAY),
    }
    api = found["checks"]["api"]
    assert (api["tier"], api["slo"]) == ("1", {"kind": "availability", "percent": 99.9})
    assert (api["source"], api["known_from"]) == ("server", iso(begin - 3 * DAY))
    now = api["now"]
    assert now["down_seconds"] == 2.4 * HOUR
    assert now["availability"] == pytest.approx(0.9)
    assert [outage["seconds"] for outage in now["outages"]] == [0.5 * HOUR, 1.9 * HOUR]
    assert now["longest_outage"]["begin"] == iso(begin + 5 * HOUR)
    assert (now["slo_met"], now["burn_rate"]) == (False, pytest.approx(100))
    assert api["before"]["availability"] == pytest.approx(23 / 24)
    outage = {"begin": iso(begin - HOUR), "end": None, "seconds": HOUR}
    assert api["before"]["outages"] == [outage]
    # 43.2 minutes of 30 days, although only 4 days are known: more than that is used.
    assert api["error_budget"] == {
        "unit": "seconds",
        "allowed": pytest.approx(43.2 * 60),
        "used": 3.4 * HOUR,
        "left": 0,
        "left_ratio": 0,
        "unknown_seconds": 26 * DAY,
    }
    printed = run(tmp_path, "day", "--catalog", catalog(tmp_path), **env(stub))[1]
    assert "error budget spent: 3 h 24 min used of 43.2 min in 30 days" in printed
    assert re.search(r" 43\.2 min +3 h 24 min +0 +26 d\n", printed)
    assert not re.search(r"-\d+ ?%", printed)
    assert found["checks"]["nightly"]["never_ran"] is True


def test_one_call_for_the_checks_and_one_for_each(tmp_path: Path, stub: HealthchecksStub) -> None:
    for n in range(40):
        stub.add_check(f"check-{n}", tags="many")
    stub.add_check("other")
    found = as_object(tmp_path, "day", "--tag", "many", **env(stub))
    assert len(found["checks"]) == 40
    paths = [request.path for request in stub.requests]
    assert paths.count("/api/v3/checks/") == 1
    assert len([path for path in paths if path.endswith("/flips/")]) == 40 == len(set(paths)) - 1


def test_a_server_that_does_not_answer_all_calls(tmp_path: Path, stub: HealthchecksStub) -> None:
    stub.add_check("well")
    gone = stub.add_check("gone")
    stub.fault = Fault(answers(500), only=check_key(gone.uuid))
    status, printed, error = run(tmp_path, "day", **env(stub))
    assert status == 1
    assert re.match(r"hcctl: gone: \S+", error)
    assert error.count("\n") == 1
    assert "Problem: gone: " in printed


def test_a_server_that_dies_meanwhile(tmp_path: Path, stub: HealthchecksStub) -> None:
    """It is not asked for each of the checks, and a few error lines are enough."""
    for n in range(100):
        stub.add_check(f"check-{n:03}")
    stub.fault = Fault(hangs_up, only="/flips/")
    status, _, error = run(tmp_path, "day", **env(stub))
    assert status == 1
    *named, rest = error.splitlines()
    assert len(named) == 5
    assert all(line.startswith("hcctl: check-0") for line in named)
    assert rest == "hcctl: 95 more checks: cannot read their status changes"
    assert len(stub.requests) <= 1 + 2 * 8


def test_a_terminal_sees_how_far_it_is(tmp_path: Path, stub: HealthchecksStub) -> None:
    stub.add_check("one")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [HCCTL, "report", "day"],
        env=environment(tmp_path) | {"HEALTHCHECKS_ENABLED": "true"} | env(stub),
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=3 * PATIENCE,
        check=True,
    )
    os.close(theirs)
    seen = os.read(ours, 65536).decode()
    os.close(ours)
    assert "asking the server" in seen
    assert b"asking the server" not in done.stdout


def test_a_dead_server(tmp_path: Path, stub: HealthchecksStub) -> None:
    stub.go_down()
    status, printed, error = run(tmp_path, "day", **env(stub))
    assert (status, printed) == (1, "")
    assert error.startswith(f"hcctl: {stub.api_url}: ")
    Past(tmp_path).run("job", midnight(1) + HOUR)
    status, printed, error = run(tmp_path, "day", **env(stub))
    assert status == 1
    assert "the states are from this host's journal" in error
    assert "States: this host's journal (the server did not answer)." in printed
    assert "\n  job       1       0    100 %" in printed


def test_a_pause_by_hcctl_is_maintenance(tmp_path: Path, stub: HealthchecksStub) -> None:
    """And until the first ping afterwards the state is unknown."""
    check = stub.add_check("db", last_ping=time.monotonic())
    check.stored_status = "up"
    check.flips = [Flip("up", midnight(1))]
    Past(tmp_path).run("other", time.time())
    given = env(stub, HEALTHCHECKS_API_KEY=stub.api_key)
    done = run_hcctl(tmp_path, "pause", "db", "--reason", "new | disks", env=given)
    assert done.returncode == 0, done.stderr
    dates = f"{TODAY - timedelta(days=1)}..{TODAY}"
    now = as_object(tmp_path, dates, **given)["checks"]["db"]
    assert now["now"]["outages"] == []
    done = run_hcctl(tmp_path, "resume", "db", env=given)
    assert done.returncode == 0, done.stderr
    db = as_object(tmp_path, dates, **given)["checks"]["db"]
    assert (db["now"]["outages"], db["now"]["availability"]) == ([], 1.0)
    assert 0 < db["now"]["maintenance_seconds"] < 3 * PATIENCE
    assert db["now"]["unknown_seconds"] > 0
    [window] = db["maintenance"]
    assert window["reason"] == "new | disks"
    text = run(tmp_path, dates, "--format", "markdown", **given)[1]
    assert re.search(r"^\| db \| .* \| new \\\| disks \|$", text, re.M)


# this host's journal


def test_blocked_runs_are_failures_that_are_counted(tmp_path: Path) -> None:
    past = Past(tmp_path)
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC).timestamp() - DAY
    past.run("job", noon)
    past.run("job", noon + 60, 1.0, "blocked", "blocked by redis, which failed 5 s ago")
    done = run_hcctl(tmp_path, "report", "day", env={"TZ": "UTC"})
    assert re.search(r"^  job +1 of 2, 1 blocked  .*blocked by redis", done.stdout, re.M)


def test_runs_beside_those_before(tmp_path: Path) -> None:
    past = Past(tmp_path)
    monday = TODAY - timedelta(days=TODAY.weekday() + 7)
    begin = datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp()
    for n, seconds in enumerate((4.0, 1.0, 2.0, 3.0)):
        past.run("job", begin + n * DAY, seconds)
    failed = past.run("job", begin + 6 * DAY, 9.0, "fail", "exit status 3 after 9 s: no room")
    past.run("job", begin - 1, 2.0, "held", "exit status 1")
    past.run("job", begin - DAY, 1.0)
    past.run("job", begin + 7 * DAY, 100.0, "fail", "not in it")
    past.run("quiet", begin - 9 * DAY, 1.0)
    found = as_object(tmp_path, "week")
    job = found["checks"]["job"]
    assert job["now"]["runs"] == {"success": 4, "fail": 1}
    assert (job["now"]["success_ratio"], job["now"]["p50"], job["now"]["p95"]) == (0.8, 3.0, 9.0)
    assert job["before"]["runs"] == {"held": 1, "success": 1}
    assert (job["before"]["p50"], job["before"]["p95"]) == (1.0, 2.0)
    assert job["last_failure"] == {
        "started": iso(failed.started),
        "result": "fail",
        "why": "exit status 3 after 9 s: no room",
        "said": None,
    }
    assert (job["source"], job["now"]["availability"], job["slo"]) == (None, None, None)
    assert found["checks"]["quiet"]["now"]["runs"] == {}
    assert (found["server"], found["recorded_from"]) == (None, iso(begin - 9 * DAY))


def test_with_a_schedule_runs_tell_states_and_what_came_late(tmp_path: Path) -> None:
    past = Past(tmp_path)
    for days in (9, 8, 7, 5, 3, 2, 1):
        past.run("nightly", midnight(days) + 2 * HOUR, 60.0, "fail" if days == 3 else "success")
    past.run("nightly", midnight(4) + 8 * HOUR)
    first, last = TODAY - timedelta(days=7), TODAY - timedelta(days=1)
    found = as_object(tmp_path, f"{first}..{last}", "--catalog", catalog(tmp_path))["checks"]
    nightly = found["nightly"]
    assert nightly["late"] == [
        {
            "due": iso(midnight(due) + 2 * HOUR),
            "came": iso(midnight(came) + at * HOUR),
            "seconds": seconds,
        }
        for due, came, at, seconds in ((6, 5, 2, DAY), (4, 4, 8, 6 * HOUR))
    ]
    now = nightly["now"]
    assert nightly["source"] == "journal"
    # down from a failure to the next success; unknown from what was late until it came
    assert now["down_seconds"] == DAY
    assert now["unknown_seconds"] == (DAY - HOUR + 60) + (5 * HOUR + 1)
    assert now["runs"] == {"success": 5, "fail": 1}
    assert (now["slo_met"], nightly["error_budget"]["unit"]) == (False, "runs")
    api = found["api"]
    assert (api["never_ran"], api["source"], api["late"]) == (True, None, [])


def test_a_run_that_is_still_missing(tmp_path: Path) -> None:
    Past(tmp_path).run("nightly", midnight(3) + 2 * HOUR, 60.0)
    arguments = ("--local", "--catalog", catalog(tmp_path))
    status, _, error = run(tmp_path, "day", *arguments)
    assert (status, error) == (0, "")
    first, due, last = (TODAY - timedelta(days=days) for days in (3, 2, 1))
    printed = run(tmp_path, f"{first}..{last}", *arguments)[1]
    assert "from recorded runs" in printed
    assert f"Runs recorded on this host since {first} 02:00." in printed
    assert f"1 run late or missing; the worst was due {due} 02:00, has not started" in printed


def test_what_was_not_asked_for_is_not_called_unknown(tmp_path: Path) -> None:
    """A report of a day reads 30 days of the journal, which knows more."""
    past = Past(tmp_path)
    for days in (50, 49, *range(40, 2, -1)):
        past.run("nightly", midnight(days) + 2 * HOUR, 60.0)
    past.run("new", midnight(1) + 2 * HOUR, 60.0)
    given = ("day", "--local", "--catalog", write(tmp_path, nightly=NIGHTLY, new=NIGHTLY))
    found = as_object(tmp_path, *given)["checks"]
    assert found["nightly"]["known_from"] == iso(midnight(50) + 2 * HOUR)
    assert found["new"]["known_from"] == iso(midnight(1) + 2 * HOUR)
    printed = run(tmp_path, *given)[1]
    rows = {line.split()[0]: line for line in printed.splitlines() if "unknown, " in line}
    assert rows["nightly"].endswith("  1 d unknown, from recorded runs")
    when = time.strftime("%Y-%m-%d", time.gmtime(midnight(1)))
    since = f"first data {when} 02:00, from recorded runs"
    assert rows["new"].endswith(f"2 h 1 min unknown, {since}")


# what is asked for


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["year"], "'year' is not a period; use day, week, month, a date, or two dates like"),
        (["day", "--catalog", "/none"], "/none: "),
        (["day", "--output", "/none/x"], "/none/x: cannot be written: No such file or directory"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, arguments: list[str], error: str) -> None:
    Past(tmp_path).run("job", time.time())
    status, printed, errors = run(tmp_path, *arguments)
    assert status in (1, 2)
    assert printed == ""
    assert errors.startswith(f"hcctl: {error}")


def test_nothing_selected(tmp_path: Path) -> None:
    Past(tmp_path).run("job", midnight(1) + HOUR)
    error = "--environment prod: no such check; run hcctl status to see all checks"
    assert run(tmp_path, "day", "--environment", "prod") == (1, "", f"hcctl: {error}\n")


def test_output_is_complete_or_not_there(tmp_path: Path) -> None:
    Past(tmp_path).run("job", midnight(1) + HOUR)
    path = tmp_path / "page.html"
    assert run(tmp_path, "day", "--format", "html", "--output", str(path)) == (0, "", "")
    page = path.read_text()
    assert page.startswith("<!doctype html>\n<html")
    assert page.endswith("</html>\n")
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_output_replaces_only_files(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Else root could replace /dev/null by a file."""
    Past(tmp_path).run("job", time.time())
    path = tmp_path / "there" / "page"
    path.parent.mkdir()
    make(path)
    mode = path.stat().st_mode
    error = f"hcctl: {path}: cannot be written: not a regular file\n"
    assert run(tmp_path, "day", "--output", str(path)) == (1, "", error)
    assert path.stat().st_mode == mode
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("command", [["status"], ["report", "day"], ["history"]])
def test_a_full_disk_is_reported(tmp_path: Path, command: list[str]) -> None:
    Past(tmp_path).run("job", time.time())
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [HCCTL, *command],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert re.fullmatch("hcctl: .*: No space left on device\n", done.stderr)


# how it reads


HEAD = """\
Report for 9-15 Nov 2026, compared with 2-8 Nov 2026 (UTC)
3 of 8 SLOs met.
24 h 54 min down in 10 outages.
12 of 68,383 runs failed.
12.2 min left of the error budget of api, 43.2 min.

To look at
  CHECK           WHAT
  api             SLO missed: 99.9 % up, was 99.81 %
"""
TAIL = """\
Planned maintenance
  CHECK     FROM              TO                  DURATION  REASON
  postgres  2026-11-14 22:00  2026-11-14 23:30  1 h 30 min  PostgreSQL 16

States: https://hc.example.com/api/v3.
Runs: /var/lib/hcrun/journal.db on app1, since 2026-08-18 00:00.
A pause that was not made with `hcctl pause` on this host counts as an outage.
Runs, durations and failures are those recorded on this host.
Problem: gone: it did not answer.
Created 2026-11-16 06:30 on app1.
"""


@pytest.mark.usefixtures("utc")
def test_text_and_markdown_have_all_tables() -> None:
    """The tables themselves are in docs/report-example.html, which has a test."""
    made = report(("gone: it did not answer",))
    plain, marked = text.text(made), text.markdown(made)
    assert plain.startswith(HEAD)
    assert plain.endswith(TAIL)
    blocks = plain.split("\n\n")[1:-1]
    # Without the backslashes of the escapes.
    cells = [line.replace("\\", "").strip("| ").split("|") for line in marked.splitlines()]
    rows = [[cell.strip() for cell in row] for row in cells]
    for section, block in zip(sections(made), blocks, strict=True):
        title, head, *body = block.splitlines()
        titles = [column.title for column in section.columns]
        assert (title, head.split()) == (section.title, " ".join(titles).upper().split())
        if section.about:
            assert body.pop() == f"  {section.about}"
            assert section.about in marked
        assert [line.split() for line in body] == [" ".join(row).split() for row in section.rows]
        at = rows.index([f"## {section.title}"])
        rules = ["---:" if column.numeric else "---" for column in section.columns]
        assert rows[at + 2 : at + 4] == [titles, rules]
        found = rows[at + 4 : at + 4 + len(body)]
        assert [" ".join(row).split() for row in found] == [line.split() for line in body]
    items = [line.removeprefix("- ") for line in marked.splitlines() if line.startswith("- ")]
    assert set(items[:-1]) <= set(plain.splitlines())
    assert items[-1] == "Created 2026-11-16 06:30 on app1; times are in UTC."
    assert "HTTP 503 from \\<auth.example.com\\> \\& no more tries" in marked


@pytest.mark.usefixtures("utc")
def test_json_is_json_of_the_same() -> None:
    found = json.loads(as_json.to_json(report()))
    checks = {check["slug"]: check for check in found["checks"]}
    assert len(checks) == 11
    assert checks["celery-worker"]["flapping"] is True
    assert checks["postgres"]["maintenance"] == [
        {"begin": "2026-11-14T22:00:00Z", "end": "2026-11-14T23:30:00Z", "reason": "PostgreSQL 16"}
    ]
    assert checks["postgres"]["now"]["maintenance_seconds"] == 5400
    assert checks["paused-one"]["now"]["maintenance_seconds"] == 4.5 * DAY
    assert checks["new-one"]["now"]["unknown_seconds"] == 7 * DAY
    assert checks["redis"]["known_from"] == "2026-07-01T00:00:00Z"


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        (phrases.percent(None), "-"),
        (phrases.percent(Availability(unknown=5.0).ratio), "-"),
        (phrases.percent(1.0), "100 %"),
        (phrases.percent(0.99999), "99.99 %"),
        (phrases.percent(0.9995), "99.95 %"),
        (phrases.percent(0.5), "50 %"),
        (phrases.percent(0.0), "0 %"),
        (phrases.percent(-0.25, 0), "-25 %"),
        (phrases.percent(0.999, 0), "99 %"),
        (phrases.percent(1.0, 0), "100 %"),
        (phrases.minutes(0), "0"),
        (phrases.minutes(6), "6 s"),
        (phrases.minutes(1140), "19.0 min"),
        (phrases.minutes(6000), "1 h 40 min"),
        (phrases.minutes(86400), "1 d"),
        (phrases.minutes(89640), "24 h 54 min"),
        (phrases.change(None, 1.0), "-"),
        (phrases.change(1.0, None), "-"),
        (phrases.change(1.0, 0.0), "-"),
        (phrases.change(2.0, 1.0), "+100 %"),
        (phrases.change(1.0, 1.001), "="),
        (phrases.dates(Period(date(2026, 11, 9), date(2026, 11, 9))), "9 Nov 2026"),
        (phrases.dates(Period(date(2026, 11, 9), date(2026, 11, 15))), "9-15 Nov 2026"),
        (phrases.dates(Period(date(2026, 10, 26), date(2026, 11, 1))), "26 Oct - 1 Nov 2026"),
        (phrases.dates(Period(date(2025, 12, 29), date(2026, 1, 4))), "29 Dec 2025 - 4 Jan 2026"),
    ],
)
def test_phrases(phrase: str, expected: str) -> None:
    assert phrase == expected
