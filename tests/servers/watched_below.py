"""A Celery application with one task, which is watched below `@app.task` and in no other way."""

import os
from typing import Any

import celery

from hcrun import monitor_task

app = celery.Celery("watched", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_max_tasks_per_child=int(os.environ.get("TASKS_PER_PROCESS", "1000")),
)


@app.task(name="below", bind=True, max_retries=1)  # type: ignore[untyped-decorator, unused-ignore]
@monitor_task("below")
def below(self: Any, how: str) -> str:
    if how == "raise":
        raise ValueError("no tenants")
    if how == "retry":
        raise self.retry(exc=ValueError("no tenants"), countdown=0)
    return how
