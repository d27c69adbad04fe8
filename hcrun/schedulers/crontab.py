"""The catalogue as a file for /etc/cron.d.

Debian's cron has no seconds, no time zone but the host's, no random delay, and starts a run while
the previous one is still in progress: see `_line` and `fields`.
"""

import shlex
from bisect import bisect

from hcrun.catalog import Catalog, Check
from hcrun.catalog.schedule import Calendar, Cron, Every, period
from hcrun.errors import CatalogError
from hcrun.formats.crontab import escape, problems
from hcrun.schedulers import invocation
from hcrun.schedulers.invocation import Rendered, duration, even_periods
from hcrun.text import one_line

NAME = "hcrun"
_ANY, _HOURLY = "* * * * *", "0 * * * *"
_PERIODS = even_periods(_ANY, "*/{} * * * *", "0 */{} * * *", "0 0 * * *", "0 0 * * 1")
_PERIODS |= {60: _ANY, 3600: _HOURLY}
_HEADER = """\
# Times are in the time zone of the host{zone}. To remove: hcctl install crontab --uninstall
# Mail is off because the server sends the alerts. PATH is complete because cron expands nothing.
MAILTO=""
PATH={path}
"""


def render(catalog: Catalog, hcrun: str) -> Rendered:
    """Returns one file. Raises CatalogError with everything that cron cannot run."""
    rendered = Rendered()
    wrong: list[CatalogError] = []
    zones: dict[str, Check] = {}
    parts: list[str] = []
    for check in invocation.runnable(catalog.checks):
        title = f"\n# {one_line(check.name)}"
        if isinstance(check.schedule, Calendar):
            why = f"cron has no calendar schedules ({check.schedule.expression})"
            hint = "write cron = instead of calendar =, or use systemd"
            rendered.notes.append(f"{check.slug} is left out: {why}; {hint}")
            parts.append(f"{title}: left out, because {why}\n")
            continue
        try:
            parts.append(f"{title}\n{lines(check, check.schedule, hcrun)}")
        except ValueError as error:
            wrong.append(CatalogError(str(error), where=_place(catalog, check)))
        if isinstance(check.schedule, Cron):
            zones.setdefault(check.zone, check)
    if len(zones) > 1:
        first, second, *_ = zones.values()
        what = f"cron has only one time zone, but {first.slug} is in {first.zone}"
        what += f" and {second.slug} in {second.zone}"
        hint = "set the same zone, or write calendar = and use systemd"
        wrong.append(CatalogError(what, where=_place(catalog, second), hint=hint))
    if wrong:
        raise CatalogError.of(wrong)
    rendered.zone = next(iter(zones), "")
    zone = f" (must be {rendered.zone})" if zones else ""
    text = _HEADER.format(zone=zone, path=invocation.search_path(hcrun)) + "".join(parts)
    for why in problems(text):  # it has too many lines
        raise CatalogError(f"cron would ignore this crontab: {why}", where=catalog.path)
    rendered.files[NAME] = text
    return rendered


def _place(catalog: Catalog, check: Check) -> str:
    return f"{catalog.path}:{check.line}: checks.{check.slug}"


def lines(check: Check, schedule: Every | Cron, hcrun: str) -> str:
    """Returns the lines of one check. Raises ValueError for what cron would refuse."""
    if isinstance(schedule, Cron):
        found = _line(check, schedule.expression, hcrun)
    else:
        when = fields(schedule.seconds)
        found = "".join(
            _line(check, when, hcrun, f"sleep {second}; " if second else "")
            for second in range(0, 60, min(schedule.seconds, 60))
        )
    return f'MAILTO="{check.mailto}"\n{found}MAILTO=""\n' if check.mailto else found


def _line(check: Check, when: str, hcrun: str, before: str = "") -> str:
    flags = [("--splay", duration(invocation.delay(check)))] if invocation.delay(check) else []
    longest = invocation.longest_run(check)
    if not invocation.is_exact(check) and (longest is None or longest >= period(check.schedule)):
        flags.append(("--overlap", "skip"))
    command = escape(before + shlex.join(invocation.command_line(check, hcrun, flags)))
    line = f"{when}  {invocation.user(check)}  {command}\n"
    if why := problems(line):
        raise ValueError(f"command: {why[0].partition(': ')[2]}")
    return line


def fields(seconds: int) -> str:
    """Returns the five fields. Raises ValueError for what divides no hour, day or week evenly."""
    if seconds in _PERIODS:
        return _PERIODS[seconds]
    known = sorted(_PERIODS)
    longer = bisect(known, seconds)
    near = " or ".join(map(duration, known[longer - 1 : longer + 1]))
    raise ValueError(f"every: cron cannot run this every {duration(seconds)}; write {near}")
