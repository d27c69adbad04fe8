"""The Healthchecks checks of tenants, tenant-NAME: so that an alert names the tenant.

A ping is a success, a failure, or a /log where the probe could not look.

These are hundreds of pings at once, so they are sent with `hcrun.ping` in this process: the one
part of the core besides settings, errors and units that a probe imports. A process of `hcctl ping`
for each would take a minute. They are not kept for later as the results of hcrun are: the next run
has newer ones.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from hcrun.ping import client
from hcrun.ping.target import Target, resolve
from probes.framework.probe import Context
from probes.framework.verdict import Reading, Status, count, state_reading

ACTIONS = {Status.OK: "", Status.CRITICAL: "/fail", Status.UNKNOWN: "/log"}
RETRIES = client.Policy(3, 1.0)


class Checks:
    """The checks of the tenants of these names, pinged while others are still looked at."""

    def __init__(self, context: Context, names: Sequence[str], create: bool) -> None:
        self._look = context
        self._create = create
        self._end = time.monotonic() + context.deadline.left()
        self._pool = ThreadPoolExecutor(context.options["at_once"])
        self._pings: dict[str, Future[str]] = {}
        slugs = Counter(map(slug, names))
        self._shared = sorted(name for name in names if slugs[slug(name)] > 1)

    def tell(self, name: str, status: Status, text: str) -> None:
        """Ping the check of a tenant, in the background."""
        if name in self._shared:
            return
        source = self._look.source
        target = resolve(slug(name), source.settings, self._create)
        source.secrets |= set(target.secrets)
        body = source.quote(text)
        self._pings[name] = self._pool.submit(self._ping, target, ACTIONS[status], body)

    def _ping(self, target: Target, action: str, body: str) -> str:
        """Why the ping was not taken; "" if it was, or if pings are switched off."""
        if not target.url:
            return target.why
        reply = client.send(target.address(action), body, RETRIES, self._end)
        return "" if client.accepted(reply) else client.explain(reply, target)

    def told(self) -> Iterator[Reading]:
        """Wait for the pings that are under way -> what went wrong with them."""
        done, _ = wait(self._pings.values(), max(0.0, self._end - time.monotonic()))
        self._pool.shutdown(wait=False, cancel_futures=True)
        reasons = [
            (name, sent.result() if sent in done else "no time left; raise --timeout")
            for name, sent in self._pings.items()
        ]
        failed = [(name, why) for name, why in reasons if why]
        if failed:
            text = f"{len(failed)} of {count(len(reasons), 'ping')} not taken: {failed[0][1]}"
            yield state_reading("pings", Status.WARNING, text)
        if self._shared:
            text = f"{few(self._shared)} are not pinged, as they would share a check"
            yield state_reading(
                "names", Status.WARNING, text, "let them differ in a-z, 0-9, - and _"
            )


def slug(name: str) -> str:
    """The check of a tenant: `Acme Ltd.` has tenant-acme-ltd."""
    return "tenant-" + re.sub("[^a-z0-9_-]+", "-", name.lower()).strip("-")[:93]


def few(names: Sequence[str]) -> str:
    """The first ten, and how many more."""
    more = len(names) - 10
    return ", ".join(names[:10]) + (f" and {more} more" if more > 0 else "")
