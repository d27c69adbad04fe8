"""probe-celery on a real RabbitMQ: workers, and an alarm about its memory."""

from pathlib import Path

import pytest

from tests.servers.celery import rabbit_worker
from tests.servers.process import Command, Like, until
from tests.servers.rabbitmq import Rabbit, rabbit

pytestmark = pytest.mark.slow

__all__ = ["rabbit"]


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-celery", tmp_path)


def test_worker_and_alarm(probe: Command, rabbit: Rabbit, tmp_path: Path) -> None:
    probe.environ["CELERY_BROKER_URL"] = rabbit.url
    with rabbit_worker(rabbit, tmp_path):
        # The probe waits a second for answers, and a slow machine may take longer.
        until(lambda: ", 1 worker | " in probe("--expect", "one").line, "the worker answers", 30)
        with rabbit.alarm():
            assert probe().line == Like(
                f"CELERY CRITICAL - 127.0.0.1:{rabbit.port}: takes no tasks: an alarm about its "
                "memory or disk blocks who sends; rabbitmq-diagnostics alarms says which, "
                f"127.0.0.1:{rabbit.port} answers in #T | latency=#s;0.5;;0"
            )
