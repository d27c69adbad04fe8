"""What goes wrong with the monitoring is said in the log `hcrun`, and never raised."""

from __future__ import annotations

import logging
import time

_EVERY = 600.0  # seconds until the same is said again
_log = logging.getLogger("hcrun")
_said: dict[str, float] = {}


def complain(text: str) -> None:
    """A warning; the same one at most every ten minutes."""
    now = time.monotonic()
    if now - _said.get(text, -_EVERY) < _EVERY:
        return
    if len(_said) > 1000:
        _said.clear()
    _said[text] = now
    _log.warning("%s", text)
