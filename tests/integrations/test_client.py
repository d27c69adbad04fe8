"""`HealthchecksClient` and `Pinger` as an application uses them."""

import pytest

from hcrun import HealthchecksClient, Pinger
from hcrun.errors import UsageError
from hcrun.settings import Settings
from tests.stub.healthchecks import Check, Fault, HealthchecksStub, answers

OFF = Settings({"HEALTHCHECKS_ENABLED": "false"}, {})


def pinger(stub: HealthchecksStub, check: Check, deadline: float = 20.0, **more: str) -> Pinger:
    environ = {"HEALTHCHECKS_PING_URL": stub.ping_url, "HC_CHECK_JOB": check.uuid, **more}
    environ |= {"HEALTHCHECKS_RETRY_DELAY": "10ms"}
    return Pinger("job", Settings(environ, {}), deadline=deadline)


def test_pings(stub: HealthchecksStub) -> None:
    job = stub.add_check()
    ping = pinger(stub, job)
    assert ping.start("begins")
    assert ping.log("half way")
    assert ping.success("42 files")
    assert ping.success()
    assert ping.fail("no tenants")
    assert ping.exit_status(3)
    assert ping.exit_status(0)
    told = [(p.kind, p.exitstatus, p.body.decode(), p.rid is not None) for p in job.pings]
    assert told == [
        ("start", None, "begins", True),
        ("log", None, "half way", True),
        ("success", None, "42 files", True),
        ("success", None, "", False),
        ("fail", None, "no tenants", False),
        ("fail", 3, "", False),
        ("success", 0, "", False),
    ]
    assert len({p.rid for p in job.pings[:3]}) == 1
    assert {p.method for p in job.pings} == {"POST"}


def test_no_run_without_a_start_that_was_taken(stub: HealthchecksStub) -> None:
    job = stub.add_check()
    ping = pinger(stub, job)
    stub.fault = Fault(answers(400, "no"), only="/start")
    assert not ping.start()
    assert ping.success()
    assert [(p.kind, p.rid) for p in job.pings] == [("success", None)]


def test_a_server_in_trouble_is_asked_again(stub: HealthchecksStub) -> None:
    job = stub.add_check()
    stub.fault = Fault(answers(503), times=2)
    assert pinger(stub, job).success()
    assert len(stub.requests) == 3


def test_what_is_not_taken_is_said_in_the_log(
    stub: HealthchecksStub, caplog: pytest.LogCaptureFixture
) -> None:
    job = stub.add_check()
    stub.fault = Fault(answers(404, "not found"))
    assert pinger(stub, job).success() is False
    said = "no check has this UUID; copy it from the check's page, or create the check again"
    assert caplog.messages == [f"job: not pinged: {said}"]


def test_texts_are_cut_and_without_secrets(stub: HealthchecksStub) -> None:
    job = stub.add_check()
    ping = pinger(stub, job, DB_PASSWORD="hunter2hunter2")
    assert ping.fail("\x1b[31mä" * 20_000 + "\nhunter2hunter2 at the end\n")
    body = job.pings[0].body
    assert 9_900 < len(body) <= 10_000
    assert body.decode().startswith("ä")
    assert body.decode().endswith("ä\n[redacted] at the end")


@pytest.mark.parametrize("status", [-1, 256])
def test_what_is_no_exit_status(status: int, stub: HealthchecksStub) -> None:
    with pytest.raises(UsageError) as problem:
        pinger(stub, stub.add_check()).exit_status(status)
    assert str(problem.value) == f"exit_status: invalid exit status {status}; use 0 to 255"
    with pytest.raises(UsageError):
        Pinger("no check", OFF)


def test_without_settings_nothing_is_pinged_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Pinger("unset", Settings({}, {})).success() is False
    (message,) = caplog.messages
    assert message.startswith("unset is not pinged: set HC_CHECK_UNSET to ")


def test_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    ping = Pinger("backup", OFF)
    calls = (ping.start(), ping.log("x"), ping.success(), ping.fail(), ping.exit_status(3))
    assert set(calls) == {False}
    client = HealthchecksClient.from_settings(OFF)
    assert client.checks("tier:1") == []
    assert client.channels() == []
    assert client.find("backup") is None
    made = client.create({"name": "Backup", "slug": "backup", "tags": "a b", "timeout": 60})
    assert (made.name, made.slug, made.tags, made.timeout) == ("Backup", "backup", ("a", "b"), 60)
    assert client.update("0d2f", {"grace": 60}).grace == 60
    assert client.check("0d2f").status == "new"
    assert client.pause("0d2f").status == "paused"
    assert client.resume("0d2f").status == "new"
    client.delete("0d2f")
    assert client.pings("0d2f") == []
    assert client.flips("0d2f", 1.0, 2.0) == []
    assert client.ping_body("0d2f", 1) == ""
    client.status()
    assert client.metrics("key") == {}
    assert client.calls == 0
    assert caplog.messages == []


def test_client_from_settings(stub: HealthchecksStub) -> None:
    """All of it against a real server: test_contract_management.py and test_real_server.py."""
    environ = {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_API_KEY": stub.api_key}
    client = HealthchecksClient.from_settings(Settings(environ, {}))
    made = client.create({"name": "Backup", "slug": "backup"})
    assert client.find("backup") == made
    client.delete(made.uuid)
    assert client.checks() == []
