"""A finding of `hcctl doctor`, and the time limit of slow areas."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from string import Formatter
from typing import Any, Literal, TypeVar

from hcrun import files
from hcrun.text import counted, listed
from hcrun.units import span, volume

T = TypeVar("T")
Severity = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """What is the case, why it matters, and what to do. A note is not a problem."""

    severity: Severity
    what: str
    why: str = ""
    fix: str = ""


ok = partial(Finding, "ok")
error = partial(Finding, "error")  # of another program; ours are in findings.toml
_TABLE = files.table(__file__, "findings.toml")
_FORMS: dict[str, Callable[[Any], str]] = {"": str, " ": " ".join, "span": span, "volume": volume}


class _Text(Formatter):
    """The texts of findings.toml, whose head describes them."""

    def format_field(self, value: Any, form: str) -> str:
        is_list = isinstance(value, list)
        if form in _FORMS:
            return listed(value) if is_list and not form else _FORMS[form](value)
        return counted(len(value) if is_list else value, form)


def finding(name: str, /, **values: Any) -> Finding:
    """The finding of that name in findings.toml, with these values in its texts."""
    texts: dict[str, Any] = {key: _Text().format(t, **values) for key, t in _TABLE[name].items()}
    return Finding(**texts)


def any_of(name: str, /, names: list[str], **values: Any) -> Iterator[Finding]:
    """The finding if there are names that it is about."""
    if names:
        yield finding(name, names=names, **values)


def grouped(pairs: Iterable[tuple[str, T]]) -> Iterable[tuple[str, list[T]]]:
    """The second of each pair by the first, unless that is ""."""
    groups: dict[str, list[T]] = {}
    for key, value in pairs:
        if key:
            groups.setdefault(key, []).append(value)
    return groups.items()


def within(seconds: float, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings as they come. Raises TimeoutError if they are not complete in time.

    Name resolution, or an answer that trickles, has no time-out of its own for the whole.
    """
    results: queue.SimpleQueue[Finding | BaseException | None] = queue.SimpleQueue()

    def collect() -> None:
        try:
            for finding in findings:
                results.put(finding)
            results.put(None)
        except BaseException as exception:
            results.put(exception)

    threading.Thread(target=collect, daemon=True).start()
    until = time.monotonic() + seconds
    while True:
        try:
            result = results.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(result, BaseException):
            raise result
        if result is None:
            return
        yield result
