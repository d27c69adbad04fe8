#!/usr/bin/env python3
"""Vault or OpenBao: is it unsealed, does it serve, how long is the token still valid?

The defaults, and why:
- sealed and not initialised are CRITICAL: nobody gets a secret. A standby is well if there is an
  active node; so is a performance standby, and a disaster recovery secondary, which serves nobody
  until it is promoted. An active node that cannot be reached from here is a WARNING.
- latency 500 ms, 1 s: sys/health reads nothing from the storage.
- token 24 h, 1 h: time to renew it by day, and the last moment. One that is not valid any more is
  CRITICAL: what uses it has lost its secrets. Without VAULT_TOKEN it is not looked at.
- skew 30 s, 5 min, between the clock of this host and the server's: leases and signed logins
  (JWT, AWS, TLS) begin to fail for a reason that nobody thinks of.
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
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from hcrun.units import span
from probes.clients import http, vault
from probes.framework.options import Threshold
from probes.framework.probe import LATENCY, Context, CriticalError, Probe, Ranges
from probes.framework.verdict import Reading, Status, state_reading

# What each status of sys/health means.
ACTIVE, STANDBY, DR_SECONDARY, PERFORMANCE_STANDBY = 200, 429, 472, 473
STATES = {
    ACTIVE: state_reading("state", Status.OK, "active"),
    STANDBY: state_reading("state", Status.OK, "standby"),
    DR_SECONDARY: state_reading("state", Status.OK, "disaster recovery secondary"),
    PERFORMANCE_STANDBY: state_reading("state", Status.OK, "performance standby"),
    501: state_reading("state", Status.CRITICAL, "not initialised", "vault operator init"),
    503: state_reading("state", Status.CRITICAL, "sealed", "vault operator unseal"),
}


def check_vault(context: Context) -> None:
    with vault.connect(context) as site:
        answer = site.get("/v1/sys/health")
        now = time.time() - answer.seconds / 2
        health = _health(answer)
        context.answered(answer.seconds)
        context.add(STATES[answer.status])
        if "server_time_utc" in health:
            context.add(evaluate_skew(now - health["server_time_utc"], context.ranges))
        if STATES[answer.status].status:
            return
        if answer.status in (STANDBY, PERFORMANCE_STANDBY):
            context.add(_look_at_leader(site, context))
        token = http.secret(context, "VAULT_TOKEN")
        if token and answer.status != DR_SECONDARY:  # which cannot look into a token
            context.add(_look_at_token(site, context, token))


def _health(answer: http.Answer) -> Mapping[str, Any]:
    if answer.status in STATES:
        try:
            health = answer.json()
            if isinstance(health, dict) and "initialized" in health:
                return health
        except ValueError:
            pass
        raise CriticalError("sys/health answers with something else", hint=vault.RIGHT_URL)
    raise vault.refused(answer, "sys/health")


def _look_at_leader(site: http.Site, context: Context) -> Reading:
    """A standby is worth something with an active node; it may name one that is dead."""
    try:
        address = site.get("/v1/sys/leader").json()["leader_address"]
        if not address:
            hint = "unseal another node, or see its log for why none can lead"
            return state_reading("leader", Status.CRITICAL, "there is no active node", hint)
        http.split_url(address)
    except (ValueError, TypeError, KeyError):
        return state_reading("leader", Status.UNKNOWN, "sys/leader does not tell the active node")
    what = f"the active node {address}"
    try:
        with vault.at(context, address) as leader:
            status = leader.get("/v1/sys/health", context.deadline.left() / 2).status
    except CriticalError as error:
        # Maybe it only is this host that cannot reach it.
        return state_reading("leader", Status.WARNING, f"{what}: {error.what}")
    except TimeoutError:
        return state_reading("leader", Status.WARNING, f"{what} does not answer")
    if status == ACTIVE:
        return state_reading("leader", Status.OK, "")
    state = STATES[status].text if status in STATES else f"in trouble (status {status})"
    return state_reading("leader", Status.CRITICAL, f"{what} is {state}")


def evaluate_skew(behind: float, ranges: Ranges) -> Reading:
    """`behind` are the seconds for which the server's clock, in whole seconds, is behind ours."""
    skew = max(0.0, abs(behind - 0.5) - 0.5)  # it cuts the fraction off
    which = "behind" if behind > 0 else "ahead of"
    text = f"its clock is {span(skew)} {which} this host's" if skew >= 1 else ""
    return Reading("skew", skew, "s", text, *ranges["skew"], minimum=0, hint="see NTP on both")


def _look_at_token(site: http.Site, context: Context, token: str) -> Reading:
    path = "auth/token/lookup-self"
    answer = vault.get(site, path, context, token)
    if vault.is_invalid(answer):
        hint = "log in again, and renew it in time"
        return state_reading(
            "token", Status.CRITICAL, "the token is not valid, or has expired", hint
        )
    if answer.status != 200:
        raise vault.refused(answer, path)
    return evaluate_token(vault.data(answer, path), context.ranges)


def evaluate_token(token: Mapping[str, Any], ranges: Ranges) -> Reading:
    left = token.get("ttl")
    if left == 0 and not token.get("expire_time"):
        return state_reading("token", Status.OK, "the token never expires")
    hint = "renew it" if token.get("renewable") else "it cannot be renewed: log in again"
    text = f"the token is valid for {span(left)}" if left is not None else ""
    return Reading("token", left, "s", text, *ranges["token"], minimum=0, hint=hint)


PROBE = Probe(
    "vault",
    """Look whether Vault or OpenBao is unsealed and serves, and how long a token is still valid.

    VAULT_ADDR says where it is. The token is never a flag: it is in VAULT_TOKEN_FILE (a path), in
    $CREDENTIALS_DIRECTORY/vault_token, or in VAULT_TOKEN. Without one, none is looked at.
    """,
    check_vault,
    url=vault.URL,
    options=vault.options(),
    thresholds=[
        LATENCY,
        Threshold("token", "s", "24h:", "1h:", "time that the token is still valid"),
        Threshold("skew", "s", "30s", "5m", "difference between its clock and this host's"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
