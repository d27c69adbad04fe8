"""HEALTHCHECKS_PING_URL_2 in applications: each run reaches two servers, as with hcrun itself."""

from collections.abc import Iterator

import pytest

from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.application import App
from tests.support.command import run_hcctl

pytestmark = pytest.mark.slow

RUN = """
    with monitor_task("job"):
        pass
"""
FAIL = """
    try:
        with monitor_task("job"):
            raise ValueError("no rows")
    except ValueError:
        pass
"""
FORK = """
    import os
    with monitor_task("job"):
        pass
    if not os.fork():
        with monitor_task("job"):
            pass
        os._exit(0)
    os.wait()
"""
LEAVES = """
    from hcrun import configure, flush
    configure(flush_at_exit=1)
    with monitor_task("job"):
        pass
    print(flush(1))
"""


@pytest.fixture
def second() -> Iterator[HealthchecksStub]:
    with HealthchecksStub(ping_key="secondkey") as server:
        server.add_check("job")
        yield server


def settings(second: HealthchecksStub) -> dict[str, str]:
    return {"HEALTHCHECKS_PING_URL_2": second.ping_url, "HEALTHCHECKS_PING_KEY_2": second.ping_key}


def kinds(second: HealthchecksStub) -> list[str]:
    return [ping.kind for ping in second.by_slug("job").pings]


def test_both_get_start_and_result(app: App, second: HealthchecksStub) -> None:
    done = app.run(FAIL, settings(second))
    assert (done.returncode, done.stderr) == (0, "")
    one, two = app.job.pings, second.by_slug("job").pings
    assert [ping.kind for ping in one] == [ping.kind for ping in two] == ["start", "fail"]
    assert one[1].body == two[1].body
    assert b"no rows" in two[1].body
    assert {ping.rid for ping in (*one, *two)} == {one[0].rid}


def test_in_a_fork(app: App, second: HealthchecksStub) -> None:
    app.run(FORK, settings(second) | {"PYTHONWARNINGS": "ignore::DeprecationWarning"})
    assert sorted(kinds(second)) == ["start", "start", "success", "success"]
    assert len(app.job.pings) == 4


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_dead_one_costs_the_first_nothing(how: str, app: App, second: HealthchecksStub) -> None:
    """What it has missed, the next process tells it."""
    if how == "hangs":
        second.fault = Fault(hangs)
    else:
        second.go_down()
    done = app.run(LEAVES, settings(second))
    assert [ping.kind for ping in app.job.pings] == ["start", "success"]
    assert done.stdout == "False\n"
    assert app.journal("SELECT delivery FROM runs") == [("sent",)]
    assert app.journal_of(app.path / "state", "SELECT delivery FROM runs", "second") == [
        ("pending",)
    ]
    second.fault = None
    if how == "refuses":
        assert done.stderr.startswith("second server: job: not delivered yet: cannot reach the ")
        second.come_back()
    app.run(FAIL, settings(second))
    assert kinds(second)[-3:] == ["start", "fail", "log"]


def test_a_dead_first_costs_it_nothing(app: App, second: HealthchecksStub) -> None:
    app.stub.go_down()
    app.run(FAIL, settings(second))
    assert kinds(second) == ["start", "fail"]
    app.stub.come_back()
    done = run_hcctl(app.path, "flush", stub=app.stub, env=settings(second))
    assert done.returncode == 0
    assert [ping.kind for ping in app.job.pings] == ["fail"]
    assert kinds(second) == ["start", "fail"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"HEALTHCHECKS_PING_KEY_2": ""}, "second server: set HEALTHCHECKS_PING_KEY_2 to "),
        ({"HEALTHCHECKS_ENABLED": "false"}, ""),
        ({"HEALTHCHECKS_PING_URL_2": ""}, ""),
    ],
)
def test_without(changed: dict[str, str], said: str, app: App, second: HealthchecksStub) -> None:
    done = app.run(RUN, settings(second) | changed)
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
    assert not kinds(second)
    assert not (app.path / "state" / "second").exists()


def test_an_unknown_slug(app: App, second: HealthchecksStub) -> None:
    second.by_slug("job").slug = "other"
    done = app.run(RUN, settings(second))
    assert done.stderr == (
        "second server: job: not pinged: no check has the slug job in this project; create it"
        " there, or correct HEALTHCHECKS_PING_KEY_2\n"
    )
    assert [ping.kind for ping in app.job.pings] == ["start", "success"]


def test_a_uuid_is_of_the_first_server(app: App, second: HealthchecksStub) -> None:
    done = app.run(RUN.replace('"job"', f'"{app.job.uuid}"'), settings(second))
    assert done.stderr == ""
    assert [ping.kind for ping in app.job.pings] == ["start", "success"]
    assert not (app.path / "state" / "second").exists()
