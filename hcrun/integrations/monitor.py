"""Monitor: reports each run of a function, a coroutine, a generator, a task or a `with` block."""

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hcrun.integrations import agent
from hcrun.integrations.task_run import TaskRun
from hcrun.ping.target import validate

F = TypeVar("F", bound=Callable[..., Any])


class Monitor:
    """What `monitor_task("check")` returns: a decorator and a context manager."""

    def __init__(self, check: str, start: bool = True) -> None:
        validate(check)
        self.check = check
        self.start = start
        self._entered: list[TaskRun] = []

    def begin(self, what: str) -> TaskRun:
        return agent.begin(self.check, what, self.start)

    def __call__(self, function: F) -> F:
        celery = celery_support()
        if celery and celery.is_task(function):
            celery.watch(function, self.check, self.begin)
            return function
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        if inspect.isasyncgenfunction(function) or not inspect.isroutine(function):
            raise TypeError(
                f"monitor_task cannot wrap {function!r};"
                " put `with monitor_task(...):` into it instead"
            )
        name = f"{function.__module__}.{function.__qualname__}"
        wrapper: Any = _wrapper_for(function)(self, function, name)
        functools.update_wrapper(wrapper, function)
        wrapper.__signature__ = inspect.signature(function)  # Celery ignores __wrapped__
        return wrapper  # type: ignore[no-any-return]

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        self._entered.append(self.begin(f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"))

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        _end(self._entered.pop(), error)


def celery_support() -> Any:
    """Return `hcrun.integrations.celery` if the application uses Celery, else None."""
    if "celery" not in sys.modules:
        return None
    from hcrun.integrations import celery  # Celery is an optional dependency

    return celery


def _wrapper_for(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        return _coroutine
    return _generator if inspect.isgeneratorfunction(function) else _plain


def _plain(monitor: Monitor, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        task = monitor.begin(name)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            celery = celery_support()
            # Only Celery knows what the exception of a task means: perhaps a retry.
            if not (celery and celery.adopts(wrapper, task)):
                _end(task, error)
            raise
        # Another decorator below may hide that the function is a coroutine or a generator.
        if inspect.iscoroutine(result):
            return _awaited(task, result)
        if inspect.isgenerator(result):
            return _drained(task, result)
        _end(task, None)
        return result

    return wrapper


def _coroutine(monitor: Monitor, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _ending(monitor.begin(name)):
            return await function(*args, **kwargs)

    return wrapper


def _generator(monitor: Monitor, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _ending(monitor.begin(name), ignore=GeneratorExit):
            return (yield from function(*args, **kwargs))

    return wrapper


async def _awaited(task: TaskRun, work: Coroutine[Any, Any, Any]) -> Any:
    with _ending(task):
        return await work


def _drained(task: TaskRun, work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    with _ending(task, ignore=GeneratorExit):
        return (yield from work)


@contextmanager
def _ending(task: TaskRun, ignore: type[BaseException] | tuple[()] = ()) -> Iterator[None]:
    """End the run with the `with` block; the exception `ignore` is no failure."""
    try:
        yield
    except BaseException as error:
        _end(task, None if isinstance(error, ignore) else error)
        raise
    _end(task, None)


def _end(task: TaskRun, error: BaseException | None) -> None:
    task.end_with(error)
    agent.end(task)
