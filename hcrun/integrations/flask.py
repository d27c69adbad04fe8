"""`monitor_endpoint`: reports whether a view of a Flask application works.

A view is not a job: its state is reported, with at most a few pings per period and process. They
are not in the journal, because the next request reports the state again. A ping that could not be
sent is kept in memory until it is sent or replaced by a newer one.
"""

import functools
import inspect
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import flask

from hcrun.errors import UsageError
from hcrun.integrations import agent
from hcrun.integrations.log import warn
from hcrun.integrations.task_run import TaskRun
from hcrun.ping.target import validate
from hcrun.units import span

F = TypeVar("F", bound=Callable[..., Any])

_MIN_PERIOD = 1.0  # seconds
_KEY = "_hcrun_endpoints"  # in flask.g: the endpoints of this request


def monitor_endpoint(check: str, *, period: float = 60.0) -> Callable[[F], F]:
    """Report whether a view works. It stands below `@app.get(...)`, in an app or a blueprint.

        @app.get("/critical")
        @monitor_endpoint("critical-api")
        def critical(): ...

    A request fails if the client gets a 5xx, returned or raised, or if the exception leaves Flask.
    Each process reports a success once per `period` (seconds), a failure at once and then once per
    `period` while it lasts, and a recovery at once, but not more than one per `period`: an endpoint
    that flaps stays down. The check's period on the server should be longer than `period`, and
    longer than the time between two requests.

    Raises UsageError if the name cannot be that of a check, or if `period` is under a second.
    """
    if not isinstance(check, str):
        raise TypeError('give the name of the check: @monitor_endpoint("critical-api")')
    validate(check)
    if not period >= _MIN_PERIOD:
        raise UsageError(
            f"invalid period of {period:g} s", where="monitor_endpoint", hint="use 1 or more"
        )
    endpoint = Endpoint(check, period)

    def decorate(view: F) -> F:
        wrapper: Any
        if inspect.iscoroutinefunction(view):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with endpoint:
                    return await view(*args, **kwargs)
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with endpoint:
                    return view(*args, **kwargs)

        functools.update_wrapper(wrapper, view)
        return wrapper  # type: ignore[no-any-return]

    return decorate


class Endpoint:
    """The state of an endpoint in this process."""

    def __init__(self, check: str, period: float) -> None:
        self.check = check
        self.pace = Pace(period)
        self._lock = threading.RLock()  # a handler of signals or logs may make a request
        self._since = time.monotonic()
        self._requests = self._failures = 0  # since then

    def __enter__(self) -> None:
        """Watch how this request ends, if there is one."""
        if flask.has_request_context():
            flask.after_this_request(self._answered)
            flask.g.setdefault(_KEY, []).append(self)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, Exception) or not flask.has_request_context():
            return
        # gunicorn ends a worker whose request takes too long: there will be no response. A worker
        # that exits with status 0 was stopped for another reason.
        if not isinstance(error, SystemExit) or error.code:
            self.note(True, f"raised {type(error).__name__}", error)

    def _answered(self, response: flask.Response) -> flask.Response:
        flask.g.pop(_KEY, None)
        failed = response.status_code >= 500
        # There is an exception if Flask is making the page for one that nobody handled.
        self.note(failed, response.status, sys.exc_info()[1] if failed else None)
        return response

    def note(self, failed: bool, how: str, error: BaseException | None) -> None:
        """Count a request, and report it if that is due. Never raises."""
        now = time.monotonic()
        with self._lock:
            self._requests += 1
            self._failures += failed
            if not self.pace.due(failed, now):
                return
            self.pace.reported(failed, now)
            counts = f"{self._failures} of {self._requests} requests failed in "
            counts += span(now - self._since)
            self._requests = self._failures = 0
            self._since = now
            try:
                _report(self.check, failed, how, counts, error)
            except Exception as problem:  # the request comes first
                warn(f"cannot report a request: {problem}")


class Pace:
    """Decides whether a request is reported. Times are monotonic seconds."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._down = False
        self._next_success = self._next_failure = self._next_recovery = 0.0

    def due(self, failed: bool, now: float) -> bool:
        if failed:
            return not self._down or now >= self._next_failure
        return now >= (self._next_recovery if self._down else self._next_success)

    def reported(self, failed: bool, now: float) -> None:
        if failed:
            self._next_failure = now + self.period
        else:
            self._next_success = now + self.period
            if self._down:
                self._next_recovery = now + self.period
        self._down = failed


def _report(check: str, failed: bool, how: str, counts: str, error: BaseException | None) -> None:
    request = flask.request
    # The rule, because the path may contain secrets.
    task = TaskRun(check, f"{request.method} {request.url_rule}", start=False, journaled=False)
    if error is not None:
        task.end_with(error)
    elif failed:
        task.fail(how)
    else:
        task.succeed(how)
    task.run.why = f"{how}; {counts}"
    task.run.status, task.run.duration = 0, None
    agent.end(task)


def _left_flask(app: flask.Flask, exception: BaseException, **_: object) -> None:
    """Report an exception that nobody handled, if Flask raises it instead of responding."""
    propagates = app.config["PROPAGATE_EXCEPTIONS"]
    if propagates is None:
        propagates = app.testing or app.debug
    if propagates:
        for endpoint in flask.g.pop(_KEY, ()):
            endpoint.note(True, f"raised {type(exception).__name__}", exception)


flask.got_request_exception.connect(_left_flask)
