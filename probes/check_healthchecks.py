#!/usr/bin/env python3
"""A Healthchecks server: does it answer, and does it send its alerts?

It cannot tell of its own end, so a second one, or the hosted one, gets the result of this.

The defaults, and why:
- latency 500 ms, 1 s: status/ is one SELECT 1 in the server's database.
- unsent 0, 10: changes that nobody was told of, with the metrics key. They wait 2 s when all is
  well, so the ones that are still there after a few seconds count.
- overdue 1 min, 5 min: with the read key. Without sendalerts a check that falls silent is shown
  as down, but is not marked as down, and is no unsent change either: the server's own numbers
  look perfect. What gives it away is that such a check still expects its next ping.
Without either key it only is known that the server answers, and that is said.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from hcrun.units import span
from probes.clients import healthchecks as api
from probes.clients import http
from probes.framework.options import Threshold
from probes.framework.probe import LATENCY, Context, CriticalError, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, count, state_reading

METRICS_KEY = "HEALTHCHECKS_METRICS_KEY"
PATIENCE = 5.0  # seconds for an alert to be on its way; sendalerts looks every 2
HINT = "is sendalerts running? see its log"


def check_healthchecks(context: Context) -> None:
    with api.connect(context) as site:
        answer = site.get("/status/")
        if answer.status != 200:
            raise api.refused(site, "/status/", answer, "the password in HEALTHCHECKS_API_URL")
        if answer.body != b"OK":
            raise CriticalError(f"{site.url}/status/ does not answer OK", hint=api.RIGHT_URL)
        context.answered(answer.seconds)
        keys = {name: http.secret(context, name) for name in (api.READ_KEY, METRICS_KEY)}
        looks: Mapping[str, Callable[[http.Site, str, Context], None]] = {
            api.READ_KEY: _look_at_checks,
            METRICS_KEY: _look_at_metrics,
        }
        for name, look_further in looks.items():
            if keys[name]:
                try:
                    look_further(site, keys[name], context)
                except UnknownError as error:  # the other key may still do
                    context.add(state_reading(name, Status.UNKNOWN, error.what, error.hint))
    if not any(keys.values()):
        text = f"nothing is known of its alerts: no {' or '.join(keys)}"
        context.add(state_reading("alerts", Status.OK, text))


def _look_at_checks(site: http.Site, key: str, context: Context) -> None:
    checks, _ = api.checks(site, key)
    context.add(evaluate_overdue(checks, time.time(), context.ranges))


def evaluate_overdue(checks: Sequence[api.Check], now: float, ranges: Ranges) -> Reading:
    """For how long the oldest alert has not been made. `now` in seconds since the epoch."""
    late: list[tuple[float, str]] = []
    for check in checks:
        # One that has started expects its end, marked as down or not.
        if check["status"] == "down" and not check.get("started") and check.get("next_ping"):
            due = datetime.fromisoformat(check["next_ping"]).timestamp() + check["grace"]
            late.append((now - due, check["name"] or "a check without a name"))
    seconds, name = max(late, default=(0.0, ""))
    text = ""
    if late:
        text = f"{count(len(late), 'alert')} overdue, the one of {name} by {span(seconds)}"
    return Reading("overdue", max(0, seconds), "s", text, *ranges["overdue"], minimum=0, hint=HINT)


def _look_at_metrics(site: http.Site, key: str, context: Context) -> None:
    unsent = _unsent(site, key)
    end = time.monotonic() + min(PATIENCE, context.deadline.left() / 2)
    while unsent and time.monotonic() < end:
        time.sleep(0.5)
        unsent = min(unsent, _unsent(site, key))
    text = f"{count(unsent, 'change')} of which nobody was told" if unsent else ""
    context.add(
        Reading("unsent", unsent, "", text, *context.ranges["unsent"], minimum=0, hint=HINT)
    )


def _unsent(site: http.Site, key: str) -> int:
    answer = site.get("/metrics/", headers={"X-Metrics-Key": key})
    if answer.status == 403:
        hint = f"{METRICS_KEY} must be the METRICS_KEY of the server"
        raise UnknownError(f"{site.url}/metrics/ answers 403 Forbidden", hint=hint)
    if answer.status != 200:
        raise api.refused(site, "/metrics/", answer, METRICS_KEY)
    try:
        return int(answer.json()["num_unprocessed_flips"])
    except (ValueError, TypeError, KeyError):
        text = f"{site.url}/metrics/ does not answer with num_unprocessed_flips"
        raise CriticalError(text, hint=api.RIGHT_URL) from None


PROBE = Probe(
    "healthchecks",
    """Look whether a Healthchecks server answers and sends its alerts.

    HEALTHCHECKS_API_URL says where it is. Whether alerts are overdue is seen with the read-only
    key of a project, HEALTHCHECKS_READ_KEY, and what waits to be sent with the metrics key of the
    server, HEALTHCHECKS_METRICS_KEY. They are never flags: they are in these variables, in files
    that HEALTHCHECKS_READ_KEY_FILE and HEALTHCHECKS_METRICS_KEY_FILE name, or in
    $CREDENTIALS_DIRECTORY/healthchecks_read_key and healthchecks_metrics_key.
    """,
    check_healthchecks,
    url=api.URL,
    options=api.options(),
    thresholds=[
        LATENCY,
        Threshold("overdue", "s", "1m", "5m", "time since an alert should have been sent"),
        Threshold("unsent", "", "0", "10", "changes that nobody was told of"),
    ],
)


main, run = PROBE.main, PROBE.run


if __name__ == "__main__":
    run()
