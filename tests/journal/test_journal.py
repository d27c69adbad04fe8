"""The journal: shared, private, and no reason for a job not to run."""

import fcntl
import os
import re
import sqlite3
import subprocess
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from hcrun.journal.journal import Journal
from hcrun.journal.pruning import prune
from hcrun.paths import find_directory
from hcrun.settings import Settings
from tests.stub.healthchecks import Fault, HealthchecksStub, answers, delays
from tests.support.command import (
    HCRUN,
    PATIENCE,
    environment,
    last_run,
    run_hcctl,
    run_hcrun,
    runs,
    start_hcrun,
    wait_until,
)
from tests.support.journals import Past

NOW = {"HEALTHCHECKS_ENABLED": "true", "HEALTHCHECKS_RETRY_COUNT": "1"}
HINT = "make its directory writable, free some space, or set STATE_DIRECTORY"


def database(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "state" / "journal.db", isolation_level=None)


def test_a_run_is_recorded_whole(tmp_path: Path) -> None:
    before = time.time()
    script = "echo out; echo err >&2; head -c 30000000 /dev/zero | tail -c 1; exit 3"
    run_hcrun(tmp_path, "job", "--", "sh", "-c", script)
    run = last_run(tmp_path)
    assert (run.check, run.result, run.status) == ("job", "fail", 3)
    assert run.command == f"sh -c '{script}'"
    assert run.ended is not None
    assert run.duration is not None
    assert before <= run.started <= run.ended <= time.time()
    assert 0 < run.duration < 30
    assert run.cpu_user + run.cpu_system > 0
    assert sorted(run.excerpt.head.split()) == ["err", "out"]
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-.{12}", run.run_id)


def test_files_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        run_hcrun(tmp_path, "job", "--", "true")
    finally:
        os.umask(old)
    state = tmp_path / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


def holding(tmp_path: Path, secret: str) -> set[str]:
    """The names of the files beside the journal that contain the secret."""
    files = (tmp_path / "state").iterdir()
    return {path.name.split("-")[0] for path in files if secret.encode() in path.read_bytes()}


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("UUID", {"journal.db.url"}),
        ("URL/UUID", {"journal.db.url"}),
        ("HC_CHECK_JOB=UUID job", {"journal.db.url"}),
        ("HC_CHECK_JOB=URL/UUID job", {"journal.db.url"}),
        ("HC_CHECK_JOB_FILE=FILE job", set()),
        ("HEALTHCHECKS_PING_KEY=KEY job", set()),
    ],
)
def test_secrets_at_rest(
    words: str, kept: set[str], tmp_path: Path, stub: HealthchecksStub
) -> None:
    """A ping URL is kept only if the command line gave it, and not longer than it is needed."""
    check = stub.add_check("job")
    file = tmp_path / "uuid"
    file.write_text(check.uuid)
    words = words.replace("URL/", f"{stub.ping_url}/").replace("UUID", check.uuid)
    words = words.replace("=KEY", f"={stub.ping_key}").replace("=FILE", f"={file}")
    *settings, name = words.split()
    env = dict(setting.split("=") for setting in settings)
    secret = stub.ping_key if "PING_KEY" in words else check.uuid
    stub.fault = Fault(answers(503))
    run_hcrun(tmp_path, name, "--", "true", stub=stub, env=env | {"HEALTHCHECKS_RETRY_COUNT": "1"})
    assert holding(tmp_path, secret) == kept
    assert last_run(tmp_path).result == "success"
    stub.fault = None
    done = run_hcctl(tmp_path, "flush", stub=stub, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert check.status == "up"
    run_hcrun(tmp_path, name, "--", "true", stub=stub, env=env)
    assert holding(tmp_path, secret) == set()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}


def test_the_url_of_a_run_that_is_forgotten_is_deleted(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "http://127.0.0.1:1/ping/key/job", "--", "true", env=NOW)
    assert holding(tmp_path, "key/job") == {"journal.db.url"}
    journal = Journal(str(tmp_path / "state"))
    prune(journal, time.time() + 91 * 86400)
    assert holding(tmp_path, "key/job") == set()


@pytest.mark.parametrize(
    ("environ", "uid", "place"),
    [
        ({"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}, 0, "/a"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, 1000, "/x/hcrun"),
        ({"HOME": "/h"}, 1000, "/h/.local/state/hcrun"),
        ({"HOME": "/h"}, 0, "/var/lib/hcrun"),
    ],
)
def test_where_it_is(environ: dict[str, str], uid: int, place: str) -> None:
    assert find_directory(Settings.load(environ), uid) == place


def test_state_directory_in_an_env_file(tmp_path: Path) -> None:
    """The wrapper, its lock, hcctl, the doctor and the probes agree; the environment wins."""
    there, env_file = tmp_path / "there", tmp_path / "hcrun.env"
    env_file.write_text(f"STATE_DIRECTORY={there}\nHEALTHCHECKS_ENABLED=false\n")
    env = {"STATE_DIRECTORY": "", "HCRUN_ENV_FILE": str(env_file)}
    probe = str(Path(HCRUN).parent / "probe-log-rate")
    done = run_hcrun(tmp_path, "--overlap", "skip", "job", probe, "--file", str(env_file), env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    names = {path.relative_to(there).parts[0] for path in there.rglob("*")}
    assert {"journal.db", "journal.lock", "probes"} < names
    assert [name for name in names if name.startswith("job-") and name.endswith(".lock")]
    assert run_hcctl(tmp_path, "history", "job", env=env).stdout.count("success") == 1
    doctor = run_hcctl(tmp_path, "doctor", "--root", str(tmp_path), env=env)
    assert f" {there}/journal.db: 1 run, " in doctor.stdout
    env["STATE_DIRECTORY"] = str(tmp_path / "state")
    run_hcrun(tmp_path, "job", "true", env=env)
    assert last_run(tmp_path).command == "true"
    assert run_hcctl(tmp_path, "history", "job", env=env).stdout.count("success") == 1


@pytest.mark.parametrize("place", ["state", "./state", "~/state", "$HOME/state"])
def test_a_relative_state_directory(tmp_path: Path, place: str) -> None:
    line = re.escape(f"STATE_DIRECTORY: {place!r} is not an absolute path; begin it with /")
    check_unusable(tmp_path, line, STATE_DIRECTORY=place)
    done = run_hcctl(tmp_path, "history", env={"STATE_DIRECTORY": place})
    assert (
        done.stderr
        == f"hcctl: STATE_DIRECTORY: {place!r} is not an absolute path; begin it with /\n"
    )


def check_unusable(tmp_path: Path, line: str, **env: str) -> None:
    """The job runs, its status passes, and one line says why it is not recorded."""
    done = run_hcrun(tmp_path, "job", "--", "sh", "-c", "echo hi; exit 4", env=env)
    assert (done.returncode, done.stdout) == (4, b"hi\n")
    assert re.fullmatch(f"hcrun: not recorded: {line}\n", done.stderr.decode()), done.stderr


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    check_unusable(tmp_path, re.escape(f"{tmp_path}/state: File exists; {HINT}"))


def test_read_only_directory(tmp_path: Path) -> None:
    """/proc is read-only for root as well."""
    line = f"/proc/hcrun: No such file or directory; {HINT}"
    check_unusable(tmp_path, line, STATE_DIRECTORY="/proc/hcrun")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_user_without_a_home(tmp_path: Path) -> None:
    """Such as that of `docker run --user 54321`, where Docker also sets HOME=/."""
    tmp_path.chmod(0o777)
    for env, why in (
        ({}, "user 54321 has no home; set STATE_DIRECTORY to a directory for the journal"),
        ({"HOME": "/proc/none"}, f"/proc/none: No such file or directory; {HINT}"),
    ):
        done = subprocess.run(
            ["unshare", "--user", "--map-user=54321", HCRUN, "job", "--", "false"],
            env={"PATH": os.defpath, "HEALTHCHECKS_ENABLED": "no", **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, f"hcrun: not recorded: {why}\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_wrong_owner(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    os.chown(tmp_path / "state" / "journal.db", 12345, 12345)
    line = r".*/journal\.db: belongs to user 12345, hcrun runs as 0;"
    check_unusable(tmp_path, f"{line} run as that user, chown it, or set STATE_DIRECTORY")


def test_made_by_a_newer_hcrun(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    database(tmp_path).execute("PRAGMA user_version = 99")
    line = r".*/journal\.db: was written by a newer hcrun \(format 99\); upgrade hcrun"
    check_unusable(tmp_path, line)


@pytest.mark.slow
def test_locked(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    holder = database(tmp_path)
    holder.execute("BEGIN EXCLUSIVE")
    check_unusable(tmp_path, ".*(database is locked|did not answer in time).*")
    holder.execute("ROLLBACK")
    assert len(runs(tmp_path)) == 1


@pytest.mark.slow
def test_locked_while_the_run_ends(tmp_path: Path, stub: HealthchecksStub) -> None:
    """The server was told: nobody may take the run for lost when the journal is back."""
    check = stub.add_check(slug="x")
    stub.fault = Fault(delays(2.0), only="/3", accepted=True)
    script = "read line; exit 3"
    with start_hcrun(tmp_path, check.uuid, "--", "sh", "-c", script, stub=stub, stdin=PIPE) as job:
        stub.wait_for(check, 1)
        wait_until(lambda: runs(tmp_path), "the run is in the journal")
        holder = database(tmp_path)
        holder.execute("BEGIN EXCLUSIVE")
        assert job.stdin
        job.stdin.close()
        stub.wait_for(check, 2, PATIENCE)  # later than the journal's patience
        holder.execute("ROLLBACK")
        assert job.wait(PATIENCE) == 3
    run_hcrun(tmp_path, "other", "--", "true", stub=stub)
    found = [run.why.partition(" after ")[0] for run in runs(tmp_path)]
    assert found == ["exit status 0", "exit status 3"]
    assert [ping.kind for ping in check.pings] == ["start", "fail"]


@pytest.mark.parametrize("size", [100, 40_000])
def test_corrupt_file_is_set_aside(size: int, tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    state = tmp_path / "state"
    for path in state.glob("journal.db-*"):
        path.unlink()
    (state / "journal.db").write_bytes(b"garbage\n" * (size // 8))
    done = run_hcrun(tmp_path, "job", "--", "true")
    (aside,) = state.glob("journal.db.corrupt-*")
    assert aside.read_bytes().startswith(b"garbage\n")
    assert done.stderr.decode() == (
        f"hcrun: the journal was corrupt and is now {aside}; `hcctl journal check` saves its"
        " undelivered results\n"
    )
    assert [run.result for run in runs(tmp_path)] == ["success"]


def test_corruption_found_later_is_set_aside(tmp_path: Path) -> None:
    for _ in range(3):
        run_hcrun(tmp_path, "job", "--", "seq", "1000")
    with database(tmp_path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    path = tmp_path / "state" / "journal.db"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    done = run_hcrun(tmp_path, "job", "--", "echo", "hi")
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    assert len(done.stderr.splitlines()) == 1
    run_hcrun(tmp_path, "job", "--", "true")
    assert list((tmp_path / "state").glob("journal.db.corrupt-*"))
    assert runs(tmp_path)[0].result == "success"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "hcrun", state], check=True)
    try:
        run_hcrun(tmp_path, "job", "--", "true")
        subprocess.run(["dd", "if=/dev/zero", f"of={state}/ballast"], stderr=PIPE, check=False)
        check_unusable(tmp_path, f".*(disk is full|disk I/O error|No space).*; {HINT}")
        (state / "ballast").unlink()
        run_hcrun(tmp_path, "job", "--", "true")
        assert [run.result for run in runs(tmp_path)][:1] == ["success"]
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)


@pytest.mark.slow
def test_many_at_the_same_moment(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Two hundred runs begin at once, on a journal that does not exist yet."""
    check = stub.add_check()
    gate = tmp_path / "gate"
    with gate.open("w") as closed:
        fcntl.flock(closed, fcntl.LOCK_EX)
        run = f"flock -s {gate} true; exec {HCRUN} {check.uuid} -- true"
        many = [
            subprocess.Popen(["sh", "-c", run], env=environment(tmp_path, stub), stderr=PIPE)
            for _ in range(200)
        ]
        fcntl.flock(closed, fcntl.LOCK_UN)
    assert {process.communicate(timeout=120)[1] for process in many} == {b""}
    assert [run.result for run in runs(tmp_path)] == ["success"] * 200
    assert [ping.kind for ping in check.pings].count("success") == 200


def filled(tmp_path: Path, ages: list[float]) -> Journal:
    """A journal with a run of each age in seconds."""
    past = Past(tmp_path)
    for age in ages:
        past.run("old", time.time() - age, output="x" * 1000)
    return past.journal


def test_runs_are_kept_for_90_days(tmp_path: Path) -> None:
    journal = filled(tmp_path, [91 * 86400, 89 * 86400, 0])
    prune(journal, time.time())
    assert len(journal.runs()) == 2


def test_every_fiftieth_run_prunes_even_without_a_server(tmp_path: Path) -> None:
    filled(tmp_path, [91 * 86400] * 48)
    run_hcrun(tmp_path, "job", "--", "true")
    assert len(runs(tmp_path)) == 49
    run_hcrun(tmp_path, "job", "--", "true")
    assert [run.check for run in runs(tmp_path)] == ["job", "job"]


def test_size_is_bounded_by_dropping_outputs_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcrun.journal.pruning._KEPT_BYTES", 500_000)
    journal = filled(tmp_path, [float(age) for age in range(2000, 0, -1)])
    prune(journal, time.time())
    kept = [bool(run.excerpt.head) for run, _ in journal.runs()]
    assert len(kept) == 2000
    assert kept == [True] * 1000 + [False] * 1000
    monkeypatch.setattr("hcrun.journal.pruning._KEPT_BYTES", 50_000)
    for _ in range(3):
        prune(journal, time.time())
    assert len(journal.runs()) < 2000


def test_a_run_in_progress(tmp_path: Path) -> None:
    with start_hcrun(tmp_path, "job", "--", "sleep", "60") as process:
        wait_until(lambda: runs(tmp_path), "the run is recorded")
        assert last_run(tmp_path).why == f"in progress, pid {process.pid}"
        process.terminate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("status", [0, 3])
@pytest.mark.parametrize("reachable", [True, False])
def test_a_disk_that_fills_while_the_command_runs(
    status: int, reachable: bool, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """A backup that needed more room than there was, and cleaned up: it is not lost."""
    check, other = stub.add_check(), stub.add_check()
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "hcrun", state], check=True)
    try:
        if not reachable:
            stub.fault = Fault(answers(503))
        script = f"read line; cat /dev/zero >{state}/ballast 2>/dev/null; exit {status}"
        options = ("--no-start", "--deadline", "500ms")
        with start_hcrun(
            tmp_path, *options, check.uuid, "--", "sh", "-c", script, stub=stub, stdin=PIPE
        ) as job:
            wait_until(lambda: runs(tmp_path), "the run is in the journal")
            words = job.communicate()[1].decode()
        assert f"{HINT}\n" in words
        assert ("`hcctl flush` delivers it" in words) == (not reachable)
        (state / "ballast").unlink()
        stub.fault = None
        run_hcrun(tmp_path, other.uuid, "--", "true", stub=stub)
        expected = ("fail", 3) if status else ("success", None)
        assert [(ping.kind, ping.exitstatus) for ping in check.pings] == [expected]
        run = runs(tmp_path)[1]
        assert run.status == status
        assert run.why.startswith(f"exit status {status} after ")
        assert run.why.endswith("; the journal was not writable then")
        assert sorted(path.name for path in state.glob("journal.db.*")) == []
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)
