#!/usr/bin/env python3
"""Vault or OpenBao: is it unsealed, is it serving, how long is the token valid?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections.abc import Mapping
from typing import Any

from hcrun.units import span
from probes.clients import http, vault
from probes.framework.probe import Context, CriticalError, Probe, Ranges
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

# What each status of sys/health means.
ACTIVE, STANDBY, DR_SECONDARY, PERFORMANCE_STANDBY, CUT_OFF_STANDBY = 200, 429, 472, 473, 474
STANDBYS = (STANDBY, PERFORMANCE_STANDBY, CUT_OFF_STANDBY)
EMPTY = (
    "if it has ever held secrets, restore its storage: "
    "initialising it makes new keys, which cannot read them"
)
CUT_OFF = "see whether it reaches the cluster port (8201) of the active node"
REMOVED = "run on another node: vault operator raft list-peers"
STATES = {
    ACTIVE: state_reading("state", Status.OK, "active"),
    STANDBY: state_reading("state", Status.OK, "standby"),
    DR_SECONDARY: state_reading("state", Status.OK, "disaster recovery secondary"),
    PERFORMANCE_STANDBY: state_reading("state", Status.OK, "performance standby"),
    CUT_OFF_STANDBY: state_reading(
        "state", Status.WARNING, "standby without contact to the active node", CUT_OFF
    ),
    501: state_reading("state", Status.CRITICAL, "not initialised: its storage is empty", EMPTY),
    503: state_reading("state", Status.CRITICAL, "sealed", "vault operator unseal"),
    530: state_reading("state", Status.CRITICAL, "removed from its cluster", REMOVED),
}


def check_vault(context: Context) -> None:
    with vault.connect(context) as server:
        answer = server.health()
        now = time.time() - answer.seconds / 2
        health = _health(answer)
        server.answered(answer)
        context.add(STATES[answer.status])
        if "server_time_utc" in health:
            context.add(evaluate_skew(now - health["server_time_utc"], context.ranges))
        if STATES[answer.status].status is Status.CRITICAL:
            return
        if answer.status in STANDBYS:
            context.add(_check_leader(server, answer.status, context))
        token = http.secret(context, "VAULT_TOKEN")
        if token and answer.status != DR_SECONDARY:  # which cannot look up a token
            context.add(_check_token(server.token(token), context.ranges))


def _health(answer: http.Answer) -> Mapping[str, Any]:
    if answer.status in STATES:
        try:
            health = answer.json()
            if isinstance(health, dict) and "initialized" in health:
                return health
        except ValueError:
            pass
        if answer.status == ACTIVE:
            raise CriticalError("sys/health is not the answer of Vault", hint=vault.RIGHT_URL)
    raise vault.refused(answer, "sys/health")


def _check_leader(server: vault.Server, status: int, context: Context) -> Reading:
    """Check the active node that a standby with this status names, which may be down."""
    try:
        address = server.leader().json()["leader_address"]
        if not address:
            hint = "unseal another node, or see in its log why none becomes active"
            return state_reading("leader", Status.CRITICAL, "there is no active node", hint)
        http.split_url(address)
    except (ValueError, TypeError, KeyError):
        return state_reading("leader", Status.UNKNOWN, "sys/leader names no active node")
    problem = _trouble(address, context)
    if not problem:
        return state_reading("leader", Status.OK, "")
    problem = f"the active node {address} {problem}"
    try:
        is_forwarded = server.forward().status in (400, 403)
    except (CriticalError, TimeoutError):
        is_forwarded = False
    if not is_forwarded:
        text = f"{problem}, and the standby forwards nothing to it: writes fail"
        hint = f"start or unseal {address}, or enough nodes to elect another"
        return state_reading("leader", Status.CRITICAL, text, hint)
    if status == PERFORMANCE_STANDBY:
        return state_reading("leader", Status.WARNING, problem)
    return state_reading("leader", Status.OK, "it forwards to the active node")


def _trouble(address: str, context: Context) -> str:
    """What is wrong with the active node, as seen from this host; "" for nothing."""
    try:
        with vault.Server(context, address) as leader:
            status = leader.health(context.deadline.left() / 2).status
    except CriticalError as error:
        return f"cannot be reached from here ({error.what})"
    except TimeoutError:
        return "does not answer"
    if status == ACTIVE:
        return ""
    return f"is {STATES[status].text}" if status in STATES else f"answers {status}"


def evaluate_skew(behind: float, ranges: Ranges) -> Reading:
    """`behind`: seconds by which the server's clock, in whole seconds, is behind this host's."""
    skew = max(0.0, abs(behind - 0.5) - 0.5)  # the server cuts off the fraction
    which = "behind" if behind > 0 else "ahead of"
    text = f"its clock is {span(skew)} {which} this host's" if skew >= 1 else ""
    return Reading(
        "skew", skew, "s", text, *ranges["skew"], minimum=0, hint="check NTP on both hosts"
    )


def _check_token(answer: http.Answer, ranges: Ranges) -> Reading:
    path = "auth/token/lookup-self"
    if vault.is_invalid(answer):
        return state_reading(
            "token",
            Status.CRITICAL,
            "the token is invalid or has expired",
            "log in again, and renew the token in time",
        )
    if answer.status != 200:
        raise vault.refused(answer, path)
    return evaluate_token(vault.data(answer, path), ranges)


def evaluate_token(token: Mapping[str, Any], ranges: Ranges) -> Reading:
    left = token.get("ttl")
    if left == 0 and not token.get("expire_time"):
        return state_reading("token", Status.OK, "the token never expires")
    hint = "renew it" if token.get("renewable") else "it cannot be renewed: log in again"
    text = f"the token is valid for {span(left)}" if left is not None else ""
    return Reading("token", left, "s", text, *ranges["token"], minimum=0, hint=hint)


PROBE = Probe("vault", table("vault", types=vault.TYPES), check_vault, url=vault.URL)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
