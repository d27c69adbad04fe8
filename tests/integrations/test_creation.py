"""Checks that an application names and the server does not have: `check_name=`."""

from pathlib import Path

import pytest

from hcrun.catalog import MARKER
from tests.stub.healthchecks import HealthchecksStub
from tests.support.application import App, kinds, python, text
from tests.support.command import run_hcctl

Env = dict[str, str]
WARNING = (
    "created the check nightly-import, which alerts nobody yet: assign channels on its page, and a"
    " period if it runs less often than once a day; or add it to checks.toml and run hcctl sync\n"
)
TWICE = """
    from hcrun import monitor_task
    for _ in range(2):
        with monitor_task(check_name="Nightly import"):
            pass
"""


def api(stub: HealthchecksStub) -> Env:
    return {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_API_KEY": stub.api_key}


def both(stub: HealthchecksStub) -> Env:
    return api(stub) | {"HEALTHCHECKS_PING_KEY": stub.ping_key}


@pytest.mark.parametrize(
    ("keys", "pings"),
    [(api, ["start", "success"] * 2), (both, ["success", "start", "success"])],
    ids=["the plan's keys", "with a ping key"],
)
def test_a_check_is_created(
    keys: object, pings: list[str], tmp_path: Path, stub: HealthchecksStub
) -> None:
    stub.add_channel("ops")
    env = keys(stub)  # type: ignore[operator]
    done = python(tmp_path, TWICE, stub, env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", WARNING)
    check = stub.by_slug("nightly-import")
    assert (check.name, check.tags, check.channels) == ("Nightly import", "auto-created", set())
    assert (check.timeout, check.grace) == (86400, 3600)
    assert kinds(check) == pings
    # Another process finds it.
    done = python(tmp_path, TWICE, stub, env)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each.slug for each in stub.checks] == ["nightly-import"]
    assert kinds(check)[len(pings) :] == ["start", "success"] * 2


def test_a_check_of_the_catalogue(tmp_path: Path, stub: HealthchecksStub) -> None:
    """It gets what `hcctl sync` would give it: its tier, its schedule, and its channels alone."""
    email = stub.add_channel("email")
    stub.add_channel("phone", "call")
    script = """
        from hcrun import monitor_task

        @monitor_task(check_name="refresh_expiring_tokens")
        def refresh():
            return 3
        refresh()
    """
    done = python(tmp_path, script, stub, both(stub))
    assert (done.returncode, done.stderr) == (0, "")
    check = stub.by_slug("refresh-expiring-tokens")
    assert {"tier:3", MARKER} <= set(check.tags.split())
    assert (check.schedule, check.grace) == ("*/15 * * * *", 300)
    assert check.channels == {email.id}
    assert kinds(check) == ["success"]


def test_many_processes_create_one_check(tmp_path: Path, stub: HealthchecksStub) -> None:
    script = """
        import multiprocessing
        from hcrun import monitor_task

        @monitor_task(check_name="Nightly import")
        def job(number):
            return number

        if __name__ == "__main__":
            processes = [multiprocessing.Process(target=job, args=(n,)) for n in range(6)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
    """
    assert python(tmp_path, script, stub, both(stub)).returncode == 0
    assert [check.slug for check in stub.checks] == ["nightly-import"]
    assert kinds(stub.checks[0]).count("success") == 6


def test_only_check_name_creates(tmp_path: Path, stub: HealthchecksStub) -> None:
    script = TWICE.replace('check_name="Nightly import"', '"nightly"')
    said = "nightly: not pinged: no check has the slug nightly in this project; give its name as"
    said += " check_name= to create it, or correct HEALTHCHECKS_PING_KEY\n"
    for keys in (both(stub), api(stub)):
        done = python(tmp_path, script, stub, keys)
        assert (done.returncode, done.stderr) == (0, said)
    assert stub.checks == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "nightly-import: not created: HEALTHCHECKS_API_KEY: no API key is set; set it or "),
        ("wrong", "nightly-import: not created: "),
    ],
)
def test_a_check_that_cannot_be_created(
    key: str, said: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """The application runs, and the journal has its runs."""
    done = python(tmp_path, TWICE, stub, both(stub) | {"HEALTHCHECKS_API_KEY": key})
    assert done.returncode == 0
    assert done.stderr.startswith(said)
    assert stub.checks == []
    assert App(tmp_path, stub).journal("SELECT delivery FROM runs") == [("refused",)] * 2


def test_a_server_that_is_down_at_first(tmp_path: Path, stub: HealthchecksStub) -> None:
    """The journal keeps results of a check that only the server knows, and delivers them later."""
    check = stub.add_check("nightly-import")
    app = App(tmp_path, stub)
    script = TWICE.replace("pass", "raise SystemExit(3)")
    stub.go_down()
    done = python(tmp_path, script, stub, api(stub) | {"HEALTHCHECKS_RETRY_COUNT": "1"})
    assert done.returncode == 3
    assert done.stderr.startswith("nightly-import: not delivered yet: ")
    assert app.journal("SELECT delivery FROM runs") == [("pending",)]
    stub.come_back()
    flushed = run_hcctl(tmp_path, "flush", stub=stub, env=api(stub))
    assert (flushed.returncode, flushed.stderr) == (0, "")
    assert kinds(check) == ["fail"]
    assert text(check, 0)[1].startswith("Delivered late: this run ended at ")
    assert app.journal("SELECT delivery FROM runs") == [("sent",)]
    # And the next run is of the same check.
    python(tmp_path, TWICE, stub, api(stub))
    assert app.journal("SELECT count(*) FROM checks") == [(1,)]
    assert kinds(check) == ["fail", *["start", "success"] * 2]
