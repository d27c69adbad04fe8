"""What the tests of probes share: the probe itself, and the servers that several of them need."""

from pathlib import Path

import pytest

from tests.servers.kafka import kafka_server
from tests.servers.postgres import PASSWORD, primary, replica, scratch, template
from tests.servers.process import Command
from tests.servers.redis import start_redis

__all__ = ["kafka_server", "primary", "replica", "scratch", "start_redis", "template"]


@pytest.fixture
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """The probe after which the module of the test is named."""
    module: str = request.module.__name__
    name = module.rpartition("test_check_")[2].replace("_", "-")
    return Command(f"probe-{name}", tmp_path)


@pytest.fixture
def libpq_probe(probe: Command) -> Command:
    """The probe as `plain` of the database `postgres`; PGPORT is the test's."""
    probe.environ |= {"PGHOST": "127.0.0.1", "PGUSER": "plain", "PGDATABASE": "postgres"}
    probe.environ["PGPASSWORD"] = PASSWORD
    return probe
