"""A finding of `hcctl doctor`, and the time limit of slow areas."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

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
note = partial(Finding, "note")
warning = partial(Finding, "warning")
error = partial(Finding, "error")


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
