"""`hcctl doctor`: what is wrong with the set-up, and what mends it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

import click

from hcrun.catalog import SHIPPED, Catalog, load
from hcrun.ctl.options import catalog_option
from hcrun.doctor import checks, host, install, journal, reach, server, settings, states
from hcrun.doctor.finding import Finding, error, note, status
from hcrun.doctor.patience import within
from hcrun.errors import HcrunError
from hcrun.paths import state_directory
from hcrun.schedulers import installed, installed_timers
from hcrun.settings import Settings
from hcrun.text import clean, counted

_PATIENCE = 20.0  # seconds for the server
_COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "error": "red"}


class Report:
    """What was found, room by room; printed as it is found unless it is for a program."""

    def __init__(self, silent: bool) -> None:
        self.rooms: dict[str, list[Finding]] = {}
        self._silent = silent

    def section(self, name: str, findings: Iterable[Finding]) -> None:
        kept = self.rooms.setdefault(name, [])
        self._print(click.style(name, bold=True))
        for finding in findings:
            finding = replace(finding, what=_printable(finding.what), fix=_printable(finding.fix))
            kept.append(finding)
            word = click.style(f"{finding.severity:7}", fg=_COLOURS[finding.severity])
            self._print(f"  {word}  {finding.what}")
            if finding.why:
                self._print(f"           {finding.why}")
            if finding.fix:
                self._print(f"           -> {finding.fix}")

    def table(self, found: list[settings.Setting]) -> None:
        """Belongs to the room that was printed last."""
        name, value = (
            max((len(text) for text in column), default=0)
            for column in ([one.name for one in found], [one.value for one in found])
        )
        for one in found:
            self._print(f"           {one.name:{name}}  {one.value:{value}}  {one.source}")

    def _print(self, text: str) -> None:
        if not self._silent:
            click.echo(text)

    @property
    def findings(self) -> list[Finding]:
        return [finding for section in self.rooms.values() for finding in section]

    def number(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)


@click.command()
@catalog_option
@click.option("--root", hidden=True, default="/", help="Where crontabs and units are; for tests.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(catalog: str, root: str, as_json: bool) -> None:
    """Look for what is wrong with the settings, the server, the checks and this host.

    Says for each finding why it matters and what mends it. Changes nothing, and pings nothing.
    Run it as root to see all users' crontabs and journals. Exit status 0 when nothing is wrong,
    1 for warnings, 2 for errors.

    \b
    Examples:
      hcctl doctor
      hcctl doctor --json | jq '.findings[] | select(.severity == "error")'

    \b
    --json has
      settings      each with name, value (secrets are not shown), source
      findings      each with room, severity (ok, note, warning, error), what, why, mend
      errors, warnings      how many
    """
    report = Report(silent=as_json)
    given = Settings.load()
    found, problem = _catalog(catalog, given)
    crontabs, units = installed.read_crontabs(root), installed_timers.read_timers(root)
    run = crontabs.lines + units.lines
    facts = [journal.look(path) for path in _journals(run, root)]
    seen = server.Seen()

    report.section("settings", settings.evaluate(given))
    in_use = [replace(one, value=_printable(one.value)) for one in settings.in_use(given)]
    report.table(in_use)
    report.section("server", _server(given, found, seen))
    report.section("checks", [*problem, *_checks(found, seen, facts)])
    may_read = reach.by_modes(root)
    report.section("this host", host.evaluate(crontabs, units, found, seen.checks, given, may_read))
    report.section("journal", [*states.evaluate(run, root), *_journal(facts)])
    directories = install.directories()
    report.section("installation", [install.evaluate(directories, *install.stale(directories))])

    if as_json:
        click.echo(json.dumps(_plain(report, in_use), indent=2))
    else:
        click.echo(_summary(report))
    sys.exit(status(report.findings))


def _printable(text: str) -> str:
    """Names of files, settings and lines of crontabs may have anything in them."""
    return clean(text.encode("utf-8", "surrogateescape"))


def _catalog(path: str, given: Settings) -> tuple[Catalog, list[Finding]]:
    """An empty one with what is wrong, where it cannot be read."""
    try:
        return load(path, given), []
    except HcrunError as problem:
        why = "its checks cannot be compared, nor synchronized"
        found = error(str(problem), why, "hcctl check says all that is wrong with it")
        return Catalog(path or SHIPPED, (), {}, {}, {}), [found]


def _journals(run: Iterable[installed.Line], root: str) -> list[str]:
    """Our own, and as root those of all whose jobs are run here."""
    places: list[str] = []
    with contextlib.suppress(HcrunError):
        places.append(state_directory())
    if os.geteuid() == 0:
        places += states.directories(run, root)
    return journal.journals(dict.fromkeys(places))


def _server(given: Settings, catalog: Catalog, seen: server.Seen) -> Iterator[Finding]:
    if not given.enabled():
        yield note("the server is not asked, as HEALTHCHECKS_ENABLED is false")
        return
    slugs = [check.slug for check in catalog.checks]
    try:
        yield from within(_PATIENCE, server.look(given, slugs, seen))
    except TimeoutError:
        yield error(
            f"the server has not answered everything in {_PATIENCE:g} s",
            "what it knows cannot be compared",
            "look at its load and its log, then run hcctl doctor again",
        )


def _checks(
    catalog: Catalog, seen: server.Seen, facts: Iterable[journal.Facts]
) -> Iterable[Finding]:
    if seen.checks is None:
        return [note("the server did not tell of its checks")]
    longest: dict[str, float] = {}
    for one in facts:
        for name, seconds in one.longest.items():
            longest[name] = max(seconds, longest.get(name, 0.0))
    return checks.evaluate(catalog, seen.checks, seen.channels, longest)


def _journal(facts: list[journal.Facts]) -> Iterable[Finding]:
    if not facts:
        return [note("there is no journal yet", "the first run of hcrun makes it")]
    now = time.time()
    return [finding for one in facts for finding in journal.evaluate(one, now)]


def _summary(report: Report) -> str:
    numbers = [counted(report.number(kind), kind) for kind in ("error", "warning")]
    said = [words for words in numbers if not words.startswith("0 ")]
    return ", ".join(said) or "nothing is wrong"


def _plain(report: Report, in_use: list[settings.Setting]) -> dict[str, object]:
    return {
        "settings": [asdict(setting) for setting in in_use],
        "findings": [
            {"section": section} | asdict(finding)
            for section, findings in report.rooms.items()
            for finding in findings
        ],
        "errors": report.number("error"),
        "warnings": report.number("warning"),
    }
