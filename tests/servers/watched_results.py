"""A Celery application with a result backend, whose results Celery may not take."""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import celery
from celery.schedules import crontab

from hcrun import current_run, monitor_celery_app, monitor_task

URL = os.environ["CELERY_BROKER_URL"]
app = celery.Celery("watched", broker=URL, backend=URL)
app.conf.update(broker_connection_retry_on_startup=True, timezone="Europe/Paris")


@app.task(name="job")  # type: ignore[untyped-decorator, unused-ignore]
@monitor_task("job", validate=lambda result: result != "refused")
def job(what: str) -> Any:
    run = current_run()
    assert run
    run.log("in the task")
    if what == "marked":
        run.fail("by itself")
    return object() if what == "object" else what


@app.task(name="later")  # type: ignore[untyped-decorator, unused-ignore]
@monitor_task("job")
async def later() -> int:
    return 1


@app.task(name="rows")  # type: ignore[untyped-decorator, unused-ignore]
@monitor_task("job")
def rows() -> Iterator[int]:
    yield 1


@app.task(name="often")  # type: ignore[untyped-decorator, unused-ignore]
def often(word: str) -> str:
    return word


app.conf.beat_schedule = {
    "Each second": {"task": "often", "schedule": timedelta(seconds=1), "args": ("a",)},
    "***": {"task": "often", "schedule": 1.0, "args": ("d",)},
    "celery.own": {"task": "often", "schedule": 1.0, "args": ("e",)},
    "never-now": {"task": "often", "schedule": crontab(hour=4, minute="*/15"), "args": ("b",)},
    "other": {"task": "often", "schedule": 1.0, "args": ("c",), "options": {"expires": 60}},
}
monitor_celery_app(app, beat=True)
