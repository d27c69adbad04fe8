"""What all probes share: the command line, the deadline, and one funnel for all errors.

A probe is one module with one service:

    def look_at_thing(look: Look) -> None:      # acquire: the third-party import is in here
        look.add(*judge(answer, look.limits))   # judge: pure, gives readings; add early

    PROBE = Probe("thing", "Is the thing well?", look_at_thing, thresholds=[...], options=[...])

    def main(argv: Sequence[str]) -> int: return PROBE.main(argv)
    def run() -> NoReturn: PROBE.run()

`look` raises DownError when the service is down and BlindError when it could not look; whatever
else it raises is a surprise, and UNKNOWN. What it added before stays in the verdict, so a probe
that runs out of time still says what it has seen.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import click

from hcrun.errors import HcrunError
from hcrun.settings import CHECK_TIMEOUT, Settings
from probes.framework.options import Argument, Option, Source, Threshold, Url, duration
from probes.framework.verdict import Range, Reading, Status, Verdict, show, state_reading

# Half a second is what a person notices.
LATENCY = Threshold("latency", "s", "500ms", "1s", "time to answer")

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
        help="How long it all may take.",
    ),
    click.Option(["--json"], is_flag=True, help="Print one JSON object."),
    click.Option(["--verbose"], is_flag=True, help="Print the traceback of a surprise."),
]

# Warning and critical, by the name of the threshold: Reading(..., *limits["memory"]).
Ranges = Mapping[str, tuple[Range | None, Range | None]]


class CriticalError(HcrunError):
    """The service refuses, does not answer, or answers that it cannot work: CRITICAL."""


class UnknownError(HcrunError):
    """The probe could not look, so it knows nothing: UNKNOWN."""


class Deadline:
    """The end of the time that a look may take in all."""

    def __init__(self, seconds: float, started: float) -> None:
        self.seconds = seconds
        self.end = started + seconds  # on the clock of time.monotonic()
        # A look should end before the watchdog does it, which cannot say what was waited for.
        self._spare = min(0.25, seconds / 10)

    def left(self) -> float:
        """Seconds left for the look, more than 0. Raises TimeoutError when there are none."""
        left = self.end - self._spare - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


@dataclass
class Context:
    """One look at one service: what was asked for, and what is found."""

    options: Mapping[str, Any]  # by option name: options["host"]
    ranges: Ranges
    source: Source
    deadline: Deadline
    verdict: Verdict

    def add(self, *readings: Reading) -> None:
        self.verdict.add(*readings)

    def at(self, host: str, port: object = None) -> None:
        """Say what is looked at, as early as it is known. No password in it, please."""
        if port and not host.startswith("/"):
            host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.verdict.target = host

    def answered(self, seconds: float) -> None:
        """Add the reading that says that the service answers; it needs the threshold LATENCY."""
        text = f"{self.verdict.target} answers in {show(seconds, 's')}"
        self.add(Reading("latency", seconds, "s", text, *self.ranges["latency"], minimum=0))

    def critical(self, error: Exception, hint: str = "") -> CriticalError:
        """To raise where a library's error means that the service is down."""
        return CriticalError(self._about(error), hint=hint)

    def unknown(self, error: Exception, hint: str = "") -> UnknownError:
        """To raise where a library's error means that it cannot be looked at."""
        return UnknownError(self._about(error), hint=hint)

    def _about(self, error: Exception) -> str:
        text = str(error).rstrip().rstrip(".")
        target = self.verdict.target
        return text if target in text else f"{target}: {text}"


@dataclass(frozen=True)
class Probe:
    """A probe: its name, its options, and the function that looks."""

    name: str  # "redis" is the command probe-redis
    summary: str  # for the help: what is looked at, and which variables hold the secrets
    look: Callable[[Context], None]
    options: Sequence[Option | Argument] = ()
    thresholds: Sequence[Threshold] = ()
    url: Url | None = None
    extra: str = ""  # of hcrun, with the library it needs; "" when it has the probe's name

    def run(self) -> NoReturn:
        """The console script: look once, and leave at once, whatever a library's threads do."""
        gc.disable()  # a process this short never gets to garbage worth collecting
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        status = self.main(sys.argv[1:], alarm=True)
        os._exit(status)

    def main(self, argv: Sequence[str], *, alarm: bool = False) -> int:
        """Look, print one line, and return the exit status.

        `alarm` has the kernel end the process a second after the deadline, for the case that
        code which holds the interpreter's lock keeps even the line from being printed, or that
        a file with a secret cannot be read to its end.
        """
        if alarm:
            end_after(duration(TIMEOUT))
        source = Source(Settings.load(), self.url)
        try:
            look = self.prepare(argv, source)
        except click.exceptions.Exit as stop:  # --help
            return stop.exit_code
        except Exception as error:
            verdict = Verdict(self.name)
            verdict.add(self.failure(error, source))
        else:
            if alarm:
                end_after(look.deadline.seconds)
            verdict = self.check(look)
        say(_json(verdict) if "--json" in argv else verdict.line())
        return verdict.status

    def prepare(self, argv: Sequence[str], source: Source) -> Context:
        """Read the command line and the settings.

        Raises HcrunError for what is wrong with them, and click's Exit for --help.
        """
        started = time.monotonic()
        try:
            context = self._command().make_context(f"probe-{self.name}", list(argv), obj=source)
        except click.ClickException as error:
            hint = f"see probe-{self.name} --help"
            raise UnknownError(error.format_message().rstrip("."), hint=hint) from None
        if source.settings.problems:
            raise UnknownError("; ".join(source.settings.problems))
        values = context.params
        ranges = {
            threshold.name: (
                values.pop(f"{threshold.name}_warning"),
                values.pop(f"{threshold.name}_critical"),
            )
            for threshold in self.thresholds
        }
        deadline = Deadline(values["timeout"], started)
        return Context(values, ranges, source, deadline, Verdict(self.name))

    def check(self, look: Context) -> Verdict:
        """Look within the time-out. Raises nothing; safe in a thread, and beside other probes.

        The look is taken in a thread of its own that is left behind when time is up: libraries
        count their time-outs per read, or per retry, or not at all.
        """
        worker = threading.Thread(target=self._guarded, args=(look,), daemon=True)
        try:
            worker.start()
        except RuntimeError:  # this user may have no more threads
            look.add(no_thread())
            return look.verdict
        worker.join(max(0.0, look.deadline.end - time.monotonic()))
        late = worker.is_alive()
        verdict = replace(look.verdict, readings=list(look.verdict.readings))
        if late:
            verdict.add(_late(look))
        return verdict

    def _guarded(self, look: Context) -> None:
        try:
            self.look(look)
        except TimeoutError:
            look.add(_late(look))
        except BaseException as error:  # a lost SystemExit would leave half a look that says OK
            if look.options["verbose"]:
                import traceback  # only here: it is rarely needed

                text = "".join(traceback.format_exception(error))
                sys.stderr.write(look.source.redact(text))
            look.add(self.failure(error, look.source))

    def failure(self, error: BaseException, source: Source) -> Reading:
        """What an exception says about the service. Foreign words come in here: redact them."""
        status, text, hint = Status.UNKNOWN, source.quote(error), ""
        if isinstance(error, HcrunError):
            text = source.quote(error.what)
            text = f"{error.where}: {text}" if error.where else text
            hint = error.hint
            if isinstance(error, CriticalError):
                status = Status.CRITICAL
        elif isinstance(error, ConnectionError):
            status = Status.CRITICAL
        elif isinstance(error, ImportError):
            hint = f"pip install 'hcrun[{self.extra or self.name}]'"
        else:
            text, hint = f"unexpected {type(error).__name__}: {text}", "--verbose shows where"
        return state_reading("look", status, text, hint)

    def _command(self) -> click.Command:
        thresholds = [option for item in self.thresholds for option in item.options(self.name)]
        return click.Command(
            f"probe-{self.name}",
            params=[*self.options, *thresholds, *SHARED],
            help=self.summary,
            epilog=((_RANGES if self.thresholds else "") + _EPILOG).format(
                name=self.name, upper=self.name.upper().replace("-", "_")
            ),
            context_settings={
                "help_option_names": ["-h", "--help"],
                "max_content_width": 80,
                "show_default": True,
            },
        )


_RANGES = """\b
RANGE is a range as in the monitoring-plugins guidelines, with units:
  200MB     alert below 0 and above 200 MB
  1:        alert below 1
  10:20     alert below 10 and above 20; @10:20: alert from 10 to 20
  80%       per cent of the maximum
  off       no alert
Each threshold also has a variable: PROBE_{upper}_LATENCY_WARNING=300ms.
An option overrides the environment, which overrides the env file of hcrun.

"""

_EPILOG = """\b
Exit status:
  0  OK        no threshold is crossed
  1  WARNING   a warning threshold is crossed
  2  CRITICAL  a critical threshold is crossed, or the service refuses the
               connection, does not resolve or does not answer in time
  3  UNKNOWN   the probe cannot check: wrong usage, wrong password, missing
               permission or missing library

\b
Example:
  hcrun {name} -- probe-{name}
"""


def end_after(seconds: float) -> None:
    """Have the kernel end this process a second after that, unless it is told otherwise."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)


def no_thread() -> Reading:
    return state_reading("look", Status.UNKNOWN, "no thread to look from", "see ulimit -u")


def _late(look: Context) -> Reading:
    if not look.verdict.readings and look.verdict.target == Verdict.target:
        text = f"nothing was asked within {look.deadline.seconds:g} s"
        return state_reading("look", Status.UNKNOWN, text, "raise --timeout")
    text = f"no answer from {look.verdict.target} within {look.deadline.seconds:g} s"
    return state_reading("look", Status.CRITICAL, text)


def _json(verdict: Verdict) -> str:
    import json  # only here: most runs do without

    return json.dumps(verdict.as_json())


def say(text: str) -> None:
    """Print it, if somebody listens: the exit status stands in any case."""
    try:
        sys.stdout.buffer.write(text.encode(errors="replace") + b"\n")
        sys.stdout.flush()
    except (OSError, AttributeError):  # stdout is full, or closed
        pass
