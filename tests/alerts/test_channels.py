"""Channels of the catalogue: what is wrong, the cached ids, what the server stores."""

import json
from pathlib import Path

import pytest

from hcrun.alerts.channels import ask, cached_ids, match
from hcrun.alerts.inside import KINDS
from hcrun.alerts.server_script import stored_value
from hcrun.catalog import load
from hcrun.catalog.values import webhook_body
from tests.stub.healthchecks import HealthchecksStub
from tests.support.catalogs import CHANNELS, write
from tests.support.client import client_of


def test_ids_are_cached_for_one_project_and_a_day(
    tmp_path: Path, stub: HealthchecksStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    made = {name: stub.add_channel(name, name).id for name in ("email", "slack")}
    catalog = load(write(tmp_path, "redis", head=CHANNELS))
    client = client_of(stub.api_url, stub.api_key)
    assert cached_ids(client, made) is None
    ask(client, catalog)
    assert cached_ids(client, made) == made
    assert cached_ids(client, ["email", "phone"]) is None
    other = client_of(stub.api_url, stub.read_key)
    assert cached_ids(other, made) is None
    cache = tmp_path / "state" / "channels.json"
    assert stub.api_key not in cache.read_text()
    valid = json.loads(cache.read_text())
    wrongs: list[dict[str, object]] = [
        {"at": valid["at"] - 90000},
        {"at": valid["at"] + 90000},
        {"at": None},
        {"project": "another"},
        {"ids": {"email": made["email"]}},
        {"ids": {"email": 3, "slack": 3}},
        {"ids": []},
        {"ids": 3},
    ]
    for wrong in wrongs:
        cache.write_text(json.dumps(valid | wrong))
        assert cached_ids(client, made) is None
    for text in (b"[]", b"", b"\0\xff"):
        cache.write_bytes(text)
        assert cached_ids(client, made) is None
    ask(client, catalog)
    assert cached_ids(client, made) == made


@pytest.mark.parametrize(
    ("kind", "options", "value"),
    [
        ("email", {"address": "a@b.c"}, {"value": "a@b.c", "up": True, "down": True}),
        ("call", {"number": "+371"}, {"value": "+371"}),
        ("sms", {"number": "+371", "up": "false"}, {"value": "+371", "up": False, "down": True}),
        ("opsgenie", {"key": "k", "region": "eu"}, {"key": "k", "region": "eu"}),
        ("discord", {"url": "u"}, {"webhook": {"url": "u"}}),
        ("gotify", {"url": "u", "token": "t"}, {"url": "u", "token": "t"}),
        (
            "ntfy",
            {"topic": "t", "up": "false"},
            {"topic": "t", "url": "https://ntfy.sh", "priority": 5, "priority_up": 0, "token": ""},
        ),
        (
            "webhook",
            {"url": "u", "up": "false", "body": "b"},
            {
                "url_up": "",
                "method_up": "POST",
                "body_up": "b",
                "headers_up": {},
                "url_down": "u",
                "method_down": "POST",
                "body_down": "b",
                "headers_down": {},
            },
        ),
        (
            "webhook",
            {"url": "u", "up": "false", "body": '{"text": $BODY_JSON}'},
            {
                "url_up": "",
                "method_up": "POST",
                "body_up": '{"text": $BODY_JSON}',
                "headers_up": {"Content-Type": "application/json"},
                "url_down": "u",
                "method_down": "POST",
                "body_down": '{"text": $BODY_JSON}',
                "headers_down": {"Content-Type": "application/json"},
            },
        ),
    ],
)
def test_what_the_server_keeps(
    kind: str, options: dict[str, str], value: dict[str, object]
) -> None:
    assert json.loads(stored_value(KINDS[kind]["value"], options)) == value


def test_further_addresses(tmp_path: Path, stub: HealthchecksStub) -> None:
    """They have the name of the channel and the address; others are channels of their own."""
    names = ["email", "email (b@x.org)", "email (private)", "email (c@x.org) old", "mail (b@x.org)"]
    made = {name: stub.add_channel(name).id for name in names}
    stub.add_channel("email (d@x.org)", "webhook")
    made["slack"] = stub.add_channel("slack", "slack").id
    catalog = load(write(tmp_path, "redis", head=CHANNELS))
    client = client_of(stub.api_url, stub.api_key)
    assert {one.name: one.ids for one in match(catalog, client.list_channels())} == {
        "email": f"{made['email']},{made['email (b@x.org)']}",
        "slack": made["slack"],
    }
    table = '[channels."email (b@x.org)"]\nkind = "email"\n'
    catalog = load(write(tmp_path, "redis", head=CHANNELS + table))
    matches = match(catalog, client.list_channels())
    assert [one.ids for one in matches] == [made[n] for n in ("email", "slack", "email (b@x.org)")]


def test_the_default_body_of_a_webhook_is_valid() -> None:
    value = json.loads(stored_value(KINDS["webhook"]["value"], {"url": "u"}))
    assert value["body_up"] == value["body_down"]
    webhook_body(value["body_down"])
    page = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
    assert f"\n{value['body_down']}\n" in page


def test_the_page_lists_the_kinds() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sync.md").read_text()
    rows = [
        f"| `{kind}` | {', '.join(spec['needs'])} | {', '.join([*spec.get('may', []), ''])}"
        for kind, spec in KINDS.items()
    ]
    rows = [f"{row.removesuffix(', ')}{' |' if row.endswith(', ') else '|'}" for row in rows]
    assert "\n".join(rows) in page
