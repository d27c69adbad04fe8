"""`monitor_endpoint`: whether a view of a Flask application does its work.

A view is no cron job: it is told as a state, at most a few pings a period and process, which need
no journal, as the next request says the same again. Only what could not be sent is kept, in
memory, until it is sent or there is something newer.
"""

from __future__ import annotations

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

_SHORTEST = 1.0  # seconds of a period
_KEY = "_hcrun_endpoints"  # in flask.g: what watches this request


def monitor_endpoint(check: str, *, period: float = 60.0) -> Callable[[F], F]:
    """Tell Healthchecks whether a view works: below `@app.get(...)`, in an app or a blueprint.

        @app.get("/critical")
        @monitor_endpoint("critical-api")
        def critical(): ...

    A request has failed when what the client gets is 5xx, returned or raised, or when the
    exception leaves Flask. Per process, a success is told once in `period` seconds; a failure at
    once, and again once in `period` while it lasts; a recovery at once, but one in `period`: an
    endpoint that flaps stays down. The check's period on the server should be longer than
    `period`, and than the endpoint is ever without requests.

    Raises UsageError for what can be no check's name, and for a `period` under a second.
    """
    if not isinstance(check, str):
        raise TypeError('give the name of the check: @monitor_endpoint("critical-api")')
    validate(check)
    if not period >= _SHORTEST:
        raise UsageError(
            f"{period:g} s is no period", where="monitor_endpoint", hint="give 1 second or more"
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
    """What is known of an endpoint in this process, and when it is next to be told."""

    def __init__(self, check: str, period: float) -> None:
        self.check = check
        self.pace = Pace(period)
        self._deciding = threading.Lock()
        self._since = time.monotonic()
        self._requests = self._failures = 0  # since then; told as they are, not to the last one

    def __enter__(self) -> None:
        """Have a look at how this request ends, if the view is called for one."""
        if flask.has_request_context():
            flask.after_this_request(self._answered)
            flask.g.setdefault(_KEY, []).append(self)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, Exception) or not flask.has_request_context():
            return
        # A worker that has taken too long is told to end: there will be no response. One that is
        # told to leave at once, with status 0, says nothing of its view.
        if not isinstance(error, SystemExit) or error.code:
            self.note(True, f"raised {type(error).__name__}", error)

    def _answered(self, response: flask.Response) -> flask.Response:
        flask.g.pop(_KEY, None)
        failed = response.status_code >= 500
        # While Flask makes the page for an exception that nobody handles.
        self.note(failed, response.status, sys.exc_info()[1] if failed else None)
        return response

    def note(self, failed: bool, how: str, error: BaseException | None) -> None:
        """A request has ended. Never raises; nearly always it is only counted."""
        self._requests += 1
        self._failures += failed
        now = time.monotonic()
        if not self.pace.due(failed, now):
            return
        with self._deciding:
            if not self.pace.due(failed, now):
                return
            self.pace.told(failed, now)
            counts = f"{self._failures} of {self._requests} requests failed in "
            counts += span(now - self._since)
            self._requests = self._failures = 0
            self._since = now
            try:
                _tell(self.check, failed, how, counts, error)
            except Exception as problem:  # the request comes first
                warn(f"how a view went is not told: {problem}")


class Pace:
    """When a request is worth a ping. Times are monotonic seconds."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._down = False
        self._next_success = self._next_failure = self._next_recovery = 0.0

    def due(self, failed: bool, now: float) -> bool:
        if failed:
            return not self._down or now >= self._next_failure
        return now >= (self._next_recovery if self._down else self._next_success)

    def told(self, failed: bool, now: float) -> None:
        if failed:
            self._next_failure = now + self.period
        else:
            self._next_success = now + self.period
            if self._down:
                self._next_recovery = now + self.period
        self._down = failed


def _tell(check: str, failed: bool, how: str, counts: str, error: BaseException | None) -> None:
    request = flask.request
    # The rule, not the path: there may be secrets in that.
    going = TaskRun(check, f"{request.method} {request.url_rule}", start=False, journaled=False)
    if error is not None:
        going.failed(error)
    elif failed:
        going.refused(how)
    else:
        going.succeeded(how)
    going.run.why = f"{how}; {counts}"
    going.run.status, going.run.duration = 0, None
    agent.end(going)


def _left_flask(app: flask.Flask, exception: BaseException, **_: object) -> None:
    """Nobody handled the exception. If Flask lets it through, there will be no response."""
    lets_through = app.config["PROPAGATE_EXCEPTIONS"]
    if lets_through is None:
        lets_through = app.testing or app.debug
    if lets_through:
        for endpoint in flask.g.pop(_KEY, ()):
            endpoint.note(True, f"raised {type(exception).__name__}", exception)


flask.got_request_exception.connect(_left_flask)
