"""`monitor_endpoint` and `healthcheck_blueprint` in real workers of gunicorn, and by the clock."""

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun import healthcheck_blueprint, monitor_endpoint
from hcrun.errors import UsageError
from hcrun.integrations.flask import Pace
from hcrun.testing import Recorded
from tests.servers.flask import gunicorn
from tests.servers.redis import StartRedis, start_redis
from tests.stub.healthchecks import Check, Fault, HealthchecksStub, hangs
from tests.support.application import App, kinds, python, text, variables
from tests.support.command import PATIENCE

pytestmark = pytest.mark.slow

__all__ = ["start_redis"]  # a fixture

ROOT = Path(__file__).parents[2]


class Api:
    """The application behind a gunicorn."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def served(tmp_path: Path, stub: HealthchecksStub, *options: str, **checks: Check) -> Iterator[Api]:
    env = variables(tmp_path, stub, checks) | {"PYTHONPATH": str(ROOT)}
    with gunicorn(tmp_path, *options, app="watched_app", env=env) as port:
        yield Api(port)


def test_what_is_told_of_an_endpoint(tmp_path: Path, stub: HealthchecksStub) -> None:
    critical, later, part, last = (stub.add_check() for _ in range(4))
    checks = {"critical": critical, "later": later, "part": part, "last": last}
    with served(tmp_path, stub, "--worker-class", "gthread", "--threads", "4", **checks) as api:
        for _ in range(10):
            assert api.get("/critical")[0] == 200
        for what, status in (("503", 503), ("abort", 502), ("raise", 500), ("504", 504)):
            assert api.get(f"/critical?do={what}")[0] == status
        assert api.get("/critical")[0] == 200  # a recovery is told at once
        assert api.get("/critical?do=abort")[0] == 502  # and so is a failure
        for _ in range(5):
            assert api.get("/critical")[0] == 200  # but it flaps
        assert api.get("/v1/part?do=handled")[0] == 404  # no failure of ours
        assert api.get("/later/s3cr3t") == (200, "6")
        assert api.get("/last?do=raise")[0] == 500
        # One after the other is sent: after this one there is none on its way.
        stub.wait_for(last, 1, PATIENCE)
    assert kinds(critical) == ["success", "fail", "success", "fail"]
    assert (kinds(part), kinds(later), kinds(last)) == (["success"], ["success"], ["fail"])
    assert text(critical, 0)[2:] == ["command: GET /critical"]
    whys = [text(critical, number)[0] for number in range(4)]
    counts = [r"OK: 200 OK; 0 of 1 requests", "FAILED: 503 SERVICE UNAVAILABLE; 1 of 10 requests"]
    counts += [r"OK: 200 OK; 3 of 4 requests", r"FAILED: 502 BAD GATEWAY; 1 of 1 requests"]
    for why, count in zip(whys, counts, strict=True):
        assert re.fullmatch(f"{count} failed in .+", why), why
    assert text(part, 0)[0].startswith("OK: 404 NOT FOUND; ")
    assert text(later, 0)[2] == "command: GET /later/<token>"
    trace = text(last, 0)
    assert trace[4] == "Traceback (most recent call last):"
    assert "ValueError: no database at postgres://[redacted]@db/app" in trace
    assert all(ping.rid is None for check in checks.values() for ping in check.pings)


def test_each_worker_of_a_preloaded_application_tells(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    critical = stub.add_check()
    options = ("--preload", "--workers", "2")
    with served(tmp_path, stub, *options, critical=critical) as api:
        seen: set[str] = set()
        with ThreadPoolExecutor(8) as many:
            while len(seen) < 2:
                seen |= {pid for _, pid in many.map(api.get, ["/critical"] * 20)}
    assert kinds(critical) == ["success"] * 2  # the last ones at the latest when a worker ends


def test_a_dead_server_is_not_in_the_way(tmp_path: Path, stub: HealthchecksStub) -> None:
    critical, last = stub.add_check(), stub.add_check()
    stub.fault = Fault(hangs)
    with served(tmp_path, stub, critical=critical, last=last) as api:
        started = time.monotonic()
        for _ in range(50):
            assert api.get("/critical?do=503")[0] == 503
            assert api.get("/last")[0] == 200
        assert time.monotonic() - started < 5
        stub.go_down()  # which also ends the ping that hangs
    assert kinds(critical) == kinds(last) == []


def test_a_ping_that_could_not_be_sent_is_sent_later(app: App) -> None:
    """Only the newest, by the same process."""
    app.stub.go_down()
    script = """
        import flask, sys
        import hcrun.integrations.sender
        hcrun.integrations.sender._PAUSE = 0.2

        api = flask.Flask(__name__)
        @api.get("/<int:status>")
        @monitor_endpoint("job")
        def answer(status):
            return "", status

        client = api.test_client()
        client.get("/200")
        client.get("/503")
        sys.stdin.readline()
    """
    with app.start(script) as process:
        assert process.stderr
        assert process.stderr.readline().startswith("job: not delivered yet: ")
        app.stub.come_back()
        app.stub.wait_for(app.job, 1, PATIENCE)
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert kinds(app.job) == ["fail"]
    first, second, *_ = text(app.job, 0)
    assert second.startswith("Delivered late: this run ended at ")
    assert re.fullmatch("FAILED: 503 SERVICE UNAVAILABLE; 1 of 1 requests failed in .+", first)


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=300), st.floats(1, 100))
def test_pace(steps: list[tuple[float, bool]], period: float) -> None:
    """A failure after a success is told at once; nothing is told much more than once a period."""
    pace = Pace(period)
    now = 1000.0
    told: list[tuple[float, bool]] = []
    down = False
    for wait, failed in steps:
        now += wait
        due = pace.due(failed, now)
        assert due or not failed or down  # the first failure
        if due:
            pace.reported(failed, now)
            told.append((now, failed))
            down = failed
    recoveries = [at for (_, before), (at, failed) in pairwise(told) if before and not failed]
    for sooner, later in pairwise(recoveries):
        assert later - sooner >= period
    for number in range(len(told) - 5):
        assert told[number + 5][0] - told[number][0] >= period


def test_a_success_is_told_once_a_period() -> None:
    pace = Pace(60)
    told = []
    for second in range(1000, 1300):
        if pace.due(False, second):
            pace.reported(False, second)
            told.append(second)
    assert told == [1000, 1060, 1120, 1180, 1240]


def test_an_exception_that_flask_propagates(app: App) -> None:
    """With PROPAGATE_EXCEPTIONS there is no response; a handled exception is not a failure."""
    handled = app.stub.add_check()
    script = """
        import flask
        api = flask.Flask(__name__)
        api.config["PROPAGATE_EXCEPTIONS"] = True
        boom = ValueError("boom")

        @api.get("/boom")
        @monitor_endpoint("job")
        def fails():
            raise boom

        @api.get("/handled")
        @monitor_endpoint("handled")
        def is_handled():
            raise KeyError
        api.register_error_handler(KeyError, lambda error: ("no such thing", 404))

        client = api.test_client()
        try:
            client.get("/boom")
        except ValueError as error:
            assert error is boom
            assert client.get("/handled").status_code == 404
            print("fine")
    """
    app.fine(script, handled=handled)
    assert (kinds(app.job), kinds(handled)) == (["fail"], ["success"])
    first = text(app.job, 0)[0]
    assert re.fullmatch("FAILED: raised ValueError; 1 of 1 requests failed in .+", first)
    assert "ValueError: boom" in text(app.job, 0)


def test_a_worker_that_is_told_to_end_in_a_request(tmp_path: Path, stub: HealthchecksStub) -> None:
    """gunicorn does that to one that takes longer than its time-out, and answers 500 itself."""
    last = stub.add_check()
    with served(tmp_path, stub, "--timeout", "1", last=last) as api:
        assert api.get("/last?do=hang")[0] == 500
        stub.wait_for(last, 1, PATIENCE)
    assert kinds(last) == ["fail"]
    pattern = r"FAILED: raised SystemExit; 1 of 1 requests failed in .+"
    assert re.fullmatch(pattern, text(last, 0)[0])


EXITS = """
    import flask, sys
    api = flask.Flask(__name__)

    @api.get("/<int:status>")
    @monitor_endpoint("job")
    def view(status):
        sys.exit(status)

    for status in (0, 1):
        try:
            api.test_client().get(f"/{status}")
        except SystemExit:
            pass
    print("fine")
"""
CANNOT_BE_SHOWN = """
    import flask
    class Mute(Exception):
        @property
        def __cause__(self):
            raise RuntimeError("no words")

    api = flask.Flask(__name__)
    api.logger.disabled = True
    @api.get("/")
    @monitor_endpoint("job")
    def fails():
        raise Mute
    assert api.test_client().get("/").status_code == 500
    print("fine")
"""


@pytest.mark.parametrize(
    ("script", "pings", "line"),
    [
        # A SIGINT or SIGQUIT to gunicorn makes the worker exit with status 0.
        (EXITS, ["fail"], "command: GET /<int:status>"),
        (CANNOT_BE_SHOWN, ["fail"], "Mute, which cannot be shown: RuntimeError('no words')"),
    ],
    ids=["exits", "cannot be shown"],
)
def test_views(script: str, pings: list[str], line: str, app: App) -> None:
    app.fine(script)
    assert kinds(app.job) == pings
    assert line in text(app.job, 0)


def api_with(view: Callable[[], Any], **handlers: Callable[..., Any]) -> flask.Flask:
    """An application with one view, and what its `after_request`, `teardown_request`... do."""
    app = flask.Flask(__name__)
    app.logger.disabled = True
    app.get("/")(view)
    for name, handler in handlers.items():
        getattr(app, name)(handler)
    return app


def fails(_given: object) -> None:
    raise RuntimeError("no session")


def turned(status: int) -> Callable[[flask.Response], flask.Response]:
    return lambda _response: flask.make_response("turned", status)


@pytest.mark.parametrize(
    ("status", "handlers", "action", "why"),
    [
        (200, {"after_request": turned(503)}, "fail", "503 SERVICE UNAVAILABLE"),
        (500, {"after_request": turned(200)}, "success", "200 OK"),
        (200, {"after_request": fails}, "fail", "an after_request function failed"),
        (200, {"teardown_request": fails}, "fail", "raised RuntimeError"),
        (200, {"teardown_appcontext": fails}, "fail", "raised RuntimeError"),
    ],
)
def test_what_the_client_receives(
    status: int, handlers: dict[str, Any], action: str, why: str, hcrun_pings: list[Recorded]
) -> None:
    """It does not flap, whatever the view itself has returned."""
    monitor: Any = monitor_endpoint(check_name=f"{why} {'-'.join(handlers)}")
    app = api_with(monitor(lambda: ("", status)), **handlers)
    for _ in range(3):
        with contextlib.suppress(RuntimeError):
            app.test_client().get("/")
    (ping,) = hcrun_pings
    assert ping.action == action
    first = ping.text.splitlines()[0].partition(": ")[2]
    assert first.partition(";")[0] == why


def test_a_request_counts_once(hcrun_pings: list[Recorded]) -> None:
    """Whatever it calls, and while its caller handles an exception; a test may keep its context."""
    inner: Callable[[], str] = monitor_endpoint("once")(lambda: "fine")
    app = api_with(monitor_endpoint("once")(monitor_endpoint("more")(inner)))
    try:
        raise KeyError
    except KeyError:
        with app.test_client() as client:
            assert client.get("/").text == "fine"
            assert flask.request.path == "/"
    assert [(ping.check, ping.action) for ping in hcrun_pings] == [
        ("once", "success"),
        ("more", "success"),
    ]
    with app.test_request_context("/"):
        inner()
    assert len(hcrun_pings) == 2


def test_views_that_share_a_check(hcrun_pings: list[Recorded]) -> None:
    """They do not flap against each other."""
    app = api_with(monitor_endpoint("shared")(lambda: "fine"))
    app.get("/bad")(monitor_endpoint("shared")(bad))
    client = app.test_client()
    for _ in range(5):
        client.get("/bad")
        client.get("/")
    assert [ping.action for ping in hcrun_pings] == ["fail", "success", "fail"]


def bad() -> tuple[str, int]:
    return "", 500


MISPLACED = """
    import flask, hcrun
    app = flask.Flask(__name__)

    @hcrun.monitor_endpoint("job")
    @app.get("/")
    def above():
        return "fine"

    @hcrun.monitor_endpoint("job")
    def outside():
        return "fine"

    for _ in range(2):
        outside()
        print(app.test_client().get("/").text)
"""


def test_a_decorator_that_sees_no_request(app: App) -> None:
    done = python(app.path, MISPLACED, app.stub, job=app.job)
    assert (done.returncode, done.stdout) == (0, "fine\n" * 2)
    assert done.stderr == (
        "outside: monitor_endpoint is for Flask; it was called without a request\n"
        "above: @monitor_endpoint must stand below @app.get, not above it\n"
    )
    assert kinds(app.job) == []


@pytest.mark.parametrize("period", [0, -1, 0.5, float("nan")])
def test_an_invalid_period(period: float) -> None:
    with pytest.raises(UsageError, match="invalid period of"):
        monitor_endpoint("critical", period=period)


def test_an_invalid_check() -> None:
    with pytest.raises(UsageError):
        monitor_endpoint("no check")
    with pytest.raises(TypeError, match="call it: @monitor_endpoint"):
        monitor_endpoint(lambda: "fine")  # type: ignore[arg-type]


def test_many_who_ask_for_health_get_one_look(tmp_path: Path, stub: HealthchecksStub) -> None:
    with served(tmp_path, stub, "--worker-class", "gthread", "--threads", "8") as api:
        with ThreadPoolExecutor(8) as many:
            answers = set(many.map(api.get, ["/health"] * 24))
        assert len(answers) == 1
        ((status, body),) = answers
    assert status == 200
    answer = json.loads(body)
    assert answer["probes"]["slow"].pop("seconds") >= 0.3
    assert answer == {
        "status": "healthy",
        "probes": {"slow": {"status": "OK", "message": "look 1"}},
    }


def test_health_of_functions(tmp_path: Path) -> None:
    """What they return and raise; a deadline; what hangs is asked once; no secrets."""
    script = """
        import asyncio, flask, json, sys, threading, time
        from hcrun import healthcheck_blueprint

        asked = []
        def hangs():
            asked.append(1)
            time.sleep(3600)

        def fails():
            raise ConnectionError("hunter2hunter2 at redis://:s3cr3t@cache:6379\\nno")

        app = flask.Flask(__name__)
        def register(url, **probes):
            blueprint = healthcheck_blueprint(
                probes, url=url, cache=0.001, deadline=0.3)
            app.register_blueprint(blueprint)
        async def looks(answer):
            await asyncio.sleep(0)
            return answer
        register("/good", a=lambda: True, b=lambda: None, c=lambda: looks((True, "3 rows")))
        register("/bad", a=lambda: True, b=lambda: looks(False), c=fails, d=sys.exit)
        register("/words", a=lambda: {"status": "unhealthy", "error": "no disk"},
            b=lambda: (False, "redis down"), c=lambda: "no rows")
        register("/odd", a=lambda: 0, b=lambda: {"rows": 3}, c=lambda: {"status": "degraded"})
        register("/late", a=lambda: True, b=hangs)
        client = app.test_client()
        for path in ("/good", "/bad", "/words", "/odd", "/late", "/late"):
            started = time.monotonic()
            got = client.get(path)
            assert time.monotonic() - started < 5
            assert got.headers["Cache-Control"] == "no-store"
            answer = got.json
            for probe in answer["probes"].values():
                probe.pop("seconds")
            print(got.status_code, json.dumps(answer))
        assert len(asked) == 1
    """
    done = python(tmp_path, script, env={"DB_PASSWORD": "hunter2hunter2"})
    assert done.stderr == ""

    def said(status: str, message: str) -> dict[str, str]:
        return {"status": status, "message": message}

    late = {"a": said("OK", ""), "b": said("CRITICAL", "no answer within 0.3 s")}
    good = {"a": said("OK", ""), "b": said("OK", ""), "c": said("OK", "3 rows")}
    error = "ConnectionError: [redacted] at redis://[redacted]@cache:6379\\nno"
    bad = {
        "a": said("OK", ""),
        "b": said("CRITICAL", "returned False"),
        "c": said("CRITICAL", error),
        "d": said("CRITICAL", "SystemExit: "),
    }
    words = {
        "a": said("CRITICAL", "no disk"),
        "b": said("CRITICAL", "redis down"),
        "c": said("CRITICAL", "no rows"),
    }
    odd = {
        "a": said("UNKNOWN", "returned 0, which is no verdict"),
        "b": said("UNKNOWN", "returned {'rows': 3}, which is no verdict"),
        "c": said("WARNING", "degraded"),
    }
    answers = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
    assert [(status, json.loads(answer)) for status, answer in answers] == [
        ("200", {"status": "healthy", "probes": good}),
        ("503", {"status": "critical", "probes": bad}),
        ("503", {"status": "critical", "probes": words}),
        ("200", {"status": "degraded", "probes": odd}),
        ("503", {"status": "critical", "probes": late}),
        ("503", {"status": "critical", "probes": late}),
    ]


def test_health_of_probes(tmp_path: Path, start_redis: StartRedis) -> None:
    """probe-redis looks; a service that is down is a 503, one that cannot be judged is not."""
    server = start_redis()
    script = """
        import flask
        from hcrun import healthcheck_blueprint

        app = flask.Flask(__name__)
        for name in ("redis", "sql", "all"):
            app.register_blueprint(
                healthcheck_blueprint([name], url="/" + name, deadline=30))
        client = app.test_client()
        for name in ("redis", "sql", "all"):
            got = client.get("/" + name)
            finding = got.json["probes"][name]
            print(got.status_code, got.json["status"], finding["status"], finding["message"])
    """
    env = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port)}
    done = python(tmp_path, script, env=env)
    redis, sql, everything = done.stdout.splitlines()
    assert redis.startswith(f"200 healthy OK 127.0.0.1:{server.port} answers in ")
    assert sql.startswith("200 degraded UNKNOWN ")
    assert everything == "200 healthy OK healthy"
    done = python(tmp_path, script, env={**env, "REDIS_PORT": "1"})
    assert done.stdout.startswith("503 critical CRITICAL 127.0.0.1:1: Connection refused\n")


@pytest.mark.parametrize(
    ("probes", "deadline", "message"),
    [
        (["nothing"], 1, "probes: no probe named 'nothing'; hcctl docs probes lists all"),
        ([], 1, "probes: no probes given; name at least one"),
        ("redis", 1, "probes: expected a list, got 'redis'; write [\"redis\"]"),
        ({"a": bool}, 0, "deadline: invalid time 0; use more than 0"),
    ],
)
def test_invalid_arguments_of_health(probes: Any, deadline: float, message: str) -> None:
    with pytest.raises(UsageError) as problem:
        healthcheck_blueprint(probes, deadline=deadline)
    assert str(problem.value) == message
