"""`monitor_task`: reports each run of a function, a generator, a Celery task or a `with` block."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, ParamSpec, TypeVar, overload

from hcrun.api.fields import slug_of
from hcrun.api.run import Run
from hcrun.errors import UsageError
from hcrun.integrations import agent
from hcrun.integrations.task_run import TaskRun, current
from hcrun.integrations.verdict import Verdict
from hcrun.integrations.wrappers import wrapper_for
from hcrun.ping.target import is_uuid, validate

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
Errors = tuple[type[BaseException], ...]

_QUEUES = ("huey", "dramatiq")  # a call of what their decorators make only puts it into the queue


def current_run() -> Run | None:
    """Return the current run, or None outside of one."""
    return next((task.notes for task in reversed(current.get()) if not task.over), None)


@dataclass(eq=False, repr=False)
class Monitor:
    """What `monitor_task(...)` returns: a decorator, and a context manager.

    It may be entered many times at once, also with `async with`.
    """

    check: str = ""  # "": named by the function
    new: Mapping[str, Any] | None = None  # the fields of a check that is created if it is missing
    auto_start: bool = True
    validate: Callable[[Any], Verdict] | None = None
    ignore: Errors = ()
    retry: Errors = ()
    only_celery: bool = False
    _entered: list[TaskRun] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name, errors in (("ignore", self.ignore), ("retry", self.retry)):
            if not isinstance(errors, tuple) or not all(map(_is_error, errors)):
                raise TypeError(f"{name}= takes a tuple of exceptions, as (ConnectionError,)")
        if self.validate is not None and not callable(self.validate):
            raise TypeError("validate= takes a function of the result")

    def __call__(self, function: F, /) -> F:
        """Report each run of a function or a Celery task."""
        celery = celery_support()
        if celery and celery.is_task(function):
            celery.watch(function, self)
            return function
        if self.only_celery:
            raise TypeError(
                "monitor_celery_task takes Celery tasks: put it above @app.task, or use"
                " monitor_task below it"
            )
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        if isinstance(function, type) or not callable(function):
            raise TypeError(
                f"monitor_task cannot wrap {function!r};"
                " put `with monitor_task(...):` into it instead"
            )
        if type(function).__module__.partition(".")[0] in _QUEUES or hasattr(function, "delay"):
            raise TypeError(
                "put monitor_task below the decorator that makes a task of the function"
            )
        named: Any = function
        while isinstance(named, functools.partial):
            named = named.func
        named = named if hasattr(named, "__qualname__") else type(named)
        monitor = self
        if not self.check:
            monitor = replace(self, check=check_of(named))
        name = f"{named.__module__}.{named.__qualname__}"
        wrapper: Any = wrapper_for(function)(monitor, function, name)
        functools.update_wrapper(wrapper, function)
        wrapper.hcrun_monitor = monitor  # for Celery
        try:
            wrapper.__signature__ = inspect.signature(function)  # Celery ignores __wrapped__
        except ValueError:  # of some functions in C
            pass
        return wrapper  # type: ignore[no-any-return]

    def __enter__(self) -> Run:
        """Start a run."""
        return self._enter(sys._getframe(1))

    async def __aenter__(self) -> Run:
        """As `with`."""
        return self._enter(sys._getframe(1))

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """End the run; exceptions propagate."""
        # Another thread or coroutine may have entered it since.
        own = [task for task in current.get() if task in self._entered]
        task = own[-1] if own else self._entered[-1]
        self._entered.remove(task)
        task.__exit__()
        self.end(task, error)

    async def __aexit__(self, *error: Any) -> None:
        """As `with`."""
        self.__exit__(*error)

    def _enter(self, frame: FrameType) -> Run:
        if not self.check:
            raise UsageError("a `with` block has no name", hint='give one: monitor_task("backup")')
        if self.validate:
            raise UsageError(
                "validate= judges what a function returns", hint="call run.fail() in a `with` block"
            )
        task = agent.begin(self, f"{frame.f_globals.get('__name__')}:{frame.f_lineno}")
        self._entered.append(task)
        task.__enter__()
        return task.notes

    def end(self, task: TaskRun, error: BaseException | None = None, result: object = None) -> None:
        if error is None:
            task.returned(result)
        else:
            task.raised(error)
        agent.end(task)


@overload
def monitor_task(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def monitor_task(
    check: str | None = None,
    /,
    *,
    check_id: str | None = None,
    check_name: str | None = None,
    auto_start: bool = True,
    validate: Callable[[Any], Verdict] | None = None,
    ignore: Errors = (),
    retry: Errors = (),
) -> Monitor: ...
def monitor_task(
    check: Any = None,
    /,
    *,
    check_id: str | None = None,
    check_name: str | None = None,
    auto_start: bool = True,
    validate: Callable[[Any], Verdict] | None = None,
    ignore: Errors = (),
    retry: Errors = (),
) -> Any:
    """Report each run of a function to Healthchecks: its start, then its success or failure.

        @monitor_task("refresh-tokens")         # a check as for `hcrun`: name, UUID or ping URL
        @monitor_task(check_id="5c2f8a8e-...")  # a UUID or ping URL
        @monitor_task(check_name="refresh")     # a name; the check is created if it is missing
        @monitor_task                           # the check is the function's name, _ becomes -
        def refresh_tokens(): ...

        with monitor_task("refresh-tokens") as run:
            run.set(tenants=42)

    It takes functions, methods, partials, callables, (asynchronous) generators and Celery tasks. It
    changes neither the return value nor the exceptions, and the function never waits for a server.

    `auto_start=False` sends no start ping. Once start pings are sent, the check's grace time is
    also the longest time that a run may take. `validate` judges the result: True or None is a
    success; False, a text (the reason) or an exception is a failure. Exceptions in `ignore` count
    as success; those in `retry` go to the check's log, because the task will be tried again.

    Raises UsageError if the name cannot be that of a check, and TypeError if the object cannot be
    wrapped.
    """
    named = name_of(check, check_id, check_name)
    monitor = Monitor(*named, auto_start, validate, ignore, retry)
    return monitor(check) if callable(check) else monitor


def name_of(
    check: object, check_id: str | None, check_name: str | None
) -> tuple[str, Mapping[str, Any] | None]:
    """Return the check that one of three arguments names, and its fields if it may be created."""
    given = [each for each in (check, check_id, check_name) if each is not None]
    if len(given) > 1:
        raise UsageError("more than one check is given", hint="give check_id= or check_name=")
    if not given or callable(check):  # the decorated function
        return "", None
    (word,) = given
    if not isinstance(word, str):
        raise TypeError(f"a check is given by its name, UUID or ping URL, not as {word!r}")
    is_id = "://" in word or is_uuid(word.rstrip("/"))
    if check_id is not None and not is_id:
        raise UsageError(
            "is neither a UUID nor a ping URL", where="check_id", hint="use check_name="
        )
    if check_name is None:
        validate(word)
        return word, None
    if is_id:
        raise UsageError("is a UUID or a ping URL", where="check_name", hint="use check_id=")
    slug = slug_of(word).replace("_", "-")
    validate(slug)
    return slug, {"name": word[:100]}


def check_of(function: Any) -> str:
    """Return the check that a function names. Raises UsageError."""
    validate(function.__name__)
    return str(function.__name__).replace("_", "-")


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def celery_support() -> Any:
    """Return `hcrun.integrations.celery` if the application uses Celery, else None."""
    if "celery" not in sys.modules:
        return None
    from hcrun.integrations import celery  # Celery is an optional dependency

    return celery
