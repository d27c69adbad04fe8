"""Whether the server sends its alerts, and whether its clock is ours."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from email.utils import parsedate_to_datetime

from hcrun.api import HealthchecksClient, RemoteCheck
from hcrun.doctor.finding import Finding, Say, counted, error, note, ok, warning
from hcrun.errors import ApiError
from hcrun.units import span

ALERT = 5.0  # seconds that an alert may take to be on its way; sendalerts looks every 2
OVERDUE = 60.0  # seconds after which an alert that was not made is missing
SKEW = 10.0, 120.0  # seconds: warning, error


def judge_overdue(checks: Iterable[RemoteCheck], now: float) -> Finding:
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


def look_at_metrics(client: HealthchecksClient, key: str, date: str, say: Say) -> None:
    """`key`: the metrics key, "" without one. `date`: that of another answer of the server."""
    times = (_date(date), time.time())
    if key:
        try:
            unsent, theirs = _metrics(client, key)
            times = (theirs, time.time())
            say(judge_unsent(_still(client, key) if unsent else 0))
        except ApiError as problem:
            say(
                error(
                    f"metrics: {problem.what}",
                    "whether alerts are sent cannot be known",
                    problem.hint or "look at the server's log",
                )
            )
    else:
        say(
            note(
                "no metrics key",
                "whether alerts wait to be sent cannot be known",
                "set HEALTHCHECKS_METRICS_KEY to the METRICS_KEY of the server",
            )
        )
    say(judge_clock(*times))


def _metrics(client: HealthchecksClient, key: str) -> tuple[int, float]:
    """Changes that nobody was told of yet, and the server's time."""
    numbers = client.metrics(key)
    try:
        return int(numbers["num_unprocessed_flips"]), float(numbers["ts"])
    except (KeyError, TypeError, ValueError):
        raise ApiError("the server's metrics are not those of Healthchecks 4") from None


def _still(client: HealthchecksClient, key: str) -> int:
    """Those that nobody is told of while we look; that there are some is no sign of trouble."""
    until = time.monotonic() + ALERT
    fewest, _ = _metrics(client, key)
    while fewest and time.monotonic() < until:
        time.sleep(0.5)
        fewest = min(fewest, _metrics(client, key)[0])
    return fewest


def judge_unsent(unsent: int) -> Finding:
    if not unsent:
        return ok("alerts are sent")
    return error(
        f"{counted(unsent, 'change')} of which nobody was told",
        "the server does not send its alerts",
        "is sendalerts running? docker compose logs healthchecks",
    )


def _date(header: str) -> float | None:
    """An HTTP date, which a proxy adds; the server itself says none."""
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError):
        return None


def judge_clock(theirs: float | None, ours: float) -> Finding:
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
