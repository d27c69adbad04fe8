"""The memory of a probe, limited by the kernel: no answer of a server may fill that of the host."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LIMIT = 200e6  # bytes: all libraries together take half of it
_THREADS = 4  # that every probe may have: its check, and those of its library
_STACK = 8 * 1024 * 1024  # bytes reserved for a thread, unless `ulimit -s` says something else
_limited = False  # whether this process is a probe


def limit(threads: int = 0) -> None:
    """Let this process have LIMIT and the stacks of that many threads more, and nothing else.

    With `threads`, only a process that `limit` has limited: another is an application that calls a
    probe.
    """
    global _limited
    if threads and not _limited:
        return
    _limited = True
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    if stack == resource.RLIM_INFINITY:
        stack = _STACK
    _set(int(LIMIT) + (_THREADS + threads) * stack)


@contextmanager
def unlimited() -> Iterator[None]:
    """Start other programs in this block: their memory is their own affair."""
    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    _set(resource.RLIM_INFINITY)
    try:
        yield
    finally:
        _set(soft)


def is_cause(error: BaseException | None) -> bool:
    """True if the memory was full: libraries raise other errors when they clean up after that."""
    while error and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def _set(soft: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY and not 0 <= soft <= hard:
        soft = hard
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
