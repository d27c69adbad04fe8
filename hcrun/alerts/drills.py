"""Drills: a check fails on purpose, and what follows is measured. The results are kept.

The functions raise HcrunError. Whatever happens, also Ctrl-C, they put back what they have changed.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from hcrun.alerts import inside
from hcrun.api.client import HealthchecksClient
from hcrun.api.models import Check, State
from hcrun.errors import HcrunError
from hcrun.journal.run import user_name
from hcrun.paths import state_directory
from hcrun.ping import client as pings
from hcrun.settings import Settings
from hcrun.text import counted, listed
from hcrun.units import span

_FILE = "drills.jsonl"
_PAUSE = 1.0  # seconds between two questions to the server
Say = Callable[[str], object]


@dataclass(frozen=True)
class Result:
    """How a drill went: `at` in seconds since the epoch, `seconds` it took in all."""

    drill: str  # "alert redis"
    at: float
    seconds: float
    good: bool
    text: str


def keep(result: Result) -> Result:
    """Append it to the results in the state directory."""
    directory = state_directory()
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fd = os.open(os.path.join(directory, _FILE), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with open(fd, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")
    return result


def latest(configured: Iterable[str]) -> list[tuple[str, Result | None]]:
    """The last result of each drill; None for one of the catalogue that was never tried."""
    found: dict[str, Result | None] = {" ".join(line.split()[:2]): None for line in configured}
    with (
        contextlib.suppress(OSError, HcrunError),
        open(os.path.join(state_directory(), _FILE), encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            with contextlib.suppress(ValueError, TypeError):  # cut off by a full disk
                result = Result(**json.loads(line))
                found[result.drill] = result
    return sorted(found.items())


def alert(
    client: HealthchecksClient, settings: Settings, slug: str, patience: float, say: Say
) -> Result:
    """Fail a check by a ping; measure the time to DOWN, to an alert by each channel, and back."""
    check = _that_is_up(client, slug)
    if not check.ping_url:
        raise HcrunError("a drill needs HEALTHCHECKS_API_KEY", hint="the read-only key cannot ping")
    names = {channel.id: channel.name for channel in client.list_channels()}
    waited = {one: names.get(one, one) for one in check.channels}
    if not waited:
        say(f"{slug} has no channel: nobody is alerted")
    if not settings.get(inside.SETTING):
        say(f"set {inside.SETTING} to measure when each channel sends its alert")
        waited = {}
    text = f"DRILL: hcctl drill alert by {user_name()} on {os.uname().nodename}. Nothing is wrong."
    at, began = time.time(), time.monotonic()
    missing: list[str] = []
    try:
        for state, action in (("down", "/fail"), ("up", "")):
            since, start = time.time(), time.monotonic()
            _ping(check, action, text)
            _await(client, slug, state, patience)
            say(f"{state.upper()} after {span(time.monotonic() - start)}")
            missing += _await_channels(settings, waited, since, start + patience, say)
            time.sleep(_PAUSE)  # an alert is known to the second
    except BaseException:
        _ping(check, "", text)
        raise
    took = time.monotonic() - began
    verdict = f"no alert by {listed(dict.fromkeys(missing))}" if missing else "DOWN and UP again"
    return keep(Result(f"alert {slug}", at, took, not missing, verdict))


def _ping(check: Check, action: str, text: str) -> None:
    policy = pings.Policy(3, 1.0)
    reply = pings.send(check.ping_url + action, text, policy, time.monotonic() + 20)
    if not pings.accepted(reply):
        raise HcrunError(f"the server has not accepted the ping: status {reply.status}")


def _await_channels(
    settings: Settings, waited: dict[str, str], since: float, until: float, say: Say
) -> list[str]:
    """Wait until each channel has sent an alert; returns the names of those that have not."""
    start, left = time.monotonic(), dict(waited)
    while left:
        states = inside.states(settings)
        for one, name in tuple(left.items()):
            sent, trouble = states.get(one, ("never", "is gone"))
            if trouble:
                say(f"  {name}: {trouble}")
            elif sent == "never" or datetime.fromisoformat(sent).timestamp() < int(since):
                continue
            else:
                say(f"  {name}: alert sent within {span(time.monotonic() - start)}")
                waited = {key: value for key, value in waited.items() if key != one}
            del left[one]
        if time.monotonic() > until:
            break
    for name in left.values():
        say(f"  {name}: no alert; see hcctl doctor and hcctl channels test")
    return list(waited.values())


def outage(
    client: HealthchecksClient,
    slug: str,
    stop: Sequence[str],
    start: Sequence[str],
    patience: float,
    say: Say,
) -> Result:
    """Stop a service, wait until its check is down, start it, and wait until it is up."""
    _that_is_up(client, slug)
    before = {check.slug for check in client.list_checks() if check.status == "down"}
    at, began = time.time(), time.monotonic()
    try:
        _run(stop)
        _await(client, slug, "down", patience)
        down = time.monotonic() - began
        say(f"{slug} is DOWN after {span(down)}")
    finally:
        _run(start)
    began_again = time.monotonic()
    others = {check.slug for check in client.list_checks() if check.status == "down"}
    others -= before | {slug}
    if others:
        say(f"also DOWN: {listed(sorted(others))}")
    _await(client, slug, "up", patience)
    up = time.monotonic() - began_again
    say(f"{slug} is UP {span(up)} after the start")
    verdict = f"DOWN after {span(down)}, UP {span(up)} after the start"
    verdict += f"; {counted(len(others), 'other check')} DOWN" if others else ""
    return keep(Result(f"outage {slug}", at, time.monotonic() - began, True, verdict))


def _run(command: Sequence[str]) -> None:
    try:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        raise HcrunError(f"{command[0]}: {error.strerror}", hint="give its path") from None
    if status:
        raise HcrunError(f"{command[0]}: exit status {status}")


def _that_is_up(client: HealthchecksClient, slug: str) -> Check:
    check = client.get_check(slug)
    if check is None:
        raise HcrunError("the server has no such check", where=slug, hint="see hcctl status")
    if check.status != "up":
        hint = "a drill begins with a check that is up"
        raise HcrunError(f"is {check.status}", where=slug, hint=hint)
    return check


def _await(client: HealthchecksClient, slug: str, state: State | str, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        check = client.get_check(slug)
        if check and check.status == state:
            return
        if time.monotonic() > until:
            hint = "see hcctl doctor; --patience waits longer"
            raise HcrunError(f"not {state} within {span(patience)}", where=slug, hint=hint)
        time.sleep(_PAUSE)
