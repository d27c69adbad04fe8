#!/usr/bin/env python3
"""Failed log-ins and similar: how many lines of a log match per minute since the last run?

The log is a file with its rotated files, a unit in systemd's journal, or the output of a container.

The defaults, and why:
- pattern: messages of sshd, PAM and web backends about failed log-ins.
- rate 10, 100 per minute: more than users who mistype their password, and a dictionary attack.
The rate covers at least a minute, else one line in one second would be a rate of 60: runs that are
closer together count from the same position. The time between runs is the kernel's uptime, so
setting the clock does not change it. The first run only stores the position in the log. If it
cannot be stored, the probe is UNKNOWN, because every run would be the first. The probe never shows
lines, which may contain personal data.
"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import re
import time
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import click

from hcrun.text import counted
from hcrun.units import span, volume
from probes.clients.log_command import Container, Journal
from probes.clients.log_file import Log, LogFile, Mark
from probes.framework import state
from probes.framework.options import Threshold, option
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, show, state_reading

KINDS: dict[str, Callable[[str], Log]] = {"file": LogFile, "unit": Journal, "container": Container}
SHORTEST = 60.0  # seconds that a rate covers
PATTERN = (
    r"(?i)failed (password|log-?in)|log-?in failed|authentication fail(ed|ure)"
    r"|invalid (user|password|credentials)"
)


class Moment(NamedTuple):
    """The time of a mark: seconds since the epoch, seconds since the boot, and the boot's id."""

    epoch: float
    uptime: float
    boot: str

    @classmethod
    def now(cls) -> Self:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
        except OSError:
            boot = ""
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)

    def until(self, later: "Moment") -> float:
        """The seconds until `later`; negative if the clock was set back before a reboot."""
        if self.boot == later.boot:
            return later.uptime - self.uptime
        return later.epoch - self.epoch


class Tally:
    """Counts the lines that match."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._search = pattern.search
        self.matches = 0
        self.size = 0  # bytes read

    def take(self, block: bytes) -> None:
        text = block.decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")
        self.matches += sum(1 for line in text.split("\n") if self._search(line))
        self.size += len(block)


def check_log(context: Context) -> None:
    kinds = [kind for kind in KINDS if context.options[kind]]
    if len(kinds) != 1:
        raise UnknownError("need one log", hint="set one of --file, --unit, --container")
    kind, name = kinds[0], context.options[kinds[0]]
    context.at(name if kind == "file" else f"{kind} {name}")
    pattern = context.options["pattern"]
    # Each pattern has its own mark, because it has read its own part of the log.
    identity = zlib.crc32(f"{context.verdict.target}\n{pattern.pattern}".encode())
    path = state.path_of(context.source.settings, "log-rate", f"{name[-50:]}-{identity:08x}")
    log, now, tally, is_cut = KINDS[kind](name), Moment.now(), Tally(pattern), False
    last, log.mark = _marked(kind, path)
    try:
        log.read(tally.take, context.deadline.left)
    except TimeoutError:
        if not tally.size:
            raise
        is_cut = True
    passed = None if last is None else last.until(now)
    if passed is None or not 0 <= passed < SHORTEST or is_cut:
        try:
            state.save(path, {"at": now, "mark": log.mark})
        except OSError as error:
            text = f"cannot store the position: {path}: {error.strerror}"
            context.add(state_reading("state", Status.UNKNOWN, text, "set STATE_DIRECTORY"))
    context.add(evaluate(tally.matches, passed, context.verdict.target, context.ranges))
    if log.has_gap:
        context.add(state_reading("gap", Status.OK, "lines of a deleted file are not counted"))
    if is_cut:
        text = f"only {volume(tally.size)} read in time"
        hint = "raise --timeout; the next run continues"
        context.add(state_reading("rest", Status.UNKNOWN, text, hint))


def _marked(kind: str, path: str) -> tuple[Moment | None, Any]:
    """The time of the last mark, and the mark; None if there is none, or it is invalid."""
    try:
        saved = state.load(path)
        epoch, uptime, boot = saved["at"]
        mark = Mark(*map(int, saved["mark"])) if kind == "file" else str(saved["mark"])
        if isinstance(mark, Mark) and not 0 <= mark.length <= mark.offset:
            raise ValueError
        return Moment(float(epoch), float(uptime), str(boot)), mark
    except OSError as error:
        raise UnknownError(f"{path}: {error.strerror}", hint="check STATE_DIRECTORY") from None
    except (TypeError, ValueError, KeyError):
        return None, None


def evaluate(matches: int, passed: float | None, target: str, ranges: Ranges) -> Reading:
    """Returns a reading on lines that matched in `passed` seconds; None means the first run."""
    if passed is None:
        text = f"first run on {target}, lines are counted from now on"
        return state_reading("rate", Status.OK, text)
    if passed < 0:
        text = f"{counted(matches, 'line')} match, no rate because the clock was set back"
        return state_reading("rate", Status.OK, text)
    rate = matches * 60 / max(passed, SHORTEST)
    text = f"{counted(matches, 'matching line')} in {target} in {span(passed)}"
    text += f", {show(rate, '')} per minute"
    return Reading("rate", rate, "", text, *ranges["rate"], minimum=0)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise click.BadParameter(f"invalid regular expression {text!r}: {error}") from None


PROBE = Probe(
    "log-rate",
    """Check how many lines of a log match per minute since the last run.

    The log is a file with its rotated files, a unit of the journal, or a docker container. The
    first run only stores the position, in $STATE_DIRECTORY or beside hcrun's journal.

    \b
    Examples:
      probe-log-rate --file /var/log/auth.log
      probe-log-rate --unit api --pattern 'status=5..' --rate-warning 30
    """,
    check_log,
    options=[
        option("--file", "PROBE_LOG_RATE_FILE", "Log file.", metavar="PATH"),
        option("--unit", "PROBE_LOG_RATE_UNIT", "Unit, read with journalctl.", metavar="UNIT"),
        option("--container", "PROBE_LOG_RATE_CONTAINER", "Docker container.", metavar="NAME"),
        option(
            "--pattern",
            "PROBE_LOG_RATE_PATTERN",
            "Regular expression (Python) for lines.",
            type=_pattern,
            metavar="REGEX",
            default=PATTERN,
        ),
    ],
    thresholds=[Threshold("rate", "", "10", "100", "matching lines per minute")],
)

if __name__ == "__main__":
    PROBE.run()
