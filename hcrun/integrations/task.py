"""`monitor_task`: a decorator and context manager for what a check is about."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar, overload

from hcrun.integrations import agent
from hcrun.integrations.task_run import TaskRun
from hcrun.ping.target import validate

F = TypeVar("F", bound=Callable[..., Any])


@overload
def monitor_task(check: F) -> F: ...
@overload
def monitor_task(check: str, *, start: bool = True) -> Monitor: ...
def monitor_task(check: Any, *, start: bool = True) -> Any:
    """Tell Healthchecks of each run of a function: its start, its success, its failure.

        @monitor_task("refresh-tokens")         # a check as `hcrun` takes it: name, UUID or URL
        def refresh_tokens(): ...

        @monitor_task                           # the function's name, with - for _
        def refresh_tokens(): ...

        with monitor_task("refresh-tokens"):    # a new one for each `with`
            ...

    For functions, coroutine functions, generator functions and Celery tasks, above or below
    `@app.task`. What it returns and raises is untouched, and it never waits for a server: pings
    are sent by a thread, and what could not be delivered stays in the journal of `hcrun`.

    `start=False` sends no start ping: see "Start ping and grace" in the README.

    Raises UsageError for what can be no check's name, and TypeError for what cannot be watched.
    """
    if isinstance(check, str):
        return Monitor(check, start)
    celery = _celery()
    if celery and celery.is_task(check):  # which may not be made yet: so it has no name
        raise TypeError('above @app.task, give the name of the check: monitor_task("backup")')
    name = getattr(check, "__name__", "")
    return Monitor(name.replace("_", "-"), start)(check)


class Monitor:
    """A check, and how its runs are told."""

    def __init__(self, check: str, start: bool) -> None:
        validate(check)
        self.check = check
        self.start = start
        self._open: list[TaskRun] = []

    def begin(self, what: str) -> TaskRun:
        return agent.begin(self.check, what, self.start)

    def __call__(self, function: F) -> F:
        celery = _celery()
        if celery and celery.is_task(function):
            celery.watch(function, self)
            return function
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        if inspect.isasyncgenfunction(function) or not inspect.isroutine(function):
            raise TypeError(
                f"monitor_task cannot watch {function!r};"
                " put `with monitor_task(...):` into it instead"
            )
        wrapper: Any = _wrapper_for(function)(self, function, _name(function))
        functools.update_wrapper(wrapper, function)
        wrapper.__signature__ = inspect.signature(function)  # Celery looks no further
        return wrapper  # type: ignore[no-any-return]

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        self._open.append(self.begin(f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"))

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        _end(self._open.pop(), error)


def _wrapper_for(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        return _coroutine
    return _generator if inspect.isgeneratorfunction(function) else _plain


def _plain(monitor: Monitor, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        going = monitor.begin(name)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            celery = _celery()
            # What it means for a task is known to Celery only: perhaps it tries again.
            if not (celery and celery.adopts(wrapper, going)):
                _end(going, error)
            raise
        # Below another decorator a coroutine function may look like any other.
        if inspect.iscoroutine(result):
            return _awaited(going, result)
        if inspect.isgenerator(result):
            return _drained(going, result)
        _end(going, None)
        return result

    return wrapper


def _coroutine(monitor: Monitor, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _Telling(monitor.begin(name)):
            return await function(*args, **kwargs)

    return wrapper


def _generator(monitor: Monitor, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _Telling(monitor.begin(name), unless=GeneratorExit):
            return (yield from function(*args, **kwargs))

    return wrapper


async def _awaited(going: TaskRun, work: Coroutine[Any, Any, Any]) -> Any:
    with _Telling(going):
        return await work


def _drained(going: TaskRun, work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    with _Telling(going, unless=GeneratorExit):
        return (yield from work)


class _Telling:
    """The end of a run is the end of its `with`.

    `unless`: this exception is no failure. A GeneratorExit says that nobody wants more values.
    """

    def __init__(self, going: TaskRun, unless: type[BaseException] | tuple[()] = ()) -> None:
        self._going = going
        self._unless = unless

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        _end(self._going, None if isinstance(error, self._unless) else error)


def _end(going: TaskRun, error: BaseException | None) -> None:
    if error is None:
        going.succeeded()
    else:
        going.failed(error)
    agent.end(going)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _celery() -> Any:
    """`hcrun.integrations.celery` where there is Celery."""
    if "celery" not in sys.modules:
        return None
    import hcrun.integrations.celery

    return hcrun.integrations.celery
