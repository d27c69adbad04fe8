"""Work that may hang, given up after a while; what it found until then is kept."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

from hcrun.doctor.finding import Finding


def within(seconds: float, work: Iterator[Finding]) -> Iterator[Finding]:
    """What `work` finds, as it finds it. Raises TimeoutError when it is not done in time.

    A name server or a trickling answer has no time-out of its own that would hold for all of it.
    """
    said: queue.SimpleQueue[Finding | BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            for found in work:
                said.put(found)
        except BaseException as problem:
            said.put(problem)
        said.put(None)

    threading.Thread(target=run, daemon=True).start()
    until = time.monotonic() + seconds
    while True:
        try:
            found = said.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, BaseException):
            raise found
        if found is None:
            return
        yield found
