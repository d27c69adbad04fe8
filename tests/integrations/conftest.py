"""The application that these tests run."""

from pathlib import Path

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.application import App


@pytest.fixture
def app(tmp_path: Path, stub: HealthchecksStub) -> App:
    return App(tmp_path, stub)
