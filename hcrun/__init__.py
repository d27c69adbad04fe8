"""Run a command under cron or systemd and report to Healthchecks how it went.

This is the API for Python applications; `hcrun.celery_tasks` and `hcrun.testing` are the other
public modules. See docs/python.md.
"""

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "Channel",
    "Check",
    "Flip",
    "HcrunError",
    "HealthchecksClient",
    "Monitor",
    "Ping",
    "Run",
    "SettingsError",
    "UsageError",
    "configure",
    "current_run",
    "flush",
    "healthcheck_blueprint",
    "healthchecks",
    "monitor_celery_app",
    "monitor_celery_task",
    "monitor_endpoint",
    "monitor_task",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient, healthchecks
    from hcrun.api.configure import configure
    from hcrun.api.models import Channel, Check, Flip, Ping
    from hcrun.api.run import Run
    from hcrun.errors import ApiError, HcrunError, SettingsError, UsageError
    from hcrun.integrations.agent import flush
    from hcrun.integrations.celery import monitor_celery_app, monitor_celery_task
    from hcrun.integrations.flask import monitor_endpoint
    from hcrun.integrations.health import healthcheck_blueprint
    from hcrun.integrations.monitor import Monitor, current_run, monitor_task
else:
    _NAMES = {
        "api.client": ("HealthchecksClient", "healthchecks"),
        "api.configure": ("configure",),
        "api.models": ("Channel", "Check", "Flip", "Ping"),
        "api.run": ("Run",),
        "errors": ("ApiError", "HcrunError", "SettingsError", "UsageError"),
        "integrations.agent": ("flush",),
        "integrations.celery": ("monitor_celery_app", "monitor_celery_task"),
        "integrations.flask": ("monitor_endpoint",),
        "integrations.health": ("healthcheck_blueprint",),
        "integrations.monitor": ("Monitor", "current_run", "monitor_task"),
    }

    _FINDER = ("find_spec", "invalidate_caches", "path")

    def __getattr__(name):
        """Import a public name at its first use: the hot path of `hcrun` needs none of them."""
        for module, names in _NAMES.items():
            if name in names:
                from importlib import import_module  # costs more than the hot path may spend

                return getattr(import_module(f"hcrun.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        """The names for completion and help(), which lists the modules by `iter_modules`."""
        import sys  # nobody looks on the hot path
        from pkgutil import get_importer
        from types import SimpleNamespace

        parts = {name: getattr(get_importer(__path__[0]), name, None) for name in _FINDER}
        modules = ("celery_tasks", "testing")
        parts["iter_modules"] = lambda prefix="": [(prefix + name, False) for name in modules]
        sys.path_importer_cache[__path__[0]] = SimpleNamespace(**parts)
        return ["__doc__", "__version__", *filter(_exists, __all__)]

    def _exists(name):
        try:
            return bool(__getattr__(name))
        except ImportError:  # of Flask or Celery
            return False
