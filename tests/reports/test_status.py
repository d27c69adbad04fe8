"""`hcctl status`: what it says of a server's checks and of this host's runs."""

import json
import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from hcrun.ctl.output import Column, lines
from hcrun.ctl.watch import frame
from hcrun.units import iso
from tests.servers.stored import Check
from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.catalogs import write
from tests.support.command import (
    HCCTL,
    PATIENCE,
    environment,
    run_hcctl,
    run_hcrun,
    start_hcrun,
    wait_until,
)
from tests.support.journals import Past
from tests.support.ptydriver import CTRL_C, Terminal

pytestmark = pytest.mark.slow

WIDE = {"COLUMNS": "300", "HEALTHCHECKS_RETRY_DELAY": "0"}


def env(stub: HealthchecksStub, **more: str) -> dict[str, str]:
    return (
        WIDE | {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_READ_KEY": stub.read_key} | more
    )


def pinged(check: Check, seconds_ago: float, status: str = "up", duration: float = 60) -> None:
    check.stored_status = status
    check.last_ping = time.monotonic() - seconds_ago
    check.timeout, check.grace = duration, 60


def table(text: str) -> list[list[str]]:
    """Cells, which are two spaces apart at least."""
    return [re.split(r"  +", line) for line in text.splitlines()]


def seconds(text: object) -> float:
    """Of a time in JSON, which has its zone."""
    assert isinstance(text, str)
    assert text.endswith("Z")
    return datetime.fromisoformat(text).timestamp()


def status(tmp_path: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    done = run_hcctl(tmp_path, "status", *arguments, env=WIDE | env)
    return done.returncode, done.stdout, done.stderr


def checks(tmp_path: Path, *arguments: str, **env: str) -> dict[str, dict[str, object]]:
    _, printed, error = status(tmp_path, "--json", *arguments, **env)
    assert error == ""
    return {check["slug"]: check for check in json.loads(printed)["checks"]}


# a server


def test_a_table_by_tier_worst_first(tmp_path: Path, stub: HealthchecksStub) -> None:
    pinged(stub.add_check("api", tags="tier:1 env:production"), 5)
    pinged(stub.add_check("db", tags="tier:1"), 600, "down")
    pinged(stub.add_check("late", tags="tier:2"), 65)
    stub.add_check("fresh", tags="tier:2")
    stub.add_check("held", paused=True)
    past = Past(tmp_path)
    now = time.time()
    past.run("db", now - 3 * 86400, 2.0, "fail", "exit status 1 after 2 s: no such host")
    past.run("db", now - 700, 4.0)
    past.run("db", now - 900, 2.0)
    done = run_hcctl(tmp_path, "status", env=env(stub))
    assert (done.returncode, done.stderr) == (2, "")
    head, *rows, counts, origin = table(done.stdout)
    columns = "CHECK|STATUS|LAST PING|AGO|NEXT|7 D|MEAN 1 H|P95 1 H|ERRORS 24 H|LAST FAILURE"
    assert head == columns.split("|")
    assert [", ".join(row[:2]) for row in rows] == [
        "tier 1, critical",
        "db, down",
        "api, up",
        "tier 2, warning",
        "late, late",
        "fresh, never pinged",
        "no tier",
        "held, paused",
    ]
    when = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(now - 3 * 86400))
    assert rows[1][3:9] == ["10 min", "overdue 9 min", "66.6 %", "3 s", "4 s", "0"]
    assert rows[1][9:] == [f"{when} exit status 1 after 2 s: no such host"]
    assert re.fullmatch(r"in 5[0-5] s", rows[2][4])
    assert rows[2][5:] == ["-", "-", "-", "-"]
    assert rows[5][2:] == ["-"] * 7
    assert counts == ["1 down, 1 late, 1 never pinged, 1 paused, 1 up"]
    assert re.fullmatch(
        rf"states: {re.escape(stub.api_url)} at \d\d:\d\d:\d\d \w+;"
        rf" runs of this host: {tmp_path}/state/journal.db, since {when}",
        origin[0],
    )


def test_it_is_one_call_that_a_read_only_key_may_make(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    for n in range(300):
        pinged(stub.add_check(f"check-{n}"), 1)
    done = run_hcctl(tmp_path, "status", env=env(stub))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n300 up\n" in done.stdout
    assert [(r.method, r.path) for r in stub.requests] == [("GET", "/api/v3/checks/")]


@pytest.mark.parametrize(
    ("status", "seconds_ago", "expected"),
    [("up", 1, 0), ("up", 70, 1), ("new", 1, 1), ("paused", 1, 1), ("down", 1, 2), ("up", 130, 2)],
)
def test_exit_status(
    tmp_path: Path, stub: HealthchecksStub, status: str, seconds_ago: float, expected: int
) -> None:
    pinged(stub.add_check("well"), 1)
    pinged(stub.add_check("other"), seconds_ago, status)
    assert run_hcctl(tmp_path, "status", env=env(stub)).returncode == expected


def test_selection(tmp_path: Path, stub: HealthchecksStub) -> None:
    pinged(stub.add_check("a", tags="tier:1 env:production database"), 1)
    pinged(stub.add_check("b", tags="tier:1 env:staging database"), 1, "down")
    pinged(stub.add_check("c", tags="tier:2 env:production"), 1, "down")

    def names(*arguments: str) -> tuple[list[str], int]:
        done = run_hcctl(tmp_path, "status", *arguments, env=env(stub))
        rows = [row[0] for row in table(done.stdout) if row[0] in "abc"]
        return rows, done.returncode

    assert names("--tier", "1") == (["b", "a"], 2)
    assert names("--tier", "1", "--tier", "2") == (["b", "a", "c"], 2)
    assert names("--tag", "database", "--environment", "production") == (["a"], 0)
    assert names("--down") == (["b", "c"], 2)
    assert names("--down", "--tag", "database") == (["b"], 2)
    assert names("--down", "--environment", "production", "--tier", "1") == ([], 0)
    assert names("--tag", "none") == ([], 1)
    error = "hcctl: --tag x --tier 9: no such check; run hcctl status to see all checks\n"
    arguments = ("--json", "--tag", "x", "--tier", "9")
    assert status(tmp_path, *arguments, **env(stub)) == (1, "", error)
    Past(tmp_path).run("job", time.time())
    stub.go_down()  # and so it is not known
    given = env(stub, HEALTHCHECKS_RETRY_COUNT="1")
    code, _, error = status(tmp_path, "--tag", "database", **given)
    assert (code, "no such check" in error) == (1, False)
    assert "the following is from this host's journal only" in error


def test_json(tmp_path: Path, stub: HealthchecksStub) -> None:
    db = stub.add_check("db", name="Database", tags="tier:1 env:production x")
    pinged(db, 100, "down")
    stub.add_check("fresh")
    past = Past(tmp_path)
    now = time.time()
    run = past.run("db", now - 60, 4.0, "fail", "exit status 1 after 4 s")
    past.run("db", now - 90, 2.0, pending=True)
    past.run("mine", now - 50, 2.0)
    found = checks(tmp_path, **env(stub))
    ping, since, expected = (
        found["db"].pop(key) for key in ("last_ping", "seconds_since_ping", "next_expected")
    )
    assert seconds(ping) == pytest.approx(now - 100, abs=PATIENCE)
    assert since == pytest.approx(100, abs=PATIENCE)
    assert seconds(expected) == seconds(ping) + 60
    assert found["db"] == {
        "slug": "db",
        "name": "Database",
        "tier": "1",
        "environment": "production",
        "tags": ["tier:1", "env:production", "x"],
        "status": "down",
        "source": "server",
        "started": False,
        "success_rate_7d": 0.5,
        "mean_duration_1h": 3.0,
        "p95_duration_1h": 4.0,
        "error_count_24h": 1,
        "undelivered": 1,
        "blocked": False,
        "maintenance": None,
        "last_failure": {
            "started": iso(run.started),
            "result": "fail",
            "why": "exit status 1 after 4 s",
            "said": None,
        },
    }
    fresh = found["fresh"]
    assert (fresh["status"], fresh["tier"], fresh["environment"]) == ("new", None, None)
    missing = "last_ping seconds_since_ping next_expected success_rate_7d mean_duration_1h"
    missing += " p95_duration_1h error_count_24h last_failure"
    assert {key for key, value in fresh.items() if value is None} >= set(missing.split())
    assert (found["mine"]["source"], found["mine"]["status"]) == ("journal", "up")
    assert re.search(r"^mine +up, not on the server  ", status(tmp_path, **env(stub))[1], re.M)


def test_the_last_failure_has_its_own_words(tmp_path: Path) -> None:
    script = "echo 'REDIS OK - well | up=1'; echo 'REDIS CRITICAL - full | up=0;;;0'; exit 2"
    run_hcrun(tmp_path, "redis", "--", "sh", "-c", script)
    run_hcrun(tmp_path, "silent", "--", "false")
    run_hcrun(tmp_path, "--no-output", "secret", "--", "sh", "-c", "echo words; exit 1")
    found = checks(tmp_path)
    said = {slug: check["last_failure"]["said"] for slug, check in found.items()}  # type: ignore[index]
    assert said == {"redis": "REDIS CRITICAL - full", "silent": None, "secret": None}
    words = run_hcctl(tmp_path, "status", env=WIDE).stdout
    assert re.search(r" exit status 2 after [\d.]+ m?s: REDIS CRITICAL - full\n", words)
    assert re.search(r"silent .* exit status 1 after [\d.]+ m?s\n", words)
    days = "..".join(time.strftime("%F", time.localtime(time.time() - ago)) for ago in (86400, 0))
    report = run_hcctl(tmp_path, "report", days).stdout
    assert re.search(r"redis +1 of 1 .* m?s: REDIS CRITICAL - full\n", report)


def test_json_says_where_it_is_from(tmp_path: Path, stub: HealthchecksStub) -> None:
    run = Past(tmp_path).run("a", time.time() - 5)
    said = json.loads(status(tmp_path, "--json", **env(stub))[1])
    del said["at"], said["checks"]
    assert said == {
        "server": stub.api_url,
        "journal": str(tmp_path / "state" / "journal.db"),
        "journal_since": iso(run.started),
        "problem": None,
        "forecast": [],
    }
    stub.go_down()
    said = json.loads(status(tmp_path, "--json", **env(stub))[1])
    assert said["server"] is None
    assert "cannot be reached" in said["problem"]


def test_runs_are_found_by_uuid_and_by_name(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Whatever key is used: with a read-only key the server does not tell the uuid."""
    named, bare, none = stub.add_check(), stub.add_check("slug"), stub.add_check("mine")
    for check in (named, bare, none):
        pinged(check, 1)
    past = Past(tmp_path)
    for name in ("my-job", bare.uuid[:8], "mine"):
        past.run(name, time.time() - 5, 2.0)
    own = {"HC_CHECK_MY_JOB": named.uuid}
    found = checks(tmp_path, **env(stub), **own)
    assert {name: said["mean_duration_1h"] for name, said in found.items()} == {
        "my-job": 2.0,
        bare.uuid[:8]: 2.0,
        "mine": 2.0,
        "slug": None,
    }
    found = checks(tmp_path, **env(stub, HEALTHCHECKS_READ_KEY=stub.api_key), **own)
    assert set(found) == {"my-job", bare.uuid[:8], "mine"}


def test_names_are_shown_without_what_a_terminal_acts_on(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check(name="evil\x1b[2J\x07\nname", tags="tier:\x07x")
    pinged(check, 1)
    for command in (["status"], ["report", "day"]):
        done = run_hcctl(tmp_path, *command, env=env(stub))
        assert done.returncode == 0
        assert not {"\x1b", "\x07"} & set(done.stdout)
        assert "evil?[2J??name" in done.stdout
        if command == ["status"]:
            assert "\ntier ?x\n" in done.stdout


def test_maintenance_says_until_when(tmp_path: Path, stub: HealthchecksStub) -> None:
    pinged(stub.add_check("db"), 1)
    Past(tmp_path).run("db", time.time())
    given = env(stub, HEALTHCHECKS_API_KEY=stub.api_key)
    done = run_hcctl(tmp_path, "pause", "db", "--for", "2h", "--reason", "disks", env=given)
    assert done.returncode == 0, done.stderr
    done = run_hcctl(tmp_path, "status", env=given)
    assert done.returncode == 1
    assert re.fullmatch(r"paused, until \d{4}-\d\d-\d\d \d\d:\d\d \w+", table(done.stdout)[1][1])
    maintenance = checks(tmp_path, **given)["db"]["maintenance"]
    assert isinstance(maintenance, dict)
    assert maintenance["reason"] == "disks"
    assert seconds(maintenance["until"]) == pytest.approx(time.time() + 7200, abs=PATIENCE)


def test_forecasts(tmp_path: Path) -> None:
    past = Past(tmp_path)
    now = time.time()
    for n in range(30):
        used = 50 + n
        text = f"MINIO OK - fine | usage={used}%;80;90;0;100"
        past.run("minio", now - (30 - n) * 86400, 1.0, output=text + "\n")
    done = run_hcctl(tmp_path, "status", env=WIDE)
    [forecast] = [line for line in done.stdout.splitlines() if line.startswith("forecast: ")]
    assert re.fullmatch(r"forecast: minio: .*usage full in 2\d days.*", forecast)
    said = json.loads(run_hcctl(tmp_path, "status", "--json", env=WIDE).stdout)["forecast"]
    assert [(each["check"], each["score"]) for each in said] == [("minio", None)]
    assert said[0]["seconds_left"] == pytest.approx(21 * 86400, rel=0.1)
    report = run_hcctl(tmp_path, "report", "day").stdout
    table = r"^To look at\n  CHECK  WHAT\n(?:  .*\n)*  minio  .*usage full in 2\d days.*$"
    assert re.search(table, report, re.M)


# no server


def test_without_a_key_states_are_from_the_journal(tmp_path: Path) -> None:
    past = Past(tmp_path)
    now = time.time()
    past.run("good", now - 10)
    past.run("bad", now - 20)
    past.run("bad", now - 10, None, "lost", "vanished")
    past.run("held", now - 20)
    past.run("held", now - 10, 1.0, "held", "exit status 1 (failure 1 of 2)")
    past.run("needy", now - 20)
    past.run("needy", now - 10, 1.0, "blocked", "blocked by bad, which failed 5 s ago")
    past.run("never", now - 10, 0.0, "skip", "still going")
    code, printed, error = status(tmp_path)
    assert (code, error) == (2, "")
    rows = table(printed)
    assert [row[0] for row in rows[1:6]] == ["bad", "never", "needy", "good", "held"]
    assert [row[1] for row in rows[1:6]] == ["down", "never pinged", "up, blocked", "up", "up"]
    assert [row[8] for row in rows[1:6]] == ["1", "0", "1", "0", "1"]
    assert rows[-1][0].startswith(
        "states: this host's journal (neither HEALTHCHECKS_READ_KEY nor HEALTHCHECKS_API_KEY is"
    )


def test_a_run_of_a_clock_that_was_ahead_hides_nothing(tmp_path: Path) -> None:
    past, now = Past(tmp_path), time.time()
    for check in ("bad", "often", "only"):
        past.run(check, now + 3650 * 86400, why="years ahead")
    past.run("bad", now - 100, result="fail")
    past.run("often", now - 7200)
    found = checks(tmp_path, "--catalog", catalog(tmp_path))
    states = [found[name]["status"] for name in ("bad", "often", "only")]
    assert states == ["down", "down", "up"]


def test_going_and_undelivered(tmp_path: Path) -> None:
    Past(tmp_path).run("job", time.time() - 10, pending=True)
    with start_hcrun(tmp_path, "job", "--", "sleep", "60") as going:
        wait_until(lambda: checks(tmp_path)["job"]["started"], "it is going")
        code, printed, _ = status(tmp_path)
        assert table(printed)[1][:2] == ["job", "up, 1 undelivered, running"]
        assert code == 1
        assert "1 up, 1 result not delivered" in printed
        going.terminate()


def catalog(tmp_path: Path) -> str:
    often = 'every = "1m"\ngrace = "1m"\ntier = "1"'
    head = "[tiers.1]\nlevel = 'critical'\n"
    return write(tmp_path, head=head, often=often, nightly='cron = "0 2 * * *"')


@pytest.mark.parametrize(
    ("seconds_ago", "state", "expected"),
    [(10, "up", "in"), (90, "late", "overdue"), (200, "down", "overdue")],
)
def test_the_catalogue_says_what_is_late(
    tmp_path: Path, seconds_ago: float, state: str, expected: str
) -> None:
    Past(tmp_path).run("often", time.time() - seconds_ago)
    rows = table(status(tmp_path, "--catalog", catalog(tmp_path))[1])
    assert rows[1] == ["tier 1, critical"]
    assert rows[2][:2] == ["often", state]
    assert rows[2][4].startswith(expected)
    assert rows[4][:5] == ["nightly", "never pinged", "-", "-", "-"]


def test_the_shipped_catalogue_is_no_list_of_what_must_run(tmp_path: Path) -> None:
    Past(tmp_path).run("redis", time.time())
    assert set(checks(tmp_path)) == {"redis"}


def test_a_dead_server(tmp_path: Path, stub: HealthchecksStub) -> None:
    Past(tmp_path).run("often", time.time() - 1)
    given = env(stub, HEALTHCHECKS_RETRY_COUNT="1")
    stub.go_down()
    code, printed, error = status(tmp_path, "--catalog", catalog(tmp_path), **given)
    assert code == 1
    assert error.startswith(f"hcctl: {stub.api_url}: cannot ")
    assert error.endswith("; the following is from this host's journal only\n")
    assert error.count("\n") == 1
    # Without nightly, which may run on another host.
    assert [row[:2] for row in table(printed)[2:-1]] == [["often", "up"], ["1 up"]]
    Past(tmp_path).run("often", time.time(), result="fail")
    assert status(tmp_path, **given)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "env_", "why"),
    [
        (["--local"], {}, "--local was given"),
        ([], {"HEALTHCHECKS_ENABLED": "false"}, "HEALTHCHECKS_ENABLED is false"),
    ],
)
def test_local_asks_nobody(
    tmp_path: Path, stub: HealthchecksStub, arguments: list[str], env_: dict[str, str], why: str
) -> None:
    Past(tmp_path).run("job", time.time())
    code, printed, error = status(tmp_path, *arguments, **env(stub, **env_))
    assert (code, error, stub.requests) == (0, "", [])
    assert f"states: this host's journal ({why})" in printed


def test_local_is_of_what_runs_here(tmp_path: Path) -> None:
    """The rest of the catalogue may well run on another host."""
    Past(tmp_path).run("often", time.time())
    path = catalog(tmp_path)
    assert set(checks(tmp_path, "--catalog", path)) == {"often", "nightly"}
    assert set(checks(tmp_path, "--local", "--catalog", path)) == {"often"}


def test_a_server_that_hangs_is_not_waited_for_long(tmp_path: Path, stub: HealthchecksStub) -> None:
    Past(tmp_path).run("job", time.time())
    stub.fault = Fault(hangs)
    began = time.monotonic()
    code, _, error = status(tmp_path, **env(stub, HEALTHCHECKS_RETRY_COUNT="1"))
    assert code == 1
    assert "the following is from this host's journal only" in error
    assert 5 <= time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("version", [None, 99], ids=["no journal", "an unreadable journal"])
def test_either_the_server_or_the_journal_must_answer(
    tmp_path: Path, stub: HealthchecksStub, version: int | None
) -> None:
    path = tmp_path / "state" / "journal.db"
    if version:
        Past(tmp_path).journal.change(f"PRAGMA user_version = {version}")
    code, printed, error = status(tmp_path)
    assert (code, printed) == (1, "")
    assert error.startswith(f"hcctl: {path}: ")
    code, printed, error = status(tmp_path, **env(stub, HEALTHCHECKS_READ_KEY="hcr_" + "x" * 28))
    assert (code, printed) == (1, "")
    assert error.startswith(f"hcctl: {stub.api_url}: ")
    assert "HEALTHCHECKS_READ_KEY" in error
    pinged(stub.add_check("a"), 1)
    code, printed, error = status(tmp_path, **env(stub))
    assert (code, error) == (0, "")
    assert f"runs of this host: no data, {path}: " in printed
    assert path.exists() == bool(version)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--watch", "--json"], "--watch and --json cannot be combined; leave one of them out"),
        (["--watch"], "--watch needs a terminal; leave it out, or use watch(1)"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], error: str) -> None:
    Past(tmp_path).run("job", time.time())
    assert status(tmp_path, *arguments) == (2, "", f"hcctl: {error}\n")


# the terminal


def test_columns_are_left_out_until_it_fits(tmp_path: Path, stub: HealthchecksStub) -> None:
    pinged(stub.add_check("database"), 5)
    why = "exit status 1 after 2 s: a long story of what went wrong"
    Past(tmp_path).run("database", time.time() - 86400 * 3, 2.0, "fail", why)

    def head(columns: int) -> list[str]:
        done = run_hcctl(tmp_path, "status", env=env(stub, COLUMNS=str(columns)))
        rows = done.stdout.splitlines()[:2]
        assert all(len(row) <= columns for row in rows)
        return re.split(r"  +", rows[0])

    assert len(head(200)) == 10
    assert head(70) == ["CHECK", "STATUS", "AGO", "NEXT", "7 D", "LAST FAILURE"]
    assert head(60) == ["CHECK", "STATUS", "AGO", "7 D", "LAST FAILURE"]
    assert head(24) == ["CHECK", "STATUS", "AGO"]
    assert head(20) == ["CHECK", "STATUS"]


def test_layout_cuts_sentences_and_nothing_else() -> None:
    columns = [
        Column[str]("A", lambda row: row),
        Column[str]("WORDS", lambda row: row * 9, leave=1, minimum=6),
    ]
    assert lines(columns, ["abc"], 20) == ["A    WORDS", "abc  abcabcabcabcab…"]
    assert lines(columns, ["abc"], 100) == ["A    WORDS", f"abc  {'abc' * 9}"]
    assert lines(columns, ["abc"], 10) == ["A", "abc"]


def test_a_frame_is_cut_to_the_height() -> None:
    assert frame(["a", "b"], 2) == "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J"
    assert frame(["a", "b", "c"], 2) == ("\x1b[Ha\x1b[K\r\n(2 more lines do not fit)\x1b[K\x1b[J")


def watching(tmp_path: Path, **env: str) -> Terminal:
    enabled = {"HEALTHCHECKS_ENABLED": "true", "TERM": "xterm"}
    return Terminal([HCCTL, "status", "--watch"], environment(tmp_path) | enabled | env, 30, 100)


def drawn(terminal: Terminal) -> str:
    """What appears until the screen is complete."""
    return str(terminal.read_until(r"(?s).*?\x1b\[J")[0])


def test_watch_refreshes_and_ends_with_ctrl_c(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check("job")
    pinged(check, 1)
    Past(tmp_path).run("job", time.time())
    with watching(tmp_path, **env(stub, HEALTHCHECKS_RETRY_COUNT="1", COLUMNS="")) as terminal:
        first = drawn(terminal)
        assert first.startswith("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H")
        assert "\x1b[32m1 up\x1b[0m" in first
        check.stored_status = "down"
        terminal.resize(30, 120)  # refreshes at once
        assert "\x1b[31m1 down\x1b[0m" in drawn(terminal)
        stub.go_down()
        terminal.resize(30, 300)
        screen = drawn(terminal)
        assert "Connection refused" in screen
        assert "the following is the server's answer of" in screen
        assert "\x1b[31m1 down\x1b[0m" in screen  # as it was
        stub.come_back()
        check.stored_status = "up"
        terminal.resize(30, 140)
        assert "\x1b[32m1 up\x1b[0m" in drawn(terminal)
        terminal.type(CTRL_C)
        terminal.read_until(r"\x1b\[\?7h\x1b\[\?25h\x1b\[\?1049l")
        assert terminal.wait() == 0


def test_watch_leaves_the_screen_when_it_is_terminated(tmp_path: Path) -> None:
    Past(tmp_path).run("job", time.time())
    with watching(tmp_path, NO_COLOR="1") as terminal:
        assert "1 up\x1b[K" in drawn(terminal)
        terminal.program.terminate()
        terminal.read_until(r"\x1b\[\?1049l")
        assert terminal.wait() == 143
