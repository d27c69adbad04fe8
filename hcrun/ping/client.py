"""Sends one ping: tries, delays, and the meaning of the server's answer."""

from __future__ import annotations

import posix
import time

from hcrun.text import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.ping.http import Reply
    from hcrun.ping.target import Target

LIMIT = 10_000  # bytes of a body, until the server says otherwise (Ping-Body-Limit)
FIRST_TRY = 10.0  # seconds; a loaded server answers the slowest of 1,000 pings in 4
_GLANCE = 0.2  # seconds between the questions whether another try is still wanted
_RETRYABLE = (408, 425, 429)
# What a Healthchecks server says to a ping that it will never accept.
_REJECTIONS = {
    400: ("invalid url format", "invalid uuid format"),
    404: ("not found",),
    409: ("ambiguous slug",),
}


class Policy:
    """How often a ping is tried."""

    def __init__(self, tries: int, delay: float) -> None:
        self.tries = tries
        self.delay = delay  # seconds before the second try; doubled for each further one

    def pause(self, tries: int, reply: Reply) -> float:
        """Seconds to wait after `tries` tries: growing, with jitter, or as the server asks."""
        asked = decimal(reply.headers.get("retry-after", ""))
        if asked is not None:
            return float(asked)
        jitter = 0.5 + posix.urandom(1)[0] / 510  # 0.5 to 1
        return float(self.delay * 2 ** (tries - 1) * jitter)


def send(
    url: str,
    text: str,
    policy: Policy,
    deadline: float,
    given_up: Callable[[], bool] = lambda: False,
) -> Reply:
    """POST a ping until it is accepted or rejected, or until `deadline` (monotonic).

    While it waits for another try it asks `given_up`, up to the last moment: a start must not be
    sent after its end, however long the server has asked to wait.
    """
    from hcrun.ping.http import Reply, post  # loads sockets: not for a run without a server

    body = text.encode("utf-8", "replace")
    tries = 0
    while True:
        timeout = min(FIRST_TRY, deadline - time.monotonic())
        reply = post(url, body, timeout) if timeout > 0 else Reply(0, "no time left")
        tries += 1
        if not retryable(reply) or tries >= policy.tries:
            return reply
        until = time.monotonic() + policy.pause(tries, reply)
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
    """Whether another try may succeed. A 200 of something else is the page of a log-in."""
    if 200 <= reply.status < 300:
        return not accepted(reply)
    return not reply.status or reply.status >= 500 or reply.status in _RETRYABLE


def too_often(reply: Reply) -> bool:
    """Whether a limit dropped the ping: the hosted server answers 429 to a slug, 200 to a UUID."""
    return reply.status == 429 or (reply.status == 200 and reply.text.startswith("OK (rate"))


def rejected(reply: Reply) -> bool:
    """Whether the Healthchecks server itself will never accept the ping.

    Something else may refuse it while the server restarts or a setting is wrong: a proxy that does
    not know the host (404), a firewall (403). Such results are kept.
    """
    return reply.text in _REJECTIONS.get(reply.status, ())


def body_limit(reply: Reply) -> int | None:
    """How many bytes of a body the server keeps, if it says so."""
    return decimal(reply.headers.get("ping-body-limit", ""))


def explain(reply: Reply, target: Target, create: str = "add --create to create it") -> str:
    """What went wrong and what to do, in one line. Never contains the URL."""
    if not reply.status:
        return f"cannot reach the server: {reply.error}"
    if too_often(reply):
        return (
            f"pinged too often ({reply.status}); run {target.label} less often, add --no-start, or"
            " raise the limit of the server"
        )
    if 200 <= reply.status < 300 or (reply.status == 404 and not rejected(reply)):
        return (
            "the answer is not from a Healthchecks server; set HEALTHCHECKS_PING_URL"
            " like https://hc.example.com/ping"
        )
    if reply.status == 404 and target.by_uuid:
        return "no check has this UUID; copy it from the check's page, or create the check again"
    if reply.status == 404 and target.create:
        return (
            f"the server did not create {target.label}; correct HEALTHCHECKS_PING_KEY, or delete"
            " checks if the account has too many"
        )
    if reply.status == 404:
        return (
            f"no check has the slug {target.label} in this project; {create}, or correct"
            " HEALTHCHECKS_PING_KEY"
        )
    if reply.status == 409:
        return f"several checks have the slug {target.label}; change the slug of all but one"
    message = reply.text.partition("\n")[0][:100]
    state = "is unavailable" if retryable(reply) else "refused the ping"
    return f"the server {state}: {reply.status} {message}".rstrip()
