#!/usr/bin/env python3
"""All configured probes at the same time, in one process.

A probe is configured when the variable with the address of its service is set (`probe-all --help`
lists them), or when it is named. The probes are first imported one after the other, because
importing in threads is slower. Then all run at the same time, each with its own time-out, so that
the whole takes as long as the slowest. The first line is healthy, degraded (a warning, or a probe
that could not check) or critical. A line of each probe follows, the worst first.
"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import importlib
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import click

from hcrun.settings import Settings
from hcrun.units import span
from probes.framework.options import Source
from probes.framework.probe import (
    HELP_SETTINGS,
    SHARED,
    Probe,
    end_after,
    no_thread,
    print_line,
    run_script,
)
from probes.framework.verdict import Reading, Status, Verdict, state_reading, worst


class Known(NamedTuple):
    variables: tuple[str, ...]  # any of them configures the probe
    libraries: tuple[str, ...] = ()  # that its check imports


# One line for each probe: the PROBE of probes.check_<name>, and the command probe-<name>.
KNOWN: Mapping[str, Known] = {
    "celery": Known(("CELERY_BROKER_URL",), ("kombu.pidbox", "kombu.transport.redis")),
    "celery-beat": Known(
        ("CELERY_BEAT_SCHEDULE", "CELERY_BEAT_HEARTBEAT_KEY"), ("kombu.transport.redis",)
    ),
    "escalation": Known(("HEALTHCHECKS_ESCALATION_TAG",)),
    "healthchecks": Known(("HEALTHCHECKS_API_URL",)),
    "http": Known(("API_URL", "API_PORT")),
    "kafka": Known(("KAFKA_BOOTSTRAP_SERVERS",), ("kafka.admin",)),
    "kafka-lag": Known(("KAFKA_BOOTSTRAP_SERVERS",), ("kafka.admin",)),
    "log-rate": Known(("PROBE_LOG_RATE_FILE", "PROBE_LOG_RATE_UNIT", "PROBE_LOG_RATE_CONTAINER")),
    "minio": Known(("S3_ENDPOINT_URL",), ("boto3",)),
    "postgres": Known(("DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGSERVICE"), ("psycopg",)),
    "redis": Known(("REDIS_URL", "REDIS_HOST"), ("redis",)),
    "sql": Known(("PROBE_SQL_QUERY",), ("psycopg",)),
    "tenants": Known(("PROBE_TENANTS_SQL", "PROBE_TENANTS_LIST"), ("psycopg",)),
    "trend": Known(("PROBE_TREND_CHECK",)),
    "vault": Known(("VAULT_ADDR",), ("hvac",)),
    "vault-key": Known(("VAULT_TRANSIT_KEYS", "VAULT_KV_SECRETS"), ("hvac",)),
    "zookeeper": Known(("ZOOKEEPER_HOSTS",)),
}

HEALTH = {
    Status.OK: "healthy",
    Status.WARNING: "degraded",
    Status.UNKNOWN: "degraded",
    Status.CRITICAL: "critical",
}


class Result(NamedTuple):
    verdict: Verdict
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """The results of all probes, in the order of KNOWN."""

    results: Sequence[Result]
    missing: Sequence[str]  # names of the probes that are not configured
    seconds: float = 0.0  # for everything
    import_seconds: float = 0.0  # of these
    problem: str = ""  # why no probe ran

    @property
    def status(self) -> Status:
        """The worst status; UNKNOWN without any result."""
        return worst(result.verdict.status for result in self.results)

    @property
    def health(self) -> str:
        return HEALTH[self.status] if self.results else "unknown"

    def lines(self) -> Iterator[str]:
        """A line for all, then a line for each probe, the worst first."""
        if not self.results:
            yield f"ALL UNKNOWN - {self.problem}"
            return
        verdicts = [result.verdict for result in self.results]
        order = sorted(Status, key=lambda status: -status.severity)
        found = {s: [verdict.name for verdict in verdicts if verdict.status is s] for s in order}
        counts = [
            f"{len(names)} {status.name}" + (f" ({', '.join(names)})" if status else "")
            for status, names in found.items()
            if names
        ]
        known = len(verdicts) + len(self.missing)
        text = f"{self.health}, {len(verdicts)} of {known} ran in {span(self.seconds)}"
        text += f": {', '.join(counts)}"
        if self.missing:
            text += f"; not configured: {', '.join(self.missing)}"
        perfdata = [Reading("time", self.seconds, "s", minimum=0)]
        perfdata += [Reading(status.name.lower(), len(found[status])) for status in Status]
        graph = " ".join(reading.perfdata() for reading in perfdata)
        yield f"ALL {self.status.name} - {text} | {graph}"
        for verdict in sorted(verdicts, key=lambda verdict: -verdict.status.severity):
            yield verdict.line()

    def as_json(self) -> dict[str, object]:
        return {
            "probe": "all",
            "status": self.status.name,
            "health": self.health,
            "problem": self.problem,
            "seconds": round(self.seconds, 6),
            "import_seconds": round(self.import_seconds, 6),
            "ran": len(self.results),
            "known": len(self.results) + len(self.missing),
            "not_configured": {name: list(KNOWN[name].variables) for name in self.missing},
            "probes": [
                {**result.verdict.as_json(), "seconds": round(result.seconds, 6)}
                for result in self.results
            ],
        }


def is_configured(settings: Settings, variables: Sequence[str]) -> bool:
    """True if one of the variables is set, itself or by reference."""
    credentials = settings.get("CREDENTIALS_DIRECTORY")
    return any(
        settings.get(variable)
        or settings.get(f"{variable}_FILE")
        or (credentials and os.path.exists(os.path.join(credentials, variable.lower())))
        for variable in variables
    )


def load(name: str) -> Probe | Verdict:
    """Import a probe and its libraries. Returns an UNKNOWN verdict if that fails."""
    try:
        module = importlib.import_module(f"probes.check_{name.replace('-', '_')}")
    except Exception as error:
        text = f"unexpected {type(error).__name__}: {error}"
        hint = f"run probe-{name}"
        return Verdict(name, readings=[state_reading("look", Status.UNKNOWN, text, hint)])
    for library in KNOWN[name].libraries:
        # An error here is reported by the check, with how to install the library.
        with suppress(Exception):
            importlib.import_module(library)
    probe: Probe = module.PROBE
    return probe


def check_all(loaded: Mapping[str, Probe | Verdict], flags: Sequence[str]) -> list[Result]:
    """Run all probes at the same time, each with these `flags`, and show the progress."""
    results: dict[str, Result] = {}
    running: dict[Future[Result], str] = {}
    pool = ThreadPoolExecutor(len(loaded))
    for name, probe in loaded.items():
        if isinstance(probe, Verdict):
            results[name] = Result(probe)
            continue
        try:
            running[pool.submit(_check, probe, flags)] = name
        except RuntimeError:  # this user may not start more threads
            results[name] = Result(Verdict(name, readings=[no_thread()]))
    finished = as_completed(running)
    for done in range(len(running)):
        names = [name for name in running.values() if name not in results]
        _show(f"{done} of {len(running)} done, waiting for {', '.join(names)}")
        future = next(finished)
        results[running[future]] = future.result()
    return [results[name] for name in loaded]


def _check(probe: Probe, flags: Sequence[str]) -> Result:
    started = time.perf_counter()
    source = Source(Settings.load(), probe.url)
    try:
        verdict = probe.verdict(probe.prepare(flags, source))
    except Exception as error:
        verdict = Verdict(probe.name, readings=[probe.failure(error, source)])
    return Result(verdict, time.perf_counter() - started)


def _show(text: str) -> None:
    """Show the progress on a terminal; "" erases it."""
    if sys.stderr and sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()


_HELP = """Run all configured probes at the same time.

A probe is configured when one of its variables is set, in the environment or in the env file of
hcrun; its other settings come from there, too. NAME adds a probe, with its defaults. --timeout is
for each probe.
"""

_EPILOG = """\b
The probes, and the variables that configure them:
{probes}
Each may also be set by _FILE, or by a file in $CREDENTIALS_DIRECTORY.

\b
Exit status, the worst of all probes:
  0  OK        healthy
  1  WARNING   degraded: a warning threshold is crossed
  3  UNKNOWN   degraded: a probe cannot check; or wrong usage, or no probe is
               configured
  2  CRITICAL  critical: a critical threshold is crossed, or a service is down

\b
Example:
  hcrun all -- probe-all
"""


def _command() -> click.Command:
    width = max(map(len, KNOWN))
    lines = [
        textwrap.fill(
            f"{name:{width}}  {', '.join(known.variables)}",
            76,
            initial_indent="  ",
            subsequent_indent=" " * (width + 4),
        )
        for name, known in sorted(KNOWN.items())
    ]
    return click.Command(
        "probe-all",
        params=[
            click.Argument(
                ["names"], nargs=-1, type=click.Choice(sorted(KNOWN)), metavar="[NAME]..."
            ),
            *SHARED,
        ],
        help=_HELP,
        epilog=_EPILOG.format(probes="\n".join(lines)),
        context_settings=HELP_SETTINGS,
    )


def _report(argv: Sequence[str], *, alarm: bool) -> Report:
    """Raises click's Exit for --help."""
    started = time.perf_counter()
    settings = Settings.load()
    try:
        values = _command().make_context("probe-all", list(argv), obj=Source(settings)).params
    except click.ClickException as error:
        text = error.format_message().rstrip(".")
        return Report([], list(KNOWN), problem=f"{text}; see probe-all --help")
    if settings.problems:
        return Report([], list(KNOWN), problem="; ".join(settings.problems))
    names = [
        name
        for name, known in KNOWN.items()
        if name in values["names"] or is_configured(settings, known.variables)
    ]
    if not names:
        hint = "set the variables of one, or name it: see probe-all --help"
        return Report([], list(KNOWN), problem=f"no probe is configured; {hint}")
    loaded = {}
    for name in names:
        _show(f"importing {name}")
        loaded[name] = load(name)
    imported = time.perf_counter()
    flags = ["--timeout", f"{values['timeout']}s"]
    if values["verbose"]:
        flags.append("--verbose")
    if alarm:
        end_after(values["timeout"] + 1)  # each probe first reads its settings
    results = check_all(loaded, flags)
    ended = time.perf_counter()
    _show("")
    missing = [name for name in KNOWN if name not in names]
    return Report(results, missing, ended - started, imported - started)


def main(argv: Sequence[str], *, alarm: bool = False) -> int:
    try:
        report = _report(argv, alarm=alarm)
    except click.exceptions.Exit as stop:  # --help
        return stop.exit_code
    print_line(json.dumps(report.as_json()) if "--json" in argv else "\n".join(report.lines()))
    return report.status


def run() -> NoReturn:
    run_script(main)


if __name__ == "__main__":
    run()
