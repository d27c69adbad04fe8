"""One ping: tries, delays, and what the server's answer means."""

from __future__ import annotations

import os
import time

from hcrun.ping.http import post
from hcrun.ping.wire import Reply, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.ping.target import Target

FIRST_TRY = 10.0  # seconds; a loaded server answers the slowest of 1,000 pings in 4
_GLANCE = 0.2  # seconds between questions whether a further try is still wanted
_TRANSIENT = (408, 425, 429)
# What a Healthchecks server says of a ping that it will never take.
_REFUSALS = {
    400: ("invalid url format", "invalid uuid format"),
    404: ("not found",),
    409: ("ambiguous slug",),
}


class Policy:
    """How often a ping is tried."""

    def __init__(self, tries: int, delay: float) -> None:
        self.tries = tries
        self.delay = delay  # seconds before the second try; doubled for each further one

    def pause(self, tried: int, reply: Reply) -> float:
        """Seconds to wait after `tried` tries: growing, with jitter, or what the server asks."""
        asked = whole(reply.headers.get("retry-after", ""))
        if asked is not None:
            return float(asked)
        jitter = 0.5 + os.urandom(1)[0] / 510  # 0.5 to 1
        return float(self.delay * 2 ** (tried - 1) * jitter)


def send(
    url: str,
    text: str,
    policy: Policy,
    deadline: float,
    given_up: Callable[[], bool] = lambda: False,
) -> Reply:
    """POST a ping until it is taken, refused for good, or `deadline` (monotonic) has come.

    `given_up` is asked while it waits for a further try, up to the last moment: a start must not
    be sent when its end is, however long the server has asked to be left alone.
    """
    body = text.encode("utf-8", "replace")
    tried = 0
    while True:
        timeout = min(FIRST_TRY, deadline - time.monotonic())
        reply = post(url, body, timeout) if timeout > 0 else Reply(0, "no time left")
        tried += 1
        if not retryable(reply) or tried >= policy.tries:
            return reply
        until = time.monotonic() + policy.pause(tried, reply)
        if until >= deadline:
            return reply
        while not given_up() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE))
        if given_up():
            return reply


def accepted(reply: Reply) -> bool:
    """Whether a Healthchecks server has recorded the ping."""
    genuine = "ping-body-limit" in reply.headers or reply.text in ("OK", "Created")
    return 200 <= reply.status < 300 and genuine


def retryable(reply: Reply) -> bool:
    """Whether another try may go better. A 200 that is no Healthchecks' is of a log-in page."""
    if 200 <= reply.status < 300:
        return not accepted(reply)
    return not reply.status or reply.status >= 500 or reply.status in _TRANSIENT


def rejected(reply: Reply) -> bool:
    """Whether the server itself will never take the ping.

    Others refuse in its place, for as long as it restarts or somebody mends a setting: a proxy
    that knows no such host (404), a firewall (403). Such results are kept.
    """
    return reply.text in _REFUSALS.get(reply.status, ())


def body_limit(reply: Reply) -> int | None:
    """What the server says it keeps of a body, in bytes."""
    return whole(reply.headers.get("ping-body-limit", ""))


def explain(reply: Reply, target: Target) -> str:
    """What went wrong, in one line, with the next step. Never contains the URL."""
    if not reply.status:
        return f"the server could not be reached: {reply.error}"
    if 200 <= reply.status < 300 or (reply.status == 404 and not rejected(reply)):
        return (
            "what answered is no Healthchecks server; is HEALTHCHECKS_PING_URL right"
            " (https://hc.example.com/ping)?"
        )
    if reply.status == 404 and target.by_uuid:
        return "no check has this UUID; look at the check's page, or make it again"
    if reply.status == 404:
        return (
            f"no check has the slug {target.label} under this ping key;"
            " make it, add --create, or look at HEALTHCHECKS_PING_KEY"
        )
    if reply.status == 409:
        return f"several checks have the slug {target.label}; give all but one another slug"
    answer = f"{reply.status} {reply.text.splitlines()[0][:100] if reply.text else ''}".strip()
    if reply.status == 400:
        return f"the server refused the ping as wrong: {answer}"
    if retryable(reply):
        return f"the server is in trouble: {answer}"
    return f"the server refused the ping: {answer}"
