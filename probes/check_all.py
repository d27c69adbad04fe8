#!/usr/bin/env python3
"""All configured probes at once, in one process."""

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
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from typing import Any

import click

from hcrun.errors import HcrunError
from hcrun.settings import Settings
from hcrun.variables import KNOWN as KNOWN
from hcrun.variables import is_configured as is_configured
from probes.framework import memory
from probes.framework.catalogue import thresholds
from probes.framework.options import Source, names
from probes.framework.probe import HELP_SETTINGS, SHARED, Probe, no_thread, versioned
from probes.framework.process import end_after, print_line, run_script
from probes.framework.report import Report, Result
from probes.framework.texts import text_of, unwrapped
from probes.framework.verdict import Status, Verdict, state_reading

STEP = 0.05  # seconds in which a probe computes, or waits
STARTING = 5.0  # seconds, after which all start at once


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


def check_all(
    loaded: Mapping[str, Probe | Verdict], flags: Mapping[str, Sequence[str]]
) -> list[Result]:
    """Run all probes, each with its `flags`, and show the progress."""
    results: dict[str, Result] = {}
    running: dict[Future[Result], str] = {}
    pool = ThreadPoolExecutor(len(loaded))
    until = time.monotonic() + STARTING
    for name, probe in loaded.items():
        if isinstance(probe, Verdict):
            results[name] = Result(probe)
            continue
        try:
            future = pool.submit(_check, probe, flags[name])
        except RuntimeError:  # this user may not start more threads
            results[name] = Result(Verdict(name, readings=[no_thread()]))
            continue
        running[future] = name
        _settle(future, until)
    finished = as_completed(running)
    for done in range(len(running)):
        waiting = [name for name in running.values() if name not in results]
        _show(f"{done} of {len(running)} done, waiting for {', '.join(waiting)}")
        future = next(finished)
        results[running[future]] = future.result()
    return [results[name] for name in loaded]


def _settle(future: Future[Result], until: float) -> None:
    """Wait until a probe is done, or no probe computes."""
    used = -STEP
    while not future.done() and time.monotonic() < until and time.process_time() - used > STEP / 5:
        used = time.process_time()
        wait([future], STEP)


def _check(probe: Probe, flags: Sequence[str]) -> Result:
    started = time.perf_counter()
    return Result(probe.result(flags), time.perf_counter() - started)


def _show(text: str) -> None:
    """Show the progress on a terminal; "" erases it."""
    if sys.stderr and sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()


def _probes(_ctx: object, _option: object, given: Sequence[str]) -> tuple[str, ...]:
    """The value of --only or --skip."""
    found = names(",".join(given))
    if wrong := [name for name in found if name not in KNOWN]:
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(sorted(KNOWN))}")
    return found


_HELP = """Run all configured probes at once.

A probe is configured when one of its variables is set, in the environment or in the env file of
hcrun; its other settings come from there, too. NAME adds a probe, with its defaults. --timeout is
for each probe.
"""


def _command() -> click.Command:
    width = max(map(len, KNOWN))
    fill = textwrap.TextWrapper(76, initial_indent="  ", subsequent_indent=" " * (width + 4)).fill
    names = sorted(KNOWN)
    lines = [fill(f"{name:{width}}  {', '.join(KNOWN[name].variables)}") for name in names]
    several: dict[str, Any] = {"multiple": True, "callback": _probes, "metavar": "NAME,..."}
    only, skip = "Run these probes only, configured or not.", "Leave these probes out."
    command = click.Command(
        "probe-all",
        params=[
            click.Argument(["names"], nargs=-1, type=click.Choice(names), metavar="[NAME]..."),
            click.Option(["--only"], help=only, **several),
            click.Option(["--skip"], help=skip, **several),
            click.Option(
                ["--catalog"],
                metavar="FILE",
                default="",
                show_default=False,
                help="Whose thresholds apply.  [default: /etc/hcrun/checks.toml]",
            ),
            *SHARED,
        ],
        help=_HELP,
        epilog=unwrapped(text_of("framework/all.txt").format(probes="\n".join(lines))),
        context_settings=HELP_SETTINGS,
    )
    return versioned(command)


def report(argv: Sequence[str], *, alarm: bool = False) -> Report:
    """Check. Raises click's Exit for --help."""
    started = time.perf_counter()
    settings = Settings.load()
    try:
        values = _command().make_context("probe-all", list(argv), obj=Source(settings)).params
    except click.ClickException as error:
        text = error.format_message().rstrip(".")
        return Report([], {}, problem=f"{text}; see probe-all --help")
    if settings.problems:
        return Report([], {}, problem="; ".join(settings.problems))
    only = {*values["only"], *values["names"]} if values["only"] else set(KNOWN)
    left_out = [name for name in KNOWN if name not in only or name in values["skip"]]
    named = {*values["only"], *values["names"]}
    missing = {
        name: known.variables
        for name, known in KNOWN.items()
        if not (name in left_out or name in named or is_configured(settings, known.variables))
    }
    chosen = [name for name in KNOWN if name not in missing and name not in left_out]
    if not chosen:
        hint = "set the variables of one, or name it: see probe-all --help"
        return Report([], missing, problem=f"no probe is configured; {hint}")
    loaded = {}
    for name in chosen:
        _show(f"importing {name}")
        loaded[name] = load(name)
    flags, problems = _flags(values, settings, loaded)
    imported = time.perf_counter()
    if alarm:
        end_after(values["timeout"] + STARTING + 1)  # each probe first reads its settings
        memory.limit(threads=2 * len(loaded))
    results = problems + check_all(loaded, flags)
    ended = time.perf_counter()
    _show("")
    return Report(results, missing, ended - started, imported - started, left_out=values["skip"])


def _flags(
    values: Mapping[str, Any], settings: Settings, loaded: Mapping[str, Probe | Verdict]
) -> tuple[dict[str, list[str]], list[Result]]:
    """The options of each probe, and a result if the catalogue cannot be read."""
    shared = ["--timeout", f"{values['timeout']}s", *(["--verbose"] if values["verbose"] else [])]
    probes = {name: probe for name, probe in loaded.items() if isinstance(probe, Probe)}
    variables = {name: set(KNOWN[name].variables) for name in probes}
    given: Mapping[str, list[str]] = {}
    problems = []
    try:
        given = thresholds(values["catalog"], settings, probes, variables)
    except HcrunError as error:
        reading = state_reading("look", Status.UNKNOWN, str(error), "run hcctl check")
        problems.append(Result(Verdict("catalogue", readings=[reading])))
    return {name: [*given.get(name, ()), *shared] for name in loaded}, problems


def main(argv: Sequence[str], *, alarm: bool = False) -> int:
    try:
        found = report(argv, alarm=alarm)
    except click.exceptions.Exit as stop:  # --help
        return stop.exit_code
    print_line(json.dumps(found.as_json()) if "--json" in argv else "\n".join(found.lines()))
    return found.status


def run() -> int:
    return run_script(main, "all")


if __name__ == "__main__":
    raise SystemExit(run())
