"""A fleet database on a real PostgreSQL: an owner who is no superuser, two writers, a reader."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hcrun.fleet import admin
from hcrun.fleet.connection import connected
from hcrun.settings import Settings
from tests.servers.postgres import PASSWORD, SETTINGS, Cluster, cluster_of

ROLES = ("fleet_owner", "web1", "web2", "viewer")


class Fleet:
    """One database; `url` gives what HCRUN_FLEET_URL is for a role."""

    def __init__(self, cluster: Cluster, template: str = "template1") -> None:
        self.cluster = cluster
        self.name = f"fleet_{uuid4().hex[:8]}"
        cluster.ask(f"CREATE DATABASE {self.name} OWNER fleet_owner TEMPLATE {template}")

    def url(self, role: str, password: str = PASSWORD) -> str:
        where = f"127.0.0.1:{self.cluster.port}/{self.name}"
        return f"postgresql://{role}:{password}@{where}?sslmode=require"

    def settings(self, role: str) -> Settings:
        return Settings({"HCRUN_FLEET_URL": self.url(role)}, {})

    def init(self, zone: str = "UTC") -> None:
        with connected(self.settings("fleet_owner"), "tests") as connection:
            admin.init(connection, zone, {})
        for role in ROLES[1:]:
            kind = "reader" if role == "viewer" else "writer"
            self.cluster.ask(f"GRANT hcrun_{kind} TO {role}")

    def ask(self, query: str) -> list[Any]:
        """The rows, as the superuser sees them."""
        with self.cluster.connect(dbname=self.name) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def cluster(template: Path) -> Iterator[Cluster]:
    with cluster_of(template) as made:
        made.start({**SETTINGS, "max_connections": 30})
        for role in ROLES:
            rights = "CREATEROLE" if role == "fleet_owner" else ""
            made.ask(f"CREATE ROLE {role} LOGIN {rights} PASSWORD '{PASSWORD}'")
        yield made


@pytest.fixture(scope="module")
def empty(cluster: Cluster) -> Fleet:
    """One for copies, not for use."""
    made = Fleet(cluster)
    made.init()
    return made


@pytest.fixture
def fleet(empty: Fleet) -> Fleet:
    return Fleet(empty.cluster, empty.name)


def aged(fleet: Fleet, days: int) -> str:
    """Let the runs have arrived so many days ago; returns that day."""
    [(day, name)] = fleet.ask(
        f"SELECT to_char(now() AT TIME ZONE 'UTC' - interval '{days} days', 'YYYY-MM-DD'),"
        " to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')"
    )
    old = day.replace("-", "")
    for kind in ("run", "reading"):
        fleet.ask(
            f"ALTER TABLE hcrun.{kind} DETACH PARTITION hcrun.{kind}_{name};"
            f"UPDATE hcrun.{kind}_{name} SET received = '{day} 12:00Z';"
            f"ALTER TABLE hcrun.{kind}_{name} RENAME TO {kind}_{old};"
            f"ALTER TABLE hcrun.{kind} ATTACH PARTITION hcrun.{kind}_{old}"
            f" FOR VALUES FROM ('{day} 00:00Z') TO ('{day} 00:00Z'::timestamptz + interval '1 day')"
        )
    return str(day)
