"""The C halves of `signal`, `_socket` and `sqlite3`: the hot path has no other.

`signal` and `socket` make enums at import, `sqlite3` loads `datetime` and `collections`: each
costs 0.3 to 0.5 bare interpreter starts, of which a whole run may take 2.5. All that is used of
them here is defined by the C modules, under the same names and with the same meaning, in every
CPython since 3.7.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
else:
    import _signal as signal

__all__ = ["signal"]
