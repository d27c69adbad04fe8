"""What a probe found, and how it is said: Status, Limit, Reading, Verdict.

Pure: nothing here looks at the world or prints. The format is the one of the monitoring-plugins
guidelines: a status word, a line for people, `|`, and perfdata for graphs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from hcrun.text import counted, one_line
from hcrun.units import seconds, size, span, volume

INFINITY = float("inf")
count = counted


class Status(IntEnum):
    """The exit status of a probe."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def severity(self) -> int:
        """CRITICAL > UNKNOWN > WARNING > OK: what is surely bad hides behind nothing."""
        return (0, 1, 3, 2)[self]


@dataclass(frozen=True)
class Range:
    """A threshold range of the monitoring-plugins guidelines; a value outside of it is an alert.

    `10` is 0 to 10, `10:` is 10 or more, `~:10` is 10 or less, `10:20` is both, and `@10:20`
    turns it round: an alert inside. The ends belong to the range.
    """

    low: float = 0.0
    high: float = INFINITY
    inside: bool = False
    percent: bool = False  # the ends are per cent of a reading's maximum

    @classmethod
    def parse(cls, text: str, unit: str = "") -> Range:
        """Read a range whose ends are in `unit`: "s" (`30s`), "B" (`200MB`), "%" or "" (a count).

        For "B" and "" the ends may be in per cent of the most there can be: `80%`, `10%:80%`.
        Raises ValueError, whose message says what would be right.
        """
        inside = text.startswith("@")
        start, colon, end = text.removeprefix("@").replace(" ", "").rpartition(":")
        low, high = (0.0, False), (INFINITY, False)
        if start:
            low = (-INFINITY, False) if start == "~" else _end(start, unit)
        if end or not colon:
            high = _end(end, unit)
        if low[0] > high[0]:
            raise ValueError(f"{text!r} is empty: its start is above its end")
        shares = {share for value, share in (low, high) if value and abs(value) < INFINITY}
        if len(shares) == 2:
            raise ValueError(f"{text!r} has one end in per cent and one that is not")
        return cls(low[0], high[0], inside, True in shares)

    def of(self, maximum: float) -> Range:
        """This range with per cents turned into shares of `most`."""
        if not self.percent:
            return self
        return Range(self.low * maximum / 100, self.high * maximum / 100, self.inside)

    def broken_by(self, value: float) -> bool:
        """Whether `value` is an alert."""
        return (self.low <= value <= self.high) == self.inside

    def phrase(self, above: bool, unit: str) -> str:
        """Why a value broke this range, for people: `over 200.0 MB`, `under 1`, `in 10:20`."""
        if self.inside:
            return f"in {self}"
        end = self.high if above else self.low
        return f"{'over' if above else 'under'} {show(end, '%' if self.percent else unit)}"

    def __str__(self) -> str:
        sign = "%" if self.percent else ""
        high = "" if self.high == INFINITY else number(self.high) + sign
        if self.low == 0 and high:
            low = ""
        else:
            low = "~:" if self.low == -INFINITY else f"{number(self.low)}{sign}:"
        return f"{'@' if self.inside else ''}{low}{high}"


_READ: dict[str, Callable[[str], float]] = {"s": seconds, "B": size, "%": float, "": float}
_EXAMPLE = {"s": "30s", "B": "200MB", "%": "80%", "": "10"}


def _end(text: str, unit: str) -> tuple[float, bool]:
    """One end of a range (`-1.5`, `200MB`, `30s`, `80%`), and whether it is a share of the most."""
    digits = text.removeprefix("-")
    percent = digits.endswith("%") and unit != "s"
    try:
        value = float(digits[:-1]) if percent else _READ[unit](digits)
        if not 0 <= value < INFINITY:
            raise ValueError
    except ValueError:
        example = _EXAMPLE[unit]
        raise ValueError(
            f"{text!r} is no threshold; write it like {example}, {example}: or ~:{example}"
        ) from None
    return (-value if digits != text else value), percent and unit != "%"


def number(value: float) -> str:
    """A number as perfdata wants it: no exponent, a point, at most six decimals."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def show(value: float, unit: str) -> str:
    """A value for people: `0.4 ms`, `2 min 5 s`, `200.0 MB`, `80%`, `12`."""
    if unit == "s":
        return f"{value * 1000:.1f} ms" if 0 < value < 0.01 else span(value)
    if unit == "B":
        return volume(value)
    return f"{value:.0f}%" if unit == "%" else number(round(value, 2))


@dataclass(frozen=True)
class Reading:
    """One thing a probe read: a number, its limits and its words.

    `value` None: it could not be read, and is UNKNOWN, unless `verdict` says how it is, as for
    what is no number (a link is up or down). `unit` is "s", "B", "%", "c" (a counter) or "".
    `text` is for people and may be empty; `hint` is what to do next and is said unless OK.
    """

    label: str
    value: float | None = None
    unit: str = ""
    text: str = ""
    warning: Range | None = None
    critical: Range | None = None
    minimum: float | None = None
    maximum: float | None = None
    hint: str = ""
    verdict: Status | None = None

    def __post_init__(self) -> None:
        """Take what a service calls NaN or infinite for what it is, no number.

        It breaks limits or keeps them by chance, and neither perfdata nor JSON has a word for it.
        """
        for name in ("value", "minimum", "maximum"):
            if not _is_number(getattr(self, name)):
                object.__setattr__(self, name, None)

    @property
    def status(self) -> Status:
        return self._judge()[0]

    def _judge(self) -> tuple[Status, str]:
        """The status, and the words for the limit that made it so."""
        if self.verdict is not None:
            return self.verdict, ""
        if self.value is None:
            return Status.UNKNOWN, ""
        for status, limit in ((Status.CRITICAL, self.critical), (Status.WARNING, self.warning)):
            if limit is None:
                continue
            if limit.percent and self.maximum is None:
                return Status.UNKNOWN, f"no maximum to take {limit} of"
            absolute = limit.of(self.maximum or 0)
            if absolute.broken_by(self.value):
                return status, limit.phrase(self.value > absolute.high, self.unit)
        return Status.OK, ""

    def words(self) -> str:
        """`212.3 MB used (over 200.0 MB); do this`, or "" where there is nothing to say."""
        status, why = self._judge()
        if status is Status.OK:
            return self.text
        if not (text := self.text):
            shown = "could not be read" if self.value is None else show(self.value, self.unit)
            text = f"{self.label} {shown}"
        return text + (f" ({why})" if why else "") + (f"; {self.hint}" if self.hint else "")

    def perfdata(self) -> str:
        """`'label'=value[unit];[warning];[critical];[least];[most]`, or "" without a value."""
        if self.value is None:
            return ""
        label = self.label.replace("=", "_").replace("'", "''")
        if not re.fullmatch(r"[\w.:/-]+", label):
            label = f"'{label}'"
        fields = [number(self.value) + self.unit, *(self._limits())]
        fields += ["" if end is None else number(end) for end in (self.minimum, self.maximum)]
        return f"{label}={';'.join(fields).rstrip(';')}"

    def _limits(self) -> tuple[str, str]:
        """Warning and critical, absolute: perfdata knows no per cent of something else."""
        warning, critical = (
            str(limit.of(self.maximum or 0))
            if limit and (self.maximum or not limit.percent)
            else ""
            for limit in (self.warning, self.critical)
        )
        return warning, critical

    def as_json(self) -> dict[str, object]:
        warning, critical = self._limits()
        return {
            "label": self.label,
            "status": self.status.name,
            "value": self.value,
            "unit": self.unit,
            "warning": warning or None,
            "critical": critical or None,
            "min": self.minimum,
            "max": self.maximum,
            "message": self.words(),
        }


def _is_number(value: float | None) -> bool:
    try:
        return value is None or math.isfinite(value)
    except OverflowError:  # an int with hundreds of digits
        return False


def state_reading(label: str, status: Status, text: str, hint: str = "") -> Reading:
    """A reading that is no number: `replication: CRITICAL, the link to the primary is down`."""
    return Reading(label, text=text, hint=hint, verdict=status)


@dataclass
class Verdict:
    """All readings of one look. Without any it is UNKNOWN: nothing was seen."""

    name: str  # of the probe: "redis"
    target: str = "the service"  # what it looked at: "127.0.0.1:6379"
    readings: list[Reading] = field(default_factory=list)

    def add(self, *readings: Reading) -> None:
        self.readings.extend(readings)

    @property
    def status(self) -> Status:
        statuses: Iterable[Status] = (reading.status for reading in self.readings)
        return max(statuses, key=lambda status: status.severity, default=Status.UNKNOWN)

    def message(self) -> str:
        """The words of all readings, the worst first."""
        order = sorted(self.readings, key=lambda reading: -reading.status.severity)
        words = filter(None, (reading.words() for reading in order))
        return one_line(", ".join(words)) or "nothing was seen"

    def line(self) -> str:
        """`REDIS OK - answers in 0.4 ms, 3 clients | latency=0.0004s;0.5;1;0 clients=3`."""
        perfdata = " ".join(filter(None, (reading.perfdata() for reading in self.readings)))
        text = f"{self.name.upper()} {self.status.name} - {self.message().replace('|', '/')}"
        return text + (f" | {one_line(perfdata).replace('|', '/')}" if perfdata else "")

    def as_json(self) -> dict[str, object]:
        return {
            "probe": self.name,
            "target": self.target,
            "status": self.status.name,
            "message": self.message(),
            "readings": [reading.as_json() for reading in self.readings],
        }
