"""`healthcheck_blueprint`: adds `/health` to a Flask application."""

import inspect
import json
import os
import shutil
import subprocess
import sysconfig
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import flask

from hcrun.errors import UsageError
from hcrun.integrations.verdict import CRITICAL, OK, UNKNOWN, WARNING, verdict
from hcrun.journal.delivery import redactor
from hcrun.journal.run import in_a_line
from hcrun.ping.target import Target
from hcrun.settings import Settings

Probe = Callable[[], object]
Result = dict[str, Any]  # status, message, seconds
_HEALTH = {OK: "healthy", WARNING: "degraded", UNKNOWN: "degraded", CRITICAL: "critical"}
_WORST_FIRST = (CRITICAL, UNKNOWN, WARNING, OK)


def healthcheck_blueprint(
    probes: Iterable[str] | Mapping[str, Probe],
    *,
    url: str = "/health",
    cache: float = 10.0,
    deadline: float = 5.0,
) -> flask.Blueprint:
    """Return a blueprint that reports at `url` whether the services of the application work.

        app.register_blueprint(healthcheck_blueprint({"database": can_query}))
        app.register_blueprint(healthcheck_blueprint(["redis", "postgres"]))

    `probes`: functions by name, or names of hcrun's probes ("redis" runs the command
    `probe-redis`). A function may be asynchronous. None and True are OK; False, a text (the reason)
    and an exception are critical, as are `{"status": "unhealthy"}` and `(False, "why")`. Anything
    else is an unknown state.

    All probes run at once, for at most `deadline` seconds; a probe that takes longer is critical.
    The answer is kept for `cache` seconds, and simultaneous requests share one run. The status is
    200 for healthy or degraded (a warning, or an unknown state), 503 for critical. Secrets known to
    `hcrun` are hidden.

    Raises UsageError for a probe that is not installed, and for invalid numbers.
    """
    if isinstance(probes, str):
        raise UsageError(
            f"expected a list, got {probes!r}", where="probes", hint=f'write ["{probes}"]'
        )
    for what, seconds in (("cache", cache), ("deadline", deadline)):
        if not seconds > 0:
            raise UsageError(f"invalid time {seconds:g}", where=what, hint="use more than 0")
    functions = (
        dict(probes)
        if isinstance(probes, Mapping)
        else {probe: _command(probe, deadline) for probe in probes}
    )
    if not functions:
        raise UsageError("no probes given", where="probes", hint="name at least one")
    health = Health(functions, cache, deadline)
    blueprint = flask.Blueprint(f"hcrun_{url}".replace(".", "_"), __name__)

    @blueprint.get(url)
    def answer() -> flask.Response:
        results = health.results()
        found = {result["status"] for result in results.values()}
        worst = next(status for status in _WORST_FIRST if status in found)
        response = flask.jsonify(status=_HEALTH[worst], probes=results)
        response.status_code = 503 if worst == CRITICAL else 200
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


class Health:
    """Runs the probes when the last results are too old. Simultaneous callers share one run."""

    def __init__(self, probes: Mapping[str, Probe], cache: float, deadline: float) -> None:
        self._probes = probes
        self._cache = cache
        self._deadline = deadline
        self._lock = threading.Lock()
        self._until = 0.0  # monotonic
        self._results: dict[str, Result] = {}
        self._threads: dict[str, threading.Thread] = {}

    def results(self) -> dict[str, Result]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._results = self._run()
                self._until = time.monotonic() + self._cache
            return self._results

    def _run(self) -> dict[str, Result]:
        hide = redactor(Settings.load(), Target("health"))
        results: dict[str, Result] = {}
        began = time.monotonic()

        def run(name: str) -> None:
            started = time.monotonic()
            status, message = _run_probe(self._probes[name])
            results[name] = _result(status, in_a_line(hide.text(message)), started)

        for name in self._probes:
            # A probe that still hangs from an earlier request is not started again.
            if name not in self._threads or not self._threads[name].is_alive():
                thread = threading.Thread(target=run, args=(name,), daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the user's limit of threads
                    results[name] = _result(UNKNOWN, str(error), began)
                else:
                    self._threads[name] = thread
        for thread in self._threads.values():
            thread.join(max(0.0, began + self._deadline - time.monotonic()))
        late = _result(CRITICAL, f"no answer within {self._deadline:g} s", began)
        return {name: results.get(name, late) for name in self._probes}


def _result(status: str, message: str, started: float) -> Result:
    return {"status": status, "message": message, "seconds": round(time.monotonic() - started, 3)}


def _run_probe(probe: Probe) -> tuple[str, str]:
    try:
        answer = probe()
        if inspect.isawaitable(answer):
            answer = _awaited(answer)
        return verdict(answer)
    except BaseException as error:  # SystemExit, too, would end the thread without a result
        return CRITICAL, f"{type(error).__name__}: {error}"


def _awaited(answer: Awaitable[object]) -> object:
    from asyncio import run  # only for asynchronous probes

    async def wait() -> object:
        return await answer

    return run(wait())


def _command(probe: str, deadline: float) -> Probe:
    """Return a function that runs a probe of hcrun. Raises UsageError if it is not installed."""
    script = os.path.join(sysconfig.get_path("scripts"), f"probe-{probe}")
    path = script if os.path.exists(script) else shutil.which(f"probe-{probe}")
    if "/" in probe or path is None:
        raise UsageError(
            f"no probe named {probe!r}", where="probes", hint="hcctl docs probes lists all"
        )

    def run() -> dict[str, Any]:
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
            return {"status": answer["status"], "message": message}
        except (ValueError, KeyError, TypeError):
            message = f"exit status {done.returncode}: {done.stderr}"
            return {"status": UNKNOWN, "message": message}

    return run
