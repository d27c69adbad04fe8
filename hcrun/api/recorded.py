"""`Recorded`: a ping that `hcrun.testing.recording()` catches instead of sending it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """One ping that `recording()` caught; `check` is as the application gave it."""

    check: str
    action: str  # start, success, fail or log
    text: str = ""


pings: list[Recorded] | None = None  # those caught; None: pings are sent
