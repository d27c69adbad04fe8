"""`HealthchecksClient`, `healthchecks` and `configure` as an application uses them."""

import logging
import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from hcrun import ApiError, HealthchecksClient, SettingsError, UsageError, configure, healthchecks
from hcrun.errors import HcrunError
from hcrun.settings import Settings
from tests.stub.healthchecks import Fault, HealthchecksStub, answers


@pytest.fixture(autouse=True)
def settings(stub: HealthchecksStub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An application's environment; nothing of this machine."""
    monkeypatch.setenv("HCRUN_ENV_FILE", os.devnull)
    monkeypatch.setenv("HEALTHCHECKS_PING_URL", stub.ping_url)
    monkeypatch.setenv("HEALTHCHECKS_API_URL", stub.api_url.replace("/v3", "/v1"))
    monkeypatch.setenv("HEALTHCHECKS_API_KEY", stub.api_key)
    monkeypatch.setenv("HEALTHCHECKS_PING_KEY", stub.ping_key)
    monkeypatch.setenv("HEALTHCHECKS_RETRY_DELAY", "10ms")
    monkeypatch.setenv("HEALTHCHECKS_ENABLED", "true")
    yield
    configure()


def test_pings(stub: HealthchecksStub) -> None:
    job, rid = stub.add_check("job"), str(uuid4())
    ping = healthchecks.ping
    assert healthchecks.ping_start("job", "begins", run_id=rid)
    assert healthchecks.ping_log("job", "half way", run_id=rid)
    assert healthchecks.ping_success("job", "42 files", run_id=rid.upper())
    assert healthchecks.ping_success(job.uuid)
    assert healthchecks.ping_fail(f"{stub.ping_url}/{job.uuid}", "no tenants")
    for status in ("", "/start", "start", "/fail", "log", "/0", 0, "255", 3):
        assert ping("JOB", status)
    told = [(p.kind, p.exitstatus, p.body.decode(), p.rid is not None) for p in job.pings]
    assert told[:5] == [
        ("start", None, "begins", True),
        ("log", None, "half way", True),
        ("success", None, "42 files", True),
        ("success", None, "", False),
        ("fail", None, "no tenants", False),
    ]
    assert [(p.kind, p.exitstatus) for p in job.pings[5:]] == [
        *(("success", None), ("start", None), ("start", None), ("fail", None), ("log", None)),
        *(("success", 0), ("success", 0), ("fail", 255), ("fail", 3)),
    ]
    assert len({p.rid for p in job.pings[:3]}) == 1
    assert {p.method for p in job.pings} == {"POST"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: healthchecks.ping("job", "/done"), "job: not pinged: invalid status '/done'; use"),
        (lambda: healthchecks.ping("job", 256), "job: not pinged: invalid status 256"),
        (lambda: healthchecks.ping("job", -1), "job: not pinged: invalid status -1"),
        (lambda: healthchecks.ping_start("job", run_id="1"), "job: not pinged: invalid run_id '1'"),
        (lambda: healthchecks.ping("no check"), "no check: not pinged: 'no check' is not a check"),
        (lambda: healthchecks.ping(""), ": not pinged: the name of the check is empty"),
        (lambda: healthchecks.ping(None), "None: not pinged: "),  # type: ignore[arg-type]
        (lambda: healthchecks.ping_log("job", None), "job: not pinged: "),  # type: ignore[arg-type]
        (lambda: healthchecks.ping("nobody"), "nobody: not pinged: no check has the slug nobody"),
        (lambda: HealthchecksClient(ping_url="x").ping("job"), "job is not pinged: HEALTHCHECKS_P"),
    ],
)
def test_a_ping_that_is_not_accepted_is_false_and_in_the_log(
    call: object, said: str, stub: HealthchecksStub, caplog: pytest.LogCaptureFixture
) -> None:
    stub.add_check("job")
    assert callable(call)
    assert call() is False
    (message,) = caplog.messages
    assert message.startswith(said)


def test_a_server_in_trouble_is_asked_again(stub: HealthchecksStub) -> None:
    stub.add_check("job")
    stub.fault = Fault(answers(503), times=2)
    assert healthchecks.ping("job")
    assert len(stub.requests) == 3


def test_a_handler_of_the_log_that_pings_ends() -> None:
    class Pinging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert healthchecks.ping_fail("gone", record.getMessage()) is False
            told.append(record.getMessage())

    told: list[str] = []
    handler, log = Pinging(), logging.getLogger("hcrun")
    log.addHandler(handler)
    try:
        assert healthchecks.ping("gone") is False
    finally:
        log.removeHandler(handler)
    assert len(told) <= 1


def test_texts_are_cut_and_without_secrets(
    stub: HealthchecksStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2hunter2")
    job = stub.add_check("job")
    assert healthchecks.ping_fail("job", "\x1b[31mä" * 20_000 + "\nhunter2hunter2 at the end\n")
    body = job.pings[0].body
    assert 9_900 < len(body) <= 10_000
    assert body.decode().startswith("ä")
    assert body.decode().endswith("ä\n[redacted] at the end")


def test_a_run_by_hand(stub: HealthchecksStub) -> None:
    job = stub.add_check("job")
    with healthchecks.run("job") as run:
        run.log("first")
        run.log("second")
        run.set(files=42)
    with healthchecks.run("job") as run:
        run.fail("no space")
    with pytest.raises(ValueError, match="odd"), healthchecks.run("job"):
        raise ValueError("odd")
    with pytest.raises(SystemExit), healthchecks.run("job"):
        raise SystemExit
    told = [(p.kind, p.body.decode().split("\n")) for p in job.pings]
    assert told[::2] == [("start", [""])] * 4
    assert told[1::2] == [
        ("success", ["files=42", "first", "second"]),
        ("fail", ["no space"]),
        ("fail", ["raised ValueError: odd"]),
        ("success", [""]),
    ]
    assert [a.rid == b.rid for a, b in zip(job.pings[::2], job.pings[1::2], strict=True)] == [
        True
    ] * 4


def test_no_run_without_a_start_that_was_taken(stub: HealthchecksStub) -> None:
    job = stub.add_check("job")
    stub.fault = Fault(answers(400, "no"), only="/start")
    with healthchecks.run("job"):
        pass
    assert [(p.kind, p.rid) for p in job.pings] == [("success", None)]


def test_checks(stub: HealthchecksStub) -> None:
    stub.add_channel("Ops", "email")
    made = healthchecks.create_check("Größe Ä/B", "a b", "300", grace=30, desc="words")
    assert made
    assert (made.slug, made.timeout, made.grace, made.tags) == ("groe-ab", 300, 60, ("a", "b"))
    assert (made.description, len(made.channels)) == ("words", 1)
    assert made["name"] == made.get("name") == "Größe Ä/B"
    assert made.get("ping_url", "").split("/")[-1] == made.uuid
    assert (made.get("nothing"), made.get("nothing", 3)) == (None, 3)
    with pytest.raises(KeyError):
        made["nothing"]
    assert healthchecks.create_check("Größe Ä/B", schedule="* * * * *") == made
    with pytest.raises(ApiError, match="a check with the slug groe-ab exists"):
        healthchecks.create_check("Größe Ä/B", exist_ok=False)
    cron = healthchecks.create_check("cron", "a", "*/5 * * * *", "Europe/Riga", channels="")
    fast = healthchecks.create_check("fast", schedule=30, slug="other")
    assert cron
    assert fast
    assert (cron.schedule, cron.zone, cron.channels) == ("*/5 * * * *", "Europe/Riga", ())
    assert (fast.slug, fast.timeout) == ("other", 60)
    assert {check.name for check in healthchecks.list_checks()} == {"Größe Ä/B", "cron", "fast"}
    assert [check.name for check in healthchecks.list_checks("a")] == ["Größe Ä/B", "cron"]
    assert [check.name for check in healthchecks.list_checks("b a")] == ["Größe Ä/B"]
    for wrong in ({"schedule": 90.5}, {"grace": "600"}, {"grace": None}, {"tags": "x" * 501}):
        with pytest.raises(ApiError):
            healthchecks.create_check("wrong", **wrong)
    with pytest.raises(ApiError, match="'数据库' has no letter or digit for a slug; give"):
        healthchecks.create_check("数据库")


def test_enabled_is_false(caplog: pytest.LogCaptureFixture, stub: HealthchecksStub) -> None:
    configure(enabled=False)
    assert healthchecks.enabled is False
    assert healthchecks.ping("backup") is True
    assert healthchecks.ping_start("backup") is True
    assert healthchecks.list_checks("tier:1") == []
    assert healthchecks.list_channels() == []
    assert healthchecks.list_pings("backup") == []
    assert healthchecks.list_flips("backup", 1.0, 2.0) == []
    assert healthchecks.get_check("backup") is None
    assert healthchecks.create_check("Backup") is None
    assert healthchecks.update_check("backup", grace=60).grace == 60
    assert healthchecks.pause_check("backup").status == "paused"
    assert healthchecks.resume_check("backup").status == "new"
    healthchecks.delete_check("backup")
    with healthchecks.run("backup"):
        pass
    assert (stub.requests, caplog.messages) == ([], [])
    client = HealthchecksClient()
    client.enabled = True
    assert client.enabled
    assert client.list_checks() == []
    assert len(stub.requests) == 1


def test_settings_of_the_moment(
    stub: HealthchecksStub, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Over those of the environment and of the files that it names."""
    job = stub.add_check("job")
    monkeypatch.setenv("HEALTHCHECKS_PING_KEY_FILE", f"{tmp_path}/missing")
    assert healthchecks.ping("job") is False
    configure(ping_key=stub.ping_key)
    assert healthchecks.ping("job") is True
    configure()
    assert healthchecks.ping("job") is False
    assert HealthchecksClient(ping_key=stub.ping_key).ping("job") is True
    configure(ping_url="http://127.0.0.1:9/ping", ping_key="k" * 22)
    assert HealthchecksClient(ping_url=stub.ping_url, ping_key=stub.ping_key).ping("job") is True
    assert len(job.pings) == 3
    monkeypatch.delenv("HEALTHCHECKS_API_KEY")
    with pytest.raises(SettingsError, match="HEALTHCHECKS_API_KEY: no API key is set"):
        healthchecks.list_checks()
    configure(api_key=stub.api_key)
    assert [check.slug for check in healthchecks.list_checks()] == ["job"]
    monkeypatch.setenv("HEALTHCHECKS_READ_KEY", "r" * 32)
    reader = HealthchecksClient(api_key=stub.read_key, read_only=True)
    assert [check.uuid for check in reader.list_checks()] == [""]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"enabled": "yes"}, "enabled: must be True or False, not 'yes'"),
        ({"ping_url": 3}, "HEALTHCHECKS_PING_URL: must be a text, not 3"),
        ({"journal": 3}, "STATE_DIRECTORY: must be a text, not 3"),
        ({"flush_at_exit": -1}, "flush_at_exit: must be 0 to 3600 seconds"),
        ({"flush_at_exit": "5"}, "flush_at_exit: must be 0 to 3600 seconds"),
        ({"flush_at_exit": float("nan")}, "flush_at_exit: must be 0 to 3600 seconds"),
    ],
)
def test_what_is_no_setting(given: dict[str, object], said: str) -> None:
    configure(enabled=False)
    with pytest.raises(UsageError) as caught:
        configure(**given)  # type: ignore[arg-type]
    assert str(caught.value) == said
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, HcrunError)
    assert healthchecks.enabled is False  # as before


def test_the_journal_in_code() -> None:
    configure(journal="/var/lib/app", flush_at_exit=0)
    assert Settings.load().get("STATE_DIRECTORY") == "/var/lib/app"
    assert Settings.load().seconds("HCRUN_FLUSH_AT_EXIT", 5.0) == 0
    configure(journal=None)
    assert Settings.load().in_code["STATE_DIRECTORY"] == ""
    configure()
    assert "STATE_DIRECTORY" not in Settings.load().in_code
