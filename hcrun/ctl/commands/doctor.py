"""`hcctl doctor`: what is wrong with the set-up, and how to correct it."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import chain

import click

from hcrun import files
from hcrun.catalog import SHIPPED, Catalog, load
from hcrun.ctl.rendering import KINDS
from hcrun.ctl.table import options
from hcrun.doctor import checks, host, install, journal, needs, running, server, settings
from hcrun.doctor.finding import Finding, any_of, error, finding, within
from hcrun.errors import HcrunError
from hcrun.fleet.connection import URL as FLEET
from hcrun.journal.inspection import Inspection, inspect
from hcrun.metrics import sql_view
from hcrun.paths import find_directory
from hcrun.schedulers import managed_files
from hcrun.schedulers.installed import Line, absolute, read_crontabs, read_timers
from hcrun.schedulers.journals import directories
from hcrun.settings import Settings, refused
from hcrun.text import clean, counted
from hcrun.variables import is_configured

_PATIENCE = 20.0  # seconds for the server
_COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "error": "red"}


class Report:
    """The findings by section; printed as they come unless the report is for a program."""

    def __init__(self, silent: bool) -> None:
        self.sections: dict[str, list[Finding]] = {}
        self._silent = silent

    def section(self, name: str, findings: Iterable[Finding]) -> None:
        kept = self.sections.setdefault(name, [])
        self._print(click.style(name, bold=True))
        for each in findings:
            each = replace(each, what=_printable(each.what), fix=_printable(each.fix))
            kept.append(each)
            severity = click.style(f"{each.severity:7}", fg=_COLOURS[each.severity])
            self._print(f"  {severity}  {each.what}")
            if each.why:
                self._print(f"           {each.why}")
            if each.fix:
                self._print(f"           fix: {each.fix}")

    def table(self, rows: list[settings.Setting]) -> None:
        """Print the settings below the last section."""
        name = max((len(row.name) for row in rows), default=0)
        value = max((len(row.value) for row in rows), default=0)
        for row in rows:
            self._print(f"           {row.name:{name}}  {row.value:{value}}  {row.source}")
            self._print(click.style(f"             {row.meaning}", dim=True))

    def _print(self, text: str) -> None:
        if not self._silent:
            click.echo(text)

    def number(self, severity: str) -> int:
        return sum(each.severity == severity for each in chain(*self.sections.values()))


@click.command()
@options("catalog", "doctor")
def doctor(catalog: str, root: str, as_json: bool) -> None:
    report = Report(silent=as_json)
    given = Settings.load()
    loaded, load_error = _load(catalog, given)
    crontabs, units = read_crontabs(root), read_timers(root)
    lines = crontabs.lines + units.lines
    users = _state_directories(lines, root, given)
    journals = list(filter(None, map(inspect, users)))
    data = server.ServerData()

    report.section("settings", settings.evaluate(given))
    in_use = [replace(row, value=_printable(row.value)) for row in settings.in_use(given)]
    report.table(in_use)
    report.section("server", chain(_server(given, loaded, data), _view(given)))
    report.section("channels", server.check_delivery(given, data))
    if loaded.path != SHIPPED and (refusal := refused(loaded.path)):
        load_error.append(finding("unsafe-catalogue", path=loaded.path, refusal=refusal))
    report.section("checks", [*load_error, *_checks(loaded, data, journals)])
    found = host.evaluate(crontabs, units, loaded, data.checks, given, root)
    if os.path.realpath(root) == "/":
        found += running.evaluate(lines, units.dead)
    found += running.evaluate_log(root)
    report.section("this host", [*found, *any_of("edited", _edited(root))])
    findings = [
        *journal.evaluate_directories(lines, root, given),
        *journal.evaluate_ownership(path for path, uid in users.items() if not uid),
        *_journals(journals, given),
    ]
    report.section("journal", findings)
    programs = install.directories()
    report.section("installation", [install.evaluate(programs, *install.stale(programs))])

    counts = {kind: report.number(kind) for kind in ("error", "warning")}
    problems = [counted(number, kind) for kind, number in counts.items() if number]
    if as_json:
        click.echo(json.dumps(_as_json(report, in_use), indent=2))
    else:
        click.echo(", ".join(problems) or "nothing is wrong")
    if counts["error"]:
        sys.exit(2)
    if counts["warning"]:
        sys.exit(1)


def _printable(text: str) -> str:
    """Names of files, settings and lines of crontabs may contain any bytes."""
    return clean(text.encode("utf-8", "surrogateescape"))


def _load(path: str, given: Settings) -> tuple[Catalog, list[Finding]]:
    """The catalogue; an empty one and a finding if it cannot be read."""
    try:
        return load(path, given), []
    except HcrunError as problem:
        nothing = Catalog(path or SHIPPED, (), {}, {}, {})
        return nothing, [finding("no-catalogue", problem=problem)]


def _state_directories(lines: Iterable[Line], root: str, given: Settings) -> dict[str, int]:
    """That of this user; for root also those of all users whose jobs run hcrun here."""
    found: dict[str, int] = {}
    if os.geteuid() == 0:
        found = {path: user.uid for path, user in directories(lines, root).items()}
    with contextlib.suppress(HcrunError):
        found = {find_directory(given, os.geteuid()): os.geteuid()} | found
    return found


def _server(given: Settings, catalog: Catalog, data: server.ServerData) -> Iterator[Finding]:
    if not given.enabled():
        yield finding("not-checked")
        return
    slugs = [check.slug for check in catalog.checks]
    try:
        yield from within(_PATIENCE, server.check_server(given, slugs, data))
    except TimeoutError:
        yield finding("out-of-time", seconds=f"{_PATIENCE:g}")


def _view(given: Settings) -> Iterator[Finding]:
    """What only the server's database tells."""
    if not (given.enabled() and server.configured(given)):
        return
    try:
        host = f"{sql_view.DATABASE}HOST"
        if not (name := given.get(host)):
            yield finding("no-view-host", host=host)
            return
        if not settings.resolves(name):  # a service of compose, as compose.yaml needs it
            prefix = sql_view.DATABASE
            yield finding("view-in-containers", host=host, name=name, prefix=prefix)
            return
        with sql_view.connect(given) as view:
            problems = view.problems() + view.short_logs()
    except HcrunError as problem:
        yield error(f"{problem.where}: {problem.what}", "the view is not checked", problem.hint)
        return
    for text in problems:
        what, _, fix = text.partition("; ")
        yield finding("view", name=sql_view.NAME, what=what, fix=fix)


def _edited(root: str) -> list[str]:
    """The files of hcctl that somebody has changed."""
    paths = []
    for kind in KINDS.values():
        directory = os.path.join(root, kind.directory.lstrip("/"))
        for name in kind.present(directory):
            path = os.path.join(directory, name)
            if managed_files.state(files.text_of(path)) == "changed":
                paths.append(absolute(path, root))
    return paths


def _checks(
    catalog: Catalog, data: server.ServerData, journals: Iterable[Inspection]
) -> Iterable[Finding]:
    if data.checks is None:
        return [finding("no-checks")]
    longest: dict[str, float] = {}
    for inspected in journals:
        for name, seconds in inspected.longest.items():
            longest[name] = max(seconds, longest.get(name, 0.0))
    found = checks.evaluate(catalog, data.checks, data.channels, longest)
    used = checks.in_use(catalog, data.checks)
    return [*found, *(needs.evaluate(catalog, data.checks, time.time()) if used else ())]


def _journals(journals: list[Inspection], given: Settings) -> Iterable[Finding]:
    if not journals:
        return [finding("no-journal")]
    now, ships = time.time(), is_configured(given, [FLEET])
    return list(chain(*(journal.evaluate(each, now, ships=ships) for each in journals)))


def _as_json(report: Report, in_use: list[settings.Setting]) -> dict[str, object]:
    return {
        "settings": [asdict(setting) for setting in in_use],
        "findings": [
            {"section": section} | asdict(each)
            for section, findings in report.sections.items()
            for each in findings
        ],
        "errors": report.number("error"),
        "warnings": report.number("warning"),
    }
