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
from probes.clients import http as web
from probes.clients import vault
from probes.framework.options import Threshold
from probes.framework.probe import LATENCY, DownError, Limits, Look, Probe
from probes.framework.verdict import Reading, Status, finding

# What each status of sys/health means.
ACTIVE, STANDBY, DR_SECONDARY, PERFORMANCE_STANDBY = 200, 429, 472, 473
STATES = {
    ACTIVE: finding("state", Status.OK, "active"),
    STANDBY: finding("state", Status.OK, "standby"),
    DR_SECONDARY: finding("state", Status.OK, "disaster recovery secondary"),
    PERFORMANCE_STANDBY: finding("state", Status.OK, "performance standby"),
    501: finding("state", Status.CRITICAL, "not initialised", "vault operator init"),
    503: finding("state", Status.CRITICAL, "sealed", "vault operator unseal"),
}


def look_at_vault(look: Look) -> None:
    with vault.connect(look) as site:
        answer = site.get("/v1/sys/health")
        now = time.time() - answer.seconds / 2
        health = _health(answer)
        look.answered(answer.seconds)
        look.add(STATES[answer.status])
        if "server_time_utc" in health:
            look.add(judge_skew(now - health["server_time_utc"], look.limits))
        if STATES[answer.status].status:
            return
        if answer.status in (STANDBY, PERFORMANCE_STANDBY):
            look.add(_look_at_leader(site, look))
        token = web.secret(look, "VAULT_TOKEN")
        if token and answer.status != DR_SECONDARY:  # which cannot look into a token
            look.add(_look_at_token(site, look, token))


def _health(answer: web.Answer) -> Mapping[str, Any]:
    if answer.status in STATES:
        try:
            health = answer.json()
            if isinstance(health, dict) and "initialized" in health:
                return health
        except ValueError:
            pass
        raise DownError("sys/health answers with something else", hint=vault.RIGHT_URL)
    raise vault.refused(answer, "sys/health")


def _look_at_leader(site: web.Site, look: Look) -> Reading:
    """A standby is worth something with an active node; it may name one that is dead."""
    try:
        address = site.get("/v1/sys/leader").json()["leader_address"]
        if not address:
            hint = "unseal another node, or see its log for why none can lead"
            return finding("leader", Status.CRITICAL, "there is no active node", hint)
        web.split_url(address)
    except (ValueError, TypeError, KeyError):
        return finding("leader", Status.UNKNOWN, "sys/leader does not tell the active node")
    what = f"the active node {address}"
    try:
        with vault.at(look, address) as leader:
            status = leader.get("/v1/sys/health", look.deadline.left() / 2).status
    except DownError as error:
        # Maybe it only is this host that cannot reach it.
        return finding("leader", Status.WARNING, f"{what}: {error.what}")
    except TimeoutError:
        return finding("leader", Status.WARNING, f"{what} does not answer")
    if status == ACTIVE:
        return finding("leader", Status.OK, "")
    state = STATES[status].text if status in STATES else f"in trouble (status {status})"
    return finding("leader", Status.CRITICAL, f"{what} is {state}")


def judge_skew(behind: float, limits: Limits) -> Reading:
    """`behind` are the seconds for which the server's clock, in whole seconds, is behind ours."""
    skew = max(0.0, abs(behind - 0.5) - 0.5)  # it cuts the fraction off
    which = "behind" if behind > 0 else "ahead of"
    text = f"its clock is {span(skew)} {which} this host's" if skew >= 1 else ""
    return Reading("skew", skew, "s", text, *limits["skew"], least=0, hint="see NTP on both")


def _look_at_token(site: web.Site, look: Look, token: str) -> Reading:
    path = "auth/token/lookup-self"
    answer = vault.get(site, path, look, token)
    if vault.is_invalid(answer):
        hint = "log in again, and renew it in time"
        return finding("token", Status.CRITICAL, "the token is not valid, or has expired", hint)
    if answer.status != 200:
        raise vault.refused(answer, path)
    return judge_token(vault.data(answer, path), look.limits)


def judge_token(token: Mapping[str, Any], limits: Limits) -> Reading:
    left = token.get("ttl")
    if left == 0 and not token.get("expire_time"):
        return finding("token", Status.OK, "the token never expires")
    hint = "renew it" if token.get("renewable") else "it cannot be renewed: log in again"
    text = f"the token is valid for {span(left)}" if left is not None else ""
    return Reading("token", left, "s", text, *limits["token"], least=0, hint=hint)


PROBE = Probe(
    "vault",
    """Look whether Vault or OpenBao is unsealed and serves, and how long a token is still valid.

    VAULT_ADDR says where it is. The token is never a flag: it is in VAULT_TOKEN_FILE (a path), in
    $CREDENTIALS_DIRECTORY/vault_token, or in VAULT_TOKEN. Without one, none is looked at.
    """,
    look_at_vault,
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
