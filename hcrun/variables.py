"""The table of all variables, for the help, the documentation and the doctor.

Apart from hcrun.settings, because a run does not need it.
"""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hcrun.settings import CHECK_TIMEOUT, HOSTED, HOSTED_API, RETRY_COUNT, RETRY_DELAY, Settings


class Variable(NamedTuple):
    """A variable that hcrun reads, from the environment or the env file."""

    name: str
    text: str
    default: str = ""
    secret: bool = False  # `Settings.secret` reads it, so `NAME_FILE` works as well


def _secret(name: str, text: str, default: str = "") -> Variable:
    return Variable(name, text, default, secret=True)


# The variables of `hcrun` itself; then all of them, for the documentation and the doctor.
RUN_VARIABLES = (
    Variable("HEALTHCHECKS_PING_URL", "the ping URL of the server", HOSTED),
    _secret("HEALTHCHECKS_PING_KEY", "the project's ping key, to ping checks by name"),
    _secret("HC_CHECK_<NAME>", "the check's UUID or ping URL; NAME is upper case, _ for -"),
    Variable("HEALTHCHECKS_ENABLED", "false: record runs and send no pings", "true"),
    Variable("HEALTHCHECKS_RETRY_COUNT", "tries of a ping", f"{RETRY_COUNT}"),
    Variable(
        "HEALTHCHECKS_RETRY_DELAY",
        "the delay before the second try, doubled for the third",
        f"{RETRY_DELAY:g}s",
    ),
    Variable(
        "HCRUN_ENV_FILE",
        "a file with such variables",
        "~/.config/hcrun/hcrun.env, /etc/hcrun/hcrun.env",
    ),
    Variable(
        "STATE_DIRECTORY",
        "the directory of the journal",
        "/var/lib/hcrun (root), ~/.local/state/hcrun",
    ),
    Variable("HTTP(S)_PROXY, NO_PROXY", "the proxy for pings"),
    Variable("SSL_CERT_FILE, SSL_CERT_DIR", "the CAs to trust instead of the system's"),
)
VARIABLES = (
    *RUN_VARIABLES,
    Variable("HEALTHCHECKS_API_URL", "the Management API of the server", HOSTED_API),
    _secret("HEALTHCHECKS_API_KEY", "the project's read-write API key"),
    _secret("HEALTHCHECKS_READ_KEY", "the project's read-only API key, for reading"),
    _secret("HEALTHCHECKS_METRICS_KEY", "the server's METRICS_KEY, to see unsent alerts"),
    _secret("HEALTHCHECKS_DATABASE_URL", "the server's PostgreSQL database, for hcctl view"),
    Variable("HEALTHCHECKS_MANAGE", "the command of the server's manage.py, for hcctl channels"),
    Variable("HEALTHCHECKS_CHECK_TIMEOUT", "the deadline of a probe", f"{CHECK_TIMEOUT:g}s"),
    Variable(
        "HEALTHCHECKS_GRACE_MULTIPLIER",
        "the grace, in periods, of a check whose catalogue entry has none",
        "2",
    ),
    Variable(
        "HEALTHCHECKS_TLS_CA",
        "a file of CA certificates that probe-healthchecks and probe-escalation trust",
    ),
    Variable("HEALTHCHECKS_ESCALATION_TAG", "the tags that probe-escalation looks at", "tier:1"),
    Variable(
        "HEALTHCHECKS_ESCALATION_IGNORE", "the slugs that probe-escalation ignores", "escalation"
    ),
    Variable("HEALTHCHECKS_REPORT_EMAIL", "the recipients of hcctl report --mail"),
)


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
    credentials = settings.get("CREDENTIALS_DIRECTORY")
    return any(
        settings.get(variable)
        or settings.get(f"{variable}_FILE")
        or (credentials and os.path.exists(os.path.join(credentials, variable.lower())))
        for variable in variables
    )
