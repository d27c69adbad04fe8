"""Whether the server sends its alerts, and whether its clock is ours."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from hcrun.api.client import HealthchecksClient, RemoteCheck
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.errors import ApiError
from hcrun.text import counted
from hcrun.units import span

ALERT = 5.0  # seconds that an alert may take to be on its way; sendalerts looks every 2
OVERDUE = 60.0  # seconds after which an alert that was not made is missing
SKEW = 10.0, 120.0  # seconds: warning, error


def evaluate_overdue(checks: Iterable[RemoteCheck], now: float) -> Finding:
    """A check that is down and was marked so expects no ping; where it still does, nobody was told.

    One that has started expects its end, marked or not.
    """
    late = [
        (now - check.next_ping - check.grace, check.slug or check.name)
        for check in checks
        if check.status == "down" and not check.started and check.next_ping
    ]
    seconds, name = max(late, default=(0.0, ""))
    if seconds < OVERDUE:
        return ok("no alert is overdue")
    return error(
        f"{counted(len(late), 'alert')} overdue, that of {name} by {span(seconds)}",
        "the server does not send its alerts",
        "is sendalerts running? docker compose logs healthchecks",
    )


def numbers(client: HealthchecksClient, key: str) -> tuple[int, float]:
    """Changes that nobody was told of yet, and the server's clock; `key` is the metrics key."""
    said = client.metrics(key)
    try:
        return int(said["num_unprocessed_flips"]), float(said["ts"])
    except (KeyError, TypeError, ValueError):
        raise ApiError("are not those of Healthchecks 4", status=200) from None


def still_unsent(client: HealthchecksClient, key: str) -> int:
    """Those that nobody is told of while we look; that there are some is no sign of trouble."""
    until = time.monotonic() + ALERT
    fewest, _ = numbers(client, key)
    while fewest and time.monotonic() < until:
        time.sleep(0.5)
        fewest = min(fewest, numbers(client, key)[0])
    return fewest


def evaluate_unsent(unsent: int) -> Finding:
    if not unsent:
        return ok("alerts are sent")
    return error(
        f"{counted(unsent, 'change')} of which nobody was told",
        "the server does not send its alerts",
        "is sendalerts running? docker compose logs healthchecks",
    )


def evaluate_clock(theirs: float | None, ours: float) -> Finding:
    """Seconds since the epoch; `theirs` is None when nothing told it."""
    if theirs is None:
        return note(
            "the server's clock cannot be known",
            "it says no date, and has no metrics key here",
            "set HEALTHCHECKS_METRICS_KEY",
        )
    ahead = ours - theirs
    if abs(ahead) < SKEW[0]:
        return ok("this host and the server agree on the time")
    make = error if abs(ahead) >= SKEW[1] else warning
    direction = "ahead of" if ahead > 0 else "behind"
    at = datetime.fromtimestamp(theirs).astimezone().strftime("%H:%M:%S")
    return make(
        f"this host's clock is {span(abs(ahead))} {direction} the server's ({at} there)",
        "jobs run at other times than their checks expect, and alarm early or late",
        "timedatectl set-ntp true, on both",
    )
