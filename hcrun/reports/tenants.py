"""The readings of tenants, `tenant/NAME/READING` in perfdata, of a period and the one before."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from hcrun.formats import perfdata
from hcrun.journal import samples
from hcrun.journal.database import Database
from hcrun.reports.period import Period

_PREFIX = "tenant/"


class TenantReading(NamedTuple):
    """A reading of a tenant: its means, None if there was none."""

    check: str
    tenant: str
    reading: str
    unit: str  # as of hcrun.formats.perfdata
    now: float | None
    before: float | None


def by_tenant(
    journal: Database, before: Period, period: Period, checks: Sequence[str]
) -> list[TenantReading]:
    """The readings of all tenants of these checks. Raises JournalError."""
    last = samples.last_outputs(journal, before.begin, period.end)
    wanted = [
        name
        for name, output in last.items()
        if name in checks and _PREFIX in output.head + output.tail
    ]
    if not wanted:
        return []
    now, earlier = (_means(journal, each, wanted) for each in (period, before))
    return [
        TenantReading(check, tenant, reading, unit, now.get(key), earlier.get(key))
        for key in sorted({*now, *earlier})
        for check, tenant, reading, unit in [key]
    ]


def _means(
    journal: Database, period: Period, checks: Sequence[str]
) -> dict[tuple[str, str, str, str], float]:
    runs = samples.sample(journal, period.begin, period.end, checks)
    outputs = samples.outputs(journal, [run.row for each in runs.values() for run in each])
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for check, sampled in runs.items():
        for run in sampled:
            if run.row not in outputs:
                continue
            for value in perfdata.read(outputs[run.row]):
                if value.label.startswith(_PREFIX) and value.label.count("/") == 2:
                    _, tenant, reading = value.label.split("/")
                    found.setdefault((check, tenant, reading, value.unit), []).append(value.value)
    return {key: fmean(values) for key, values in found.items()}
