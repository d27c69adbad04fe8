"""`monitor_endpoint`: reports whether a view of a Flask application works.

A view is not a job: its state is reported, with at most a few pings per period and process. They
are not in the journal, because the next request reports the state again. A ping that could not be
sent is kept in memory until it is sent or replaced by a newer one.
"""

import functools
import inspect
import sys
import time
from _thread import RLock
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakSet

import flask
from flask.globals import request_ctx

from hcrun.errors import UsageError
from hcrun.integrations import agent
from hcrun.integrations.log import warn
from hcrun.integrations.monitor import Monitor, check_of, name_of
from hcrun.integrations.task_run import TaskRun
from hcrun.results import FAIL, SUCCESS
from hcrun.units import span

F = TypeVar("F", bound=Callable[..., Any])

_MIN_PERIOD = 1.0  # seconds


def monitor_endpoint(
    check: str | None = None,
    /,
    *,
    check_id: str | None = None,
    check_name: str | None = None,
    period: float = 60.0,
) -> Callable[[F], F]:
    """Report whether a view works. It stands below `@app.get(...)`, in an app or a blueprint.

        @app.get("/critical")
        @monitor_endpoint("critical-api")
        def critical(): ...

    The check is given as for `monitor_task`. A request fails if the client gets a 5xx, or if an
    exception leaves Flask.
    Each process reports a success once per `period` (seconds), a failure at once and then once per
    `period` while it lasts, and a recovery at once, but not more than one per `period`: an endpoint
    that flaps stays down. The check's period on the server should be longer than `period`, and
    longer than the time between two requests.

    Raises UsageError if the name cannot be that of a check, or if `period` is under a second.
    """
    if callable(check):
        raise TypeError('call it: @monitor_endpoint("critical-api")')
    monitor = Monitor(*name_of(check, check_id, check_name), auto_start=False)
    if not period >= _MIN_PERIOD:
        raise UsageError(
            f"invalid period of {period:g} s", where="monitor_endpoint", hint="use 1 or more"
        )

    def decorate(view: F) -> F:
        wrapper: Any
        own = monitor if monitor.check else replace(monitor, check=check_of(view))
        endpoint = _endpoints.setdefault(own.check, Endpoint(own, period))
        if inspect.iscoroutinefunction(view):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                endpoint.watch(view)
                return await view(*args, **kwargs)
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                endpoint.watch(view)
                return view(*args, **kwargs)

        functools.update_wrapper(wrapper, view)
        _views.add(view)
        return wrapper  # type: ignore[no-any-return]

    return decorate


class Endpoint:
    """The state of a check in this process."""

    def __init__(self, monitor: Monitor, period: float) -> None:
        self.monitor = monitor
        self.pace = Pace(period)
        self._lock = RLock()  # a handler of signals or logs may make a request
        self._since = time.monotonic()
        self._requests = self._failures = 0  # since then

    def watch(self, view: Callable[..., Any]) -> None:
        """Watch how this request ends, if there is one."""
        if flask.has_request_context():
            request = _current() or Request(request_ctx._get_current_object())  # type: ignore[attr-defined]
            request.endpoints[self] = None
        else:
            warn(f"{_name(view)}: monitor_endpoint is for Flask; it was called without a request")

    def note(self, failed: bool, how: str, request: "Request") -> None:
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
            self._report(failed, f"{how}; {counts}", request)
        except Exception as problem:  # the request comes first
            warn(f"cannot report a request: {problem}")

    def _report(self, failed: bool, why: str, request: "Request") -> None:
        task = TaskRun(self.monitor, request.what, journaled=False)
        if failed and request.error is not None:
            task.raised(request.error)
        elif failed:
            task.fail("")
        else:
            task.succeed()
        task.run.result, task.run.status = FAIL if failed else SUCCESS, 0
        task.run.why, task.run.duration = why, None
        agent.end(task)


class Request:
    """One request: what its client gets, which is known when Flask has torn it down."""

    def __init__(self, context: Any) -> None:
        self.endpoints: dict[Endpoint, None] = {}
        self.response: flask.Response | None = None
        self.error: BaseException | None = None  # that nobody handled
        self._request = context.request
        self._before = sys.exc_info()[1]  # the caller of the application handles it
        self._context = context
        context.pop = self._torn_down
        context._hcrun_request = self

    @property
    def what(self) -> str:
        """The method and the rule, because the path may contain secrets."""
        return f"{self._request.method} {self._request.url_rule}"

    def _torn_down(self, *error: Any) -> None:
        """In place of the context's `pop`, the last that Flask does for a request."""
        leaving = sys.exc_info()[1]
        # Once: in a test, the context may be pushed again. And Flask leaves no cycles behind.
        del self._context.pop, self._context._hcrun_request
        try:
            self._context.pop(*error)
        except BaseException as problem:  # of a teardown function: there is no response
            leaving = problem
            raise
        finally:
            self._judge(leaving)

    def _judge(self, leaving: BaseException | None) -> None:
        failed = True
        if leaving is not None and leaving is not self._before:
            # A worker that exits with status 0 was stopped; gunicorn ends one that takes too long
            # with another.
            if isinstance(leaving, SystemExit) and not leaving.code:
                return
            self.error, how = leaving, f"raised {type(leaving).__name__}"
        elif self.response:
            failed, how = self.response.status_code >= 500, self.response.status
        elif self.error:
            how = "an after_request function failed"
        else:  # somebody has called the view in a context, without a request
            return
        for endpoint in self.endpoints:
            endpoint.note(failed, how, self)


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


def _current() -> Request | None:
    return getattr(request_ctx, "_hcrun_request", None)


def _name(view: Any) -> str:
    return getattr(view, "__qualname__", repr(view))


def _answered(_app: flask.Flask, response: flask.Response, **_: object) -> None:
    if request := _current():
        request.response = response


def _not_handled(_app: flask.Flask, exception: BaseException, **_: object) -> None:
    if request := _current():
        request.error = exception


def _first_request(app: flask.Flask, **_: object) -> None:
    """Log which decorators stand above `@app.get`, where they see no request."""
    if app not in _seen:
        _seen.add(app)
        for view in app.view_functions.values():
            if view in _views:
                warn(f"{_name(view)}: @monitor_endpoint must stand below @app.get, not above it")


_endpoints: dict[str, Endpoint] = {}  # by check: several views may have one
_views: WeakSet[Callable[..., Any]] = WeakSet()  # those that were decorated
_seen: WeakSet[flask.Flask] = WeakSet()  # applications that have had a request
flask.request_started.connect(_first_request)
flask.request_finished.connect(_answered)
flask.got_request_exception.connect(_not_handled)
