"""The shipped backup of the Healthchecks database, with a real PostgreSQL in the "container"."""

import os
import subprocess
from pathlib import Path

import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.settings import Settings
from tests.servers.postgres import PASSWORD, Cluster, primary, template
from tests.support.command import last_run, run_hcrun

pytestmark = pytest.mark.slow

__all__ = ["primary", "template"]  # fixtures

[BACKUP] = [
    check for check in load(SHIPPED, Settings({}, {})).checks if check.slug == "healthchecks-backup"
]
# What is behind `exec -T healthchecks-db` runs here, where the server is.
DOCKER = """\
#!/bin/sh
[ "$1 $2 $3 $4 $5" = "compose -f /srv/healthchecks/compose.yaml exec -T" ] || exit 99
[ "$6" = healthchecks-db ] || exit 99
shift 6
exec env PGHOST=127.0.0.1 PGPORT={port} PGPASSWORD={password} "$@"
"""


@pytest.fixture
def where(tmp_path: Path, primary: Cluster) -> Path:
    """A directory for the dumps, and a `docker` that reaches the server."""
    if primary.ask("SELECT count(*) FROM pg_database WHERE datname = 'healthchecks'") == 0:
        primary.ask(f"CREATE ROLE healthchecks LOGIN PASSWORD '{PASSWORD}'")
        primary.ask("CREATE DATABASE healthchecks OWNER healthchecks")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER.format(port=primary.port, password=PASSWORD))
    docker.chmod(0o755)
    return tmp_path / "dumps"


def backup(tmp_path: Path, where: Path) -> int:
    command = [word.replace("/var/backups/healthchecks", str(where)) for word in BACKUP.command]
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = run_hcrun(tmp_path, *BACKUP.options, BACKUP.slug, "--", *command, env=env)
    return done.returncode


def dumps(where: Path) -> list[Path]:
    return sorted(where.glob("*.dump"))


def test_a_dump_that_can_be_read_for_its_owner_only(tmp_path: Path, where: Path) -> None:
    assert backup(tmp_path, where) == 0
    [dump] = dumps(where)
    assert list(where.iterdir()) == [dump]
    assert dump.stat().st_mode & 0o777 == 0o600
    assert where.stat().st_mode & 0o777 == 0o700
    listed = subprocess.run(["pg_restore", "--list", dump], capture_output=True, text=True)
    assert "dbname: healthchecks" in listed.stdout
    assert backup(tmp_path, where) == 0  # a week later: the same name


@pytest.mark.parametrize("broken", ["pg_dump", "pg_restore"])
def test_the_last_dump_stays_when_there_is_no_new_one(
    broken: str, tmp_path: Path, where: Path
) -> None:
    assert backup(tmp_path, where) == 0
    [dump] = dumps(where)
    before = dump.read_bytes()
    program = tmp_path / "bin" / broken
    program.write_text("#!/bin/sh\necho half of it; exit 3\n")
    program.chmod(0o755)
    assert backup(tmp_path, where) == 3
    assert dumps(where) == [dump]
    assert dump.read_bytes() == before
    assert last_run(tmp_path).result == "fail"
