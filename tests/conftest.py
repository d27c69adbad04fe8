"""Fixtures shared by all test modules."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.docker_engine import skip_unless_asked
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.host import Host
from tests.support.real import skip_without_server

# What is ignored stays ignored in the commands that tests run and signal: `nohup make test &`.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.umask(0o022)  # that of the systems that tests make up


# The longest files, which start first: at the end, no worker is left alone with one.
LONGEST = (
    "probes/test_conformance.py",
    "api/test_mutations.py",
    "packaging/test_install.py",
    "schedulers/test_schedulers.py",
    "run/test_crash.py",
    "journal/test_damage.py",
    "probes/test_executables.py",
    "integrations/test_celery.py",
    "doctor/test_doctor.py",
    "probes/test_check_log_rate.py",
    "probes/test_check_celery.py",
    "probes/test_check_tenants.py",
    "probes/test_apache_kafka.py",
    "probes/test_check_postgres.py",
    "integrations/test_log.py",
    "journal/test_late_state.py",
    "run/test_starts_at_once.py",
)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Half of the time, a test waits for something: more workers than cores."""
    return len(os.sched_getaffinity(0)) + 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rank = {str(Path(__file__).parent / name): number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(str(item.path), len(rank)))
    skip_without_server(items)
    skip_unless_asked(config, items)


@pytest.fixture
def stub() -> Iterator[HealthchecksStub]:
    """A Healthchecks server of this test's own."""
    with HealthchecksStub() as server:
        yield server


@pytest.fixture
def host(tmp_path: Path, stub: HealthchecksStub) -> Host:
    """A host whose server is the stub."""
    return Host(tmp_path, stub)


@pytest.fixture
def check(stub: HealthchecksStub) -> Check:
    """A new check of the stub."""
    return stub.add_check()
