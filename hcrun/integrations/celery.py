"""Celery tasks: Celery's signals say how a run ended.

Only Celery knows which exceptions are retried, ignored or rejected. A process that is killed (a
hard time limit, out of memory) cannot report its run: the next process finds it in the journal.
"""

import sys
from collections.abc import Callable
from threading import get_ident
from typing import Any

import celery
from celery import signals, states
from celery.local import Proxy

from hcrun.integrations import agent
from hcrun.integrations.log import warn
from hcrun.integrations.task_run import TaskRun

Begin = Callable[[str], TaskRun]  # begins a run; takes the task's name

_watched: dict[str, dict[str, Begin]] = {}  # by the task's name, then by the check
_unnamed: list[tuple[Any, str, Begin]] = []  # tasks whose names are not known yet
# Runs in progress by the task's id and the thread: a retried task keeps its id, and the retry may
# begin before the first attempt has ended. A task has one run for each of its checks.
_running: dict[tuple[str, int], list[TaskRun]] = {}
_expected: list[tuple[celery.Celery, str]] = []  # an app, and the name of a task of it


def is_task(function: object) -> bool:
    """Return whether `@app.task` or `@shared_task` made it. Does not resolve a lazy task."""
    return isinstance(function, Proxy | celery.Task)


def watch(task: Any, check: str, begin: Begin) -> None:
    """Report a task, which may be lazy."""
    _unnamed.append((task, check, begin))


def watch_name(app: celery.Celery, name: str, check: str, begin: Begin) -> None:
    """Report a task of `app` by its name; its workers warn if there is no such task."""
    _watched.setdefault(name, {})[check] = begin
    _expected.append((app, name))


def adopts(wrapper: Callable[..., Any], task: TaskRun) -> bool:
    """Return whether a worker runs `wrapper` as a task, so that Celery reports the end."""
    current = celery.current_task
    if not current or not current.request.id or wrapper not in _layers(current.run):
        return False
    _add(current.request.id, task)
    return True


def _layers(function: Any) -> list[Any]:
    """Return a function and the functions that it wraps."""
    layers = []
    while function is not None:
        function = getattr(function, "__func__", function)
        layers.append(function)
        function = getattr(function, "__wrapped__", None)
    return layers


def _begins_of(task: Any) -> list[Begin]:
    while _unnamed:
        proxy, check, begin = _unnamed.pop()
        _watched.setdefault(proxy.name, {})[check] = begin
    return list(_watched.get(task.name, {}).values())


def _add(task_id: str, task: TaskRun) -> None:
    _running.setdefault((task_id, get_ident()), []).append(task)


def _pop(task_id: str) -> list[TaskRun]:
    return _running.pop((task_id, get_ident()), [])


# Signals


def _prerun(task_id: str, task: Any, **_: Any) -> None:
    for begin in _begins_of(task):
        _add(task_id, begin(task.name))


def _failure(task_id: str, exception: BaseException, einfo: Any, **_: Any) -> None:
    for run in _pop(task_id):
        run.fail(f"raised {type(exception).__name__}", exception, str(einfo.traceback))
        agent.end(run)


def _postrun(task_id: str, retval: Any, state: str | None, **_: Any) -> None:
    error = sys.exc_info()[1]
    for run in _pop(task_id):
        _end(run, retval, state, error)
        agent.end(run)


def _end(run: TaskRun, retval: Any, state: str | None, error: BaseException | None) -> None:
    """End a run as Celery's state says."""
    if state == states.SUCCESS:
        run.succeed()
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
        run.end_with(error)
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
