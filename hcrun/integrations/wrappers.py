"""What `monitor_task` puts around a function, a coroutine or a generator."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from hcrun.integrations import agent
from hcrun.integrations.task_run import TaskRun, current

if TYPE_CHECKING:
    from hcrun.integrations.monitor import Monitor


def _is_reported(monitor: "Monitor") -> bool:
    """Return whether Celery reports the run that calls the function: only it knows its end."""
    return any(
        task.monitor is monitor and task.by_celery and not task.over for task in current.get()
    )


def wrapper_for(function: Any) -> Callable[..., Callable[..., Any]]:
    """Return what makes a wrapper of a monitor, the function and its name."""
    if not (inspect.isroutine(function) or isinstance(function, functools.partial)):
        function = function.__call__
    if inspect.iscoroutinefunction(function):
        return _coroutine
    if inspect.isasyncgenfunction(function):
        return _async_generator
    return _generator if inspect.isgeneratorfunction(function) else _plain


def _plain(monitor: "Monitor", function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if _is_reported(monitor):
            return function(*args, **kwargs)
        task = agent.begin(monitor, name)
        try:
            with task:
                result = function(*args, **kwargs)
        except BaseException as error:
            monitor.end(task, error)
            raise
        # Another decorator below may hide what the function is.
        for kind, wrap in _HIDDEN.items():
            if isinstance(result, kind):
                return wrap(monitor, lambda: result, name, task)()
        monitor.end(task, None, result)
        return result

    return wrapper


# With `task`, the run has begun already.


def _coroutine(
    monitor: "Monitor", function: Callable[..., Any], name: str, task: TaskRun | None = None
) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not task and _is_reported(monitor):
            return await function(*args, **kwargs)
        run = task or agent.begin(monitor, name)
        try:
            with run:
                result = await function(*args, **kwargs)
        except BaseException as error:
            monitor.end(run, error)
            raise
        monitor.end(run, None, result)
        return result

    return wrapper


def _generator(
    monitor: "Monitor", function: Callable[..., Any], name: str, task: TaskRun | None = None
) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = task or agent.begin(monitor, name)
        rows = function(*args, **kwargs)
        step, value = rows.send, None
        try:
            while True:
                with run:
                    row = step(value)
                try:
                    step, value = rows.send, (yield row)
                except GeneratorExit:
                    rows.close()
                    raise
                except BaseException as error:
                    step, value = rows.throw, error
        except StopIteration as stop:
            monitor.end(run, None, stop.value)
            return stop.value
        except GeneratorExit:  # nobody wants more
            run.succeed()
            agent.end(run)
            raise
        except BaseException as error:
            monitor.end(run, error)
            raise

    return wrapper


def _async_generator(
    monitor: "Monitor", function: Callable[..., Any], name: str, task: TaskRun | None = None
) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = task or agent.begin(monitor, name)
        rows = function(*args, **kwargs)
        step, value = rows.asend, None
        try:
            while True:
                with run:
                    row = await step(value)
                try:
                    step, value = rows.asend, (yield row)
                except GeneratorExit:
                    await rows.aclose()
                    raise
                except BaseException as error:
                    step, value = rows.athrow, error
        except (StopAsyncIteration, GeneratorExit) as end:
            run.succeed()
            agent.end(run)
            if isinstance(end, GeneratorExit):
                raise
        except BaseException as error:
            monitor.end(run, error)
            raise

    return wrapper


_HIDDEN = {Coroutine: _coroutine, Generator: _generator, AsyncGenerator: _async_generator}
