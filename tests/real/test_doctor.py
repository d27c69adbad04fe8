"""`hcctl doctor` at a real Healthchecks server: what it finds there, and that it leaves no trace.

The tests delete what they create there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hcrun.api.client import HealthchecksClient
from tests.support.command import run_hcctl
from tests.support.real import settings

SET = settings()
PINGS, API = SET["HEALTHCHECKS_PING_URL"], SET["HEALTHCHECKS_API_URL"]

pytestmark = pytest.mark.real


@pytest.fixture
def client() -> Iterator[HealthchecksClient]:
    """It takes what it made with it."""
    client = HealthchecksClient(SET["HEALTHCHECKS_API_URL"], SET["HEALTHCHECKS_API_KEY"])
    before = {check.uuid for check in client.checks()}
    yield client
    for check in client.checks():
        if check.uuid not in before and check.slug.startswith("doctor-"):
            client.delete(check.uuid)


def add(client: HealthchecksClient, **fields: Any) -> str:
    slug = fields.pop("slug", f"doctor-{uuid4()}")
    client.create({"name": slug, "slug": slug, "channels": "*"} | fields)
    return str(slug)


def findings(tmp_path: Path, **env: str) -> list[dict[str, str]]:
    done = run_hcctl(tmp_path, "doctor", "--json", "--root", str(tmp_path / "root"), env=SET | env)
    assert done.stderr == ""
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    assert done.returncode == (2 if any(one["severity"] == "error" for one in found) else 1)
    return found


def of_server(tmp_path: Path, **env: str) -> list[str]:
    return [
        f"{one['severity']}: {one['what']}"
        for one in findings(tmp_path, **env)
        if one["section"] == "server" and one["severity"] != "ok"
    ]


def test_server_is_well(client: HealthchecksClient, tmp_path: Path) -> None:
    slug = add(client)
    assert of_server(tmp_path) == []
    without = {"HEALTHCHECKS_API_KEY": ""}
    assert of_server(tmp_path, **without) == []
    found = client.find(slug)
    assert found is not None
    assert (found.pings, client.pings(found.uuid)) == (0, [])


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (
            {"HEALTHCHECKS_PING_KEY": "x" * 22},
            "error: the ping key is of another project than the API key, or of none",
        ),
        (
            {"HEALTHCHECKS_API_KEY": "hcw_" + "x" * 28},
            f"error: API key: {API} does not accept the API key",
        ),
        (
            {"HEALTHCHECKS_API_KEY": SET["HEALTHCHECKS_READ_KEY"]},
            f"error: API key: {API} does not accept the API key",
        ),
        (
            {"HEALTHCHECKS_READ_KEY": SET["HEALTHCHECKS_API_KEY"]},
            "warning: HEALTHCHECKS_READ_KEY is a read-write key",
        ),
        (
            {"HEALTHCHECKS_METRICS_KEY": "wrong"},
            f"error: metrics: {API} the server does not accept the metrics key",
        ),
        (
            {"HEALTHCHECKS_PING_URL": f"{PINGS}/ping"},
            f"error: the server takes pings at {PINGS}, and they go to {PINGS}/ping",
        ),
        (
            {"HC_CHECK_GONE": "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"},
            "error: no check has the UUID in HC_CHECK_* of gone",
        ),
    ],
)
def test_settings_that_are_wrong(
    env: dict[str, str], expected: str, client: HealthchecksClient, tmp_path: Path
) -> None:
    add(client)
    assert expected in of_server(tmp_path, **env)


def test_uuids_are_found_with_either_key(client: HealthchecksClient, tmp_path: Path) -> None:
    found = client.find(add(client))
    assert found is not None
    for env in ({}, {"HEALTHCHECKS_API_KEY": ""}):
        assert of_server(tmp_path, HC_CHECK_MINE=found.uuid, **env) == []


def test_checks(client: HealthchecksClient, tmp_path: Path) -> None:
    """Each of them in the words of the server."""
    new = add(client)
    twice = add(client)
    add(client, slug=twice)
    filtering = add(client, filter_http_body=True, failure_kw="ERROR")
    mute = add(client, channels="")
    paused = client.find(add(client, manual_resume=True))
    assert paused is not None
    client.pause(paused.uuid)
    # Lists are cut for people, so each is asked for in the whole text of its kind.
    found = [one["what"] for one in findings(tmp_path) if one["section"] == "checks"]
    assert any(what == f"several checks have the slug {twice}" for what in found)
    assert any(what == f"{filtering} filters by body keywords (ERROR)" for what in found)
    assert any(" paused until resumed by hand: " in what for what in found)
    assert any(" never pinged: " in what for what in found)
    if client.channels():
        assert any(" without a channel: " in what for what in found)
    else:
        assert "the project has no channels" in found
    for slug in (new, mute):
        assert client.find(slug) is not None
