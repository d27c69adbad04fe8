"""All variables, for the help, the documentation and the doctor; a run does not need them."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hcrun.settings import Settings


class Variable(NamedTuple):
    name: str
    text: str
    default: str = ""
    secret: bool = False
    run: bool = False


def load() -> list[Variable]:
    """The variables of variables.toml, which says what the fields mean."""
    import tomllib  # slow, and a probe needs only what follows

    with open(os.path.join(os.path.dirname(__file__), "variables.toml"), "rb") as file:
        return [Variable(name, **fields) for name, fields in tomllib.load(file).items()]


class Known(NamedTuple):
    variables: tuple[str, ...]  # any of them configures the probe
    libraries: tuple[str, ...] = ()  # that its check imports


# One line for each probe: the PROBE of probes.check_<name>, and the command probe-<name>.
KNOWN: Mapping[str, Known] = {
    "celery": Known(("CELERY_BROKER_URL",), ("kombu.pidbox", "kombu.transport.redis")),
    "celery-beat": Known(
        ("CELERY_BEAT_SCHEDULE", "CELERY_BEAT_HEARTBEAT_KEY"), ("kombu.transport.redis",)
    ),
    "escalation": Known(("HEALTHCHECKS_ESCALATION_TAG",)),
    "healthchecks": Known(("HEALTHCHECKS_API_URL",)),
    "http": Known(("API_URL", "API_PORT")),
    "integrity": Known(("PROBE_INTEGRITY_PATHS",)),
    "kafka": Known(("KAFKA_BOOTSTRAP_SERVERS",), ("kafka.admin",)),
    "kafka-lag": Known(("KAFKA_BOOTSTRAP_SERVERS",), ("kafka.admin",)),
    "log-rate": Known(("PROBE_LOG_RATE_FILE", "PROBE_LOG_RATE_UNIT", "PROBE_LOG_RATE_CONTAINER")),
    "minio": Known(("S3_ENDPOINT_URL",), ("boto3",)),
    "postgres": Known(("DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGSERVICE"), ("psycopg",)),
    "prometheus": Known(("PROBE_PROMETHEUS_QUERY",)),
    "redis": Known(("REDIS_URL", "REDIS_HOST"), ("redis",)),
    "sql": Known(("PROBE_SQL_QUERY",), ("psycopg",)),
    "tenants": Known(("PROBE_TENANTS_SQL", "PROBE_TENANTS_LIST"), ("psycopg",)),
    "trend": Known(("PROBE_TREND_CHECK",)),
    "vault": Known(("VAULT_ADDR",), ("hvac",)),
    "vault-key": Known(("VAULT_TRANSIT_KEYS", "VAULT_KV_SECRETS"), ("hvac",)),
    "zookeeper": Known(("ZOOKEEPER_HOSTS",)),
}


def is_configured(settings: Settings, variables: Sequence[str]) -> bool:
    """True if one of the variables is set, itself or by reference."""
    return any(settings.locate_secret(variable)[1] for variable in variables)
