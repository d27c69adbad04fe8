"""`hcctl doctor` at a real Healthchecks server: what it finds there, and that it leaves no trace.

The tests delete what they create there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hcrun.api.client import HealthchecksClient
from tests.support.client import client_of
from tests.support.command import run_hcctl
from tests.support.database import settings_of
from tests.support.real import setting, settings

SET = settings()
OURS = f"doctor-{uuid4()}"
PINGS = SET["HEALTHCHECKS_PING_URL"]

pytestmark = pytest.mark.real


@pytest.fixture
def client() -> Iterator[HealthchecksClient]:
    """It takes what it made with it."""
    client = client_of(SET["HEALTHCHECKS_API_URL"], SET["HEALTHCHECKS_API_KEY"])
    yield client
    for check in client.list_checks():
        if check.slug.startswith(OURS):
            client.delete_check(check.uuid)


def add(client: HealthchecksClient, **fields: Any) -> str:
    slug = fields.pop("slug", f"{OURS}-{uuid4().hex[:8]}")
    client.create_with({"name": slug, "slug": slug, "channels": "*"} | fields)
    return str(slug)


def findings(tmp_path: Path, section: str, **env: str) -> list[str]:
    """Severity and text of the findings of a section that are not ok."""
    done = run_hcctl(tmp_path, "doctor", "--json", "--root", str(tmp_path / "root"), env=SET | env)
    assert done.stderr == ""
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return [
        f"{one['severity']}: {one['what']}"
        for one in found
        if one["section"] == section
        and one["severity"] != "ok"
        and not one["what"].startswith("no HEALTHCHECKS_DB_HOST")
    ]


def test_server_is_well(client: HealthchecksClient, tmp_path: Path) -> None:
    check = client.get_check(add(client))
    assert check is not None
    for env in ({}, {"HEALTHCHECKS_API_KEY": ""}):
        assert findings(tmp_path, "server", HC_CHECK_MINE=check.uuid, **env) == []
    check = client.get_check(check.slug)
    assert check is not None
    assert (check.pings, client.list_pings(check.uuid)) == (0, [])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PING_KEY", "x" * 22, "error: the ping key"),
        ("API_KEY", "hcw_" + "x" * 28, "error: API key"),
        ("API_KEY", SET["HEALTHCHECKS_READ_KEY"], "error: API key"),
        ("READ_KEY", SET["HEALTHCHECKS_API_KEY"], "warning: HEALTHCHECKS_READ_KEY"),
        ("METRICS_KEY", "wrong", "error: metrics"),
        ("PING_URL", f"{PINGS}/ping", f"error: the server accepts pings at {PINGS},"),
    ],
)
def test_settings_that_are_wrong(
    name: str, value: str, expected: str, client: HealthchecksClient, tmp_path: Path
) -> None:
    add(client)
    found = findings(tmp_path, "server", **{f"HEALTHCHECKS_{name}": value})
    assert any(one.startswith(expected) for one in found), found


@pytest.mark.real("HC_REAL_DATABASE_URL")
def test_the_server_keeps_too_few_pings(client: HealthchecksClient, tmp_path: Path) -> None:
    env = settings_of(setting("DATABASE_URL"))
    slug = add(client, timeout=60, grace=60)
    try:
        assert run_hcctl(tmp_path, "view", "install", env=env).returncode == 0
        (found,) = findings(tmp_path, "server", **env)
        assert f"{slug} (10,080)" in found
    finally:
        run_hcctl(tmp_path, "view", "remove", env=env)


def test_a_uuid_of_no_check(client: HealthchecksClient, tmp_path: Path) -> None:
    add(client)
    uuid = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
    (found,) = findings(tmp_path, "server", HC_CHECK_GONE=uuid)
    assert found.startswith("error: HC_CHECK_*: ")


def test_checks(client: HealthchecksClient, tmp_path: Path) -> None:
    """Each finding from what this server says."""
    add(client)
    twice = add(client)
    add(client, slug=twice)
    filtering = add(client, filter_http_body=True, failure_kw="ERROR")
    add(client, channels="")
    paused = client.get_check(add(client, manual_resume=True))
    assert paused is not None
    client.pause_check(paused.uuid)
    found = findings(tmp_path, "checks")
    assert f"error: several checks have the slug {twice}" in found
    for words in (
        f"{filtering} (ERROR)",
        " paused until resumed by hand: ",
        " never pinged: ",
        " without a channel: ",
    ):
        assert any(words in one for one in found), words
