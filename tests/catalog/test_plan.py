"""The fourteen checks of docs/plan.md are in the shipped catalogue as they are there."""

import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.settings import Settings
from hcrun.sync.plan import wanted

# slug, name, tags, seconds or cron, grace in seconds, description
PLAN = """\
postgres|PostgreSQL Database|database infrastructure tier1|30|120|Main PostgreSQL database health
redis|Redis Cache/Broker|cache redis infrastructure tier1|30|120|Redis for caching and Celery broker
api|Flask API|api application tier1|60|180|Main Flask API endpoints
celery-worker-sso|Celery Worker SSO|celery worker sso tier1|60|300|SSO background task worker
celery-beat|Celery Beat Scheduler|celery beat scheduler tier1|60|300|Task scheduler
kafka|Kafka Broker|kafka messaging tier2|120|300|Apache Kafka message broker
kafka-consumer|Kafka Consumer|kafka consumer worker tier2|120|300|Kafka message consumer worker
minio|MinIO S3 Storage|minio storage s3 tier2|300|600|S3-compatible object storage
vault|Vault Secrets|vault security secrets tier2|300|600|HashiCorp Vault secrets management
refresh-expiring-tokens|SSO Token Refresh|task scheduled sso|*/15 * * * *|300|Refresh expiring SSO tokens
health-check|Health Check Task|task scheduled monitoring|*/5 * * * *|120|Regular system health check
cleanup-expired-tokens|Token Cleanup|task scheduled maintenance|0 2 * * *|3600|Clean up expired tokens
rotate-encryption-keys|Encryption Key Rotation|task scheduled security|0 3 1 * *|7200|Rotate Vault encryption keys
all|Comprehensive Health Check|monitoring global all|600|600|Full system health check
"""


@pytest.mark.parametrize("line", PLAN.splitlines(), ids=lambda line: line.partition("|")[0])
def test_a_check_of_the_plan(line: str) -> None:
    slug, name, tags, when, grace, description = line.split("|")
    catalog = load(SHIPPED, Settings({}, {}))
    (check,) = (one for one in catalog.checks if one.slug == slug)
    sent = wanted(check, {channel: channel for channel in catalog.channels})
    # The server adds no severity to an alert, so the name has it; it accepts 60 s and more.
    assert sent["name"] == f"[{check.severity} production] {name}"
    assert set(tags.split()) <= set(sent["tags"].split())
    assert f"\n\n{description}\n\n" in sent["desc"]
    assert sent["grace"] == int(grace)
    expected = {"timeout": max(60, int(when))} if when.isdigit() else {"schedule": when}
    assert expected.items() <= sent.items()
    if when.isdigit():
        assert check.schedule.seconds == int(when)  # type: ignore[union-attr]
