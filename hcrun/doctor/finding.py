"""A finding: what, why it matters, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """`note`: nothing is wrong, or it cannot be known."""

    severity: Severity
    what: str
    why: str = ""
    fix: str = ""  # a command, or what to do


def ok(what: str) -> Finding:
    return Finding("ok", what)


def note(what: str, why: str = "", fix: str = "") -> Finding:
    return Finding("note", what, why, fix)


def warning(what: str, why: str, fix: str) -> Finding:
    return Finding("warning", what, why, fix)


def error(what: str, why: str, fix: str) -> Finding:
    return Finding("error", what, why, fix)


def status(findings: Iterable[Finding]) -> int:
    """0: nothing is wrong; 1: warnings; 2: errors."""
    severities = {finding.severity for finding in findings}
    return 2 if "error" in severities else 1 if "warning" in severities else 0
