"""A Celery application that has the tasks of hcrun, and one that calls probes itself."""

import os

import celery

app = celery.Celery(
    "probing", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_BROKER_URL"]
)
app.conf.update(broker_connection_retry_on_startup=True, imports=["hcrun.celery_tasks"])


@app.task(name="by_hand")  # type: ignore[untyped-decorator, unused-ignore]
def by_hand() -> list[int]:
    from probes import check_all, check_redis

    return [check_redis.PROBE.run(), check_all.run()]
