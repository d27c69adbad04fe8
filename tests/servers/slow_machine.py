"""Imported where probes are forked, before any of them: a loaded machine is not what they test.

On one, a real server can take longer than the thresholds allow by default. The default of the
latency is tested in tests/probes/test_probe.py, without a server.
"""

from typing import Any

from probes.framework import memory, table

PATIENT = "8s"
load = table._load


def patient(name: str) -> dict[str, Any]:
    """The table of a probe with patient thresholds for what a real server does in the test."""
    content = load(name)
    for row in content.get("thresholds", ()):
        if isinstance(row, dict) and row["name"] in {"canary", "slowest"}:
            row["warning"] = PATIENT
    return content


# A fork has the modules of all probes. What one alone needs is tests/probes/test_memory.py's.
memory.LIMIT += 60e6
table.COMMON["latency"] = table.LATENCY._replace(warning=PATIENT)
table._load = patient
