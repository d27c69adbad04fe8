"""Real PostgreSQL clusters, which run as the user `postgres` when the tests run as root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.servers.process import certificate, free_port, until

PASSWORD = "sup3r-s3cr3t"


def _binaries() -> Path | None:
    """The directory of the newest PostgreSQL."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    anywhere = shutil.which("initdb")
    found += [Path(anywhere).resolve()] if anywhere else []
    return found[-1].parent if found else None


class Cluster:
    """One data directory on one port; the superuser is `admin`."""

    def __init__(self, directory: Path) -> None:
        self.data = directory
        self.port = free_port()

    def call(self, program: str, *arguments: object) -> None:
        """Run one of PostgreSQL's programs, which refuse to run as root."""
        binaries = _binaries()
        assert binaries is not None
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        argv = user if os.geteuid() == 0 else []
        argv = argv + [str(binaries / program), *map(str, arguments)]
        ran = subprocess.run(
            argv,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server inherits it
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        log = self.data / "log"
        assert ran.returncode == 0, f"{argv}: {log.read_text() if log.exists() else ''}"

    def start(self, settings: Mapping[str, object], *, wait: bool = True) -> None:
        options = {"port": self.port, "unix_socket_directories": self.data, **settings}
        words = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        flags = ["-w" if wait else "-W", "-D", self.data, "-l", self.data / "log", "-o", words]
        self.call("pg_ctl", "start", *flags)

    def stop(self, mode: str = "immediate", *, wait: bool = True) -> None:
        self.call("pg_ctl", "stop", "-D", self.data, "-m", mode, "-w" if wait else "-W")

    def connect(
        self, user: str = "admin", password: str = PASSWORD, **more: str
    ) -> psycopg.Connection:
        given = {"user": user, "password": password, "dbname": "postgres", **more}
        where = make_conninfo(host="127.0.0.1", port=self.port, **given)
        return psycopg.connect(where, autocommit=True)

    def ask(self, query: str) -> Any:
        """The first value of the first row."""
        with self.connect() as connection:
            cursor = connection.execute(query.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


def _give(path: Path) -> None:
    """To the user that the servers run as."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)


@contextmanager
def _directory() -> Iterator[Path]:
    # Not pytest's: nobody but its owner may go through that.
    path = Path(tempfile.mkdtemp(prefix="hcrun-postgres-"))
    _give(path)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def cluster_of(template: Path | None) -> Iterator[Cluster]:
    """A cluster with a copy of the template, not started; it is stopped in the end."""
    with _directory() as base:
        cluster = Cluster(base / "data")
        if template:
            subprocess.run(["cp", "-a", str(template), str(cluster.data)], check=True)
        try:
            yield cluster
        finally:
            if (cluster.data / "postmaster.pid").exists():
                with suppress(AssertionError):
                    cluster.stop()


@contextmanager
def initialised() -> Iterator[Path]:
    """A data directory as initdb leaves it, with TLS files in it."""
    with _directory() as base:
        password, data = base / "password", base / "data"
        password.write_text(PASSWORD)
        _give(password)
        Cluster(data).call(
            "initdb", "-D", data, "-U", "admin", "-A", "scram-sha-256", "--pwfile", password,
            "--no-sync", "--no-locale", "-E", "UTF8",
        )  # fmt: skip
        for path in certificate(data):
            _give(path)
        yield data


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """One for copies, not for use."""
    if _binaries() is None:
        pytest.skip("no PostgreSQL server")
    with initialised() as data:
        yield data


@pytest.fixture
def scratch(template: Path) -> Iterator[Cluster]:
    """A cluster of this test's own, not started."""
    with cluster_of(template) as cluster:
        yield cluster


# Nine connections are left to those who are not superusers.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 12,
    "superuser_reserved_connections": 3,
    "fsync": "off",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "log_min_messages": "fatal",
    "wal_retrieve_retry_interval": "100ms",
}


@pytest.fixture(scope="module")
def primary(template: Path) -> Iterator[Cluster]:
    """A primary, with the roles `looker` (who has pg_monitor) and `plain` (who has not)."""
    with cluster_of(template) as cluster:
        cluster.start(SETTINGS)
        for role in ("looker", "plain"):
            cluster.ask(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        cluster.ask("GRANT pg_monitor TO looker")
        yield cluster


@pytest.fixture(scope="module")
def replica(primary: Cluster) -> Iterator[Cluster]:
    """A hot standby that streams from the primary."""
    with cluster_of(None) as cluster:
        clone(primary, cluster)
        until(lambda: follows(primary), "the replica follows")
        yield cluster


def clone(primary: Cluster, replica: Cluster) -> None:
    """Start a standby with the primary's data."""
    replica.call(
        "pg_basebackup", "-D", replica.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
        "-d", f"host=127.0.0.1 port={primary.port} user=admin password={PASSWORD}",
    )  # fmt: skip
    replica.start(SETTINGS)


def follows(primary: Cluster) -> bool:
    """Whether a replica has replayed all there is."""
    caught_up = primary.ask(
        "SELECT count(*) FROM pg_stat_replication "
        "WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()"
    )
    return bool(caught_up == 1)
