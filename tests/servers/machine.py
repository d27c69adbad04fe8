"""A machine beside this one: its files over an overlay of ours, its own processes, its own hcrun.

Nothing it does to its files, units, crontabs or users is seen here. Its network is ours, so that
it reaches the stub. It needs root.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.support.command import PATIENCE, wait_until

PROJECT = Path(__file__).parent.parent.parent
NEEDED = ("click", "cronsim", "oncalendar", "prometheus-client")  # by hcctl
LAUNCHERS = {"hcrun": "hcrun.run.cli", "hcctl": "hcrun.ctl.main"}

# What it has of its own: /dev, /proc, /run, and cgroups where $cgroup is set.
BOOT = r"""
set -eu
base=$1 files=$2 opt=$3 python=$4; shift 4
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
cp -a "$files/." "$base/upper/"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
cd "$base/root"
mkdir -p opt/hcrun opt/python old-root
mount --bind "$opt" opt/hcrun
mount --bind "$python" opt/python
echo /opt/python/lib > etc/ld.so.conf.d/0-python.conf  # it may have a libpython of its own
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sys sys
[ -z "$cgroup" ] || mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
    : > dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
pivot_root . old-root
cd /
ldconfig
umount -l /old-root
mount --make-rshared /
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


class Machine:
    """A running one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid  # here, of its first process

    def run(
        self, *argv: str, check: bool = True, timeout: float = 3 * PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """A command inside, as root."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "-r", "-w"]
        done = subprocess.run(
            [*inside, *argv],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
        return done


def skip_unless_possible() -> None:
    if os.getuid() != 0:
        pytest.skip("a machine beside this one needs root")
    overlay = (
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root &&"
        " mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root"
    )
    tried = subprocess.run(
        ["unshare", "-m", "-p", "-f", "-u", "-i", "-C", "sh", "-c", overlay],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"no machine beside this one can be made: {tried.stderr.strip()}")


def installation(directory: Path) -> Path:
    """hcrun as it is installed in /opt/hcrun, with the Python in /opt/python."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = directory / "lib" / version / "site-packages"
    (directory / "bin").mkdir(parents=True)
    (directory / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
    (directory / "bin/python").symlink_to(f"/opt/python/bin/{version}")
    for package in ("hcrun", "probes"):
        shutil.copytree(PROJECT / package, site / package)
    for name in NEEDED:
        for file in distribution(name).files or ():
            if file.suffix == ".py":
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), site / file)
    for program, module in LAUNCHERS.items():
        script = directory / "bin" / program
        script.write_text(f"#!/opt/hcrun/bin/python\nfrom {module} import main\n\nmain()\n")
        script.chmod(0o755)
    return directory


@contextmanager
def machine(
    base: Path, files: Mapping[str, str], opt: Path, *first: str, own_cgroup: bool = False
) -> Iterator[Machine]:
    """Run `first` as the first process of a machine that has these files added.

    `base` is an empty directory, `opt` an `installation`.
    """
    prepared, mounted = base / "files", base / "mounted"
    mounted.mkdir(parents=True)
    for name, text in files.items():
        path = prepared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    with _cgroup(own_cgroup) as cgroup, (base / "log").open("wb") as log:
        namespaces = ["-m", "-p", "-f", "-u", "-i", "--kill-child", "--propagation", "private"]
        # Should the tests be killed, it is, too.
        enter = (
            '[ -z "$cgroup" ] || echo $$ > "$cgroup/cgroup.procs";'
            ' exec setpriv --pdeathsig KILL unshare "$@"'
        )
        process = subprocess.Popen(
            ["sh", "-c", enter, "sh", *namespaces, *(["-C"] if cgroup else []), "sh", "-c"]
            + [BOOT, "sh", str(mounted), str(prepared), str(opt), sys.base_prefix, *first],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "cgroup": cgroup},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield Machine(_child(process, base / "log", first[0]))
        finally:
            process.kill()  # and with it, by --kill-child, all of the machine
            process.wait()


def _child(process: subprocess.Popen[bytes], log: Path, program: str) -> int:
    """The pid of the machine's first process, as soon as it is `program`."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def booted() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(OSError, IndexError):
            pid = children.read_text().split()[0]
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return words[0] == program.encode()
        return False

    wait_until(booted, f"{program} runs")
    return int(children.read_text().split()[0])


@contextmanager
def _cgroup(wanted: bool) -> Iterator[str]:
    """A control group of its own, "" if none is wanted."""
    if not wanted:
        yield ""
        return
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    places = [Path(words[1]) for words in mounts if words[2] == "cgroup2"]
    if not places:
        pytest.skip("no cgroup2 here")
    group = places[0] / f"hcrun-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        yield str(group)
    finally:
        deadline = time.monotonic() + PATIENCE
        while group.exists() and time.monotonic() < deadline:
            for inner in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
                with suppress(OSError):
                    inner.rmdir()
            with suppress(OSError):
                group.rmdir()
            time.sleep(0.01)
