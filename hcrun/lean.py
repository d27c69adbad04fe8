"""The `signal` of the hot path: its C half, without the enums.

`import signal` makes three enums, and importing `enum` for them costs 0.4 bare interpreter
starts before the command could be started. All that is used of it here is what the C module
itself defines; the names and their meaning are those of `signal`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
else:
    import _signal as signal

__all__ = ["signal"]
