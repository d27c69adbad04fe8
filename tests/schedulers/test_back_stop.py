"""The shell of hcrun-failed@.service: what it reports, and when. systemd runs it in
test_schedulers.py."""

import re
import subprocess
from pathlib import Path

import pytest

from hcrun.schedulers import systemd_templates
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import environment

FAILED = systemd_templates.render("/opt/hcrun/bin/hcrun", "/bin")["hcrun-failed@.service"]
[SCRIPT] = re.findall(r"^ExecStart=/bin/sh -c '(.*)' sh %i$", FAILED, re.M | re.S)
for escaped, plain in (("\\\n", " "), ("\\\\", "\\"), ("$$", "$"), ("%%", "%")):
    SCRIPT = SCRIPT.replace(escaped, plain)  # as systemd hands it to sh


class BackStop:
    """One check on the stub, and the reports on it."""

    def __init__(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        self.stub = stub
        self.check = stub.add_check("clean-up")
        self.environ = environment(tmp_path) | {"HEALTHCHECKS_PING_URL": stub.ping_url + "/"}
        del self.environ["HEALTHCHECKS_ENABLED"]

    def run(
        self, how: str = "exit-code exited 203", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        names = ("MONITOR_SERVICE_RESULT", "MONITOR_EXIT_CODE", "MONITOR_EXIT_STATUS")
        monitor = dict(zip(names, how.split(), strict=False)) | {"MONITOR_UNIT": "some.service"}
        return subprocess.run(
            ["/bin/sh", "-c", SCRIPT, "sh", "clean-up"],
            env=self.environ | monitor | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def reports(self, how: str = "exit-code exited 203", **environ: str) -> bool:
        """Whether the check has a failure then; all else must be well."""
        done = self.run(how, **environ)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        kinds = [ping.kind for ping in self.check.pings]
        assert kinds in ([], ["fail"])
        return bool(kinds)


@pytest.fixture
def stop(tmp_path: Path, stub: HealthchecksStub) -> BackStop:
    return BackStop(tmp_path, stub)


@pytest.mark.parametrize(
    ("how", "reports"),
    [
        ("exit-code exited 203", True),
        ("exit-code exited 217", True),
        ("exit-code exited 243", True),
        ("exit-code exited 125", True),
        ("signal killed KILL", True),
        ("oom-kill killed KILL", True),
        ("core-dump dumped SEGV", True),
        ("timeout killed KILL", True),
        ("start-limit-hit", True),
        ("resources", True),
        ("exit-code exited 1", False),
        ("exit-code exited 2", False),
        ("exit-code exited 25", False),
        ("exit-code exited 124", False),
        ("exit-code exited 255", False),
        ("timeout exited 143", False),
        ("", False),
    ],
)
def test_when(stop: BackStop, how: str, reports: bool) -> None:
    assert stop.reports(how, HEALTHCHECKS_PING_KEY=stop.stub.ping_key) == reports


@pytest.mark.parametrize(
    "environ",
    [
        {"HEALTHCHECKS_PING_KEY": "{key}"},
        {"HEALTHCHECKS_PING_KEY_FILE": "{file}", "HEALTHCHECKS_PING_KEY": "wrong"},
        {"CREDENTIALS_DIRECTORY": "{directory}", "HEALTHCHECKS_PING_KEY_FILE": "/nowhere"},
        {"HC_CHECK_CLEAN_UP": "{uuid}", "HEALTHCHECKS_PING_KEY": "wrong"},
        {"HC_CHECK_CLEAN_UP": "{UUID}"},
        {"HC_CHECK_CLEAN_UP": "{url}/", "HEALTHCHECKS_PING_URL": "http://127.0.0.1:1"},
        {"HC_CHECK_CLEAN_UP": " {url} "},
    ],
)
def test_where(stop: BackStop, tmp_path: Path, environ: dict[str, str]) -> None:
    file = tmp_path / "healthchecks_ping_key"
    file.write_text(f"{stop.stub.ping_key}\n")
    uuid = stop.check.uuid
    values = {
        "key": stop.stub.ping_key,
        "file": str(file),
        "directory": str(tmp_path),
        "uuid": uuid,
        "UUID": uuid.upper(),
        "url": f"{stop.stub.ping_url}/{uuid}",
    }
    assert stop.reports(**{name: text.format(**values) for name, text in environ.items()})
    assert stop.check.pings[0].body.decode() == (
        "hcrun failed, or its command has that status: result exit-code, exited 203;"
        " see journalctl -u some.service"
    )


@pytest.mark.parametrize(
    "lines",
    [
        "HEALTHCHECKS_PING_URL={base}\nHEALTHCHECKS_PING_KEY={key}  # of the project\n",
        'export HEALTHCHECKS_HOST="{host}"\r\nHC_CHECK_CLEAN_UP=\'{uuid}\' # "\r\n',
        "HEALTHCHECKS_HOST={host}\nHEALTHCHECKS_PING_KEY_FILE={file}\n",
        "HEALTHCHECKS_HOST={host}\nHC_CHECK_CLEAN_UP=wrong\nHC_CHECK_CLEAN_UP={uuid}",
    ],
)
def test_settings_of_the_env_file(stop: BackStop, tmp_path: Path, lines: str) -> None:
    """systemd reads its lines differently."""
    assert "EnvironmentFile" not in FAILED
    del stop.environ["HEALTHCHECKS_PING_URL"]
    key, env_file = tmp_path / "key", tmp_path / "hcrun.env"
    key.write_text(f"{stop.stub.ping_key}\n")
    host = stop.stub.ping_url.removesuffix("/ping")
    values = {"base": stop.stub.ping_url, "host": host, "key": stop.stub.ping_key, "file": key}
    env_file.write_text(lines.format(uuid=stop.check.uuid, **values))
    assert stop.reports(HCRUN_ENV_FILE=str(env_file))


@pytest.mark.parametrize("word", ["false", "False", "no", "off", "0"])
def test_when_pings_are_off(stop: BackStop, word: str) -> None:
    key = stop.stub.ping_key
    assert not stop.reports(HEALTHCHECKS_ENABLED=word, HEALTHCHECKS_PING_KEY=key)


def test_a_failed_report_is_an_error(stop: BackStop) -> None:
    """It does not show the URL."""
    done = stop.run()
    message = "HEALTHCHECKS_PING_KEY is not set: failure not reported\n"
    assert (done.returncode, done.stdout) == (1, message)
    done = stop.run(HEALTHCHECKS_PING_KEY="unknown")
    message = "curl: (22) The requested URL returned error: 404\n"
    assert (done.returncode, done.stdout, done.stderr) == (22, "", message)
