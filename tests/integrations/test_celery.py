"""Celery tasks that are watched, in real workers with a real Redis."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import celery
import pytest
from celery.schedules import crontab

from hcrun.integrations.celery import _expectation
from tests.servers.celery import broker, send, worker
from tests.servers.celery import celery as celery_process
from tests.servers.process import until
from tests.servers.redis import Server, StartRedis, start_redis
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.application import kinds, python, text, variables
from tests.support.command import PATIENCE, runs

pytestmark = pytest.mark.slow

__all__ = ["start_redis"]  # a fixture

Process = subprocess.Popen[bytes]
WAYS = ("below", "above", "installed")
# What a task does, and what is told of it.
FATES = {
    "fine": ["success"],
    "raise": ["fail"],
    "retry": ["log", "fail"],
    "refused": ["log", "fail"],
    "ignore": ["success"],
    "reject": ["fail"],
}


class Workers:
    """A worker, its broker, and a check for each way to watch a task."""

    def __init__(self, tmp_path: Path, stub: HealthchecksStub, server: Server) -> None:
        self.tmp_path = tmp_path
        self.stub = stub
        self.server = server
        self.checks = {way: stub.add_check() for way in WAYS}

    @contextmanager
    def run(
        self, pool: str, size: int = 1, app: str = "watched_celery", **more: str
    ) -> Iterator[Process]:
        env = variables(self.tmp_path, self.stub, self.checks) | more
        with worker(self.server, self.tmp_path, pool=pool, size=size, app=app, env=env) as it:
            yield it

    @property
    def log(self) -> str:
        return (self.tmp_path / "worker.log").read_text()

    def ends(self, way: str) -> list[str]:
        return [kind for kind in kinds(self.checks[way]) if kind != "start"]

    def wait_for(self, **ends: int) -> None:
        def there() -> bool:
            return all(len(self.ends(way)) >= number for way, number in ends.items())

        until(there, f"{ends}", 2 * PATIENCE)


@pytest.fixture
def workers(tmp_path: Path, stub: HealthchecksStub, start_redis: StartRedis) -> Workers:
    return Workers(tmp_path, stub, start_redis())


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_what_is_told_of_a_task(pool: str, workers: Workers) -> None:
    with workers.run(pool):
        send(workers.server, [(way, [how]) for way in WAYS for how in FATES])
        expected = sorted(end for ends in FATES.values() for end in ends)
        workers.wait_for(**dict.fromkeys(WAYS, len(expected)))
    for way, check in workers.checks.items():
        assert sorted(workers.ends(way)) == expected, way
        assert_each_end_follows_its_start(check)
        verdicts = first_lines(check)
        assert_told(verdicts, "FAILED: raised ValueError after .+: no tenants")
        assert_told(verdicts, "NOT COUNTED: retry requested after .+: Retry in 0s: ValueError.+")
        assert_told(verdicts, "FAILED: raised ConnectionRefusedError after .+: db")
        assert_told(verdicts, "OK: ignored after .+")
        trace = next(ping.body.decode() for ping in check.pings if b"tenants" in ping.body[-90:])
        assert "Traceback (most recent call last):\n" in trace
        assert {run.command for run in runs(workers.tmp_path)} <= {
            *WAYS,
            "tests.servers.watched_celery.below",
        }
    assert "no Celery task named 'mistyped'; " in workers.log
    assert len(runs(workers.tmp_path)) == len(WAYS) * len(expected)


def test_a_task_that_is_tried_again_before_its_first_try_is_over(workers: Workers) -> None:
    """Both have the same id."""
    with workers.run("threads", 2):
        for way, check in workers.checks.items():
            send(workers.server, [(way, ["overlap"])])
            workers.wait_for(**{way: 2})
            first, second = (ping.rid for ping in check.pings if ping.kind == "start")
            ends = {ping.rid: ping.kind for ping in check.pings if ping.kind != "start"}
            assert ends == {first: "log", second: "fail"}, way


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_the_only_decorator_is_below(pool: str, workers: Workers) -> None:
    """There is nothing that has told Celery of hcrun but the function itself."""
    with workers.run(pool, app="watched_below", TASKS_PER_PROCESS="2"):
        send(workers.server, [("below", [how]) for how in ("fine", "raise", "retry", "fine")])
        workers.wait_for(below=5)
    check = workers.checks["below"]
    assert sorted(workers.ends("below")) == ["fail", "fail", "log", "success", "success"]
    assert_each_end_follows_its_start(check)
    assert_told(first_lines(check), "FAILED: raised ValueError after .+: no tenants")
    assert {run.result for run in runs(workers.tmp_path)} == {"success", "log", "fail"}


def test_a_task_of_several_checks(workers: Workers) -> None:
    """Each hears of each run, and of its end."""
    with workers.run("solo"):
        send(workers.server, [("thrice", [how]) for how in ("fine", "raise", "retry")])
        workers.wait_for(**dict.fromkeys(WAYS, 4))
    for way, check in workers.checks.items():
        assert sorted(workers.ends(way)) == ["fail", "fail", "log", "success"], way
        assert_each_end_follows_its_start(check)
        assert kinds(check).count("start") == 4
    assert {run.result for run in runs(workers.tmp_path)} == {"success", "log", "fail"}


def test_results_that_celery_cannot_take(workers: Workers) -> None:
    """The check gets what the backend has: none of them can be encoded, or validate refuses it."""
    job = workers.checks["job"] = workers.stub.add_check()
    whats = ("fine", "object", "marked", "refused")
    with workers.run("prefork", app="watched_results"):
        ids = send(workers.server, [("job", [what]) for what in whats])
        ids += send(workers.server, [("later", []), ("rows", [])])
        workers.wait_for(job=len(ids))
    states = [workers.server.client.get(f"celery-task-meta-{each}") for each in ids]
    said = [json.loads(state)["status"] for state in states]
    assert said == ["SUCCESS", "FAILURE", "SUCCESS", "SUCCESS", "FAILURE", "FAILURE"]
    assert workers.ends("job") == ["success", "fail", "fail", "fail", "fail", "fail"]
    assert kinds(job).count("start") == len(ids)
    assert text(job, 1)[-1] == "in the task"
    for pattern in (
        "FAILED: raised EncodeError after .+: Object of type object is not JSON serializable",
        "FAILED: raised EncodeError after .+: Object of type coroutine is not JSON serializable",
        "FAILED: raised EncodeError after .+: Object of type generator is not JSON serializable",
        "FAILED: marked as failed after .+: by itself",
        "FAILED: not accepted after .+: returned 'refused'",
    ):
        assert_told(first_lines(job), pattern)


def test_entries_of_the_beat_schedule(workers: Workers) -> None:
    """Each has a check of its own, with its schedule; a run that beat did not start is none."""
    stub = workers.stub
    keys = {"HEALTHCHECKS_PING_KEY": stub.ping_key, "HEALTHCHECKS_API_URL": stub.api_url}
    keys["HEALTHCHECKS_API_KEY"] = stub.api_key
    with workers.run("solo", 1, "watched_results", **keys):
        send(workers.server, [("often", ["x"])])
        env = variables(workers.tmp_path, stub, {}) | keys
        with celery_process(
            workers.server, workers.tmp_path, "beat", app="watched_results", env=env
        ):
            until(lambda: has(stub, "each-second", "other"), "both have run", 3 * PATIENCE)
    assert {check.slug for check in stub.checks if check.pings} == {"each-second", "other"}
    assert "the beat entry '***' has no check: " in (workers.tmp_path / "beat.log").read_text()
    assert stub.by_slug("each-second").name == "Each second"
    assert stub.by_slug("each-second").timeout == 60
    assert stub.by_slug("other").channels == set()


def has(stub: HealthchecksStub, *slugs: str) -> bool:
    return set(slugs) <= {check.slug for check in stub.checks if check.pings}


def first_lines(check: Check) -> set[str]:
    return {text(check, number)[0] for number in range(len(check.pings))}


def assert_told(verdicts: set[str], pattern: str) -> None:
    assert any(re.fullmatch(pattern, verdict) for verdict in verdicts), (pattern, verdicts)


def assert_each_end_follows_its_start(check: Check) -> None:
    going: set[str | None] = set()
    for ping in check.pings:
        if ping.kind == "start":
            going.add(ping.rid)
        else:
            assert ping.rid is None or ping.rid in going
            going.discard(ping.rid)


def test_processes_of_the_pool_that_end(workers: Workers) -> None:
    """Killed: found by the one that takes its place; told to end: it says so itself."""
    client = celery.Celery(broker=broker(workers.server))
    with workers.run("prefork"):
        send(workers.server, [("above", ["kill"])])  # acks_late: it comes again
        workers.wait_for(above=2)
        send(workers.server, [("installed", ["sleep"])], soft_time_limit=1)
        workers.wait_for(installed=1)
        send(workers.server, [("installed", ["sleep"])], time_limit=1)
        workers.wait_for(installed=2)
        with client.connection_for_write() as connection:
            task = client.send_task("below", ["sleep"], connection=connection)
            started = len(kinds(workers.checks["below"])) + 1
            workers.stub.wait_for(workers.checks["below"], started, 2 * PATIENCE)
            client.control.revoke(task.id, terminate=True, connection=connection)
            workers.wait_for(below=1)
    client.close()
    first, again = sorted(workers.ends("above"))
    assert first in ("fail", "log")  # to the log, if it is found after the second try has ended
    assert again == "success"
    assert workers.ends("installed") == ["fail", "fail"]
    assert workers.ends("below") == ["fail"]
    assert workers.checks["above"].status == "up"
    lost = r"LOST: hcrun \(pid \d+\) vanished before the command's end: .+"
    terminated = "FAILED: terminated after .+: by its time limit, .+"
    assert_told(first_lines(workers.checks["above"]), lost)
    soft = r"FAILED: raised SoftTimeLimitExceeded after .+: SoftTimeLimitExceeded\(\)"
    assert_told(first_lines(workers.checks["installed"]), soft)
    assert_told(first_lines(workers.checks["installed"]), terminated)
    assert_told(first_lines(workers.checks["below"]), terminated)


def test_a_worker_that_is_killed(workers: Workers) -> None:
    """The next one finds its run, before it has one of its own."""
    below = workers.checks["below"]
    with workers.run("prefork") as process:
        send(workers.server, [("below", ["sleep"])])
        workers.stub.wait_for(below, 1, 2 * PATIENCE)
        process.kill()
    workers.server.client.flushall()  # else the task would come again
    with workers.run("solo"):
        workers.wait_for(below=1)
    assert kinds(below) == ["start", "fail"]
    assert_told(first_lines(below), r"LOST: hcrun \(pid \d+\) vanished before the .+")


def test_a_process_of_the_pool_tells_all_before_it_ends(workers: Workers) -> None:
    """Each runs one task; it leaves with os._exit, past atexit."""
    with workers.run("prefork", app="watched_below", TASKS_PER_PROCESS="1"):
        send(workers.server, [("below", ["fine"])])
        workers.wait_for(below=1)
    assert kinds(workers.checks["below"]) == ["start", "success"]
    assert [run.result for run in runs(workers.tmp_path)] == ["success"]


def test_a_task_is_what_it_would_be_without(tmp_path: Path) -> None:
    """Called directly, with wrong arguments, eagerly."""
    script = """
        import celery
        from hcrun import monitor_task

        app = celery.Celery("eager")
        app.conf.task_always_eager = True

        @app.task
        @monitor_task
        def below(tenant):
            return tenant

        @monitor_task("above")
        @app.task
        def above(tenant):
            return tenant

        assert (below.name, above.name) == ("eager.below", "eager.above")
        for task in (below, above):
            assert isinstance(task, celery.Task)
            assert task("a") == "a" and task.delay("b").get() == "b"
            try:
                task.apply_async(())
            except TypeError as error:
                assert "missing 1 required positional argument: 'tenant'" in str(error)
            else:
                raise AssertionError("it must be refused where it is sent")
        print("fine")
    """
    done = python(tmp_path, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
    # A direct call of the one above @app.task is no run of the task.
    assert [run.check for run in reversed(runs(tmp_path))] == ["below", "below", "above"]


def test_an_exception_that_cannot_be_shown(tmp_path: Path, stub: HealthchecksStub) -> None:
    one, two = stub.add_check(), stub.add_check()
    script = """
        import celery
        from hcrun import monitor_task

        class Broken(Exception):
            def __str__(self):
                raise ValueError

            __repr__ = __str__

        @monitor_task("one")
        @monitor_task("two")
        @celery.Celery("app").task
        def work():
            raise Broken

        print(work.apply().state)
    """
    done = python(tmp_path, script, stub, one=one, two=two)
    assert (done.returncode, done.stdout, done.stderr) == (0, "FAILURE\n", "")
    assert kinds(one) == kinds(two) == ["start", "fail"]


def test_a_task_has_no_name_yet(tmp_path: Path, stub: HealthchecksStub) -> None:
    """It names its check as soon as it has one."""
    refresh = stub.add_check()
    script = """
        import celery
        from hcrun import monitor_celery_task, monitor_task

        @monitor_task
        @celery.shared_task
        def refresh_all():
            pass

        @monitor_celery_task()
        @celery.shared_task(name="tasks.refresh_all")
        def other():
            pass

        app = celery.Celery("app", set_as_current=True)
        refresh_all.apply()
        other.apply()
        try:
            monitor_celery_task("refresh-all")(len)
        except TypeError as error:
            print(error)
    """
    done = python(tmp_path, script, stub, refresh_all=refresh)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "monitor_celery_task takes Celery tasks: put it above @app.task, or use monitor_task below"
        " it\n"
    )
    assert kinds(refresh) == ["start", "success"] * 2


def test_an_eager_task_within_the_handling_of_an_exception(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """That exception is not the task's."""
    job = stub.add_check()
    script = """
        import celery
        from hcrun import monitor_task

        @celery.Celery("app").task
        @monitor_task("job")
        def work():
            return 1

        try:
            raise KeyError
        except KeyError:
            print(work.apply().state)
    """
    assert python(tmp_path, script, stub, job=job).stdout == "SUCCESS\n"
    assert kinds(job) == ["start", "success"]


@pytest.mark.parametrize(
    ("schedule", "fields"),
    [
        (crontab(hour=4, minute="*/15"), {"schedule": "*/15 4 * * *", "tz": "Europe/Paris"}),
        (
            crontab(minute=0, day_of_week="mon-fri"),
            {"schedule": "0 * * * mon-fri", "tz": "Europe/Paris"},
        ),
        (timedelta(minutes=5), {"timeout": 300}),
        (1.5, {"timeout": 60}),
        (timedelta(days=1000), {"timeout": 31536000}),
        (None, {}),
    ],
)
def test_what_a_check_of_beat_expects(schedule: Any, fields: dict[str, Any]) -> None:
    app = celery.Celery("app", set_as_current=False)
    app.conf.timezone = "Europe/Paris"
    assert _expectation(app, schedule) == fields
