"""`hcctl doctor` on a host where all is well, and with one thing broken at a time.

What each finding says in full is in test_findings.py.
"""

import compileall
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import hcrun as hcrun_package
from tests.servers.stored import Check
from tests.stub.healthchecks import Fault, HealthchecksStub, answers, delays, hangs
from tests.support.command import PATIENCE, run_hcctl, run_hcrun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has crontabs in cron.d"),
]

CATALOG = """\
[channels.email]
kind = "email"

[defaults]
environment = "production"

[environments.production]
zone = "UTC"
channels = ["email"]

[checks.backup]
cron = "0 2 * * *"
grace = "1h"
command = "true"

[checks.redis]
every = "30s"
grace = "1h"
command = "probe-redis --host cache"

[checks.app]
every = "5m"
grace = "1h"
"""
CRONTAB = """\
PATH=/usr/local/bin:/usr/bin:/bin
HCRUN_ENV_FILE={env_file}
0 2 * * * root hcrun backup -- true
* * * * * root hcrun redis -- probe-redis
* * * * * root sleep 30; hcrun --no-start redis -- probe-redis
"""
SYSTEMD = "etc/systemd/system"
NO_DATABASE = "no HEALTHCHECKS_DB_HOST is set"  # the stub has none


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """As `make` leaves it; a module that was edited since would be a finding."""
    assert hcrun_package.__file__
    root = Path(hcrun_package.__file__).parent.parent
    for package in ("hcrun", "probes"):
        assert compileall.compile_dir(root / package, quiet=1)


@dataclass
class Host:
    """A machine in a directory, and the server that it pings."""

    tmp_path: Path
    stub: HealthchecksStub
    env: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)  # that manage.py prints, by id

    @property
    def root(self) -> Path:
        return self.tmp_path / "root"

    @property
    def journal(self) -> Path:
        return self.tmp_path / "state/journal.db"

    @property
    def env_file(self) -> Path:
        return self.tmp_path / "hcrun.env"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def passwd(self, *entries: str) -> None:
        """Users as `name:uid:home`."""
        lines = [
            f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n"
            for name, uid, home in (entry.split(":") for entry in ("root:0:/root", *entries))
        ]
        self.write("etc/passwd", "".join(lines))

    def crontab(self, *changes: tuple[str, str], name: str = "etc/cron.d/app") -> None:
        """CRONTAB with these changes; its jobs have the settings of this host."""
        text = CRONTAB.format(env_file=self.env_file)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.write(name, text)

    def check(self, slug: str) -> Check:
        return self.stub.by_slug(slug)

    def doctor(self, *arguments: str, **env: str) -> tuple[int, str]:
        """With its settings in the env file, and `env` in the environment."""
        catalog = self.tmp_path / "checks.toml"
        states = {one.id: "2026-01-02T03:04:05Z " for one in self.stub.channels}
        states |= {"reminders": "1:00:00 "} | self.states
        lines = "".join(f"{one} {state}\n" for one, state in states.items())
        (self.tmp_path / "states").write_text(lines)
        self.env_file.touch(0o600)
        self.env_file.write_text("".join(f"{n}={v}\n" for n, v in self.env.items()))
        done = run_hcctl(
            self.tmp_path,
            *("doctor", "--catalog", str(catalog), "--root", str(self.root), *arguments),
            env={"HCRUN_ENV_FILE": str(self.env_file), "HEALTHCHECKS_ENABLED": ""} | env,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    def findings(self, **env: str) -> list[dict[str, str]]:
        """Those that are not ok; the exit status is that of the worst."""
        status, text = self.doctor("--json", **env)
        found = [
            one
            for one in json.loads(text)["findings"]
            if one["severity"] != "ok" and one["what"] != NO_DATABASE
        ]
        severities = {one["severity"] for one in found}
        assert status == (2 if "error" in severities else int("warning" in severities))
        assert all(one["why"] and one["fix"] for one in found if one["severity"] != "note")
        return found

    def expect(self, *expected: str, **env: str) -> None:
        """Exactly these findings: `section severity word...`, the words being in what it says."""
        found = self.findings(**env)
        heads = [f"{one['section']} {one['severity']}" for one in found]
        words = [text.removeprefix(head) for head, text in zip(heads, expected, strict=False)]
        assert len(found) == len(expected), found
        for one, text, head, given in zip(found, expected, heads, words, strict=True):
            assert text.startswith(head), (text, one)
            assert all(word in one["what"] for word in given.split()), (text, one)


@pytest.fixture
def host(tmp_path: Path, stub: HealthchecksStub) -> Host:
    return create_host(tmp_path, stub)


@pytest.fixture
def in_the_open(stub: HealthchecksStub) -> Iterator[Host]:
    """A host that all users may enter, unlike pytest's directories."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield create_host(Path(name), stub)


def create_host(tmp_path: Path, stub: HealthchecksStub) -> Host:
    (tmp_path / "checks.toml").write_text(CATALOG)
    env = {
        "HEALTHCHECKS_PING_URL": stub.ping_url,
        "HEALTHCHECKS_API_URL": stub.api_url,
        "HEALTHCHECKS_PING_KEY": stub.ping_key,
        "HEALTHCHECKS_API_KEY": stub.api_key,
        "HEALTHCHECKS_READ_KEY": stub.read_key,
        "HEALTHCHECKS_METRICS_KEY": stub.metrics_key,
        "HEALTHCHECKS_MANAGE": f"sh -c 'cat {tmp_path}/states'",
    }
    host = Host(tmp_path, stub, env)
    host.write("usr/local/bin/hcrun", "#!/bin/sh\n")
    (host.root / "usr/local/bin/hcrun").chmod(0o755)
    host.crontab()
    (host.root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    channel = stub.add_channel("email")
    when: dict[str, dict[str, Any]] = {
        "backup": {"schedule": "0 2 * * *"},
        "redis": {"timeout": 60},
        "app": {"timeout": 300},
    }
    for slug, fields in when.items():
        check = stub.add_check(slug, channels={channel.id}, grace=3600, **fields)
        check.stored_status, check.last_ping = "up", time.monotonic()
    run_hcrun(tmp_path, "backup", "--", "true", stub=stub, env=env)
    host.check("app").pings += host.check("backup").pings[:1]
    host.check("redis").pings += host.check("backup").pings[:1]
    return host


def test_all_is_well(host: Host) -> None:
    pings = [len(check.pings) for check in host.stub.checks]
    status, text = host.doctor()
    lines = text.splitlines()
    assert lines[:2] == ["settings", f"  ok       7 settings, {host.env_file}"]
    assert [line.split() for line in lines[2:16:2]] == [
        [name, *value.split(), str(host.env_file)]
        for name, value in [
            ("HEALTHCHECKS_API_KEY", "(secret)"),
            ("HEALTHCHECKS_API_URL", host.stub.api_url),
            ("HEALTHCHECKS_MANAGE", host.env["HEALTHCHECKS_MANAGE"]),
            ("HEALTHCHECKS_METRICS_KEY", "(secret)"),
            ("HEALTHCHECKS_PING_KEY", "(secret)"),
            ("HEALTHCHECKS_PING_URL", host.stub.ping_url),
            ("HEALTHCHECKS_READ_KEY", "(secret)"),
        ]
    ]
    assert [line for line in lines[16:] if not line.startswith("  ok       ")] == [
        "server",
        f"  note     {NO_DATABASE}",
        f"{' ':11}doctor cannot tell whether the server keeps enough pings for the view's columns",
        f"{' ':11}fix: set it, if you use hcctl view",
        *("channels", "checks", "this host", "journal", "installation", "nothing is wrong"),
    ]
    assert "  ok       crontab lines and timers that run hcrun: 3" in lines
    assert status == 0
    assert [len(check.pings) for check in host.stub.checks] == pings


def test_no_secret_is_shown(host: Host) -> None:
    for arguments in ((), ("--json",)):
        _, text = host.doctor(*arguments)
        for name, value in host.env.items():
            if name.endswith("_KEY"):
                assert value not in text


def test_json(host: Host) -> None:
    status, text = host.doctor("--json", HEALTHCHECKS_METRICS_KEY="wrong")
    report = json.loads(text)
    assert status == 2
    assert (report["errors"], report["warnings"]) == (1, 0)
    assert report["settings"][1] == {
        "name": "HEALTHCHECKS_API_URL",
        "value": host.stub.api_url,
        "source": str(host.env_file),
        "meaning": "the Management API of the server",
    }
    (found,) = (one for one in report["findings"] if one["severity"] == "error")
    assert set(found) == {"section", "severity", "what", "why", "fix"}
    assert found["section"] == "server"


def test_a_finding_says_why_and_how_to_correct_it(host: Host) -> None:
    host.stub.checks.remove(host.check("app"))
    status, text = host.doctor()
    assert status == 2
    assert (
        f"checks\n  error    1 of 3 checks of {host.tmp_path}/checks.toml do not exist on the"
        " server: app\n"
        "           their pings answer 404, and nobody is alerted when their jobs do not run\n"
        "           fix: hcctl sync\n"
    ) in text
    assert text.endswith("\n1 error\n")


# Alerts that do not arrive


def test_last_alerts_of_the_channels(host: Host) -> None:
    """One has failed, one is off, and one has never sent an alert."""
    email, slack, phone = (host.stub.channels[0], *map(host.stub.add_channel, ("slack", "phone")))
    host.states = {email.id: "never failed: no route", phone.id: "never "}
    host.states[slack.id] = "2026-01-02T03:04:05Z is disabled by the server: 404"
    host.expect(
        "channels error channel email failed: no route",
        "channels error channel slack is disabled by the server: 404",
        "channels warning channel phone has never sent an alert",
    )


def test_reminders_of_tier_1(host: Host) -> None:
    host.states = {"reminders": "never "}
    host.expect()
    host.check("redis").tags = "tier:1"
    host.expect("channels warning no reminders tier 1")


def test_a_server_that_cannot_be_looked_into(host: Host) -> None:
    host.env["HEALTHCHECKS_MANAGE"] = "/no/such/manage.py"
    host.expect("channels error HEALTHCHECKS_MANAGE: /no/such/manage.py: No such file")
    del host.env["HEALTHCHECKS_MANAGE"]
    host.expect("channels note last alerts")


# A server that is not there, or only in part


def test_nothing_is_set(host: Host) -> None:
    """The embedded use: no server, no own catalogue, no cron. Nothing is wrong with it."""
    shutil.rmtree(host.root)
    done = run_hcctl(
        host.tmp_path,
        *("doctor", "--json", "--root", str(host.root)),
        env={"HEALTHCHECKS_ENABLED": ""},
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["errors"], found["warnings"]) == (0, 0, 0)
    notes = [one["section"] for one in found["findings"] if one["severity"] == "note"]
    assert notes == ["settings", "server", "checks"]


def test_the_server_is_down(host: Host) -> None:
    host.stub.go_down()
    host.expect(
        f"server error {host.stub.ping_url} refused",
        f"server error API {host.stub.api_url} refused",
        "server note clocks",
        "checks note",
    )


def test_a_server_that_hangs_does_not_hang_the_doctor(host: Host) -> None:
    host.stub.fault = Fault(hangs)
    started = time.monotonic()
    found = host.findings()
    assert time.monotonic() - started < 10 + PATIENCE
    assert "no answer in time" in found[0]["what"]


def test_a_slow_server_is_waited_for(host: Host) -> None:
    host.stub.fault = Fault(delays(0.2))
    host.expect()


@pytest.mark.parametrize("address", ["HEALTHCHECKS_API_URL", "HEALTHCHECKS_API_KEY"])
def test_without_keys(address: str, host: Host) -> None:
    """A host that only pings, with or without the address of the API."""
    for name in {address, *(f"HEALTHCHECKS_{kind}_KEY" for kind in ("API", "READ", "METRICS"))}:
        del host.env[name]
    host.expect("server note API", "server note metrics", "server note clocks", "checks note")


def test_without_ping_key(host: Host) -> None:
    host.env["HC_CHECK_BACKUP"] = host.check("backup").uuid
    host.env["HEALTHCHECKS_PING_KEY"] = ""
    host.passwd()
    redis = "this host error line 4, /etc/cron.d/app line 5: HEALTHCHECKS_PING_KEY UUID"
    host.expect(redis)
    host.env["HC_CHECK_REDIS"] = host.check("redis").uuid
    host.expect()
    host.env["HC_CHECK_BACKUP"] = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
    host.expect("server error HC_CHECK_* backup")
    host.env["HC_CHECK_BACKUP"] = "no-uuid"
    assert "HC_CHECK_BACKUP: " in host.findings()[0]["what"]


@pytest.mark.parametrize("file", ["", "/nowhere/ping.key", "{empty}"])
def test_no_ping_key_at_all(file: str, host: Host) -> None:
    """On a host without crontabs, too: its applications ping by name."""
    del host.env["HEALTHCHECKS_PING_KEY"]
    (host.tmp_path / "empty").touch(0o600)
    no_file: list[str] = []
    if file:
        path = file.format(empty=host.tmp_path / "empty")
        host.env["HEALTHCHECKS_PING_KEY_FILE"] = path
        no_file = [f"settings warning HEALTHCHECKS_PING_KEY_FILE {path}"]
    no_key = "this host error no ping key HC_CHECK_*"
    host.passwd()
    host.expect(*no_file, "this host error line 3, line 4, line 5: HEALTHCHECKS_PING_KEY")
    (host.root / "etc/cron.d/app").unlink()
    host.check("backup").stored_status = "up"
    host.expect(*no_file, no_key)
    assert "HEALTHCHECKS_PING_KEY_FILE" in host.findings()[-1]["fix"]


def test_keys_are_not_sent_to_the_hosted_server(host: Host) -> None:
    """Without the address of the API, the server that is pinged is asked."""
    del host.env["HEALTHCHECKS_API_URL"]
    host.expect()
    assert any(request.path.startswith("/api/v3/") for request in host.stub.requests)


def test_enabled_is_false(host: Host) -> None:
    found = host.findings(HEALTHCHECKS_ENABLED="false")
    assert [one["section"] for one in found] == ["settings", "server", "checks"]
    assert not [request for request in host.stub.requests if "doctor" in request.target]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HEALTHCHECKS_PING_KEY", "x" * 22, "server error ping key project"),
        ("HEALTHCHECKS_API_KEY", "hcw_" + "x" * 28, "server error API {api}"),
        ("HEALTHCHECKS_READ_KEY", "hcr_" + "x" * 28, "server error read-only {api}"),
        ("HEALTHCHECKS_API_URL", "http://{host}/wrong", "server error {host}/wrong/api/v3"),
        ("HEALTHCHECKS_PING_URL", "http://{host}/no", "server error http://{host}/no 404"),
        ("HEALTHCHECKS_PING_URL", "hc.example.com/ping", "server error HEALTHCHECKS_PING_URL URL"),
        ("HEALTHCHECKS_PINGKEY", "x", "settings warning HEALTHCHECKS_PINGKEY"),
        ("HEALTHCHECKS_RETRY_COUNT", "many", "settings warning HEALTHCHECKS_RETRY_COUNT 'many'"),
        ("HEALTHCHECKS_API_KEY_FILE", "/no", "settings warning HEALTHCHECKS_API_KEY_FILE /no"),
    ],
)
def test_settings_that_are_wrong(name: str, value: str, expected: str, host: Host) -> None:
    given = {"host": host.stub.ping_url.split("/")[2], "api": host.stub.api_url}
    found = host.findings(**{name: value.format(**given)})
    section, severity, *words = expected.format(**given).split()
    assert any(
        (one["section"], one["severity"]) == (section, severity)
        and all(word in one["what"] for word in words)
        for one in found
    ), found


def test_keys_in_a_file_that_all_can_read(host: Host) -> None:
    host.env_file.touch()
    host.env_file.chmod(0o644)
    host.expect(f"settings warning {host.env_file}")
    host.env_file.chmod(0o640)
    host.expect()


def test_settings_that_cannot_be_printed(host: Host) -> None:
    status, text = host.doctor(HEALTHCHECKS_CHECK_TIMEOUT="\udcff\x1b[31m5s", LC_ALL="C.UTF-8")
    assert status == 1
    assert "HEALTHCHECKS_CHECK_TIMEOUT  \ufffd5s  " in text


def test_names_of_a_compose_network(host: Host) -> None:
    """`localhost` and addresses are known here, and no value is shown."""
    host.env["REDIS_HOST"] = "cache-of-shop"
    host.env["DATABASE_URL"] = "postgresql://app:made-up-pw@db-of-shop:5433/app"
    host.env["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:9092,broker-of-shop"
    host.env |= {"VAULT_ADDR": "http://localhost:8200", "PGHOST": "/run/postgresql"}
    found = [one for one in host.findings() if "cannot resolve" in one["what"]]
    fix = 'under {0} in its compose file: ports: ["127.0.0.1:{1}:{1}"]; then write 127.0.0.1:{1}'
    assert {one["what"]: one["fix"].partition(" instead")[0] for one in found} == {
        f"{variable}: this host cannot resolve '{name}'": fix.format(name, port)
        for variable, name, port in (
            ("REDIS_HOST", "cache-of-shop", 6379),
            ("DATABASE_URL", "db-of-shop", 5433),
            ("KAFKA_BOOTSTRAP_SERVERS", "broker-of-shop", 9092),
        )
    }
    assert {one["severity"] for one in found} == {"error"}
    assert "made-up-pw" not in host.doctor("--json")[1]


def test_the_address_of_the_server(host: Host) -> None:
    ours = host.stub.ping_url
    host.stub.ping_url = "https://hc.example.com/ping"
    host.expect(f"server note {host.stub.ping_url}")
    host.stub.ping_url = ours.replace("/ping", "/hc/ping")
    host.expect(f"server error {host.stub.ping_url} {ours}")


def test_clock_by_the_metrics(host: Host) -> None:
    numbers = {"ts": int(time.time()) + 7230, "num_unprocessed_flips": 0}
    host.stub.fault = Fault(answers(200, json.dumps(numbers)), only="/metrics/")
    host.expect("server error clock 2 h behind")


def stale_alert(host: Host) -> None:
    """The check is down and still expects its ping: sendalerts has not seen it."""
    host.check("app").last_ping = time.monotonic() - 300 - 3600 - 130


def break_checks(host: Host) -> None:
    host.check("redis").pause()
    host.check("app").stored_status = "new"
    host.check("app").pings.clear()
    host.check("backup").filter_http_body = True
    host.check("backup").failure_kw = "ERROR"
    host.check("backup").channels.clear()
    host.stub.add_check("backup", channels={host.stub.channels[0].id})


def add_thousand_checks(host: Host) -> None:
    channel = host.stub.channels[0].id
    for number in range(1000):
        host.stub.add_check(f"job-{number}", channels={channel})


def other_channel_only(host: Host) -> None:
    host.stub.channels.clear()
    host.stub.add_channel("mail to the team")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda h: h.env.pop("HEALTHCHECKS_API_KEY"), ["checks note channels"]),
        (lambda h: setattr(h.stub, "unsent_alerts", 3), ["server error 3"]),
        (stale_alert, ["server error app 2 min"]),
        (
            lambda h: setattr(h.stub, "allowed_hosts", {"hc.example.com"}),
            [
                "server error 127.0.0.1",
                "server error API 400",
                "server error read-only 400",
                "server error metrics 400",
                "server note clocks",
                "checks note",
            ],
        ),
        (
            break_checks,
            [
                "checks error slug backup",
                "checks warning 2 app, backup",
                "checks note redis",
                "checks warning backup ERROR",
                "checks warning 1 backup",
            ],
        ),
        (add_thousand_checks, ["checks warning 1,000 job-0, job-1, job-4 and 995 more"]),
        (lambda h: h.stub.channels.clear(), ["checks error channels"]),
        (other_channel_only, ["checks error email"]),
        (lambda h: (h.root / "etc/localtime").unlink(), ["this host note zone"]),
        (
            lambda h: (h.root / "etc/cron.d/app").chmod(0o664),
            ["this host error /etc/cron.d/app root"],
        ),
        (
            lambda h: os.chown(h.root / "etc/cron.d/app", 12345, 12345),
            ["this host error /etc/cron.d/app root"],
        ),
        (lambda h: h.journal.chmod(0o644), ["journal warning journal.db"]),
    ],
)
def test_one_thing_is_broken(
    change: Callable[[Host], object], expected: list[str], host: Host
) -> None:
    change(host)
    host.expect(*expected)


# Checks


def test_checks_that_drifted(host: Host) -> None:
    """The server alerts at other times, or by other channels, than the catalogue says."""
    host.check("backup").tz = "Europe/Riga"
    host.check("redis").grace = 60
    host.check("app").desc = "a description alerts nobody"
    hour = "this host error backup (0 2 * * * UTC, Europe/Riga)"
    host.expect("checks warning 2 backup, redis", hour)
    host.stub.add_channel("pager", "pd")
    host.check("app").channels = {host.stub.channels[1].id}
    host.expect("checks warning 3 backup, redis, app", hour)
    host.env["HEALTHCHECKS_API_KEY"] = ""
    host.expect("checks note channels", "checks warning 2 backup, redis", hour)


def test_grace_is_shorter_than_the_longest_run(host: Host) -> None:
    host.check("backup").grace = 1
    run_hcrun(host.tmp_path, "backup", "--", "sleep", "1.2", stub=host.stub, env=host.env)
    host.expect("checks warning backup 1 s 1.", "checks warning 1 backup")
    assert "checks.toml line 11, then hcctl sync" in host.findings()[0]["fix"]


def test_a_catalogue_that_is_wrong(host: Host) -> None:
    (host.tmp_path / "checks.toml").write_text("[checks.backup]\nevery = 5\n")
    host.check("app").stored_status = "new"
    host.check("app").pings.clear()
    host.expect(f"checks error {host.tmp_path}/checks.toml", "checks warning 1 app")


# This host


def test_crontabs(host: Host) -> None:
    host.crontab(name="etc/cron.d/app.bak")
    host.write(
        "etc/cron.d/other",
        "HCRUN_ENV_FILE=/etc/hcrun/app.env\n*/5 * * * * root hcrun gone -- true\n"
        "*/5 * * * * root /opt/venv/bin/hcrun app -- true\n"
        "*/5 * * * * root /usr/local/bin/hcrun --retry backup -- true\n"
        "0 4 * * * root /usr/bin/cleanup\n",
    )
    host.write("var/spool/cron/crontabs/app", "1 * * * * x\n0 5 0 * * y\n")
    host.expect(
        "this host error /etc/cron.d/app.bak name",
        "this host warning /var/spool/cron/crontabs/app line 2: month",
        "this host error /etc/cron.d/other line 4: --retry",
        "this host error /etc/cron.d/other line 2: hcrun",
        "this host error /etc/cron.d/other line 3: /opt/venv/bin/hcrun",
        "this host error /etc/cron.d/other line 2: check gone",
        "this host note /etc/cron.d/other line 5, /var/spool/cron/crontabs/app line 1",
    )


def test_users_of_crontabs(host: Host) -> None:
    """Cron ignores the whole file if one does not exist; one that may not read sends no pings."""
    host.passwd()
    host.crontab(("root sleep", "app sleep"))
    host.expect("this host error /etc/cron.d/app: line 5: app")
    host.passwd("app:77:/home")
    (host.root / "home").mkdir()
    os.chown(host.root / "home", 77, 77)
    as_two_users = "this host error 1 check redis (/etc/cron.d/app line 4 and line 5)"
    host.expect(f"this host error line 5: app {host.env_file}", as_two_users)
    fix = f"chgrp app {host.env_file} && chmod 0640 {host.env_file}"
    assert host.findings()[0]["fix"] == fix


def test_settings_of_this_shell_only(host: Host) -> None:
    host.passwd()
    del host.env["HEALTHCHECKS_PING_KEY"]
    host.expect(
        "this host error line 3, line 4, line 5: HEALTHCHECKS_PING_KEY",
        HEALTHCHECKS_PING_KEY=host.stub.ping_key,
    )
    host.crontab((f"HCRUN_ENV_FILE={host.env_file}\n", ""))
    host.env["HEALTHCHECKS_PING_KEY"] = host.stub.ping_key
    host.expect("this host error line 2, line 3, line 4: HEALTHCHECKS_PING_URL hc-ping.com")


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("etc/environment", "HCRUN_ENV_FILE={}\n"),  # pam_env gives it to the jobs of cron
        ("line", "HCRUN_ENV_FILE={} hcrun"),
        ("line", "cd /srv && HCRUN_ENV_FILE='{}' hcrun"),
        ("line", ". /etc/hcrun/app.env; hcrun"),  # who knows
        ("line", "sudo -u app hcrun"),
    ],
)
def test_settings_from_elsewhere(where: str, text: str, host: Host) -> None:
    host.passwd()
    own = ("root hcrun backup", f"root {text.format(host.env_file)} backup")
    alone = [(f"HCRUN_ENV_FILE={host.env_file}\n", ""), ("* * * * * root ", "# ")]
    if where == "line":
        host.crontab(*alone, own)
    else:
        host.crontab(*alone)
        host.write(where, text.format(host.env_file))
    host.expect()


def test_an_env_file_that_is_not_there(host: Host) -> None:
    host.passwd()
    host.crontab((str(host.env_file), "/nowhere/app.env"))
    host.expect("this host error line 3, line 4, line 5: HCRUN_ENV_FILE: /nowhere/app.env")


def test_files_that_are_not_crontabs(host: Host) -> None:
    """None keeps the doctor waiting, and nothing in them gets to the terminal as it is."""
    directory = host.root / "etc/cron.d"
    os.mkfifo(directory / "fifo")
    (directory / "directory").mkdir()
    (directory / "nowhere").symlink_to("/nowhere")
    (directory / "zero").symlink_to("/dev/zero")
    (directory / "binary").write_bytes(bytes(range(256)) * 100)
    line = b"HCRUN_ENV_FILE=/x\n0 2 * * * root /opt/\xff\x1b[31mred/hcrun backup -- true\n"
    Path(os.fsdecode(os.fsencode(directory) + b"/na\xffme")).write_bytes(line)
    host.expect(
        "this host warning /etc/cron.d/binary: line 1:",
        "this host error /etc/cron.d/na\ufffdme: name",
        "this host error /etc/cron.d/na\ufffdme line 2: /opt/\ufffdred/hcrun",
        LC_ALL="C.UTF-8",
    )
    assert " /opt/\ufffdred/hcrun " in host.doctor(LC_ALL="C.UTF-8")[1]


def test_checks_that_nothing_runs(host: Host) -> None:
    (host.root / "etc/cron.d/app").unlink()
    host.check("backup").stored_status = "down"
    host.expect("this host warning 1 backup")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("etc/default/cron", 'TZ="Europe/Riga"\n', "this host error backup Europe/Riga, UTC"),
        ("etc/timezone", "Europe/Riga\n", "this host error backup Europe/Riga, UTC"),
        ("etc/timezone", "Mars/Base\n", "this host note 'Mars/Base'"),
    ],
)
def test_zone_of_cron(name: str, text: str, expected: str, host: Host) -> None:
    (host.root / "etc/localtime").unlink()
    host.write(name, text)
    host.expect(expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0 2 * * * root hcrun backup", "0 2 * * 0 root hcrun backup"),
        ("0 2 * * * root hcrun backup", "@hourly root hcrun backup"),
        ("* * * * * root hcrun redis", "0 * * * * root hcrun redis"),
    ],
)
def test_a_job_that_starts_when_the_server_does_not_expect_it(
    old: str, new: str, host: Host
) -> None:
    host.check("redis").timeout = 60
    host.check("redis").grace = 60
    (host.tmp_path / "checks.toml").write_text(CATALOG.replace('grace = "1h"\ncom', "com"))
    host.crontab((old, new), ("* * * * * root sleep 30; hcrun --no-start", "#"))
    check = new.split()[-1]
    found = [one["what"] for one in host.findings() if " starts at other times " in one["what"]]
    assert len(found) == 1
    assert f": {check} (" in found[0]


def test_one_check_in_two_crontabs(host: Host) -> None:
    host.write("var/spool/cron/crontabs/root", "0 5 * * * /usr/local/bin/hcrun backup -- true\n")
    host.expect(
        "this host error 1 check backup (/etc/cron.d/app line 3 and line 1)",
        "this host error 1 check backup (0 2 * * *, 0 5 * * * UTC, not UTC)",
    )
    url = f"{host.stub.ping_url}/{host.stub.ping_key}/backup"
    job = f"/usr/local/bin/hcrun {url} -- "
    host.write("var/spool/cron/crontabs/root", f"0 5 * * * {job}true\n1 5 * * * {job}false\n")
    status, text = host.doctor()
    assert status == 2
    assert "1 check run by two crontab lines or timers: backup (/var/spool" in text
    assert host.stub.ping_key not in text


def test_files_that_were_edited(host: Host) -> None:
    """Only those that hcctl installed; a file of one's own is not ours to judge."""
    catalog, root = str(host.tmp_path / "checks.toml"), str(host.root)
    (host.root / "etc/cron.d/app").unlink()
    host.passwd("hcrun:66:/home")
    for kind in ("crontab", "systemd"):
        options = ("--hcrun", "/usr/local/bin/hcrun", "--root", root, "--catalog", catalog)
        done = run_hcctl(host.tmp_path, "install", kind, "--yes", *options)
        assert done.returncode == 0
    own = f"{SYSTEMD}/hcrun-job@backup.service.d/own.conf"
    host.write(own, "[Service]\nNice=5\n")
    assert not [one for one in host.findings() if "by hand" in one["what"]]
    drop_in = f"{SYSTEMD}/hcrun-job@backup.service.d/job.conf"
    for name in ("etc/cron.d/hcrun", drop_in):
        path = host.root / name
        path.write_text(path.read_text() + "\n")
    (found,) = (one for one in host.findings() if "by hand" in one["what"])
    assert found["severity"] == "warning"
    assert found["what"].endswith(f": /etc/cron.d/hcrun, /{drop_in}")
    assert f"rm /etc/cron.d/hcrun /{drop_in}" in found["fix"]


def test_probes_without_a_service(host: Host) -> None:
    catalog = host.tmp_path / "checks.toml"
    catalog.write_text(CATALOG.replace(" --host cache", ""))
    host.check("redis").stored_status = "down"
    host.check("redis").last_ping = None
    host.expect("this host warning 1 redis REDIS_URL REDIS_HOST")
    host.expect(REDIS_HOST="cache.example")
    host.crontab(("PATH=", "REDIS_URL=redis://cache\nPATH="))
    host.expect()
    host.check("redis").stored_status = "up"
    host.crontab()
    host.expect()


def timers(host: Host, *, enabled: bool = True) -> None:
    """As `hcctl render systemd` makes them."""
    host.write(f"{SYSTEMD}/hcrun-job@.service", "[Service]\nExecStart=/usr/bin/hcrun %i -- %i\n")
    host.write(f"{SYSTEMD}/hcrun-job@backup.timer", "[Timer]\nOnCalendar=02:00\n")
    host.write(
        f"{SYSTEMD}/hcrun-job@backup.service.d/job.conf",
        "[Service]\nExecStart=\nExecStart=/usr/local/bin/hcrun backup \\\n  -- true\n",
    )
    host.write(f"{SYSTEMD}/hcrun.target", "[Unit]\nWants=hcrun-job@backup.timer\n")
    if enabled:
        host.write(f"{SYSTEMD}/timers.target.wants/hcrun.target", "")


def test_timers(host: Host) -> None:
    host.crontab(("0 2 * * * root hcrun backup -- true\n", ""))
    timers(host)
    host.expect()
    host.write(f"{SYSTEMD}/tidy.timer", "[Timer]\nOnCalendar=daily\nUnit=tidy-up.service\n")
    host.write(f"{SYSTEMD}/tidy-up.service", "[Service]\nExecStart=-/usr/bin/tidy --all\n")
    host.write(f"{SYSTEMD}/timers.target.wants/tidy.timer", "")
    host.expect("this host note tidy.timer")


def test_timers_that_are_not_enabled_or_a_second_scheduler(host: Host) -> None:
    timers(host, enabled=False)
    host.expect("this host error 1 hcrun-job@backup.timer")
    timers(host)
    host.expect(
        "this host error 1 check backup (/etc/cron.d/app line 3 and hcrun-job@backup.timer)"
    )


# The journal


def test_journal_is_damaged(host: Host) -> None:
    with closing(sqlite3.connect(host.journal)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = host.journal.read_bytes()
    for damaged in (data[:8192] + b"\xff" * (len(data) - 8192), b"no database" * 1000):
        host.journal.write_bytes(damaged)
        host.expect(f"journal error {host.journal} damaged")
    assert host.journal.exists(), "doctor sets nothing aside"


def test_journal_without_a_run(host: Host) -> None:
    for path in host.journal.parent.iterdir():
        path.unlink()
    host.expect("journal note")
    host.journal.touch(0o600)
    host.expect()


def test_journal_of_another_user(in_the_open: Host) -> None:
    """Root reads it as that user; a journal with files of two owners cannot be written."""
    host = in_the_open
    state = host.journal.parent
    for one in (state, *state.iterdir()):
        os.chown(one, 12345, 12345)
    its_owner = f"journal error {state} belongs to user 12345"
    host.expect(its_owner)
    wal = Path(f"{host.journal}-wal")
    wal.touch()
    os.chown(wal, 0, 0)
    unreadable = f"journal error {host.journal}: unable to open database file"
    host.expect(its_owner, unreadable, f"journal error {wal} owner")


def test_journals_of_the_users_who_run_the_jobs(in_the_open: Host) -> None:
    """Root looks for them where cron's and systemd's users have them."""
    host = in_the_open
    own = host.journal.parent
    cron, systemd = "home/app/.local/state/hcrun", "var/lib/hcrun-hcrun/.local/state/hcrun"
    for place in (cron, systemd):
        shutil.copytree(own, host.root / place)
    with closing(sqlite3.connect(host.root / systemd / "journal.db")) as db, db:
        db.execute("UPDATE runs SET duration = 7200")
    host.passwd("hcrun:66:/nowhere", "app:77:/home/app")
    host.write("etc/cron.d/app", "PATH=/usr/local/bin\n* * * * * app hcrun redis -- probe-redis\n")
    timers(host)
    text = "[Service]\nUser=hcrun\nEnvironment=STATE_DIRECTORY=%S/hcrun-hcrun/.local/state/hcrun\n"
    host.write(f"{SYSTEMD}/hcrun-job@backup.service.d/user.conf", text)
    os.chown(host.root / "home/app", 77, 77)
    for path in ((host.root / cron), *(host.root / cron).iterdir()):
        os.chown(path, 77, 77)
    _, text = host.doctor()
    found = [line.split()[1] for line in text.splitlines() if "journal.db: 1 run" in line]
    assert found == [
        f"{place}/journal.db:" for place in (own, host.root / cron, host.root / systemd)
    ]
    assert "backup has a grace time of 1 h, but a run took 2 h" in text


def test_no_place_for_a_journal(host: Host) -> None:
    """As www-data, whose home belongs to root: cron discards what hcrun says of it."""
    host.passwd("www-data:33:/var/www")
    host.write("var/www/index.html", "")
    host.crontab(("root hcrun redis", "www-data hcrun redis"), ("root sleep", "www-data sleep"))
    place = host.root / "var/www/.local/state/hcrun"
    env_file = f"this host error www-data {host.env_file}"
    no_place = f"journal warning www-data {place}"
    host.expect(env_file, no_place)
    place.mkdir(mode=0o700, parents=True)
    os.chown(place, 33, 33)
    host.expect(env_file)
    place.parent.chmod(0o700)
    host.expect(env_file, no_place)


@pytest.mark.parametrize("place", ["state", "state/deeper"])
def test_a_journal_of_this_user_that_cannot_be_created(place: str, host: Host) -> None:
    shutil.rmtree(host.tmp_path / "state")
    (host.tmp_path / "state").touch()
    where = str(host.tmp_path / place)
    host.expect(f"journal error {where}: not a directory", "journal note", STATE_DIRECTORY=where)
    host.expect(
        "journal error STATE_DIRECTORY relative", "journal note", STATE_DIRECTORY="relative"
    )


def test_maintenance_that_is_past_its_end(host: Host) -> None:
    for words in (["backup", "--for", "1s"], ["app", "--for", "1h"]):
        done = run_hcctl(host.tmp_path, "pause", *words, env=host.env)
        assert done.returncode == 0
    with closing(sqlite3.connect(host.journal)) as db, db:
        db.execute("UPDATE maintenance SET until = until - 60")
    paused = "checks warning 2 backup, app"
    host.expect(paused, "journal warning backup past")
    assert "hcctl resume --due --ping" in host.findings()[-1]["fix"]
    assert run_hcctl(host.tmp_path, "resume", "--due", "--ping", env=host.env).returncode == 0
    host.expect("checks warning 1 app")


def test_a_place_for_a_journal_that_systemd_makes(host: Host) -> None:
    host.passwd("app:77:/nonexistent")
    timers(host)
    override = f"{SYSTEMD}/hcrun-job@backup.service.d/user.conf"
    found = [
        "this host error hcrun-job@backup.timer: HEALTHCHECKS_PING_URL",
        "this host error 1 check backup hcrun-job@backup.timer",
    ]
    host.write(override, "[Service]\nUser=app\n")
    host.expect(*found, "journal warning app")
    host.write(override, "[Service]\nUser=app\nStateDirectory=app:of-app other\n")
    shutil.copytree(host.journal.parent, host.root / "var/lib/app")
    host.expect(*found)
    assert f"{host.root}/var/lib/app/journal.db: 1 run" in host.doctor()[1]


def test_results_that_were_not_delivered(host: Host) -> None:
    gone = host.stub.add_check("gone", channels={host.stub.channels[0].id})
    host.stub.checks.remove(gone)
    run_hcrun(host.tmp_path, "gone", "--", "true", stub=host.stub, env=host.env)
    host.stub.go_down()
    once = host.env | {"HEALTHCHECKS_RETRY_COUNT": "1"}
    run_hcrun(host.tmp_path, "--no-start", "backup", "--", "true", stub=host.stub, env=once)
    host.stub.come_back()
    host.expect("journal note 1 result", "journal warning gone")


# The installation


def test_not_byte_compiled(host: Host) -> None:
    host.expect("installation warning modules", PYTHONPYCACHEPREFIX="/nowhere")


# The command line


def test_help(tmp_path: Path) -> None:
    assert "--root" not in run_hcctl(tmp_path, "doctor", "--help").stdout
