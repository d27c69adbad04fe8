"""probe-log-rate, through its command line, on real log files.

There is no journal and no docker daemon where tests run: `journalctl` and `docker` are scripts
that come first in PATH, note how they were called, and print what the real ones print.
"""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from probes.check_log_rate import SHORTEST, Moment, evaluate
from probes.clients.log_lines import Attempts
from probes.framework.verdict import Range, Status
from tests.servers.process import Command, Like, until

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[1] / "data"
FAILED = "Failed password for root from 10.0.0.1 port 22 ssh2"
FINE = "Accepted publickey for deploy from 10.0.0.2 port 22 ssh2"
PERFDATA = "rate=#;10;100;0 lines=#;;;0"
BY_SOURCE = "rate=#;10;100;0 address=#;;;0 accounts=#;;;0 addresses=#;;;0 lines=#;;;0"

# Python runs this at its start: the clock of the wall and the one since the boot stand still, so
# that a loaded machine adds no seconds, until they are moved. With LOOK, each look at the clock of
# a deadline takes so many seconds, so that the machine's speed does not decide when time is up.
CLOCK = """
import itertools, os, time
time.time = lambda: 1_800_000_000 + float(os.environ["WALL"])
time.clock_gettime = lambda clock: 5_000 + float(os.environ["BOOT"])
if "LOOK" in os.environ:
    time.monotonic = itertools.count(5_000, float(os.environ["LOOK"])).__next__
"""


class Clocked(Command):
    """The probe, whose clocks are moved on before each run."""

    pause = 300.0  # seconds

    def __init__(self, directory: Path) -> None:
        super().__init__("probe-log-rate", directory)
        (directory / "clock").mkdir()
        self.first = directory / "clock/sitecustomize.py"
        self.first.write_text(CLOCK)
        (directory / "bin").mkdir()
        self.environ["PATH"] = f"{directory}/bin:{self.environ['PATH']}"
        self.environ |= {"WALL": "0", "BOOT": "0"}

    def run(self, *arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
        for clock in ("WALL", "BOOT"):
            self.environ[clock] = str(float(self.environ[clock]) + self.pause)
        return super().run(*arguments, **environ)


class Log:
    """A log file, and what rotates it. No two lines are the same, as in real logs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        self.write(FINE, 30)

    def write(self, text: str, times: int = 1, end: str = "\n") -> None:
        with self.path.open("a") as file:
            for _ in range(times):
                self._number += 1
                file.write(f"{self._number:09} {text}{end}")

    def rename(self, name: str) -> Path:
        """Rotate it to `name`, and older than anything that will be written."""
        path = self.path.with_name(name)
        self.path.rename(path)
        self._age(path)
        return path

    def pack(self, path: Path) -> None:
        """As gzip does it: another file with the same times."""
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        shutil.copystat(path, packed)
        path.unlink()

    def copy_and_cut(self, name: str) -> None:
        """As logrotate does it with copytruncate."""
        copy = self.path.with_name(name)
        shutil.copy2(self.path, copy)
        os.truncate(self.path, 0)

    def _age(self, path: Path) -> None:
        """Files that are rotated within one tick of the kernel's clock are as old as each other."""
        modified = path.stat().st_mtime_ns
        until(lambda: self._now() > modified, "the clock ticks")

    def _now(self) -> int:
        tick = self.path.with_name("tick")
        tick.touch()
        return tick.stat().st_mtime_ns


@pytest.fixture
def probe(tmp_path: Path) -> Clocked:
    return Clocked(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    (tmp_path / "log").mkdir()
    return Log(tmp_path / "log/auth.log")


@pytest.fixture
def at(probe: Clocked, log: Log) -> Clocked:
    """The probe, which has seen the log."""
    probe.environ["PROBE_LOG_RATE_FILE"] = str(log.path)
    assert probe().status == 0
    return probe


def counted(probe: Clocked) -> int:
    """The matching lines that the probe sees since its last run."""
    ran = probe("--rate-warning", "off", "--rate-critical", "off")
    assert ran.status == 0, ran.line
    assert re.search(r" in \d+ min, ", ran.line)
    return _matches(ran.line)


class TestRate:
    def test_runs(self, probe: Clocked, log: Log) -> None:
        log.write(FAILED, 500)
        flags = ["--file", log.path]
        assert probe(*flags).line == (
            f"LOG-RATE OK - first run on {log.path}, lines are counted from now on"
        )
        log.write(FINE, 40)
        log.write(FAILED, 60)
        assert probe(*flags).line == Like(
            f"LOG-RATE WARNING - 60 failed log-ins in 100 lines of {log.path} in 5 min, "
            "# per minute (over 10)"
            f" | {BY_SOURCE}"
        )
        log.write(FAILED)
        assert probe(*flags).line == Like(
            f"LOG-RATE OK - 1 failed log-in in 1 line of {log.path} in 5 min, # per minute"
            f" | {BY_SOURCE}"
        )
        assert (
            f"0 failed log-ins in 0 lines of {log.path} in 5 min, 0 per minute | rate=0;"
            in probe(*flags).line
        )

    @pytest.mark.parametrize(
        ("flags", "status", "words"),
        [
            (["--rate-warning", "3"], 1, "# per minute (over 3)"),
            (["--rate-critical", "3"], 2, "# per minute (over 3)"),
            (["--rate-critical", "5:"], 2, "# per minute (under 5)"),
        ],
    )
    def test_over_a_threshold(
        self, at: Clocked, log: Log, flags: list[str], status: int, words: str
    ) -> None:
        log.write(FAILED, 20)
        ran = at(*flags)
        assert ran.status == status
        assert ran.line.partition("5 min, ")[2].partition(" | ")[0] == Like(words)
        assert at(flags[0], "off", PROBE_LOG_RATE_RATE_CRITICAL="200").status == 0

    def test_runs_that_are_close_together(self, probe: Clocked, log: Log) -> None:
        """One line must not be a rate of 60 per minute, and a steady drip must not get through."""
        flags = ["--file", log.path]
        probe(*flags)
        probe.pause = 10
        for seconds, lines in ((10, 4), (20, 8), (30, 12)):
            log.write(FAILED, 4)
            ran = probe(*flags)
            assert f"{lines} failed log-ins in {lines} lines of {log.path} in {seconds}" in ran.line
            assert f" | rate={lines};" in ran.line
            assert ran.status == (lines > 10)
        probe.pause = 31
        assert probe(*flags).line.startswith("LOG-RATE WARNING - 12 failed log-ins")
        assert probe(*flags).line.startswith("LOG-RATE OK - 0 failed log-ins")

    def test_pattern(self, probe: Clocked, log: Log) -> None:
        flags = ["--file", log.path]
        other = [*flags, "--pattern", r"status=5\d\d$"]
        probe(*flags)
        probe(*other)
        log.write("GET / status=503", 3, "\r\n")
        log.write("GET / status=5030", 5)
        log.write("login failed für Zoë", 2)
        assert probe(*other).line.startswith(
            f"LOG-RATE OK - 3 matching lines in 10 lines of {log.path} in 5 min"
        )
        # Each pattern has its own mark.
        assert probe(*flags).line.startswith(
            f"LOG-RATE OK - 2 failed log-ins in 10 lines of {log.path} in 15 min"
        )

    def test_line_that_is_being_written(self, at: Clocked, log: Log) -> None:
        log.write("Failed pass", 1, "")
        assert counted(at) == 0
        with log.path.open("a") as file:
            file.write("word for root\n")
        assert counted(at) == 1
        assert counted(at) == 0

    def test_binary(self, at: Clocked, log: Log) -> None:
        with log.path.open("ab") as file:
            file.write(bytes(range(256)) * 20 + b"\n")
            file.write(b"\xff\xfe\0Failed password\0\xff\n" * 3)
            file.write(b"\0" * 5_000_000)
            file.write(b"Failed password at the end of five megabytes of nothing\n")
        assert counted(at) == 4

    def test_huge(self, at: Clocked, log: Log) -> None:
        """What there is no time for is said, and left to the next run; no line is lost."""
        flags = ["--rate-warning", "off", "--timeout", "20s"]
        block = f"{FINE} {'x' * 200}\n" * 4_999 + f"{FAILED}\n"
        with log.path.open("a") as file:
            for _ in range(15):
                file.write(block)
        cut = at(*flags, LOOK=1)
        assert cut.status == 3
        assert re.match(
            r"LOG-RATE UNKNOWN - only [\d.]+ MB read in time; "
            r"raise --timeout; the next run continues, [\d,]+ failed log-ins? in ",
            cut.line,
        )
        rest = at(*flags)
        assert rest.status == 0
        assert _matches(cut.line) + _matches(rest.line) == 15

    def test_memory_is_bounded(self, at: Clocked, log: Log) -> None:
        at("--pattern", "x")
        with log.path.open("ab") as file:
            file.truncate(file.tell() + 300_000_000)  # a hole: one line without an end
        at.prefix = ["prlimit", f"--as={400_000_000}"]
        assert " 0 matching lines in " in at("--pattern", "x", "--timeout", "20s").line


def _matches(line: str) -> int:
    match = re.search(r"([\d,]+) (?:matching line|failed log-in)s? in [\d,]+ lines? of", line)
    assert match, line
    return int(match[1].replace(",", ""))


def rename_while_packing(log: Log) -> None:
    """gzip is at work: both are there."""
    path = log.rename("auth.log.1")
    packed = gzip.compress(path.read_bytes())
    path.with_name("auth.log.1.gz").write_bytes(packed[: len(packed) // 2])


def rename_beside_old_ones(log: Log) -> None:
    path = log.path.with_name("auth.log.2.gz")
    path.write_bytes(gzip.compress(f"{FAILED}\n".encode() * 100))
    os.utime(path, (1, 1))
    broken = log.path.with_name("auth.log.3.gz")
    broken.write_bytes(b"nonsense")
    os.utime(broken, (0, 0))
    log.path.with_name("auth.log.bak").write_text(f"{FAILED}\n" * 100)
    log.path.with_name("auth.log.1.txt").write_text(f"{FAILED}\n" * 100)
    log.rename("auth.log.1")


ROTATIONS: Mapping[str, Callable[[Log], object]] = {
    "renamed": lambda log: log.rename("auth.log.1"),
    "dated": lambda log: log.rename("auth.log-20260131"),
    "before the extension": lambda log: log.rename("auth-2026-01-31.log"),
    "by Python": lambda log: log.rename("auth.log.2026-01-31_12-00-00"),
    "packed": lambda log: log.pack(log.rename("auth.log.1")),
    "packed and dated": lambda log: log.pack(log.rename("auth.log-20260131")),
    "while packing": rename_while_packing,
    "beside old ones": rename_beside_old_ones,
    "copied and cut": lambda log: log.copy_and_cut("auth.log.1"),
}


class TestRotation:
    @pytest.mark.parametrize("lines", [5, 500], ids=["shorter", "longer"])
    @pytest.mark.parametrize("how", ROTATIONS)
    def test_once(self, at: Clocked, log: Log, how: str, lines: int) -> None:
        log.write(FAILED, 7)
        ROTATIONS[how](log)
        log.write(FAILED, lines)
        assert counted(at) == 7 + lines
        log.write(FAILED, 3)
        assert counted(at) == 3

    def test_three_times(self, at: Clocked, log: Log) -> None:
        log.write(FAILED, 1)
        log.pack(log.rename("auth.log.3"))
        log.write(FAILED, 10)
        log.pack(log.rename("auth.log.2"))
        log.write(FAILED, 100)
        log.rename("auth.log.1")
        log.write(FAILED, 1000)
        assert counted(at) == 1111
        assert counted(at) == 0

    def test_no_new_one_yet(self, at: Clocked, log: Log) -> None:
        log.write(FAILED, 2)
        old = log.rename("auth.log.1")
        assert counted(at) == 2
        with old.open("a") as file:  # whose writer has it open still
            file.write(f"{FAILED}\n")
        assert counted(at) == 1
        log.write(FAILED, 4)
        assert counted(at) == 4

    def test_last_line_without_end(self, at: Clocked, log: Log) -> None:
        log.write(FAILED, 1, "")
        log.rename("auth.log.1")
        log.write(FAILED)
        assert counted(at) == 2

    def test_was_empty(self, probe: Clocked, log: Log) -> None:
        log.path.write_text("")
        probe.environ["PROBE_LOG_RATE_FILE"] = str(log.path)
        probe()
        log.write(FAILED, 2)
        assert counted(probe) == 2
        log.rename("auth.log.1")
        log.path.touch()
        assert counted(probe) == 0
        log.write(FAILED, 3)
        with log.path.open():  # an empty file is known by its inode: no other must get it
            log.pack(log.rename("auth.log.1"))
            log.write(FAILED, 1)
            assert counted(probe) == 4

    @pytest.mark.parametrize("cut", [False, True])
    def test_old_one_is_gone(self, at: Clocked, log: Log, cut: bool) -> None:
        log.write(FAILED, 7)
        if cut:
            os.truncate(log.path, 0)
        else:
            log.rename("gone").unlink()
        log.write(FAILED, 5)
        assert at().line == Like(
            f"LOG-RATE OK - 5 failed log-ins in 5 lines of {log.path} in 5 min, 1 per minute, "
            f"lines of a deleted file are not counted | {BY_SOURCE}"
        )
        assert counted(at) == 0

    def test_broken_pack(self, at: Clocked, log: Log) -> None:
        log.write(FAILED, 20_000)
        path = log.rename("auth.log.1")
        packed = gzip.compress(path.read_bytes())
        path.with_name("auth.log.1.gz").write_bytes(packed[: len(packed) // 2])
        path.unlink()
        log.write(FAILED, 5)
        ran = at("--rate-critical", "off")
        assert ran.status == 1
        assert "lines of a deleted file are not counted" in ran.line
        assert counted(at) == 0

    def test_restored_copy(self, at: Clocked, log: Log) -> None:
        """Another inode, the same lines: they are not counted twice."""
        log.write(FAILED, 5)
        assert counted(at) == 5
        copy = log.path.with_name("copy")
        shutil.copy2(log.path, copy)
        copy.replace(log.path)
        log.write(FAILED, 1)
        assert counted(at) == 1

    def test_lines_that_are_all_the_same(self, at: Clocked, log: Log) -> None:
        """The bytes before the mark then say nothing; the inode does."""
        log.path.write_text(f"{FAILED}\n" * 100)
        at()
        log.rename("auth.log.1")
        log.path.write_text(f"{FAILED}\n" * 200)
        assert counted(at) == 200

    @pytest.mark.parametrize("how", ["renamed", "packed"])
    def test_time_is_up_in_the_rotated_one(self, at: Clocked, log: Log, how: str) -> None:
        flags = ["--rate-warning", "off", "--rate-critical", "off", "--timeout", "20s"]
        log.write(f"{'x' * 200} {FAILED}", 50_000)
        ROTATIONS[how](log)
        log.write(FAILED, 5)
        cut = at(*flags, LOOK=1)
        assert (cut.status, _matches(cut.line) > 0) == (3, True)
        rest = at(*flags)
        assert rest.status == 0
        assert _matches(cut.line) + _matches(rest.line) == 50_005

    @pytest.mark.parametrize("how", ["create", "compress", "copytruncate", "dateext"])
    def test_logrotate(self, at: Clocked, log: Log, tmp_path: Path, how: str) -> None:
        path = f"{os.environ['PATH']}:/usr/sbin"  # which users do not have in theirs
        if not shutil.which("logrotate", path=path):
            pytest.skip("no logrotate")
        modes = {"compress": "compress\n  create", "dateext": "dateext\n  create"}
        config = tmp_path / "logrotate.conf"
        config.write_text(f"{log.path} {{\n  rotate 3\n  {modes.get(how, how)}\n}}\n")
        config.chmod(0o644)
        log.path.parent.chmod(0o755)
        for _ in range(1 if how == "dateext" else 3):
            log.write(FAILED, 4)
            argv = ["logrotate", "--force", "--state", str(tmp_path / "rotated"), str(config)]
            subprocess.run(argv, check=True, env={"PATH": path})
            log.write(FAILED, 2)
            assert counted(at) == 6


class TestClock:
    @pytest.mark.parametrize("jump", [-86400, -300, 3600, 86400])
    def test_is_set(self, at: Clocked, log: Log, jump: int) -> None:
        """Time passes as before, whatever the clock on the wall says."""
        log.write(FAILED, 5)
        at.environ["WALL"] = str(float(at.environ["WALL"]) + jump)
        assert counted(at) == 5
        log.write(FAILED, 6)
        assert counted(at) == 6

    def test_reboot(self, at: Clocked, log: Log, tmp_path: Path) -> None:
        _other_boot(tmp_path)
        log.write(FAILED, 5)
        at.environ["BOOT"] = "-1000"
        assert counted(at) == 5

    def test_reboot_and_set_back(self, at: Clocked, log: Log, tmp_path: Path) -> None:
        _other_boot(tmp_path)
        log.write(FAILED, 5000)
        at.environ["WALL"] = "-3600"
        assert at().line == (
            f"LOG-RATE OK - 5,000 failed log-ins in 5,000 lines of {log.path}, "
            "no rate because the clock was set back | lines=5000;;;0"
        )
        assert counted(at) == 0


def _state(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "state/probes").iterdir()
    return path


def _other_boot(tmp_path: Path) -> None:
    path = _state(tmp_path)
    state = json.loads(path.read_text())
    state["at"][2] = "another"
    path.write_text(json.dumps(state))


class TestBlind:
    def test_missing(self, probe: Clocked, tmp_path: Path) -> None:
        for path in (tmp_path / "none.log", tmp_path / "nowhere/none.log"):
            assert probe("--file", path).line == (
                f"LOG-RATE UNKNOWN - {path}: No such file or directory; check the path"
            )

    def test_vanished(self, at: Clocked, log: Log) -> None:
        content = log.path.read_text()
        log.path.unlink()
        ran = at()
        assert ran.status == 3
        assert f"{log.path}: No such file or directory" in ran.line
        log.path.write_text(f"{content}{FAILED}\n")
        assert counted(at) == 1

    def test_no_file(self, probe: Clocked, tmp_path: Path) -> None:
        directory = probe("--file", tmp_path)
        assert directory.line == f"LOG-RATE UNKNOWN - {tmp_path}: Is a directory; check the path"
        os.mkfifo(tmp_path / "pipe")
        pipe = probe("--file", tmp_path / "pipe")
        assert pipe.line == f"LOG-RATE UNKNOWN - {tmp_path}/pipe: not a regular file"
        device = probe("--file", "/dev/zero")
        assert device.line == "LOG-RATE UNKNOWN - /dev/zero: not a regular file"
        assert directory.status == pipe.status == device.status == 3

    def test_no_permission(self, at: Clocked, log: Log) -> None:
        log.write(FAILED)
        log.path.chmod(0)
        if os.geteuid() == 0:  # who reads everything, but for these two capabilities
            os.chown(log.path, 65534, 65534)
            at.prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        assert at().line == (
            f"LOG-RATE UNKNOWN - {log.path}: Permission denied; usermod -aG adm USER"
        )
        log.path.chmod(0o644)
        assert counted(at) == 1

    def test_state(self, at: Clocked, tmp_path: Path) -> None:
        path = _state(tmp_path)
        assert re.fullmatch(r"log-rate-.*auth\.log-[0-9a-f]{8}\.json", path.name)
        assert path.stat().st_mode & 0o777 == 0o600
        backwards = '{"at": [1, 2, "x"], "mark": [1, 1, 3, 4, 1]}'
        for nonsense in ("{", "[]", "{}", backwards, '{"at": [1, 2, "x"], "mark": [1]}', "1"):
            path.write_text(nonsense)
            assert "first run on " in at().line
        path.unlink()
        shutil.rmtree(path.parent)
        path.parent.write_text("in the way")
        assert at().line.startswith(f"LOG-RATE UNKNOWN - {path}: Not a directory; check STATE_D")

    def test_no_room_for_state(self, at: Clocked, log: Log, tmp_path: Path) -> None:
        log.write(FAILED, 5)
        path = _state(tmp_path)
        path.unlink()
        path.mkdir()
        (path / "in the way").touch()
        ran = at()
        assert ran.status == 3
        assert f"{path}: Is a directory; check STATE_DIRECTORY" in ran.line
        shutil.rmtree(tmp_path / "state")
        (tmp_path / "state").symlink_to("/proc")
        ran = at()
        assert ran.line.startswith("LOG-RATE UNKNOWN - cannot keep the position: ")
        assert ", or set STATE_DIRECTORY, " in ran.line


JOURNALCTL = """#!/bin/sh
echo "$*" >> calls
case "$*" in
*--unit=ssh*--lines=1*) echo "Failed password, long ago"; echo "-- cursor: s=1;i=1";;
*--unit=ssh*--after-cursor=*) cat messages; echo "-- cursor: s=1;i=$(wc -l < messages)";;
*--unit=others*) echo "Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice." >&2; echo "-- cursor: s=1;i=1";;
*--unit=broken*) echo "Failed to seek to cursor: Invalid argument" >&2; exit 1;;
*--unit=closed*) echo "No journal files were opened due to insufficient permissions." >&2; exit 1;;
*--unit=hung*) sleep 60;;
*) exit 1;;
esac
"""


FORBIDDEN = "no permission to read the whole journal; usermod -aG systemd-journal USER"


class TestJournal:
    @pytest.fixture
    def probe(self, probe: Clocked, tmp_path: Path) -> Clocked:
        _program(tmp_path, "journalctl", JOURNALCTL)
        return probe

    def test_runs(self, probe: Clocked, tmp_path: Path) -> None:
        messages = tmp_path / "messages"
        first = probe("--unit", "ssh")
        assert first.line == ("LOG-RATE OK - first run on unit ssh, lines are counted from now on")
        # What looks like a cursor is none before the end.
        messages.write_text(f"{FAILED}\n-- cursor: Failed password\n" + f"{FINE}\n" * 8)
        assert probe("--unit", "ssh").line == Like(
            "LOG-RATE OK - 2 failed log-ins in 10 lines of unit ssh in 5 min, # per minute"
            f" | {BY_SOURCE}"
        )
        messages.write_text(f"{FAILED}\n" * 100_000)
        assert probe("--unit", "ssh").line == Like(
            "LOG-RATE CRITICAL - 100,000 failed log-ins in 100,000 lines of unit ssh in 5 min, "
            f"# per minute (over 100) | {BY_SOURCE}"
        )
        start = "--unit=ssh --output=short --all --no-pager --show-cursor"
        assert (tmp_path / "calls").read_text().splitlines() == [
            f"{start} --lines=1",
            f"{start} --after-cursor=s=1;i=1",
            f"{start} --after-cursor=s=1;i=10",
        ]

    def test_quiet_unit(self, probe: Clocked, tmp_path: Path) -> None:
        """There is nothing new, or nothing at all any more."""
        probe("--unit", "ssh")
        (tmp_path / "messages").touch()
        assert "0 failed log-ins in 0 lines of unit ssh" in probe("--unit", "ssh").line
        _program(tmp_path, "journalctl", "#!/bin/sh\nexit 1\n")
        ran = probe("--unit", "ssh")
        assert (ran.status, "0 failed log-ins in 0 lines of unit ssh" in ran.line) == (0, True)

    @pytest.mark.parametrize(
        ("unit", "words"),
        [
            ("nobody", "the journal has no entries of nobody; check the unit, and who may read it"),
            ("broken", "journalctl: Failed to seek to cursor: Invalid argument"),
            ("others", FORBIDDEN),
            ("closed", FORBIDDEN),
        ],
    )
    def test_blind(self, probe: Clocked, unit: str, words: str) -> None:
        ran = probe("--unit", unit)
        assert (ran.status, ran.line) == (3, f"LOG-RATE UNKNOWN - {words}")

    def test_hung(self, probe: Clocked) -> None:
        ran = probe("--unit", "hung", "--timeout", "1s")
        assert ran.line == "LOG-RATE CRITICAL - no answer from unit hung within 1 s"
        assert ran.seconds < 8

    def test_not_installed(self, probe: Clocked, tmp_path: Path) -> None:
        assert probe("--unit", "ssh", PATH=tmp_path).line == (
            "LOG-RATE UNKNOWN - journalctl: No such file or directory; install journalctl, "
            "or add it to PATH"
        )

    def test_not_in_time(self, probe: Clocked, tmp_path: Path) -> None:
        """Only the end says where the end is: the mark stays, and that is said."""
        probe("--unit", "ssh")
        _program(tmp_path, "journalctl", f'#!/bin/sh\nyes "{FAILED}"\n')
        ran = probe("--unit", "ssh", "--timeout", "1s", "--rate-critical", "off")
        assert ran.status == 3
        assert "B read in time; raise --timeout; " in ran.line
        assert ran.seconds < 8


DOCKER = """#!/bin/sh
echo "$*" >> calls
case "$*" in
*web) test -f old && cat old >&2; cat new; exit 0;;
*gone) echo "Error response from daemon: No such container: gone" >&2; exit 1;;
*socket) echo "permission denied while trying to connect to the docker API" >&2; exit 1;;
*silent) exit 9;;
*hung) sleep 60;;
esac
"""


def stamped(second: int, text: str) -> str:
    return f"2026-01-31T12:00:{second:02}.000000001Z {text}\n"


class TestContainer:
    @pytest.fixture
    def probe(self, probe: Clocked, tmp_path: Path) -> Clocked:
        _program(tmp_path, "docker", DOCKER)
        return probe

    def test_runs(self, probe: Clocked, tmp_path: Path) -> None:
        old, new = tmp_path / "old", tmp_path / "new"
        new.write_text(stamped(1, FAILED))
        assert "first run on container web," in probe("--container", "web").line
        # Docker gives the last line once more; its two streams are out of order.
        old.write_text(stamped(1, FAILED) + stamped(9, FAILED) + stamped(3, FAILED))
        new.write_text("".join(stamped(number, FAILED) for number in range(2, 8)))
        assert probe("--container", "web").line == Like(
            "LOG-RATE OK - 8 failed log-ins in 8 lines of container web in 5 min, # per minute"
            f" | {BY_SOURCE}"
        )
        assert "0 failed log-ins in 0 lines of container web" in probe("--container", "web").line
        start = "logs --timestamps"
        assert (tmp_path / "calls").read_text().splitlines() == [
            f"{start} --tail=1 -- web",
            f"{start} --since=2026-01-31T12:00:01.000000001Z -- web",
            f"{start} --since=2026-01-31T12:00:09.000000001Z -- web",
        ]

    def test_nothing_said_yet(self, probe: Clocked, tmp_path: Path) -> None:
        new = tmp_path / "new"
        new.touch()
        probe("--container", "web")
        new.write_text(stamped(1, FAILED))
        assert "1 failed log-in in 1 line of container web" in probe("--container", "web").line
        assert (tmp_path / "calls").read_text().splitlines()[1] == "logs --timestamps -- web"

    def test_clock_set_back(self, probe: Clocked, tmp_path: Path) -> None:
        new = tmp_path / "new"
        new.write_text(stamped(1, FAILED).replace("2026", "9026"))
        probe("--container", "web")
        future = time.strftime("%Y-%m-%dT%H:%M:%S.0Z", time.gmtime(time.time() + 3600))
        new.write_text(f"{future} {FAILED}\n")
        assert "1 failed log-in in 1 line of container web" in probe("--container", "web").line

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("gone", "Error response from daemon: No such container: gone"),
            ("socket", "permission denied while trying to connect to the docker API"),
            ("silent", "exit status 9"),
        ],
    )
    def test_blind(self, probe: Clocked, name: str, words: str) -> None:
        ran = probe("--container", name)
        assert (ran.status, ran.line) == (3, f"LOG-RATE UNKNOWN - docker logs: {words}")

    def test_hung(self, probe: Clocked) -> None:
        ran = probe("--container", "hung", "--timeout", "1s")
        assert ran.line == "LOG-RATE CRITICAL - no answer from container hung within 1 s"


def _program(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / "bin" / name
    path.write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\ncd {tmp_path}\n"))
    path.chmod(0o755)


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--pattern", "("], "invalid regular expression '(': missing ), unterminated sub"),
            (["/var/log/auth.log"], "Got unexpected extra argument"),
        ],
    )
    def test_wrong(self, probe: Clocked, flags: list[str], message: str) -> None:
        assert message in probe.misused(*flags).line

    @pytest.mark.parametrize("flags", [[], ["--file", "/dev/null", "--unit", "ssh"]])
    def test_one_log(self, probe: Clocked, flags: list[str]) -> None:
        assert probe(*flags).line == (
            "LOG-RATE UNKNOWN - need one log; set one of --file, --unit, --container"
        )

    def test_option_names_another_log(self, probe: Clocked, log: Log) -> None:
        """Two checks of a host have one env file."""
        variables = {"PROBE_LOG_RATE_CONTAINER": "web", "PROBE_LOG_RATE_PATTERN": "nothing"}
        flags = ["--access", "--file", log.path]
        assert probe(*flags, **variables).status == 0
        log.write(REQUEST.format(200, ""))
        assert "1 request in 1 line of" in probe(*flags, **variables).line
        log.write(FAILED)
        assert probe("--file", log.path, PROBE_LOG_RATE_ACCESS="1").line.startswith(
            f"LOG-RATE OK - first run on {log.path}"
        )

    def test_lines_are_not_shown(self, at: Clocked, log: Log) -> None:
        log.write("Failed password s3cr3t for root", 2000)
        ran = at.run("--verbose")
        assert ran.returncode == 2
        assert "s3cr3t" not in ran.stdout + ran.stderr


SSH = "Jan  5 03:00:01 h sshd[7]: "

VAULT = '"request":{"path":"auth/userpass/login/bob"},"response":{"data":{"error":"hmac-sha256:4"}}'

# Lines of real programs, and the attempts in them.
ATTEMPTS: Mapping[str, tuple[list[str], int]] = {
    "sshd, unknown user": (
        [
            f"{SSH}Invalid user oracle from 192.0.2.7 port 4100",
            f"{SSH}input_userauth_request: invalid user oracle [preauth]",
            f"{SSH}pam_unix(sshd:auth): authentication failure; logname= uid=0 rhost=192.0.2.7",
            f"{SSH}Failed password for invalid user oracle from 192.0.2.7 port 4100 ssh2",
            f"{SSH}Connection closed by invalid user oracle 192.0.2.7 port 4100 [preauth]",
        ],
        1,
    ),
    "sshd, six passwords": (
        [
            f"{SSH}Failed password for root from 192.0.2.7 port 4102 ssh2",
            f"{SSH}message repeated 5 times: [ Failed password for root from ::1 port 4 ssh2]",
            f"{SSH}error: maximum authentication attempts exceeded for root from 192.0.2.7 port 4",
            f"{SSH}Disconnecting authenticating user root ::1 port 4: Too many authentication fail",
            f"{SSH}PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= user=r",
        ],
        6,
    ),
    "sshd, PAM alone": (
        [
            f"{SSH}pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 user=root",
            f"{SSH}PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh user=root",
        ],
        3,
    ),
    "sshd, two processes": (
        [
            f"{SSH}Connection reset by authenticating user root 192.0.2.7 port 4103 [preauth]",
            f"{SSH}Failed publickey for root from 192.0.2.7 port 4103 ssh2: RSA SHA256:x",
            "2026-01-05T03:00:01.1+00:00 h sshd-session[8]: Disconnected from authenticating user",
            "Jan  5 03:00:01 h sshd[9]: User root from ::1 not allowed because not listed in Allow",
        ],
        3,
    ),
    "sshd, let in": (
        [
            f"{SSH}Failed publickey for me from 192.0.2.7 port 4103 ssh2: RSA SHA256:x",
            f"{SSH}Accepted publickey for me from 192.0.2.7 port 4103 ssh2: RSA SHA256:y",
            f"{SSH}Received disconnect from 192.0.2.7 port 4103:11: disconnected by user",
            f"{SSH}Connection closed by 192.0.2.7 port 4105 [preauth]",
            "api: 3 jobs failed",
            "api: failed_logins=0 auth_failed=0, let in after 0 failed logins",
        ],
        0,
    ),
    "a syslogd that does not repeat the message": (
        ["h x: login failed for bob", "last message repeated 3 times", "h x: bye"] * 2,
        8,
    ),
    "su and sudo": (
        [
            "h su[1]: pam_unix(su:auth): authentication failure; logname=bob uid=1000 user=root",
            "h su[1]: FAILED SU (to root) bob on pts/0",
            "h sudo: pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 user=bob",
            "h sudo:      bob : 3 incorrect password attempts ; TTY=pts/0 ; USER=root ; COMMAND=ls",
        ],
        4,
    ),
    "login": (
        [
            "h login[3]: pam_unix(login:auth): authentication failure; logname=LOGIN uid=0",
            "h login[3]: FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
        ],
        1,
    ),
    "dovecot": (
        [
            "h dovecot: auth: pam(bob,::1): pam_authenticate() failed: Authentication failure",
            "h dovecot: imap-login: Disconnected (auth failed, 2 attempts in 9 secs): user=<bob>",
        ],
        2,
    ),
    "vsftpd": (['Mon Jan  5 2026 [pid 2] [bob] FAIL LOGIN: Client "192.0.2.7"'], 1),
    "MySQL": (["12 [Note] Access denied for user 'a'@'192.0.2.7' (using password: YES)"], 1),
    "PostgreSQL": (
        [
            'LOG:  password authentication failed for user "bob"',
            'DETAIL:  Connection matched file "pg_hba.conf" line 97: "host all all ::1/128 md5"',
        ],
        1,
    ),
    "Kafka": (
        ["[SocketServer] Failed authentication with /::1 (Authentication failed: invalid creden"],
        1,
    ),
    "Vault, whose audit log has two lines": (
        [
            '{"type":"request","request":{"path":"auth/userpass/login/bob"}}',
            f'{{{VAULT},"error":"invalid credentials"}}',
            f"{{{VAULT}}}",
            '{"type":"response","request":{"path":"secret/data/x"},"error":"permission denied"}',
        ],
        2,
    ),
    "nginx and Apache": (
        [
            '2026/01/05 03:00:01 [error] 7#7: *1 user "bob": password mismatch, client: 192.0.2.7',
            '[auth_basic:error] AH01617: user b: authentication failure for "/": Password Mismatch',
        ],
        2,
    ),
    "applications": (
        [
            "api: Login failed: invalid credentials",
            "api: failed log-in of x",
            "app: Bad credentials for a",
            "proftpd[1]: USER bob (Login failed): Incorrect password",
            "rabbit: PLAIN login refused: user 'bob' - invalid credentials",
            'keycloak: type="LOGIN_ERROR", realmId="x"',
            "mailman: wrong password for bob",
        ],
        7,
    ),
    "JSON": (
        [
            '{"time":"2026-01-05T03:00:11Z","event":"login_failed","user":"a"}',
            'Jan  5 03:00:01 h api[7]: {"level":"warn","msg":"Login failed for a"}',
            '{"event": {"action": "user_login", "outcome": "failure"}, "user": {"name": "a"}}',
            '{"action":"login","success":false}',
            '{"event":"login","success":true,"failed_logins":0,"login_failed":false}',
            '{"status":"invalid user","broken":',
        ],
        5,
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempts(name: str) -> None:
    lines, expected = ATTEMPTS[name]
    attempts = Attempts()
    attempts.take("".join(f"{line}\n" for line in lines).encode())
    assert (attempts.found, attempts.lines) == (expected, len(lines))


ONE_HOST = [
    f"Jan  5 03:00:01 h sshd[{n}]: Failed password for u{n} from 192.0.2.7" for n in range(30)
]
MANY_HOSTS = [f"h sshd[{n}]: Failed password for root from 2001:db8::{n:x}" for n in range(30)]
USER = '{"event":"login_failed","client":{"ip":"198.51.100.%d"},"user":{"name":"ann"}}'
LIMITS_OF_SOURCES = ["--address-warning=5", "--accounts-critical=5", "--addresses-warning=10"]


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        (ONE_HOST, 2, ["192.0.2.7 tried 30 accounts (over 5)", "6 per minute from 192.0.2.7"]),
        (MANY_HOSTS, 1, ["account root tried from 30 hosts (over 10)"]),
        ([USER % n for n in range(12)], 1, ["account ann tried from 12 hosts (over 10)"]),
        # A day in which people mistype their passwords, each from home.
        ([USER.replace("ann", f"u{n}") % n for n in range(100)] * 2, 1, ["40 per minute"]),
    ],
    ids=["many accounts", "many hosts", "JSON", "ordinary"],
)
def test_sources(
    at: "Clocked", log: "Log", lines: list[str], status: int, words: list[str]
) -> None:
    log.write("\n".join(lines))
    ran = at(*LIMITS_OF_SOURCES)
    assert ran.status == status
    assert [word for word in words if word not in ran.line] == []
    if status == 1 and words == ["40 per minute"]:  # of all together, and of no source
        assert " tried " not in ran.line


class TestFormats:
    def test_failed_logins(self, at: Clocked, log: Log) -> None:
        log.path.write_bytes(log.path.read_bytes() + (DATA / "failed-logins.txt").read_bytes())
        assert at().line == Like(
            f"LOG-RATE OK - 9 failed log-ins in 8 lines of {log.path} in 5 min, # per minute"
            f" | {BY_SOURCE}"
        )

    @pytest.mark.parametrize("order", ["le", "be"])
    def test_utf_16(self, at: Clocked, log: Log, order: str) -> None:
        at("--pattern", "Zoë")
        for _ in range(2):  # the second time from the middle of a character
            with log.path.open("ab") as file:
                file.write(f"{FAILED}\r\n{FINE} Zoë\r\n".encode(f"utf-16-{order}") * 3)
            assert "3 failed log-ins in 6 lines of" in at().line
            assert "3 matching lines in 6 lines of" in at("--pattern", "Zoë").line

    @pytest.mark.parametrize("pack", [bz2, lzma, gzip])
    def test_packed(self, at: Clocked, log: Log, pack: ModuleType) -> None:
        log.write(FAILED, 3)
        old = log.rename("auth.log.1")
        suffix = {"bz2": ".bz2", "lzma": ".xz", "gzip": ".gz"}[pack.__name__]
        packed = old.with_name(f"{old.name}{suffix}")
        packed.write_bytes(pack.compress(old.read_bytes()))
        shutil.copystat(old, packed)
        old.unlink()
        log.write(FAILED, 4)
        assert counted(at) == 7
        packed.write_bytes(packed.read_bytes()[:50])
        os.utime(packed)
        log.rename("auth.log.0")
        log.write(FAILED, 2)
        assert counted(at) == 2

    def test_packed_by_a_program_that_python_lacks(self, at: Clocked, log: Log) -> None:
        log.write(FAILED, 3)
        old = log.rename("auth.log.1")
        old.rename(f"{old}.zst")
        log.write(FAILED, 4)
        ran = at()
        assert ran.line == Like(
            f"LOG-RATE UNKNOWN - cannot read {old}.zst; let logrotate use gzip, bzip2 or xz, or "
            f"delaycompress, 4 failed log-ins in 4 lines of {log.path} in 5 min, # per minute"
            f" | {BY_SOURCE}"
        )
        assert counted(at) == 0

    def test_members_match_a_pattern(self, at: Clocked, log: Log) -> None:
        flags = ["--pattern", r"http\.status=5\d\d"]
        at(*flags)
        log.write('{"http":{"status":503}}', 2)
        log.write('{"http":{"status":200}}', 2)
        assert "2 matching lines in 4 lines of " in at(*flags).line


REQUEST = '192.0.2.9 - - [05/Jan/2026:03:00:00 +0000] "GET /a HTTP/1.1" {} 503 "-" "ua 500 x"{}'


class TestAccess:
    @pytest.fixture
    def at(self, at: Clocked) -> Clocked:
        at.environ["PROBE_LOG_RATE_ACCESS"] = "1"
        at()
        return at

    def test_formats(self, at: Clocked, log: Log) -> None:
        """The slowest of a few takes 30 s, which alone is no alert."""
        log.path.write_bytes(log.path.read_bytes() + (DATA / "access-logs.txt").read_bytes())
        assert at().line == (
            f"LOG-RATE WARNING - 6 requests in 6 lines of {log.path} in 5 min, 2 failures "
            "(over 0.1%), p95 0.3 s | errors=33.333333%;0.1;;0;100 p95=0.3s;2;;0 lines=6;;;0"
        )

    @pytest.mark.parametrize(
        ("added", "p95"),
        [
            (" 0.120", "0.12 s"),
            (' rt=0.120 uct="0.001" urt="0.100"', "0.12 s"),
            (' "192.0.2.1" 0.120 0.110', "0.12 s"),
            (' 12 "router@docker" "http://192.0.2.1:80" 120ms', "0.12 s"),
            (" 120000", ""),
            ("", ""),
        ],
    )
    def test_times(self, at: Clocked, log: Log, added: str, p95: str) -> None:
        log.write(REQUEST.format(200, added), 20)
        ran = at()
        assert ran.status == 0
        wanted = f"p95 {p95} |" if p95 else "no p95 because the log has too few times to answer |"
        assert f" 20 requests in 20 lines of {log.path} in 5 min, 0 failures, {wanted}" in ran.line

    @pytest.mark.parametrize(
        ("failed", "slow", "status"), [(1, 5, 0), (2, 5, 1), (0, 6, 1), (1, 0, 0)]
    )
    def test_thresholds(self, at: Clocked, log: Log, failed: int, slow: int, status: int) -> None:
        log.write(REQUEST.format(200, " 0.1"), 95 - failed)
        log.write(REQUEST.format(502, " 0.1"), failed)
        log.write(REQUEST.format(200, " 2.5"), slow)
        assert at().status == status
        log.write(REQUEST.format(502, " 2.5"), 20)
        assert at("--errors-critical", "5%").status == 2

    def test_pattern(self, at: Clocked, log: Log) -> None:
        flags = ["--pattern", r"code=(?P<status>\d+).* us=(?P<microseconds>\d+)"]
        at(*flags)
        log.write("code=200 us=150000 x", 3)
        log.write('{"code":500,"us":150000}', 3)
        assert "6 requests in 6 lines of" in at(*flags, "--errors-warning", "50%").line
        ran = at("--pattern", "code=(.*)")
        assert ran.line.startswith("LOG-RATE UNKNOWN - the pattern has no group status; its groups")

    def test_no_access_log(self, at: Clocked, log: Log) -> None:
        assert at().status == 0  # nobody asked for anything
        log.write(FAILED, 3)
        assert at().line == (
            f"LOG-RATE UNKNOWN - 0 requests in 3 lines of {log.path} in 5 min; "
            "give --pattern with the groups status and seconds | lines=3;;;0"
        )


LIMITS = {"rate": (Range.parse("10"), Range.parse("100"))}


@pytest.mark.parametrize(
    ("found", "passed", "status", "words"),
    [
        (0, None, Status.OK, "first run on x, lines are counted from now on"),
        (1, 60.0, Status.OK, "1 failed log-in in 0 lines of x in 1 min, 1 per minute"),
        (10, 1.0, Status.OK, "10 failed log-ins in 0 lines of x in 1 s, 10 per minute"),
        (11, 0.0, Status.WARNING, "11 failed log-ins in 0 lines of x in 0 s, 11 per minute (over"),
        (101, SHORTEST, Status.CRITICAL, "101 failed log-ins in 0 lines of x in 1 min, 101 per"),
        (101, 3600.0, Status.OK, "101 failed log-ins in 0 lines of x in 1 h, 1.68 per minute"),
        (101, -1.0, Status.OK, "101 failed log-ins in 0 lines of x, no rate because the clock was"),
    ],
)
def test_evaluate(found: int, passed: float | None, status: Status, words: str) -> None:
    attempts = Attempts()
    attempts.found = found
    reading = next(evaluate(attempts, passed, "x", LIMITS))
    assert reading.status == status
    assert reading.message().startswith(words)


def test_moments() -> None:
    before = Moment(1000.0, 50.0, "a")
    assert before.until(Moment(0.0, 350.0, "a")) == 300
    assert before.until(Moment(1300.0, 5.0, "b")) == 300
    assert before.until(Moment(0.0, 5.0, "b")) == -1000
