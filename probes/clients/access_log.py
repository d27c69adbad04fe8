"""The requests in an access log: how many there are, how many failed, and how long they took."""

import re
from array import array

from probes.clients.log_lines import Lines, flat, members
from probes.clients.tenants import OTHERS

# The common and the combined format; a server writes a quotation mark in a request as \" or \x22.
_COMMON = re.compile(r'^[^"]*"((?:[^"\\]|\\.)*)" ([1-5]\d\d)(?!\S)(.*)')
_METHOD = re.compile(r"[A-Z]+ \S")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
# What servers add to it: `0.120` (nginx, in seconds), `5ms` (Traefik), `rt=0.120`.
_ADDED = re.compile(
    r"(?<!\S)(?:(?:rt|request_time|duration)=(\d+(?:\.\d+)?(?:ns|us|µs|ms|s)?)"
    r"|(\d+\.\d+|\d+(?:\.\d+)?(?:ns|us|µs|ms|s)))(?!\S)"
)
_VALUE = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?) ?(ns|us|µs|ms|s)?")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
# Names of members, and the unit of a duration without one.
_STATUS = "status status_code response.status response.status_code res.statusCode DownstreamStatus"
_DURATION = dict.fromkeys(("request_time", "response_time", "duration", "elapsed", "latency"), "s")
_DURATION |= {f"{name}_ms": "ms" for name in _DURATION}
_DURATION |= {"responseTime": "ms", "Duration": "ns", "event.duration": "ns"}
# Groups of a pattern: how a duration in them is written.
GROUPS = {"seconds": "s", "milliseconds": "ms", "microseconds": "us"}

_TENANTS, _NAME = 1000, 80  # of those that are told apart, and characters of a name


class Tenant:
    """The requests of one tenant."""

    def __init__(self) -> None:
        self.requests = self.errors = 0
        self.seconds = array("d")


class Requests(Lines):
    """Counts the requests of an access log."""

    noun = "request"

    def __init__(self, pattern: re.Pattern[str] | None = None) -> None:
        """The groups of a pattern are `status`, one of GROUPS, and perhaps `tenant`."""
        super().__init__()
        self._pattern = pattern
        self.failed = 0  # with a status from 500 on
        self.seconds = array("d")  # of those requests that have them
        self.tenants: dict[str, Tenant] = {}

    def _count(self, line: str, times: int) -> None:
        tenant = ""
        if self._pattern:
            status, duration, tenant = self._matched(self._pattern, line)
        elif found := _COMMON.match(line):
            status, duration = found[2], ""
            # Without a method, it was no request that the application has seen.
            if _METHOD.match(found[1]) and (added := _ADDED.search(_QUOTED.sub("", found[3]))):
                duration = added[1] or added[2]
        else:
            status, duration = _in_object(line)
        if not re.fullmatch(r"[1-5]\d\d", status):
            return
        self.found += times
        failed = times if status[0] == "5" else 0
        self.failed += failed
        seconds = None
        if read := _VALUE.fullmatch(duration):
            seconds = float(read[1]) * _UNITS[read[2] or "s"]
            self.seconds.append(seconds)
        if tenant:
            name = tenant[:_NAME] if len(self.tenants) < _TENANTS else OTHERS
            name = tenant[:_NAME] if tenant[:_NAME] in self.tenants else name
            own = self.tenants.setdefault(name, Tenant())
            own.requests += times
            own.errors += failed
            if seconds is not None:
                own.seconds.append(seconds)

    def _matched(self, pattern: re.Pattern[str], line: str) -> tuple[str, str, str]:
        found = pattern.search(line) or pattern.search(flat(line))
        if not found:
            return "", "", ""
        groups = {name: value for name, value in found.groupdict().items() if value}
        durations = [groups[name] + unit for name, unit in GROUPS.items() if name in groups]
        return groups.get("status", ""), "".join(durations[:1]), groups.get("tenant", "")


def _in_object(line: str) -> tuple[str, str]:
    """The status and the duration in a JSON object; "" for none."""
    found = dict(members(line))
    status = next((found[name] for name in _STATUS.split() if name in found), "")
    name = next((name for name in _DURATION if name in found), "")
    duration = found.get(name, "")
    if duration[-1:].isdigit():
        duration += _DURATION[name]
    return status, duration
