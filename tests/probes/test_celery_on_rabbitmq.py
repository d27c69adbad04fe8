"""probe-celery on a real RabbitMQ: its URLs, TLS, workers, and an alarm about its memory."""

from pathlib import Path

import pytest

from tests.servers.celery import rabbit_worker
from tests.servers.process import Command, Like, free_port, until
from tests.servers.rabbitmq import Rabbit, rabbit

pytestmark = pytest.mark.slow

__all__ = ["rabbit"]


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-celery", tmp_path)


def test_urls(probe: Command, rabbit: Rabbit) -> None:
    plain, secure = f"127.0.0.1:{rabbit.port}", f"127.0.0.1:{rabbit.tls_port}"
    flags = ["--min-workers", 0, "--certificate-critical", "off"]
    trusted = f"amqps://{secure}//?ssl_ca_certs={rabbit.ca}"
    for url, status, words in (
        (f"pyamqp://guest:guest@{plain}//?heartbeat=30&connection_attempts=3", 0, "no worker"),
        (f"amqps://{secure}//?ssl_cert_reqs=none", 0, "no worker"),
        (trusted, 1, "(under 14 d); check its automatic renewal, 127.0.0.1:"),
        (f"amqp://127.0.0.1:{free_port()};{rabbit.url}", 1, "Connection refused; the next broker"),
        (f"amqps://{secure}//", 2, f"{secure}: [SSL: CERTIFICATE_VERIFY_FAILED]"),
        (f"amqps://{plain}//", 2, f"{plain}: the port does not speak TLS; use amqp://"),
        (f"amqp://{secure}//", 2, f"{secure}: the port speaks TLS; use amqps://"),
        (f"amqp://{plain}/nowhere", 3, "not found; check the virtual host in CELERY_BROKER_URL"),
        (f"amqp://me:s3cr3t@{plain}//", 3, "; check user and password in CELERY_BROKER_URL"),
    ):
        ran = probe(*flags, CELERY_BROKER_URL=url)
        assert ran.status == status, ran
        assert words in ran.line
        assert "s3cr3t" not in ran.line


def test_worker_and_alarm(probe: Command, rabbit: Rabbit, tmp_path: Path) -> None:
    probe.environ["CELERY_BROKER_URL"] = rabbit.url
    with rabbit_worker(rabbit, tmp_path):
        # The probe waits a second for answers, and a slow machine may take longer.
        until(lambda: ", 1 worker | " in probe("--expect", "one").line, "the worker answers", 30)
        with rabbit.alarm():
            assert probe().line == Like(
                f"CELERY CRITICAL - 127.0.0.1:{rabbit.port}: takes no tasks: an alarm about its "
                "memory or disk blocks who sends; rabbitmq-diagnostics alarms says which, "
                f"127.0.0.1:{rabbit.port} answers in #T | latency=#s;8;;0"
            )
