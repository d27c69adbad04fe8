"""The host that files are installed on, or the tree that will be one: can it run them?"""

from __future__ import annotations

import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import click

from hcrun.catalog import Check
from hcrun.catalog.timezones import cron_zone, same_zone
from hcrun.errors import HcrunError, UsageError
from hcrun.schedulers.invocation import runnable, user

_OLDEST_SYSTEMD = 251  # MONITOR_EXIT_STATUS= for hcrun-failed@, %d for the credentials
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not to write there


class Host:
    """What is under `root`."""

    def __init__(self, root: str) -> None:
        """Raises UsageError."""
        if not os.path.isdir(root):
            raise UsageError(f"{root!r} is no directory", where="--root")
        self.root = os.path.abspath(root)
        self.is_this = os.path.samefile(root, "/")

    def path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    @property
    def systemd_runs(self) -> bool:
        return self.is_this and os.path.isdir("/run/systemd/system")

    def check_hcrun(self, path: str) -> None:
        """Raises HcrunError."""
        if not os.access(self.path(path), os.X_OK) or os.path.isdir(self.path(path)):
            raise HcrunError(
                "is no program that can be run",
                where=self.path(path),
                hint="install hcrun there, or give --hcrun PATH",
            )

    def check_systemd(self) -> None:
        """Raises HcrunError for a version that does not know what the units say."""
        if not self.systemd_runs:
            return
        said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout
        found = re.match(r"systemd (\d+)", said)
        if found and int(found[1]) < _OLDEST_SYSTEMD:
            raise HcrunError(
                f"systemd {found[1]} is too old for these units, which need {_OLDEST_SYSTEMD}",
                hint="use hcctl install crontab",
            )

    def check_sandbox(self, hcrun: str) -> None:
        """Raises HcrunError when the probes' units (ProtectHome=, PrivateTmp=) hide hcrun."""
        interpreter = os.path.join(os.path.dirname(hcrun), "python")
        for path in (hcrun, interpreter):
            real = os.path.realpath(path) if self.is_this else path
            hidden = [place for place in _HIDDEN if real.startswith(f"{place}/")]
            if hidden:
                raise HcrunError(
                    f"probes would not find it, as their sandbox hides {hidden[0]}",
                    where=real,
                    hint="install hcrun somewhere else: python3 -m venv /opt/hcrun",
                )

    def check_tool(self, path: str, why: str) -> None:
        """Say so when a program of Debian's is missing."""
        if not os.path.exists(self.path(path)):
            name = os.path.basename(path)
            click.echo(f"hcctl: there is no {path}: {why}; apt-get install {name}", err=True)

    def check_users(self, checks: Iterable[Check], hcrun: str) -> None:
        """Raises HcrunError for a user that is not there: cron would ignore the whole file."""
        users = sorted({user(check) for check in runnable(checks)})
        unknown = [name for name in users if not self._knows(name)]
        if unknown:
            problem = HcrunError(
                f"there is no user {', '.join(unknown)}",
                where=self.path("/etc/passwd"),
                hint="change the catalogue, or make it: useradd --system --create-home"
                f" --home-dir /var/lib/hcrun-{unknown[0]} --shell /usr/sbin/nologin {unknown[0]}",
            )
            if self.is_this:
                raise problem
            click.echo(f"hcctl: {problem}", err=True)
        closed = self._closed(hcrun) if users != ["root"] else ""
        if closed:
            others = ", ".join(name for name in users if name != "root")
            click.echo(
                f"hcctl: {closed} is closed to others: {others} may not be able to run {hcrun}",
                err=True,
            )

    def _knows(self, name: str) -> bool:
        if self.is_this:
            try:
                pwd.getpwnam(name)
            except KeyError:
                return False
            return True
        try:
            text = Path(self.path("/etc/passwd")).read_text(errors="replace")
        except OSError:
            return False
        return any(line.startswith(f"{name}:") for line in text.splitlines())

    def _closed(self, hcrun: str) -> str:
        """The first directory on the way to hcrun that only its owner and group may enter."""
        way = os.path.realpath(hcrun) if self.is_this else hcrun
        for directory in reversed(Path(way).parents):
            path = self.path(str(directory))
            if not os.stat(path).st_mode & stat.S_IXOTH:
                return path
        return ""

    def check_zone(self, wanted: str) -> None:
        """Raises HcrunError when cron would run its lines by other clocks than the server's."""
        ours = cron_zone(self.root)
        if wanted and ours and not same_zone(wanted, ours):
            raise HcrunError(
                f"cron runs by this host's time zone, which is {ours}, and the checks are in"
                f" {wanted}",
                where=self.path("/etc/localtime"),
                hint=f"timedatectl set-timezone {wanted} and systemctl restart cron; or change"
                " zone in the catalogue; or use systemd",
            )
