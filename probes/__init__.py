"""Probes: one module looks at one service."""

from __future__ import annotations

import os
import sys


def _unknown(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """The end of a probe that cannot even be loaded, its library broken or half an upgrade.

    Python's own status is 1, a WARNING, which may count as a success of the run.
    """
    if kind is KeyboardInterrupt:  # Python ends by the signal itself
        return
    name = os.path.basename(sys.argv[0]).removeprefix("probe-").upper()
    text = " ".join(f"{kind.__name__}: {error}".split())
    line = f"{name} UNKNOWN - the probe cannot run: {text}; install hcrun again\n"
    try:
        os.write(1, line.encode("utf-8", "replace"))
    finally:
        os._exit(3)


if os.path.basename(sys.argv[0]).startswith("probe-"):
    sys.excepthook = _unknown
