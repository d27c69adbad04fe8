"""The host that files are installed on, or the directory tree of one: can it run them?"""

import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from hcrun.catalog import Check
from hcrun.catalog.timezones import cron_zone, same_zone
from hcrun.errors import HcrunError, UsageError
from hcrun.schedulers import users
from hcrun.schedulers.invocation import runnable, user
from hcrun.settings import refused

_OLDEST_SYSTEMD = 251  # MONITOR_EXIT_STATUS= for hcrun-failed@, %d for the credentials
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not to write there


class Host:
    """The files below `root`. Its methods raise HcrunError for what cannot work."""

    def __init__(self, root: str) -> None:
        """Raises UsageError."""
        if not os.path.isdir(root):
            raise UsageError(f"{root!r} is not a directory", where="--root")
        self.root = os.path.abspath(root)
        self.is_this = os.path.samefile(root, "/")

    def path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    @property
    def systemd_runs(self) -> bool:
        return self.is_this and os.path.isdir("/run/systemd/system")

    def check_hcrun(self, path: str) -> None:
        if not os.access(self.path(path), os.X_OK) or os.path.isdir(self.path(path)):
            hint = "install hcrun there, or give --hcrun PATH"
            raise HcrunError("not an executable program", where=self.path(path), hint=hint)

    def check_systemd(self) -> None:
        """Checks that systemd knows what the units use."""
        if not self.systemd_runs:
            return
        command = ["systemctl", "--version"]
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        version = re.match(r"systemd (\d+)", output)
        if version and int(version[1]) < _OLDEST_SYSTEMD:
            what = f"systemd {version[1]} is too old for these units, which need {_OLDEST_SYSTEMD}"
            raise HcrunError(what, hint="use hcctl install crontab")

    def check_sandbox(self, hcrun: str) -> None:
        """Checks that the units of probes (ProtectHome=, PrivateTmp=) do not hide hcrun."""
        interpreter = os.path.join(os.path.dirname(hcrun), "python")
        for path in (hcrun, interpreter):
            real = os.path.realpath(path) if self.is_this else path
            hidden = [place for place in _HIDDEN if real.startswith(f"{place}/")]
            if hidden:
                raise HcrunError(
                    f"probes cannot run it, because their sandbox hides {hidden[0]}",
                    where=real,
                    hint="install hcrun elsewhere: python3 -m venv /opt/hcrun",
                )

    def check_zone(self, wanted: str) -> None:
        """Checks that cron has the time zone of the checks."""
        zone = cron_zone(self.root)
        if wanted and zone and not same_zone(wanted, zone):
            raise HcrunError(
                f"cron uses this host's time zone, {zone}, but the checks are in {wanted}",
                where=self.path("/etc/localtime"),
                hint=f"timedatectl set-timezone {wanted} && systemctl restart cron; or change"
                " zone in the catalogue; or use systemd",
            )

    def check_users(self, checks: Iterable[Check], hcrun: str) -> Iterator[str]:
        """Yields warnings. An unknown user is an error here, as cron ignores the whole file."""
        names = sorted({user(check) for check in runnable(checks)})
        unknown = [name for name in names if users.find(name, self.root) is None]
        if unknown:
            problem = HcrunError(
                f"there is no user {', '.join(unknown)}",
                where=self.path("/etc/passwd"),
                hint="change the catalogue, or create the user: useradd --system --create-home"
                f" --home-dir /var/lib/hcrun-{unknown[0]} --shell /usr/sbin/nologin {unknown[0]}",
            )
            if self.is_this:
                raise problem
            yield str(problem)
        if "root" in names and self.is_this and refused(os.path.realpath(hcrun)):
            elsewhere = "install hcrun elsewhere: python3 -m venv /opt/hcrun"
            yield f"others can change {hcrun}, which root's jobs run: {elsewhere}"
        others = [name for name in names if name != "root"]
        closed = self._closed(hcrun) if others else ""
        if closed:
            yield f"only its owner can enter {closed}: {', '.join(others)} cannot run {hcrun}"

    def _closed(self, hcrun: str) -> str:
        """Returns the first directory above hcrun that only its owner and group may enter."""
        real = os.path.realpath(hcrun) if self.is_this else hcrun
        paths = [self.path(str(directory)) for directory in reversed(Path(real).parents)]
        return next((path for path in paths if not os.stat(path).st_mode & stat.S_IXOTH), "")
