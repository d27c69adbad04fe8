"""The Celery application that the workers and the beat of the tests run; the broker is in
CELERY_BROKER_URL."""

import os
import time

import celery

app = celery.Celery("tests", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=2,
    task_acks_late=True,
    beat_schedule={"beat": {"task": "heartbeat", "schedule": 0.2, "options": {"expires": 5}}},
)


@app.task(name="wait")  # type: ignore[untyped-decorator, unused-ignore]
def wait(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="heartbeat")  # type: ignore[untyped-decorator, unused-ignore]
def heartbeat() -> None:
    """What a project adds to let probe-celery-beat see that beat and a worker are alive."""
    with app.connection_for_write() as connection:
        connection.default_channel.client.set("beat", time.time())
