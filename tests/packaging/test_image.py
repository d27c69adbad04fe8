"""The image, built and run in a real Docker engine: `make test-docker`."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.wheels import download
from tests.servers.docker_engine import Engine, engine
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import wait_until

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
IMAGE = "hcrun:test"
NETWORK = "hcrun-test"
COPIED = ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", ".dockerignore")
COPIED_TREES = ("docs", "hcrun", "probes", "scripts")
PASSWORD = "a 'b\" $c #d\\"
CATALOGUE = """
[defaults]
zone = "Asia/Kathmandu"
options = ["--no-start", "--splay", "0.1s"]

[checks.redis]
name = "Redis"
cron = "* * * * *"
grace = "2m"
command = "probe-redis"

[checks.user]
name = "A job"
cron = "* * * * *"
grace = "2m"
command = "sh -c 'id -un; date +%z; env'"
user = "nobody-of-the-image"

[checks.long]
name = "A job that is told to end"
cron = "* * * * *"
grace = "2m"
command = "sh -c 'trap \\"echo told; exit 4\\" TERM; sleep 70 & wait'"
"""
MINUTE = 60 + 20  # seconds until cron has run a line, and hcrun has reported it


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as running:
        yield running


@pytest.fixture(scope="module")
def image(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    context = tmp_path_factory.mktemp("context")
    for name in COPIED:
        shutil.copy(ROOT / name, context)
    for name in COPIED_TREES:
        shutil.copytree(ROOT / name, context / name)
    wheels = context / "dist/wheels"
    wheels.mkdir(parents=True)
    download(wheels)
    offline = ("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/src/dist/wheels")
    build = ("build", "--tag", IMAGE, "--build-arg", "BASE=hcbed:base", *offline)
    docker.run(*build, "--file", context / "scripts/packaging/Dockerfile", context)
    return IMAGE


@pytest.fixture(scope="module")
def server(docker: Engine) -> Iterator[HealthchecksStub]:
    """A server that containers of the network reach at its gateway."""
    docker.run("network", "create", NETWORK)
    template = "{{(index .IPAM.Config 0).Gateway}}"
    gateway = docker.out("network", "inspect", "--format", template, NETWORK)
    with HealthchecksStub(host=gateway) as stub:
        stub.allowed_hosts.add(gateway)
        for slug in ("redis", "user", "long", "adhoc"):
            stub.add_check(slug)
        yield stub


@pytest.fixture(scope="module")
def options(server: HealthchecksStub) -> list[str]:
    """Of `docker run`: the network and the settings."""
    settings = {
        "HEALTHCHECKS_PING_URL": server.ping_url,
        "HEALTHCHECKS_PING_KEY": server.ping_key,
        "REDIS_HOST": "cache",
        "REDIS_PASSWORD": PASSWORD,
    }
    given = [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
    return ["--network", NETWORK, "--volume", "journal:/var/lib/hcrun", *given]


@pytest.fixture(scope="module", autouse=True)
def cron(
    docker: Engine, image: str, options: list[str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The image as a service, beside a Redis: while its first minute passes, other tests run."""
    redis = ("redis-server", "--bind", "0.0.0.0", "--requirepass", PASSWORD)
    docker.run("run", "-d", "--name", "cache", "--network", NETWORK, "hcbed:base", *redis)
    catalogue = tmp_path_factory.mktemp("etc") / "checks.toml"
    catalogue.write_text(CATALOGUE)
    mount = ("--volume", f"{catalogue}:/etc/hcrun/checks.toml:ro")
    return docker.out("run", "-d", "--name", "cron", "--hostname", "box", *mount, *options, image)


def history(docker: Engine, *arguments: str) -> list[dict[str, Any]]:
    done = docker.out("exec", "--user", "hcrun", "cron", "hcctl", "history", "--json", *arguments)
    runs: list[dict[str, Any]] = json.loads(done)
    return runs


def test_one_command(
    docker: Engine, image: str, options: list[str], server: HealthchecksStub
) -> None:
    script = "id -un; echo to stderr >&2; exit 3"
    words = ("hcrun", "adhoc", "--", "sh", "-c", script)
    done = docker.run("run", "--rm", *options, image, *words, check=False)
    assert (done.returncode, done.stdout) == (3, "hcrun\n")
    assert done.stderr.endswith("to stderr\n")
    assert [ping.kind for ping in server.by_slug("adhoc").pings] == ["start", "fail"]
    assert [run["status"] for run in history(docker, "adhoc")] == [3]  # in the volume


def test_what_the_image_has(docker: Engine, image: str) -> None:
    words = ("sh", "-c", "command -v hcctl; probe-kafka --help >/dev/null; hcrun x -- id -u")
    done = docker.run("run", "--rm", "--user", "1234", image, *words)
    assert done.stdout.split() == ["/opt/hcrun/bin/hcctl", "1234"]
    assert "HCRUN_ENV_FILE" not in done.stderr


@pytest.mark.parametrize(
    ("more", "catalogue", "reason"),
    [
        ([], None, "there is no catalogue: mount one, -v ./checks.toml:/etc/hcrun/checks.toml:ro"),
        ([], "[checks.a]\nevry = '1m'\n", "evry"),
        (["--user", "1234"], CATALOGUE, "cron needs root, and runs the jobs as hcrun: omit --user"),
    ],
)
def test_what_does_not_start(
    docker: Engine, image: str, tmp_path: Path, more: list[str], catalogue: str | None, reason: str
) -> None:
    mount: list[str] = []
    if catalogue:
        (tmp_path / "checks.toml").write_text(catalogue)
        mount = ["--volume", f"{tmp_path}/checks.toml:/etc/hcrun/checks.toml"]
    done = docker.run("run", "--rm", *more, *mount, image, check=False)
    assert done.returncode == 1
    assert reason in done.stderr


def test_cron_runs_the_catalogue(docker: Engine, cron: str, server: HealthchecksStub) -> None:
    redis, user = server.by_slug("redis"), server.by_slug("user")
    deadline = time.monotonic() + MINUTE
    while not (redis.pings and user.pings):
        assert time.monotonic() < deadline, docker.logs(cron)
        time.sleep(0.1)
    assert redis.pings[0].kind == "success"
    assert redis.pings[0].body.startswith(b"REDIS OK - cache:6379 ")
    body = user.pings[0].body.decode().splitlines()
    assert {"hcrun", "+0545"} <= set(body)
    assert not [line for line in body if "PASSWORD" in line or "PING_KEY" in line]
    assert " on box, " in user.pings[0].body.decode()
    assert "cron runs the checks of /etc/hcrun/checks.toml, in Asia/Kathmandu" in docker.logs(cron)


def test_it_stops_with_its_jobs(docker: Engine, cron: str, server: HealthchecksStub) -> None:
    """And the journal is on the volume, also of the run that was told to end."""
    processes = "cat /proc/[0-9]*/comm"
    wait_until(lambda: "sleep" in docker.out("exec", cron, "sh", "-c", processes), "the job runs")
    told = time.monotonic()
    docker.run("stop", cron)
    assert time.monotonic() - told < 9
    assert docker.out("inspect", "--format", "{{.State.ExitCode}}", cron) == "0"
    assert server.by_slug("long").pings[-1].kind == "fail"
    assert b"exit status 4" in server.by_slug("long").pings[-1].body
    docker.run("start", cron)
    assert {run["status"] for run in history(docker, "long")} == {4}
    docker.run("stop", cron)
