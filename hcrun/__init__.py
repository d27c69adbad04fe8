"""Run a command under cron or systemd and report to Healthchecks how it went.

The public API for Python applications. Each name is imported when it is first used:

    from hcrun import HealthchecksClient, Pinger, flush, monitor_task
    from hcrun import monitor_celery_app                       # for Celery
    from hcrun import healthcheck_blueprint, monitor_endpoint  # for Flask
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient
    from hcrun.integrations.agent import flush
    from hcrun.integrations.flask import monitor_endpoint
    from hcrun.integrations.health import healthcheck_blueprint
    from hcrun.integrations.pinger import Pinger
    from hcrun.integrations.task import monitor_celery_app, monitor_task

__all__ = [
    "HealthchecksClient",
    "Pinger",
    "flush",
    "healthcheck_blueprint",
    "monitor_celery_app",
    "monitor_endpoint",
    "monitor_task",
]
_MODULES = {
    "HealthchecksClient": "hcrun.api.client",
    "Pinger": "hcrun.integrations.pinger",
    "flush": "hcrun.integrations.agent",
    "healthcheck_blueprint": "hcrun.integrations.health",
    "monitor_celery_app": "hcrun.integrations.task",
    "monitor_endpoint": "hcrun.integrations.flask",
    "monitor_task": "hcrun.integrations.task",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use: the hot path of `hcrun` needs none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # costs more than the hot path may spend

    return getattr(import_module(_MODULES[name]), name)
