"""The Healthchecks checks of tenants, tenant-NAME: an alert then names the tenant.

A ping is a success, a failure, or a /log if the tenant is UNKNOWN. Hundreds of pings are sent at
once, so `hcrun.ping` sends them in this process; one process for each would take a minute. Pings
that fail are not delivered later, because the next run has newer results.

`hcctl` creates the checks that are missing, like another check. A check that a ping creates alerts
after a day, by all channels.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from hcrun.ping import client
from hcrun.ping.http import Reply
from hcrun.ping.target import Target, resolve
from hcrun.text import counted, listed
from probes.framework import memory
from probes.framework.probe import Context
from probes.framework.verdict import Reading, Status, state_reading

ACTIONS = {Status.OK: "", Status.CRITICAL: "/fail", Status.UNKNOWN: "/log"}
RETRIES = client.Policy(3, 1.0)


class Checks:
    """The checks of tenants, pinged in the background."""

    def __init__(self, context: Context, names: Sequence[str]) -> None:
        self._context = context
        self._end = time.monotonic() + context.deadline.left()
        self._pool = ThreadPoolExecutor(context.options["at_once"])
        self._pings: dict[str, _Ping] = {}
        slugs = Counter(map(slug, names))
        self._shared = sorted(name for name in names if slugs[slug(name)] > 1)

    def ping(self, name: str, status: Status, text: str) -> None:
        """Start to ping the check of a tenant."""
        if name in self._shared:
            return
        source = self._context.source
        target = resolve(slug(name), source.settings)
        source.secrets |= set(target.secrets)
        body = source.quote(text)
        self._pings[name] = self._submit(_Ping(target, ACTIONS[status], body))

    def _submit(self, ping: "_Ping") -> "_Ping":
        if ping.target.url:
            address = ping.target.address(ping.action)
            ping.reply = self._pool.submit(client.send, address, ping.body, RETRIES, self._end)
        return ping

    def results(self) -> Iterator[Reading]:
        """Wait for the pings, create missing checks, and return what went wrong."""
        self._wait()
        like = self._context.options["like"]
        if self._context.options["create"] and (absent := self._absent()):
            problem = _create([ping.target.label for ping in absent], like, self._end)
            if problem:
                text = f"cannot create {counted(len(absent), 'check')}: "
                text += self._context.source.quote(problem)
                yield state_reading("creation", Status.WARNING, text)
            for ping in absent:
                self._submit(ping)
            self._wait()
        self._pool.shutdown(wait=False, cancel_futures=True)
        failed = list(filter(None, (ping.problem() for ping in self._pings.values())))
        if failed:
            total = counted(len(self._pings), "ping")
            text = f"{len(failed)} of {total} not accepted: {failed[0]}"
            yield state_reading("pings", Status.WARNING, text)
        if self._shared:
            text = f"{listed(self._shared, 10)} are not pinged: they would share a check"
            hint = "use names that differ in a-z, 0-9, - and _"
            yield state_reading("names", Status.WARNING, text, hint)

    def _wait(self) -> None:
        replies = [ping.reply for ping in self._pings.values() if ping.reply]
        wait(replies, max(0.0, self._end - time.monotonic()))

    def _absent(self) -> list["_Ping"]:
        return [
            ping
            for ping in self._pings.values()
            if ping.reply
            and ping.reply.done()
            and not ping.target.by_uuid
            and ping.reply.result().status == 404
            and client.rejected(ping.reply.result())
        ]


class _Ping:
    def __init__(self, target: Target, action: str, body: str) -> None:
        self.target = target
        self.action = action
        self.body = body
        self.reply: Future[Reply] | None = None

    def problem(self) -> str:
        """Why the ping was not accepted; "" if it was, or if pings are switched off."""
        if not self.reply:
            return self.target.why
        if not self.reply.done():
            return "no time left; raise --timeout"
        reply = self.reply.result()
        return "" if client.accepted(reply) else client.explain(reply, self.target)


def _create(slugs: Sequence[str], like: str, end: float) -> str:
    """Create checks like another one. Returns what went wrong, "" for nothing."""
    beside = os.path.join(os.path.dirname(sys.executable), "hcctl")
    program = beside if os.path.exists(beside) else "hcctl"
    words = ["set", "--create", "--like", like, *slugs]
    try:
        with memory.unlimited():
            done = subprocess.run(
                [program, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=max(0.1, end - time.monotonic()),
                check=False,
            )
    except subprocess.TimeoutExpired:
        return f"no time left; run hcctl {shlex.join(words)}"
    except OSError as error:
        return f"{program}: {error.strerror}"
    return done.stderr.strip() or "hcctl failed" if done.returncode else ""


def slug(name: str) -> str:
    """The slug of a tenant's check: tenant-acme-ltd for `Acme Ltd.`."""
    return "tenant-" + re.sub("[^a-z0-9_-]+", "-", name.lower()).strip("-")[:93]
