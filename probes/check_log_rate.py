#!/usr/bin/env python3
"""Failed log-ins per minute in a log, lines that match, or errors and p95 of an access log."""

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
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import click

from hcrun.errors import JournalError
from hcrun.reports.statistics import percentile
from hcrun.text import counted
from hcrun.units import span, volume
from probes.clients import tenants
from probes.clients.access_log import GROUPS, Requests, Tenant
from probes.clients.log_command import Container, Journal
from probes.clients.log_file import Log, LogFile, Mark
from probes.clients.log_lines import Attempts, Lines, Matches
from probes.framework import state
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, show, state_reading

KINDS: dict[str, Callable[[str], Log]] = {"file": LogFile, "unit": Journal, "container": Container}
SHORTEST = 60.0  # seconds that a rate covers


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


def check_log(context: Context) -> None:
    kinds = [kind for kind in KINDS if context.options[kind]]
    if len(kinds) != 1:
        raise UnknownError("need one log", hint="set one of --file, --unit, --container")
    kind, name = kinds[0], context.options[kinds[0]]
    context.at(name if kind == "file" else f"{kind} {name}")
    pattern, is_access = context.options["pattern"], context.options["access"]
    tally = _tally(pattern, is_access=is_access)
    # Each purpose has its own mark, because it has read its own part of the log.
    purpose = f"{pattern.pattern if pattern else ''}{' access' if is_access else ''}"
    identity = zlib.crc32(f"{context.verdict.target}\n{purpose}".encode())
    path = state.path_of(context.source.settings, "log-rate", f"{name[-50:]}-{identity:08x}")
    log, now, is_cut = KINDS[kind](name), Moment.now(), False
    if isinstance(log, Journal) and isinstance(tally, Attempts):
        log.output = "short"  # with programs and process ids
    last, log.mark = _marked(kind, path)
    try:
        log.read(tally.take, context.deadline.left)
    except TimeoutError:
        if not tally.size:
            raise
        is_cut = True
    passed = None if last is None else last.until(now)
    is_short = passed is not None and 0 <= passed < SHORTEST and not is_cut
    if not is_short and (problem := state.save(path, {"at": now, "mark": log.mark})):
        context.add(state.unkept(problem, "the position"))
    context.add(*evaluate(tally, passed, context.verdict.target, context.ranges))
    if log.has_gap:
        context.add(state_reading("gap", Status.OK, "lines of a deleted file are not counted"))
    if log.unread:
        hint = "let logrotate use gzip, bzip2 or xz, or delaycompress"
        context.add(state_reading("unread", Status.UNKNOWN, f"cannot read {log.unread}", hint))
    if is_cut:
        text = f"only {volume(tally.size)} read in time"
        hint = "raise --timeout; the next run continues"
        context.add(state_reading("rest", Status.UNKNOWN, text, hint))


def _tally(pattern: re.Pattern[str] | None, *, is_access: bool) -> Lines:
    if is_access:
        if pattern and "status" not in pattern.groupindex:
            groups = f"(?P<status>[0-9]+) and (?P<{'>...), (?P<'.join(GROUPS)}>...)"
            raise UnknownError("the pattern has no group status", hint=f"its groups: {groups}")
        return Requests(pattern)
    return Matches(pattern) if pattern else Attempts()


def _marked(kind: str, path: str) -> tuple[Moment | None, Any]:
    """The time of the last mark, and the mark; None if there is none, or it is invalid."""
    try:
        saved = state.load(path)
        epoch, uptime, boot = saved["at"]
        mark = Mark(*map(int, saved["mark"])) if kind == "file" else str(saved["mark"])
        if isinstance(mark, Mark) and not 0 <= mark.length <= mark.offset:
            raise ValueError
        return Moment(float(epoch), float(uptime), str(boot)), mark
    except JournalError as error:
        raise UnknownError(str(error), hint="check STATE_DIRECTORY") from None
    except (TypeError, ValueError, KeyError):
        return None, None


def evaluate(tally: Lines, passed: float | None, target: str, ranges: Ranges) -> Iterator[Reading]:
    """Readings on what was written in `passed` seconds; None means the first run."""
    if passed is None:
        text = f"first run on {target}, lines are counted from now on"
        yield state_reading("rate", Status.OK, text)
        return
    text = f"{tally.summary} of {target}"
    if passed >= 0:
        text += f" in {span(passed)}"
    if isinstance(tally, Requests):
        yield from evaluate_requests(tally, text, ranges)
    elif passed < 0:
        yield state_reading("rate", Status.OK, f"{text}, no rate because the clock was set back")
    else:
        rate = tally.found * 60 / max(passed, SHORTEST)
        text += f", {show(rate, '')} per minute"
        yield Reading("rate", rate, "", text, *ranges["rate"], minimum=0)
        if isinstance(tally, Attempts):
            yield from tally.sources.evaluate(max(passed, SHORTEST) / 60, ranges)
    yield Reading("lines", tally.lines, minimum=0)


def evaluate_requests(requests: Requests, text: str, ranges: Ranges) -> Iterator[Reading]:
    """Errors, p95, tenants. A single failure, or the slowest request alone, breaks no threshold."""
    if not requests.found:
        status = Status.UNKNOWN if requests.lines else Status.OK
        hint = "give --pattern with the groups status and seconds"
        yield state_reading("requests", status, text, hint)
        return
    share = 100 * requests.failed / requests.found
    text += f", {counted(requests.failed, 'failure')}"
    limits = ranges["errors"] if requests.failed > 1 else (None, None)
    yield Reading("errors", share, "%", text, *limits, minimum=0, maximum=100)
    ordered = sorted(requests.seconds)
    p95 = percentile(ordered if len(ordered) >= 20 else ordered[:-1], 95)
    if p95 is None:
        yield state_reading("p95", Status.OK, "no p95 because the log has too few times to answer")
    else:
        yield Reading("p95", p95, "s", f"p95 {show(p95, 's')}", *ranges["p95"], minimum=0)
    if requests.tenants:
        ordered_by = sorted(requests.tenants.items(), key=lambda one: -one[1].requests)
        found = [(name, _of_tenant(tenant)) for name, tenant in ordered_by]
        yield from tenants.evaluate(found, ranges, {})


def _of_tenant(tenant: Tenant) -> tenants.Values:
    p95 = percentile(sorted(tenant.seconds), 95)
    values = {"requests": (float(tenant.requests), ""), "errors": (float(tenant.errors), "")}
    return values if p95 is None else {**values, "p95": (p95, "s")}


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise click.BadParameter(f"invalid regular expression {text!r}: {error}") from None


def _alone(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """The variables describe one log. They are not used for another, which an option names.

    click handles the options on the command line before the variables.
    """
    name = parameter.name or ""
    if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
        ctx.meta["log"] = ctx.meta.get("log") or name in KINDS
    elif ctx.meta.get("log"):
        return None
    return value


FLAGS = ("--file", "--unit", "--container", "--pattern", "--access")
TABLE = table("log-rate", types={"--pattern": _pattern}, callbacks=dict.fromkeys(FLAGS, _alone))
PROBE = Probe("log-rate", TABLE, check_log)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
