"""Backup and restore of the server's database, with a real PostgreSQL.

The commands that dump and restore it are those of docs/server.md.
"""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.metrics.test_sql_view import TABLES
from tests.servers.postgres import PASSWORD, SETTINGS, Cluster, cluster_of, primary, template
from tests.support.command import HCCTL, hcctl_environment, run_hcctl, runs, wait_until

pytestmark = pytest.mark.slow

__all__ = ["primary", "template"]  # fixtures

PAGE = (Path(__file__).parents[2] / "docs/server.md").read_text()
SCRATCH = "SELECT count(*) FROM pg_database WHERE datname = 'hcrun_restore_drill'"
FILL = """
CREATE TABLE api_channel (id integer PRIMARY KEY, value text);
INSERT INTO api_check (name) VALUES ('one'), ('two');
INSERT INTO api_channel VALUES (1, 'ops@example.org');
INSERT INTO api_ping (owner_id, created) SELECT 1, now() FROM generate_series(1, 5);
"""


def environment(cluster: Cluster) -> dict[str, str]:
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": "healthchecks"}
    return where | {"PGPASSWORD": PASSWORD, "PGDATABASE": "healthchecks"}


def documented(program: str) -> list[str]:
    """The command of this program in the page, as it runs inside the container."""
    text = PAGE.replace("\\\n", " ")
    [found] = re.findall(
        rf"exec -T healthchecks-db ({program} --username=healthchecks .*?) [<>] hc\.dump", text
    )
    return shlex.split(found)


def run(cluster: Cluster, argv: list[str], dump: Path, mode: str) -> None:
    with dump.open(mode) as file:
        done = subprocess.run(
            argv,
            env=os.environ | environment(cluster),
            stdin=file if mode == "rb" else subprocess.DEVNULL,
            stdout=file if mode == "wb" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def prepare(cluster: Cluster) -> None:
    """As compose.yaml makes it: the superuser healthchecks and his database."""
    cluster.ask(f"CREATE ROLE healthchecks SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    cluster.ask("CREATE DATABASE healthchecks OWNER healthchecks")


def ask(
    cluster: Cluster, query: str, user: str = "healthchecks", database: str = "healthchecks"
) -> object:
    with cluster.connect(user, dbname=database) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


@pytest.fixture(scope="module")
def server(primary: Cluster) -> Cluster:
    """The database of a server, with the view."""
    prepare(primary)
    ask(primary, TABLES + FILL)
    return primary


@pytest.fixture
def dump(server: Cluster, tmp_path: Path) -> Path:
    """A directory with the dump of the page, made after `hcctl view install`, and an older file."""
    done = run_hcctl(tmp_path, "view", "install", env=environment(server))
    assert done.returncode == 0
    directory = tmp_path / "dumps"
    directory.mkdir()
    (directory / "Sun.dump").write_text("not a dump")
    os.utime(directory / "Sun.dump", (1, 1))
    run(server, documented("pg_dump"), directory / "Mon.dump", "wb")
    return directory


def drill(tmp_path: Path, server: Cluster, *words: str) -> tuple[int, str, str]:
    arguments = ("drill", "restore", *words)
    if "--run" not in words:
        arguments += ("--run", "env LC_ALL=C")
    done = run_hcctl(tmp_path, *arguments, env=environment(server))
    return done.returncode, done.stdout, done.stderr


def test_restore_into_a_new_cluster(
    dump: Path, server: Cluster, template: Path, tmp_path: Path
) -> None:
    """Also a dump with the rights of the view, which other tools than the catalogue's make."""
    whole = tmp_path / "whole.dump"
    run(server, [word for word in documented("pg_dump") if word != "--no-acl"], whole, "wb")
    with cluster_of(template) as new:
        new.start(SETTINGS)
        prepare(new)
        for file in (dump / "Mon.dump", whole):
            run(new, documented("pg_restore"), file, "rb")
            assert ask(new, "SELECT count(*) FROM healthchecks_metrics") == 2
        new.ask(f"CREATE ROLE grafana LOGIN PASSWORD '{PASSWORD}'")
        env = environment(new)
        done = run_hcctl(tmp_path, "view", "check", env=env)
        assert done.returncode == 1
        why = "is not granted to the role healthchecks_reader alone; run hcctl view install"
        assert done.stderr == f"healthchecks_metrics {why}\n"
        assert run_hcctl(tmp_path, "view", "install", env=env).returncode == 0
        assert run_hcctl(tmp_path, "view", "check", env=env).returncode == 0
        for query in ("healthchecks_metrics", "healthchecks_metrics_rows()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ask(new, f"SELECT count(*) FROM {query}", "grafana")  # noqa: S608 - constants
        new.ask("GRANT healthchecks_reader TO grafana")
        assert ask(new, "SELECT count(*) FROM healthchecks_metrics", "grafana") == 2


def test_the_newest_dump_is_restored_and_counted(
    dump: Path, server: Cluster, tmp_path: Path
) -> None:
    status, printed, error = drill(tmp_path, server, str(dump))
    assert (status, error) == (0, "")
    assert re.fullmatch(
        f"{dump}/Mon.dump, made .* ago, is restored in .*: 2 checks \\(the server has 2\\),"
        " 1 channel \\(the server has 1\\), 5 pings \\(the server has 5\\)\n",
        printed,
    )
    assert server.ask(SCRATCH) == 0
    assert ask(server, "SELECT count(*) FROM api_check") == 2


def test_it_reports_as_a_check(dump: Path, server: Cluster, tmp_path: Path) -> None:
    words = ["restore-drill", "--", HCCTL, "drill", "restore", str(dump / "Sun.dump")]
    done = subprocess.run(
        [str(Path(HCCTL).parent / "hcrun"), *words, "--run", "env"],
        env=hcctl_environment(tmp_path) | environment(server) | {"HEALTHCHECKS_ENABLED": "false"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert (runs(tmp_path)[0].check, runs(tmp_path)[0].result) == ("restore-drill", "fail")


@pytest.mark.parametrize(
    "text", [b"", b"not a dump", b"PGDMP" + bytes(range(256)) * 99, b"-- PostgreSQL dump\n"]
)
def test_a_file_that_is_no_dump(text: bytes, server: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "x.dump"
    path.write_bytes(text)
    status, printed, error = drill(tmp_path, server, str(path))
    assert (status, printed) == (1, "")
    assert error.startswith(f"hcctl: {path}: pg_restore: exit status 1: ")
    assert error.endswith(
        "; the server cannot be restored from this dump: make a new one now (docs/server.md,"
        " Backup) and try an older one: hcctl drill restore FILE\n"
    )
    assert server.ask(SCRATCH) == 0


def test_a_dump_of_another_database_and_an_empty_server(
    dump: Path, server: Cluster, tmp_path: Path
) -> None:
    server.ask("CREATE DATABASE other OWNER healthchecks")
    run(server, [*documented("pg_dump")[:-1], "other"], dump / "Tue.dump", "wb")
    status, _, error = drill(tmp_path, server, str(dump))
    assert status == 1
    assert 'psql: exit status 1: ERROR:  relation "api_check" does not exist' in error
    ask(server, TABLES + "CREATE TABLE api_channel (id integer)", database="other")
    run(server, [*documented("pg_dump")[:-1], "other"], dump / "Tue.dump", "wb")
    status, printed, error = drill(tmp_path, server, str(dump))
    assert status == 1
    assert "0 checks (the server has 2), 0 channels (the server has 1)" in printed
    assert error.startswith(f"hcctl: {dump}/Tue.dump: has no check and no channel; ")
    assert server.ask(SCRATCH) == 0
    server.ask("DROP DATABASE other")


def test_what_is_left_of_a_drill_that_was_killed_is_dropped(
    dump: Path, server: Cluster, tmp_path: Path
) -> None:
    server.ask("CREATE DATABASE hcrun_restore_drill")
    assert drill(tmp_path, server, str(dump))[0] == 0
    assert server.ask(SCRATCH) == 0


def test_a_drill_that_is_ended_drops_it_too(dump: Path, server: Cluster, tmp_path: Path) -> None:
    """As by --timeout of hcrun."""
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\n[ "$1" != pg_restore ] || exec sleep 60\nexec "$@"\n')
    slow.chmod(0o755)
    with subprocess.Popen(
        [HCCTL, "drill", "restore", str(dump), "--run", str(slow)],
        env=hcctl_environment(tmp_path) | environment(server),
        stderr=subprocess.DEVNULL,
    ) as first:
        wait_until(lambda: server.ask(SCRATCH) == 1, "the scratch database is there")
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 1
    assert server.ask(SCRATCH) == 0


def test_what_is_missing(dump: Path, server: Cluster, tmp_path: Path) -> None:
    status, _, error = drill(tmp_path, server, str(tmp_path / "none"))
    hint = "see hcctl history healthchecks-backup --output last; docs/server.md, Backup"
    assert (status, error) == (1, f"hcctl: {tmp_path}/none: there is no dump; {hint}\n")
    status, _, error = drill(tmp_path, server, str(dump), "--run", "/nowhere/docker exec")
    assert status == 1
    assert error.startswith("hcctl: dropdb cannot run: ")
    assert error.endswith("; give --run, the command that runs the programs of PostgreSQL\n")
    status, _, error = drill(tmp_path, server, str(dump), "--run", "env PGDATABASE=nothing")
    assert status == 1
    assert 'database "nothing" does not exist; check PGDATABASE in --run' in error
    assert server.ask(SCRATCH) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root refuses files of others")
def test_a_dump_of_another_user_is_refused(dump: Path, server: Cluster, tmp_path: Path) -> None:
    """It is SQL that runs with the rights of the server."""
    os.chown(dump / "Mon.dump", 12345, 12345)
    os.utime(dump / "Mon.dump", (time.time(), time.time()))
    status, _, error = drill(tmp_path, server, str(dump))
    assert status == 1
    assert "root does not use it, because it belongs to user 12345" in error
