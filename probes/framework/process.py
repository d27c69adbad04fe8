"""The process of a probe: its end, whatever happens, and the line that it prints."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence

import probes
from probes.framework import addresses, memory
from probes.framework.verdict import Status, Verdict, state_reading


def run_script(main: Callable[..., int], name: str) -> int:
    """Run `main` in another process, and print a line if that one is killed.

    The kernel ends it if a library holds the interpreter's lock, or takes all memory. It exits at
    once, even if a library's threads are running. Another program, which calls a probe, goes on:
    then `main` runs in it, and its exit status is returned.
    """
    if not probes.is_script():
        return main(sys.argv[1:])
    gc.disable()  # collection costs more than it frees in such a short process
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        worker = os.fork()
    except OSError:  # this user may have no more processes
        worker = 0
    if worker:
        os._exit(_status_of(worker, name))
    memory.limit()
    addresses.prefer_answering()
    os._exit(main(sys.argv[1:], alarm=True))


def _status_of(worker: int, name: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda given, _: os.kill(worker, given))
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if status >= 0:
        return status
    if status == -signal.SIGINT:  # let the shell see it, which then ends its loop
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    verdict = Verdict(name)
    text = f"killed by {signal.Signals(-status).name} before it had a result"
    verdict.add(state_reading("look", Status.UNKNOWN, text, _HINTS.get(-status, "")))
    print_verdict(verdict, sys.argv)
    return Status.UNKNOWN


_HINTS = {
    int(signal.SIGALRM): "its time was up, and it did not stop: see the files that it reads",
    int(signal.SIGKILL): "if the memory of the host was full, its kernel's log says so",
}


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
