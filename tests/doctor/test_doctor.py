"""`hcctl doctor` at a host of which everything is in order, and with one thing broken at a time."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import sqlite3
import time
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
command = "probe-redis"

[checks.app]
every = "5m"
grace = "1h"
"""
CRONTAB = """\
PATH=/usr/local/bin:/usr/bin:/bin
HCRUN_ENV_FILE=/etc/hcrun/app.env
0 2 * * * root hcrun backup -- true
* * * * * root hcrun redis -- probe-redis
* * * * * root sleep 30; hcrun --no-start redis -- probe-redis
"""
SYSTEMD = "etc/systemd/system"


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

    @property
    def root(self) -> Path:
        return self.tmp_path / "root"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self, slug: str) -> Check:
        return self.stub.by_slug(slug)

    def ping(self, slug: str) -> None:
        assert run_hcctl(self.tmp_path, "ping", slug, env=self.env).returncode == 0

    @property
    def env_file(self) -> Path:
        return self.tmp_path / "hcrun.env"

    def doctor(self, *arguments: str, **env: str) -> tuple[int, str]:
        """With its settings in the env file, and `env` in the environment."""
        catalog = self.tmp_path / "checks.toml"
        self.env_file.touch(0o600)
        self.env_file.write_text("".join(f"{n}={v}\n" for n, v in self.env.items()))
        done = run_hcctl(
            self.tmp_path,
            *("doctor", "--catalog", str(catalog), "--root", str(self.root), *arguments),
            env={"HCRUN_ENV_FILE": str(self.env_file), "HEALTHCHECKS_ENABLED": ""} | env,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    def findings(self, **env: str) -> tuple[int, list[str]]:
        """Exit status; and room, severity and what of each finding that is not ok."""
        status, text = self.doctor("--json", **env)
        said = json.loads(text)
        found = [one for one in said["findings"] if one["severity"] != "ok"]
        for one in found:
            if one["severity"] in ("warning", "error"):
                assert one["why"]
                assert one["fix"]
        return status, [f"{one['room']}: {one['severity']}: {one['what']}" for one in found]


@pytest.fixture
def host(tmp_path: Path, stub: HealthchecksStub) -> Host:
    (tmp_path / "checks.toml").write_text(CATALOG)
    env = {
        "HEALTHCHECKS_PING_URL": stub.ping_url,
        "HEALTHCHECKS_API_URL": stub.api_url,
        "HEALTHCHECKS_PING_KEY": stub.ping_key,
        "HEALTHCHECKS_API_KEY": stub.api_key,
        "HEALTHCHECKS_READ_KEY": stub.read_key,
        "HEALTHCHECKS_METRICS_KEY": stub.metrics_key,
    }
    host = Host(tmp_path, stub, env)
    host.write("usr/local/bin/hcrun", "#!/bin/sh\n")
    (host.root / "usr/local/bin/hcrun").chmod(0o755)
    host.write("etc/cron.d/app", CRONTAB)
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
    journal = host.tmp_path / "state/journal.db"
    catalog = host.tmp_path / "checks.toml"
    lines = text.splitlines()
    assert lines[:2] == ["settings", f"  ok       6 settings, {host.env_file}"]
    assert [line.split() for line in lines[2:8]] == [
        [name, value, str(host.env_file)]
        for name, value in [
            ("HEALTHCHECKS_API_KEY", "(secret)"),
            ("HEALTHCHECKS_API_URL", host.stub.api_url),
            ("HEALTHCHECKS_METRICS_KEY", "(secret)"),
            ("HEALTHCHECKS_PING_KEY", "(secret)"),
            ("HEALTHCHECKS_PING_URL", host.stub.ping_url),
            ("HEALTHCHECKS_READ_KEY", "(secret)"),
        ]
    ]
    assert lines[8:22] == [
        "server",
        f"  ok       {host.stub.ping_url} takes pings",
        "  ok       the API key is right; 3 checks in its project",
        "  ok       the read-only key is right",
        "  ok       the ping key is right",
        "  ok       no alert is overdue",
        "  ok       alerts are sent",
        "  ok       this host and the server agree on the time",
        "checks",
        f"  ok       all 3 checks of {catalog} are on the server",
        "this host",
        "  ok       3 lines and timers with hcrun",
        "  ok       cron's time zone, UTC, is that of its checks",
        "journal",
    ]
    assert lines[22].startswith(f"  ok       {journal}: 1 run, ")
    assert lines[23] == "installation"
    assert lines[24].endswith(" modules, all byte-compiled")
    assert lines[25:] == ["nothing is wrong"]
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
    said = json.loads(text)
    assert status == 2
    assert (said["errors"], said["warnings"]) == (1, 0)
    assert said["settings"][1] == {
        "name": "HEALTHCHECKS_API_URL",
        "value": host.stub.api_url,
        "source": str(host.env_file),
    }
    (found,) = (one for one in said["findings"] if one["severity"] == "error")
    assert found == {
        "section": "server",
        "severity": "error",
        "what": f"metrics: {host.stub.api_url} the server does not accept the metrics key",
        "why": "hcctl sync, status, report and doctor learn from it what the server knows",
        "fix": "look at HEALTHCHECKS_METRICS_KEY, and METRICS_KEY of the server",
    }


def test_a_finding_says_why_and_what_mends_it(host: Host) -> None:
    host.stub.checks.remove(host.check("app"))
    status, text = host.doctor()
    assert status == 2
    assert (
        f"checks\n  error    1 of 3 checks of {host.tmp_path}/checks.toml are not on the server:"
        " app\n"
        "           their jobs answer 404, and nobody is alerted when they do not run\n"
        "           -> hcctl sync\n"
    ) in text
    assert text.endswith("\n1 error\n")


# A server that is not there, or only in part


def test_nothing_is_set(host: Host) -> None:
    """The embedded use: no server, no catalogue of one's own, no cron. Nothing is wrong with it."""
    shutil.rmtree(host.root)
    host.env = {}
    env = {"HEALTHCHECKS_ENABLED": ""}
    done = run_hcctl(host.tmp_path, "doctor", "--root", str(host.root), env=env)
    assert done.returncode == 0
    assert "  note     nothing is set\n" in done.stdout
    assert "  note     no server is set\n" in done.stdout
    assert done.stdout.endswith("nothing is wrong\n")


def test_the_server_is_down(host: Host) -> None:
    host.stub.go_down()
    address = host.stub.ping_url.split("/")[2]
    status, found = host.findings()
    assert status == 2
    assert found == [
        f"server: error: {host.stub.ping_url} cannot be reached: {address}: Connection refused",
        f"server: error: API key: {host.stub.api_url} cannot be reached: Connection refused",
        "server: note: the server's clock cannot be known",
        "checks: note: the server did not tell of its checks",
    ]


def test_a_server_that_hangs_does_not_hang_the_doctor(host: Host) -> None:
    host.stub.fault = Fault(hangs)
    started = time.monotonic()
    status, found = host.findings()
    assert time.monotonic() - started < 10 + PATIENCE
    assert status == 2
    assert f"server: error: {host.stub.ping_url} cannot be reached: no answer in time" in found


def test_a_slow_server_is_waited_for(host: Host) -> None:
    host.stub.fault = Fault(delays(0.2))
    assert host.findings() == (0, [])


def test_read_only_key_alone(host: Host) -> None:
    del host.env["HEALTHCHECKS_API_KEY"]
    status, found = host.findings()
    assert (status, found) == (0, ["checks: note: channels are not shown to a read-only key"])


@pytest.mark.parametrize("address", ["HEALTHCHECKS_API_URL", "HEALTHCHECKS_API_KEY"])
def test_without_keys(address: str, host: Host) -> None:
    """A host that only pings, with or without the address of the API."""
    for name in {address, *(f"HEALTHCHECKS_{kind}_KEY" for kind in ("API", "READ", "METRICS"))}:
        del host.env[name]
    status, found = host.findings()
    assert status == 0
    assert found == [
        "server: note: no API key",
        "server: note: no metrics key",
        "server: note: the server's clock cannot be known",
        "checks: note: the server did not tell of its checks",
    ]


def test_without_ping_key(host: Host) -> None:
    host.env["HC_CHECK_BACKUP"] = host.check("backup").uuid
    host.env["HEALTHCHECKS_PING_KEY"] = ""
    assert host.findings() == (0, [])
    host.env["HC_CHECK_BACKUP"] = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
    assert host.findings() == (
        2,
        ["server: error: no check has the UUID in HC_CHECK_* of backup"],
    )
    host.env["HC_CHECK_BACKUP"] = "no-uuid"
    status, found = host.findings()
    assert status == 1
    assert found[0].startswith("settings: warning: HC_CHECK_BACKUP: is neither a UUID nor a ping")


def test_keys_are_not_sent_to_the_hosted_server(host: Host) -> None:
    """Which is asked when there is no address."""
    del host.env["HEALTHCHECKS_API_URL"]
    status, found = host.findings()
    assert status == 2
    assert found == [
        f"server: error: pings go to {host.stub.ping_url}, and HEALTHCHECKS_API_URL is not set",
        "server: note: the server's clock cannot be known",
        "checks: note: the server did not tell of its checks",
    ]
    assert f"-> set HEALTHCHECKS_API_URL={host.stub.api_url}\n" in host.doctor()[1]


def test_enabled_is_false(host: Host) -> None:
    status, found = host.findings(HEALTHCHECKS_ENABLED="false")
    assert status == 1
    assert found[:2] == [
        "settings: warning: HEALTHCHECKS_ENABLED is false",
        "server: note: the server is not asked, as HEALTHCHECKS_ENABLED is false",
    ]
    assert not [request for request in host.stub.requests if "doctor" in request.target]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (
            {"HEALTHCHECKS_PING_KEY": "x" * 22},
            "server: error: the ping key is of another project than the API key, or of none",
        ),
        (
            {"HEALTHCHECKS_API_KEY": "hcw_" + "x" * 28},
            "server: error: API key: {api} does not accept the API key",
        ),
        (
            {"HEALTHCHECKS_READ_KEY": "hcr_" + "x" * 28},
            "server: error: read-only key: {api} does not accept the API key",
        ),
        (
            {"HEALTHCHECKS_API_URL": "http://{host}/wrong"},
            "server: error: API key: http://{host}/wrong/api/v3 has no such check",
        ),
        (
            {"HEALTHCHECKS_PING_URL": "http://{host}/wrong/page/here"},
            "server: error: http://{host}/wrong/page/here takes no pings: it answers 404",
        ),
        (
            {"HEALTHCHECKS_PING_URL": "hc.example.com/ping"},
            "server: error: HEALTHCHECKS_PING_URL is no http(s) URL",
        ),
        (
            {"HEALTHCHECKS_PINGKEY": "x"},
            "settings: warning: HEALTHCHECKS_PINGKEY is no setting of hcrun",
        ),
        (
            {"HEALTHCHECKS_RETRY_COUNT": "many"},
            (
                "settings: warning: HEALTHCHECKS_RETRY_COUNT: 'many' is not a whole number of 1 or"
                " more; using 3"
            ),
        ),
        (
            {"HEALTHCHECKS_API_KEY_FILE": "/nowhere"},
            (
                "settings: warning: HEALTHCHECKS_API_KEY_FILE: /nowhere: No such file or directory;"
                " check the path and who may read it"
            ),
        ),
    ],
)
def test_settings_that_are_wrong(env: dict[str, str], expected: str, host: Host) -> None:
    words = {"host": host.stub.ping_url.split("/")[2], "api": host.stub.api_url}
    status, found = host.findings(**{name: text.format(**words) for name, text in env.items()})
    assert status == (2 if "error" in expected else 1)
    assert expected.format(**words) in found


def test_keys_in_a_file_that_all_can_read(host: Host) -> None:
    path = host.env_file
    path.touch()
    path.chmod(0o644)
    assert host.findings() == (1, [f"settings: warning: everybody can read {path}"])
    shown = [line.split() for line in host.doctor()[1].splitlines()]
    assert ["HEALTHCHECKS_PING_KEY", "(secret)", str(path)] in shown
    path.chmod(0o640)
    assert host.findings() == (0, [])


def test_alerts_are_not_sent(host: Host) -> None:
    host.stub.unsent_alerts = 3
    status, found = host.findings()
    assert (status, found) == (2, ["server: error: 3 changes of which nobody was told"])


def test_an_alert_is_overdue(host: Host) -> None:
    """It is down, and still expects its ping: nobody marked it."""
    host.check("app").last_ping = time.monotonic() - 300 - 3600 - 130
    status, found = host.findings()
    assert status == 2
    assert found[0].startswith("server: error: 1 alert overdue, that of app by 2 min ")


def test_clock_by_the_metrics(host: Host) -> None:
    numbers = {"ts": int(time.time()) + 7230, "num_unprocessed_flips": 0}
    host.stub.fault = Fault(answers(200, json.dumps(numbers)), only="/metrics/")
    status, found = host.findings()
    assert status == 2
    assert found[0].startswith("server: error: this host's clock is 2 h behind the server's (")


def test_the_server_calls_itself_otherwise(host: Host) -> None:
    ours = host.stub.ping_url
    theirs = host.stub.ping_url = "https://hc.example.com/ping"
    what = f"the server calls itself {theirs}, and is pinged over loopback"
    assert host.findings() == (0, [f"server: note: {what}"])
    theirs = host.stub.ping_url = ours.replace("/ping", "/hc/ping")
    what = f"the server takes pings at {theirs}, and they go to {ours}"
    assert host.findings() == (2, [f"server: error: {what}"])


def test_a_host_that_the_server_refuses(host: Host) -> None:
    host.stub.allowed_hosts = {"hc.example.com"}
    status, found = host.findings()
    assert status == 2
    name = f"the server of {host.stub.ping_url} does not know itself by that name"
    assert f"server: error: {name}" in found


# Checks


def test_checks(host: Host) -> None:
    host.check("redis").pause()
    host.check("app").stored_status = "new"
    host.check("app").pings.clear()
    host.check("backup").filter_http_body = True
    host.check("backup").failure_kw = "ERROR"
    host.check("backup").channels.clear()
    host.stub.add_check("backup", channels={host.stub.channels[0].id})
    status, found = host.findings()
    assert status == 2
    assert found == [
        "checks: error: several checks have the slug backup",
        "checks: warning: 2 checks never pinged: app, backup",
        "checks: note: 1 check paused until the next ping: redis",
        "checks: warning: backup filters by body keywords (ERROR)",
        "checks: warning: 1 check without a channel: backup",
    ]


def test_checks_that_drifted(host: Host) -> None:
    """The server would alert when the catalogue says that all is well, or nobody of importance."""
    host.check("backup").tz = "Europe/Riga"
    host.check("redis").grace = 60
    host.check("app").desc = "what it is called is nobody's alarm"
    expected = "checks: warning: 2 checks not as in the catalogue: backup, redis"
    assert host.findings() == (1, [expected])
    host.stub.add_channel("pager", "pd")
    host.check("app").channels = {host.stub.channels[1].id}
    assert host.findings() == (1, [expected.replace("2", "3") + ", app"])
    host.env["HEALTHCHECKS_API_KEY"] = ""
    assert host.findings() == (
        1,
        ["checks: note: channels are not shown to a read-only key", expected],
    )


def test_grace_is_shorter_than_the_longest_run(host: Host) -> None:
    host.check("backup").grace = 1
    run_hcrun(host.tmp_path, "backup", "--", "sleep", "1.2", stub=host.stub, env=host.env)
    status, found = host.findings()
    assert status == 1
    assert [line.partition(", and took 1.")[0] for line in found] == [
        "checks: warning: backup has a grace of 1 s",
        "checks: warning: 1 check not as in the catalogue: backup",
    ]
    assert "raise grace in" in host.doctor()[1]
    assert "checks.toml line 11, then hcctl sync\n" in host.doctor()[1]


def test_no_channels(host: Host) -> None:
    host.stub.channels.clear()
    assert host.findings() == (2, ["checks: error: the project has no channels"])
    host.stub.add_channel("mail to the team")
    assert host.findings() == (2, ["checks: error: the server has no channel email (email)"])


def test_a_catalogue_that_is_wrong(host: Host) -> None:
    (host.tmp_path / "checks.toml").write_text("[checks.backup]\nevery = 5\n")
    status, found = host.findings()
    assert status == 2
    assert found[0].startswith(f"checks: error: {host.tmp_path}/checks.toml")
    host.check("app").stored_status = "new"
    host.check("app").pings.clear()
    assert "checks: warning: 1 check never pinged: app" in host.findings()[1]


def test_settings_that_cannot_be_printed(host: Host) -> None:
    status, text = host.doctor(HEALTHCHECKS_CHECK_TIMEOUT="\udcff\x1b[31m5s", LC_ALL="C.UTF-8")
    assert status == 1
    assert "HEALTHCHECKS_CHECK_TIMEOUT  \ufffd5s  " in text


def test_a_thousand_checks(host: Host) -> None:
    channel = host.stub.channels[0].id
    for number in range(1000):
        host.stub.add_check(f"job-{number}", channels={channel})
    status, found = host.findings()
    names = "job-0, job-1, job-2, job-3, job-4 and 995 more"
    assert (status, found) == (1, [f"checks: warning: 1,000 checks never pinged: {names}"])


# This host


def test_crontabs(host: Host) -> None:
    host.write("etc/cron.d/app.bak", CRONTAB)
    host.write(
        "etc/cron.d/other",
        "HCRUN_ENV_FILE=/etc/hcrun/app.env\n*/5 * * * * root hcrun gone -- true\n"
        "*/5 * * * * root /opt/venv/bin/hcrun backup -- true\n"
        "*/5 * * * * root /usr/local/bin/hcrun --retry backup -- true\n"
        "0 4 * * * root /usr/bin/cleanup\n",
    )
    host.write("var/spool/cron/crontabs/app", "1 * * * * x\n0 5 0 * * y\n")
    status, found = host.findings()
    assert status == 2
    assert found == [
        (
            "this host: error: cron ignores /etc/cron.d/app.bak: its name has other characters than"
            " letters, digits, - and _"
        ),
        (
            "this host: warning: cron ignores /var/spool/cron/crontabs/app: line 2: bad day of"
            " month: '0' is not within 1-31"
        ),
        found[2],
        "this host: error: /etc/cron.d/other line 2: there is no hcrun",
        "this host: error: /etc/cron.d/other line 3: there is no /opt/venv/bin/hcrun",
        "this host: error: /etc/cron.d/other line 2: the server has no check gone",
        (
            "this host: note: 2 lines and timers that nobody watches: /etc/cron.d/other line 5,"
            " /var/spool/cron/crontabs/app line 1"
        ),
    ]
    assert found[2].startswith("this host: error: /etc/cron.d/other line 4: ")
    assert "--retry" in found[2]


def test_users_of_crontabs(host: Host) -> None:
    """One that is not there is the end of the whole file; one that may not read, of its pings."""
    host.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    host.write("etc/cron.d/app", CRONTAB.replace("root sleep", "app sleep"))
    status, found = host.findings()
    assert (status, found) == (
        2,
        ["this host: error: cron ignores /etc/cron.d/app: line 5: there is no user app"],
    )
    host.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:77:77::/home:/bin/sh\n")
    (host.root / "home").mkdir()
    os.chown(host.root / "home", 77, 77)
    status, found = host.findings()
    assert (status, found) == (
        1,
        [f"this host: warning: {host.env_file} cannot be read by app"],
    )


def test_settings_of_this_shell_only(host: Host) -> None:
    del host.env["HEALTHCHECKS_PING_KEY"]
    crontab = CRONTAB.replace("HCRUN_ENV_FILE=/etc/hcrun/app.env\n", "")
    host.write("etc/cron.d/app", crontab)
    status, found = host.findings(HEALTHCHECKS_PING_KEY=host.stub.ping_key)
    assert (status, found) == (
        1,
        [
            (
                "this host: warning: HCRUN_ENV_FILE, HEALTHCHECKS_PING_KEY only set in this shell,"
                " not for /etc/cron.d/app line 2, /etc/cron.d/app line 3, /etc/cron.d/app line 4"
            )
        ],
    )


def test_files_that_are_no_crontabs(host: Host) -> None:
    """None keeps the doctor waiting, and nothing in them gets to the terminal as it is."""
    directory = host.root / "etc/cron.d"
    os.mkfifo(directory / "fifo")
    (directory / "directory").mkdir()
    (directory / "nowhere").symlink_to("/nowhere")
    (directory / "zero").symlink_to("/dev/zero")
    (directory / "binary").write_bytes(bytes(range(256)) * 100)
    line = b"HCRUN_ENV_FILE=/x\n0 2 * * * root /opt/\xff\x1b[31mred/hcrun backup -- true\n"
    Path(os.fsdecode(os.fsencode(directory) + b"/na\xffme")).write_bytes(line)
    assert host.findings(LC_ALL="C.UTF-8") == (
        2,
        [
            "this host: warning: cron ignores /etc/cron.d/binary: line 1: 1 fields instead of 5",
            (
                "this host: error: cron ignores /etc/cron.d/na\ufffdme: its name has other"
                " characters than letters, digits, - and _"
            ),
            "this host: error: /etc/cron.d/na\ufffdme line 2: there is no /opt/\ufffdred/hcrun",
        ],
    )
    assert "there is no /opt/\ufffdred/hcrun\n" in host.doctor(LC_ALL="C.UTF-8")[1]


def test_a_crontab_that_others_can_write(host: Host) -> None:
    (host.root / "etc/cron.d/app").chmod(0o664)
    assert host.findings() == (
        2,
        ["this host: error: cron ignores /etc/cron.d/app: others than root can write it"],
    )
    (host.root / "etc/cron.d/app").chmod(0o644)
    os.chown(host.root / "etc/cron.d/app", 12345, 12345)
    assert host.findings() == (
        2,
        ["this host: error: cron ignores /etc/cron.d/app: it does not belong to root"],
    )


def test_checks_that_nothing_runs(host: Host) -> None:
    (host.root / "etc/cron.d/app").unlink()
    host.check("backup").stored_status = "down"
    status, found = host.findings()
    assert (status, found) == (
        1,
        ["this host: warning: 1 check that no line and no timer here runs: backup"],
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [("etc/default/cron", 'TZ="Europe/Riga"\n'), ("etc/timezone", "Europe/Riga\n")],
)
def test_zone_of_cron(name: str, text: str, host: Host) -> None:
    (host.root / "etc/localtime").unlink()
    host.write(name, text)
    status, found = host.findings()
    assert (status, found) == (
        2,
        ["this host: error: cron runs in Europe/Riga, and expects in UTC: backup"],
    )


def test_zone_of_cron_is_not_known(host: Host) -> None:
    (host.root / "etc/localtime").unlink()
    assert host.findings() == (0, ["this host: note: the time zone of cron cannot be known"])
    host.write("etc/timezone", "Mars/Base\n")
    assert host.findings() == (
        0,
        ["this host: note: the time zone of cron cannot be known: 'Mars/Base'"],
    )


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
    host.write("etc/cron.d/app", CRONTAB.replace("0 2 * * * root hcrun backup -- true\n", ""))
    timers(host)
    assert host.findings() == (0, [])
    host.write(f"{SYSTEMD}/tidy.timer", "[Timer]\nOnCalendar=daily\nUnit=tidy-up.service\n")
    host.write(f"{SYSTEMD}/tidy-up.service", "[Service]\nExecStart=-/usr/bin/tidy --all\n")
    host.write(f"{SYSTEMD}/timers.target.wants/tidy.timer", "")
    status, found = host.findings()
    assert (status, found) == (
        0,
        ["this host: note: 1 line and timers that nobody watches: tidy.timer"],
    )


def test_timers_that_are_not_enabled_or_a_second_scheduler(host: Host) -> None:
    timers(host, enabled=False)
    status, found = host.findings()
    assert status == 2
    assert found == [
        "this host: error: 1 timer not enabled: hcrun-job@backup.timer",
        "this host: error: 1 check run by a crontab line and by a timer: backup",
    ]


# The journal


def test_journal_is_damaged(host: Host) -> None:
    path = host.tmp_path / "state/journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))
    status, found = host.findings()
    assert (status, found) == (2, [f"journal: error: {path} is damaged"])
    path.write_bytes(b"no database" * 1000)
    assert host.findings() == (2, [f"journal: error: {path} is damaged"])
    assert path.exists(), "looking sets nothing aside"


def test_journal_without_a_run(host: Host) -> None:
    for path in (host.tmp_path / "state").iterdir():
        path.unlink()
    assert host.findings() == (0, ["journal: note: there is no journal yet"])
    (host.tmp_path / "state/journal.db").touch(0o600)
    assert host.findings() == (0, [])


def test_journal_of_somebody_else(host: Host) -> None:
    """Root looks at it as it is; files of two owners are what nobody can write."""
    path = host.tmp_path / "state/journal.db"
    for one in path.parent.iterdir():
        os.chown(one, 12345, 12345)
    assert host.findings() == (0, [])
    Path(f"{path}-wal").touch()
    os.chown(f"{path}-wal", 0, 0)
    status, found = host.findings()
    assert (status, found) == (
        2,
        [f"journal: error: {path}-wal: of another owner than the journal itself"],
    )


def test_journals_of_those_who_run_the_jobs(host: Host) -> None:
    """Root looks for them where cron's and systemd's users have them."""
    own = host.tmp_path / "state"
    cron, systemd = "home/app/.local/state/hcrun", "var/lib/hcrun-hcrun/.local/state/hcrun"
    for place in (cron, systemd):
        shutil.copytree(own, host.root / place)
    with closing(sqlite3.connect(host.root / systemd / "journal.db")) as db, db:
        db.execute("UPDATE runs SET duration = 7200")
    host.write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nhcrun:x:66:66::/nowhere:/bin/sh\n"
        "app:x:77:77::/home/app:/bin/sh\n",
    )
    host.write("etc/cron.d/app", "PATH=/usr/local/bin\n* * * * * app hcrun redis -- probe-redis\n")
    timers(host)
    text = "[Service]\nUser=hcrun\nEnvironment=STATE_DIRECTORY=%S/hcrun-hcrun/.local/state/hcrun\n"
    host.write(f"{SYSTEMD}/hcrun-job@backup.service.d/user.conf", text)
    os.chown(host.root / "home/app", 77, 77)
    for path in ((host.root / cron), *(host.root / cron).iterdir()):
        os.chown(path, 77, 77)
    host.env_file.touch()
    os.chown(host.env_file, 77, 77)
    _, text = host.doctor()
    seen = [line.split()[1] for line in text.splitlines() if "journal.db: 1 run" in line]
    assert seen == [
        f"{place}/journal.db:" for place in (own, host.root / cron, host.root / systemd)
    ]
    assert "warning  backup has a grace of 1 h, and took 2 h" in text


def test_no_place_for_a_journal(host: Host) -> None:
    """As www-data, whose home is root's: cron throws away what hcrun says of that."""
    host.write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
    )
    host.write("var/www/index.html", "")
    host.write("etc/cron.d/app", CRONTAB.replace("root hcrun redis", "www-data hcrun redis"))
    place = host.root / "var/www/.local/state/hcrun"
    expected = f"journal: warning: www-data can neither write nor make {place}"
    assert expected in host.findings()[1]
    place.mkdir(mode=0o700, parents=True)
    os.chown(place, 33, 33)
    assert expected not in host.findings()[1]
    place.parent.chmod(0o700)
    assert expected in host.findings()[1]


def test_a_place_for_a_journal_that_systemd_makes(host: Host) -> None:
    host.write("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:77:77::/nonexistent:/bin/sh\n")
    timers(host)
    override = f"{SYSTEMD}/hcrun-job@backup.service.d/user.conf"
    host.write(override, "[Service]\nUser=app\n")
    assert any("app can neither write nor make" in finding for finding in host.findings()[1])
    host.write(override, "[Service]\nUser=app\nStateDirectory=app:of-app other\n")
    shutil.copytree(host.tmp_path / "state", host.root / "var/lib/app")
    _, text = host.doctor()
    assert "app can neither write nor make" not in text
    assert f"{host.root}/var/lib/app/journal.db: 1 run" in text


def test_results_that_were_not_delivered(host: Host) -> None:
    gone = host.stub.add_check("gone", channels={host.stub.channels[0].id})
    host.stub.checks.remove(gone)
    run_hcrun(host.tmp_path, "gone", "--", "true", stub=host.stub, env=host.env)
    host.stub.go_down()
    once = host.env | {"HEALTHCHECKS_RETRY_COUNT": "1"}
    run_hcrun(host.tmp_path, "--no-start", "backup", "--", "true", stub=host.stub, env=once)
    host.stub.come_back()
    status, found = host.findings()
    assert status == 1
    waits, refused = found
    assert waits.startswith("journal: note: 1 result not delivered yet, the oldest for ")
    assert refused == "journal: warning: results refused by the server this week, of gone"


def test_journal_that_others_can_read(host: Host) -> None:
    path = host.tmp_path / "state/journal.db"
    path.chmod(0o644)
    assert host.findings() == (1, [f"journal: warning: others can read {path}"])


# The installation


def test_not_byte_compiled(host: Host) -> None:
    status, (found,) = host.findings(PYTHONPYCACHEPREFIX="/nowhere")
    assert status == 1
    assert found.startswith("installation: warning: ")
    assert found.endswith(" modules not byte-compiled")


# The command line


def test_usage(host: Host) -> None:
    done = run_hcctl(host.tmp_path, "doctor", "--bogus")
    assert done.returncode == 2
    assert "Usage: hcctl doctor [OPTIONS]" in done.stderr
    text = run_hcctl(host.tmp_path, "doctor", "--help").stdout
    assert "--root" not in text
    assert "Exit status 0 when nothing is wrong" in " ".join(text.split())
