#!/usr/bin/env python3
"""Failed log-ins and the like: how many lines of a log match, a minute, since the last run?

The log is a file with its rotated ones, a unit in systemd's journal, or a container's output.

The defaults, and why:
- pattern: what sshd, PAM and web backends say when somebody is not let in.
- rate 10, 100 a minute: more than people who mistype their passwords, and somebody's dictionary.
The rate is taken over a minute at least, or one line a second after the last run would be 60: runs
that are closer together count from the same mark. The time between them is the one that the kernel
counts, which setting the clock does not change. The first run only sets the mark, and when there is
no room for it the probe is UNKNOWN, as it would be the first run each time. Lines are counted, and
never shown: they are full of names.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import re
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import click

from hcrun.units import span, volume
from probes.clients.log_command import Container, Journal
from probes.clients.log_file import Log, LogFile, Mark
from probes.framework import state
from probes.framework.options import Threshold, option
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, count, show, state_reading

KINDS: dict[str, Callable[[str], Log]] = {"file": LogFile, "unit": Journal, "container": Container}
LEAST = 60.0  # seconds that a rate is taken over
PATTERN = (
    r"(?i)failed (password|log-?in)|log-?in failed|authentication fail(ed|ure)"
    r"|invalid (user|password|credentials)"
)


class Moment(NamedTuple):
    """When a mark was set: seconds since the epoch; since the boot; which boot."""

    epoch: float
    uptime: float
    boot: str

    @classmethod
    def now(cls) -> Moment:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
        except OSError:
            boot = ""
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)

    def until(self, later: Moment) -> float:
        """Seconds; negative if the clock was set back before a reboot."""
        if self.boot == later.boot:
            return later.uptime - self.uptime
        return later.epoch - self.epoch


class Tally:
    """Counts the lines that match."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._search = pattern.search
        self.matches = 0
        self.size = 0  # bytes looked at

    def take(self, block: bytes) -> None:
        text = block.decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")
        self.matches += sum(1 for line in text.split("\n") if self._search(line))
        self.size += len(block)


def check_log(context: Context) -> None:
    given = [(kind, context.options[kind]) for kind in KINDS if context.options[kind]]
    if len(given) != 1:
        raise UnknownError("one log, please", hint="give --file, --unit or --container")
    ((kind, name),) = given
    context.at(name if kind == "file" else f"{kind} {name}")
    pattern = context.options["pattern"]
    # Each pattern has its own mark: it has not seen what another one has.
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
    if passed is None or not 0 <= passed < LEAST or is_cut:
        try:
            state.save(path, {"at": now, "mark": log.mark})
        except OSError as error:
            text = f"no mark can be kept: {path}: {error.strerror}"
            context.add(state_reading("state", Status.UNKNOWN, text, "set STATE_DIRECTORY"))
    context.add(evaluate(tally.matches, passed, context.verdict.target, context.ranges))
    if log.has_gap:
        context.add(state_reading("gap", Status.OK, "some of it is gone with a rotated file"))
    if is_cut:
        text = f"{volume(tally.size)} looked at when the time was up"
        context.add(
            state_reading("rest", Status.UNKNOWN, text, "raise --timeout; the next run goes on")
        )


def _marked(kind: str, path: str) -> tuple[Moment | None, Any]:
    """When the last mark was set, and the mark; None for none, or nonsense."""
    try:
        saved = state.load(path)
        epoch, uptime, boot = saved["at"]
        mark = Mark(*map(int, saved["mark"])) if kind == "file" else str(saved["mark"])
        if isinstance(mark, Mark) and not 0 <= mark.length <= mark.offset:
            raise ValueError
        return Moment(float(epoch), float(uptime), str(boot)), mark
    except OSError as error:
        raise UnknownError(f"{path}: {error.strerror}", hint="look at STATE_DIRECTORY") from None
    except (TypeError, ValueError, KeyError):
        return None, None


def evaluate(matches: int, passed: float | None, target: str, ranges: Ranges) -> Reading:
    """The lines that matched in `passed` seconds; None: the first run."""
    if passed is None:
        text = f"{target} is looked at for the first time, lines count from now on"
        return state_reading("rate", Status.OK, text)
    if passed < 0:
        text = f"{count(matches, 'line')} match, nobody knows since when: the clock was set back"
        return state_reading("rate", Status.OK, text)
    rate = matches * 60 / max(passed, LEAST)
    verb = "matches" if matches == 1 else "match"
    text = f"{count(matches, 'line')} of {target} {verb} in {span(passed)}"
    text += f", {show(rate, '')} a minute"
    return Reading("rate", rate, "", text, *ranges["rate"], minimum=0)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise click.BadParameter(f"{text!r} is no regular expression: {error}") from None


PROBE = Probe(
    "log-rate",
    """Look how many lines of a log match, a minute, since the last run.

    The log is a file (with the files that rotation makes of it), a unit of the journal, or a
    container of docker: one of the three. The first run only sets a mark, which is kept in
    $STATE_DIRECTORY, or where hcrun keeps its journal.

    \b
    Examples:
      probe-log-rate --file /var/log/auth.log
      probe-log-rate --unit api --pattern 'status=5..' --rate-warning 30
    """,
    check_log,
    options=[
        option("--file", "PROBE_LOG_RATE_FILE", "A log file.", metavar="PATH"),
        option("--unit", "PROBE_LOG_RATE_UNIT", "A unit, by journalctl.", metavar="UNIT"),
        option("--container", "PROBE_LOG_RATE_CONTAINER", "By docker logs.", metavar="NAME"),
        option(
            "--pattern",
            "PROBE_LOG_RATE_PATTERN",
            "What a line matches: a regular expression of Python.",
            type=_pattern,
            metavar="REGEX",
            default=PATTERN,
        ),
    ],
    thresholds=[Threshold("rate", "", "10", "100", "matching lines a minute")],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
