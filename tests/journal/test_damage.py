"""A damaged journal costs no ping: it is set aside, or the damaged record is left out."""

import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hcrun.errors import JournalError
from hcrun.journal.delivery import Report
from hcrun.journal.journal import Journal
from hcrun.journal.pruning import prune
from hcrun.journal.run import Run
from hcrun.ping.target import Target
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.command import HCRUN, run_hcctl, run_hcrun, run_program, runs
from tests.support.journals import Past

STRACE = shutil.which("strace") or ""
COMMAND = ("sh", "-c", "echo hi; exit 3")
FIRST_PAGE = 4096  # the header and the schema
SET_ASIDE = re.compile(
    r"hcrun: the journal was corrupt and is now \S+/journal\.db\.corrupt-\d{8}T\d{6}Z;"
    r" `hcctl journal check` saves its undelivered results\n"
)
NEWER = re.compile(r".*was written by a newer hcrun \(format \d+\); upgrade hcrun\n?")


def make(tmp_path: Path) -> bytes:
    """A checkpointed journal with 60 runs, 15 of them not delivered."""
    home = tmp_path / "made"
    past = Past(home)
    at = time.time() - 5000
    for number in range(60):
        result = "success" if number % 3 else "fail"
        past.run(f"job{number % 5}", at + number, result=result, pending=number % 4 == 0)
    path = home / "state" / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def put(home: Path, data: bytes) -> Path:
    """A home with this journal and no other file."""
    state = home / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    path = state / "journal.db"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def flipped(data: bytes, chance: random.Random, limit: int) -> tuple[str, bytes]:
    """The data with one bit changed, among its first `limit` bytes."""
    at, bit = chance.randrange(limit), chance.randrange(8)
    return f"byte {at}, bit {bit}", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def set_aside(home: Path) -> list[Path]:
    return sorted((home / "state").glob("journal.db.corrupt-*Z"))


@contextmanager
def opened(home: Path) -> Iterator[Journal]:
    """The journal. A process keeps its files open until its end, which is too many of them here."""
    journal = Journal(str(home / "state"))
    try:
        yield journal
    finally:
        journal._disconnect()
        os.close(journal._locks)


def use(home: Path) -> Run:
    """What a run does with the journal; only a JournalError may come out of it."""
    with opened(home) as journal:
        return use_it(journal)


def use_it(journal: Journal) -> Run:
    report = Report(Run(os.urandom(8).hex(), time.time()))
    report.target = Target("job1", "http://127.0.0.1:1/ping/x")
    run = report.run
    run.check, run.command, run.user = "job1", "true", "app"
    run.ended, run.duration, run.result, run.why = run.started + 1, 1.0, "success", "fine"
    for step in (
        lambda: report.begin(journal),
        lambda: journal.in_a_row(report.identity, "fail", 3) or 0,
        lambda: report.finish(journal),
        lambda: journal.find_lost(time.time()),
        lambda: report.record_delivery(journal),
        lambda: prune(journal, time.time()),
        lambda: report.finish(journal),
    ):
        try:
            step()
        except JournalError:
            if not journal.set_aside:
                raise
    return run


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), [(1, 500), (2, 500)])
def test_flipped_bits(seed: int, count: int, tmp_path: Path) -> None:
    """One in 1,000 places: in the schema, or anywhere. The run is in the journal afterwards."""
    data = make(tmp_path)
    chance = random.Random(seed)
    limit = FIRST_PAGE if seed == 1 else len(data)
    aside = 0
    for _ in range(count):
        where, damaged = flipped(data, chance, limit)
        put(tmp_path, damaged)
        try:
            run = use(tmp_path)
            with opened(tmp_path) as journal:
                recorded = run.run_id in [run.run_id for run, _ in journal.runs()]
        except JournalError as error:  # the latter: only reading all runs finds the damage
            recorded = bool(NEWER.fullmatch(str(error)) or set_aside(tmp_path))
        assert recorded, where
        aside += bool(set_aside(tmp_path))
    assert aside > count / 50


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), [(3, 30), (4, 10)])
def test_flipped_bits_cost_no_ping(
    seed: int, count: int, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """The same with the real command, which says at most once what happened."""
    data = make(tmp_path)
    chance = random.Random(seed)
    for _ in range(count):
        where, damaged = flipped(data, chance, FIRST_PAGE if seed == 3 else len(data))
        put(tmp_path, damaged)
        check = stub.add_check()
        done = run_hcrun(tmp_path, check.uuid, "--", *COMMAND, stub=stub)
        assert (done.returncode, done.stdout) == (3, b"hi\n"), where
        assert [ping.kind for ping in check.pings] == ["start", "fail"], where
        words = done.stderr.decode()
        assert not words or SET_ASIDE.fullmatch(words) or NEWER.fullmatch(words), where
        again = run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub)
        assert again.returncode == 0
        assert check.status == "up", where
        if not NEWER.fullmatch(words):
            assert again.stderr == b"", where
            # Of the last runs: damage where no run has to look is found by who looks at all.
            last = Journal(str(tmp_path / "state")).runs(maximum=2)
            assert [run.result for run, _ in last] == ["success", "fail"], where


def test_a_schema_that_is_no_text(tmp_path: Path, check: Check, stub: HealthchecksStub) -> None:
    """SQLite's error is then no text either."""
    data = make(tmp_path)
    at = data.index(b"REFERENCES checks") + 2
    put(tmp_path, data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
    done = run_hcrun(tmp_path, check.uuid, "--", *COMMAND, stub=stub)
    assert done.returncode == 3
    assert SET_ASIDE.fullmatch(done.stderr.decode())
    done = run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [ping.kind for ping in check.pings] == ["start", "fail", "start", "success"]
    assert len(set_aside(tmp_path)) == 1
    assert len(runs(tmp_path)) == 2


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("CREATE TABLE notes (text)", True),
        ("ALTER TABLE runs ADD COLUMN note TEXT", True),
        ("ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''", True),
        ("ALTER TABLE checks ADD COLUMN note TEXT", True),
        ("ALTER TABLE outputs ADD COLUMN note TEXT", True),
        ("ALTER TABLE totals ADD COLUMN note TEXT", True),
        ("ALTER TABLE limits ADD COLUMN note TEXT", True),
        ("DROP TRIGGER runs_counted", True),
        ("ALTER TABLE runs RENAME COLUMN command TO line", False),
        ("ALTER TABLE outputs RENAME TO prints", False),
        ("DROP TABLE outputs", False),
        (
            "DROP TABLE outputs; CREATE TABLE outputs (id, head, omitted, tail, note NOT NULL)",
            False,
        ),
        ("PRAGMA writable_schema=ON; DELETE FROM sqlite_master", False),
    ],
)
def test_tables_that_are_not_ours(
    change: str, kept: bool, tmp_path: Path, check: Check, stub: HealthchecksStub
) -> None:
    """More tables and columns are allowed."""
    path = put(tmp_path, make(tmp_path))
    with closing(sqlite3.connect(path)) as db:
        db.executescript(change)
    done = run_hcrun(tmp_path, check.uuid, "--", *COMMAND, stub=stub)
    assert done.returncode == 3
    assert [ping.kind for ping in check.pings] == ["start", "fail"]
    words = done.stderr.decode()
    assert words == "" if kept else SET_ASIDE.fullmatch(words)
    assert len(set_aside(tmp_path)) == (not kept)
    assert runs(tmp_path)[0].status == 3


@pytest.mark.parametrize(
    "damage",
    [
        "command = cast(x'ff41' AS text)",
        "command = x'ff41'",
        "started = 'yesterday'",
        "ended = x'00'",
        "duration = 1e300",
        "status = 'three'",
        "why = x''",
        "result = NULL",
        "result = 'fain'",
        "check_id = 77",
    ],
)
def test_a_damaged_record_does_not_hold_up_the_others(
    damage: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    checks = [stub.add_check() for _ in range(3)]
    stub.go_down()
    quick = {"HEALTHCHECKS_RETRY_COUNT": "1"}
    for check in checks:
        run_hcrun(tmp_path, "--no-start", check.uuid, "--", *COMMAND, stub=stub, env=quick)
    stub.come_back()
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db, db:
        db.execute(f"UPDATE runs SET {damage} WHERE id = 1")  # noqa: S608 - a constant
    done = run_hcctl(tmp_path, "flush")
    assert [len(check.pings) for check in checks] == [0, 1, 1]
    assert done.returncode == 1
    assert done.stderr == (
        "hcctl: 1 undelivered result in the journal is damaged; hcctl journal check repairs or"
        " removes damaged records\n"
    )
    done = run_hcctl(tmp_path, "flush")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to deliver\n", "")


@pytest.mark.slow
@pytest.mark.skipif(not STRACE, reason="strace is not installed")
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize(
    "call",
    [
        "mkdir",
        "openat",
        "newfstatat",
        "fcntl",
        "lseek",
        "pread64",
        "pwrite64",
        "ftruncate",
        "fdatasync",
        "mmap",
        "close",
    ],
)
def test_each_system_call_fails(
    call: str, error: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """From its first use on the journal's files, or from a later one."""
    state = tmp_path / "state"
    run_hcrun(tmp_path, "job", "--", "true")
    names = ("", "journal.db", "journal.db-wal", "journal.db-shm", "journal.lock")
    strace = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    strace += [word for name in names for word in ("-P", str(state / name))]
    for first in (1, 2, 4, 8):
        check = stub.add_check()
        inject = ("-e", f"inject={call}:error={error}:when={first}+")
        done = run_program(tmp_path, *strace, *inject, HCRUN, check.uuid, *COMMAND, stub=stub)
        assert (done.returncode, done.stdout) == (3, "hi\n")
        assert [ping.kind for ping in check.pings] == ["start", "fail"]
        assert all(line.startswith("hcrun: ") for line in done.stderr.splitlines())
        assert done.stderr.count("\n") < 2
        assert set_aside(tmp_path) == []
    check = stub.add_check()
    done = run_program(tmp_path, HCRUN, check.uuid, "true", stub=stub)
    assert (done.returncode, done.stderr) == (0, "")
    assert check.status == "up"
    assert runs(tmp_path)[0].result == "success"


def lose_the_server(
    tmp_path: Path, stub: HealthchecksStub, names: list[str], env: dict[str, str]
) -> None:
    """Runs of these checks that could not be delivered."""
    stub.go_down()
    quick = {"HEALTHCHECKS_RETRY_COUNT": "1"}
    for name in names:
        run_hcrun(tmp_path, "--no-start", name, "--", *COMMAND, stub=stub, env=env | quick)
    stub.come_back()


@pytest.mark.parametrize("text", [b"REFERENCES checks", b"SQLite format 3", b"CREATE TABLE runs"])
def test_results_of_a_journal_that_was_set_aside(
    text: bytes, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """Each is delivered once, and does not hide what happened since."""
    failed, recovered = stub.add_check(), stub.add_check()
    env = {"HC_CHECK_FAILED": failed.uuid, "HC_CHECK_RECOVERED": recovered.uuid}
    lose_the_server(tmp_path, stub, ["failed", "recovered"], env)
    path = tmp_path / "state" / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    at = data.index(text) + 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
    done = run_program(tmp_path, HCRUN, "recovered", "true", stub=stub, env=env)
    assert SET_ASIDE.fullmatch(done.stderr)
    (aside,) = set_aside(tmp_path)
    for copied, pending in ((2, 2), (0, 2)):
        done = run_hcctl(tmp_path, "journal", "check")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            f"{aside}: {copied} undelivered results copied\n"
            f"{path}: 3 runs, {pending} undelivered results\n"
        )
    assert run_hcctl(tmp_path, "flush", stub=stub, env=env).returncode == 0
    assert [ping.kind for ping in failed.pings] == ["fail"]
    assert [ping.kind for ping in recovered.pings] == ["start", "success", "log"]
    assert run_hcctl(tmp_path, "journal", "check").returncode == 0
    assert run_hcctl(tmp_path, "flush").stdout == "nothing to deliver\n"


def test_journal_check_repairs_texts_and_deletes_what_is_damaged_beyond(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    checks = [stub.add_check() for _ in range(3)]
    lose_the_server(tmp_path, stub, [check.uuid for check in checks], {})
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db, db:
        db.execute("UPDATE runs SET command = cast(x'ff41' AS text) WHERE id = 1")
        db.execute("UPDATE runs SET status = 'three' WHERE id = 2")
    deleted = runs_of(tmp_path)[1]
    assert run_hcctl(tmp_path, "flush").returncode == 1
    done = run_hcctl(tmp_path, "journal", "check")
    assert done.returncode == 1
    assert done.stderr == f"run {deleted[:8]}: its status is damaged: deleted\n1 record repaired\n"
    assert run_hcctl(tmp_path, "flush").returncode == 0
    assert [len(check.pings) for check in checks] == [1, 0, 1]
    assert b"command: \xef\xbf\xbdA" in checks[0].pings[0].body
    done = run_hcctl(tmp_path, "journal", "check")
    assert (done.returncode, done.stderr) == (0, "")


def runs_of(tmp_path: Path) -> list[str]:
    """The ids of all recorded runs, also damaged ones."""
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db:
        return [run_id for (run_id,) in db.execute("SELECT run_id FROM runs ORDER BY id")]


@pytest.mark.parametrize("damage", ["duration = x'00ff'", "started = 'noon'", "ended = 1e300"])
@pytest.mark.parametrize("command", ["history", "status --local", "report week", "metrics"])
def test_a_damaged_record_gives_no_traceback(command: str, damage: str, tmp_path: Path) -> None:
    path = put(tmp_path, make(tmp_path))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE runs SET {damage} WHERE id % 5 = 1")  # noqa: S608 - a constant
    words = "hcctl: the journal has damaged records; run hcctl journal check\n"
    assert run_hcctl(tmp_path, *command.split()).stderr in ("", words)
    assert run_hcctl(tmp_path, "journal", "check").stderr.count("is damaged: deleted\n") == 12
    done = run_hcctl(tmp_path, *command.split())
    assert (done.stderr, bool(done.stdout)) == ("", True)
