"""The thresholds of a probe as they are when nobody gives others."""

from probes.framework.probe import Probe
from probes.framework.verdict import Range


def default_ranges(probe: Probe) -> dict[str, tuple[Range | None, Range | None]]:
    """Warning and critical by the thresholds' names."""
    return {
        item.name: (item.read(item.warning), item.read(item.critical))
        for item in probe.table.thresholds
    }
