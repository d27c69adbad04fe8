"""The results of several probes as one: text for people first, then the perfdata; or JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hcrun.units import span
from probes.framework.verdict import Reading, Status, Verdict, worst

HEALTH = {
    Status.OK: "healthy",
    Status.WARNING: "degraded",
    Status.UNKNOWN: "degraded",
    Status.CRITICAL: "critical",
}


class Result(NamedTuple):
    verdict: Verdict
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """The results of all probes, in the order of KNOWN."""

    results: Sequence[Result]
    missing: Mapping[str, Sequence[str]]  # the variables of probes that are not configured
    seconds: float = 0.0  # for everything
    import_seconds: float = 0.0  # of these
    problem: str = ""  # why no probe ran
    left_out: Sequence[str] = ()  # names of probes

    @property
    def status(self) -> Status:
        """The worst status; UNKNOWN without any result."""
        return worst(result.verdict.status for result in self.results)

    @property
    def health(self) -> str:
        return HEALTH[self.status] if self.results else "unknown"

    def lines(self) -> Iterator[str]:
        """A line for all, a line for each probe, the worst first; then their perfdata."""
        if not self.results:
            yield f"ALL UNKNOWN - {self.problem}"
            return
        verdicts = [result.verdict for result in self.results]
        order = sorted(Status, key=lambda status: -status.severity)
        found = {s: [verdict.name for verdict in verdicts if verdict.status is s] for s in order}
        amounts = [
            f"{len(names)} {status.name}" + (f" ({', '.join(names)})" if status else "")
            for status, names in found.items()
            if names
        ]
        known = len(verdicts) + len(self.missing)
        text = "" if self.health == self.status.name.lower() else f"{self.health}, "
        text += f"{len(verdicts)} of {known} ran in {span(self.seconds)}"
        text += f": {', '.join(amounts)}"
        if self.missing:
            text += f"; not configured: {', '.join(self.missing)}"
        if self.left_out:
            text += f"; left out: {', '.join(self.left_out)}"
        yield f"ALL {self.status.name} - {text}"
        worst_first = sorted(verdicts, key=lambda verdict: -verdict.status.severity)
        for verdict in worst_first:
            yield verdict.words()
        time = Reading("time", self.seconds, "s", minimum=0)
        counts = [Reading(status.name.lower(), len(found[status])) for status in Status]
        perfdata = [Verdict("all", readings=[time, *counts]), *worst_first]
        yield "| " + "\n".join(filter(None, (each.perfdata(f"{each.name}::") for each in perfdata)))

    def as_json(self) -> dict[str, object]:
        return {
            "probe": "all",
            "status": self.status.name,
            "health": self.health,
            "problem": self.problem,
            "seconds": round(self.seconds, 6),
            "import_seconds": round(self.import_seconds, 6),
            "ran": len(self.results),
            "known": len(self.results) + len(self.missing),
            "not_configured": {name: list(names) for name, names in self.missing.items()},
            "left_out": list(self.left_out),
            "probes": [
                {**result.verdict.as_json(), "seconds": round(result.seconds, 6)}
                for result in self.results
            ],
        }
