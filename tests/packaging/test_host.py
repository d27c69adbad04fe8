"""`make install`, `make uninstall` and the Debian package, on a machine beside this one.

It has this host's Debian; nothing that happens there is seen here. See `make test-docker`.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.wheels import PYTHON, download
from tests.servers.machine import Machine, machine, skip_unless_possible

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
COPIED = ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "Makefile")
COPIED_TREES = ("docs", "hcrun", "probes", "scripts")
SOURCE = "/mnt"  # there
BUILD = 600.0  # seconds that a package may take on a loaded machine
OFFLINE = f"cd {SOURCE}; export PIP_NO_INDEX=1 PIP_FIND_LINKS={SOURCE}/dist/wheels"
# Each file with its kind, mode, owner and target; but not what dpkg and man-db keep for themselves,
# and the former /etc/passwd.
SNAPSHOT = """
find /etc /opt /usr /var/lib -xdev '(' -path /var/lib/dpkg -o -path /var/lib/apt ')' -prune -o \
    ! -name '*-' -printf '%p %y %m %u %g %l\\n' | sort
cat /etc/passwd /etc/group /etc/shadow
"""
# As under cron, for the user of the probes: no PATH to speak of, a home, no settings.
AS_HCRUN = (
    "setpriv --reuid=hcrun --regid=hcrun --clear-groups"
    " env -i HOME=/var/lib/hcrun-hcrun PATH=/usr/bin:/bin HEALTHCHECKS_ENABLED=false"
)
COMPLETES = """
. /usr/%sshare/bash-completion/completions/probe-redis
COMP_LINE="probe-redis --latency-w" COMP_POINT=23; _hcrun; echo ${COMPREPLY[@]}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, check=False)
    if python.stdout != f"Python {PYTHON}\n":
        pytest.skip(f"this is not Debian 12: /usr/bin/python3 is {python.stdout or 'missing'}")
    directory = tmp_path_factory.mktemp("source")
    for name in COPIED:
        shutil.copy(ROOT / name, directory)
    for name in COPIED_TREES:
        shutil.copytree(ROOT / name, directory / name)
    wheels = directory / "dist/wheels"
    wheels.mkdir(parents=True)
    download(wheels)
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    return directory


class Host:
    """The machine, with the source in SOURCE and nothing of hcrun installed."""

    def __init__(self, inside: Machine) -> None:
        self._inside = inside
        self.sh(f"mount --bind /opt/hcrun {SOURCE}; umount /opt/hcrun; rmdir /opt/hcrun")
        self.sh("rm -rf /etc/hcrun /var/lib/hcrun /var/lib/hcrun-hcrun")

    def sh(self, script: str) -> str:
        return self._inside.run("sh", "-ec", script, timeout=BUILD).stdout

    def fails(self, script: str) -> str:
        done = self._inside.run("sh", "-ec", script, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def make(self, target: str) -> str:
        return self.sh(f"{OFFLINE}; make {target}")

    def works(self, local: str) -> None:
        """For root and for hcrun, with man pages and completion."""
        run = f"{AS_HCRUN} /usr/{local}bin/hcrun job -- sh -c 'id -un; exit 3' || echo $?"
        assert self.sh(run) == "hcrun\n3\n"
        assert "REDIS CRITICAL" in self.sh(f"{AS_HCRUN} /opt/hcrun/bin/probe-redis || :")
        assert self.sh(f"PATH=/usr/{local}bin:$PATH; hcctl docs | head -n 1").startswith("readme ")
        assert self.sh("man -w hcrun hcctl").count("\n") == 2
        assert self.sh(f"bash -c '{COMPLETES % local}'") == "--latency-warning\n"
        # Compiled, so that a run does not do it again each time.
        assert self.sh("/opt/hcrun/bin/hcctl doctor --json || :").count("byte-compiled") == 1
        assert self.sh("find /opt/hcrun /etc/hcrun -perm -002 ! -type l") == ""


@pytest.fixture
def host(source: Path, tmp_path: Path) -> Iterator[Host]:
    skip_unless_possible()
    with machine(tmp_path / "machine", {"root/README": ""}, source, "sleep", "infinity") as inside:
        yield Host(inside)


def test_make_install_and_uninstall(host: Host) -> None:
    before = host.sh(SNAPSHOT)
    error = host.fails(f"{OFFLINE}; setpriv --reuid=65534 --clear-groups make install")
    assert "make: only root can do this; run: sudo make install" in error
    created = host.make("install")
    listed = {line.split(maxsplit=1)[1] for line in created.splitlines() if "created  " in line}
    after = host.sh(SNAPSHOT)
    new = {line.split()[0] for line in set(after.splitlines()) - set(before.splitlines())}
    paths = {name for name in new if name[0] == "/" and not name.startswith("/opt/hcrun/")}
    assert paths <= listed | {"/opt", "/etc", "/usr", "/var/lib"}
    assert listed - paths == {"user hcrun"}

    host.works("local/")
    assert host.sh(f"{OFFLINE}; make install").startswith("replaced  /opt/hcrun\n")
    host.sh("echo PING=1 > /etc/hcrun/hcrun.env; touch /etc/cron.d/hcrun")
    assert "hcctl install crontab --uninstall" in host.fails(f"{OFFLINE}; make uninstall")
    host.sh("rm /etc/cron.d/hcrun")
    host.sh("cd /usr/local/bin; rm probe-sql; echo mine > probe-sql")
    said = host.make("uninstall")
    assert "kept      /etc/hcrun, which has hcrun.env\n" in said
    assert host.sh("cat /etc/hcrun/hcrun.env") == "PING=1\n"
    command = said.rstrip().rpartition("journals: ")[2]
    assert command == "rm -r /var/lib/hcrun-hcrun /etc/hcrun && userdel hcrun"
    assert host.sh(f"{command}; cd /usr/local/bin; cat probe-sql; rm probe-sql") == "mine\n"
    assert host.sh(SNAPSHOT) == before


def test_the_debian_package(host: Host) -> None:
    host.make("deb")
    before = host.sh(SNAPSHOT)
    apt = "export DEBIAN_FRONTEND=noninteractive; apt-get -y"
    host.sh(f"{apt} install {SOURCE}/dist/hcrun_*.deb")
    host.works("")
    assert host.sh("dpkg --verify hcrun") == ""
    assert "apt remove hcrun" in host.fails(f"{OFFLINE}; make install")
    check = '[defaults]\nzone = "UTC"\n[checks.a]\nname = "A"\nevery = "1h"\ncommand = "true"\n'
    host.sh(f"printf '{check}' > /etc/hcrun/checks.toml; hcctl install crontab --yes")
    host.sh(f"{apt} remove hcrun")
    host.sh("[ ! -e /etc/cron.d/hcrun ] && [ -s /etc/hcrun/checks.toml ]")
    host.sh(f"{apt} purge hcrun")
    assert host.sh(SNAPSHOT) == before
