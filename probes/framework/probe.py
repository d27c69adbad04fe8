"""What all probes share: the command line, the deadline, and the handling of errors.

A probe is one module for one service:

    def check_thing(context: Context) -> None:          # acquires; imports the library
        context.add(*evaluate(answer, context.ranges))  # pure, returns readings

    PROBE = Probe("thing", table("thing"), check_thing)
    if __name__ == "__main__":
        raise SystemExit(PROBE.run())

The function raises CriticalError when the service is down and UnknownError when it cannot check.
Any other exception is also UNKNOWN. Add readings early: those that were added before an error, or
before the time is up, stay in the verdict.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from hcrun import __version__
from hcrun.errors import HcrunError
from hcrun.settings import CHECK_TIMEOUT, Settings
from hcrun.units import volume
from probes.framework import memory
from probes.framework.options import Option, Source, Url, duration
from probes.framework.process import end_after, print_verdict, run_script
from probes.framework.table import Table
from probes.framework.texts import text_of, unwrapped
from probes.framework.verdict import Range, Reading, Status, Verdict, show, state_reading

TIMEOUT = f"{CHECK_TIMEOUT:g}s"


# The options of every probe, and of all together.
SHARED: Sequence[click.Option] = [
    Option(
        ["--timeout"],
        envvar="HEALTHCHECKS_CHECK_TIMEOUT",
        show_envvar=True,
        default=TIMEOUT,
        type=duration,
        metavar="DURATION",
        help="Maximum time for the whole check.",
    ),
    click.Option(["--json"], is_flag=True, help="Print one JSON object."),
    click.Option(["--verbose"], is_flag=True, help="Print the traceback of an error."),
]

versioned = click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
HELP_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 80,
    "show_default": True,
}

# Warning and critical, by the name of the threshold: Reading(..., *limits["memory"]).
Ranges = Mapping[str, tuple[Range | None, Range | None]]


class ProbeError(HcrunError):
    """What ends a check, with its status."""

    status = Status.UNKNOWN

    def reading(self, label: str, more: str = "") -> Reading:
        """What one of several things is, when the others are still checked."""
        return state_reading(label, self.status, self.what + more, self.hint)


class CriticalError(ProbeError):
    """The service refuses the connection, does not answer, or reports a failure: CRITICAL."""

    status = Status.CRITICAL


class UnknownError(ProbeError):
    """The probe could not check the service: UNKNOWN."""


class Deadline:
    """The end of the time for a whole check."""

    def __init__(self, seconds: float, started: float) -> None:
        self.seconds = seconds
        self.end = started + seconds  # on the clock of time.monotonic()
        # The check ends a little earlier than Probe.verdict stops waiting for it, because only
        # the check itself knows what it was waiting for.
        self._spare = min(0.25, seconds / 10)

    def left(self) -> float:
        """Seconds left for the check, more than 0. Raises TimeoutError when none are left."""
        left = self.end - self._spare - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


@dataclass
class Context:
    """One check of one service: the options, and the verdict so far."""

    options: Mapping[str, Any]  # by option name: options["host"]
    ranges: Ranges
    source: Source
    deadline: Deadline
    verdict: Verdict

    def add(self, *readings: Reading) -> None:
        self.verdict.add(*readings)

    def at(self, host: str, port: object = None) -> None:
        """Set the target for messages, as early as it is known, and without a password."""
        if port and not host.startswith("/"):
            host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.verdict.target = host

    def answered(self, seconds: float) -> None:
        """Add the reading of the latency. The probe must have the threshold latency."""
        text = f"{self.verdict.target} answers in {show(seconds, 's')}"
        self.add(Reading("latency", seconds, "s", text, *self.ranges["latency"], minimum=0))

    def critical(self, error: Exception, hint: str = "") -> CriticalError:
        """The error to raise when a library's error means that the service is down."""
        return CriticalError(self._about(error), hint=hint)

    def unknown(self, error: Exception, hint: str = "") -> UnknownError:
        """The error to raise when a library's error means that the probe cannot check."""
        return UnknownError(self._about(error), hint=hint)

    def _about(self, error: Exception) -> str:
        text = str(error).rstrip().rstrip(".")
        target = self.verdict.target
        return text if target in text else f"{target}: {text}"


@dataclass(frozen=True)
class Probe:
    """A probe: its name, its options, and the function that checks."""

    name: str  # "redis" is the command probe-redis
    table: Table
    check: Callable[[Context], None]
    url: Url | None = None
    late: Status = Status.CRITICAL  # without an answer in time
    extra: str = ""  # of hcrun, with the library; "" if it has the name of the probe

    def run(self) -> int:
        """Run as the console script."""
        return run_script(self.main, self.name)

    def main(self, argv: Sequence[str], *, alarm: bool = False) -> int:
        """Check, print one line, and return the exit status; see `result`."""
        try:
            verdict = self.result(argv, alarm=alarm)
        except click.exceptions.Exit as stop:  # --help
            return stop.exit_code
        print_verdict(verdict, argv)
        return verdict.status

    def result(self, argv: Sequence[str], *, alarm: bool = False) -> Verdict:
        """Check. Raises click's Exit for --help, and nothing else.

        With `alarm` the kernel ends the process a second after the deadline, in case a library
        blocks while it holds the interpreter's lock, or the file of a secret never ends.
        """
        if alarm:
            end_after(duration(TIMEOUT))
        source = Source(Settings.load(), self.url)
        try:
            context = self.prepare(argv, source)
        except click.exceptions.Exit:
            raise
        except Exception as error:
            return Verdict(self.name, readings=[self.failure(error, source)])
        if alarm:
            end_after(context.deadline.seconds)
        return self.verdict(context)

    def prepare(self, argv: Sequence[str], source: Source) -> Context:
        """Read the command line and the settings.

        Raises HcrunError for invalid ones, and click's Exit for --help.
        """
        started = time.monotonic()
        try:
            parsed = self.command().make_context(f"probe-{self.name}", list(argv), obj=source)
        except click.ClickException as error:
            hint = f"see probe-{self.name} --help"
            raise UnknownError(error.format_message().rstrip("."), hint=hint) from None
        if source.settings.problems:
            raise UnknownError("; ".join(source.settings.problems))
        values = parsed.params
        ranges = {
            threshold.name: (
                values.pop(f"{threshold.name}_warning"),
                values.pop(f"{threshold.name}_critical"),
            )
            for threshold in self.table.thresholds
        }
        deadline = Deadline(values["timeout"], started)
        return Context(values, ranges, source, deadline, Verdict(self.name))

    def verdict(self, context: Context) -> Verdict:
        """Check within the deadline. Raises nothing; several probes may run in threads.

        The check runs in a thread of its own, which is abandoned when the time is up: libraries
        limit the time of a read or of a retry, or nothing.
        """
        worker = threading.Thread(target=self._guarded, args=(context,), daemon=True)
        try:
            worker.start()
        except RuntimeError:  # this user may have no more threads
            context.add(no_thread())
            return context.verdict
        worker.join(max(0.0, context.deadline.end - time.monotonic()))
        is_late = worker.is_alive()
        verdict = replace(context.verdict, readings=list(context.verdict.readings))
        if is_late:
            verdict.add(self._late(context))
        return verdict

    def _guarded(self, context: Context) -> None:
        try:
            self.check(context)
        except TimeoutError:
            context.add(self._late(context))
        except BaseException as error:  # without SystemExit, half a verdict would be OK
            if context.options["verbose"]:
                import traceback  # rarely needed

                text = "".join(traceback.format_exception(error))
                sys.stderr.write(context.source.redact(text))
            context.add(self.failure(error, context.source))

    def _late(self, context: Context) -> Reading:
        if not context.verdict.readings and context.verdict.target == Verdict.target:
            text = f"the check did not start within {context.deadline.seconds:g} s"
            return state_reading("look", Status.UNKNOWN, text, "raise --timeout")
        text = f"no answer from {context.verdict.target} within {context.deadline.seconds:g} s"
        return state_reading("look", self.late, text)

    def failure(self, error: BaseException, source: Source) -> Reading:
        """The reading for an exception, whose message is redacted."""
        status, text, hint = Status.UNKNOWN, source.quote(error), ""
        if memory.is_cause(error):
            text = f"the answer does not fit into {volume(memory.LIMIT)}"
            hint = "check the address: is it this service that answers?"
        elif isinstance(error, HcrunError):
            text = source.quote(error.what)
            text = f"{error.where}: {text}" if error.where else text
            hint = error.hint
            status = error.status if isinstance(error, ProbeError) else status
        elif isinstance(error, ConnectionError):
            status = Status.CRITICAL
        elif isinstance(error, ImportError):
            hint = f"pip install 'hcrun[{self.extra or self.name}]'"
        else:
            text, hint = f"unexpected {type(error).__name__}: {text}", "add --verbose for details"
        return state_reading("look", status, text, hint)

    def command(self) -> click.Command:
        thresholds = [
            option for item in self.table.thresholds for option in item.options(self.name)
        ]
        command = click.Command(
            f"probe-{self.name}",
            params=[*self.table.options, *thresholds, *SHARED],
            help=self.table.summary,
            epilog=self._epilog(thresholds),
            context_settings=HELP_SETTINGS,
        )
        return versioned(command)

    def _epilog(self, thresholds: Sequence[Option]) -> str:
        """The end of the help: the form of a range, if there are thresholds; the exit statuses."""
        text, example = text_of("framework/help.txt"), ""
        if thresholds:
            text = text_of("framework/ranges.txt") + text
            example = f"{thresholds[0].envvar}={thresholds[0].default}"
        return unwrapped(text.format(name=self.name, example=example))


def no_thread() -> Reading:
    return state_reading("look", Status.UNKNOWN, "cannot start a thread", "see ulimit -u")
