"""Run a command, tell Healthchecks how it went, and never harm the command.

For Python applications, each loaded when it is first asked for:

    from hcrun import HealthchecksClient, Pinger, monitor_task
    from hcrun import healthcheck_blueprint, monitor_endpoint  # for Flask
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient
    from hcrun.integrations.flask import monitor_endpoint
    from hcrun.integrations.health import healthcheck_blueprint
    from hcrun.integrations.pinger import Pinger
    from hcrun.integrations.task import monitor_task

__all__ = [
    "HealthchecksClient",
    "Pinger",
    "healthcheck_blueprint",
    "monitor_endpoint",
    "monitor_task",
]
_HOMES = {
    "HealthchecksClient": "hcrun.api.client",
    "Pinger": "hcrun.integrations.pinger",
    "healthcheck_blueprint": "hcrun.integrations.health",
    "monitor_endpoint": "hcrun.integrations.flask",
    "monitor_task": "hcrun.integrations.task",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: `hcrun` itself, on its hot path, needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
