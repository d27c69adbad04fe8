"""`hcctl history`, `flush` and `ping`: what they print, and their exit statuses."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from hcrun.units import iso
from tests.stub.healthchecks import Check, Fault, HealthchecksStub, answers
from tests.support.command import (
    HCCTL,
    PATIENCE,
    environment,
    last_run,
    run_hcctl,
    run_hcrun,
    runs,
    start_hcrun,
    wait_until,
)
from tests.support.ptydriver import Terminal

UTC = {"TZ": "UTC"}
ONCE = {"HEALTHCHECKS_RETRY_COUNT": "1"}


def history(tmp_path: Path, *arguments: str) -> str:
    done = run_hcctl(tmp_path, "history", *arguments, env=UTC)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def when(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def refused(tmp_path: Path, *arguments: str, **env: str) -> tuple[int, str]:
    """Exit status and the one error of a command that prints nothing else."""
    done = run_hcctl(tmp_path, *arguments, env=env)
    assert done.stdout == ""
    return done.returncode, done.stderr


# history


def test_history_is_one_line_a_run_newest_last(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "backup", "--", "true")
    run_hcrun(tmp_path, "clean-up", "sh", "-c", "echo out of disk; exit 3")
    run_hcrun(tmp_path, "backup", "--", "sh", "-c", "kill -9 $$")
    third, second, first = runs(tmp_path)
    assert history(tmp_path) == (
        f"{when(first.started)}  backup    success  {first.why}  {first.run_id[:8]}\n"
        f"{when(second.started)}  clean-up  fail     {second.why}  {second.run_id[:8]}\n"
        f"{when(third.started)}  backup    fail     {third.why}  {third.run_id[:8]}\n"
    )
    assert re.fullmatch(r"exit status 0 after \d+ ms", first.why)
    assert re.fullmatch(r"killed by SIGKILL after \d+ ms", third.why)
    only = history(tmp_path, "backup", "--failed")
    assert only == (f"{when(third.started)}  backup  fail     {third.why}  {third.run_id[:8]}\n")
    assert history(tmp_path, "-n", "1") == only
    assert history(tmp_path, "--number", "2", "backup").count("\n") == 2


def test_history_says_what_is_not_delivered(tmp_path: Path, stub: HealthchecksStub) -> None:
    check, gone = stub.add_check(), stub.add_check()
    stub.checks.remove(gone)
    run_hcrun(tmp_path, gone.uuid, "--", "true", stub=stub, env=ONCE)
    stub.go_down()
    run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub, env=ONCE)
    kept, lost = runs(tmp_path)
    assert history(tmp_path) == (
        f"{when(lost.started)}  {gone.uuid[:8]}  success  {lost.why} (refused by the server)"
        f"  {lost.run_id[:8]}\n"
        f"{when(kept.started)}  {check.uuid[:8]}  success  {kept.why} (not delivered yet)"
        f"  {kept.run_id[:8]}\n"
    )


def test_history_of_what_is_going_held_and_skipped(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "--fail-after", "2", "job", "--", "false")
    with start_hcrun(tmp_path, "--overlap", "skip", "job", "--", "sleep", "60") as going:
        wait_until(lambda: last_run(tmp_path).ended is None, "the run is recorded")
        run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "true")
        skipped, now, held = runs(tmp_path)
        assert history(tmp_path) == (
            f"{when(held.started)}  job  held     {held.why}  {held.run_id[:8]}\n"
            f"{when(now.started)}  job  running  {now.why}  {now.run_id[:8]}\n"
            f"{when(skipped.started)}  job  skip     {skipped.why}  {skipped.run_id[:8]}\n"
        )
        going.terminate()
    assert held.why.endswith("(failure 1 of 2 before an alert)")
    assert f"pid {going.pid}, since " in skipped.why
    failed = history(tmp_path, "--failed")
    assert [line.split()[4] for line in failed.splitlines()] == ["held", "fail"]


def test_output_of_a_run(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "one", "sh", "-c", "echo hello; printf 'no newline'")
    run_hcrun(tmp_path, "two", "--", "seq", "100000")
    run_hcrun(tmp_path, "three", "--", "true")
    silent, _, short = runs(tmp_path)
    for name in (short.run_id, short.run_id[:8], short.run_id.upper()):
        assert history(tmp_path, "--output", name) == "hello\nno newline\n"
    text = history(tmp_path, "two", "--output", "last")
    assert text.startswith("1\n2\n3\n")
    assert text.endswith("\n99999\n100000\n")
    assert len(re.findall(r"^\[\.\.\. [\d,]+ bytes left out \.\.\.\]$", text, re.M)) == 1
    done = run_hcctl(tmp_path, "history", "--output", silent.run_id)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "this run printed nothing, or its output was not kept\n"


def test_output_of_no_run_and_of_several(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    while len({run.run_id[0] for run in runs(tmp_path)}) == len(runs(tmp_path)):
        run_hcrun(tmp_path, "job", "--", "true")
    ids = [run.run_id[0] for run in runs(tmp_path)]
    twice = next(letter for letter in ids if ids.count(letter) > 1)
    assert refused(tmp_path, "history", "--output", twice) == (
        1,
        f"hcctl: several runs have an id that begins with {twice}; give more characters\n",
    )
    for name in ("x", "''", "%", ""):
        assert refused(tmp_path, "history", "--output", name) == (
            1,
            f"hcctl: no run has the id {name!r}; hcctl history shows the ids\n",
        )


JSON_FIELDS = {
    *("run", "check", "command", "user", "started", "ended", "duration", "cpu_user"),
    *("cpu_system", "memory", "status", "result", "why", "delivery", "output"),
}


def test_history_as_json(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    run_hcrun(tmp_path, check.uuid, "sh", "-c", "echo hello; exit 3", stub=stub)
    run_hcrun(tmp_path, "local", "--", "true")
    second, first = json.loads(history(tmp_path, "--json"))
    assert set(first) == set(second) == JSON_FIELDS
    run = runs(tmp_path)[1]
    assert first == {
        "run": run.run_id,
        "check": check.uuid[:8],
        "command": "sh -c 'echo hello; exit 3'",
        "user": run.user,
        "started": iso(run.started),
        "ended": iso(run.ended),
        "duration": run.duration,
        "cpu_user": run.cpu_user,
        "cpu_system": run.cpu_system,
        "memory": run.memory or None,
        "status": 3,
        "result": "fail",
        "why": run.why,
        "delivery": "sent",
        "output": {"head": "hello\n", "omitted": 0, "tail": ""},
    }
    assert second["delivery"] is None
    assert json.loads(history(tmp_path, "--json", "--failed")) == [first]
    assert json.loads(history(tmp_path, "--json", "--output", run.run_id[:12])) == [first]
    assert json.loads(history(tmp_path, "--json", "no-such-check")) == []


def test_json_of_a_run_that_is_going(tmp_path: Path) -> None:
    with start_hcrun(tmp_path, "job", "--", "sleep", "60") as going:
        wait_until(lambda: (tmp_path / "state").exists() and runs(tmp_path), "it is recorded")
        (run,) = json.loads(history(tmp_path, "--json"))
        going.terminate()
    assert (run["ended"], run["duration"], run["result"], run["delivery"]) == (None,) * 4
    assert run["why"] == f"in progress, pid {going.pid}"


def test_the_documentation_names_every_member_of_the_json() -> None:
    page = (Path(__file__).parents[2] / "docs" / "journal.md").read_text()
    text = page.partition("## `hcctl history --json`")[2].partition("\n## ")[0]
    assert set(re.findall(r"\w+", text)) >= JSON_FIELDS


def on_terminal(tmp_path: Path, *arguments: str, **env: str) -> str:
    environ = environment(tmp_path) | UTC | {"TERM": "xterm"} | env
    with Terminal([HCCTL, *arguments], environ) as terminal:
        assert terminal.wait() == 0
        return terminal.screen.replace("\r\n", "\n")


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    run_hcrun(tmp_path, "job", "--", "false")
    run_hcrun(tmp_path, "--fail-after", "9", "job", "--", "false")
    plain = history(tmp_path)
    assert "\x1b" not in plain
    shown = on_terminal(tmp_path, "history")
    assert re.findall(r"\x1b\[(\d+)m(\w+) *\x1b\[0m", shown) == [
        ("32", "success"),
        ("31", "fail"),
        ("33", "held"),
    ]
    assert re.sub(r"\x1b\[\d+m", "", shown) == plain
    assert on_terminal(tmp_path, "history", NO_COLOR="1") == plain


def test_history_survives_a_closed_reader(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "seq", "20000")
    command = f"{HCCTL} history --output last | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"1\n", b"")


# A journal that is not there, empty, corrupt, or another's


@pytest.mark.parametrize("command", [["history"], ["history", "--json"], ["flush"]])
def test_no_journal(command: list[str], tmp_path: Path) -> None:
    """And none is made by looking for it."""
    expected = (
        f"hcctl: {tmp_path}/state/journal.db: there is no journal; the first run of hcrun"
        " creates it; run this as the user whose runs they are, or set STATE_DIRECTORY\n"
    )
    assert refused(tmp_path, *command) == (1, expected)
    assert not (tmp_path / "state").exists()


def test_nothing_found(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    path = tmp_path / "state" / "journal.db"
    for arguments, words in (
        (["jbo"], f'no such runs of jbo in {path}; did you mean "job"?'),
        (["--failed"], f"no such runs in {path}"),
        (["job", "--failed", "--output", "last"], f"no such runs of job in {path}"),
    ):
        done = run_hcctl(tmp_path, "history", *arguments)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == f"{words}\n"


def test_corrupt_journal(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    for path in (tmp_path / "state").glob("journal.db-*"):
        path.unlink()
    (tmp_path / "state" / "journal.db").write_bytes(b"no database" * 1000)
    done = run_hcctl(tmp_path, "history")
    (aside,) = (tmp_path / "state").glob("journal.db.corrupt-*")
    said, nothing = done.stderr.splitlines()
    assert said == (
        f"hcctl: the journal was corrupt and is now {aside}; hcctl journal check saves its"
        " undelivered results"
    )
    assert nothing == f"no such runs in {tmp_path}/state/journal.db"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_journal_of_another_user(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    path = tmp_path / "state" / "journal.db"
    os.chown(path, 12345, 12345)
    expected = (
        f"hcctl: {path}: belongs to user 12345, hcrun runs as 0;"
        " run as that user, chown it, or set STATE_DIRECTORY\n"
    )
    assert refused(tmp_path, "flush") == (1, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_journal_that_may_not_be_read(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    (tmp_path / "state").chmod(0)
    status, said = refused(tmp_path, "history")
    (tmp_path / "state").chmod(0o700)
    assert status == 1
    assert said == (
        f"hcctl: {tmp_path}/state/journal.lock: Permission denied;"
        " make its directory writable, free some space, or set STATE_DIRECTORY\n"
    )


# flush: tests/journal and tests/run test what it delivers


def undelivered(tmp_path: Path, stub: HealthchecksStub, *checks: Check) -> None:
    """A failed run of each check while the server is down."""
    stub.go_down()
    for check in checks:
        run_hcrun(tmp_path, "--no-start", check.uuid, "--", "false", stub=stub, env=ONCE)
    stub.come_back()


def test_flush_when_switched_off(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check)
    assert refused(tmp_path, "flush", HEALTHCHECKS_ENABLED="false") == (
        1,
        "hcctl: HEALTHCHECKS_ENABLED is false; no ping was sent\n",
    )
    assert check.pings == []


def test_flush_line_by_line(tmp_path: Path, stub: HealthchecksStub) -> None:
    """One refused, one sent, one not taken."""
    gone, check, ill = stub.add_check(), stub.add_check(), stub.add_check()
    undelivered(tmp_path, stub, gone, check, ill)
    stub.checks.remove(gone)
    stub.fault = Fault(answers(500, "oh"), only=ill.uuid)
    ends = {run.check: when(run.ended) for run in runs(tmp_path)}
    first, second, third = (one.uuid[:8] for one in (gone, check, ill))
    done = run_hcctl(tmp_path, "flush", env=UTC)
    assert done.returncode == 1
    assert done.stdout == f"{second}, {ends[second]}, fail: sent\n"
    one, two, last = done.stderr.splitlines()
    assert one.startswith(f"{first}, {ends[first]}, fail: no check has this UUID; ")
    assert two.startswith(f"{third}, {ends[third]}, fail: ")
    assert last == (
        "hcctl: 1 of 2 results are not delivered; see above, then run hcctl flush again"
    )
    stub.fault = None
    done = run_hcctl(tmp_path, "flush", env=UTC)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{third}, {ends[third]}, fail: sent\n"


def test_flush_of_what_is_refused(tmp_path: Path, stub: HealthchecksStub) -> None:
    gone = stub.add_check()
    undelivered(tmp_path, stub, gone)
    stub.checks.remove(gone)
    status, said = refused(tmp_path, "flush")
    assert status == 1
    assert said.splitlines()[1:] == [
        "hcctl: 1 of 1 results were rejected, and are not sent again; see above"
    ]
    assert run_hcctl(tmp_path, "flush").stdout == "nothing to deliver\n"


# ping


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("success", None, b"")),
        (["success"], ("success", None, b"")),
        (["start"], ("start", None, b"")),
        (["fail", "the disk is full"], ("fail", None, b"the disk is full")),
        (["log", "half wäy"], ("log", None, "half wäy".encode())),
        (["0"], ("success", 0, b"")),
        (["007", "x"], ("fail", 7, b"x")),
        (["255"], ("fail", 255, b"")),
    ],
)
def test_ping(
    arguments: list[str],
    expected: tuple[str, int | None, bytes],
    tmp_path: Path,
    stub: HealthchecksStub,
) -> None:
    check = stub.add_check()
    done = run_hcctl(tmp_path, "ping", check.uuid, *arguments, stub=stub)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (ping,) = check.pings
    assert (ping.kind, ping.exitstatus, ping.body) == expected
    assert ping.rid is None


def test_ping_by_slug_and_create(tmp_path: Path, stub: HealthchecksStub) -> None:
    env = {"HEALTHCHECKS_PING_KEY": stub.ping_key}
    done = run_hcctl(tmp_path, "ping", "new-job", stub=stub, env=env)
    assert (done.returncode, "--create" in done.stderr) == (1, True)
    done = run_hcctl(tmp_path, "ping", "--create", "new-job", stub=stub, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [ping.kind for ping in stub.by_slug("new-job").pings] == ["success"]


def test_ping_redacts_its_message(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    env = {"DB_PASSWORD": "hunter2hunter2"}
    run_hcctl(tmp_path, "ping", check.uuid, "log", "pw hunter2hunter2!", stub=stub, env=env)
    assert check.pings[0].body == b"pw [redacted]!"


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (
            ["backup", "half way"],
            2,
            "invalid kind of ping 'half way'; choose success, start, fail, log or 0 to 255\n",
        ),
        (["backup", "256"], 2, "invalid kind of ping '256'; "),
        (["backup", "²"], 2, "invalid kind of ping '²'; "),
        (["a b"], 2, "'a b' "),
        (["backup"], 1, "backup is not pinged: set HC_CHECK_BACKUP to "),
    ],
)
def test_ping_that_cannot_be(arguments: list[str], status: int, error: str, tmp_path: Path) -> None:
    exit_status, text = refused(tmp_path, "ping", *arguments)
    assert exit_status == status
    assert text.startswith(f"hcctl: {error}")


def test_ping_with_settings_that_are_wrong(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    env = {"HEALTHCHECKS_PING_URL": stub.ping_url, "HEALTHCHECKS_RETRY_COUNT": "many"}
    assert refused(tmp_path, "ping", check.uuid, **env) == (
        1,
        "hcctl: HEALTHCHECKS_RETRY_COUNT: 'many' is not a whole number of 1 or more; using 3\n",
    )
    assert stub.connections == 0
    assert refused(tmp_path, "ping", check.uuid, HEALTHCHECKS_ENABLED="false") == (
        1,
        "hcctl: HEALTHCHECKS_ENABLED is false; no ping was sent\n",
    )


def test_ping_to_a_dead_server(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.go_down()
    host = stub.ping_url.split("/")[2]
    env = {"HEALTHCHECKS_PING_URL": stub.ping_url, "HEALTHCHECKS_RETRY_DELAY": "10ms"}
    assert refused(tmp_path, "ping", check.uuid, **env) == (
        1,
        f"hcctl: cannot reach the server: {host}: Connection refused\n",
    )


def test_a_word_from_inside_of_a_job(tmp_path: Path, stub: HealthchecksStub) -> None:
    """It belongs to the run on the server, and changes nothing there."""
    check = stub.add_check()
    script = f'read line; {HCCTL} ping "$HCRUN_CHECK" log "half way"'
    with start_hcrun(
        tmp_path, check.uuid, "sh", "-c", script, stub=stub, stdin=subprocess.PIPE
    ) as job:
        stub.wait_for(check, 1)  # the start ping
        assert job.communicate(b"\n", PATIENCE) == (b"", b"")
        assert job.returncode == 0
    start, word, end = check.pings
    assert (start.kind, word.kind, end.kind) == ("start", "log", "success")
    assert start.rid == word.rid == end.rid == last_run(tmp_path).run_id
    assert word.body == b"half way"
    assert check.last_duration is not None
    assert check.status == "up"


@pytest.mark.parametrize("kind", ["start", "success", "fail", "3"])
def test_other_pings_from_inside_of_a_job_have_no_rid(
    kind: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """An end with a rid that no start had would switch durations off."""
    check, other = stub.add_check(), stub.add_check()
    script = f'{HCCTL} ping "$HCRUN_CHECK" {kind}; {HCCTL} ping {other.uuid} log hello'
    run_hcrun(tmp_path, "--no-start", check.uuid, "sh", "-c", script, stub=stub)
    assert [ping.rid for ping in check.pings] == [None, None]
    assert [(ping.kind, ping.rid) for ping in other.pings] == [("log", None)]


def test_a_run_id_that_is_not_a_uuid(tmp_path: Path, stub: HealthchecksStub) -> None:
    """The server would reject the whole ping."""
    check = stub.add_check()
    env = {"HCRUN_CHECK": check.uuid, "HCRUN_RUN_ID": "my-own-idea"}
    done = run_hcctl(tmp_path, "ping", check.uuid, "log", "hello", stub=stub, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(ping.kind, ping.rid) for ping in check.pings] == [("log", None)]


# The command line


@pytest.mark.parametrize(
    ("arguments", "usage", "error"),
    [
        (["bogus"], "hcctl [OPTIONS] [COMMAND] [ARGS]...", "No such command 'bogus'."),
        (
            ["history", "-n", "0"],
            "hcctl history [OPTIONS] [CHECK]",
            "Invalid value for '-n' / '--number': 0 is not in the range x>=1.",
        ),
        (["flush", "now"], "hcctl flush [OPTIONS]", "Got unexpected extra argument (now)"),
        (
            ["ping"],
            "hcctl ping [OPTIONS] CHECK [success|start|fail|log|0-255] [MESSAGE]",
            "Missing argument 'CHECK'.",
        ),
    ],
)
def test_usage_errors(arguments: list[str], usage: str, error: str, tmp_path: Path) -> None:
    command = usage.partition(" [")[0]
    status, said = refused(tmp_path, *arguments)
    assert status == 2
    assert said == f"Usage: {usage}\nTry '{command} --help' for help.\n\nError: {error}\n"
