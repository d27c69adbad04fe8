#!/usr/bin/env python3
"""Keys and secrets in Vault or OpenBao: were they rotated?

Of a transit key, and of a secret in a versioned store (kv version 2), the newest version is looked
at; never what is in it, so that the policy of the token can stay small.

The defaults, and why:
- age 32 d, 38 d: a rotation on each first of the month, with a day to spare, and a week to act.
- version: off, as only the operator knows how many there ought to be.
A key or secret that is missing, or whose newest version is deleted, is CRITICAL.
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

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

import click

from hcrun.units import span
from probes.clients import http, vault
from probes.framework.options import Threshold, option
from probes.framework.probe import Context, CriticalError, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, state_reading

SKEW = 300.0  # seconds that the clocks of two hosts may differ


class Version(NamedTuple):
    """The newest version of something."""

    number: int
    made: float  # seconds since the epoch
    is_deleted: bool = False


class Kind(NamedTuple):
    """A way to keep versions: where they are told, and how."""

    path: Callable[[str], str]  # from MOUNT/NAME
    newest: Callable[[Mapping[str, Any]], Version]


def check_vault_key(context: Context) -> None:
    wanted = [(name, TRANSIT) for name in context.options["transit"]]
    wanted += [(name, KV) for name in context.options["kv"]]
    if not wanted:
        raise UnknownError("no key is given", hint="see --transit and --kv")
    with vault.connect(context) as site:
        token = http.secret(context, "VAULT_TOKEN")
        if not token:
            raise UnknownError("there is no token", hint="set VAULT_TOKEN")
        for name, kind in wanted:
            try:
                version = _ask(site, context, token, name, kind)
            except CriticalError as error:
                if error.where:  # the server itself, so the others too
                    raise
                text = context.source.quote(error.what)
                context.add(state_reading(name, Status.CRITICAL, text, error.hint))
            except UnknownError as error:
                context.add(
                    state_reading(
                        name, Status.UNKNOWN, context.source.quote(error.what), error.hint
                    )
                )
            else:
                context.add(*evaluate(name, version, time.time(), context.ranges))


def _ask(site: http.Site, context: Context, token: str, name: str, kind: Kind) -> Version:
    path = kind.path(name)
    answer = vault.get(site, path, context, token)
    if answer.status == 404 and vault.errors(answer) == []:
        raise CriticalError(f"there is no {name}", hint=f"see vault read {path}")
    if answer.status != 200:
        raise vault.refused(answer, path)
    try:
        return kind.newest(vault.data(answer, path))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnknownError(f"{path} does not tell its versions") from None


def _transit_path(name: str) -> str:
    mount, _, key = name.rpartition("/")
    return quote(f"{mount}/keys/{key}")


def _kv_path(name: str) -> str:
    mount, _, path = name.partition("/")
    return quote(f"{mount}/metadata/{path}")


def transit_version(key: Mapping[str, Any]) -> Version:
    number = int(key["latest_version"])
    made = key["keys"][str(number)]
    # Of a key pair it is an object, with the public key.
    seconds = _seconds(made["creation_time"]) if isinstance(made, dict) else float(made)
    return Version(number, seconds, bool(key.get("soft_deleted")))


def kv_version(secret: Mapping[str, Any]) -> Version:
    number = int(secret["current_version"])
    if not number:
        return Version(0, _seconds(secret["created_time"]), is_deleted=True)
    version = secret["versions"][str(number)]
    deletion = version.get("deletion_time")  # may lie in the future
    is_deleted = version.get("destroyed") or (deletion and _seconds(deletion) <= time.time())
    return Version(number, _seconds(version["created_time"]), bool(is_deleted))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


TRANSIT = Kind(_transit_path, transit_version)
KV = Kind(_kv_path, kv_version)


def evaluate(name: str, version: Version, now: float, ranges: Ranges) -> Iterator[Reading]:
    """Age and number of the newest version. `now` in seconds since the epoch."""
    if version.is_deleted:
        text = f"{name} has no version"
        if version.number:
            text = f"{name} version {version.number} is deleted"
        yield state_reading(name, Status.CRITICAL, text)
        return
    if version.made > now + SKEW:
        text = f"{name} version {version.number} is from {span(version.made - now)} in the future"
        yield state_reading(
            name, Status.UNKNOWN, text, "see the clocks of both hosts, and rotate it"
        )
        return
    age = max(0.0, now - version.made)
    text = f"{name} version {version.number} is {span(age)} old"
    hint = "see why it is not rotated"
    yield Reading(f"{name}_age", age, "s", text, *ranges["age"], minimum=0, hint=hint)
    yield Reading(f"{name}_version", version.number, "", "", *ranges["version"], minimum=0)


def _name(text: str) -> str:
    """The name of a key with the mount that it is in."""
    if not re.fullmatch(r"[^/\s]+(/[^/\s]+)+", text):
        raise click.BadParameter(f"{text!r} is no MOUNT/NAME; write it like transit/jwt")
    return text


PROBE = Probe(
    "vault-key",
    """Look whether keys and secrets in Vault or OpenBao were rotated.

    VAULT_ADDR says where it is. The token is never a flag: it is in VAULT_TOKEN_FILE (a path), in
    $CREDENTIALS_DIRECTORY/vault_token, or in VAULT_TOKEN. It needs the right to read
    MOUNT/keys/NAME or MOUNT/metadata/PATH, and no other.
    """,
    check_vault_key,
    url=vault.URL,
    options=[
        *vault.options(),
        option(
            "--transit",
            "VAULT_TRANSIT_KEYS",
            "A transit key, as transit/jwt; may be repeated.",
            type=_name,
            multiple=True,
            metavar="MOUNT/NAME",
        ),
        option(
            "--kv",
            "VAULT_KV_SECRETS",
            "A secret in a versioned store, as secret/app/db; may be repeated. "
            "The mount ends at the first slash.",
            type=_name,
            multiple=True,
            metavar="MOUNT/PATH",
        ),
    ],
    thresholds=[
        Threshold("age", "s", "32d", "38d", "age of the newest version"),
        Threshold("version", "", "off", "off", "its number"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
