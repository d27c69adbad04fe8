"""Fixtures shared by all test modules."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.healthchecks_stub import HealthchecksStub

# What is ignored stays ignored in the commands that tests run and signal: `nohup make test &`.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.umask(0o022)  # that of the systems that tests make up


@pytest.fixture
def stub() -> Iterator[HealthchecksStub]:
    """A Healthchecks server of this test's own."""
    with HealthchecksStub() as server:
        yield server


# Their servers take seconds to start, or what they try takes its time: not for the quick run.
SERVERS = {
    *("all", "celery", "celery_beat", "escalation", "healthchecks", "http", "kafka", "kafka_lag"),
    *("log_rate", "minio", "postgres", "redis", "sql", "tenants", "trend", "vault", "vault_key"),
    "zookeeper",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = {f"test_check_{name}.py" for name in SERVERS}
    slow |= {
        f"test_{name}.py"
        for name in (
            "app_celery",
            "app_flask",
            "app_task",
            "backup",
            "crash",
            "ctl_channels",
            "ctl_pause",
            "ctl_sync",
            "doctor",
            "job_control",
            "metrics",
            "prune",
            "report",
            "report_page",
            "report_sent",
            "schedulers",
            "starts_at_once",
            "status",
            "transport",
            "view",
        )
    }
    for item in items:
        if item.path.name in slow:
            item.add_marker(pytest.mark.slow)
