"""`hcctl init`: what it finds, the files that it leaves, and what it refuses."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.catalog.timezones import host_zone
from hcrun.settings import parse_env_file
from tests.servers.redis import StartRedis, start_redis
from tests.support.command import run_hcctl

__all__ = ["start_redis"]
BIN = Path(sys.executable).parent
PATH = f"{BIN}:{os.environ['PATH']}"
needs_compose = pytest.mark.skipif(
    not (BIN / "docker-compose").exists(), reason="no docker-compose for this machine on PyPI"
)
SHOP = Path(__file__).parents[1] / "data" / "services" / "shop.yaml"


def hcctl(tmp_path: Path, *arguments: str, path: str = PATH) -> tuple[int, str, str]:
    done = run_hcctl(tmp_path, *arguments, env={"PATH": path})
    return done.returncode, done.stdout, done.stderr


def values(path: Path) -> dict[str, str]:
    known, problems = parse_env_file(path.read_text(), str(path))
    assert not problems
    return known


@needs_compose
def test_the_catalogue_of_a_project(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "checks.toml"
    status, output, errors = hcctl(tmp_path, "init", "--compose", str(SHOP), str(file))
    assert status == 0, errors
    assert hcctl(tmp_path, "check", "--catalog", str(file))[0] == 0
    assert not (tmp_path / "state").exists()
    checks = {check.slug: check for check in load(str(file)).checks}
    assert {slug: check.needs for slug, check in checks.items()} == {
        "web": ("cache", "queue"),
        "cache": (),
        "queue": (),
        "store": (),
    }
    assert {check.zone for check in checks.values()} == {host_zone() or "UTC"}
    assert all(check.channels == ("*",) for check in checks.values())
    assert "docker logs --tail 100 shop-cache-1" in checks["cache"].description
    text = file.read_text()
    assert 'ports: ["127.0.0.1:5432:5432"]' in text
    # Two of a kind have an env file each, as the one without a password must not get the other's.
    commands = {slug: check.command for slug, check in checks.items()}
    env = f"HCRUN_ENV_FILE={file.parent}"
    assert commands["cache"][:3] == ("env", f"{env}/cache.env", "probe-redis")
    assert commands["queue"][:3] == ("env", f"{env}/queue.env", "probe-redis")
    assert commands["store"][:3] == ("env", f"{env}/hcrun.env", "probe-minio")
    assert values(file.parent / "queue.env") == {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "6380"}
    assert values(file.parent / "cache.env")["REDIS_PASSWORD"] == "made-up-1"
    assert values(file.parent / "hcrun.env")["S3_SECRET_ACCESS_KEY"] == "'a$b c"
    for name in ("cache.env", "queue.env", "hcrun.env"):
        assert not stat.S_IMODE((file.parent / name).stat().st_mode) & 0o137
    assert sorted(os.listdir(file.parent)) == ["cache.env", "checks.toml", "hcrun.env", "queue.env"]
    assert "made-up" not in text + output + errors
    assert "a$b" not in text + output + errors
    steps = [line.split("  #")[0].strip() for line in output.splitlines() if "  #" in line]
    of = f"--catalog {file}"
    assert steps == [f"hcctl sync {of}", f"hcctl install crontab {of}", f"hcctl status {of}"]
    assert "hidden: no check yet (not-published): " in errors
    assert "not checked: search (no-probe)" in errors
    assert "queue: other hosts can reach it" in errors


@needs_compose
def test_what_is_there_stays(tmp_path: Path) -> None:
    file, env = tmp_path / "checks.toml", tmp_path / "hcrun.env"
    init = ("init", "--compose", str(SHOP), str(file))
    env.write_text("# mine\nHEALTHCHECKS_PING_KEY=made-up-key\nAPI_URL=http://other\n")
    env.chmod(0o640)
    before = env.read_text()
    what = f"{env}: API_URL has another value than the service"
    hint = "remove that line, or add --force to replace it"
    assert hcctl(tmp_path, *init) == (1, "", f"hcctl: {what}; {hint}\n")
    assert os.listdir(tmp_path) == ["hcrun.env"]
    assert env.read_text() == before
    assert hcctl(tmp_path, *init, "--force")[0] == 0
    assert env.read_text().startswith("# mine\nHEALTHCHECKS_PING_KEY=made-up-key\n")
    assert values(env)["API_URL"] == "http://127.0.0.1:8080"
    assert stat.S_IMODE(env.stat().st_mode) == 0o640
    refusal = f"hcctl: {file}: already exists; add --force to replace it\n"
    assert hcctl(tmp_path, *init) == (1, "", refusal)
    once = env.read_text()
    assert hcctl(tmp_path, *init, "--force")[0] == 0
    assert env.read_text() == once


@needs_compose
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("services: {a: {image: redis, ports: 5}}", "ports must be a array"),
        ("a: [", "yaml"),
        ("services: {a: {image: 'redis:${TAG:?set TAG}'}}", "set TAG"),
        ("", "empty compose file"),
        ("services: {a: {image: busybox}}", "found no service that hcrun has a probe for"),
    ],
)
def test_files_that_are_no_use(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    file = tmp_path / "checks.toml"
    path = str(tmp_path / "compose.yaml")
    status, output, errors = hcctl(tmp_path, "init", "--compose", path, str(file))
    assert (status, output) == (1, "")
    assert what in errors
    assert "Traceback" not in errors
    assert not file.exists()


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    message = "hcctl: /dev/zero: no such file; give the path of a compose file\n"
    file = str(tmp_path / "checks.toml")
    assert hcctl(tmp_path, "init", "--compose", "/dev/zero", file) == (1, "", message)
    message = f"hcctl: {tmp_path}: not a regular file; give the path of one\n"
    init = ("init", "--compose", str(SHOP), "--force", str(tmp_path))
    assert hcctl(tmp_path, *init) == (1, "", message)
    assert os.listdir(tmp_path) == []


@needs_compose
def test_values_of_any_text(tmp_path: Path) -> None:
    """A line break would be another variable; everything else is kept."""
    hostile = 'it\'s "a" $x `b` \\ #c'
    words = {"one": hostile, "two": "a\nREDIS_HOST=evil"}
    services = {
        name: {
            "image": "redis",
            "command": ["redis-server", "--requirepass", word.replace("$", "$$")],
            "ports": [f"127.0.0.1:638{number}:6379"],
        }
        for number, (name, word) in enumerate(words.items())
    }
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    file = tmp_path / "a b" / "checks.toml"
    init = ("init", "--compose", str(tmp_path / "compose.yaml"), str(file))
    status, output, errors = hcctl(tmp_path, *init)
    assert status == 0, errors
    assert values(file.parent / "one.env")["REDIS_PASSWORD"] == hostile
    assert values(file.parent / "two.env") == {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "6381"}
    assert f"{file.parent}/two.env: " in output
    assert "fill in the lines that begin with #" in output
    two = {check.slug: check for check in load(str(file)).checks}["two"]
    assert two.command[:2] == ("env", f"HCRUN_ENV_FILE={file.parent}/two.env")


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    message = "hcctl: --compose, --docker and --example exclude each other; give one of them\n"
    assert hcctl(tmp_path, "init", "--docker", "--compose", "a") == (2, "", message)


def test_without_docker(tmp_path: Path) -> None:
    file, path = str(tmp_path / "checks.toml"), str(tmp_path)
    status, _, errors = hcctl(tmp_path, "init", "--compose", str(SHOP), file, path=path)
    assert status == 1
    assert "neither docker compose nor docker-compose is installed; install" in errors
    message = "hcctl: docker is not installed; use --compose FILE\n"
    assert hcctl(tmp_path, "init", "--docker", file, path=path) == (1, "", message)


# The engine ---------------------------------------------------------------------------------


def container(name: str, **more: Any) -> dict[str, Any]:
    """What `docker inspect` prints of a container."""
    labels = {f"com.docker.compose.{key}": value for key, value in more.get("labels", {}).items()}
    ports = {port: [{"HostIp": h, "HostPort": p}] for port, h, p in more.get("ports", ())}
    return {
        "Id": name * 3,
        "Name": f"/{name}",
        "State": {"Running": True, "Status": "running", "ExitCode": 0} | more.get("state", {}),
        "HostConfig": {
            "NetworkMode": more.get("mode", "shop_default"),
            "PortBindings": more.get("bindings", ports),
            "RestartPolicy": {"Name": "no"},
        },
        "Config": {
            "Image": more["image"],
            "Entrypoint": more.get("entrypoint"),
            "Cmd": more.get("command"),
            "Env": more.get("env", []),
            "Labels": labels,
            "WorkingDir": "",
            "Hostname": name,
        },
        "NetworkSettings": {"Ports": ports, "Networks": {"shop_default": {"Aliases": None}}},
        "Mounts": more.get("mounts", []),
    }


def test_a_running_engine(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("made-up\n")
    pw = {"Type": "bind", "Source": f"{tmp_path}/pw", "Destination": "/run/secrets/pw"}
    containers = [
        container(
            "shop-db-1",
            image="postgres:16",
            command=["postgres"],
            env=["POSTGRES_PASSWORD_FILE=/run/secrets/pw"],
            ports=[("5432/tcp", "0.0.0.0", "32768")],
            labels={"project": "shop", "service": "db"},
            mounts=[pw],
        ),
        container(
            "shop-api-1",
            image="shop-api",
            command=["gunicorn", "-b", ":8000"],
            ports=[("8000/tcp", "127.0.0.1", "8000")],
            labels={"project": "shop", "service": "api", "depends_on": "db:service_healthy:false"},
        ),
        container(
            "shop-closed-1",
            image="redis",
            bindings={"6379/tcp": [{"HostIp": "", "HostPort": "6379"}]},
            labels={"project": "shop", "service": "closed"},
        ),
        container(
            "shop-migrate-1",
            image="shop-api",
            command=["gunicorn"],
            state={"Running": False, "Status": "exited"},
            labels={"project": "shop", "service": "migrate"},
        ),
        container(
            "shop-api-run-1",
            image="redis",
            labels={"project": "shop", "service": "api", "oneoff": "True"},
        ),
        container("inside", image="redis", mode=f"container:{'shop-db-1' * 3}"),
        container("alone", image="redis", mode="host"),
    ]
    (tmp_path / "inspect.json").write_text(json.dumps(containers))
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f"#!/bin/sh\n[ $1 = ps ] && echo one two || exec cat {tmp_path}/inspect.json\n"
    )
    docker.chmod(0o755)
    path = f"{docker.parent}:{PATH}"
    status, output, errors = hcctl(tmp_path, "init", "--docker", "--json", path=path)
    assert status == 0, errors
    facts = json.loads(output)
    assert facts["project"] == "shop"
    checks = facts["checks"]
    assert {name: check["address"] for name, check in checks.items()} == {
        "docker-alone": "127.0.0.1:6379",
        "docker-inside": None,
        "shop-api": "http://127.0.0.1:8000/health",
        "shop-closed": None,
        "shop-db": "127.0.0.1:32768",
    }
    assert checks["shop-api"]["needs"] == ["shop-db"]
    assert checks["shop-closed"]["why"] == "internal-network"
    assert checks["shop-db"]["secrets"] == {"PGPASSWORD": f"file {tmp_path}/pw"}
    assert checks["shop-db"]["container"] == "shop-db-1"
    assert facts["not_checked"] == {"shop-migrate": "one-shot"}
    docker.write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2; exit 1\n")
    status, output, errors = hcctl(tmp_path, "init", "--docker", str(tmp_path / "a"), path=path)
    assert (status, output) == (1, "")
    assert errors.startswith("hcctl: docker ps: Cannot connect to the Docker daemon; is the engine")


# This host ----------------------------------------------------------------------------------


def test_services_of_this_host(tmp_path: Path, start_redis: StartRedis) -> None:
    server = start_redis()
    status, output, errors = hcctl(tmp_path, "init", "--json")
    assert status == 0, errors
    addresses = {check["address"]: check for check in json.loads(output)["checks"].values()}
    check = addresses[f"127.0.0.1:{server.port}"]
    assert (check["kind"], check["command"]) == ("redis", "probe-redis")


@pytest.fixture
def hidden(tmp_path: Path) -> Iterator[str]:
    """A PATH with an `ss` that shows the sockets of others."""
    ss = tmp_path / "bin" / "ss"
    ss.parent.mkdir()
    with (
        socket.create_server(("127.0.0.1", 0)),
        subprocess.Popen(["docker-proxy", "30"], executable="/bin/sleep") as proxy,
    ):
        lines = (
            "LISTEN 0 511 127.0.0.1:6379 0.0.0.0:*",
            "LISTEN 0 244 [::]:5432 [::]:*",
            "LISTEN 0 244 192.0.2.1%eth0:2181 0.0.0.0:*",
            "LISTEN 0 5 0.0.0.0:8123 0.0.0.0:*",
            f'LISTEN 0 9 0.0.0.0:9092 0.0.0.0:* users:(("docker-proxy",pid={proxy.pid},fd=4))',
        )
        ss.write_text("#!/bin/sh\ncat <<'E'\n" + "\n".join(lines) + "\nE\n")
        ss.chmod(0o755)
        yield f"{ss.parent}:{PATH}"
        proxy.kill()


def test_ports_of_others(tmp_path: Path, hidden: str) -> None:
    file = tmp_path / "checks.toml"
    status, _, errors = hcctl(tmp_path, "init", str(file), path=hidden)
    assert status == 0, errors
    assert "containers publish ports, too: hcctl init --docker finds their services" in errors
    assert {check.slug for check in load(str(file)).checks} == {"redis", "postgres", "zookeeper"}
    known = values(tmp_path / "hcrun.env")
    assert (known["REDIS_HOST"], known["PGHOST"]) == ("127.0.0.1", "127.0.0.1")
    assert known["ZOOKEEPER_HOSTS"] == "192.0.2.1:2181"


# The built-in catalogue ---------------------------------------------------------------------


def built_in() -> str:
    return Path(SHIPPED).read_text().replace('"UTC"', f'"{host_zone() or "UTC"}"', 1)


def test_the_built_in_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "hcrun" / "checks.toml"
    assert hcctl(tmp_path, "init", "--example", str(path))[0] == 0
    assert path.read_text() == built_in()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["checks.toml"]
    assert hcctl(tmp_path, "check", "--catalog", str(path))[0] == 0


def test_nothing_is_replaced_unless_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "checks.toml"
    path.write_text("mine")
    refused = (1, "", f"hcctl: {path}: already exists; add --force to replace it\n")
    assert hcctl(tmp_path, "init", "--example", str(path)) == refused
    assert path.read_text() == "mine"
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    assert hcctl(tmp_path, "init", "--example", "--force", str(link))[0] == 0
    assert link.is_symlink()
    assert path.read_text() == built_in()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "checks.toml"
    errors = f"hcctl: {tmp_path}/file: cannot be created: File exists\n"
    assert hcctl(tmp_path, "init", "--example", str(path)) == (1, "", errors)
    errors = "hcctl: /proc/checks.toml: cannot be written: No such file or directory\n"
    assert hcctl(tmp_path, "init", "--example", "/proc/checks.toml") == (1, "", errors)


def test_several_at_once(tmp_path: Path) -> None:
    """One writes the file, the others find it."""
    path = tmp_path / "checks.toml"
    with ThreadPoolExecutor() as pool:
        answers = list(
            pool.map(lambda _: hcctl(tmp_path, "init", "--example", str(path)), range(4))
        )
    assert sorted(status for status, _, _ in answers) == [0, 1, 1, 1]
    assert path.read_text() == built_in()
    assert os.listdir(tmp_path) == ["checks.toml"]
