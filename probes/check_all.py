#!/usr/bin/env python3
"""All that is configured, in one process: the comprehensive check.

A probe is configured when the variable is set that says where its service is (`probe-all --help`
has them all), or when it is named. First all are imported, one after the other, as importing in
threads is slower; then all look at the same time, each within its own time-out. So the whole takes
as long as the slowest. The first line is healthy, degraded (a warning, or something that could not
be looked at) or critical; a line of each probe follows, the worst first.
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

import gc
import importlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import click

from hcrun.settings import Settings
from hcrun.units import span
from probes.framework.options import Source, duration
from probes.framework.probe import SHARED, TIMEOUT, Context, Probe, end_after, no_thread, say
from probes.framework.verdict import Reading, Status, Verdict, state_reading


class Known(NamedTuple):
    variables: tuple[str, ...]  # one of them is enough to say that there is such a service
    libraries: tuple[str, ...] = ()  # what its look imports


# One line per probe. It is the PROBE of probes.check_<name>, and the command probe-<name>.
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

Progress = Callable[[str], None]


class Result(NamedTuple):
    verdict: Verdict
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """What all probes found, in the order of KNOWN."""

    results: Sequence[Result]
    missing: Sequence[str]  # names of those that are not configured
    seconds: float = 0.0  # in all
    import_seconds: float = 0.0  # of these
    problem: str = ""  # why none could run

    @property
    def status(self) -> Status:
        """Without any result it is UNKNOWN: nothing was seen."""
        statuses = [result.verdict.status for result in self.results]
        return max(statuses, key=lambda status: status.severity, default=Status.UNKNOWN)

    @property
    def health(self) -> str:
        return HEALTH[self.status] if self.results else "unknown"

    def lines(self) -> Iterator[str]:
        """All in one line, then a line of each probe, the worst first."""
        if not self.results:
            yield f"ALL UNKNOWN - {self.problem}"
            return
        by_status = self._by_status()
        counts = ", ".join(
            f"{len(names)} {status.name}" + (f" ({', '.join(names)})" if status else "")
            for status, names in by_status.items()
            if names
        )
        many = len(self.results)
        text = f"{self.health}, {many} of {many + len(self.missing)} ran in {span(self.seconds)}"
        text += f": {counts}"
        if self.missing:
            text += f"; not configured: {', '.join(self.missing)}"
        perfdata = [Reading("time", self.seconds, "s", minimum=0)]
        perfdata += [Reading(s.name.lower(), len(by_status[s])) for s in Status]
        graph = " ".join(reading.perfdata() for reading in perfdata)
        yield f"ALL {self.status.name} - {text} | {graph}"
        worst_first = sorted(self.results, key=lambda result: -result.verdict.status.severity)
        yield from (result.verdict.line() for result in worst_first)

    def _by_status(self) -> dict[Status, list[str]]:
        """The names of the probes, the worst first."""
        order = sorted(Status, key=lambda status: -status.severity)
        verdicts = [result.verdict for result in self.results]
        return {s: [verdict.name for verdict in verdicts if verdict.status is s] for s in order}

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
    """Whether one of the variables is set, itself or by reference."""
    credentials = settings.get("CREDENTIALS_DIRECTORY")
    return any(
        settings.get(variable)
        or settings.get(f"{variable}_FILE")
        or (credentials and os.path.exists(os.path.join(credentials, variable.lower())))
        for variable in variables
    )


def load(names: Sequence[str], progress: Progress) -> dict[str, Probe | Verdict]:
    """Import the probes, and what they need. One that cannot be is an UNKNOWN verdict."""
    loaded: dict[str, Probe | Verdict] = {}
    for name in names:
        progress(f"importing {name}")
        try:
            loaded[name] = _load(name)
        except Exception as error:
            verdict = loaded[name] = Verdict(name)
            text = f"unexpected {type(error).__name__}: {error}"
            verdict.add(state_reading("look", Status.UNKNOWN, text, f"see probe-{name}"))
    return loaded


def _load(name: str) -> Probe:
    module = importlib.import_module(f"probes.check_{name.replace('-', '_')}")
    for library in KNOWN[name].libraries:
        try:
            importlib.import_module(library)
        except Exception:  # noqa: S112 - its look says so, and how to install it
            continue
    probe: Probe = module.PROBE
    return probe


def check_all(
    loaded: Mapping[str, Probe | Verdict],
    flags: Sequence[str],
    progress: Progress,
    *,
    alarm: bool = False,
) -> list[Result]:
    """Let all look at the same time; `flags` are for each, `alarm` is as in Probe.main."""
    results: dict[str, Result] = {}
    looks: dict[str, tuple[Probe, Context]] = {}
    if alarm:
        end_after(duration(TIMEOUT))
    for name, probe in loaded.items():
        if isinstance(probe, Verdict):
            results[name] = Result(probe)
            continue
        source = Source(Settings.load(), probe.url)
        try:
            looks[name] = probe, probe.prepare(flags, source)
        except Exception as error:
            verdict = Verdict(name)
            verdict.add(probe.failure(error, source))
            results[name] = Result(verdict)
    if alarm and looks:
        end_after(max(context.deadline.seconds for _, context in looks.values()))
    results |= _look_at_once(looks, progress)
    return [results[name] for name in loaded]


def _look_at_once(
    looks: Mapping[str, tuple[Probe, Context]], progress: Progress
) -> dict[str, Result]:
    finished: queue.SimpleQueue[tuple[str, Result]] = queue.SimpleQueue()

    def check(name: str) -> None:
        started = time.perf_counter()
        probe, context = looks[name]
        verdict = probe.check(context)
        finished.put((name, Result(verdict, time.perf_counter() - started)))

    results: dict[str, Result] = {}
    for name in looks:
        try:
            threading.Thread(target=check, args=(name,), daemon=True).start()
        except RuntimeError:  # this user may have no more threads
            results[name] = Result(Verdict(name, readings=[no_thread()]))
    while len(results) < len(looks):
        waiting = [name for name in looks if name not in results]
        progress(f"{len(results)} of {len(looks)} done, waiting for {', '.join(waiting)}")
        name, result = finished.get()
        results[name] = result
    return results


def _show(text: str) -> None:
    """Show how far it is, to a person at a terminal only; "" wipes it away."""
    if sys.stderr and sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()


_HELP = """Look at all that is configured, at the same time.

A probe is configured when one of its variables is set, in the environment or in the env file of
hcrun; its other settings are read from there, too. NAME looks at that one as well, with its
defaults, though no variable says so. --timeout is for each of them.
"""

_EPILOG = """\b
The probes, and the variables that configure them:
{probes}
_FILE after a variable, or a file of that name in $CREDENTIALS_DIRECTORY, will do, too.

\b
Exit status, the worst of all probes:
  0  OK        healthy
  1  WARNING   degraded: a warning threshold is crossed
  3  UNKNOWN   degraded: something could not be looked at; or wrong usage, nothing configured
  2  CRITICAL  critical: a critical threshold is crossed, or a service is down

\b
Example:
  hcrun all -- probe-all
"""


def _command() -> click.Command:
    width = max(map(len, KNOWN))
    probes = "\n".join(
        f"  {name:{width}}  {', '.join(known.variables)}" for name, known in sorted(KNOWN.items())
    )
    return click.Command(
        "probe-all",
        params=[
            click.Argument(
                ["names"], nargs=-1, type=click.Choice(sorted(KNOWN)), metavar="[NAME]..."
            ),
            *SHARED,
        ],
        help=_HELP,
        epilog=_EPILOG.format(probes=probes),
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
            "show_default": True,
        },
    )


def _report(argv: Sequence[str], *, alarm: bool) -> Report:
    """Raises click's Exit for --help."""
    started = time.perf_counter()
    settings = Settings.load()
    try:
        context = _command().make_context("probe-all", list(argv), obj=Source(settings))
    except click.ClickException as error:
        text = error.format_message().rstrip(".")
        return Report([], list(KNOWN), problem=f"{text}; see probe-all --help")
    values = context.params
    if settings.problems:
        return Report([], list(KNOWN), problem="; ".join(settings.problems))
    names = [
        name
        for name, known in KNOWN.items()
        if name in values["names"] or is_configured(settings, known.variables)
    ]
    if not names:
        problem = "no probe is configured; set one's variables, or name it: see probe-all --help"
        return Report([], list(KNOWN), problem=problem)
    flags = ["--timeout", f"{values['timeout']}s"] + ["--verbose"] * values["verbose"]
    loaded = load(names, _show)
    imported = time.perf_counter()
    results = check_all(loaded, flags, _show, alarm=alarm)
    ended = time.perf_counter()
    _show("")
    missing = [name for name in KNOWN if name not in names]
    return Report(results, missing, ended - started, imported - started)


def main(argv: Sequence[str], *, alarm: bool = False) -> int:
    try:
        report = _report(argv, alarm=alarm)
    except click.exceptions.Exit as stop:  # --help
        return stop.exit_code
    say(json.dumps(report.as_json()) if "--json" in argv else "\n".join(report.lines()))
    return report.status


def run() -> NoReturn:
    gc.disable()  # as Probe.run
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    status = main(sys.argv[1:], alarm=True)
    os._exit(status)


if __name__ == "__main__":
    run()
