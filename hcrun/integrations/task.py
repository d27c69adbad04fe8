"""`monitor_task` for functions and tasks, `monitor_celery_app` for many Celery tasks at once."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from hcrun.integrations.monitor import Monitor, celery_support

F = TypeVar("F", bound=Callable[..., Any])


@overload
def monitor_task(check: F) -> F: ...
@overload
def monitor_task(check: str, *, start: bool = True) -> Monitor: ...
def monitor_task(check: Any, *, start: bool = True) -> Any:
    """Report each run of a function to Healthchecks: its start, then its success or failure.

        @monitor_task("refresh-tokens")         # a check as for `hcrun`: name, UUID or ping URL
        def refresh_tokens(): ...

        @monitor_task                           # the check is the function's name, _ becomes -
        def refresh_tokens(): ...

        with monitor_task("refresh-tokens"):    # use a new one for each `with`
            ...

    It takes functions, coroutine functions, generator functions and Celery tasks, and stands above
    or below `@app.task`. It changes neither the return value nor the exceptions, and the function
    never waits for a server: a thread sends the pings, and the journal of `hcrun` keeps results
    that could not be delivered.

    `start=False` sends no start ping. Once start pings are sent, the check's grace time is also
    the longest time that a run may take.

    Raises UsageError if the name cannot be that of a check, and TypeError if the object cannot be
    wrapped.
    """
    if isinstance(check, str):
        return Monitor(check, start)
    celery = celery_support()
    if celery and celery.is_task(check):  # a shared_task has no name until its app is ready
        raise TypeError('above @app.task, give the name of the check: monitor_task("backup")')
    name = getattr(check, "__name__", "")
    return Monitor(name.replace("_", "-"), start)(check)


def monitor_celery_app(app: Any, checks: Mapping[str, str | Monitor]) -> None:
    """Report Celery tasks of `app` by name: `{"tasks.refresh": "refresh-tokens"}`.

    The value is the name of a check, or `monitor_task("refresh-tokens", start=False)`.

    Raises UsageError if a name cannot be that of a check.
    """
    from hcrun.integrations import celery  # Celery is an optional dependency

    for name, check in checks.items():
        monitor = Monitor(check) if isinstance(check, str) else check
        celery.watch_name(app, name, monitor.check, monitor.begin)
