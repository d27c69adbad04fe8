"""Leases of grace: a check is silent while one that it needs is down, or the server restarts.

The server stores all there is: the grace times, and for a restart the end of the leases as a tag of
the check that runs `hcctl hold`. A lease ends by itself if nobody renews it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from hcrun.api.models import Check as RemoteCheck
from hcrun.api.models import Flip
from hcrun.catalog import HOLD_TAG, MARKER, Catalog, Check
from hcrun.catalog.check_reader import MAXIMUM
from hcrun.catalog.schedule import following, period
from hcrun.schedulers.invocation import longest_run
from hcrun.sync.plan import SHORTEST, Change
from hcrun.units import span

LEASE = 300  # seconds: longer than a restart of the server, and not long if the holder dies
_EXPECTS = ("up", "grace")  # states of a check that expects a ping
_REMEMBERED = 30 * 86400.0  # seconds of flips that are read


class Leases:
    """The grace times that the checks of a catalogue should have at the time `now`."""

    def __init__(
        self,
        catalog: Catalog,
        remotes: Iterable[RemoteCheck],
        flips: Callable[[str, float], list[Flip]],
        now: float,
    ) -> None:
        """`flips` gets a uuid and a time."""
        ours = [remote for remote in remotes if MARKER in remote.tags]
        counts = Counter(remote.slug for remote in ours)
        self.remote = {remote.slug: remote for remote in ours if counts[remote.slug] == 1}
        self.now = now
        self._catalog = catalog
        self._flips = flips
        self._recovered: dict[str, float] = {}
        self.interval = SHORTEST  # seconds between two runs of the holder
        self.holder: RemoteCheck | None = None  # the check that runs `hcctl hold`
        for check in catalog.checks:
            if check.command[:2] == ("hcctl", "hold"):
                self.interval = period(check.schedule)
                self.holder = self.remote.get(check.slug)
        tags = self.holder.tags if self.holder else ()
        ends = [tag.removeprefix(HOLD_TAG) for tag in tags if tag.startswith(HOLD_TAG)]
        self.until = max((float(end) for end in ends if end.isdecimal()), default=0.0)  # of --all

    def grace(self, check: Check) -> int:
        """The grace time of a check of the catalogue: its own one, or a longer one."""
        remote = self.remote.get(check.slug)
        if not remote or remote.status not in _EXPECTS or remote.next_ping is None:
            return check.grace
        deadline = _deadline(remote)
        ends = [max(self.until, deadline)] if self.until > self.now else []
        roots = self._catalog.roots(check.needs)
        if any(map(self.is_down, roots)):
            soon = self.now + max(2 * LEASE / 3, self.interval + 60)
            ends.append(self.now + LEASE if deadline < soon else deadline)
        elif remote.grace > check.grace and roots:
            recovered = max(map(self._recovery, roots))
            if recovered > (remote.last_ping or 0.0):  # it has not run since
                once = max(SHORTEST, period(check.schedule)) + check.settle + check.grace
                ends.append(recovered + once)
        longest = round(max(ends, default=0.0) - remote.next_ping, 3)
        return min(MAXIMUM, max(check.grace, math.ceil(longest)))

    def is_down(self, root: Check) -> bool:
        """Whether a check is down, or its ping is late by half a period."""
        remote = self.remote.get(root.slug)
        if not remote or remote.status not in _EXPECTS or remote.last_ping is None:
            return bool(remote and remote.status == "down")
        try:
            due = following(root.schedule, root.zone, remote.last_ping)
        except ValueError:  # it never occurs again
            return False
        return self.now > due + period(root.schedule) / 2 + (longest_run(root) or 0.0)

    def changes(self) -> Iterator[Change]:
        """The calls that give each check its grace time, the most urgent first."""
        found = [(self.remote[c.slug], c) for c in self._catalog.checks if c.slug in self.remote]
        for remote, check in sorted(found, key=lambda each: _deadline(each[0])):
            if (check.needs or self.until) and remote.status in (*_EXPECTS, "down"):
                grace = self.grace(check)
                if grace != remote.grace:
                    texts = ("grace", span(remote.grace), span(grace))
                    yield Change("update", check.slug, remote.uuid, {"grace": grace}, (texts,))

    def mark(self, until: float) -> Iterator[Change]:
        """The call that records the end of the leases of all checks; 0: they have ended."""
        self.until = until
        if self.holder:
            tags = [tag for tag in self.holder.tags if not tag.startswith(HOLD_TAG)]
            tags += [f"{HOLD_TAG}{math.ceil(until)}"] if until else []
            fields = {"tags": " ".join(tags)}
            yield Change("update", self.holder.slug, self.holder.uuid, fields)

    def _recovery(self, root: Check) -> float:
        """When the check went up last, 0 if that is not known."""
        if root.slug not in self._recovered:
            remote = self.remote.get(root.slug)
            flips = self._flips(remote.uuid, self.now - _REMEMBERED) if remote else []
            self._recovered[root.slug] = max((flip.when for flip in flips if flip.up), default=0.0)
        return self._recovered[root.slug]


def _deadline(remote: RemoteCheck) -> float:
    """When the server calls the check down."""
    return (remote.next_ping or math.inf) + remote.grace
