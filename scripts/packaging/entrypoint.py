"""PID 1 of the image: cron with the lines of the catalogue, or the command that is given.

    docker run -d IMAGE                        cron, in the foreground
    docker run --rm IMAGE hcrun CHECK -- ...   one command

Both run jobs as the user hcrun. A job under cron sees nothing of the container's environment, so
it is written to an env file, below the lines of /etc/hcrun/hcrun.env.
"""

import contextlib
import os
import pwd
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from hcrun.catalog import SYSTEM, load
from hcrun.errors import HcrunError
from hcrun.schedulers import crontab
from hcrun.schedulers.invocation import Rendered

USER = "hcrun"
HCRUN = "/opt/hcrun/bin/hcrun"
JOURNAL = "/var/lib/hcrun"
GIVEN = Path("/etc/hcrun/hcrun.env")
SETTINGS = Path("/run/hcrun.env")  # HCRUN_ENV_FILE of the image
LINES = Path("/etc/cron.d/hcrun")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
STOP = 8.0  # seconds, of the ten that `docker stop` waits
MESSAGE = re.compile(r"<(\d+)>(?:\w{3} [ \d]\d [\d:]{8} )?(.*)", re.DOTALL)
LOGINS = {4, 10}  # facilities of syslog: a line for the start and the end of each job


def main(argv: list[str]) -> NoReturn:
    user = pwd.getpwnam(USER)
    if os.geteuid() == 0:
        os.chown(JOURNAL, user.pw_uid, user.pw_gid)  # an empty volume, or one of another image
        write_settings(user.pw_gid)
    elif os.environ.get("HCRUN_ENV_FILE") == str(SETTINGS):  # which is for root and hcrun
        del os.environ["HCRUN_ENV_FILE"]
    if argv:
        become(user)
        try:
            os.execvp(argv[0], argv)  # noqa: S606 - as it is given
        except OSError as error:
            fail(f"{argv[0]}: {error.strerror}")
    if os.geteuid():
        fail("cron needs root, and runs the jobs as hcrun: omit --user")
    rendered = render()
    for note in rendered.notes:
        say(note)
    zone = rendered.zone or os.environ.get("TZ") or "UTC"
    set_zone(zone)
    LINES.write_text(f"HCRUN_ENV_FILE={SETTINGS}\n{rendered.files[crontab.NAME]}")
    LINES.chmod(0o644)
    say(f"cron runs the checks of {SYSTEM}, in {zone}")
    sys.exit(supervise())


def write_settings(group: int) -> None:
    """Write what is set, as the last word on it: the environment overrides the file."""
    given = settings_given()
    lines = given.read_text(errors="surrogateescape").splitlines() if given.exists() else []
    for name, value in os.environ.items():
        escaped = re.sub(r'(["\\$`])', r"\\\1", value)
        lines.append(f'{name}="{escaped}"')
    SETTINGS.touch(mode=0o640)
    SETTINGS.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    os.chown(SETTINGS, 0, group)
    os.environ["HCRUN_ENV_FILE"] = str(SETTINGS)


def settings_given() -> Path:
    path = os.environ.get("HCRUN_ENV_FILE", "")
    return GIVEN if path in ("", str(SETTINGS)) else Path(path)


def become(user: pwd.struct_passwd) -> None:
    """Run as the jobs do, unless `docker run --user` has chosen a user."""
    if os.geteuid() == 0:
        os.initgroups(USER, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        os.environ["HOME"] = user.pw_dir


def render() -> Rendered:
    """Return the lines of the catalogue, each with the jobs' user."""
    if not os.path.exists(SYSTEM):
        fail(f"there is no catalogue: mount one, -v ./checks.toml:{SYSTEM}:ro")
    try:
        catalog = load(SYSTEM)
        checks = tuple(replace(check, user=USER) for check in catalog.checks)
        return crontab.render(replace(catalog, checks=checks), HCRUN)
    except HcrunError as error:
        fail(str(error))


def set_zone(zone: str) -> None:
    """Make it the zone of the container, and so of cron."""
    path = Path("/usr/share/zoneinfo", zone)
    if not path.is_file():
        fail(f"there is no time zone {zone!r} in the image")
    Path("/etc/localtime").unlink(missing_ok=True)
    Path("/etc/localtime").symlink_to(path)
    Path("/etc/timezone").write_text(f"{zone}\n")


def supervise() -> int:
    """Run cron until it ends or the container is stopped; returns the exit status."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    Path("/dev/log").unlink(missing_ok=True)
    log.bind("/dev/log")
    os.chmod("/dev/log", 0o666)  # noqa: S103 - as syslogd has it
    waker, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    cron = os.posix_spawn("/usr/sbin/cron", ["cron", "-f", "-L", "0"], {"PATH": PATH})
    while not stops:
        ready, _, _ = select.select([log, waker], [], [])
        if log in ready:
            show(log.recv(65536))
        if waker in ready:
            os.read(waker, 4096)
        if cron in reaped():
            say("cron has ended")
            return 1
    os.kill(cron, signal.SIGTERM)  # first, so that it starts nothing more
    end = time.monotonic() + STOP
    for pid in running():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while any(running()) and time.monotonic() < end:
        if select.select([log], [], [], 0.05)[0]:
            show(log.recv(65536))
        reaped()
    return 0


def reaped() -> set[int]:
    """Return the children that have ended; those of others that ended become PID 1's."""
    ended = set()
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended


def running() -> Iterator[int]:
    """Yield each hcrun: it passes SIGTERM on, and reports the end of its command."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (path / "stat").read_text()
            if "(hcrun)" in state and ") Z" not in state:
                yield int(path.name)


def show(message: bytes) -> None:
    """Print a message to syslog, of cron or of a job's hcrun."""
    found = MESSAGE.fullmatch(message.decode(errors="replace").rstrip("\0\n"))
    if found and int(found[1]) >> 3 not in LOGINS:
        print(found[2], flush=True)


def say(text: str) -> None:
    print(f"hcrun-entrypoint: {text}", flush=True)


def fail(text: str) -> NoReturn:
    sys.exit(f"hcrun-entrypoint: {text}")


if __name__ == "__main__":
    main(sys.argv[1:])
