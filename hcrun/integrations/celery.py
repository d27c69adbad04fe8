"""Celery tasks: how they went is Celery's word, taken from its signals.

A `Retry` is no failure, and which exceptions are retried, ignored or rejected only Celery knows.
A process that was killed (a hard time limit, out of memory) cannot say so: the one that takes its
place finds its runs in the journal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any

import celery
from celery import signals, states
from celery.local import Proxy

from hcrun.integrations import agent
from hcrun.integrations.log import warn
from hcrun.integrations.task import Monitor, monitor_task
from hcrun.integrations.task_run import TaskRun

_watched: dict[str, dict[str, Monitor]] = {}  # by the task's name and the check's
_unmade: list[tuple[Any, Monitor]] = []  # tasks whose names are not known yet
# By the task's id and the thread: a task that is tried again keeps its id, and may run before the
# first try has come to its end. One for each check that is to hear of it.
_going: dict[tuple[str, int], list[TaskRun]] = {}
_apps: list[tuple[celery.Celery, set[str]]] = []


def install(app: celery.Celery, checks: Mapping[str, str | Monitor]) -> None:
    """Watch tasks of `app`: `{"tasks.refresh": "refresh-tokens"}`, by the tasks' names.

    Instead of a check's name it may be `monitor_task("refresh-tokens", start=False)`.
    Raises UsageError for what can be no check's name.
    """
    for name, check in checks.items():
        _add(name, monitor_task(check) if isinstance(check, str) else check)
    _apps.append((app, set(checks)))


def is_task(function: object) -> bool:
    """Whether `@app.task` or `@shared_task` made it; does not make a task that is still to be."""
    return isinstance(function, Proxy | celery.Task)


def watch(task: Any, monitor: Monitor) -> None:
    _unmade.append((task, monitor))


def adopts(wrapper: Callable[..., Any], going: TaskRun) -> bool:
    """Whether `wrapper` is what a worker runs as a task: then Celery says how the run ended."""
    task = celery.current_task
    if not task or not task.request.id or wrapper not in _layers(task.run):
        return False
    _begun(task.request.id, going)
    return True


def _layers(function: Any) -> list[Any]:
    """A function and what it wraps."""
    layers = []
    while function is not None:
        function = getattr(function, "__func__", function)
        layers.append(function)
        function = getattr(function, "__wrapped__", None)
    return layers


def _add(task_name: str, monitor: Monitor) -> None:
    _watched.setdefault(task_name, {})[monitor.check] = monitor


def _monitors_of(task: Any) -> list[Monitor]:
    while _unmade:
        proxy, monitor = _unmade.pop()
        _add(proxy.name, monitor)
    return list(_watched.get(task.name, {}).values())


def _begun(task_id: str, going: TaskRun) -> None:
    _going.setdefault((task_id, get_ident()), []).append(going)


def _ended(task_id: str) -> list[TaskRun]:
    return _going.pop((task_id, get_ident()), [])


# Signals


def _prerun(task_id: str, task: Any, **_: Any) -> None:
    for monitor in _monitors_of(task):
        _begun(task_id, monitor.begin(task.name))


def _failure(task_id: str, exception: BaseException, einfo: Any, **_: Any) -> None:
    for going in _ended(task_id):
        going.refused(f"raised {type(exception).__name__}", exception, str(einfo.traceback))
        agent.end(going)


def _postrun(task_id: str, retval: Any, state: str | None, **_: Any) -> None:
    error = sys.exc_info()[1]
    for going in _ended(task_id):
        _judge(going, retval, state, error)
        agent.end(going)


def _judge(going: TaskRun, retval: Any, state: str | None, error: BaseException | None) -> None:
    """What Celery's word on a try means for the check."""
    if state == states.SUCCESS:
        going.succeeded()
    elif state == states.IGNORED:
        going.succeeded("ignored")
    elif state == states.RETRY:
        going.logged("to be tried again", retval)
    elif state == states.REJECTED and retval.requeue:
        going.logged("put back into its queue", retval.reason)
    elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code < 0:
        # What billiard makes of a SIGTERM to a process of its pool.
        going.refused("terminated", "its time limit, a revoke, or the end of the worker")
    elif error:
        going.failed(error)
    else:
        going.refused((state or "ended").lower(), retval or "")


def _process_begins(**_: Any) -> None:
    """In a worker, or a process of its pool: perhaps in the place of one that was killed."""
    agent.desk().look()


def _worker_ready(**_: Any) -> None:
    for app, names in _apps:
        for name in sorted(names - set(app.tasks)):
            warn(f"there is no Celery task {name!r} to watch; install() takes tasks' names")
    _process_begins()


def _process_ends(**_: Any) -> None:
    agent.flush()


_RECEIVERS = {
    signals.task_prerun: _prerun,
    signals.task_failure: _failure,
    signals.task_postrun: _postrun,
    signals.worker_ready: _worker_ready,
    signals.worker_process_init: _process_begins,
    signals.worker_process_shutdown: _process_ends,
}
# From the first function on that is watched where there is Celery: it may be below @app.task.
for _signal, _receiver in _RECEIVERS.items():
    _signal.connect(_receiver, weak=False)
