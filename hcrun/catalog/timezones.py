"""The time zone of this host, and time zones with several names.

Servers replace old names, such as Europe/Kiev by Europe/Kyiv.
"""

import os
import time
from datetime import UTC, datetime
from functools import cache
from zoneinfo import TZPATH, ZoneInfo

from hcrun.files import text_of
from hcrun.settings import parse_env_file

_AHEAD = 3 * 366 * 24  # hours
_OF_A_HOST = {"Factory", "localtime", "posixrules"}  # no zones, or not the same on all hosts


def time_zone(name: str) -> ZoneInfo:
    """Raises ValueError if there is no zone with this name that is the same on all hosts."""
    try:
        if name not in _OF_A_HOST and not name.startswith(("posix/", "right/")):
            return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a path, a directory, no file
        pass
    raise ValueError(f'"{name}" is not a time zone; write it like Europe/Riga or UTC')


def host_zone(root: str = "/") -> str:
    """Returns the IANA name of the host's time zone, "" if it is not known."""
    try:
        link = os.readlink(os.path.join(root, "etc/localtime"))
    except OSError:
        link = ""
    name = link.partition("/zoneinfo/")[2] or text_of(os.path.join(root, "etc/timezone")).strip()
    return "UTC" if name == "Etc/UTC" else name


def cron_zone(root: str = "/") -> str:
    """Returns the time zone of Debian's cron: TZ in its defaults, else that of the host."""
    defaults, _ = parse_env_file(text_of(os.path.join(root, "etc/default/cron")), "")
    return defaults.get("TZ", "").removeprefix(":") or host_zone(root)


def same_zone(one: str, other: str) -> bool:
    """Returns whether both names mean the same zone, so that all schedules are the same there.

    They name the same file, or one is a name without a place (CET, EST5EDT) and the clocks will be
    the same in the next years.
    """
    if one == other or _file(one) == _file(other):
        return True
    return ("/" not in one or "/" not in other) and _clocks(one) == _clocks(other)


@cache
def _file(name: str) -> bytes:
    try:
        time_zone(name)
        for directory in TZPATH:
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    return file.read()
    except (ValueError, OSError):
        pass
    return name.encode("utf-8", "replace")


@cache
def _clocks(name: str) -> object:
    """Returns the offsets from UTC in the hours of the next years, or the name if it is unknown."""
    try:
        zone = time_zone(name)
    except ValueError:
        return name
    now = int(time.time()) // 3600
    hours = (datetime.fromtimestamp(hour * 3600, UTC) for hour in range(now, now + _AHEAD))
    return [hour.astimezone(zone).utcoffset() for hour in hours]
