"""Celery tasks: Celery's signals say how a run ended.

Only Celery knows which exceptions are retried, ignored or rejected, and which results cannot be
encoded. A process that is killed (a hard time limit, out of memory) cannot report its run: the next
process finds it in the journal.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from threading import get_ident
from typing import Any

import celery
from celery import signals, states
from celery.local import Proxy
from celery.schedules import crontab

from hcrun.errors import UsageError
from hcrun.integrations import agent
from hcrun.integrations.log import warn
from hcrun.integrations.monitor import Monitor, name_of
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.verdict import Verdict

_ENTRY = "hcrun_beat_entry"  # the header of a message that beat has sent

_watched: dict[str, dict[str, Monitor]] = {}  # by the task's name, then by the check
_unnamed: list[tuple[Any, Monitor]] = []  # tasks whose names are not known yet
# Runs in progress by the task's id and the thread: a retried task keeps its id, and the retry may
# begin before the first attempt has ended. A task has one run for each of its checks.
_running: dict[tuple[str, int], list[TaskRun]] = {}
_expected: list[tuple[celery.Celery, str]] = []  # an app, and the name of a task of it


def monitor_celery_task(
    check: str | None = None,
    /,
    *,
    check_id: str | None = None,
    check_name: str | None = None,
    auto_start: bool = True,
    validate: Callable[[Any], Verdict] | None = None,
) -> Monitor:
    """As `monitor_task`, for Celery tasks only: it stands above `@app.task`.

    Without a check, that is named by the task. Raises TypeError for anything else than a task.
    """
    named = name_of(check, check_id, check_name)
    monitor = Monitor(*named, auto_start, validate, only_celery=True)
    return monitor(check) if callable(check) else monitor


def monitor_celery_app(
    app: Any, checks: Mapping[str, str | Monitor] | None = None, *, beat: bool = False
) -> None:
    """Report Celery tasks of `app` by name: `{"tasks.refresh": "refresh-tokens"}`.

    The value is the name of a check, or `monitor_task("refresh-tokens", auto_start=False)`. With
    `beat`, each entry of the beat schedule has a check with the entry's name, which is created if
    it is missing; only the runs that beat has started count.

    Raises UsageError if a name cannot be that of a check.
    """
    for name, check in (checks or {}).items():
        monitor = Monitor(*name_of(check, None, None)) if isinstance(check, str) else check
        _watched.setdefault(name, {})[monitor.check] = monitor
        _expected.append((app, name))
    if beat:
        signals.beat_init.connect(_mark_entries, weak=False)


def is_task(function: object) -> bool:
    """Return whether `@app.task` or `@shared_task` made it. Does not resolve a lazy task."""
    return isinstance(function, Proxy | celery.Task)


def watch(task: Any, monitor: Monitor) -> None:
    """Report a task, which may be lazy."""
    _unnamed.append((task, monitor))


def _monitors_of(task: Any) -> Iterable[Monitor]:
    while _unnamed:
        proxy, monitor = _unnamed.pop()
        _watched.setdefault(proxy.name, {})[monitor.check] = monitor
    found = dict(_watched.get(task.name, {}))
    function = task.run
    while function is not None:  # those that stand below @app.task
        function = getattr(function, "__func__", function)
        if below := getattr(function, "hcrun_monitor", None):
            found.setdefault(below.check, below)
        function = getattr(function, "__wrapped__", None)
    entry = getattr(task.request, _ENTRY, None) or (task.request.headers or {}).get(_ENTRY)
    if entry:
        monitor = _monitor_of_entry(task.app, str(entry))
        found.setdefault(monitor.check, monitor)
    return found.values()


# Entries of the beat schedule


def _mark_entries(sender: Any, **_: Any) -> None:
    """Let the messages of beat say which entry sent them: several may send one task."""
    for name, entry in sender.scheduler.schedule.items():
        try:
            name_of(None, None, name)
        except UsageError as error:
            warn(f"the beat entry {name!r} has no check: {error}")
        else:
            if not name.startswith("celery."):  # its own cleaning up
                entry.options.setdefault("headers", {})[_ENTRY] = name


@functools.cache
def _monitor_of_entry(app: celery.Celery, name: str) -> Monitor:
    check, new = name_of(None, None, name)
    entry = app.conf.beat_schedule.get(name) or {}
    return Monitor(check, {**(new or {}), **_expectation(app, entry.get("schedule"))})


def _expectation(app: celery.Celery, schedule: Any) -> dict[str, Any]:
    """Return the schedule of a new check; none if Healthchecks has no such schedule."""
    if isinstance(schedule, crontab):
        fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        words = [getattr(schedule, f"_orig_{each}") for each in fields]
        if all(isinstance(word, str | int) for word in words):
            return {"schedule": " ".join(map(str, words)), "tz": str(app.timezone)}
    every = getattr(schedule, "run_every", schedule)
    seconds = getattr(every, "total_seconds", lambda: every)()
    if isinstance(seconds, int | float):
        return {"timeout": min(max(60, round(seconds)), 365 * 86400)}
    return {}


# Signals


def _prerun(task_id: str, task: Any, **_: Any) -> None:
    for monitor in _monitors_of(task):
        run = agent.begin(monitor, task.name)
        run.by_celery = True
        run.before = sys.exc_info()[1]
        run.__enter__()
        _running.setdefault((task_id, get_ident()), []).append(run)


def _pop(task_id: str) -> list[TaskRun]:
    runs = _running.pop((task_id, get_ident()), [])
    for run in runs:
        run.__exit__()
    return runs


def _failure(task_id: str, exception: BaseException, einfo: Any, **_: Any) -> None:
    for run in _pop(task_id):
        run.raised(exception, str(einfo.traceback))
        agent.end(run)


def _postrun(task_id: str, retval: Any, state: str | None, **_: Any) -> None:
    error = sys.exc_info()[1]  # what leaves Celery now, or what its caller handles
    for run in _pop(task_id):
        _end(run, retval, state, None if error is run.before else error)
        agent.end(run)


def _end(run: TaskRun, retval: Any, state: str | None, error: BaseException | None) -> None:
    """End a run as Celery's state says."""
    if state == states.SUCCESS and error:  # the result backend fails
        run.raised(error)
    elif state == states.SUCCESS and inspect.isawaitable(retval) | inspect.isgenerator(retval):
        kind = type(retval).__name__
        warn(f"{run.what}: the task returned a {kind}, which Celery never runs")
        run.succeed(f"returned a {kind}, which Celery never runs,")
    elif state == states.SUCCESS:
        run.returned(retval)
    elif state == states.IGNORED:
        run.succeed("ignored")
    elif state == states.RETRY:
        run.log("retry requested", retval)
    elif state == states.REJECTED and retval.requeue:
        run.log("requeued", retval.reason)
    elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code < 0:
        # billiard turns a SIGTERM to a process of its pool into this.
        run.fail("terminated", "by its time limit, a revoke or a shutdown of the worker")
    elif error:
        run.raised(error)
    else:
        run.fail((state or "ended").lower(), retval or "")


def _process_begins(**_: Any) -> None:
    """A worker or a process of its pool starts, perhaps in place of one that was killed."""
    agent.current_agent().catch_up()


def _worker_ready(**_: Any) -> None:
    for app, name in _expected:
        if name not in app.tasks:
            warn(f"no Celery task named {name!r}; monitor_celery_app takes the names of tasks")
    _process_begins()


# As soon as the application uses Celery and monitor_task: the function may be below @app.task.
signals.task_prerun.connect(_prerun, weak=False)
signals.task_failure.connect(_failure, weak=False)
signals.task_postrun.connect(_postrun, weak=False)
signals.worker_ready.connect(_worker_ready, weak=False)
signals.worker_process_init.connect(_process_begins, weak=False)
signals.worker_process_shutdown.connect(lambda **_: agent.flush(), weak=False)
