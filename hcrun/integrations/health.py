"""`healthcheck_blueprint`: `/health` of a Flask application."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import flask

from hcrun.errors import UsageError
from hcrun.journal.run import in_a_line
from hcrun.redact import Redactor, secret_values
from hcrun.settings import Settings

Look = Callable[[], object]

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"
_WORDS = {OK: "healthy", WARNING: "degraded", UNKNOWN: "degraded", CRITICAL: "critical"}
_GRAVEST_FIRST = (CRITICAL, UNKNOWN, WARNING, OK)


@dataclass(frozen=True)
class Finding:
    """What a probe says. `status`: OK, WARNING, CRITICAL or UNKNOWN."""

    status: str
    message: str
    seconds: float


def healthcheck_blueprint(
    probes: Iterable[str] | Mapping[str, Look],
    *,
    url: str = "/health",
    cache: float = 10.0,
    deadline: float = 5.0,
    name: str = "hcrun_health",
) -> flask.Blueprint:
    """A blueprint that answers at `url` whether what the application stands on is well.

        app.register_blueprint(healthcheck_blueprint({"database": can_query}))
        app.register_blueprint(healthcheck_blueprint(["redis", "postgres"]))

    `probes`: functions by name, asynchronous ones too, which raise or return False when something
    is wrong, and may return a text to be shown; or names of the probes of hcrun ("redis" is the
    command `probe-redis`, in a process of its own).

    All look at the same time, for at most `deadline` seconds; one that takes longer is critical.
    What they find is the answer for `cache` seconds, and however many ask at once, each probe
    looks once. 200 is healthy or degraded (a warning, or something that could not be looked at),
    503 critical. Secrets known to `hcrun` are hidden.

    Raises UsageError for a probe that is not installed, and for wrong numbers.
    """
    if isinstance(probes, str):
        raise UsageError("is one word", where="probes", hint=f'give a list: ["{probes}"]')
    for what, seconds in (("cache", cache), ("deadline", deadline)):
        if not seconds > 0:
            raise UsageError(f"{seconds:g} is no time", where=what, hint="give seconds above 0")
    looks = (
        dict(probes)
        if isinstance(probes, Mapping)
        else {probe: _command(probe, deadline) for probe in probes}
    )
    if not looks:
        raise UsageError("there is nothing to look at", where="probes", hint="name some")
    health = Health(looks, cache, deadline)
    blueprint = flask.Blueprint(name, __name__)

    @blueprint.get(url)
    def answer() -> flask.Response:
        findings = health.look()
        gravest = next(
            status for status in _GRAVEST_FIRST if status in {f.status for f in findings.values()}
        )
        response = flask.jsonify(
            status=_WORDS[gravest],
            probes={probe: vars(finding) for probe, finding in findings.items()},
        )
        response.status_code = 503 if gravest == CRITICAL else 200
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


class Health:
    """The newest findings; whoever asks when they are too old waits for the same new ones."""

    def __init__(self, looks: Mapping[str, Look], cache: float, deadline: float) -> None:
        self._looks = looks
        self._cache = cache
        self._deadline = deadline
        self._looking = threading.Lock()
        self._until = 0.0  # monotonic
        self._findings: dict[str, Finding] = {}
        self._busy: dict[str, threading.Thread] = {}

    def look(self) -> dict[str, Finding]:
        with self._looking:
            if time.monotonic() >= self._until:
                self._findings = self._look()
                self._until = time.monotonic() + self._cache
            return self._findings

    def _look(self) -> dict[str, Finding]:
        settings = Settings.load()
        values = secret_values(settings.environ) + secret_values(settings.from_file)
        redactor = Redactor(values)
        found: dict[str, Finding] = {}

        def examine(name: str) -> None:
            finding = _examine(self._looks[name])
            message = in_a_line(redactor.text(finding.message))
            found[name] = Finding(finding.status, message, round(finding.seconds, 3))

        for name in self._looks:
            # One that hangs since an earlier look must not become many.
            if name not in self._busy or not self._busy[name].is_alive():
                thread = threading.Thread(target=examine, args=(name,), daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads for this user
                    found[name] = Finding(UNKNOWN, str(error), 0.0)
                else:
                    self._busy[name] = thread
        until = time.monotonic() + self._deadline
        for thread in self._busy.values():
            thread.join(max(0.0, until - time.monotonic()))
        late = Finding(CRITICAL, f"no answer within {self._deadline:g} s", self._deadline)
        return {name: found.get(name, late) for name in self._looks}


def _examine(look: Look) -> Finding:
    started = time.monotonic()
    try:
        answer = look()
        if inspect.iscoroutine(answer):  # until then it has not looked
            from asyncio import run

            answer = run(answer)
    except BaseException as error:  # a SystemExit, too, would end the thread without a word
        answer = Finding(CRITICAL, f"{type(error).__name__}: {error}", 0.0)
    seconds = time.monotonic() - started
    if isinstance(answer, Finding):
        return Finding(answer.status, answer.message, seconds)
    if answer is False:
        return Finding(CRITICAL, "says that it is not well", seconds)
    return Finding(OK, answer if isinstance(answer, str) else "", seconds)


def _command(probe: str, deadline: float) -> Look:
    """A probe of hcrun as a look. Raises UsageError when there is no such probe."""
    script = os.path.join(sysconfig.get_path("scripts"), f"probe-{probe}")
    path = script if os.path.exists(script) else shutil.which(f"probe-{probe}")
    if "/" in probe or path is None:
        raise UsageError(
            f"there is no probe {probe!r}", where="probes", hint="docs/probes.md has them all"
        )

    def look() -> Finding:
        argv = [path, "--json", "--timeout", f"{deadline}s"]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * deadline,
            check=False,
        )
        try:
            answer: Any = json.loads(done.stdout)
            message = answer["health"] if probe == "all" else answer["message"]
            return Finding(answer["status"], message, 0.0)
        except (ValueError, KeyError, TypeError):
            return Finding(UNKNOWN, f"exit status {done.returncode}: {done.stderr}", 0.0)

    return look
