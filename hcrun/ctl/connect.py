"""The management API as commands use it."""

from __future__ import annotations

from hcrun.api.client import HealthchecksClient
from hcrun.errors import HcrunError
from hcrun.settings import Settings


def connect(read_only: bool = False) -> HealthchecksClient:
    """Raises HcrunError when the settings are wrong or say that the server is to be left alone."""
    settings = Settings.load()
    if not settings.flag("HEALTHCHECKS_ENABLED", True):
        raise HcrunError("HEALTHCHECKS_ENABLED is false", hint="the server was not asked")
    client = HealthchecksClient.from_settings(settings, read_only)
    if settings.problems:
        raise HcrunError(settings.problems[0])
    return client
