"""An application that uses every public name with its types: mypy reads it, nothing runs it."""

# ruff: noqa: F841 - the variables are there for their types

from typing import Any, Literal, assert_type

import hcrun
from hcrun import (
    ApiError,
    Channel,
    Check,
    Flip,
    HcrunError,
    HealthchecksClient,
    Monitor,
    Ping,
    Run,
    SettingsError,
    UsageError,
    celery_tasks,
    configure,
    current_run,
    flush,
    healthcheck_blueprint,
    healthchecks,
    monitor_celery_app,
    monitor_celery_task,
    monitor_endpoint,
    monitor_task,
)
from hcrun.testing import Recorded, recording


def application() -> None:
    configure(
        ping_url="http://x/ping",
        api_url="http://x/api/v1",
        ping_key="k",
        api_key="a",
        enabled=True,
        journal=None,
        flush_at_exit=1.0,
    )
    client = HealthchecksClient(
        api_url="x", api_key=None, ping_url=None, ping_key="k", timeout=3, read_only=False
    )
    client.enabled = True
    ok: bool = (
        client.ping("x") and client.ping("x", "/start") and client.ping("x", 3, "text", run_id="r")
    )
    ok = (
        client.ping_start("x", "t", run_id="r")
        or client.ping_success("x")
        or client.ping_fail("x", "why")
        or client.ping_log("x", "line")
    )
    made: Check | None = client.create_check(
        "n", "a b", "300", "UTC", 60, slug="s", desc="d", channels="*", exist_ok=True
    )
    made = healthchecks.create_check("n", schedule=300)
    checks: list[Check] = client.list_checks() + client.list_checks("tag", slug="s")
    one: Check | None = client.get_check("x")
    if one:
        state: Literal["new", "up", "grace", "down", "paused"] = one.status
        text: str = one.uuid + one.name + one.slug + one.ping_url
        last: float | None = one.last_ping
    changed: Check = client.update_check("x", grace=3)
    paused: Check = client.pause_check("x")
    resumed: Check = client.resume_check("x")
    client.delete_check("x")
    pings: list[Ping] = client.list_pings("x")
    bodies: list[str] = [p.body() for p in pings]
    facts = [(p.number, p.type, p.date, p.duration) for p in pings]
    flips: list[Flip] = client.list_flips("x", 1.0, None)
    whens = [(f.when, f.up) for f in flips]
    channels: list[Channel] = client.list_channels()
    names = [(c.id, c.name, c.kind) for c in channels]
    with client.run("x") as run:
        run.log("x")
        run.fail("why")
        run.set(files=3)
    by_hand: Run = client.run("x")

    @monitor_task
    def plain(n: int) -> str:
        return str(n)

    assert_type(plain(3), str)

    @monitor_task("x")
    def named(n: int) -> str:
        return str(n)

    assert_type(named(3), str)

    def rows(result: int) -> bool | str | None:
        return result > 0 or "none"

    @monitor_task(
        check_name="cleanup", auto_start=False, validate=rows, ignore=(KeyError,), retry=(OSError,)
    )
    async def clean() -> int:
        return 3

    monitor: Monitor = monitor_task(check_id="5c2f8a8e-0000-4000-8000-000000000000")
    with monitor_task("x") as r:
        r.log("half")
        assert_type(r, Run)
        c: Run | None = current_run()

    async def more() -> None:
        async with monitor_task("x") as r:
            r.set(a=1)

    @monitor_endpoint(check_name="x", period=30)
    def view() -> str:
        return ""

    assert_type(view(), str)
    task_monitor: Monitor = monitor_celery_task(check_name="x", validate=rows)
    monitor_celery_app(object(), {"a": "b", "c": monitor}, beat=True)
    bp = healthcheck_blueprint({"db": lambda: True}, url="/h", cache=1.0, deadline=2.0)
    bp2 = healthcheck_blueprint(["redis"])
    done: bool = flush(3.0)
    with recording() as caught:
        healthchecks.ping("x")
        first: Recorded = caught[0]
        parts = (first.check, first.action, first.text)
    try:
        pass
    except (ApiError, SettingsError, UsageError) as error:
        base: HcrunError = error
        number: int = error.status if isinstance(error, ApiError) else 0
    verdict: dict[str, Any] = celery_tasks.check_redis()
    celery_tasks.check_redis.delay()
    print(hcrun.__version__)
