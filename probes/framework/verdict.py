"""The result of a probe: Status, Range, Reading, Verdict.

Pure: no input or output. The format is that of the monitoring-plugins guidelines: a status, a text
for people, `|`, and perfdata for graphs.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum

from hcrun.text import one_line
from hcrun.units import seconds, size, span, volume

INFINITY = float("inf")


class Status(IntEnum):
    """The exit status of a probe."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def severity(self) -> int:
        """CRITICAL > UNKNOWN > WARNING > OK: nothing hides a known failure."""
        return (0, 1, 3, 2)[self]


def worst(statuses: Iterable[Status]) -> Status:
    """The status of all together; UNKNOWN for none."""
    return max(statuses, key=lambda status: status.severity, default=Status.UNKNOWN)


@dataclass(frozen=True)
class Range:
    """A range as in the monitoring-plugins guidelines; a value outside it is an alert.

    `10` is 0 to 10, `10:` is 10 or more, `~:10` is 10 or less, `10:20` is 10 to 20. With `@10:20`
    a value inside is an alert. The ends belong to the range.
    """

    low: float = 0.0
    high: float = INFINITY
    inside: bool = False
    percent: bool = False  # the ends are per cent of a reading's maximum

    @classmethod
    def parse(cls, text: str, unit: str = "") -> "Range":
        """A range whose ends are in `unit`: "s" (`30s`), "B" (`200MB`), "%" or "" (a count).

        For "B" and "" the ends may be in per cent of the maximum: `80%`, `10%:80%`.
        Raises ValueError, whose message shows the right form.
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

    def of(self, maximum: float) -> "Range":
        """This range with per cents of `maximum` as absolute values."""
        if not self.percent:
            return self
        return Range(self.low * maximum / 100, self.high * maximum / 100, self.inside)

    def broken_by(self, value: float) -> bool:
        """True if `value` is an alert."""
        return (self.low <= value <= self.high) == self.inside

    def phrase(self, above: bool, unit: str) -> str:
        """The reason why a value is an alert: `over 200.0 MB`, `under 1`, `in 10:20`."""
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
    """One end of a range (`-1.5`, `200MB`, `30s`, `80%`), and whether it is in per cent."""
    digits = text.removeprefix("-")
    percent = digits.endswith("%") and unit != "s"
    try:
        value = float(digits[:-1]) if percent else _READ[unit](digits)
        if not 0 <= value < INFINITY:
            raise ValueError
    except ValueError:
        example = _EXAMPLE[unit]
        raise ValueError(
            f"{text!r} is not a threshold; write it like {example}, {example}: or ~:{example}"
        ) from None
    return (-value if digits != text else value), percent and unit != "%"


def number(value: float) -> str:
    """A number for perfdata: a point, no exponent, at most six decimals."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def show(value: float, unit: str) -> str:
    """A value for people: `0.4 ms`, `2 min 5 s`, `200.0 MB`, `80%`, `12`."""
    if unit == "s":
        return f"{value * 1000:.1f} ms" if 0 < value < 0.01 else span(value)
    if unit == "B":
        return volume(value)
    if unit == "%":
        return f"{number(round(value, 0 if abs(value) >= 1 else 2))}%"
    return number(round(value, 2))


@dataclass(frozen=True)
class Reading:
    """One value that a probe read, with its thresholds and its text.

    `value` None is UNKNOWN: it could not be read. `verdict` is the status of what is not a
    number, such as a link that is up or down. `unit` is "s", "B", "%", "c" (a counter) or "".
    `text` is for people and may be empty. `hint` says what to do; it is shown unless OK.
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
        """Replace NaN and infinity with None.

        Comparing them with a threshold means nothing, and perfdata and JSON cannot hold them.
        """
        for name in ("value", "minimum", "maximum"):
            if not _is_number(getattr(self, name)):
                object.__setattr__(self, name, None)

    @property
    def status(self) -> Status:
        return self._evaluate()[0]

    def _evaluate(self) -> tuple[Status, str]:
        """The status, and the reason for it."""
        if self.verdict is not None:
            return self.verdict, ""
        if self.value is None:
            return Status.UNKNOWN, ""
        for status, range_ in ((Status.CRITICAL, self.critical), (Status.WARNING, self.warning)):
            if range_ is None:
                continue
            if range_.percent and self.maximum is None:
                return Status.UNKNOWN, f"no maximum to take {range_} of"
            absolute = range_.of(self.maximum or 0)
            if absolute.broken_by(self.value):
                return status, range_.phrase(self.value > absolute.high, self.unit)
        return Status.OK, ""

    def message(self) -> str:
        """`212.3 MB used (over 200.0 MB); do this`, or "" for OK without a text."""
        status, reason = self._evaluate()
        if status is Status.OK:
            return self.text
        if not (text := self.text):
            shown = "could not be read" if self.value is None else show(self.value, self.unit)
            text = f"{self.label} {shown}"
        return text + (f" ({reason})" if reason else "") + (f"; {self.hint}" if self.hint else "")

    def brief(self) -> "Reading":
        """This reading, without its text if it is OK: there may be many."""
        return self if self.status else replace(self, text="")

    def perfdata(self, prefix: str = "") -> str:
        """`'label'=value[unit];[warning];[critical];[minimum];[maximum]`, or "" without a value."""
        if self.value is None:
            return ""
        label = f"{prefix}{self.label}".replace("=", "_").replace("'", "''")
        if not re.fullmatch(r"[\w.:/-]+", label):
            label = f"'{label}'"
        fields = [number(self.value) + self.unit, *self._thresholds()]
        fields += ["" if end is None else number(end) for end in (self.minimum, self.maximum)]
        return f"{label}={';'.join(fields).rstrip(';')}"

    def _thresholds(self) -> list[str]:
        """Warning and critical, absolute: perfdata has no per cent of a maximum."""
        return [
            str(range_.of(self.maximum or 0))
            if range_ and (self.maximum or not range_.percent)
            else ""
            for range_ in (self.warning, self.critical)
        ]

    def as_json(self) -> dict[str, object]:
        warning, critical = self._thresholds()
        return {
            "label": self.label,
            "status": self.status.name,
            "value": self.value,
            "unit": self.unit,
            "warning": warning or None,
            "critical": critical or None,
            "min": self.minimum,
            "max": self.maximum,
            "message": self.message(),
        }


def _is_number(value: float | None) -> bool:
    try:
        return value is None or math.isfinite(value)
    except OverflowError:  # an int with hundreds of digits
        return False


def state_reading(label: str, status: Status, text: str, hint: str = "") -> Reading:
    """A reading that is not a number: `replication: CRITICAL, the link to the primary is down`."""
    return Reading(label, text=text, hint=hint, verdict=status)


@dataclass
class Verdict:
    """All readings of one check. Without any it is UNKNOWN."""

    name: str  # of the probe: "redis"
    target: str = "the service"  # such as "127.0.0.1:6379"
    readings: list[Reading] = field(default_factory=list)

    def add(self, *readings: Reading) -> None:
        self.readings.extend(readings)

    @property
    def status(self) -> Status:
        return worst(reading.status for reading in self.readings)

    def message(self) -> str:
        """The messages of all readings, the worst first."""
        order = sorted(self.readings, key=lambda reading: -reading.status.severity)
        messages = filter(None, (reading.message() for reading in order))
        return one_line(", ".join(messages)) or "nothing was checked"

    def words(self) -> str:
        """`REDIS OK - answers in 0.4 ms, 3 clients`."""
        return f"{self.name.upper()} {self.status.name} - {self.message().replace('|', '/')}"

    def perfdata(self, prefix: str = "") -> str:
        """`latency=0.0004s;0.5;1;0 clients=3`, each label after `prefix`."""
        items = " ".join(filter(None, (reading.perfdata(prefix) for reading in self.readings)))
        return one_line(items).replace("|", "/")

    def line(self) -> str:
        """`REDIS OK - answers in 0.4 ms, 3 clients | latency=0.0004s;0.5;1;0 clients=3`."""
        return " | ".join(filter(None, (self.words(), self.perfdata())))

    def as_json(self) -> dict[str, object]:
        return {
            "probe": self.name,
            "target": self.target,
            "status": self.status.name,
            "message": self.message(),
            "readings": [reading.as_json() for reading in self.readings],
        }
