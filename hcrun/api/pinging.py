"""Pings for which the caller waits; nothing is kept for later."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from uuid import uuid4

from hcrun.api import recorded
from hcrun.api.run import Run, shown
from hcrun.errors import UsageError
from hcrun.excerpt import Excerpt
from hcrun.journal.delivery import redactor, retry_policy
from hcrun.journal.message import fit
from hcrun.ping import client
from hcrun.ping.target import Target, is_uuid, resolve, validate
from hcrun.settings import Settings
from hcrun.text import clean, decimal

if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient

_ACTIONS: dict[str, Literal["start", "success", "fail", "log"]]
_ACTIONS = {"": "success", "start": "start", "fail": "fail", "log": "log"}
_LOGGING = 1.0  # seconds to wait for the handlers of the log


def ping(
    settings: Settings, check: str, status: str | int, text: str, run_id: str, seconds: float
) -> bool:
    """Return whether the server accepted a ping. Never raises; the log says what is wrong."""
    from hcrun.integrations.log import warn  # starts a thread, only for a problem

    try:
        problem = _problem(settings, check, status, text, run_id, time.monotonic() + seconds)
    except Exception as error:  # a wrong argument must not end the caller's work
        problem = f"{shown(check)}: not pinged: {error}"
    for each in filter(None, [*settings.problems, problem]):
        warn(each, _LOGGING)
    return not problem


def _problem(
    settings: Settings, check: str, status: str | int, text: str, run_id: str, until: float
) -> str:
    """Return why the server has not accepted it; "" if it has, or if pings are switched off."""
    validate(check)
    action = str(status).strip("/")
    number = decimal(action)
    if action not in _ACTIONS and (number is None or number > 255):
        raise UsageError(
            f"invalid status {status!r}", hint='use "", "start", "fail", "log" or 0 to 255'
        )
    if run_id and not is_uuid(run_id):
        raise UsageError(f"invalid run_id {run_id!r}", hint="use str(uuid.uuid4())")
    if recorded.pings is not None:
        kind = _ACTIONS.get(action, "fail" if number else "success")
        recorded.pings.append(recorded.Recorded(check, kind, text))
        return ""
    target = resolve(check, settings)
    if not target.url:
        return target.why
    url = target.address(f"/{action}" if action else "", run_id.lower())
    why = send(target, url, text, settings, until - time.monotonic())
    return f"{target.label}: not pinged: {why}" if why else ""


def send(target: Target, url: str, text: str, settings: Settings, seconds: float) -> str:
    """Send a ping for at most `seconds`; return why the server has not accepted it, or ""."""
    hidden = redactor(settings, target).text(clean(text.encode("utf-8", "replace")))
    body, until = fit(Excerpt(hidden), client.LIMIT), time.monotonic() + seconds
    reply = client.send(url, body, retry_policy(settings), until)
    return "" if client.accepted(reply) else client.explain(reply, target)


class PingedRun(Run):
    """`with client.run("backup") as run:` sends the pings of a run and waits for the server."""

    def __init__(self, client: "HealthchecksClient", check_id: str) -> None:
        super().__init__()
        self._client, self._check, self._run_id = client, check_id, str(uuid4())

    def __enter__(self) -> Self:
        if not self._client.ping_start(self._check, run_id=self._run_id):
            self._run_id = ""  # the server knows no such run
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        why = self._failure
        if error is not None and not (isinstance(error, SystemExit) and not error.code):
            why = f"raised {type(error).__name__}: {shown(error)}"
        first, _, last = self._output.output()
        log = (first + last).decode("utf-8", "replace")
        text = "\n".join(filter(None, [why, self._facts(), log]))
        self._client.ping(self._check, "" if why is None else "fail", text, run_id=self._run_id)
