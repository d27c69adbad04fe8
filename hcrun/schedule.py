"""When a check runs: every 30s | cron | OnCalendar.

A schedule keeps the dialect of what runs it: Debian's cron and systemd differ at daylight-saving
changes and in what `13 * Fri` means, and the server knows both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Every:
    """A fixed period."""

    seconds: int


@dataclass(frozen=True)
class Cron:
    """Five fields, as Debian's cron reads them."""

    expression: str


@dataclass(frozen=True)
class Calendar:
    """A systemd OnCalendar= expression (systemd.time(7))."""

    expression: str


Schedule = Every | Cron | Calendar
