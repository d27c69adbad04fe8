"""The Healthchecks checks of tenants, tenant-NAME: an alert then names the tenant.

A ping is a success, a failure, or a /log if the tenant is UNKNOWN. Hundreds of pings are sent at
once, so `hcrun.ping` sends them in this process; one process for each would take a minute. Pings
that fail are not delivered later, because the next run has newer results.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from hcrun.ping import client
from hcrun.ping.target import Target, resolve
from hcrun.text import counted, listed
from probes.framework.probe import Context
from probes.framework.verdict import Reading, Status, state_reading

ACTIONS = {Status.OK: "", Status.CRITICAL: "/fail", Status.UNKNOWN: "/log"}
RETRIES = client.Policy(3, 1.0)


class Checks:
    """The checks of tenants, pinged in the background."""

    def __init__(self, context: Context, names: Sequence[str], create: bool) -> None:
        self._context = context
        self._create = create
        self._end = time.monotonic() + context.deadline.left()
        self._pool = ThreadPoolExecutor(context.options["at_once"])
        self._pings: dict[str, Future[str]] = {}
        slugs = Counter(map(slug, names))
        self._shared = sorted(name for name in names if slugs[slug(name)] > 1)

    def ping(self, name: str, status: Status, text: str) -> None:
        """Start to ping the check of a tenant."""
        if name in self._shared:
            return
        source = self._context.source
        target = resolve(slug(name), source.settings, self._create)
        source.secrets |= set(target.secrets)
        body = source.quote(text)
        self._pings[name] = self._pool.submit(self._send, target, ACTIONS[status], body)

    def _send(self, target: Target, action: str, body: str) -> str:
        """Why the ping was not accepted; "" if it was, or if pings are switched off."""
        if not target.url:
            return target.why
        reply = client.send(target.address(action), body, RETRIES, self._end)
        return "" if client.accepted(reply) else client.explain(reply, target)

    def results(self) -> Iterator[Reading]:
        """Wait for the pings, and return what went wrong with them."""
        done, _ = wait(self._pings.values(), max(0.0, self._end - time.monotonic()))
        self._pool.shutdown(wait=False, cancel_futures=True)
        reasons = [
            (name, sent.result() if sent in done else "no time left; raise --timeout")
            for name, sent in self._pings.items()
        ]
        failed = [(name, why) for name, why in reasons if why]
        if failed:
            text = f"{len(failed)} of {counted(len(reasons), 'ping')} not accepted: {failed[0][1]}"
            yield state_reading("pings", Status.WARNING, text)
        if self._shared:
            text = f"{listed(self._shared, 10)} are not pinged: they would share a check"
            hint = "use names that differ in a-z, 0-9, - and _"
            yield state_reading("names", Status.WARNING, text, hint)


def slug(name: str) -> str:
    """The slug of a tenant's check: tenant-acme-ltd for `Acme Ltd.`."""
    return "tenant-" + re.sub("[^a-z0-9_-]+", "-", name.lower()).strip("-")[:93]
