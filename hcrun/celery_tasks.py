"""Celery tasks that run the probes: `monitoring.check_redis` and others.

    app.conf.imports = ["hcrun.celery_tasks"]
    app.conf.beat_schedule = {"redis": {"task": "monitoring.check_redis", "schedule": 60}}

A task returns the verdict as a dict and pings its check: success for OK and WARNING, else failure.
It takes the name of a check (`check="redis-eu"`) and options of the probe
(`options=["--memory-warning", "1GB"]`). The services are set as for the probes: see docs/probes.md
and docs/python.md.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import shared_task

from hcrun.integrations.monitor import monitor_task
from probes import check_all
from probes.framework.report import HEALTH
from probes.framework.verdict import Status, Verdict

__all__ = [
    "check_api",
    "check_celery",
    "check_kafka",
    "check_minio",
    "check_postgres",
    "check_redis",
    "check_vault",
    "comprehensive_health_check",
]

_Found = tuple[Status, str, dict[str, Any]]  # with the text for people, and the JSON


def _probe(name: str, options: Sequence[str]) -> _Found:
    probe = check_all.load(name)
    verdict = probe if isinstance(probe, Verdict) else probe.result(options)
    status = verdict.status
    return status, verdict.line(), verdict.as_json() | {"health": HEALTH[status]}


def _all(options: Sequence[str]) -> _Found:
    report = check_all.report(options)
    return report.status, "\n".join(report.lines()), report.as_json()


def _task(name: str, usual: str, look: Callable[[Sequence[str]], _Found]) -> Any:
    def run(check: str = usual, options: Sequence[str] = ()) -> dict[str, Any]:
        """Check, ping the check, and return the verdict."""
        with monitor_task(check, auto_start=False) as run:
            status, text, answer = look(options)
            run.log(text)
            if status not in (Status.OK, Status.WARNING):
                run.fail(text.partition("\n")[0].partition(" | ")[0])
        return answer | {"timestamp": datetime.now(UTC).isoformat()}

    run.__name__ = name
    return shared_task(name=f"monitoring.{name}")(run)


check_postgres = _task("check_postgres", "postgres", partial(_probe, "postgres"))
check_redis = _task("check_redis", "redis", partial(_probe, "redis"))
check_api = _task("check_api", "api", partial(_probe, "http"))
check_celery = _task("check_celery", "celery-worker-sso", partial(_probe, "celery"))
check_kafka = _task("check_kafka", "kafka", partial(_probe, "kafka"))
check_minio = _task("check_minio", "minio", partial(_probe, "minio"))
check_vault = _task("check_vault", "vault", partial(_probe, "vault"))
comprehensive_health_check = _task("comprehensive_health_check", "all", _all)
