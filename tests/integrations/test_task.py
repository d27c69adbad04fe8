"""`monitor_task`: what is told of functions, and that they do not notice."""

import re
import sqlite3
import subprocess
import sys
import threading

import pytest

from hcrun import monitor_task
from hcrun.errors import UsageError
from tests.stub.healthchecks import Exchange, Fault, delays, hangs
from tests.support.application import App, kinds, python, text
from tests.support.command import PATIENCE, run_hcctl, run_hcrun

pytestmark = pytest.mark.slow

# Since 3.12 Python warns where a process with threads forks.
FORKING = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
DROPPED = (
    "too many runs are waiting to be recorded: some are dropped, failures last\n"
    r"runs that were dropped and not recorded: ([\d,]+) successful, ([\d,]+) failed\n"
)
LATER = "job: not delivered yet: cannot reach the server: {host}: Connection refused\n"


def test_a_success_and_a_failure(app: App) -> None:
    script = """
        @monitor_task("job")
        def refresh(tenants):
            return 1 / tenants

        refresh(2)
        try:
            refresh(0)
        except ZeroDivisionError:
            print("fine")
    """
    app.fine(script)
    failure, success = app.runs()
    assert kinds(app.job) == ["start", "success", "start", "fail"]
    assert [ping.rid for ping in app.job.pings] == [success.run_id] * 2 + [failure.run_id] * 2
    assert [ping.exitstatus for ping in app.job.pings] == [None, None, None, 1]
    assert re.fullmatch(r"done after (under 1 ms|\d+ ms)", success.why)
    assert re.fullmatch(r"raised ZeroDivisionError after .+: division by zero", failure.why)
    assert [success.command, failure.command] == ["__main__.refresh"] * 2
    assert text(app.job, 1) == [f"OK: {success.why}", *text(app.job, 0)]
    assert text(app.job, 0)[0].startswith("started ")
    assert text(app.job, 0)[1] == "command: __main__.refresh"
    trace = text(app.job, 3)
    assert trace[4] == "Traceback (most recent call last):"
    assert trace[-1] == "ZeroDivisionError: division by zero"
    assert trace[0] == f"FAILED: {failure.why}"
    deliveries = app.journal("SELECT delivery FROM runs")
    assert deliveries == [("sent",)] * 2


def test_nothing_is_different_for_the_function(app: App) -> None:
    script = """
        import asyncio, inspect, traceback
        boom = ValueError("boom")
        bag = object()

        def frames(function):
            try:
                function()
            except ValueError as error:
                assert error is boom and error.__context__ is None
                count = len(traceback.extract_tb(error.__traceback__))
                error.__traceback__ = None
                return count

        def plain(a, /, b: int = 2, *args, c, **more) -> object:
            "Its text."
            return bag
        watched = monitor_task("job")(plain)
        assert watched(1, c=3) is bag
        assert (watched.__name__, watched.__doc__) == ("plain", "Its text.")
        assert inspect.signature(watched) == inspect.signature(plain)

        def fails():
            raise boom
        assert frames(monitor_task("job")(fails)) == frames(fails) + 1

        @monitor_task("job")
        async def later():
            await asyncio.sleep(0)
            return bag
        assert inspect.iscoroutinefunction(later)
        assert asyncio.run(later()) is bag

        @monitor_task("job")
        async def cancelled():
            asyncio.current_task().cancel()
            await asyncio.sleep(1)
        try:
            asyncio.run(cancelled())
        except asyncio.CancelledError:
            pass

        @monitor_task("job")
        def rows():
            got = yield 1
            yield got
            return bag
        generator = rows()
        assert (next(generator), generator.send(5)) == (1, 5)
        try:
            next(generator)
        except StopIteration as stop:
            assert stop.value is bag
        assert next(rows()) == 1  # and no more is wanted

        class Tasks:
            @monitor_task("job", auto_start=False)
            def method(self):
                return self
        tasks = Tasks()
        assert tasks.method() is tasks

        with monitor_task("job"):
            pass
        def block():
            with monitor_task("job"):
                raise boom
        assert frames(block) == 2
        print("fine")
    """
    app.fine(script)
    assert [run.result for run in reversed(app.runs())] == [
        *("success", "fail", "success", "log", "success", "success"),
        *("success", "success", "fail"),
    ]
    ends = [kind for kind in kinds(app.job) if kind != "start"]
    assert ends == [run.result for run in reversed(app.runs())]
    assert kinds(app.job).count("start") == 8
    assert [run.command for run in app.runs()][:2] == ["__main__:67", "__main__:64"]


def test_methods_and_what_another_decorator_made(app: App) -> None:
    """A coroutine or generator that an ordinary function returns has not ended yet."""
    script = """
        import asyncio, functools
        def decorated(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args)
            return wrapper

        class Tasks:
            @monitor_task("job")
            @staticmethod
            def static(number):
                return number
            @monitor_task("job")
            @classmethod
            def of_class(cls, number):
                return cls, number
        assert Tasks.static(1) == Tasks().static(1) == 1
        assert Tasks().of_class(2) == Tasks.of_class(2) == (Tasks, 2)

        @monitor_task("job")
        @decorated
        async def later(fails):
            await asyncio.sleep(0)
            return 1 / (not fails)
        assert asyncio.run(later(False)) == 1

        @monitor_task("job")
        @decorated
        def rows(fails):
            yield 1
            yield 1 / (not fails)
        assert list(rows(False)) == [1, 1]
        for call in (lambda: asyncio.run(later(True)), lambda: list(rows(True))):
            try:
                call()
            except ZeroDivisionError:
                print("raised")
    """
    done = app.run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "raised\n" * 2, "")
    assert kinds(app.job) == ["start", "success"] * 6 + ["start", "fail"] * 2


@pytest.mark.parametrize(
    ("ending", "status", "kind", "exit_status", "why"),
    [
        ("sys.exit()", 0, "success", None, "exit status 0 after"),
        ("sys.exit(0)", 0, "success", None, "exit status 0 after"),
        ("sys.exit(3)", 3, "fail", 3, "exit status 3 after"),
        ("sys.exit(-1)", 255, "fail", 255, "exit status 255 after"),
        ("sys.exit('no tenants')", 1, "fail", 1, "exit status 1 after .+: no tenants"),
        ("raise KeyboardInterrupt", -2, "fail", 130, "raised KeyboardInterrupt after"),
    ],
)
def test_the_end_of_the_process(
    ending: str, status: int, kind: str, exit_status: int | None, why: str, app: App
) -> None:
    script = f"""
        import sys
        @monitor_task
        def job():
            {ending}
        job()
    """
    assert app.run(script).returncode == status
    assert kinds(app.job) == ["start", kind]
    assert app.job.pings[1].exitstatus == exit_status
    assert re.match(why, app.runs()[0].why)


def test_exceptions_that_are_hard_to_show(app: App) -> None:
    script = """
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        @monitor_task("job")
        def fails(error):
            raise error

        @monitor_task("job")
        def deep(level):
            def again():
                again()
            again()

        for error in (Mute(), ValueError("x" * 10_000_000), ValueError("\\udcff\\0\\x1b[31m")):
            try:
                fails(error)
            except type(error) as caught:
                assert caught is error
        try:
            deep(0)
        except RecursionError:
            print("fine")
    """
    app.fine(script)
    assert kinds(app.job) == ["start", "fail"] * 4
    whys = [text(app.job, number)[0] for number in (1, 3, 5, 7)]
    assert re.fullmatch(r"FAILED: raised Mute after .+", whys[0])
    assert re.fullmatch(r"FAILED: raised ValueError after .+: x{400,}…", whys[1])
    assert re.fullmatch(r"FAILED: raised ValueError after .+: \?.+", whys[2])
    assert re.fullmatch(r"FAILED: raised RecursionError after .+", whys[3])
    assert all(len(ping.body) <= 10_000 for ping in app.job.pings)


def test_secrets_are_hidden(app: App) -> None:
    script = """
        @monitor_task("job")
        def job():
            raise ValueError("no database at postgres://me:s3cr3t@db/app with hunter2hunter2")
        try:
            job()
        except ValueError:
            print("fine")
    """
    app.fine(script, {"DB_PASSWORD": "hunter2hunter2"})
    hidden = "no database at postgres://[redacted]@db/app with [redacted]"
    assert text(app.job, 1)[0].endswith(hidden)
    assert b"s3cr3t" not in app.job.pings[1].body
    assert b"hunter2" not in app.job.pings[1].body
    everything = b"".join(path.read_bytes() for path in (app.path / "state").iterdir())
    assert b"hunter2" not in everything
    assert b"s3cr3t" not in everything


def test_a_server_that_never_answers_delays_nothing(app: App) -> None:
    """Neither the function, nor for long the end of the process; the journal delivers later."""
    app.stub.fault = Fault(hangs)
    script = """
        import time
        @monitor_task("job")
        def job():
            pass
        started = time.monotonic()
        for _ in range(100):
            job()
        print("fine" if time.monotonic() - started < 8 else "slow")
    """
    done = app.run(script)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert kinds(app.job) == []
    app.stub.fault = None
    assert [run.result for run in app.runs()] == ["success"] * 100
    flush = run_hcctl(app.path, "flush", stub=app.stub)
    assert (flush.returncode, flush.stderr) == (0, "")
    assert kinds(app.job) == ["log"] * 99 + ["success"]


def test_who_does_not_wait_at_the_end(app: App) -> None:
    """Ctrl-C: the journal has it, and there is nothing to be said."""
    app.stub.fault = Fault(hangs)
    script = """
        import os, signal, sys, threading, time
        def interrupt():
            names = []
            while "flush" not in names or "wait" not in names:
                time.sleep(0.01)
                frame, names = sys._current_frames()[threading.main_thread().ident], []
                while frame:
                    names.append(frame.f_code.co_name)
                    frame = frame.f_back
            os.kill(os.getpid(), signal.SIGINT)

        with monitor_task("job"):
            print("fine")
        threading.Thread(target=interrupt, daemon=True).start()
    """
    app.fine(script)
    assert kinds(app.job) == []


def test_what_runs_while_the_process_ends(app: App) -> None:
    """Registered with atexit before hcrun was imported, it comes after hcrun's own end."""
    script = """
        import atexit
        atexit.register(lambda: job())
        from hcrun import monitor_task

        @monitor_task
        def job():
            print("fine")

        with monitor_task("job"):
            pass
    """
    done = python(app.path, script, app.stub, job=app.job)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
    assert kinds(app.job) == ["start", "success"] * 2
    assert [run.result for run in app.runs()] == ["success"] * 2


def test_a_server_that_is_down_for_a_while(app: App) -> None:
    """The same process delivers when the server is back: old results to the log, no old start."""
    other = app.stub.add_check()
    app.stub.go_down()
    script = """
        import hcrun.integrations.sender, sys, time
        hcrun.integrations.sender._PAUSE = 0.2

        with monitor_task("job"):
            pass
        with monitor_task("job"):
            pass
        with monitor_task("other"):
            pass
        hcrun.integrations.agent.flush(60)
        print("down", flush=True)
        sys.stdin.readline()
    """
    with app.start(script, other=other) as process:
        assert process.stdout
        assert process.stdout.readline() == "down\n"
        app.stub.come_back()
        app.stub.wait_for(other, 1, PATIENCE)
        _, errors = process.communicate(timeout=PATIENCE)
    host = app.stub.ping_url.split("/")[2]
    assert errors == LATER.format(host=host)
    assert kinds(app.job) == ["log", "success"]
    assert kinds(other) == ["success"]
    assert {ping.rid for ping in [*app.job.pings, *other.pings]} == {None}
    assert text(app.job, 0)[1].startswith("Delivered late: this run ended at ")


def test_a_start_never_comes_after_its_end(app: App) -> None:
    """The end waits for the start's answer."""
    app.stub.fault = Fault(delays(0.5), only="/start")
    app.fine(MINIMAL)
    assert kinds(app.job) == ["start", "success"]
    assert len({ping.rid for ping in app.job.pings}) == 1


def test_a_start_that_is_late_is_not_sent(app: App) -> None:
    """Its run is over, and another ping was in the way."""
    other = app.stub.add_check()
    over = threading.Event()

    def waits(start: Exchange) -> None:
        assert over.wait(PATIENCE)
        start.conn.sendall(start.reply())

    app.stub.fault = Fault(waits, only="/start", times=1)
    script = """
        import hcrun.integrations.sender, sys
        hcrun.integrations.sender._LATE = 0

        with monitor_task("job"):
            sys.stdin.readline()
        with monitor_task("other"):
            pass
        print("over", flush=True)
    """
    with app.start(script, other=other) as process:
        assert process.stdin
        assert process.stdout
        app.stub.wait_for_requests(1, PATIENCE)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "over\n"
        over.set()
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert kinds(app.job) == ["start", "success"]
    assert [(ping.kind, ping.rid) for ping in other.pings] == [("success", None)]


def test_a_locked_journal_delays_nothing(app: App) -> None:
    """1,000 runs wait for it; of further ones, up to 1,000 failures."""
    app.fine(MINIMAL, server=False)
    script = """
        import sys, time
        @monitor_task("job")
        def job(number):
            if number % 2 == 0:
                raise ValueError

        started = time.monotonic()
        for number in range(4000):
            try:
                job(number)
            except ValueError:
                pass
        print("fine" if time.monotonic() - started < 8 else "slow", flush=True)
        sys.stdin.readline()
    """
    lock = sqlite3.connect(app.path / "state" / "journal.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with app.start(script, server=False) as process:
        assert process.stdout
        assert process.stdout.readline() == "fine\n"
        lock.execute("COMMIT")
        lock.close()
        _, errors = process.communicate(timeout=PATIENCE)
    said = re.fullmatch(DROPPED, errors)
    assert said
    successes, failures = (int(number.replace(",", "")) for number in said.groups())
    results = [run.result for run in app.runs()]
    assert results.count("success") + successes == 1 + 2000
    assert results.count("fail") + failures == 2000
    assert 500 <= results.count("success") < 550
    assert 1500 <= results.count("fail") < 1550


def test_a_killed_process_is_found(app: App) -> None:
    """By the next process that tells of a run."""
    script = """
        import os, signal, time
        with monitor_task("job"):
            time.sleep(60)
    """
    with app.start(script) as process:
        app.stub.wait_for(app.job, 1, PATIENCE)
        process.kill()
    app.fine(MINIMAL)
    assert sorted(kinds(app.job)) == ["log", "start", "start", "success"]
    assert [run.result for run in app.runs()] == ["success", "lost"]
    assert app.job.status == "up"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing(method: str, app: App) -> None:
    script = f"""
        import multiprocessing
        @monitor_task("job")
        def job(number):
            return number

        if __name__ == "__main__":
            job(0)  # threads and journal are there when it forks
            children = multiprocessing.get_context("{method}")
            processes = [children.Process(target=job, args=(n,)) for n in range(3)]
            for process in processes:
                process.start()
            job(4)
            for process in processes:
                process.join()
            print("fine")
    """
    app.fine(script)
    assert [run.result for run in app.runs()] == ["success"] * 5
    assert kinds(app.job).count("success") == 5
    assert app.journal("SELECT count(DISTINCT pid), sum(delivery = 'sent') FROM runs") == [(4, 5)]


def test_a_fork_within_a_run_tells_nothing_of_it(app: App) -> None:
    other = app.stub.add_check()
    script = """
        import os, sys
        @monitor_task("job")
        def job():
            return os.fork()

        child = job()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print("fine")
        else:
            with monitor_task("other"):
                pass
    """
    app.fine(script, FORKING, other=other)
    assert sorted(kinds(app.job)) == ["start", "success"]
    assert kinds(other) == ["start", "success"]
    assert len(app.runs()) == 2


def test_forks_while_runs_are_recorded(app: App) -> None:
    """Whatever the threads are at: each child records its own run, and the journal is sound."""
    script = """
        import os, threading
        from hcrun import flush

        @monitor_task("job")
        def job():
            pass

        def busy():
            while not over.is_set():
                job()
                over.wait(0.001)

        over = threading.Event()
        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        children = []
        for _ in range(30):
            child = os.fork()
            if not child:
                job()
                os._exit(0 if flush(60) else 1)
            children.append(child)
        failed = [child for child in children if os.waitpid(child, 0)[1]]
        over.set()
        for thread in threads:
            thread.join()
        flush(60)
        print(failed or "fine")
    """
    app.fine(script, FORKING, server=False)
    sql = "SELECT count(DISTINCT pid), sum(result = 'success') = count(*) FROM runs"
    assert app.journal(sql) == [(31, 1)]
    assert app.journal("PRAGMA integrity_check") == [("ok",)]


def test_all_threads_are_there_before_the_process_can_end(app: App) -> None:
    """Python 3.12 starts none once the main thread is through."""
    script = """
        import threading
        with monitor_task("job"):
            names = {thread.name for thread in threading.enumerate()}
        assert {"hcrun-log", "hcrun-recorder", "hcrun-sender"} <= names
        print("fine")
    """
    app.fine(script, server=False)


def test_threads(app: App) -> None:
    """All are told, each after its own start."""
    script = """
        from concurrent.futures import ThreadPoolExecutor
        @monitor_task("job")
        def job(number):
            return number

        with ThreadPoolExecutor(10) as pool:
            assert list(pool.map(job, range(50))) == list(range(50))
        print("fine")
    """
    app.fine(script)
    assert len(app.runs()) == 50
    ended: set[str | None] = set()
    for ping in app.job.pings:
        assert ping.kind in ("start", "success")
        assert ping.kind == "success" or ping.rid not in ended
        ended |= {ping.rid} if ping.kind == "success" else set()
    assert kinds(app.job).count("success") == 50


MINIMAL = """
    with monitor_task("job"):
        print("fine")
"""


@pytest.mark.parametrize(
    ("env", "server", "errors", "pings", "recorded"),
    [
        (
            {"HEALTHCHECKS_ENABLED": ""},
            False,
            (
                "job is not pinged: set HC_CHECK_JOB to the check's UUID or ping URL, or"
                " HEALTHCHECKS_PING_KEY (HEALTHCHECKS_ENABLED=false hides this message)\n"
            ),
            [],
            True,
        ),
        ({"HEALTHCHECKS_ENABLED": "false"}, True, "", [], True),
        (
            {"STATE_DIRECTORY": "/dev/null/x"},
            True,
            (
                "not recorded: /dev/null/x: Not a directory; make its directory writable, free some"
                " space, or set STATE_DIRECTORY\n"
            ),
            ["start", "success"],
            False,
        ),
    ],
    ids=["no settings", "switched off", "no journal"],
)
def test_without(  # each of: a server, pings, a journal
    env: dict[str, str], server: bool, errors: str, pings: list[str], recorded: bool, app: App
) -> None:
    done = app.run(MINIMAL, env, server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", errors)
    assert kinds(app.job) == pings
    if recorded:
        assert [run.result for run in app.runs()] == ["success"]


def test_a_full_disk(app: App) -> None:
    """Each result is sent once, though the journal cannot say so."""
    script = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

        for number in range(20):
            try:
                with monitor_task("job"):
                    raise ValueError("\\n" + "line\\n" * 4000)
            except ValueError:
                pass
        print("fine")
    """
    done = app.run(script)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert done.stderr.startswith(f"not recorded: {app.path}/state/journal.db: ")
    assert kinds(app.job) == ["start", "fail"] * 20
    assert 0 < len(app.runs()) < 20


def test_a_result_that_was_recorded_late_hides_no_newer_one(app: App) -> None:
    app.stub.go_down()
    script = """
        import functools, os, sqlite3
        from hcrun.integrations import agent, recorder
        recorder.Journal = functools.partial(recorder.Journal, timeout=0.1)

        with monitor_task("other"):
            pass
        agent.flush(20)
        busy = sqlite3.connect(os.environ["STATE_DIRECTORY"] + "/journal.db")
        busy.execute("BEGIN IMMEDIATE")
        with monitor_task("job"):
            pass
        agent.flush(20)
        busy.rollback()
        try:
            with monitor_task("job"):
                raise ValueError
        except ValueError:
            print("fine")
    """
    done = app.run(script)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert "database is locked" in done.stderr
    app.stub.come_back()
    assert run_hcctl(app.path, "flush").returncode == 0
    assert kinds(app.job) == ["log", "fail"]


@pytest.mark.parametrize("free_again", [False, True])
def test_a_run_whose_end_could_not_be_recorded_is_not_lost(free_again: bool, app: App) -> None:
    next_one = app.stub.add_check()
    script = f"""
        import functools, os, sqlite3
        from hcrun.integrations import agent, recorder
        recorder.Journal = functools.partial(recorder.Journal, timeout=0.1)

        with monitor_task("job"):
            agent.flush(20)
            busy = sqlite3.connect(os.environ["STATE_DIRECTORY"] + "/journal.db")
            busy.execute("BEGIN IMMEDIATE")
        if {free_again}:
            agent.flush(20)
            busy.rollback()
            with monitor_task("job"):
                pass
        print("fine")
    """
    done = app.run(script)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert "database is locked" in done.stderr
    run_hcrun(app.path, "--no-start", next_one.uuid, "--", "true", stub=app.stub)
    assert {run.result for run in app.runs()} == {"success"}
    again = ["start"] if free_again else []  # else the same result, dated
    assert kinds(app.job) == ["start", "success", *again, "success"]
    assert not list((app.path / "state").glob("*.end-*"))


def test_a_check_that_is_not_there(app: App) -> None:
    script = MINIMAL.replace('"job"', '"0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"')
    done = app.run(script)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert done.stderr == (
        "0d2f4a7e: not pinged: no check has this UUID; copy it from the check's page,"
        " or create the check again\n"
    )
    assert app.journal("SELECT delivery FROM runs") == [("refused",)]


def test_a_wrong_address_holds_up_no_other_check(app: App) -> None:
    script = f"""
        with monitor_task("{app.stub.site_root}/pin/{app.job.uuid}"):
            pass
        with monitor_task("job"):
            pass
        print("fine")
    """
    done = app.run(script)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert "not delivered yet: the answer is not from a Healthchecks server" in done.stderr
    assert kinds(app.job) == ["start", "success"]


def test_what_cannot_be_watched() -> None:
    with pytest.raises(UsageError) as problem:
        monitor_task("no check")
    assert str(problem.value) == (
        "'no check' is not a check; give a name of letters, digits, - and _, a UUID, or a ping URL"
    )

    with pytest.raises(TypeError, match=r"put `with monitor_task\(\.\.\.\):` into it instead"):
        monitor_task("job")(type("Task", (), {}))


@pytest.mark.parametrize("script", ["import hcrun", "from hcrun import monitor_task"])
def test_imports(script: str) -> None:
    show = f"import sys; before = set(sys.modules); {script}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", show], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {"requests", "urllib3", "http.client", "click", "flask", "celery", "json", "asyncio"}
    assert heavy & loaded == set()
    if script == "import hcrun":
        assert loaded == {"hcrun"}
