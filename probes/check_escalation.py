#!/usr/bin/env python3
"""Escalation: are several of the most important checks down at once?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

from collections.abc import Sequence

from hcrun.text import counted
from probes.clients import healthchecks, http
from probes.framework.options import Threshold, option
from probes.framework.probe import LATENCY, Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading

NAMES = 5  # that fit into an alert on a phone


def check_escalation(context: Context) -> None:
    tags = context.options["tag"]
    with healthchecks.connect(context) as site:
        key = http.secret(context, healthchecks.READ_KEY)
        if not key:
            raise UnknownError("no read-only key", hint=f"set {healthchecks.READ_KEY}")
        checks, seconds = healthchecks.checks(site, key, tags)
        context.answered(seconds)
    checks = [check for check in checks if check.slug not in context.options["ignore"]]
    if not checks:
        raise UnknownError(f"no check has the tag {' and '.join(tags)}", hint="see --tag")
    context.add(evaluate(checks, " ".join(tags), context.ranges))


def evaluate(checks: Sequence[healthchecks.Check], tags: str, ranges: Ranges) -> Reading:
    """Evaluate the number of checks that are down."""
    down = [check.name for check in checks if check.status == "down"]
    text = f"{len(down)} of {counted(len(checks), f'{tags} check')} down"
    if down:
        text += f": {', '.join(down[:NAMES])}"
    if len(down) > NAMES:
        text += f" and {len(down) - NAMES} more"
    return Reading("down", len(down), "", text, *ranges["down"], minimum=0, maximum=len(checks))


PROBE = Probe(
    "escalation",
    """Check that no more than one of the most important checks is down.

    HEALTHCHECKS_API_URL is the address of the Healthchecks server. The read-only key of the project
    is not an option: set HEALTHCHECKS_READ_KEY_FILE (a path),
    $CREDENTIALS_DIRECTORY/healthchecks_read_key or HEALTHCHECKS_READ_KEY.
    """,
    check_escalation,
    url=healthchecks.URL,
    options=[
        *healthchecks.options(),
        option(
            "--tag",
            "HEALTHCHECKS_ESCALATION_TAG",
            "Tag of the checks; if repeated, they must have all of the tags.",
            default=["tier:1"],
            multiple=True,
            metavar="TAG",
        ),
        option(
            "--ignore",
            "HEALTHCHECKS_ESCALATION_IGNORE",
            "Slug of a check to ignore, such as this probe's own. May be repeated.",
            default=["escalation"],
            multiple=True,
            metavar="SLUG",
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("down", "", "off", "1", "checks that are down: a number, or per cent of all"),
    ],
)

if __name__ == "__main__":
    PROBE.run()
