"""The process of a probe: its end, whatever happens, and the line that it prints."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from probes.framework import memory
from probes.framework.verdict import Status, Verdict, state_reading


def run_script(main: Callable[..., int], name: str) -> NoReturn:
    """Run `main` and exit at once, even if a library's threads are running."""
    gc.disable()  # collection costs more than it frees in such a short process
    memory.limit()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    said = _guard(name)
    status = main(sys.argv[1:], alarm=True)
    said()
    os._exit(status)


def _guard(name: str) -> Callable[[], None]:
    """Have another process print a line if this one is killed before the returned call.

    The kernel ends this process if a library holds the interpreter's lock, or takes all memory.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError:  # this user may have no more processes
        return lambda: None
    if pid:
        os.close(reader)

        def said() -> None:
            with suppress(OSError):  # it was killed, or SIGCHLD is ignored
                os.write(writer, b".")
                os.waitpid(pid, 0)

        return said
    os.close(writer)
    if not os.read(reader, 1):
        verdict = Verdict(name)
        hint = "its exit status says by which signal"
        verdict.add(state_reading("look", Status.UNKNOWN, "killed before it had a result", hint))
        print_verdict(verdict, sys.argv)
    os._exit(0)


def print_verdict(verdict: Verdict, argv: Sequence[str]) -> None:
    if "--json" in argv:
        import json  # most runs do without

        print_line(json.dumps(verdict.as_json()))
    else:
        print_line(verdict.line())


def end_after(seconds: float) -> None:
    """Let the kernel end this process a second after that time; a later call replaces it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)


def print_line(text: str) -> None:
    """Print the text. The exit status stands even if stdout is full or closed."""
    try:
        sys.stdout.buffer.write(text.encode(errors="replace") + b"\n")
        sys.stdout.flush()
    except (OSError, AttributeError):
        pass
