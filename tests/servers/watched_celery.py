"""A Celery application whose tasks are watched by hcrun: in each of the three ways, they do as
they are told."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import celery
from celery.exceptions import Ignore, Reject

from hcrun import monitor_celery_app, monitor_task

app = celery.Celery("watched", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    worker_max_tasks_per_child=int(os.environ.get("TASKS_PER_PROCESS", "1000")),
)


again = threading.Event()


def on_retry(_self: Any, _error: Any, _id: str, args: Any, _kwargs: Any, _einfo: Any) -> None:
    """Before Celery is done with the first try, the second one begins."""
    if args == ["overlap"]:
        assert again.wait(20)
        again.clear()


def do(task: Any, how: str) -> str:
    if how == "raise":
        raise ValueError("no tenants")
    if how == "overlap" and task.request.retries:
        again.set()
    if how in ("retry", "overlap"):
        raise task.retry(exc=ValueError("no tenants"), countdown=0, max_retries=1)
    if how == "refused":
        raise ConnectionRefusedError("db")
    if how == "ignore":
        raise Ignore
    if how == "reject":
        raise Reject("not mine", requeue=False)
    if how == "sleep":
        time.sleep(60)
    if how == "kill" and not Path(how).exists():
        Path(how).touch()  # only once
        time.sleep(0.3)  # the start is on its way
        os.kill(os.getpid(), signal.SIGKILL)
    return how


options: dict[str, Any] = {
    "bind": True,
    "autoretry_for": (ConnectionRefusedError,),
    "max_retries": 1,
    "on_retry": on_retry,
    "default_retry_delay": 0,
    "reject_on_worker_lost": True,
}


@app.task(name="below", **options)  # type: ignore[untyped-decorator, unused-ignore]
@monitor_task("below")
def below(self: Any, how: str) -> str:
    return do(self, how)


@monitor_task("above")
@app.task(name="above", **options)  # type: ignore[untyped-decorator, unused-ignore]
def above(self: Any, how: str) -> str:
    return do(self, how)


@app.task(name="installed", **options)  # type: ignore[untyped-decorator, unused-ignore]
def installed(self: Any, how: str) -> str:
    return do(self, how)


@monitor_task("above")
@app.task(name="thrice", **options)  # type: ignore[untyped-decorator, unused-ignore]
@monitor_task("below")
def thrice(self: Any, how: str) -> str:
    return do(self, how)


names = ("installed", "thrice", "mistyped")
monitor_celery_app(app, dict.fromkeys(names, "installed"))
