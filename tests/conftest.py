"""Fixtures shared by all test modules."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.host import Host
from tests.support.real import skip_without_server

# What is ignored stays ignored in the commands that tests run and signal: `nohup make test &`.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.umask(0o022)  # that of the systems that tests make up


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without_server(items)


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
