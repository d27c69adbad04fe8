"""The Celery application that the workers and the beat of the tests run; the broker is in
CELERY_BROKER_URL, and its transport options in CELERY_BROKER_TRANSPORT_OPTIONS."""

import json
import os
import re
import time
from pathlib import Path

import celery

app = celery.Celery("tests", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options=json.loads(os.environ.get("CELERY_BROKER_TRANSPORT_OPTIONS", "{}")),
    worker_prefetch_multiplier=2,
    task_acks_late=True,
)


@app.task(name="wait")  # type: ignore[untyped-decorator, unused-ignore]
def wait(seconds: float) -> None:
    time.sleep(seconds)


# The heartbeat is the one that the documentation has, at shorter intervals.
_PAGE = Path(__file__).parents[2] / "docs" / "probes.md"
(_block,) = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
exec(_block.replace("task(60,", "task(0.2,"))  # noqa: S102 - what a user pastes
