"""Run a command, tell Healthchecks how it went, and never harm the command."""

from __future__ import annotations

__version__ = "0.1.0"
