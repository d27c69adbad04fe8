"""What root obeys is root's: env files, secrets, state directories, catalogues, crontabs.

Everything is in a directory of /tmp that users may enter, with root's own home and system beside.
"""

import os
import re
import sqlite3
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.command import (
    HCCTL,
    HCRUN,
    environment,
    last_run,
    run_hcctl,
    run_hcrun,
    run_program,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root obeys what others might own")

ALICE = 12345
ALICE_S = f"belongs to user {ALICE}"
# Runs a program as Alice, who may read all files: hcrun may be in a directory that is root's.
AS_ALICE = (
    *("setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
Change = Callable[[Path], object]


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def given_away(path: Path) -> None:
    os.chown(path, ALICE, ALICE)


def group_writable(path: Path) -> None:
    os.chown(path, 0, 100)
    path.chmod(path.stat().st_mode | 0o020)


def writable(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def given_away_and_writable(path: Path) -> None:
    given_away(path)
    path.chmod(0o777)


def link_of_alice(path: Path) -> None:
    """Whose link leads to a file of root's."""
    path.rename(path.with_name("target"))
    path.symlink_to("target")
    os.lchown(path, ALICE, ALICE)


def link_into_alice_s(path: Path) -> None:
    """A link of root's that leads to a directory of Alice's."""
    home = path.with_name("alice")
    home.mkdir()
    path.rename(home / path.name)
    given_away(home)
    path.symlink_to(home / path.name)


# What others can do, the reason that is said, and the command that mends it ("": not in place).
FILES: list[tuple[Change, str, str]] = [
    (given_away, f"it {ALICE_S}", "chown root: {0}"),
    (writable, "others can change it", "chmod go-w {0}"),
    (group_writable, "others can change it", "chmod go-w {0}"),
    (given_away_and_writable, f"it {ALICE_S}", "chown root: {0}; chmod go-w {0}"),
    (lambda path: writable(path.parent), "others can change {1}", "chmod go-w {1}"),
    (lambda path: group_writable(path.parent), "others can change {1}", "chmod go-w {1}"),
    (lambda path: given_away(path.parent), f"{{1}} {ALICE_S}", ""),
    (link_of_alice, f"{{0}} {ALICE_S}", ""),
    (link_into_alice_s, f"{{1}}/alice {ALICE_S}", ""),
]


def refusal(path: Path, reason: str) -> str:
    why = reason.format(path, path.parent)
    return f"{path}: root does not use it, because {why}; "


@pytest.fixture
def evil() -> Iterator[HealthchecksStub]:
    """The server of whoever wrote the env file."""
    with HealthchecksStub() as server:
        yield server


class TestEnvFile:
    def write(self, path: Path, evil: HealthchecksStub, root_s_key: Path) -> Check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"HEALTHCHECKS_PING_URL={evil.ping_url}\nHEALTHCHECKS_PING_KEY_FILE={root_s_key}\n"
        )
        root_s_key.write_text(f"{evil.ping_key}\n")
        root_s_key.chmod(0o600)
        return evil.add_check("x")

    @pytest.mark.parametrize(("change", "reason", "mend"), FILES)
    def test_refused(
        self, place: Path, evil: HealthchecksStub, change: Change, reason: str, mend: str
    ) -> None:
        """The job runs, nothing is sent, and the command that is said mends it."""
        path = place / "conf/hcrun.env"
        check = self.write(path, evil, place / "key")
        change(path)
        env = {"HCRUN_ENV_FILE": str(path), "HEALTHCHECKS_ENABLED": ""}
        done = run_hcrun(place, "x", "--", "sh", "-c", "echo out; exit 3", env=env)
        assert (done.returncode, done.stdout) == (3, b"out\n")
        said = done.stderr.decode()
        assert said.startswith(f"hcrun: {refusal(path, reason)}")
        assert said.count("\n") == 1
        assert check.pings == []
        if not mend:
            command = f"install -D -m 0600 {path} /etc/hcrun/hcrun.env"
            assert said.endswith(f"; {command}; then use that file\n")
            return
        mend = mend.format(path, path.parent)
        assert said.endswith(f"; {mend}\n")
        subprocess.run(["sh", "-c", mend], check=True)
        done = run_hcrun(place, "x", "--", "true", env=env)
        assert done.stderr == b""
        assert [ping.kind for ping in evil.wait_for(check, 2)] == ["start", "success"]

    @pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
    def test_in_the_home_of_another_user(
        self, place: Path, stub: HealthchecksStub, evil: HealthchecksStub, variable: str
    ) -> None:
        """sudo may keep HOME; what the environment says is used."""
        directory = ".config/hcrun" if variable == "HOME" else "hcrun"
        home = place / "home"
        hostile = self.write(home / directory / "hcrun.env", evil, place / "key")
        for path in [home, *home.rglob("*")]:
            given_away(path)
        check = stub.add_check()
        env = {variable: str(home), "HC_CHECK_X": check.uuid}
        done = run_hcrun(place, "x", "--", "true", stub=stub, env=env)
        assert done.stderr.decode() == (
            f"hcrun: {home}/{directory}/hcrun.env: root does not use it, because {home} {ALICE_S};"
            " set HOME=/root, as sudo -H does\n"
        )
        assert [ping.kind for ping in stub.wait_for(check, 2)] == ["start", "success"]
        assert hostile.pings == []

    def test_home_of_another_user_without_one(self, place: Path) -> None:
        home = place / "home"
        home.mkdir()
        given_away(home)
        done = run_hcrun(place, "x", "--", "true", env={"HOME": str(home)})
        assert done.stderr == b""

    def test_pipe_of_another_user(self, place: Path) -> None:
        """It is not opened: root would wait for a writer."""
        path = place / "hcrun.env"
        os.mkfifo(path)
        given_away(path)
        done = run_hcrun(place, "x", "--", "true", env={"HCRUN_ENV_FILE": str(path)}, timeout=8)
        assert b"belongs to user" in done.stderr
        assert last_run(place).result == "success"

    @pytest.mark.parametrize(
        "kind", ["private", "readable", "group of root", "sticky", "link", "relative", "stdin"]
    )
    def test_used(self, place: Path, evil: HealthchecksStub, kind: str) -> None:
        path = place / "conf/hcrun.env"
        check = self.write(path, evil, place / "key")
        name = str(path)
        if kind == "private":
            path.chmod(0o600)
        elif kind == "group of root":
            path.chmod(0o660)
        elif kind == "sticky":
            path.parent.chmod(0o1777)
        elif kind == "link":
            (place / "link").symlink_to("conf/../conf/./hcrun.env")
            name = f"{place}//link"
        elif kind == "relative":
            name = os.path.relpath(path)
        elif kind == "stdin":
            name = "/dev/stdin"
        env = {"HCRUN_ENV_FILE": name, "HEALTHCHECKS_ENABLED": ""}
        given = path.read_bytes() if kind == "stdin" else None
        done = run_hcrun(place, "x", "--", "true", env=env, input=given)
        assert done.stderr == b""
        assert [ping.kind for ping in evil.wait_for(check, 2)] == ["start", "success"]

    def test_nowhere(self, place: Path, stub: HealthchecksStub) -> None:
        """A relative path in a directory that is gone, and a link to itself, are no files."""
        check = stub.add_check()
        (place / "loop").symlink_to(place / "loop")
        script = 'mkdir "$1/gone"; cd "$1/gone"; rmdir "$1/gone"; exec "$2" "$3" true 2>&1'
        for name in ("hcrun.env", str(place / "loop")):
            argv = ("sh", "-c", script, "sh", str(place), HCRUN, check.uuid)
            done = run_program(place, *argv, stub=stub, env={"HCRUN_ENV_FILE": name})
            assert done.returncode == 0
            assert f"hcrun: {name}: " in done.stdout or f" {name}: no such file" in done.stdout
            assert last_run(place).result == "success"
        assert len(stub.wait_for(check, 4)) == 4

    def test_of_an_ordinary_user(self, place: Path, evil: HealthchecksStub) -> None:
        """Who may use the files of root, of others, and those that anyone can write."""
        path = place / "hcrun.env"
        check = self.write(path, evil, place / "key")
        (place / "state").mkdir()
        given_away(place / "state")
        env = {"HCRUN_ENV_FILE": str(path), "HEALTHCHECKS_ENABLED": ""}
        for number, mode in enumerate((0o644, 0o666), 1):
            path.chmod(mode)
            argv = (*AS_ALICE, HCRUN, "x", "--", "true")
            done = run_program(place, *argv, env=env)
            assert (done.returncode, done.stderr) == (0, "")
            assert len(evil.wait_for(check, 2 * number)) == 2 * number
        assert (place / "state/journal.db").stat().st_uid == ALICE


class TestSecret:
    @pytest.mark.parametrize(("change", "reason", "mend"), FILES)
    def test_refused(
        self, place: Path, stub: HealthchecksStub, change: Change, reason: str, mend: str
    ) -> None:
        """Whoever can change it decides where the output of root's job goes."""
        (place / "conf").mkdir()
        path = place / "conf/uuid"
        check = stub.add_check()
        path.write_text(check.uuid)
        change(path)
        env = {"HC_CHECK_X_FILE": str(path)}
        done = run_hcrun(place, "x", "--", "echo", "out", stub=stub, env=env)
        said = done.stderr.decode()
        assert (done.returncode, done.stdout, check.pings) == (0, b"out\n", [])
        assert said.startswith(f"hcrun: x is not pinged: HC_CHECK_X_FILE: {refusal(path, reason)}")
        assert said.count("\n") == 1
        if mend:
            subprocess.run(["sh", "-c", said.partition("; ")[2]], check=True)
            assert run_hcrun(place, "x", "--", "true", stub=stub, env=env).stderr == b""
            assert [ping.kind for ping in stub.wait_for(check, 2)] == ["start", "success"]

    def test_credentials(self, place: Path, stub: HealthchecksStub) -> None:
        path = place / "hc_check_x"
        path.write_text(stub.add_check().uuid)
        writable(path)
        env = {"CREDENTIALS_DIRECTORY": str(place)}
        done = run_hcrun(place, "x", "--", "true", stub=stub, env=env)
        assert done.stderr.decode() == (
            f"hcrun: x is not pinged: CREDENTIALS_DIRECTORY: {path}: root does not use it,"
            f" because others can change it; chmod go-w {path}\n"
        )


class TestState:
    @pytest.mark.parametrize(
        ("change", "mend"),
        [
            (given_away, "chown -R root: {0}"),
            (writable, "chmod go-w {0}"),
            (given_away_and_writable, "chown -R root: {0}; chmod -R go-w {0}"),
            (lambda path: given_away(path.parent), "set STATE_DIRECTORY=/var/lib/hcrun"),
        ],
    )
    def test_refused(self, place: Path, stub: HealthchecksStub, change: Change, mend: str) -> None:
        """The result is told although it cannot be recorded."""
        state = place / "var/state"
        state.mkdir(parents=True)
        change(state)
        check = stub.add_check()
        env = {"STATE_DIRECTORY": str(state)}
        done = run_hcrun(place, check.uuid, "--", "sh", "-c", "exit 3", stub=stub, env=env)
        said = done.stderr.decode()
        assert done.returncode == 3
        assert said.startswith(f"hcrun: not recorded: {state}: root does not use it, because ")
        assert said.endswith(f"; {mend.format(state)}\n")
        assert said.count("\n") == 1
        assert [ping.kind for ping in stub.wait_for(check, 2)] == ["start", "fail"]
        assert list(state.iterdir()) == []
        if mend.startswith("ch"):
            subprocess.run(["sh", "-c", mend.format(state)], check=True)
            done = run_hcrun(place, check.uuid, "--", "true", stub=stub, env=env)
            assert done.stderr == b""
            assert [run.result for run, _ in Journal(str(state)).runs()] == ["success"]

    def test_nothing_is_created_in_the_home_of_another_user(self, place: Path) -> None:
        given_away(place)
        done = run_hcrun(place, "--overlap", "skip", "x", "--", "true")
        overlap, recorded = done.stderr.decode().splitlines()
        assert overlap.startswith(f"hcrun: --overlap skip has no effect: {place}/state: root ")
        assert recorded.startswith(f"hcrun: not recorded: {place}/state: root does not use it")
        assert not (place / "state").exists()

    def test_a_probe_keeps_nothing_there(self, place: Path) -> None:
        (place / "state").mkdir()
        given_away(place / "state")
        log = place / "a.log"
        log.touch()
        done = run_program(place, HCRUN.replace("hcrun", "probe-log-rate"), "--file", str(log))
        assert done.returncode == 3
        assert f"- {place}/state: root does not use it, because it {ALICE_S}; chown " in done.stdout
        assert list((place / "state").iterdir()) == []


@pytest.fixture
def alice_s(place: Path) -> Path:
    """The journal of Alice, with one run; her WAL is not yet in the file."""
    run_hcrun(place, "nightly", "--", "echo", "hello")
    for path in [place / "state", *(place / "state").iterdir()]:
        given_away(path)
    return place / "state"


def owners(directory: Path) -> dict[str, int]:
    return {path.name: path.lstat().st_uid for path in directory.iterdir()}


class TestJournalOfAnotherUser:
    READERS = (
        ("history", "nightly  success"),
        ("status --local", "nightly  up"),
        ("metrics", 'check="nightly"'),
        ("report day --local --format json", '"runs"'),
    )

    @pytest.mark.parametrize(("command", "shown"), READERS)
    @pytest.mark.parametrize("closed", [False, True])
    def test_is_read_as_that_user(
        self, place: Path, alice_s: Path, command: str, shown: str, closed: bool
    ) -> None:
        if closed:  # as after a reboot: SQLite creates the files that it needs
            (alice_s / "journal.db-shm").unlink()
        before = {path: path.read_bytes() for path in alice_s.glob("journal.db*")}
        done = run_hcctl(place, *command.split())
        assert (done.returncode, done.stderr) == (0, "")
        assert shown in done.stdout
        assert set(owners(alice_s).values()) == {ALICE}
        for name in ("journal.db", "journal.db-wal"):
            assert (alice_s / name).read_bytes() == before[alice_s / name]

    @pytest.mark.parametrize(("command", "_shown"), READERS)
    @pytest.mark.parametrize("is_link", [False, True])
    def test_is_no_way_to_root_s_files(
        self, place: Path, alice_s: Path, command: str, _shown: str, is_link: bool
    ) -> None:
        secret, path = place / "root-s.db", alice_s / "journal.db"
        path.rename(secret)
        os.chown(secret, 0, 0)
        secret.chmod(0o600)
        if is_link:
            path.symlink_to(secret)
            os.lchown(path, ALICE, ALICE)
        else:
            path.hardlink_to(secret)
        done = run_hcctl(place, *command.split())
        assert done.returncode == 1
        assert "nightly" not in done.stdout
        assert str(alice_s) in done.stderr

    def test_cannot_be_changed(self, place: Path, alice_s: Path) -> None:
        done = run_hcctl(place, "flush")
        assert done.returncode == 1
        assert done.stderr == (
            f"hcctl: {alice_s}: root does not use it, because it {ALICE_S};"
            f" chown -R root: {alice_s}\n"
        )

    def test_that_is_no_journal(self, place: Path, alice_s: Path) -> None:
        for path in alice_s.glob("journal.db-*"):
            path.unlink()
        (alice_s / "journal.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
        done = run_hcctl(place, "history")
        assert done.returncode == 1
        assert re.fullmatch(
            rf"hcctl: {alice_s}/journal.db: .*; it {ALICE_S} and is read as that user\n",
            done.stderr,
        )

    def test_with_rows_without_end(self, place: Path, alice_s: Path) -> None:
        """A view in the place of a table takes the memory of a child process, not root's."""
        with sqlite3.connect(alice_s / "journal.db") as database:
            database.executescript(
                "PRAGMA foreign_keys=OFF; ALTER TABLE runs RENAME TO r; CREATE VIEW runs AS"
                " WITH RECURSIVE n AS (SELECT 1 id UNION ALL SELECT id + 1 FROM n)"
                " SELECT n.id AS id, n.id AS started FROM n"
            )
        database.close()
        done = run_hcctl(place, "history")
        assert (done.returncode, done.stdout) == (1, "")
        assert str(alice_s) in done.stderr

    def test_doctor(self, place: Path, alice_s: Path) -> None:
        env = {"HEALTHCHECKS_ENABLED": "false"}
        done = run_hcctl(place, "doctor", "--root", str(place), env=env)
        assert f"{alice_s}: root does not use it, because it {ALICE_S}" in done.stdout
        assert f"fix: chown -R root: {alice_s}" in done.stdout
        assert f"{alice_s}/journal.db: 1 run, " in done.stdout
        assert set(owners(alice_s).values()) == {ALICE}


CATALOGUE = '[checks.app]\nevery = "5m"\ncommand = "/bin/true"\nuser = "root"\n'


class TestCatalogue:
    @pytest.mark.parametrize(("change", "reason", "mend"), FILES)
    def test_refused_by_install(self, place: Path, change: Change, reason: str, mend: str) -> None:
        for directory in ("conf", "image/bin", "image/etc"):
            (place / directory).mkdir(parents=True)
        (place / "image/bin/true").symlink_to("/bin/true")
        path = place / "conf/checks.toml"
        path.write_text(CATALOGUE)
        change(path)
        words = ["install", "crontab", "--yes", "--hcrun", "/bin/true"]
        words += ["--root", str(place / "image"), "--catalog", str(path)]
        done = run_hcctl(place, *words)
        assert done.returncode == 1
        assert done.stderr.startswith(f"hcctl: {refusal(path, reason)}")
        installed = place / "image/etc/cron.d/hcrun"
        assert not installed.exists()
        if not mend:
            assert done.stderr.endswith(f"; install -D -m 0644 {path} /etc/hcrun/checks.toml\n")
            return
        subprocess.run(["sh", "-c", done.stderr.partition("; ")[2]], check=True)
        assert run_hcctl(place, *words).returncode == 0
        assert "  root  " in installed.read_text()

    def test_refused_by_sync(self, place: Path, stub: HealthchecksStub) -> None:
        path = place / "checks.toml"
        path.write_text(CATALOGUE)
        given_away(path)
        done = run_hcctl(place, "sync", "--catalog", str(path), stub=stub)
        assert (done.returncode, stub.checks) == (1, [])
        assert done.stderr == f"hcctl: {refusal(path, f'it {ALICE_S}')}chown root: {path}\n"
        assert run_hcctl(place, "check", "--catalog", str(path)).returncode == 0

    @pytest.mark.parametrize("command", ["sync --plan", "install crontab --yes --root {}"])
    def test_env_file(self, place: Path, stub: HealthchecksStub, command: str) -> None:
        path = place / "hcrun.env"
        path.touch()
        writable(path)
        catalog = place / "checks.toml"
        catalog.write_text(CATALOGUE)
        words = [*command.format(place).split(), "--catalog", str(catalog)]
        done = run_hcctl(place, *words, stub=stub, env={"HCRUN_ENV_FILE": str(path)})
        assert done.returncode == 1
        assert done.stderr == f"hcctl: {refusal(path, 'others can change it')}chmod go-w {path}\n"

    def test_doctor(self, place: Path) -> None:
        path = place / "checks.toml"
        path.write_text(CATALOGUE)
        writable(path)
        env = {"HEALTHCHECKS_ENABLED": "false", "HCRUN_ENV_FILE": str(place / "hcrun.env")}
        (place / "hcrun.env").touch()
        writable(place / "hcrun.env")
        words = ["doctor", "--root", str(place), "--catalog", str(path)]
        done = run_hcctl(place, *words, env=env)
        assert done.returncode == 2
        for name in (path, place / "hcrun.env"):
            assert f"{name}: root does not use it, because others can change it\n" in done.stdout
            assert f"fix: chmod go-w {name}\n" in done.stdout


class TestWritten:
    """Root follows no link that another user has put where root writes."""

    def test_metrics(self, place: Path) -> None:
        run_hcrun(place, "x", "--", "true")
        (place / "textfiles").mkdir()
        given_away(place / "textfiles")
        victim = place / "victim"
        victim.write_text("root's")
        words = ["metrics", "--textfile", str(place / "textfiles")]
        run_hcctl(place, *words)
        (target,) = (place / "textfiles").iterdir()
        target.unlink()
        target.symlink_to(victim)
        os.lchown(target, ALICE, ALICE)
        done = run_hcctl(place, *words)
        assert done.returncode == 1
        assert done.stderr.startswith(f"hcctl: {target}: a symbolic link; root does not use it")
        assert victim.read_text() == "root's"
        target.unlink()
        assert run_hcctl(place, *words).returncode == 0
        assert "hcrun_build_info" in target.read_text()

    def test_env_file_of_sync(self, place: Path, stub: HealthchecksStub) -> None:
        (place / "checks.toml").write_text(CATALOGUE)
        (place / "home").mkdir()
        given_away(place / "home")
        path = place / "home/hc.env"
        words = ["sync", "--catalog", str(place / "checks.toml"), "--env-file", str(path)]
        done = run_hcctl(place, *words, stub=stub)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"hcctl: {path}: root does not use it, because ")
        assert not path.exists()


LINE = "0 3 * * * /opt/backup.sh\n"
SYSTEM_LINE = "0 3 * * * root /opt/backup.sh\n"
TIMER = "[Timer]\nOnCalendar=daily\n"
SERVICE = "[Service]\n{}ExecStart=/opt/backup.sh\n"
MAN = "man"  # another user whom every system has
UNKNOWN = "the user of its jobs is unknown; give --user NAME, or --system if the lines name users\n"


class TestImport:
    """The jobs of another user do not become root's."""

    def run(self, place: Path, *words: str, given: str = "") -> tuple[list[str], str]:
        """The users of the checks, and what is said."""
        done = subprocess.run(
            [HCCTL, "import", *words],
            env=environment(place),
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        checks = tomllib.loads(done.stdout).get("checks", {})
        assert done.returncode == (0 if checks else 1)
        errors = [line for line in done.stderr.splitlines(True) if line.startswith("hcctl: ")]
        return [check["user"] for check in checks.values()], "".join(errors)

    def given(self, place: Path, name: str, text: str) -> Path:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        man = int(subprocess.check_output(["id", "-u", MAN]))
        os.chown(path, man, 0)
        if path.parent != place:
            os.chown(path.parent, man, 0)
        return path

    @pytest.mark.parametrize(
        ("words", "users", "said"),
        [([], [], UNKNOWN), (["--user", MAN], [MAN], ""), (["--user", "root"], ["root"], "")],
    )
    def test_on_standard_input(
        self, place: Path, words: list[str], users: list[str], said: str
    ) -> None:
        """It says not whose it is: not even a command that is the name of a user."""
        for text in (LINE, SYSTEM_LINE):
            found, told = self.run(place, "-", *words, given=text)
            assert (found, told) == (users, said and f"hcctl: -: {said}")

    @pytest.mark.parametrize("name", ["jobs", "cron/crontabs/root", "cron.d/jobs"])
    def test_file_of_another_user(self, place: Path, name: str) -> None:
        path = self.given(place, name, LINE)
        assert self.run(place, str(path))[0] == ([] if "cron.d" in name else [MAN])
        path.write_text(SYSTEM_LINE)
        refused = f"hcctl: {path}: line 1 would run as root; root does not use it, because "
        for words in ([], ["--user", "root"], ["--system"]):
            users, said = self.run(place, str(path), *words)
            assert users == []
            assert said.startswith(refused)

    def test_file_of_root(self, place: Path) -> None:
        path = place / "jobs"
        path.write_text(LINE)
        assert self.run(place, str(path)) == ([], f"hcctl: {path}: {UNKNOWN}")
        path.write_text(SYSTEM_LINE)  # nobody else can have written the name
        assert self.run(place, str(path)) == (["root"], "")
        assert self.run(place, "--system", str(path)) == (["root"], "")

    @pytest.mark.parametrize(
        ("user", "of_man", "of_root"),
        [
            ("", [], ["root"]),
            ("User=root\n", [], ["root"]),
            ("DynamicUser=yes\n", [], []),
            (f"User={MAN}\n", [MAN], [MAN]),
        ],
    )
    def test_timer(self, place: Path, user: str, of_man: list[str], of_root: list[str]) -> None:
        path = self.given(place, "a.timer", TIMER)
        (place / "a.service").write_text(SERVICE.format(user))
        users, said = self.run(place, str(path))
        assert users == of_man
        assert bool(said) == (not of_man)
        os.chown(path, 0, 0)
        assert self.run(place, str(path))[0] == of_root

    def test_timer_of_a_user_s_own_systemd(self, place: Path) -> None:
        path = self.given(place, "systemd/user/a.timer", TIMER)
        (path.parent / "a.service").write_text(SERVICE.format(""))
        assert self.run(place, str(path)) == ([MAN], "")
