"""For tests of an application that uses hcrun: nothing is sent or recorded in the journal.

With pytest, a test takes the fixture `hcrun_pings`, the list that `recording()` returns.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from hcrun.api import recorded
from hcrun.api.recorded import Recorded

__all__ = ["Recorded", "recording"]


@contextmanager
def recording() -> Iterator[list[Recorded]]:
    """Catch all pings of this process: `with recording() as pings:`."""
    before, recorded.pings = recorded.pings, []
    try:
        yield recorded.pings
    finally:
        recorded.pings = before


try:
    import pytest
except ImportError:  # the application's tests do not use it
    pass
else:

    @pytest.fixture
    def hcrun_pings() -> Iterator[list[Recorded]]:
        """The pings of this test, which are not sent."""
        with recording() as pings:
            yield pings
