"""`hcctl channels` and its script, with a stand-in for manage.py and with a real one."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.catalogs import CHANNELS, write
from tests.support.client import client_of
from tests.support.command import PATIENCE, run_hcctl
from tests.support.real import setting

pytestmark = pytest.mark.slow

MANAGE = f"{sys.executable} {Path(__file__).parents[1] / 'servers' / 'manage.py'}"
SECRETS = {
    "HEALTHCHECKS_SLACK_WEBHOOK": "https://hooks.example.com/s3cr3t",
    "HEALTHCHECKS_PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
}
SHIPPED = """
[channels.email]
kind = "email"
address = "ops@example.com"
down = "false"
[channels.slack]
kind = "slack"
url_secret = "HEALTHCHECKS_SLACK_WEBHOOK"
[channels.pagerduty]
kind = "pd"
key_secret = "HEALTHCHECKS_PAGERDUTY_KEY"
"""
MADE = [
    ("email", "email", '{"value": "ops@example.com", "up": true, "down": false}'),
    ("slack", "slack", SECRETS["HEALTHCHECKS_SLACK_WEBHOOK"]),
    ("pagerduty", "pd", SECRETS["HEALTHCHECKS_PAGERDUTY_KEY"]),
]


def ran(
    tmp_path: Path, stub: HealthchecksStub, *arguments: str, **env: str
) -> tuple[int, str, str]:
    path = str(tmp_path / "checks.toml")
    done = run_hcctl(tmp_path, "channels", *arguments, "--catalog", path, stub=stub, env=env)
    return done.returncode, done.stdout, done.stderr


REMINDERS = "reminders to owner@example.com while a check is down: every 1:00:00\n"


# Comparing


def test_all_there(tmp_path: Path, stub: HealthchecksStub) -> None:
    tiers = '[tiers.1]\nchannels = ["email", "slack"]\n[tiers.2]\nchannels = ["email"]\n'
    write(tmp_path, one='tier = "1"\nevery = "5m"', head=CHANNELS + tiers)
    stub.add_channel("email")
    stub.add_channel("slack", "slack")
    stub.add_channel("another", "webhook")
    expected = (
        "email  email     there         1 check, tiers 1, 2\n"
        "slack  slack     there         1 check, tier 1\n"
    )
    assert ran(tmp_path, stub) == (0, expected, "")


def test_what_is_wrong(tmp_path: Path, stub: HealthchecksStub) -> None:
    more = '[channels.pagerduty]\nkind = "pd"\n[channels.phone]\nkind = "call"\n'
    write(tmp_path, head=CHANNELS + more)
    stub.add_channel("slack", "webhook")
    for _ in range(2):
        stub.add_channel("phone", "call")
    stub.add_channel("pagerduty", "pd")
    status, out, err = ran(tmp_path, stub)
    assert status == 1
    assert [line.partition("checks")[2] for line in out.splitlines()] == [
        "; the server has no channel email (email)",
        "; channel slack is webhook on the server, not slack",
        "",
        "; the server has 2 channels named phone",
    ]
    assert out.startswith("email      email     missing       0 checks; ")
    assert err == (
        "hcctl: 3 of 4 channels cannot be used: email, slack, phone; create it in the web"
        " interface, or with hcctl channels bootstrap or rename one of them, or correct its kind"
        " in the catalogue or rename all but one of them in the web interface\n"
    )
    status, out, _ = ran(tmp_path, stub, "--json")
    found = json.loads(out)
    states = ["missing", "kind differs", "there", "ambiguous"]
    assert (status, [one["state"] for one in found]) == (1, states)
    pagerduty = {"name": "pagerduty", "kind": "pd", "tiers": [], "checks": 0, "state": "there"}
    assert found[2] == pagerduty | {"trouble": "", "sent": ""}


def test_no_channels_and_a_read_only_key(tmp_path: Path, stub: HealthchecksStub) -> None:
    write(tmp_path, "one")
    assert ran(tmp_path, stub) == (0, "the catalogue has no channels\n", "")
    status, _, err = ran(tmp_path, stub, HEALTHCHECKS_API_KEY=stub.read_key)
    assert (status, "the key is read-only" in err) == (1, True)


def look(tmp_path: Path, stub: HealthchecksStub, **rows: dict[str, Any]) -> dict[str, str]:
    """The settings with which the command looks into a server with these channels."""
    head = "".join(f'[channels.{name}]\nkind = "email"\n' for name in rows)
    write(tmp_path, head=head)
    kept = []
    for name, said in rows.items():
        row = {"name": name, "kind": "email", "project": "the project", "value": ""}
        row |= {"notes": [["", 0]]} | said
        kept.append(row | {"code": stub.add_channel(str(row["name"])).id})
    (tmp_path / "channels.json").write_text(json.dumps(kept))
    return inside(tmp_path, stub) | {"HEALTHCHECKS_MANAGE": MANAGE}


def test_last_alerts(tmp_path: Path, stub: HealthchecksStub) -> None:
    further = {"name": "email (b@x.org)", "notes": []}
    waiting = {"notes": [["", 0], ["Sending", 5]]}
    env = look(tmp_path, stub, email={}, waiting=waiting, further=further)
    text = (tmp_path / "checks.toml").read_text().partition("[channels.further]")[0]
    (tmp_path / "checks.toml").write_text(text)
    expected = (
        "email    email     there         0 checks; last alert never\n"  # of one of its addresses
        "waiting  email     there         0 checks; last alert 2026-01-02T03:04:05Z\n"
    )
    assert ran(tmp_path, stub, **env) == (0, expected, "")


def test_channels_that_fail(tmp_path: Path, stub: HealthchecksStub) -> None:
    env = look(
        tmp_path,
        stub,
        bounced={"notes": [["", 0], ["bounced", 9]]},
        stuck={"notes": [["Sending", 900]]},
        old={"notes": [], "last_error": "404"},
        off={"disabled": True, "notes": [["", 0], ["404", 5]]},
        well={},
    )
    status, out, err = ran(tmp_path, stub, "--json", **env)
    found = [(one["state"], one["trouble"], one["sent"]) for one in json.loads(out)]
    sent = "2026-01-02T03:04:05Z"
    assert found == [
        ("failing", "channel bounced failed: bounced", sent),
        ("failing", "channel stuck failed: see its log", "never"),
        ("failing", "channel old failed: 404", "never"),
        ("failing", "channel off is disabled by the server: 404", sent),
        ("there", "", sent),
    ]
    assert (status, err.partition("; ")[2]) == (1, "correct it, and see hcctl channels test\n")


@pytest.mark.parametrize("output", ["", "reminders", "\0\377 {}"])
def test_a_command_that_prints_something_else(
    output: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    write(tmp_path, head=CHANNELS)
    path = tmp_path / "output"
    path.write_text(output)
    status, _, err = ran(tmp_path, stub, HEALTHCHECKS_MANAGE=f"sh -c 'cat {path}'")
    what = "HEALTHCHECKS_MANAGE: the server's script has not answered"
    hint = "it must be the command of the server's manage.py"
    assert (status, err) == (1, f"hcctl: {what}; {hint}\n")


# Test alerts


def run_test(
    tmp_path: Path, stub: HealthchecksStub, env: dict[str, str], *names: str, **more: str
) -> tuple[int, list[str], str]:
    done = run_hcctl(tmp_path, "channels", "test", *names, stub=stub, env=env | more)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_each_channel_is_sent_a_test(tmp_path: Path, stub: HealthchecksStub) -> None:
    down, up = {"answers": ["", "no-op"]}, {"answers": ["no-op", ""]}
    env = look(tmp_path, stub, both={}, down=down, up=up)
    lines = ["both (email): sent", "down (email): sent", "up (email): sent"]
    assert run_test(tmp_path, stub, env) == (0, lines, "")
    sent = [one["sent"] for one in kept(tmp_path / "channels.json")]
    assert sent[0] == ["down TEST of both", "up TEST of both"]
    assert run_test(tmp_path, stub, env, "up") == (0, lines[2:], "")
    assert [len(one["sent"]) for one in kept(tmp_path / "channels.json")] == [2, 2, 4]


def test_the_verdicts(tmp_path: Path, stub: HealthchecksStub) -> None:
    """A channel that fails does not keep the others from their tests."""
    env = look(
        tmp_path,
        stub,
        down={"answers": ["404", ""]},
        up={"answers": ["no-op", "404"]},
        broken={"answers": ["!no host", "!no host"]},
        mute={"answers": ["no-op", "no-op"]},
        off={"disabled": True},
        well={},
    )
    status, lines, err = run_test(tmp_path, stub, env, UNSENT="1")
    assert lines == [
        "down (email): failed: 404",
        "up (email): failed: 404",
        "broken (email): failed: ValueError: no host",
        "mute (email): failed: it wants alerts neither of DOWN nor of UP",
        "off (email): failed: disabled by the server; bootstrap enables it",
        "well (email): sent",
        "other alerts (sendalerts): not sent for a minute; see its log",
    ]
    assert (status, "exit status 1" in err) == (1, True)
    status, lines, _ = run_test(tmp_path, stub, env, "well", "nobody", UNSENT="1")
    assert (status, lines) == (1, ["the project has no channel nobody"])
    (tmp_path / "channels.json").write_text("[]")
    assert run_test(tmp_path, stub, env)[:2] == (1, ["the project has no channel"])


# Bootstrap


@pytest.fixture
def server(tmp_path: Path, stub: HealthchecksStub) -> Path:
    """The channels of the stand-in, as JSON; the stub has those that it will have."""
    write(tmp_path, head=SHIPPED)
    path = tmp_path / "channels.json"
    path.write_text("[]")
    for name, kind, _ in MADE:
        stub.add_channel(name, kind)
    return path


def bootstrap(
    tmp_path: Path, stub: HealthchecksStub, *arguments: str, **env: str
) -> tuple[int, str, str]:
    arguments = ("bootstrap", "--run", "--manage", MANAGE, *arguments)
    return ran(tmp_path, stub, *arguments, **inside(tmp_path, stub) | SECRETS | env)


def inside(tmp_path: Path, stub: HealthchecksStub) -> dict[str, str]:
    return {"CHANNELS": str(tmp_path / "channels.json"), "RIGHT_KEY": stub.api_key}


def kept(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def test_they_are_made_once(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    lines = f"email (email): {{0}}\nslack (slack): {{0}}\npagerduty (pd): {{0}}\n{REMINDERS}"
    assert bootstrap(tmp_path, stub) == (0, lines.format("created"), "")
    made = kept(server)
    assert [(one["name"], one["kind"], one["value"]) for one in made] == MADE
    assert {(one["project"], one["email_verified"]) for one in made} == {("the project", True)}
    assert bootstrap(tmp_path, stub) == (0, lines.format("exists"), "")
    assert kept(server) == made


def test_what_differs_is_corrected(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    bootstrap(tmp_path, stub)
    wrong = kept(server)
    wrong[0] |= {"disabled": True, "last_error": "bounced"}
    server.write_text(json.dumps(wrong))
    status, out, _ = bootstrap(
        tmp_path, stub, HEALTHCHECKS_SLACK_WEBHOOK="https://new.example.com/"
    )
    assert (status, out) == (
        0,
        f"email (email): corrected\nslack (slack): corrected\npagerduty (pd): exists\n{REMINDERS}",
    )
    email, slack, _ = kept(server)
    assert (email["disabled"], email["last_error"]) == (False, "")
    assert slack["value"] == "https://new.example.com/"


def test_a_name_that_is_taken(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    one = {"project": "the project", "name": "slack", "kind": "webhook", "value": "{}"}
    server.write_text(json.dumps([one]))
    status, out, err = bootstrap(tmp_path, stub)
    expected = (
        "email (email): created\n"
        "slack (slack): this name is taken (webhook); rename that channel first\n"
        f"pagerduty (pd): created\n{REMINDERS}"
    )
    assert (status, out) == (1, expected)
    assert err == f"hcctl: --manage: {MANAGE}: exit status 1; see above; it can be run again\n"
    assert kept(server)[0] | one == kept(server)[0]


def addresses(*given: str) -> str:
    table = '[channels.email]\nkind = "email"\naddress_secret = "TO"\n'
    return table + "".join(
        f'[channels."{name}"]\nkind = "email"\naddress = "z@x"\n' for name in given
    )


def names(path: Path) -> dict[str, str]:
    return {one["name"]: json.loads(one["value"])["value"] for one in kept(path)}


def test_each_address_is_a_channel(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    write(tmp_path, head=addresses("email (z@x)"))
    stub.add_channel("email (z@x)")
    status, out, _ = bootstrap(tmp_path, stub, TO=" a@x.org,b@x.org ;c@x.org, a@x.org,")
    made = {"email": "a@x.org", "email (b@x.org)": "b@x.org", "email (c@x.org)": "c@x.org"}
    assert (status, names(server)) == (0, made | {"email (z@x)": "z@x"})
    assert out.startswith("email (email): created\nemail (b@x.org) (email): created\n")
    rows = kept(server)
    mine = rows[0] | {"name": "email (private)", "value": '{"value": "b@x.org"}'}
    server.write_text(json.dumps([*rows, mine]))
    status, out, _ = bootstrap(tmp_path, stub, TO="c@x.org")
    expected = {"email": "c@x.org", "email (z@x)": "z@x", "email (private)": "b@x.org"}
    assert (status, names(server)) == (0, expected)
    assert "email (b@x.org) (email): removed\n" in out


REFUSED = {
    "space": ('kind = "email"\naddress = "a@x.org b@x.org"', "address must be like a@example.com"),
    "name": ('kind = "email"\naddress = "a@x.org, ops"', "address must be like a@example.com"),
    "url": ('kind = "gotify"\nurl = "x"\ntoken_secret = "TO"', "url must be like https://"),
    "pd": ('kind = "pd"\nkey_secret = "TO"', "first set PD_ENABLED on the server"),
    "local": ('kind = "sms"\nnumber = "020 1234"', "number must be like +37120000000"),
    "call": ('kind = "call"\nnumber = "+37120000"', "first set TWILIO_FROM on the server"),
    "chat": (
        'kind = "whatsapp"\nnumber = "+37120000"',
        "first set TWILIO_USE_WHATSAPP on the server",
    ),
}


def test_what_cannot_work_is_refused(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    """The other channels are created."""
    tables = "".join(f"[channels.{name}]\n{table}\n" for name, (table, _) in REFUSED.items())
    write(tmp_path, head=tables + SHIPPED.partition("[channels.pagerduty]")[0])
    settings = {"TWILIO_ACCOUNT": "x", "TWILIO_AUTH": "x", "TWILIO_MESSAGING_SERVICE_SID": "x"}
    settings |= {"PD_ENABLED": "", "TWILIO_USE_WHATSAPP": ""}
    status, out, _ = bootstrap(tmp_path, stub, TO="s3cr3t", SETTINGS=json.dumps(settings))
    assert (status, "s3cr3t" in out) == (1, False)
    for (name, (_, text)), line in zip(REFUSED.items(), out.splitlines(), strict=False):
        assert (line.partition(" (")[0], f": refused: {text}" in line) == (name, True), line
    assert [one["name"] for one in kept(server)] == ["email", "slack"]


def test_two_numbers(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    table = '[channels.phone]\nkind = "sms"\nnumber = "+3712000001, +3712000002"\ndown = false\n'
    write(tmp_path, head=table)
    stub.add_channel("phone", "sms")
    settings = dict.fromkeys(("TWILIO_ACCOUNT", "TWILIO_AUTH", "TWILIO_FROM"), "x")
    assert bootstrap(tmp_path, stub, SETTINGS=json.dumps(settings))[0] == 0
    assert names(server) == {"phone": "+3712000001", "phone (+3712000002)": "+3712000002"}


def test_daily_reminders_stay(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    reminders = Path(f"{server}.reminders")
    reminders.write_text("86400")
    assert "every 1 day, 0:00:00\n" in bootstrap(tmp_path, stub)[1]
    assert reminders.read_text() == "86400"


def test_a_key_of_no_project(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    status, out, _ = bootstrap(tmp_path, stub, RIGHT_KEY="another")
    assert status == 1
    assert out == "HEALTHCHECKS_API_KEY: not the read-write API key of a project on this server\n"
    assert kept(server) == []


def test_secrets_that_are_not_set(tmp_path: Path, stub: HealthchecksStub, server: Path) -> None:
    expected = (
        "hcctl: HEALTHCHECKS_SLACK_WEBHOOK, HEALTHCHECKS_PAGERDUTY_KEY: not set; set each NAME, or"
        " NAME_FILE to the path of a file\n"
    )
    assert bootstrap(
        tmp_path, stub, HEALTHCHECKS_SLACK_WEBHOOK="", HEALTHCHECKS_PAGERDUTY_KEY=""
    ) == (1, "", expected)
    assert kept(server) == []


@pytest.mark.usefixtures("server")
def test_that_it_ran_is_not_enough(tmp_path: Path, stub: HealthchecksStub) -> None:
    """`--manage true` does nothing, successfully."""
    stub.channels.pop()
    status, _, err = bootstrap(tmp_path, stub, "--manage", "true")
    assert (status, "1 of 3 channels cannot be used: pagerduty; " in err) == (1, True)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("/no/such/manage.py", "/no/such/manage.py: No such file or directory"),
        ("sh -c 'exit 3'", "sh -c 'exit 3': exit status 3"),
        ("sh -c 'exit", "sh -c 'exit: No closing quotation"),
    ],
)
def test_a_command_that_fails(
    command: str, text: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    status, _, err = bootstrap(tmp_path, stub, "--manage", command)
    assert (status, err.partition(";")[0].strip()) == (1, f"hcctl: --manage: {text}")


@pytest.mark.usefixtures("server")
def test_secrets_are_in_no_argv_and_not_in_what_is_printed(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nexec {MANAGE} "$@"\n')
    spy.chmod(0o755)
    status, out, err = bootstrap(tmp_path, stub, "--manage", str(spy))
    assert status == 0
    status, printed, _ = ran(tmp_path, stub, "bootstrap", **SECRETS)
    assert status == 0
    argv = (tmp_path / "argv").read_text()
    for secret in (*SECRETS.values(), stub.api_key):
        assert secret not in out + err + printed + argv


def test_the_printed_script_reads_secrets_where_it_runs(
    tmp_path: Path, stub: HealthchecksStub, server: Path
) -> None:
    _, script, _ = ran(tmp_path, stub, "bootstrap")
    key = tmp_path / "key"
    key.write_text(f"{SECRETS['HEALTHCHECKS_PAGERDUTY_KEY']}\n")
    environ = {"CHANNELS": str(server), "RIGHT_KEY": stub.api_key}
    environ |= {"HEALTHCHECKS_API_KEY": stub.api_key, "HEALTHCHECKS_PAGERDUTY_KEY_FILE": str(key)}

    def run(**more: str) -> tuple[int, str]:
        command = [*shlex.split(MANAGE), "shell", "-v", "0", "-c"]
        done = subprocess.run(
            [*command, "import sys; exec(sys.stdin.read())"],
            input=script,
            env=environ | more,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout

    expected = (
        "email (email): created\n"
        "HEALTHCHECKS_SLACK_WEBHOOK: not set where manage.py runs,"
        " nor is HEALTHCHECKS_SLACK_WEBHOOK_FILE\n"
    )
    assert run() == (1, expected)
    assert run(HEALTHCHECKS_SLACK_WEBHOOK=SECRETS["HEALTHCHECKS_SLACK_WEBHOOK"])[0] == 0
    assert [(one["name"], one["kind"], one["value"]) for one in kept(server)] == MADE


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ('kind = "email"', "[channels.x] needs address or address_secret"),
        ('kind = "telegram"', "[channels.x] is telegram, which only the web interface can create"),
        (
            'kind = "slack"\nurl_secret = "A"\nchannel = "#ops"',
            "[channels.x] has channel, which slack does not have",
        ),
        (
            'kind = "email"\naddress = "a@b.c"\naddress_secret = "A"',
            "[channels.x] has address and address_secret",
        ),
    ],
)
def test_channels_that_cannot_be_made(
    words: str, text: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    path = write(tmp_path, head=f"[channels.x]\n{words}\n")
    assert ran(tmp_path, stub, "bootstrap") == (
        1,
        "",
        f"hcctl: {path}: {text}; see docs/sync.md, Channels\n",
    )


@pytest.mark.real("HC_REAL_MANAGE")
def test_a_real_server(tmp_path: Path) -> None:
    """HC_REAL_MANAGE is the command of its manage.py; the channels it makes stay there."""
    manage, url, key = setting("MANAGE"), setting("API_URL"), setting("API_KEY")
    slug = f"ch-{uuid4()}"
    path = write(tmp_path, **{slug: 'every = "5m"\nchannels = ["slack"]'}, head=SHIPPED)
    env = SECRETS | {"HEALTHCHECKS_API_URL": url, "HEALTHCHECKS_API_KEY": key}
    env |= {name: os.environ[name] for name in ("PATH",)}
    run = ("channels", "bootstrap", "--catalog", path, "--run", "--manage", manage)
    assert run_hcctl(tmp_path, *run, env=env).returncode == 0
    again = run_hcctl(tmp_path, *run, env=env)
    lines = ["email (email): exists", "slack (slack): exists", "pagerduty (pd): exists"]
    assert (again.returncode, again.stdout.splitlines()[:-1]) == (0, lines)
    client = client_of(url, key)
    assert run_hcctl(tmp_path, "sync", "--catalog", path, env=env).returncode == 0
    check = client.get_check(slug)
    assert check
    client.delete_check(check.uuid)
    kinds = {channel.id: channel.kind for channel in client.list_channels()}
    assert [kinds[one] for one in check.channels] == ["slack"]
