"""docs/plan.md: each of its commands runs, each check that it names is in the catalogue, and its
settings work as they stand, in hcrun and in compose.yaml."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.ctl.main import main
from hcrun.settings import Settings, parse_env_file
from hcrun.variables import load as variables
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import hcctl_environment, run_hcctl, run_hcrun

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "plan.md").read_text()
[BLOCK] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
COMMANDS = list(dict.fromkeys(re.findall(r"`((?:hcctl|hcrun|probe-[a-z-]+) [^`]+)`", PAGE)))
PROBES = set(re.findall(r"`(probe-[a-z-]+)`", PAGE))
MANAGE = f"{sys.executable} {ROOT / 'tests' / 'servers' / 'manage.py'}"
# No service runs, and a check that `hcctl doctor` looks at has never been pinged.
STATUSES = {"hcctl doctor": (1, 2), "hcctl status": (0, 1), "hcrun --create first -- false": (1,)}
# Other tests may run services at the same time, or none: what it finds is tests/discovery's.
STATUSES |= {"hcctl init own.toml": (0, 1)}
BEFORE = {
    "hcctl resume backup": "hcctl pause --for 30m backup",
    "hcrun first -- true": "hcrun --create first -- false",
}
VERDICT = re.compile(r"[A-Z0-9 -]+ (OK|WARNING|CRITICAL|UNKNOWN) - ")


class Host:
    """Where the shipped catalogue is in use."""

    def __init__(self, path: Path, stub: HealthchecksStub) -> None:
        self.path = path
        self.stub = stub
        self.catalog = shutil.copy(SHIPPED, path / "checks.toml")
        kinds = {"email": "email", "slack": "slack", "pagerduty": "pd", "phone": "call"}
        made = [stub.add_channel(name, kind) for name, kind in kinds.items()]
        program = path / "opt/hcrun/bin/hcrun"
        program.parent.mkdir(parents=True)
        program.symlink_to(BIN / "hcrun")
        stub.add_check("backup")
        stub.add_check("redis")
        there = [
            {"name": one.name, "kind": one.kind, "value": "x", "project": "the project"}
            for one in made
        ]
        (path / "channels.json").write_text(json.dumps(there))
        self.env = hcctl_environment(path, stub) | {
            "HEALTHCHECKS_PING_KEY": stub.ping_key,
            "HEALTHCHECKS_CHECK_TIMEOUT": "2s",
            "HEALTHCHECKS_MANAGE": MANAGE,
            "CHANNELS": str(path / "channels.json"),
            "RIGHT_KEY": stub.api_key,
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command)
        if words[0] == "hcctl":
            words += self._more(words[1:])
        return subprocess.run(
            words,
            cwd=self.path,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _more(self, words: list[str]) -> list[str]:
        found, context = main.get_command(click.Context(main), words[0]), click.Context(main)
        if isinstance(found, click.Group) and words[1:]:
            found = found.get_command(context, words[1])
        assert found, words
        names = {option for one in found.params for option in one.opts}
        more = ["--catalog", str(self.catalog)] if "--catalog" in names else []
        if words[0] == "install":
            more += ["--yes", "--root", str(self.path), "--hcrun", "/opt/hcrun/bin/hcrun"]
        return more


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with HealthchecksStub() as stub:
        host = Host(tmp_path_factory.mktemp("plan"), stub)
        for command in ("hcctl sync", "hcrun backup -- true"):  # `hcctl status` shows what is there
            assert host.run(command).returncode == 0
        yield host


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(command: str, host: Host) -> None:
    if command in BEFORE:
        host.run(BEFORE[command])
    done = host.run(command)
    assert "Traceback" not in done.stderr
    if command.startswith("probe-"):
        assert VERDICT.match(done.stdout), (done.stdout, done.stderr)
        assert done.returncode in (0, 1, 2, 3)
    else:
        statuses = STATUSES.get(command, (0,))
        assert done.returncode in statuses, (done.returncode, done.stdout, done.stderr)


def test_the_probes_of_the_page_are_installed() -> None:
    assert [name for name in PROBES if not (BIN / name).exists()] == []


def test_the_checks_of_the_page_are_in_the_catalogue() -> None:
    slugs = {check.slug for check in load(SHIPPED, Settings({}, {})).checks}
    services = PAGE.partition("## Services")[2].partition("\n## ")[0]
    named = re.findall(r"`([a-z0-9-]+)`", services)
    assert {
        name for name in named if name not in ("no-start",) and not name.startswith("probe-")
    } <= slugs


def test_every_setting_of_the_block_is_known() -> None:
    values, problems = parse_env_file(BLOCK, "block")
    assert (len(values), problems) == (31, [])
    assert values.keys() <= {one.name for one in variables()}
    assert values["HEALTHCHECKS_CHECK_TIMEOUT"] == "30"
    assert values["HEALTHCHECKS_SLACK_CHANNEL"] == "#monitoring"


def test_the_block_as_an_env_file(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Of hcrun, hcctl sync, the bootstrap and doctor; only the server and its keys are others."""
    text = BLOCK.replace("http://healthchecks:8000", stub.ping_url.removesuffix("/ping"))
    text = text.replace("your-project-api-key-here", stub.api_key)
    check = stub.add_check("job")
    for name, kind in (("email", "email"), ("slack", "slack"), ("phone", "call")):
        stub.add_channel(name, kind)
    env_file = tmp_path / "hcrun.env"
    env_file.write_text(f"{text}HC_CHECK_JOB={check.uuid}  # of the job\n")
    env_file.chmod(0o600)
    env = {"HCRUN_ENV_FILE": str(env_file), "HEALTHCHECKS_ENABLED": ""}
    done = run_hcrun(tmp_path, "job", "--", "true", env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [ping.kind for ping in check.pings] == ["start", "success"]
    catalog = shutil.copy(SHIPPED, tmp_path / "checks.toml")
    synced = run_hcctl(tmp_path, "sync", "--catalog", str(catalog), env=env)
    assert (synced.returncode, synced.stderr) == (0, "")  # without a channel for PagerDuty
    assert "35 created, 0 unchanged" in synced.stdout
    script = run_hcctl(tmp_path, "channels", "bootstrap", "--catalog", str(catalog), env=env)
    assert ("HEALTHCHECKS_SLACK_WEBHOOK" in script.stdout, '"kind": "pd"' in script.stdout) == (
        True,
        False,
    )
    report = json.loads(run_hcctl(tmp_path, "doctor", "--json", env=env).stdout)
    rows = {row["name"]: row for row in report["settings"]}
    assert all(row["meaning"] for row in rows.values())
    assert parse_env_file(BLOCK, "")[0].keys() <= rows.keys()
    found = [one for one in report["findings"] if one["section"] == "settings"]
    assert [one for one in found if one["severity"] != "ok"] == []
    assert not any("remove" in one["fix"] for one in report["findings"])


@pytest.mark.parametrize("where", ["environment", "env file"])
def test_what_only_the_server_needs_reaches_no_command(where: str, tmp_path: Path) -> None:
    secrets = "HEALTHCHECKS_SECRET_KEY=s3cret\nHEALTHCHECKS_DB_PASSWORD=s3cret\n"
    env = dict(line.split("=") for line in secrets.split()) | {"HEALTHCHECKS_SITE_NAME": "x"}
    if where == "env file":
        (tmp_path / "hcrun.env").write_text(secrets)
        env = {"HCRUN_ENV_FILE": str(tmp_path / "hcrun.env"), "HEALTHCHECKS_SITE_NAME": "x"}
    done = run_hcrun(tmp_path, "job", "--", "env", env=env)
    assert done.returncode == 0
    assert b"s3cret" not in done.stdout + done.stderr
    assert b"HEALTHCHECKS_SITE_NAME=x\n" in done.stdout


def test_the_block_in_compose(tmp_path: Path) -> None:
    compose = BIN / "docker-compose"
    if not compose.exists():
        pytest.skip("no docker-compose for this machine on PyPI")
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    (tmp_path / ".env").write_text(BLOCK)
    done = subprocess.run(
        [compose, "config", "--format", "json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    composed = json.loads(done.stdout)
    server = composed["services"]["healthchecks"]["environment"]
    values = parse_env_file(BLOCK, "")[0]
    same = [
        "SITE_NAME",
        "REGISTRATION_OPEN",
        "DB_NAME",
        "DB_USER",
        "DB_HOST",
        "DB_PORT",
        "DEFAULT_FROM_EMAIL",
    ]
    same += [f"EMAIL_{name}" for name in ("HOST", "PORT", "USE_TLS", "HOST_USER")]
    same += ["HEALTHCHECKS_SLACK_ENABLED", "HEALTHCHECKS_PAGERDUTY_ENABLED"]
    for name in same:
        assert server[name] == values[f"HEALTHCHECKS_{name.removeprefix('HEALTHCHECKS_')}"]
    assert server["SITE_ROOT"] == values["HEALTHCHECKS_HOST"]
    assert server["ALLOWED_HOSTS"].startswith(values["HEALTHCHECKS_ALLOWED_HOSTS"])
    assert composed["secrets"]["secret_key"]["environment"] == "HEALTHCHECKS_SECRET_KEY"
    assert values["HEALTHCHECKS_SECRET_KEY"] not in done.stdout
    database = composed["services"]["healthchecks-db"]["environment"]
    assert database["POSTGRES_USER"] == values["HEALTHCHECKS_DB_USER"]
