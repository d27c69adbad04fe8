"""How processes begin and end: forks without Python's hooks, `os._exit`, queues, greenlets."""

import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.servers.process import free_port, running, until
from tests.servers.redis import StartRedis, start_redis
from tests.stub.healthchecks import Fault, HealthchecksStub, delays, hangs
from tests.support.application import App, kinds, python, variables
from tests.support.command import PATIENCE, runs

pytestmark = pytest.mark.slow

__all__ = ["start_redis"]  # a fixture

FORKING = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}  # of forks with threads, since 3.12

LEAVES = """
    import os, sys
    for number in range(20):
        if not os.fork():
            try:
                with monitor_task("job"):
                    if number % 2:
                        raise ValueError
            except ValueError:
                pass
            os._exit(0)
        assert os.wait()[1] == 0
    print("fine", flush=True)
"""
LEAVES_WITHIN_A_RUN = """
    import os
    from hcrun import flush
    with monitor_task("job"):
        print("fine", flush=True)
        os._exit(0)
"""
ENDS_BEFORE_A_THREAD = """
    import threading
    started = threading.Event()
    @monitor_task("job")
    def job():
        started.set()
        threading.Event().wait()
    threading.Thread(target=job, daemon=True).start()
    started.wait()
    print("fine")
"""


def test_a_process_that_leaves_by_os_exit(app: App) -> None:
    """Every run is recorded and delivered, and none is taken for one that was killed."""
    app.fine(LEAVES, FORKING)
    results = [run.result for run in app.runs()]
    assert (results.count("success"), results.count("fail")) == (10, 10)
    assert kinds(app.job) == ["start", "success", "start", "fail"] * 10


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (LEAVES_WITHIN_A_RUN, "its process left with os._exit(0) after "),
        (ENDS_BEFORE_A_THREAD, "its process ended first after "),
    ],
)
def test_a_run_that_its_process_does_not_end(script: str, why: str, app: App) -> None:
    """It was not killed, and did not succeed either."""
    app.fine(script)
    (run,) = app.runs()
    assert (run.result, run.why.startswith(why)) == ("log", True)
    assert kinds(app.job) == ["start", "log"]


@pytest.mark.parametrize("way", ["sys.exit()", "os._exit(0)"])
def test_the_time_that_a_process_may_stay(way: str, app: App) -> None:
    """The server never answers: the result stays in the journal."""
    app.stub.fault = Fault(hangs)
    script = f"""
        import os, sys, time
        from hcrun import configure
        configure(flush_at_exit=0.2)
        with monitor_task("job"):
            pass
        print(time.time(), flush=True)
        {way}
    """
    done = app.run(script)
    assert time.time() - float(done.stdout) < 4  # the default is 5
    assert [run.result for run in app.runs()] == ["success"]
    assert app.journal("SELECT delivery FROM runs") == [("pending",)]


@pytest.mark.parametrize("way", ["sys.exit()", "os._exit(0)"])
def test_a_process_stays_until_its_runs_are_recorded(way: str, app: App) -> None:
    """However short it may stay to deliver them: else they are lost."""
    script = f"""
        import os, sys
        from hcrun import configure, flush
        configure(flush_at_exit=0)
        with monitor_task("job"):
            pass
        print(flush(20), flush=True)
        sys.stdin.readline()
        try:
            with monitor_task("job"):
                raise ValueError
        except ValueError:
            print("ended", flush=True)
        {way}
    """
    with app.start(script) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "True\n"
        busy = sqlite3.connect(app.path / "state" / "journal.db", isolation_level=None)
        busy.execute("BEGIN IMMEDIATE")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ended\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        busy.close()
        assert process.wait(PATIENCE) == 0
    assert [run.result for run in app.runs()] == ["fail", "success"]


def test_flush_says_whether_results_are_left(app: App) -> None:
    app.stub.go_down()
    script = """
        import logging, sys
        import hcrun.integrations.sender
        from hcrun import flush
        hcrun.integrations.sender._PAUSE = 0.1
        logging.disable()
        assert flush()
        with monitor_task("job"):
            pass
        print(flush(20), flush(0.5), flush=True)
        sys.stdin.readline()
        while not flush(20):
            pass
    """
    with app.start(script) as process:
        assert process.stdout
        assert process.stdout.readline() == "False False\n"
        app.stub.come_back()
        assert process.communicate("\n", timeout=PATIENCE)[1] == ""
    assert kinds(app.job) == ["success"]


# uWSGI

UWSGI = """
    import os, flask
    from hcrun import flush, monitor_endpoint, monitor_task

    with monitor_task("job"):
        pass  # the master has the threads and the journal of hcrun
    flush(1)

    app = flask.Flask(__name__)

    @app.get("/")
    @monitor_endpoint("view")
    @monitor_task("job")
    def view():
        return str(os.getpid())
"""


@pytest.mark.parametrize("options", [("--enable-threads", "--master"), ("--master",)])
def test_uwsgi_without_lazy_apps(
    options: tuple[str, ...], tmp_path: Path, stub: HealthchecksStub
) -> None:
    """It forks its workers after the application was loaded, and calls no hook of Python."""
    job, view = stub.add_check(), stub.add_check()
    (tmp_path / "served.py").write_text(UWSGI.replace("\n    ", "\n"))
    port, log = free_port(), tmp_path / "uwsgi.log"
    env = variables(tmp_path, stub, {"job": job, "view": view})
    argv = [str(Path(sys.executable).with_name("uwsgi")), f"--http-socket=127.0.0.1:{port}"]
    argv += [
        "--wsgi-file=served.py",
        "--callable=app",
        "--processes=2",
        "--need-app",
        "--die-on-term",
        *options,
    ]
    argv = ["env", "-i", f"--chdir={tmp_path}", *(f"{k}={v}" for k, v in env.items()), *argv]
    with running(argv, log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=9) as answer:
                    return bool(answer.read())
            except OSError:
                return False

        until(answers, "uwsgi is ready", 20)
        if "--enable-threads" in options:
            until(lambda: "success" in kinds(view), "the view is reported", PATIENCE)
            until(lambda: kinds(job).count("success") >= 2, "the run is reported", PATIENCE)
        stopped = time.monotonic()
    if "--enable-threads" in options:
        pids = {pid for (pid,) in App.journal_of(tmp_path, "SELECT pid FROM runs")}
        assert len(pids) >= 2  # of the master, and of a worker
        # An idle worker has no threads to wait for.
        assert time.monotonic() - stopped < 4
        assert {run.result for run in runs(tmp_path)} == {"success"}
    else:
        assert "uWSGI runs no threads: add enable-threads = true" in log.read_text()


# Queues

RQ = """
    import os, sys, redis, rq
    from hcrun import monitor_task

    @monitor_task("job")
    def job(number):
        if number % 5 == 0:
            raise ValueError
        return number

    if __name__ == "__main__":
        import application
        connection = redis.Redis(port=int(os.environ["REDIS_PORT"]))
        queue = rq.Queue(connection=connection)
        for number in range(15):
            queue.enqueue(application.job, number)
        rq.Worker([queue], connection=connection, log_job_description=False).work(
            burst=True, logging_level="ERROR")
"""


def test_each_job_of_rq_is_reported(
    tmp_path: Path, stub: HealthchecksStub, start_redis: StartRedis
) -> None:
    """Its process ends with `os._exit`."""
    job = stub.add_check()
    env = FORKING | {"REDIS_PORT": str(start_redis().port), "PYTHONPATH": str(tmp_path)}
    done = python(tmp_path, RQ, stub, env, job=job)
    assert done.returncode == 0, done.stderr
    results = [run.result for run in runs(tmp_path)]
    assert (results.count("success"), results.count("fail"), len(results)) == (12, 3, 15)
    assert kinds(job) == (["start", "fail"] + ["start", "success"] * 4) * 3


HUEY = """
    import logging
    from huey import MemoryHuey
    from huey.exceptions import RetryTask
    from hcrun import monitor_task

    queue = MemoryHuey()
    tries = []

    @queue.task(retries=2)
    @monitor_task("job", retry=(RetryTask, ConnectionError), ignore=(LookupError,))
    def job(what):
        tries.append(what)
        if what is LookupError or len(tries) < 3:
            raise what
        return len(tries)

    for what in (ConnectionError, RetryTask, LookupError):
        tries.clear()
        job(what)
        while task := queue.dequeue():
            queue.execute(task)
"""
DRAMATIQ = """
    import dramatiq, logging
    from dramatiq.brokers.stub import StubBroker
    from hcrun import monitor_task

    logging.disable()
    broker = StubBroker()
    dramatiq.set_broker(broker)
    tries = []

    @dramatiq.actor(max_retries=2, min_backoff=1, max_backoff=1)
    @monitor_task("job", retry=(dramatiq.errors.Retry,), ignore=(LookupError,))
    def job(name):
        tries.append(name)
        if name == "missing":
            raise LookupError
        if len(tries) < 3:
            raise dramatiq.errors.Retry(delay=1)

    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    job.send("again")
    broker.join(job.queue_name, fail_fast=False)
    job.send_with_options(args=("missing",), max_retries=0)
    broker.join(job.queue_name, fail_fast=False)
    worker.stop()
"""


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        (HUEY, ["log", "log", "success"] * 2 + ["success"] * 3),
        (DRAMATIQ, ["log", "log", "success", "success"]),
    ],
    ids=["huey", "dramatiq"],
)
def test_retries_of_other_queues(
    script: str, ends: list[str], tmp_path: Path, stub: HealthchecksStub
) -> None:
    job = stub.add_check()
    done = python(tmp_path, script, stub, job=job)
    assert (done.returncode, done.stdout) == (0, ""), done
    assert [kind for kind in kinds(job) if kind != "start"] == ends


ABOVE = """
    import dramatiq, huey, rq, rq.decorators
    from dramatiq.brokers.stub import StubBroker
    from hcrun import monitor_task

    dramatiq.set_broker(StubBroker())
    def job():
        pass
    queued = rq.decorators.job("default", connection=object())
    for decorate in (huey.MemoryHuey().task(), dramatiq.actor, queued):
        try:
            monitor_task("job")(decorate(job))
        except TypeError as error:
            print(error)
"""


def test_above_the_decorator_of_a_queue(tmp_path: Path) -> None:
    """There a call would only put the task into the queue."""
    message = "put monitor_task below the decorator that makes a task of the function\n"
    assert python(tmp_path, ABOVE).stdout == 3 * message


@pytest.mark.parametrize("import_first", [True, False])
def test_gevent(import_first: bool, app: App) -> None:
    """The threads of hcrun are none of its greenlets: those run while a ping waits."""
    app.stub.fault = Fault(delays(0.3))
    script = """
        PATCH
        import gevent, hcrun, time
        @hcrun.monitor_task("job")
        def job(number):
            gevent.sleep(0.01)
            return hcrun.current_run()
        ticks = [time.monotonic()]
        def tick():
            while True:
                ticks.append(time.monotonic())
                gevent.sleep(0.01)
        ticker = gevent.spawn(tick)
        runs = [gevent.spawn(job, number) for number in range(2)]
        gevent.joinall(runs)
        assert len({id(greenlet.value) for greenlet in runs}) == 2
        gevent.sleep(0.5)
        longest = max(b - a for a, b in zip(ticks, ticks[1:]))
        assert hcrun.flush(60)
        print("fine" if longest < 0.25 else longest)
    """
    patch = "from gevent import monkey; monkey.patch_all()"
    before = "import hcrun.integrations.monitor; " if import_first else ""
    done = python(app.path, script.replace("PATCH", before + patch), app.stub, job=app.job)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
    assert sorted(kinds(app.job)) == ["start"] * 2 + ["success"] * 2
