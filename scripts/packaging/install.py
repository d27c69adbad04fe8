"""`make install` and `make uninstall`: hcrun for all users of a host, in /opt/hcrun.

Each change is printed, and recorded in /opt/hcrun/installed. `make uninstall` removes what is
recorded there, and nothing that has been written since: settings, catalogue and journals stay.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).parent
OPT = Path("/opt/hcrun")
RECORD = OPT / "installed"
LOCAL = Path("/usr/local")
USER = "hcrun"
HOME = Path("/var/lib/hcrun-hcrun")
# What systemd-tmpfiles creates, in its order.
DATA = [Path("/etc/hcrun"), Path("/etc/hcrun/hcrun.env"), Path("/var/lib/hcrun"), HOME]
CONFIGURATION = {
    name: LOCAL / "lib" / f"{name}.d" / "hcrun.conf" for name in ("sysusers", "tmpfiles")
}
OWN_FILES = [*CONFIGURATION.values(), *DATA]  # all others are links
# Installed by hcctl, they would fail at each start.
JOBS = {"crontab": Path("/etc/cron.d/hcrun"), "systemd": Path("/etc/systemd/system/hcrun.target")}


def stop(reason: str, then: str) -> NoReturn:
    sys.exit(f"make: {reason}; {then}")


def say(word: str, path: object, more: str = "") -> None:
    print(f"{word:9} {path}{more}", flush=True)


def install() -> None:
    check_host()
    check_python(Path(sys.executable))
    old = recorded()
    if OPT.exists() and not old:
        owner = subprocess.run(["dpkg", "-S", OPT], capture_output=True, check=False)
        if owner.returncode == 0:
            stop(f"{OPT} belongs to the package hcrun", "remove it first: apt remove hcrun")
        stop(f"{OPT} was not made by make install", f"move it away first: mv {OPT} {OPT}.old")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix=".hcrun-", dir=OPT.parent) as root:
        stage(root)
        staged = Path(root) / "opt/hcrun"
        links = wanted_links(staged)
        for link in links:
            if os.path.lexists(link) and str(link) not in old:
                stop(
                    f"{link} exists and is not of make install",
                    f"move it away first: mv {link} /root",
                )
        replace(staged, Path(root) / "old", old)
    done = [*old] or [str(OPT)]

    def made(path: object) -> None:
        say("created", path)
        done.append(str(path))
        record(done)

    record(done)
    for link in sorted(path for path in map(Path, old) if path.is_symlink() and path not in links):
        link.unlink()
        say("removed", link)
        done.remove(str(link))
    for link, target in links.items():
        if not os.path.lexists(link):
            create_parents(link, made)
            link.symlink_to(target)
            made(link)
    for name, path in CONFIGURATION.items():
        create_parents(path, made)
        text = (HERE / f"{name}.conf").read_text()
        if not path.exists():
            path.write_text(text)
            made(path)
        elif path.read_text() != text:
            path.write_text(text)
            say("replaced", path)
    is_new = not has_user()
    run("systemd-sysusers", str(CONFIGURATION["sysusers"]))
    if is_new:
        made(f"user {USER}")
    missing = [path for path in DATA if not path.exists()]
    run("systemd-tmpfiles", "--create", str(CONFIGURATION["tmpfiles"]))
    for path in missing:
        made(path)
    print(f"\nSettings go into {DATA[1]}. Then: hcctl doctor. To remove it all: make uninstall")


def uninstall() -> None:
    check_root()
    old = recorded()
    if not old:
        stop(f"there is no {RECORD}", "nothing here was made by make install")
    for kind, path in JOBS.items():
        if path.exists():
            remove = f"{OPT}/bin/hcctl install {kind} --uninstall"
            stop(f"{path} runs hcrun", f"remove it first: {remove}")
    kept: list[Path] = []
    for name in reversed(old):
        path = Path(name)
        if name == f"user {USER}":
            if HOME.exists():
                say("kept", name, f", the owner of {HOME}")
            elif has_user():
                run("userdel", USER)
                say("removed", name)
        elif path == OPT:
            shutil.rmtree(path)
            say("removed", path)
        elif path.is_dir() and not path.is_symlink():
            if any(path.iterdir()):
                inside = ", ".join(sorted(entry.name for entry in path.iterdir()))
                if path in DATA:
                    kept.append(path)
                say("kept", path, f", which has {inside}")
            else:
                path.rmdir()
                say("removed", path)
        elif path in DATA and path.exists() and path.stat().st_size:
            pass  # its directory is kept, and says so
        elif path.is_file() and not path.is_symlink() and path not in OWN_FILES:
            say("kept", path, ", which is not the link that was made")
        elif os.path.lexists(path):
            path.unlink()
            say("removed", path)
    if kept:
        commands = [f"rm -r {' '.join(map(str, kept))}"]
        commands += [f"userdel {USER}"] if HOME in kept else []
        print(f"\nTo delete what you wrote and the journals: {' && '.join(commands)}")


def check_root() -> None:
    if os.geteuid():
        stop("only root can do this", f"run: sudo make {sys.argv[1]}")


def check_host() -> None:
    check_root()
    for program in ("systemd-sysusers", "systemd-tmpfiles"):
        if not shutil.which(program):
            package = program.replace("systemd-", "systemd-standalone-")
            stop(f"there is no {program}", f"install systemd, or {package}")


def check_python(python: Path) -> None:
    """The Python must serve all users, and only root may be able to change it."""
    instead = "choose another one: make install PYTHON=/usr/bin/python3"
    real = python.resolve()
    for path in (real, *real.parents):
        status = path.stat()
        if not status.st_mode & 0o001:
            stop(f"only its owner can enter {path}, and {python} must serve {USER}, too", instead)
        if status.st_uid or status.st_mode & 0o022:
            stop(f"others than root can change {path}, and root's jobs run {python}", instead)


def stage(root: str) -> None:
    if not find_spec("ensurepip"):  # a package of its own in Debian
        run("sh", "scripts/debian.sh", "python3-venv")
    Path(root).chmod(0o755)
    done = subprocess.run(["sh", str(HERE / "stage.sh"), sys.executable, root], check=False)
    if done.returncode:
        stop("hcrun could not be built, see above", "nothing was changed")


def replace(staged: Path, aside: Path, old: list[str]) -> None:
    """Put it into /opt: by renaming, so that a job never finds half of it."""
    (staged / RECORD.name).write_text("".join(f"{entry}\n" for entry in old or [OPT]))
    if OPT.exists():
        OPT.rename(aside)
    staged.rename(OPT)
    say("replaced" if old else "created", OPT)


def wanted_links(staged: Path) -> dict[Path, Path]:
    """Programs, man pages and completion, where shells and man look for them."""
    files = [path for path in (staged / "bin").iterdir() if not path.name.startswith("python")]
    files += [path for path in (staged / "share").rglob("*") if path.is_file()]
    inside = sorted(path.relative_to(staged) for path in files)
    return {LOCAL / path: OPT / path for path in inside}


def create_parents(path: Path, made: Callable[[object], None]) -> None:
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            made(parent)


def recorded() -> list[str]:
    return RECORD.read_text().splitlines() if RECORD.exists() else []


def record(done: list[str]) -> None:
    RECORD.write_text("".join(f"{entry}\n" for entry in done))


def has_user() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def run(*argv: str) -> None:
    done = subprocess.run(argv, check=False)
    if done.returncode:
        stop(f"{argv[0]} failed", "see above, then run it again")


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - any Python may run this
        stop(f"{sys.executable} is older than 3.11", "choose another: make install PYTHON=...")
    os.umask(0o022)
    os.chdir(HERE.parents[1])
    try:
        {"install": install, "uninstall": uninstall}[sys.argv[1]]()
    except KeyboardInterrupt:
        stop("interrupted", "what is listed above was done; run it again")
    except OSError as error:
        stop(str(error), "what is listed above was done; run it again")
