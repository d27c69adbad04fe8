#!/usr/bin/env python3
"""A Healthchecks server: does it answer, and does it send its alerts?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections.abc import Mapping, Sequence

from hcrun.text import counted
from hcrun.units import span
from probes.clients import healthchecks as api
from probes.clients import http
from probes.framework import state
from probes.framework.probe import Context, CriticalError, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

METRICS_KEY = "HEALTHCHECKS_METRICS_KEY"
MEMORY = 3600.0  # seconds between two runs that see the same flips
HINT = "check that sendalerts is running, and its log"


def check_healthchecks(context: Context) -> None:
    with api.connect(context) as site:
        answer = site.get("/status/")
        if answer.status != 200:
            raise api.refused(site, "/status/", answer, "the password in HEALTHCHECKS_API_URL")
        if answer.body != b"OK":
            raise CriticalError(f"{site.url}/status/ does not answer OK", hint=api.RIGHT_URL)
        site.answered(answer)
        further = {api.READ_KEY: _check_overdue, METRICS_KEY: _check_unsent}
        keys = {name: http.secret(context, name) for name in further}
        for name, key in keys.items():
            if key:
                try:
                    further[name](site, key, context)
                except UnknownError as error:  # the other key may work
                    context.add(state_reading(name, Status.UNKNOWN, error.what, error.hint))
    if not any(keys.values()):
        text = f"alerts not checked: no {' or '.join(keys)}"
        context.add(state_reading("alerts", Status.OK, text))


def _check_overdue(site: http.Site, key: str, context: Context) -> None:
    checks, _ = api.checks(site, key)
    context.add(evaluate_overdue(checks, time.time(), context.ranges))


def evaluate_overdue(checks: Sequence[api.Check], now: float, ranges: Ranges) -> Reading:
    """Evaluate the alert that is overdue the longest. `now` is in seconds since the epoch."""
    # A check with a run in progress also has a next ping when it is down.
    waiting = [one for one in checks if one.status == "down" and not one.started]
    late = [(now - one.next_ping - one.grace, one.name) for one in waiting if one.next_ping]
    seconds, name = max(late, default=(0.0, ""))
    text = ""
    if late:
        text = f"{counted(len(late), 'alert')} overdue, that of {name} by {span(seconds)}"
    return Reading("overdue", max(0, seconds), "s", text, *ranges["overdue"], minimum=0, hint=HINT)


def _check_unsent(site: http.Site, key: str, context: Context) -> None:
    now, unsent = time.time(), _unsent(site, key)
    seconds, text = 0.0, ""

    def update(before: Mapping[str, float]) -> Mapping[str, float]:
        nonlocal seconds
        if not unsent:
            return {}
        seen = before.get("seen", 0.0)
        since = before["since"] if now - MEMORY < seen <= now and "since" in before else now
        seconds = now - since
        return {"since": since, "seen": now}

    problem = state.exchange(context.source.settings, "healthchecks", site.url, update)
    if unsent:
        text = f"{counted(unsent, 'flip')} without a notification for {span(seconds)}"
        if problem:
            context.add(state.unkept(problem, "since when flips wait"))
    limits = context.ranges["unsent"]
    context.add(Reading("unsent", seconds, "s", text, *limits, minimum=0, hint=HINT))


def _unsent(site: http.Site, key: str) -> int:
    answer = site.get("/metrics/", headers={"X-Metrics-Key": key})
    if answer.status == 403:
        hint = f"{METRICS_KEY} must be the METRICS_KEY of the server"
        raise UnknownError(f"{site.url}/metrics/ answers 403 Forbidden", hint=hint)
    if answer.status != 200:
        raise api.refused(site, "/metrics/", answer, METRICS_KEY)
    name = "num_unprocessed_flips"
    return int(api.read(site, "/metrics/", answer, lambda data: data.whole(name)))


TABLE = table("healthchecks", types=api.TYPES)
PROBE = Probe("healthchecks", TABLE, check_healthchecks, url=api.URL)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
