"""`hcctl render` and `hcctl install`: what they print, write, keep and delete."""

import os
import pty
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from hcrun.formats.crontab import problems
from hcrun.schedulers.managed_files import state
from tests.support.catalogs import write
from tests.support.command import HCCTL, HCRUN, environment, run_hcctl, run_program

PROJECT = Path(__file__).parents[2]
CATALOG = """\
[checks.redis]
name = "Redis"
zone = "UTC"
every = "30s"
timeout = "5s"
grace = "2m"
command = "probe-redis"

[checks.backup]
name = "Backup"
zone = "UTC"
cron = "30 1 * * *"
timeout = "1h"
grace = "1h"
user = "root"
command = "backup"
"""
WRITTEN = 8  # of them: three templates, the target, a timer and a drop-in for each check


class Image:
    """A tree to install into, and a catalogue."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.root = tmp_path / "image"
        self.crontab = self.root / "etc/cron.d/hcrun"
        self.units = self.root / "etc/systemd/system"
        for program in ("opt/hcrun/bin/hcrun", "usr/sbin/cron", "usr/bin/curl"):
            (self.root / program).parent.mkdir(parents=True)
            shutil.copy("/bin/true", self.root / program)
        (self.root / "etc").mkdir()
        (self.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nhcrun:x:99:99::/:\n")
        (tmp_path / "checks.toml").write_text(CATALOG)

    def argv(self, kind: str, *more: str) -> list[str]:
        fixed = ["--root", str(self.root), "--hcrun", "/opt/hcrun/bin/hcrun"]
        return ["install", kind, *fixed, "--catalog", str(self.tmp_path / "checks.toml"), *more]

    def install(self, kind: str, *more: str) -> subprocess.CompletedProcess[str]:
        return run_hcctl(self.tmp_path, *self.argv(kind, *more))

    def refused_within(self, *wrapper: str) -> str:
        """What it prints on stderr when `wrapper` runs it and it fails."""
        done = run_program(self.tmp_path, *wrapper, HCCTL, *self.argv("crontab"), "--yes")
        assert done.returncode == 1
        return done.stderr

    def installed(self, kind: str, *more: str) -> str:
        """What it prints when all is well."""
        done = self.install(kind, "--yes", *more)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refused(self, kind: str, *more: str) -> str:
        done = self.install(kind, *more)
        assert done.returncode == 1
        return done.stderr

    def files(self) -> dict[str, str]:
        return tree(self.root)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


# render


@pytest.mark.parametrize("kind", ["crontab", "systemd"])
def test_the_committed_files_are_what_is_rendered(kind: str, tmp_path: Path) -> None:
    catalog = ["--catalog", str(PROJECT / "hcrun/checks.toml"), "--hcrun", "/opt/hcrun/bin/hcrun"]
    done = run_hcctl(tmp_path, "render", kind, *catalog, "--output", str(tmp_path / kind))
    assert (done.returncode, done.stderr) == (0, "")
    made, committed = tree(tmp_path / kind), tree(PROJECT / kind)
    assert made == committed, "make docs"


def test_the_lines_of_the_page_are_rendered() -> None:
    page = (PROJECT / "docs/scheduling.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("* * * * *")]
    assert len(lines) == 2
    assert set(lines) < set((PROJECT / "crontab/hcrun").read_text().splitlines())


def tree(directory: Path) -> dict[str, str]:
    """The text of all files under it, by name."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_text(errors="replace") for path in files}


def test_render_prints(tmp_path: Path) -> None:
    catalog = ("--catalog", write(tmp_path, head=CATALOG))
    done = run_hcctl(tmp_path, "render", "crontab", *catalog)
    assert (done.returncode, done.stderr) == (0, "")
    assert problems(done.stdout) == []
    assert state(done.stdout) == "ours"
    assert done.stdout.startswith(f"# Made by hcctl from {tmp_path}/checks.toml; digest ")
    assert f"* * * * *  hcrun  {HCRUN} --timeout 5s --no-start " in done.stdout
    done = run_hcctl(tmp_path, "render", "systemd", *catalog, "--hcrun", "/x/hcrun")
    names = [line for line in done.stdout.splitlines() if line.startswith("# /")]
    assert len(names) == WRITTEN
    assert "# /etc/systemd/system/hcrun-job@backup.service.d/job.conf" in names
    assert "\nExecStart=/x/hcrun --timeout 5s --no-start redis -- probe-redis\n" in done.stdout


def test_render_into_a_directory(tmp_path: Path) -> None:
    units = tmp_path / "units"
    catalog = write(tmp_path, head=CATALOG)

    def render() -> str:
        fixed = ("--catalog", catalog, "--output", str(units))
        done = run_hcctl(tmp_path, "render", "systemd", *fixed)
        return done.stdout + done.stderr

    assert render() == f"{units}: 8 of 8 files changed\n"
    assert render() == f"{units}: 0 of 8 files changed\n"
    (units / "README").write_text("not ours")
    (tmp_path / "checks.toml").write_text(CATALOG.partition("[checks.backup]")[0])
    assert render() == f"{units}: 3 of 6 files changed\n"
    templates = {f"hcrun-{name}@.service" for name in ("failed", "job", "probe")}
    redis = {"hcrun-probe@redis.service.d", "hcrun-probe@redis.timer"}
    assert {path.name for path in units.iterdir()} == templates | redis | {"README", "hcrun.target"}
    (units / "hcrun.target").write_text("mine")
    assert render() == (
        f"hcctl: {units}/hcrun.target: not created by hcctl, or changed since; move your changes to"
        " checks.toml (or systemctl edit) and delete the file; nothing was written\n"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["crontab", "--output", "/dev/null"], 1, "--output: not a directory; name a directory"),
        (["crontab", "--hcrun", "bin/hcrun"], 2, "--hcrun: 'bin/hcrun' is not an absolute path; g"),
        (["systemd", "--hcrun", "/a b/hcrun"], 2, "--hcrun: '/a b/hcrun' is not an absolute path"),
        (["crontab", "--catalog", "/nowhere"], 1, "/nowhere: No such file or directory; create"),
        (["crontab", "--output", "/proc/x"], 1, "/proc/x: No such file or directory"),
        (["crontab", "--tier", "9"], 2, "--tier: '9' is not in the catalogue; it has 1, 2"),
        (["crontab", "--catalog", "{path}"], 1, "{path}: no selected check has a command\n"),
    ],
)
def test_bad_renderings(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    path = write(tmp_path, "app")
    done = run_hcctl(tmp_path, "render", *(word.format(path=path) for word in arguments))
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"hcctl: {message.format(path=path)}")


# install


def test_install_a_crontab_and_take_it_away(image: Image) -> None:
    before = image.files()
    output = image.installed("crontab")
    text = image.crontab.read_text()
    assert image.crontab.stat().st_mode & 0o777 == 0o644
    assert problems(text) == []
    lines = output.splitlines()
    assert lines[:2] == ["--- /dev/null", f"+++ {image.crontab}"]
    assert [line[1:] for line in lines[3:-1]] == text.splitlines()
    assert lines[-1] == f"{image.crontab.parent}: 1 written, 0 deleted"
    assert image.installed("crontab") == f"{image.crontab.parent}: no changes\n"
    assert image.installed("crontab", "--uninstall") == (
        f"delete {image.crontab}\n{image.crontab.parent}: 0 written, 1 deleted\n"
    )
    assert image.files() == before
    assert image.installed("crontab", "--uninstall") == (f"{image.crontab.parent}: no changes\n")


def test_install_units_and_take_them_away(image: Image) -> None:
    before = image.files()
    output = image.installed("systemd")
    assert output.endswith(
        f"{image.units}: 8 written, 0 deleted\n"
        "systemd is not running here. On the host, run:\n"
        "  systemctl daemon-reload\n"
        "  systemctl enable hcrun.target\n"
        "  systemctl restart hcrun.target\n"
    )
    assert len(image.files()) == len(before) + WRITTEN
    own = image.units / "hcrun-probe@redis.service.d/override.conf"
    own.write_text("[Service]\nNice=5\n")
    (image.tmp_path / "checks.toml").write_text(CATALOG.replace("backup", "dump"))
    output = image.installed("systemd")
    assert f"delete {image.units}/hcrun-job@backup.timer\n" in output
    assert f"delete {image.units}/hcrun-job@backup.service.d/job.conf\n" in output
    assert f"{image.units}: 3 written, 2 deleted\n" in output
    assert "  systemctl stop hcrun-job@backup.timer\n" in output
    assert not (image.units / "hcrun-job@backup.service.d").exists()
    output = image.installed("systemd", "--uninstall")
    assert f"{image.units}: 0 written, 8 deleted\n" in output
    assert output.endswith("  systemctl disable --now hcrun.target\n  systemctl daemon-reload\n")
    assert image.files() == before | {str(own.relative_to(image.root)): own.read_text()}


def test_users_may_look_into_what_a_careful_root_installed(image: Image) -> None:
    """`systemctl cat` does."""
    old = os.umask(0o077)
    try:
        image.installed("systemd")
    finally:
        os.umask(old)
    made = [image.units, *image.units.rglob("*")]
    assert {stat.filemode(path.lstat().st_mode) for path in made} == {"drwxr-xr-x", "-rw-r--r--"}


def test_the_difference_is_shown_first(image: Image) -> None:
    image.installed("crontab")
    before = image.crontab.read_text()
    (image.tmp_path / "checks.toml").write_text(CATALOG.replace("30 1", "40 1"))
    done = image.install("crontab")
    assert done.returncode == 2
    assert done.stderr == "hcctl: not a terminal: add --yes to write without asking\n"
    changed = [line for line in done.stdout.splitlines() if line.startswith(("-3", "+4"))]
    assert [line[:6] for line in changed] == ["-30 1 ", "+40 1 "]
    assert image.crontab.read_text() == before


@pytest.mark.parametrize("answer", ["y", "n"])
def test_it_asks_at_a_terminal(image: Image, answer: str) -> None:
    """Meanwhile no other hcctl writes there."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(HCCTL, [HCCTL, *image.argv("crontab")], environment(image.tmp_path))  # noqa: S606 - as it is
    shown = b""
    while b"Change 1 file? [y/N]:" not in shown:
        shown += os.read(terminal, 65536)
    assert not image.crontab.exists()
    assert b"\x1b[32m+* * * * *  hcrun " in shown
    assert image.refused("crontab", "--yes") == (
        f"hcctl: {image.crontab.parent}: another hcctl is writing here; try again when it is done\n"
    )
    os.write(terminal, f"{answer}\n".encode())
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == (0 if answer == "y" else 1)
    assert image.crontab.exists() == (answer == "y")


def test_what_was_changed_by_hand_is_kept(image: Image) -> None:
    image.installed("systemd")
    changed = image.units / "hcrun-probe@redis.timer"
    changed.write_text(changed.read_text().replace("0/30", "0/15"))
    before = image.files()
    (image.tmp_path / "checks.toml").write_text(CATALOG.replace('"30s"', '"20s"'))
    output = image.refused("systemd", "--yes")
    assert output == (
        f"hcctl: {changed}: not created by hcctl, or changed since; move your changes to"
        " checks.toml (or systemctl edit) and delete the file; nothing was written\n"
    )
    assert image.files() == before
    output = image.refused("systemd", "--yes", "--uninstall")
    assert output.startswith(f"hcctl: {changed}: changed by hand and not deleted; ")
    assert [path.name for path in image.units.iterdir()] == [changed.name]


def test_a_file_of_others_is_kept(image: Image) -> None:
    image.crontab.parent.mkdir()
    image.crontab.write_text("* * * * * root true\n")
    assert image.refused("crontab", "--yes").startswith(f"hcctl: {image.crontab}: not created by")
    assert image.installed("crontab", "--uninstall") == (f"{image.crontab.parent}: no changes\n")
    assert image.crontab.read_text() == "* * * * * root true\n"


def test_a_full_disk(image: Image) -> None:
    """What is there is whole; the next try does the rest."""
    image.units.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(image.units)]
    if run_program(image.tmp_path, *mount).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        output = image.refused("systemd", "--yes")
        assert output.startswith(f"hcctl: {image.units}/hcrun-")
        assert output.endswith("cannot be written: No space left on device\n")
        written = [path for path in image.units.rglob("*") if path.is_file()]
        assert all(state(path.read_text()) == "ours" for path in written)
        assert 0 < len(written) < WRITTEN
        subprocess.run(["mount", "-o", "remount,size=1m", str(image.units)], check=True)
        image.installed("systemd")
        assert len([path for path in image.units.rglob("*") if path.is_file()]) == WRITTEN
    finally:
        subprocess.run(["umount", str(image.units)], check=True)


def test_without_permission(image: Image) -> None:
    image.crontab.parent.mkdir()
    image.crontab.parent.chmod(0o555)
    weak = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []
    assert image.refused_within(*weak) == (
        f"hcctl: {image.crontab}: cannot be written: Permission denied; run it as root (sudo)\n"
    )
    assert not list(image.crontab.parent.iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_a_disk_that_may_not_be_written(image: Image) -> None:
    """sudo is no help then."""
    image.crontab.parent.mkdir()
    mount = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
    message = image.refused_within("unshare", "-m", "sh", "-c", mount, str(image.crontab.parent))
    assert message == f"hcctl: {image.crontab}: cannot be written: Read-only file system\n"


# what the host must have


def test_a_user_that_is_not_there(image: Image) -> None:
    """Said only: the image may get it later. On this host it is refused."""
    (image.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    done = image.install("crontab", "--yes")
    why = (
        "/etc/passwd: there is no user hcrun; change the catalogue, or create the user: useradd"
        " --system --create-home --home-dir /var/lib/hcrun-hcrun --shell /usr/sbin/nologin hcrun\n"
    )
    assert (done.returncode, done.stderr) == (0, f"hcctl: {image.root}{why}")
    (image.tmp_path / "checks.toml").write_text(CATALOG.replace('"root"', '"no-such-user"'))
    catalog = ("--catalog", str(image.tmp_path / "checks.toml"), "--hcrun", "/bin/true")
    here = run_hcctl(image.tmp_path, "install", "crontab", *catalog, "--yes")
    assert here.returncode == 1
    assert "no-such-user" in here.stderr.partition("there is no user ")[2]
    assert not Path("/etc/cron.d/hcrun").exists()


@pytest.mark.parametrize(
    ("zone", "link", "good"),
    [
        ("UTC", "", True),
        ("UTC", "/usr/share/zoneinfo/Etc/UTC", True),
        ("Europe/Kyiv", "../usr/share/zoneinfo/Europe/Kiev", True),
        ("UTC", "/usr/share/zoneinfo/Europe/London", False),
    ],
)
def test_the_time_zone_of_cron(image: Image, zone: str, link: str, good: bool) -> None:
    text = CATALOG.replace('"UTC"', f'"{zone}"')
    (image.tmp_path / "checks.toml").write_text(text)
    if link:
        (image.root / "etc/localtime").symlink_to(link)
    done = image.install("crontab", "--yes")
    assert done.returncode == (0 if good else 1)
    assert good or done.stderr == (
        f"hcctl: {image.root}/etc/localtime: cron uses this host's time zone, Europe/London, but"
        " the checks are in UTC; timedatectl set-timezone UTC && systemctl restart cron; or change"
        " zone in the catalogue; or use systemd\n"
    )


def test_what_is_missing_or_too_much(image: Image) -> None:
    (image.root / "usr/sbin/cron").unlink()
    (image.root / "usr/bin/curl").unlink()
    (image.root / "opt/hcrun").chmod(0o700)
    closed = (
        f"only its owner can enter {image.root}/opt/hcrun: hcrun cannot run /opt/hcrun/bin/hcrun"
    )
    uninstall = "hcctl install crontab --uninstall"
    curl = "there is no /usr/bin/curl, so hcrun-failed@.service cannot report: apt-get install curl"
    assert image.install("crontab", "--yes").stderr.splitlines() == [
        f"hcctl: {closed}",
        "hcctl: there is no /usr/sbin/cron, so nothing will run: apt-get install cron",
    ]
    assert image.install("systemd", "--yes").stderr.splitlines() == [
        f"hcctl: {closed}",
        f"hcctl: {curl}",
        f"hcctl: crontab is installed, too, so each check runs twice: {uninstall}",
    ]


@pytest.mark.parametrize("place", ["/root/venv", "/home/x/venv", "/tmp/venv"])
def test_the_sandbox_would_hide_hcrun(image: Image, place: str) -> None:
    program = image.root / place.lstrip("/") / "bin/hcrun"
    program.parent.mkdir(parents=True)
    shutil.copy("/bin/true", program)
    assert image.refused("systemd", "--yes", "--hcrun", f"{place}/bin/hcrun") == (
        f"hcctl: {place}/bin/hcrun: probes cannot run it, because their sandbox hides"
        f" /{place.split('/')[1]}; install hcrun elsewhere: python3 -m venv /opt/hcrun\n"
    )
    assert image.install("crontab", "--yes", "--hcrun", f"{place}/bin/hcrun").returncode == 0


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--root", "/nowhere"], 2, "--root: '/nowhere' is not a directory"),
        (["--hcrun", "/nowhere"], 1, "{root}/nowhere: not an executable program; install hcrun"),
        (["--hcrun", "/etc"], 1, "{root}/etc: not an executable program; install hcrun"),
    ],
)
def test_bad_installations(image: Image, more: list[str], status: int, message: str) -> None:
    done = image.install("crontab", *more)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"hcctl: {message.format(root=image.root)}")
