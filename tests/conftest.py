"""Fixtures shared by all test modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.healthchecks_stub import HealthchecksStub


@pytest.fixture
def stub() -> Iterator[HealthchecksStub]:
    """A Healthchecks server of this test's own."""
    with HealthchecksStub() as server:
        yield server
