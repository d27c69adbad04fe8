"""checks.toml: what it gives, and the whole line for each thing that it may not say."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcrun import catalog
from hcrun.catalog import Channel, Check, Environment, Slo, Tier
from hcrun.catalog.parse import parse_catalog
from hcrun.catalog.schedule import Calendar, Cron, Every
from hcrun.catalog.toml_source import Source
from hcrun.errors import CatalogError, SettingsError
from hcrun.settings import Settings
from tests.real.test_catalog import EXTREMES


def load(text: str, **environ: str) -> catalog.Catalog:
    """The catalogue with this text, in a file checks.toml of the current directory."""
    Path("checks.toml").write_text(text)
    return catalog.load("checks.toml", Settings(environ, {}))


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(text: str) -> list[str]:
    """All messages on the text."""
    with pytest.raises(CatalogError) as caught:
        load(text)
    lines = str(caught.value).split("\n")
    assert len(lines) == max(1, len(caught.value.problems))
    return lines


ONLY_OPTIONS = "add the missing value or remove the other word"
QUOTE = 'quote it, or write ["sh", "-c", "..."]'
TOML = "put text in quotes and lists in [ ]; see https://toml.io"
MAIL = '[channels.mail]\nkind = "email"'
A = '[checks.a]\nevery = "5m"'
NEEDS_COMMAND = "needs a command; add command or remove this"
UUID = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
WHOLE = """\
[defaults]
tier = "2"
environment = "production"
tags = ["app"]
options = "--quiet"
runbook = "https://wiki/{slug}.md"

[environments.production]
zone = "Europe/Riga"
user = "app"

[environments.staging]
channels = ["mail"]

[channels.mail]
kind = "email"
to = "ops@example.com"
down = false

[channels.chat]
kind = "slack"
url_secret = "HEALTHCHECKS_SLACK_WEBHOOK"

[tiers.1]
level = "critical"
channels = ["mail", "chat"]
grace = "2m"
slo = { availability = 99.95 }
fail_after = 2
retries = 1
retry_delay = "15s"

[tiers.2]
channels = ["chat"]

[checks.redis]
name = "Redis"
description = '''
Cache.
And broker.'''
logs = "journalctl -u redis"
restart = "systemctl restart redis"
dependencies = "memory"
tags = ["db", "app"]
tier = "1"
every = "30s"
timeout = "5s"
command = "probe-redis --host 'my host'"
options = ["--on-exit", "1=log"]
retries = 0
recover_after = 3
dashboard = "https://grafana/d/hcrun?{slug}"

[checks.backup]
environment = "staging"
cron = "0  3 * * *"
timeout = "3h"
command = ["sh", "-c", "a > b"]
user = "postgres"
slo = { success = 95 }
needs = ["redis", "redis"]
settle = "1m"

[checks.tokens]
calendar = "Mon 03:00"
zone = "UTC"
grace = "1h"
channels = []
"""


def line_of(words: str) -> int:
    return WHOLE[: WHOLE.index(words)].count("\n") + 1


def test_a_whole_catalogue() -> None:
    found = load(WHOLE)
    assert found.path == "checks.toml"
    assert found.channels == {
        "mail": Channel("mail", "email", {"to": "ops@example.com", "down": "false"}),
        "chat": Channel("chat", "slack", {"url_secret": "HEALTHCHECKS_SLACK_WEBHOOK"}),
    }
    assert found.tiers == {
        "1": Tier(
            "1",
            "critical",
            ("mail", "chat"),
            120,
            Slo("availability", 99.95),
            {"fail_after": 2, "retries": 1, "retry_delay": 15},
        ),
        "2": Tier("2", "info", ("chat",)),
    }
    assert found.environments == {
        "production": Environment("production", "Europe/Riga", "app"),
        "staging": Environment("staging", channels=("mail",)),
    }
    redis, backup, tokens = found.checks
    assert redis == Check(
        slug="redis",
        name="Redis",
        schedule=Every(30),
        zone="Europe/Riga",
        grace=120,
        timeout=5,
        description="Severity: critical\nEnvironment: production\n\nCache.\nAnd broker.\n\n"
        "1. Logs: journalctl -u redis\n2. Restart: systemctl restart redis\n3. Depends on: memory"
        "\n\nRunbook: https://wiki/redis.md\nDashboard: https://grafana/d/hcrun?redis",
        tags=("severity:critical", "tier:1", "env:production", "app", "db", "managed:hcrun"),
        tier="1",
        severity="critical",
        environment="production",
        command=("probe-redis", "--host", "my host"),
        options=("--fail-after", "2", "--recover-after", "3", "--quiet", "--on-exit", "1=log"),
        user="app",
        slo=Slo("availability", 99.95),
        channels=("mail", "chat"),
        line=line_of("[checks.redis]"),
    )
    assert backup == Check(
        slug="backup",
        name="backup",
        schedule=Cron("0 3 * * *"),
        zone="UTC",
        grace=2 * 86400,
        timeout=10800,
        description="Severity: info\nEnvironment: staging\n\nRunbook: https://wiki/backup.md",
        tags=("severity:info", "tier:2", "env:staging", "app", "needs:redis", "managed:hcrun"),
        tier="2",
        severity="info",
        environment="staging",
        command=("sh", "-c", "a > b"),
        options=("--quiet",),
        user="postgres",
        slo=Slo("success", 95),
        channels=("mail",),
        needs=("redis",),
        settle=60,
        line=line_of("[checks.backup]"),
    )
    assert tokens == Check(
        slug="tokens",
        name="tokens",
        schedule=Calendar("Mon 03:00"),
        zone="UTC",
        grace=3600,
        description="Severity: info\nEnvironment: production\n\nRunbook: https://wiki/tokens.md",
        tags=("severity:info", "tier:2", "env:production", "app", "managed:hcrun"),
        tier="2",
        severity="info",
        environment="production",
        line=line_of("[checks.tokens]"),
    )


def test_what_is_just_within_the_limits() -> None:
    """A real server takes it: test_real_catalog.py."""
    checks = load(EXTREMES).checks
    longest = checks[0]
    assert len(longest.slug) == len(longest.name) == 100
    assert len(" ".join(longest.tags)) == 500
    assert longest.description.index("\n\nRunbook: ") == 5000
    assert longest.schedule == Every(31536000)
    assert longest.grace == 31536000
    expressions = [check.schedule for check in checks if isinstance(check.schedule, Cron)]
    assert max(len(schedule.expression) for schedule in expressions) == 100


def test_an_empty_one() -> None:
    assert load("") == catalog.Catalog("checks.toml", (), {}, {}, {})


@pytest.mark.parametrize(
    ("when", "timeout", "multiplier", "grace"),
    [
        ('every = "30s"', "", "", 60),
        ('every = "45s"', "", "", 90),
        ('every = "10m"', "", "", 1200),
        ('every = "10m"', "", "1", 600),
        ('every = "10m"', "", "0.5", 300),
        ('every = "10m"', 'timeout = "1h"', "", 3600),
        ('every = "365d"', "", "1000", 31536000),
        ('cron = "*/15 * * * *"', "", "", 1800),
        ('calendar = "*:0/5"', "", "3", 900),
    ],
)
def test_grace_where_none_is_given(when: str, timeout: str, multiplier: str, grace: int) -> None:
    text = f'[checks.a]\n{when}\n{timeout}\ncommand = "true"'
    [check] = load(text, HEALTHCHECKS_GRACE_MULTIPLIER=multiplier).checks
    assert check.grace == grace


def test_the_grace_of_a_tier_is_stretched_by_a_time_out() -> None:
    tier = '[tiers.1]\ngrace = "2m"\n[defaults]\ntier = "1"\n'
    [check] = load(f'{tier}[checks.a]\nevery = "1m"\ntimeout = "5m"\ncommand = "true"').checks
    assert check.grace == 300


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "two", "1001"])
def test_a_bad_multiplier(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load("", HEALTHCHECKS_GRACE_MULTIPLIER=value)
    assert str(caught.value) == (
        f'HEALTHCHECKS_GRACE_MULTIPLIER: "{value}" is not a number above 0 and up to 1000;'
        " the default is 2"
    )


# A line in [checks.a], to which a schedule and a command are added, and how its problem begins. The
# first line with a problem has the whole message.
IN_A_CHECK: list[tuple[str, str]] = [
    ("name = 5", "name: 5 is not text; put it in quotes"),
    ("name = true", "name: true is not text"),
    ("name = 2026-01-01", "name: 2026-01-01 is not text"),
    ("name = []", "name: a list is not text"),
    ("name = {}", "name: a table is not text"),
    ('name = " "', "name: is empty; fill it in or remove it"),
    (f'name = "{"x" * 101}"', "name: has 101 characters; the maximum is 100"),
    (r'name = "a\nb"', r'name: "a\nb" has control characters; use plain text'),
    (r'name = "a\u0000b"', r'name: "a\x00b" has control characters'),
    (r'description = "a\u0007b"', r'description: "a\x07b" has control characters'),
    (f'description = "{"x" * 5001}"', "description: has 5001 characters; the maximum is 5000"),
    ("grace = 60", 'grace: 60 is not a duration; write it like "30s", "5m" or "1h30m"'),
    ('grace = "soon"', "grace: 'soon' is not a duration; write it like 30s, 5m, 1h30m or 2d"),
    ('grace = "30s"', 'grace: "30s" is too short; the minimum is 60 s'),
    ('grace = "60.5s"', 'grace: "60.5s" is not a whole number of seconds; round it'),
    ('grace = "366d"', 'grace: "366d" is too long; the maximum is 365 days'),
    ('timeout = "0s"', 'timeout: "0s" is too short; the minimum is 1 s'),
    (
        'timeout = "5m"\ngrace = "2m"',
        "grace: 120 s is shorter than the 300 s of timeout, retries and fail_after; a run may take",
    ),
    (
        'timeout = "1m"\nretries = 1\nretry_delay = "10s"\ngrace = "2m"',
        "grace: 120 s is shorter than the 130 s of timeout, retries and fail_after; a run may take",
    ),
    ('fail_after = 3\ngrace = "9m"', "grace: 540 s is shorter than the 600 s of timeout, retries"),
    ("fail_after = 0", "fail_after: 0 is not a whole number from 1 to 999"),
    ('fail_after = "2"', 'fail_after: "2" is not a whole number from 1 to 999'),
    ("fail_after = 2.0", "fail_after: 2.0 is not a whole number"),
    ("recover_after = true", "recover_after: true is not a whole number from 1 to 999"),
    ("retries = -1", "retries: -1 is not a whole number from 0 to 999"),
    ("retries = 1000", "retries: 1000 is not a whole number"),
    ("retry_delay = 15", "retry_delay: 15 is not a duration"),
    (
        'options = "--fail-after=3"\nfail_after = 2',
        "fail_after: --fail-after is in options, too; remove one of them",
    ),
    ('runbook = "wiki/redis"', 'runbook: "wiki/redis" is no link; write it like https://wiki/'),
    ('dashboard = "https://me:pw@x/"', "dashboard: "),
    ('tags = ["needs:redis"]', 'tags: "needs:redis" is added by hcctl'),
    ('tags = ["severity:high"]', 'tags: "severity:high" is added by hcctl'),
    ("tags = ['a\"b']", 'tags: "a"b" is not a tag; remove the space, comma, quote'),
    ('every = "5m"\ncron = "* * * * *"', "cron: is set together with every; remove one of them"),
    ('zone = "Rigaa"', 'zone: "Rigaa" is not a time zone; write it like Europe/Riga or UTC'),
    ('zone = "Europe"', 'zone: "Europe" is not a time zone'),
    ('zone = "../UTC"', 'zone: "../UTC" is not a time zone'),
    ('zone = "localtime"', 'zone: "localtime" is not a time zone'),
    ('user = "a b"', 'user: "a b" is not a valid user name; see adduser(8)'),
    ('tags = "a"', 'tags: "a" is not a list; write it like ["one", "two"]'),
    ("tags = [1]", "tags: 1 is not text"),
    ('tags = ["a b"]', 'tags: "a b" is not a tag; remove the space, comma, quote or'),
    ('tags = ["a,b"]', 'tags: "a,b" is not a tag'),
    ('tags = ["tier:1"]', 'tags: "tier:1" is added by hcctl; remove it'),
    ('tags = ["env:x"]', 'tags: "env:x" is added by hcctl'),
    ('tags = ["managed:hcrun"]', 'tags: "managed:hcrun" is added by hcctl'),
    (f'tags = ["{"x" * 250}", "{"y" * 236}"]', "tags: have 501 characters in total; the maximum"),
    ('tier = "1"', "tier: there is no table [tiers.1]; add it, or use oops"),
    ('tier = "ops"', 'tier: there is no table [tiers.ops]; did you mean "oops"?'),
    ('environment = "x"', "environment: there is no table [environments.x]; add it"),
    ('channels = "x"', 'channels: "x" is not a list'),
    ('channels = ["x"]', "channels: there is no table [channels.x]"),
    ('needs = "a"', 'needs: "a" is not a list'),
    ('needs = ["aa"]', 'needs: there is no table [checks.aa]; did you mean "a"?'),
    ('needs = ["x"]', "needs: there is no table [checks.x]; add it, or remove the need"),
    ('needs = ["a"]', "needs: a needs a, a circle; remove one of these needs"),
    ('settle = "1m"', 'settle: is for a check with needs; add needs = ["redis"] or remove this'),
    ("slo = 99", "slo: is not one objective; write it like {availability = 99.95} or {success"),
    ("slo = {}", "slo: is not one objective"),
    ("slo = {availability = 1, success = 1}", "slo: is not one objective"),
    ('slo = {availability = "99"}', 'slo: "99" is not a number; write it like {availability = 99'),
    ("slo = {availability = true}", "slo: true is not a number"),
    ("slo = {uptime = 99}", 'slo: "uptime" is not an objective; write it like {availability = 99'),
    ("slo = {success = 0}", "slo: 0 is not above 0 and up to 100; give per cent"),
    ("slo = {success = 100.1}", "slo: 100.1 is not above 0 and up to 100"),
    ("slo = {success = nan}", "slo: nan is not above 0 and up to 100"),
    ('options = "--nonsense"', "options: unknown option --nonsense"),
    ('options = "--on-exit 1=ok"', "options: invalid --on-exit "),
    ('options = "--expect"', f'options: "--expect" is not only options; {ONLY_OPTIONS}'),
    ('options = "--quiet x"', 'options: "--quiet x" is not only options'),
    ('options = "--dry-run"', 'options: "--dry-run" runs nothing; remove it'),
    ('options = "--help"', 'options: "--help" runs nothing'),
    ('options = "--timeout 5s"', 'options: --timeout is a key of its own; write timeout = "5m"'),
    ("command = 5", "command: 5 is not text; put it in quotes"),
    ("command = []", "command: is empty; fill it in or remove it"),
    ('command = ""', "command: is empty"),
    ('command = ["", "a"]', "command: is empty"),
    ('command = ["a", 5]', "command: 5 is not text"),
    (r'command = ["a", "b\nc"]', r'command: "b\nc" has control characters; put it into a script'),
    (f'command = ["{"x" * 2001}"]', "command: has a word of 2001 characters; the maximum is 2000"),
    ('command = "a \'b"', 'command: "a \'b": no closing quotation; close the quotes'),
    ("command = 'a | b'", f'command: "a | b" is not run by a shell but contains |; {QUOTE}'),
    ("command = 'a && b'", 'command: "a && b" is not run by a shell but contains &;'),
    ("command = 'a; b'", 'command: "a; b" is not run by a shell but contains ;;'),
    ("command = 'a >/dev/null'", 'command: "a >/dev/null" is not run by a shell but contains >;'),
    ("command = 'a $HOME'", 'command: "a $HOME" is not run by a shell but contains $;'),
    ("command = 'a \"$HOME\"'", 'command: "a "$HOME"" is not run by a shell but contains $;'),
    ("command = 'a `b`'", 'command: "a `b`" is not run by a shell but contains `;'),
    ("every = 60", "every: 60 is not a duration"),
    ('every = "400d"', 'every: "400d" is too long'),
    ('cron = "@daily"', "cron: '@daily' does not have the five fields of cron;"),
    ('calendar = "Funday"', "calendar: 'Funday' is not a schedule"),
    ('calendar = "0:0 Europe"', "calendar: '0:0 Europe' is not a schedule: \"Europe\" is not a"),
    ("cron = 5", "cron: 5 is not text"),
]


@pytest.mark.parametrize(("line", "problem"), IN_A_CHECK, ids=[line for line, _ in IN_A_CHECK])
def test_a_bad_key_of_a_check(line: str, problem: str) -> None:
    text = f"[tiers.oops]\n[checks.a]\n{line}\n"
    text += "" if line.startswith(("every", "cron", "calendar")) else 'every = "5m"\n'
    text += "" if line.startswith("command") else 'command = "true"\n'
    [message] = problems(text)
    assert message.startswith(f"checks.toml:{2 + len(line.splitlines())}: checks.a.{problem}")


def needing(**needs: list[str]) -> str:
    tables = [f'[checks.{slug}]\nevery = "1m"\nneeds = {need}\n' for slug, need in needs.items()]
    return "".join(tables)


def test_options_have_precedence_over_the_dampening_of_a_tier() -> None:
    tier = '[tiers.1]\nretries = 1\nretry_delay = "9s"\n[defaults]\ntier = "1"\n'
    check = '[checks.a]\nevery = "1m"\ncommand = "true"\n'
    [alone] = load(f'{check}retry_delay = "9s"\noptions = "--retries 3"').checks
    assert alone.options == ("--retry-delay", "9s", "--retries", "3")
    expected = {
        "": ("--retries", "1", "--retry-delay", "9s"),
        'options = "--retries 3"': ("--retry-delay", "9s", "--retries", "3"),
        "retries = 2": ("--retries", "2", "--retry-delay", "9s"),
        "retries = 0": (),
    }
    assert {more: load(f"{tier}{check}{more}").checks[0].options for more in expected} == expected


WEBHOOK = "[channels.hook]\nkind = 'webhook'\nurl_secret = 'HOOK'\nbody = '{}'\n"


@pytest.mark.parametrize(
    "body",
    [
        '{"name": $NAME_JSON, "text": $BODY_JSON, "tags": "$TAGS", "first": "$TAG1"}',
        '[$JSON, "$STATUS at $NOW", "$CODE/$SLUG", $EXITSTATUS]',
        "$NAME is $STATUS: $BODY",  # plain text
        'the text is "$BODY"',
    ],
)
def test_a_body_of_a_webhook(body: str) -> None:
    assert load(WEBHOOK.replace("{}", body)).channels["hook"].options["body"] == body


@pytest.mark.parametrize(
    "body",
    [
        '{"text": "$BODY"}',
        '{"text": $BODY}',
        '{"name": "$NAME"}',
        '{"text": "$BODY_JSON"}',
        '["is $NAME_JSON down?"]',
        '{"status": $STATUS',
        '"$BODY"',
    ],
)
def test_a_body_that_the_server_makes_invalid(body: str) -> None:
    [message] = problems(WEBHOOK.replace("{}", body))
    assert message == (
        "checks.toml:4: channels.hook.body: is not valid JSON once the server has filled it in;"
        ' write $BODY_JSON, not "$BODY", and $NAME_JSON, not "$NAME"'
    )


def test_the_name_on_the_server() -> None:
    """The severity stands first; the whole has at most 100 characters, as the server wants it."""
    text = '[tiers.1]\nlevel = "critical"\n[environments.x]\n[checks.a]\nevery = "1m"\n'
    name = f'name = "{"n" * 85}"\n'
    titles = {
        f'tier = "1"\nenvironment = "x"\n{name}': f"[critical x] {'n' * 85}",
        'tier = "1"': "[critical] a",
        'environment = "x"': "[x] a",
        "": "a",
    }
    assert {more: load(text + more).checks[0].title for more in titles} == titles
    [message] = problems(f'{text}tier = "1"\nenvironment = "x"\n{name.replace("n" * 85, "n" * 88)}')
    assert message == (
        "checks.toml:8: checks.a.name: has 101 characters with severity and environment; "
        "the maximum is 100"
    )


def test_a_circle_of_needs() -> None:
    [message] = problems(needing(a=["b"], b=["c", "d"], c=[], d=["a"]))
    assert re.fullmatch(
        r"checks.toml:\d+: checks.\w.needs: (\w needs ){3}\w, a circle; .*", message
    )


def test_what_a_check_needs_in_turn() -> None:
    """The deepest first; a long chain is no problem."""
    found = load(needing(api=["redis", "db"], db=["disk"], disk=[], redis=["disk"], other=[]))
    slugs = [check.slug for check in found.roots(["api"])]
    assert (slugs[0], sorted(slugs[1:3]), slugs[3]) == ("disk", ["db", "redis"], "api")
    assert found.roots(["no-such-check"]) == found.roots([]) == []
    chain = {f"c{number}": [f"c{number + 1}"] for number in range(2000)} | {"c2000": []}
    assert [root.slug for root in load(needing(**chain)).roots(["c0"])] == [*chain][::-1]


def test_quotes_hide_shell_syntax() -> None:
    line = r"""command = '''probe-sql --query "SELECT count(*) > 0" 'a|b' c\;d --x='$y' '''"""
    [check] = load(f'[checks.a]\nevery = "5m"\n{line}').checks
    assert check.command == ("probe-sql", "--query", "SELECT count(*) > 0", "a|b", "c;d", "--x=$y")


@pytest.mark.parametrize("name", ["Redis", '"a b"', '""', "-a", '"ü"', UUID, "x" * 101])
def test_a_bad_slug(name: str) -> None:
    [message] = problems(f'[checks.{name}]\nevery = "5m"\n')
    assert message.startswith(f"checks.toml:1: checks.{name}: ")
    assert message.endswith(
        " is not a valid slug; use a-z, 0-9, _ and -, not - at the start, at most 100 characters"
        " and no UUID"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "zoom = 1",
            '1: unknown key "zoom"; the keys are channels, tiers, environments, drills, defaults',
        ),
        ("[check.a]", '1: unknown key "check"; did you mean "checks"?'),
        ("[checks.a]\nevery='5m'\ngraec=1", '3: unknown key "graec" in [checks.a]; did you mean'),
        ("[checks.a]\nevery='5m'\nx.y=1", '3: unknown key "x" in [checks.a]; the keys are tier'),
        ("checks = 5", "1: checks: 5 is not a table; begin it with [checks]"),
        ("[[checks]]", "1: checks: a list is not a table"),
        ("[checks]\na = 5", "2: checks.a: 5 is not a table; begin it with [checks.a]"),
        ("defaults = []", "1: defaults: a list is not a table"),
        ('[defaults]\ntier = "1"', "2: defaults.tier: there is no table [tiers.1]; add it"),
        ("[defaults]\nevery = 1", '2: unknown key "every" in [defaults]; the keys are tier'),
        ('[defaults]\noptions = "-x"', "2: defaults.options: unknown option -x"),
        ('[tiers.1]\nlevel = "high"', '2: tiers.1.level: "high" is not a level; use info, warning'),
        ('[tiers."a b"]', '1: tiers."a b": "a b" is not a tag'),
        ('[tiers.1]\ngrace = "5s"', '2: tiers.1.grace: "5s" is too short; the minimum is 60 s'),
        (f'[tiers.1]\nchannels = ["mial"]\n{MAIL}', "2: tiers.1.channels: there is no table"),
        ("[tiers.1]\nzone = 1", '2: unknown key "zone" in [tiers.1]; the keys are level, channels'),
        ("[environments.x]\ngrace = 1", '2: unknown key "grace" in [environments.x]; the keys are'),
        ("[channels.a]", '1: channels.a.kind: is missing; add kind = "email"'),
        ('[channels.a]\nkind = "emal"', '2: channels.a.kind: "emal" is not a kind of channel; did'),
        ('[channels.a]\nkind = "x"', '2: channels.a.kind: "x" is not a kind of channel; write it'),
        (f'{MAIL}\n[channels."a,b"]\nkind = "sms"', '3: channels."a,b": invalid channel name;'),
        ("[checks.a]", "1: checks.a: has no schedule; add every = "),
        (f'{A}\ntimeout = "5m"', f"3: checks.a.timeout: {NEEDS_COMMAND}"),
        (f'{A}\noptions = "--quiet"', f"3: checks.a.options: {NEEDS_COMMAND}"),
        (f'{A}\nuser = "app"', f"3: checks.a.user: {NEEDS_COMMAND}"),
        (f'{A}\n[checks.b]\nname="a"\nevery="5m"', '4: checks.b.name: checks.a has "a", too;'),
        (
            '[checks.a-b]\nevery="5m"\n[checks.a_b]\nevery="5m"',
            "3: checks.a_b: checks.a-b has HC_CHECK_A_B, too; rename one of them",
        ),
        (f"{MAIL}\nto = 5", "3: channels.mail.to: is neither text nor true or false; put it in"),
    ],
)
def test_bad_tables_and_keys(text: str, problem: str) -> None:
    [message] = problems(text)
    assert message.startswith(f"checks.toml:{problem}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "https://hooks.slack.com/services/T000/B000/XXXX"),
        ("url", "https://user:hunter2@example.com/"),
        ("url", "https://example.com/e3b0c44298fc1c149afbf4c8996fb924"),
        ("key", "hunter2"),
        ("service_key", "hunter2"),
        ("token", "hunter2"),
        ("what", "e3b0c44298fc1c149afbf4c8996fb924"),
    ],
)
def test_secrets_are_refused(key: str, value: str) -> None:
    [message] = problems(f'[channels.on-call]\nkind = "webhook"\n{key} = "{value}"')
    assert message == (
        f"checks.toml:3: channels.on-call.{key}: looks like a secret; put it into a setting and"
        f' name the setting here: {key}_secret = "ON_CALL_{key.upper()}"'
    )


def test_a_secret_in_place_of_its_setting_is_not_shown() -> None:
    secret = "e3b0c44298fc1c149afbf4c8996fb924"
    [message] = problems(f'[channels.a]\nkind = "pd"\nkey_secret = "{secret}"')
    assert message.startswith("checks.toml:3: channels.a.key_secret: is not the name of a setting;")
    assert secret not in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("to", "monitoring-2026-and-a-long-name@example.com"),
        ("url", "https://alerts.example.com/new?from=hcrun"),
        ("to", "+37120000000"),
        ("room", "monitoring-and-alerting-of-the-team"),
    ],
)
def test_what_is_no_secret(key: str, value: str) -> None:
    found = load(f'[channels.a]\nkind = "webhook"\n{key} = "{value}"')
    assert found.channels["a"].options == {key: value}


def test_problems_are_in_the_order_of_the_lines() -> None:
    text = """\
[tiers.1]
level = "x"
[checks.b]
grace = "5s"
every = "1s"
# [checks.a] in a comment does not count
description = '''
[checks.a]
grace = "in a text"
'''
[checks."a"]  # a comment
  "grace" = "6s"
every = "5m"
"""
    places = [": ".join(message.split(": ")[:2]) for message in problems(text)]
    assert places == [
        "checks.toml:2: tiers.1.level",
        "checks.toml:4: checks.b.grace",
        "checks.toml:12: checks.a.grace",
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[checks]\na.every = "5m"\na.grace = "6s"',
        '[checks.a]\nevery = "5m"\n"grace" = "6s"',
        "[checks.a]\nevery = '5m'\n grace='6s'",
        '[ checks . "a" ]\n\ngrace = "6s"\nevery = "5m"',
        'checks.a.every = "5m"\n\nchecks."a".grace = "6s"',
        '\n[checks]\na = {every = "5m", grace = "6s"}',  # the nearest line
    ],
)
def test_lines_are_found_however_it_is_written(text: str) -> None:
    [message] = problems(text)
    assert message.startswith('checks.toml:3: checks.a.grace: "6s" is too short')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[checks.a\n", f":1: Expected ']' at the end of a table declaration; {TOML}"),
        (b"a = 1\na = 2\n", ":2: this key occurs twice; remove one of them"),
        (b"a = 1\na = 2", ":2: this key occurs twice; remove one of them"),
        (b'[checks."a b"]\n[checks."a b"]', ':2: [checks."a b"] occurs twice; merge the tables'),
        (b"a = " + b"9" * 5000, ": a number is too long"),
        (b"a = " + b"[" * 100_000, ": too deeply nested"),
        (b"\x7fELF\xff\xfe\x00", ": not UTF-8 text; save it as UTF-8"),
        (b"a\0b", f":1: Expected '=' after a key in a key/value pair; {TOML}"),
    ],
)
def test_what_is_not_toml(data: bytes, message: str) -> None:
    Path("checks.toml").write_bytes(data)
    with pytest.raises(CatalogError) as caught:
        catalog.load("checks.toml")
    assert str(caught.value) == f"checks.toml{message}"


def test_a_byte_order_mark_is_passed_over() -> None:
    Path("checks.toml").write_bytes(b'\xef\xbb\xbf[checks.a]\nevery = "5m"')
    assert len(catalog.load("checks.toml").checks) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.toml", "none.toml: No such file or directory; create it with hcctl init"),
        ("/", "/: Is a directory"),
        ("/dev/zero", "/dev/zero: longer than 16 million characters"),
    ],
)
def test_files_that_cannot_be_read(path: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog.load(path)
    assert str(caught.value) == message


# Nothing of the wrong type, or in the wrong place, is more than a problem.

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        ["", "5m", "0 3 * * *", "*:0/5", "1", "a b", "\x00", "x" * 600, "--quiet", "é", "UTC", "'"]
    )
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.booleans()
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "kind", "success", ""]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(table: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of all tables, with the keys of the tables around them, and an unknown one."""
    yield (*above, "else")
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(places(tomllib.loads(WHOLE)))), VALUES),
        min_size=1,
        max_size=3,
    )
)
def test_no_value_anywhere_is_a_surprise(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    source = Source("checks.toml", WHOLE)
    values: dict[str, Any] = dict(source.root.values)
    for place, value in changes:
        table = values
        for key in place[:-1]:
            inner = table.get(key)
            table[key] = dict(inner) if isinstance(inner, dict) else {}
            table = table[key]
        table[place[-1]] = value
    source.root.values = values
    found = parse_catalog(source, 2)
    for _, problem in source.problems:
        assert re.fullmatch(r"checks\.toml:\d+: .+|checks\.toml: .+", str(problem))
        assert "\n" not in str(problem)
    if not source.problems:
        for check in found.checks:
            within_limits(check)


def within_limits(check: Check) -> None:
    """Of the server, and of what runs it."""
    assert re.fullmatch(r"[a-z0-9_-]{1,100}", check.slug)
    assert 1 <= len(check.name) <= 100
    assert len(" ".join(check.tags)) <= 500
    assert 60 <= check.grace <= 31536000
    assert check.timeout is None or 1 <= check.timeout <= check.grace
    assert "\0" not in check.name + check.description + "".join(check.command)
    if isinstance(check.schedule, Every):
        assert 1 <= check.schedule.seconds <= 31536000
    else:
        assert len(check.schedule.expression) <= 100


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_text_is_a_surprise(data: st.DataObject) -> None:
    """Of a good file, some of it cut out, doubled or replaced."""
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(len(WHOLE), start + 40)))
    put = data.draw(
        st.text(max_size=5) | st.sampled_from(["[[checks]]\n", '"""', "'", "=", "[", "]]", "\n"])
    )
    try:
        source = Source("checks.toml", WHOLE[:start] + put + WHOLE[end:])
    except CatalogError:
        return
    for check in parse_catalog(source, 2).checks:
        if not source.problems:
            within_limits(check)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('was = "Old"', 'was: "Old" is not a slug; write its old one'),
        ('was = "b"', "was: there still is a check b; remove one of them"),
        ('was = "a"', "was: there still is a check a; remove one of them"),
        ('was = "old"', "was: checks.b has it, too; remove one of them"),
    ],
)
def test_a_former_slug_is_of_one_check(more: str, problem: str) -> None:
    text = f'[checks.b]\nevery = "5m"\nwas = "old"\n[checks.a]\nevery = "5m"\n{more}\n'
    assert problems(text) == [f"checks.toml:6: checks.a.{problem}"]


def test_all_channels_of_the_project() -> None:
    catalog = load('[tiers.1]\nchannels = "*"\n[checks.a]\nevery = "5m"\ntier = "1"\n')
    assert catalog.checks[0].channels == ("*",)
    [message] = problems('[checks.a]\nevery = "5m"\nchannels = "all"\n')
    assert message.endswith('"all" is not a list; write it like ["one", "two"]')


def test_long_names_that_differ_at_their_end() -> None:
    name = "x" * 90
    text = f'[checks.a]\nevery = "5m"\nname = "{name}a"\n[checks.b]\nevery = "5m"\nname = "{name}b"'
    assert [check.name[-1] for check in load(text).checks] == ["a", "b"]
