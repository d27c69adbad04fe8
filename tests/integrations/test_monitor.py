"""The forms of `monitor_task`, and what they judge: results, exceptions, the run's own words."""

from typing import Any

import pytest

from hcrun import monitor_celery_task, monitor_endpoint, monitor_task
from hcrun.errors import UsageError
from hcrun.testing import Recorded
from tests.support.application import App, kinds, text

Pings = list[Recorded]
UUID = "5c2f8a8e-7f6e-4b0f-9d0f-0a0b0c0d0e0f"


def ends(pings: Pings) -> list[str]:
    return [ping.action for ping in pings if ping.action != "start"]


def first_line(ping: Recorded) -> str:
    return ping.text.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "keywords", "check"),
    [
        (("refresh",), {}, "refresh"),
        ((), {}, "a-task"),
        ((), {"check_id": None, "check_name": None}, "a-task"),
        ((), {"check_id": UUID}, UUID),
        (
            (),
            {"check_id": f"https://hc.example.com/ping/{UUID}"},
            f"https://hc.example.com/ping/{UUID}",
        ),
        ((), {"check_name": "postgres-health"}, "postgres-health"),
        ((), {"check_name": "Redis Cache/Broker"}, "redis-cachebroker"),
    ],
)
def test_the_check(
    arguments: tuple[str, ...], keywords: dict[str, Any], check: str, hcrun_pings: Pings
) -> None:
    def a_task() -> int:
        return 1

    a_task = monitor_task(*arguments, **keywords)(a_task)

    assert a_task() == 1
    assert [(ping.check, ping.action) for ping in hcrun_pings] == [
        (check, "start"),
        (check, "success"),
    ]


@pytest.mark.parametrize("monitor", [monitor_task, monitor_endpoint, monitor_celery_task])
@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("a b",), {}, "'a b' is not a check; "),
        (
            (),
            {"check_id": "abc-123-def"},
            "check_id: is neither a UUID nor a ping URL; use check_name=",
        ),
        ((), {"check_id": ""}, "check_id: is neither"),
        ((), {"check_name": UUID}, "check_name: is a UUID or a ping URL; use check_id="),
        ((), {"check_name": "***"}, "the name of the check is empty; "),
        (
            ("a",),
            {"check_name": "a"},
            "more than one check is given; give check_id= or check_name=",
        ),
    ],
)
def test_no_check(
    monitor: object, arguments: tuple[str, ...], keywords: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as problem:
        monitor(*arguments, **keywords)  # type: ignore[operator]
    assert str(problem.value).startswith(message)


@pytest.mark.parametrize(
    "keywords", [{"ignore": ValueError}, {"retry": ["x"]}, {"retry": (1,)}, {"validate": True}]
)
def test_arguments_of_a_wrong_type(keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="takes a "):
        monitor_task("job", **keywords)


# Results

VALIDATED = [
    # what the function returns, what validate makes of it, the end, and its first line
    (3, lambda rows: rows > 0, "success", "OK: done after "),
    (3, lambda _: None, "success", "OK: done after "),
    (0, lambda rows: rows > 0, "fail", "FAILED: not accepted after {}: returned 0"),
    (0, lambda rows: f"deleted {rows} rows", "fail", "deleted 0 rows; returned 0"),
    ({"version": 4}, lambda r: r["version"] > 4, "fail", "returned {'version': 4}"),
    ({}, lambda r: r["version"] > 4, "fail", "KeyError: 'version'; returned {}"),
    (
        0,
        lambda rows: rows,
        "fail",
        "validate returned 0, not True, None, False or a text; returned 0",
    ),
    ({"status": "unhealthy"}, lambda _: True, "success", "OK: done after "),
]
JUDGED = [
    ({"status": "unhealthy", "error": "redis down"}, "fail"),
    ({"status": "CRITICAL"}, "fail"),
    ({"status": "unknown"}, "fail"),
    ({"overall_status": "critical", "healthy_services": 1}, "fail"),
    ({"success": False}, "fail"),
    ((False, "redis down"), "fail"),
    ({"status": "healthy"}, "success"),
    ({"status": "degraded"}, "success"),
    ({"status": "sent"}, "success"),
    ({"status": 500, "rows": []}, "success"),
    ((True, "fine"), "success"),
    ((False, 3), "success"),
    (False, "success"),
    (0, "success"),
    ("down", "success"),
    (None, "success"),
]


@pytest.mark.parametrize(("result", "validate", "end", "line"), VALIDATED)
def test_validate(result: object, validate: Any, end: str, line: str, hcrun_pings: Pings) -> None:
    monitor: Any = monitor_task("job", validate=validate)
    watched = monitor(lambda: result)
    assert watched() is result
    assert ends(hcrun_pings) == [end]
    start, _, rest = line.partition("{}") if "{}: " in line else ("", "", line)
    said = first_line(hcrun_pings[-1])
    assert said.startswith(start)
    assert rest in said


@pytest.mark.parametrize(("result", "end"), JUDGED)
def test_results_that_are_verdicts(result: object, end: str, hcrun_pings: Pings) -> None:
    assert monitor_task("job")(lambda: result)() is result
    assert ends(hcrun_pings) == [end]
    if end == "fail":
        assert first_line(hcrun_pings[-1]).endswith(f": {result}")


def test_a_result_that_cannot_be_shown(hcrun_pings: Pings) -> None:
    class Mute(dict[str, object]):
        def __repr__(self) -> str:
            raise RuntimeError

        def get(self, *_: object) -> object:
            raise RuntimeError

    mute = Mute()
    assert monitor_task("job")(lambda: mute)() is mute
    assert monitor_task("job", validate=lambda _: False)(lambda: mute)() is mute
    assert ends(hcrun_pings) == ["fail", "fail"]
    assert first_line(hcrun_pings[-1]).endswith(": returned a Mute")


# Exceptions


def test_exceptions_that_are_expected(hcrun_pings: Pings) -> None:
    @monitor_task("job", ignore=(LookupError,), retry=(ConnectionError,))
    def job(error: type[Exception]) -> None:
        raise error("here")

    for error in (KeyError, ConnectionResetError, ValueError):
        with pytest.raises(error):
            job(error)
    assert ends(hcrun_pings) == ["success", "log", "fail"]
    lines = [first_line(ping) for ping in hcrun_pings if ping.action != "start"]
    assert lines[0].startswith("OK: ignored KeyError after ")
    assert lines[1].startswith("NOT COUNTED: raised ConnectionResetError after ")


# The run itself


def test_what_a_run_says_of_itself(app: App) -> None:
    script = """
        from hcrun import current_run
        @monitor_task("job")
        def job(fails):
            run = current_run()
            run.set(tenants=42, kind="a b")
            run.log("first line")
            run.log("hunter2hunter2")
            run.set(tenants=43)
            if fails:
                run.fail("no tenants")
            return 7

        assert current_run() is None
        assert job(False) == job(True) == 7
        assert current_run() is None
        with monitor_task("job") as run:
            assert current_run() is run
            with monitor_task("job", auto_start=False) as inner:
                assert current_run() is inner
                inner.fail()
            assert current_run() is run
        print("fine")
    """
    app.fine(script, {"DB_PASSWORD": "hunter2hunter2"})
    assert kinds(app.job) == ["start", "success", "start", "fail", "start", "fail", "success"]
    success, failure = text(app.job, 1), text(app.job, 3)
    assert success[0].startswith("OK: done after ")
    assert success[0].endswith(": tenants=43 kind=a b")
    assert success[-2:] == ["first line", "[redacted]"]
    assert failure[0].startswith("FAILED: marked as failed after ")
    assert failure[0].endswith(": no tenants: tenants=43 kind=a b")
    assert app.runs()[2].why == failure[0].removeprefix("FAILED: ")
    assert app.runs()[2].excerpt.head == "first line\n[redacted]\n"


CONCURRENT = """
    import asyncio
    from hcrun import current_run

    monitor = monitor_task("job")
    async def one(number):
        if number % 2:
            async with monitor as run:
                await block(number, run)
        else:
            with monitor as run:
                await block(number, run)

    async def block(number, run):
        run.set(number=number)
        await asyncio.sleep(0.01 * number)  # left in the order of entering
        assert current_run() is run
        if number == 1:
            raise ValueError(number)

    async def main():
        results = await asyncio.gather(*map(one, range(3)), return_exceptions=True)
        assert list(map(str, results)) == ["None", "1", "None"]

        async def child():
            with monitor as run:
                run.set(number="child")
                await asyncio.sleep(0)
        with monitor as run:
            run.set(number="parent")
            await asyncio.create_task(child())

    asyncio.run(main())
    print("fine")
"""


def test_a_context_manager_that_is_entered_many_times_at_once(app: App) -> None:
    app.fine(CONCURRENT)
    ended = sorted((run.why.rpartition("number=")[2], run.result) for run in app.runs())
    assert ended == [
        *(("0", "success"), ("1", "fail"), ("2", "success")),
        *(("child", "success"), ("parent", "success")),
    ]
    assert len({run.run_id for run in app.runs()}) == 5


def test_a_context_manager_of_another_context(hcrun_pings: Pings) -> None:
    """Entered in one thread, left in another one."""
    import threading

    monitor = monitor_task("job")
    run = monitor.__enter__()
    run.set(number=1)
    thread = threading.Thread(target=monitor.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert ends(hcrun_pings) == ["success"]
    monitor.__enter__()
    monitor.__exit__(None, None, None)
    assert ends(hcrun_pings) == ["success", "success"]


def test_a_block_has_no_result() -> None:
    with pytest.raises(UsageError, match=r"call run\.fail\(\) in a `with` block"):
        monitor_task("job", validate=bool).__enter__()
    with pytest.raises(UsageError, match="a `with` block has no name"):
        monitor_task().__enter__()


def test_cancelled_at_shutdown(app: App) -> None:
    """Neither a success nor an alert."""
    script = """
        import asyncio
        @monitor_task("job")
        async def job():
            await asyncio.sleep(60)

        async def block():
            async with monitor_task("job", auto_start=False):
                await asyncio.sleep(60)

        async def main():
            asyncio.create_task(job())
            asyncio.create_task(block())
            await asyncio.sleep(0)

        asyncio.run(main())
        print("fine")
    """
    app.fine(script)
    assert sorted(kinds(app.job)) == ["log", "log", "start"]
    assert all(run.why.startswith("cancelled after ") for run in app.runs())


# What can be wrapped


def test_callables(app: App) -> None:
    script = """
        import asyncio, functools, inspect
        from hcrun import current_run
        where = []

        def add(a, b):
            where.append(current_run())
            return a + b
        partial = functools.partial(add, 1)
        watched = monitor_task("job")(partial)
        assert watched(2) == 3 and inspect.signature(watched) == inspect.signature(partial)

        class Task:
            def __call__(self, number):
                where.append(current_run())
                return number
        assert monitor_task("job")(Task())(4) == 4
        assert monitor_task("job")(len)([1]) == 1

        class AsyncTask:
            async def __call__(self, number):
                where.append(current_run())
                return number
        later = monitor_task("job")(AsyncTask())
        assert inspect.iscoroutinefunction(later) and asyncio.run(later(5)) == 5
        later = monitor_task("job")(functools.partial(AsyncTask().__call__, 6))
        assert inspect.iscoroutinefunction(later) and asyncio.run(later()) == 6
        assert monitor_task(functools.partial(add, 3))(4) == 7
        assert all(where) and current_run() is None
        print("fine")
    """
    add = app.stub.add_check()
    app.fine(script, add=add)
    assert kinds(app.job) == ["start", "success"] * 5
    assert kinds(add) == ["start", "success"]
    commands = {run.command for run in app.runs()}
    assert commands == {
        "__main__.add",
        "__main__.Task",
        "builtins.len",
        "__main__.AsyncTask",
        "__main__.AsyncTask.__call__",
    }


def test_generators(app: App) -> None:
    """Values go in and out, exceptions too, and the run is current in each step."""
    script = """
        import asyncio, inspect
        from hcrun import current_run

        @monitor_task("job", validate=lambda total: total == 3)
        def rows():
            assert current_run()
            try:
                got = yield 1
                assert current_run()
                while True:
                    got = yield got
            except KeyError:
                yield "caught"
            return 3

        @monitor_task("job")
        async def later(fails):
            assert current_run()
            try:
                got = yield 1
                await asyncio.sleep(0)
                assert current_run()
                while True:
                    got = yield got
            except KeyError:
                yield "caught"
            1 / (not fails)

        assert inspect.isgeneratorfunction(rows) and inspect.isasyncgenfunction(later)
        generator = rows()
        assert (next(generator), generator.send(5), generator.throw(KeyError)) == (1, 5, "caught")
        assert current_run() is None and list(generator) == []

        async def main(fails):
            generator = later(fails)
            assert await anext(generator) == 1
            assert current_run() is None
            assert await generator.asend(5) == 5
            assert await generator.athrow(KeyError) == "caught"
            try:
                assert [row async for row in generator] == []
            except ZeroDivisionError:
                assert fails
            first = later(False)
            await anext(first)
            await first.aclose()
        asyncio.run(main(False))
        asyncio.run(main(True))
        print("fine")
    """
    app.fine(script)
    assert [run.result for run in reversed(app.runs())] == [
        *("success", "success", "success", "fail", "success")
    ]
