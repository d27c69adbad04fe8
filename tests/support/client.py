"""A client of the management API with other retries than the settings have."""

from hcrun.api.client import HealthchecksClient
from hcrun.settings import Settings


def client_of(
    url: str, key: str, *, timeout: float = 10.0, tries: int = 3, delay: str = "1s"
) -> HealthchecksClient:
    values = {"HEALTHCHECKS_API_URL": url, "HEALTHCHECKS_RETRY_COUNT": str(tries)}
    settings = Settings(values | {"HEALTHCHECKS_RETRY_DELAY": delay}, {})
    return HealthchecksClient(api_key=key, timeout=timeout, _settings=settings)
