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

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from hcrun.errors import HcrunError
from hcrun.text import counted, listed
from probes.clients import healthchecks, http
from probes.clients.healthchecks import Check
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

NEEDS = "needs:"  # before the slug, in a tag that hcctl sync sets
RECOVERY = 300  # seconds after which a check has run again, once what it needs is up


def check_escalation(context: Context) -> None:
    tags = context.options["tag"]
    with healthchecks.connect(context) as site:
        key = http.secret(context, healthchecks.READ_KEY)
        if not key:
            raise UnknownError("no read-only key", hint=f"set {healthchecks.READ_KEY}")
        try:
            checks = [
                check
                for check in healthchecks.checks(site, key, tags)[0]
                if check.slug not in context.options["ignore"]
            ]
            causes = [check for check in checks if check.status == "down"]
            if causes:
                recovery = cache(lambda need: healthchecks.recovery(site, key, need, RECOVERY))
                causes = root_causes(causes, healthchecks.checks(site, key)[0], recovery)
        except (HcrunError, ConnectionError) as error:  # what probe-healthchecks reports
            text = f"could not look: {context.source.quote(error)}"
            context.add(state_reading("look", Status.OK, text))
            return
    if not checks:
        raise UnknownError(f"no check has the tag {' and '.join(tags)}", hint="see --tag")
    context.add(evaluate(checks, causes, " ".join(tags), context.ranges))


def needs(check: Check, by_tag: Mapping[str, Check]) -> set[Check]:
    """The checks that it needs, and that they need; none of a circle, as all would wait."""
    found: set[Check] = set()
    waiting = [check]
    while waiting:
        new = {by_tag[tag] for tag in waiting.pop().tags if tag in by_tag} - found
        found |= new
        waiting += new
    return set() if check in found else found


def root_causes(
    down: Sequence[Check], everything: Sequence[Check], recovery: Callable[[Check], float]
) -> list[Check]:
    """Those that are down although all that they need is up, and was when they were pinged.

    `recovery` tells when a check went up, 0 for long ago.
    """
    by_tag = {NEEDS + check.slug: check for check in everything}
    return [
        check
        for check in down
        if all(
            need.status != "down" and recovery(need) <= check.last_ping
            for need in needs(check, by_tag)
        )
    ]


def evaluate(
    checks: Sequence[Check], causes: Sequence[Check], tags: str, ranges: Ranges
) -> Reading:
    """Evaluate the number of checks that are down by a cause of their own."""
    down = sum(check.status == "down" for check in checks)
    text = f"{down} of {counted(len(checks), f'{tags} check')} down"
    if down > len(causes):
        text += f", {counted(len(causes), 'root cause')}"
    if causes:
        text += f": {listed(cause.name for cause in causes)}"
    return Reading("down", len(causes), "", text, *ranges["down"], minimum=0, maximum=len(checks))


TABLE = table("escalation", types=healthchecks.TYPES)
PROBE = Probe("escalation", TABLE, check_escalation, url=healthchecks.URL, late=Status.OK)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
