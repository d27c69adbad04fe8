"""checks.toml: what it gives, and the whole line for each thing that it may not say."""

from __future__ import annotations

import re
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


def wrong(text: str) -> list[str]:
    """All that it has against the text, line by line."""
    with pytest.raises(CatalogError) as caught:
        load(text)
    lines = str(caught.value).split("\n")
    assert len(lines) == max(1, len(caught.value.problems))
    return lines


WHOLE = """\
[defaults]
tier = "2"
environment = "production"
tags = ["app"]
options = "--quiet"

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
url_secret = "SLACK_WEBHOOK_URL"

[tiers.1]
level = "critical"
channels = ["mail", "chat"]
grace = "2m"
slo = { availability = 99.95 }

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

[checks.backup]
environment = "staging"
cron = "0  3 * * *"
timeout = "3h"
command = ["sh", "-c", "a > b"]
user = "postgres"
slo = { success = 95 }

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
        "chat": Channel("chat", "slack", {"url_secret": "SLACK_WEBHOOK_URL"}),
    }
    assert found.tiers == {
        "1": Tier("1", "critical", ("mail", "chat"), 120, Slo("availability", 99.95)),
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
        description="Cache.\nAnd broker.\n\n"
        "Logs: journalctl -u redis\nRestart: systemctl restart redis\nDepends on: memory",
        tags=("app", "db", "tier:1", "env:production", "managed:hcrun"),
        tier="1",
        environment="production",
        command=("probe-redis", "--host", "my host"),
        options=("--quiet", "--on-exit", "1=log"),
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
        tags=("app", "tier:2", "env:staging", "managed:hcrun"),
        tier="2",
        environment="staging",
        command=("sh", "-c", "a > b"),
        options=("--quiet",),
        user="postgres",
        slo=Slo("success", 95),
        channels=("mail",),
        line=line_of("[checks.backup]"),
    )
    assert tokens == Check(
        slug="tokens",
        name="tokens",
        schedule=Calendar("Mon 03:00"),
        zone="UTC",
        grace=3600,
        tags=("app", "tier:2", "env:production", "managed:hcrun"),
        tier="2",
        environment="production",
        line=line_of("[checks.tokens]"),
    )


def test_what_is_just_within_the_limits() -> None:
    """A real server takes it: test_real_catalog.py."""
    checks = load(EXTREMES).checks
    longest = checks[0]
    assert len(longest.slug) == len(longest.name) == 100
    assert len(" ".join(longest.tags)) == 500
    assert len(longest.description) == 5000
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
def test_a_multiplier_that_is_none(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load("", HEALTHCHECKS_GRACE_MULTIPLIER=value)
    assert str(caught.value) == (
        f'HEALTHCHECKS_GRACE_MULTIPLIER: "{value}" is no number above 0, and 1000 at most;'
        " 2 is usual"
    )


DURATION = 'write it like "30s", "5m" or "1h30m"'
LEAST = "is under 60 s; that is the least there is"
MOST = "is over 365 days; that is the most there is"
LIST = 'is no list; write it like ["one", "two"]'
PROMISE = "write it like {availability = 99.95} or {success = 95}"
OWN = "is given by hcctl itself; leave it out"
SECRET = "looks like a secret; put it into a setting, and the setting's name here, as"

# A line in [checks.a], beside `every = "5m"` and a command, and what is said of it.
IN_A_CHECK: list[tuple[str, str]] = [
    ("name = 5", "name: 5 is no text; put it in quotes"),
    ("name = true", "name: true is no text; put it in quotes"),
    ("name = 2026-01-01", "name: 2026-01-01 is no text; put it in quotes"),
    ("name = []", "name: a list is no text; put it in quotes"),
    ("name = {}", "name: a table is no text; put it in quotes"),
    ('name = " "', "name: is empty; leave it out, or fill it in"),
    (f'name = "{"x" * 101}"', "name: has 101 characters; 100 is the most"),
    (r'name = "a\nb"', r'name: "a\nb" has control characters in it; use plain text'),
    (r'name = "a\u0000b"', r'name: "a\x00b" has control characters in it; use plain text'),
    (
        r'description = "a\u0007b"',
        r'description: "a\x07b" has control characters in it; use plain text',
    ),
    (
        f'description = "{"x" * 5001}"',
        "description: has 5001 characters; 5000 is the most",
    ),
    ("grace = 60", f"grace: 60 is no duration; {DURATION}"),
    (
        'grace = "soon"',
        "grace: 'soon' is not a duration; write it like 30s, 5m, 1h30m or 2d",
    ),
    ('grace = "30s"', f'grace: "30s" {LEAST}'),
    ('grace = "60.5s"', 'grace: "60.5s" is no whole number of seconds; round it'),
    ('grace = "366d"', f'grace: "366d" {MOST}'),
    ('timeout = "0s"', 'timeout: "0s" is under 1 s; that is the least there is'),
    (
        'timeout = "5m"\ngrace = "2m"',
        (
            "grace: 120 s is under the time-out of 300 s; a run may take as long as the grace:"
            " make it longer than the time-out"
        ),
    ),
    ('cron = "* * * * *"', "cron: there is every too; one of them is enough"),
    (
        'zone = "Europe/Rigaa"',
        'zone: "Europe/Rigaa" is no time zone; write it like Europe/Riga or UTC',
    ),
    ('zone = "Europe"', 'zone: "Europe" is no time zone; write it like Europe/Riga or UTC'),
    ('zone = "../UTC"', 'zone: "../UTC" is no time zone; write it like Europe/Riga or UTC'),
    ('zone = "localtime"', 'zone: "localtime" is no time zone; write it like Europe/Riga or UTC'),
    ('user = "a b"', 'user: "a b" can be no user\'s name; see adduser(8)'),
    ('tags = "a"', f'tags: "a" {LIST}'),
    ("tags = [1]", "tags: 1 is no text; put it in quotes"),
    ('tags = ["a b"]', 'tags: "a b" is no tag; it has a space or a comma in it'),
    ('tags = ["a,b"]', 'tags: "a,b" is no tag; it has a space or a comma in it'),
    ('tags = ["tier:1"]', f'tags: "tier:1" {OWN}'),
    ('tags = ["env:x"]', f'tags: "env:x" {OWN}'),
    ('tags = ["managed:hcrun"]', f'tags: "managed:hcrun" {OWN}'),
    (
        f'tags = ["{"x" * 250}", "{"y" * 236}"]',
        "tags: have 501 characters in all; 500 is the most",
    ),
    ('tier = "1"', "tier: there is no [tiers.1]; add it, or take one of oops"),
    (
        'tier = "ops"',
        "tier: there is no [tiers.ops] (did you mean oops?); add it",
    ),
    ('environment = "x"', "environment: there is no [environments.x]; add it"),
    ('channels = "x"', f'channels: "x" {LIST}'),
    ('channels = ["x"]', "channels: there is no [channels.x]; add it"),
    ("slo = 99", f"slo: is not one promise; {PROMISE}"),
    ("slo = {}", f"slo: is not one promise; {PROMISE}"),
    ("slo = {availability = 1, success = 1}", f"slo: is not one promise; {PROMISE}"),
    ('slo = {availability = "99"}', f'slo: "99" is no number; {PROMISE}'),
    ("slo = {availability = true}", f"slo: true is no number; {PROMISE}"),
    ("slo = {uptime = 99}", f'slo: "uptime" is nothing to promise; {PROMISE}'),
    ("slo = {success = 0}", "slo: 0 is not above 0 and 100 at most; it is in per cent"),
    ("slo = {success = 100.1}", "slo: 100.1 is not above 0 and 100 at most; it is in per cent"),
    ("slo = {success = nan}", "slo: nan is not above 0 and 100 at most; it is in per cent"),
    ('options = "--nonsense"', "options: unknown option --nonsense; see hcrun --help"),
    (
        'options = "--on-exit 1=ok"',
        "options: invalid --on-exit '1=ok': end it with =success, =fail or =log",
    ),
    (
        'options = "--expect"',
        'options: "--expect" are not only options; a value is missing, or a word too many',
    ),
    (
        'options = "--quiet x"',
        'options: "--quiet x" are not only options; a value is missing, or a word too many',
    ),
    ('options = "--dry-run"', 'options: "--dry-run" runs nothing; leave it out'),
    ('options = "--help"', 'options: "--help" runs nothing; leave it out'),
    ('options = "--timeout 5s"', "options: --timeout is not for here; there is the key timeout"),
    ('graec = "5m"', "graec: there is no such key (did you mean grace?)"),
    (
        "x.y = 1",
        (
            "x: there is no such key; there are tier, environment, every, cron, calendar,"
            " timeout, command, options, user, channels, name, zone, grace, description, logs,"
            " restart, dependencies, tags, slo"
        ),
    ),
]


@pytest.mark.parametrize(("line", "said"), IN_A_CHECK, ids=[line for line, _ in IN_A_CHECK])
def test_wrong_in_a_check(line: str, said: str) -> None:
    text = f'[tiers.oops]\n[checks.a]\nevery = "5m"\ncommand = "true"\n{line}\n'
    number = 4 + len(line.split("\n"))
    assert wrong(text) == [f"checks.toml:{number}: checks.a.{said}"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("command = 5", "5 is no text; put it in quotes"),
        ("command = []", "is empty; leave it out, or fill it in"),
        ('command = ""', "is empty; leave it out, or fill it in"),
        ('command = ["", "a"]', "is empty; leave it out, or fill it in"),
        ('command = ["a", 5]', "5 is no text; put it in quotes"),
        (
            r'command = ["a", "b\nc"]',
            r'"b\nc" has control characters in it; put that into a script',
        ),
        (f'command = ["{"x" * 2001}"]', "has a word of 2001 characters; 2000 is the most"),
        ('command = "a \'b"', '"a \'b": no closing quotation; close it'),
        *(
            (
                f"command = '{line}'",
                (
                    f'"{line}": no shell reads this, and it has {sign} in it; quote that,'
                    ' or write ["sh", "-c", "..."]'
                ),
            )
            for line, sign in (
                ("a | b", "|"),
                ("a && b", "&"),
                ("a; b", ";"),
                ("a >/dev/null", ">"),
                ("a $HOME", "$"),
                ('a "$HOME"', "$"),
                ("a `b`", "`"),
            )
        ),
    ],
)
def test_wrong_commands(line: str, said: str) -> None:
    text = f'[checks.a]\nevery = "5m"\n{line}'
    assert wrong(text) == [f"checks.toml:3: checks.a.command: {said}"]


def test_what_looks_like_a_shell_s_in_quotes_is_none() -> None:
    line = r"""command = '''probe-sql --query "SELECT count(*) > 0" 'a|b' c\;d --x='$y' '''"""
    [check] = load(f'[checks.a]\nevery = "5m"\n{line}').checks
    assert check.command == (
        *("probe-sql", "--query", "SELECT count(*) > 0", "a|b", "c;d", "--x=$y"),
    )


@pytest.mark.parametrize("key", ["timeout = '5m'", "options = '--quiet'", "user = 'app'"])
def test_what_needs_a_command(key: str) -> None:
    name = key.partition(" ")[0]
    assert wrong(f'[checks.a]\nevery = "5m"\n{key}') == [
        (
            f"checks.toml:3: checks.a.{name}: is for a command, and there is none;"
            " leave it out, or give the command"
        )
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "",
            (
                'checks.toml:1: checks.a: does not say when it runs; as every = "5m",'
                ' cron = "*/5 * * * *" or calendar = "*:0/5"'
            ),
        ),
        ("every = 60", f"checks.toml:2: checks.a.every: 60 is no duration; {DURATION}"),
        ('every = "400d"', f'checks.toml:2: checks.a.every: "400d" {MOST}'),
        (
            'cron = "@daily"',
            (
                "checks.toml:2: checks.a.cron: '@daily' does not have the five fields of cron;"
                ' write it like "*/15 * * * *" (minute hour day month weekday)'
            ),
        ),
        (
            'calendar = "Funday"',
            (
                "checks.toml:2: checks.a.calendar: 'Funday' is no schedule: Bad day-of-week;"
                " see systemd.time(7)"
            ),
        ),
        ("cron = 5", "checks.toml:2: checks.a.cron: 5 is no text; put it in quotes"),
    ],
)
def test_wrong_schedules(line: str, said: str) -> None:
    assert wrong(f"[checks.a]\n{line}") == [said]


SLUG = "is no name of a check; a-z, 0-9, - and _, no - at its beginning, 100 characters at most"


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('["Redis"]', f'checks.Redis: "Redis" {SLUG}'),
        ('["a b"]', f'checks."a b": "a b" {SLUG}'),
        ('[""]', f'checks."": "" {SLUG}'),
        ('["-a"]', f'checks.-a: "-a" {SLUG}'),
        ('["ü"]', f'checks."ü": "ü" {SLUG}'),
        (
            '["0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"]',
            (
                "checks.0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11: looks like a UUID, and would be"
                " pinged as one; take another name"
            ),
        ),
        (
            "[a-b, a_b]",
            "checks.a_b: shares HC_CHECK_A_B with checks.a-b; rename one of them",
        ),
    ],
)
def test_wrong_slugs(tables: str, said: str) -> None:
    names = tables[1:-1].split(", ")
    text = "".join(f'[checks.{name}]\nevery = "5m"\n' for name in names)
    assert wrong(text) == [f"checks.toml:{2 * len(names) - 1}: {said}"]


def test_two_of_one_name() -> None:
    assert wrong('[checks.a]\nevery="5m"\nname="A"\n[checks.b]\nname="A"\nevery="5m"') == [
        'checks.toml:5: checks.b.name: "A" is that of checks.a too; change one'
    ]
    assert wrong('[checks.a]\nevery="5m"\n[checks.b]\nname="a"\nevery="5m"') == [
        'checks.toml:4: checks.b.name: "a" is that of checks.a too; change one'
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "zoom = 1",
            (
                "checks.toml:1: zoom: there is no such key; there are channels, tiers,"
                " environments, defaults, checks"
            ),
        ),
        ("[check.a]", "checks.toml:1: check: there is no such key (did you mean checks?)"),
        ("checks = 5", "checks.toml:1: checks: 5 is no table; it begins with [checks]"),
        ("[[checks]]", "checks.toml:1: checks: a list is no table; it begins with [checks]"),
        ("[checks]\na = 5", "checks.toml:2: checks.a: 5 is no table; it begins with [checks.a]"),
        ("defaults = []", "checks.toml:1: defaults: a list is no table; it begins with [defaults]"),
        ('[defaults]\ntier = "1"', "checks.toml:2: defaults.tier: there is no [tiers.1]; add it"),
        (
            "[defaults]\nevery = 1",
            (
                "checks.toml:2: defaults.every: there is no such key; there are tier, environment,"
                " zone, user, tags, options"
            ),
        ),
        (
            '[defaults]\noptions = "-x"',
            "checks.toml:2: defaults.options: unknown option -x; see hcrun --help",
        ),
        (
            '[tiers.1]\nlevel = "critcal"',
            (
                'checks.toml:2: tiers.1.level: "critcal" is no level; it is one of info, warning,'
                " critical, emergency"
            ),
        ),
        (
            '[tiers."a b"]',
            'checks.toml:1: tiers."a b": "a b" is no tag; it has a space or a comma in it',
        ),
        ('[tiers.1]\ngrace = "5s"', f'checks.toml:2: tiers.1.grace: "5s" {LEAST}'),
        (
            '[tiers.1]\nchannels = ["emial"]\n[channels.email]\nkind = "email"',
            (
                "checks.toml:2: tiers.1.channels: there is no [channels.emial] (did you mean"
                " email?); add it"
            ),
        ),
        (
            "[tiers.1]\nzone = 1",
            (
                "checks.toml:2: tiers.1.zone: there is no such key; there are level, channels,"
                " grace, slo"
            ),
        ),
        (
            "[environments.x]\ngrace = 1",
            (
                "checks.toml:2: environments.x.grace: there is no such key; there are zone, user,"
                " channels"
            ),
        ),
        (
            "[channels.a]",
            'checks.toml:1: channels.a.kind: is missing; as kind = "email"',
        ),
        (
            '[channels.a]\nkind = "emal"',
            (
                'checks.toml:2: channels.a.kind: "emal" is no kind of channel (did you mean'
                " email?); as email, slack or webhook"
            ),
        ),
        (
            '[channels."a,b"]\nkind = "email"',
            (
                'checks.toml:1: channels."a,b": is no name of a channel; no comma, and 100'
                " characters at most"
            ),
        ),
        (
            '[channels.a]\nkind = "sms"\nto = 5',
            "checks.toml:3: channels.a.to: is neither text nor true or false; put it in quotes",
        ),
    ],
)
def test_wrong_elsewhere(text: str, said: str) -> None:
    assert wrong(text) == [said]


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("slack", "url", "https://hooks.slack.com/services/T000/B000/XXXX"),
        ("webhook", "url", "https://user:hunter2@example.com/"),
        ("webhook", "url", "https://example.com/e3b0c44298fc1c149afbf4c8996fb924"),
        ("pd", "key", "hunter2"),
        ("pd", "service_key", "hunter2"),
        ("telegram", "token", "hunter2"),
        ("pd", "what", "e3b0c44298fc1c149afbf4c8996fb924"),
    ],
)
def test_secrets_stay_out_of_it(kind: str, key: str, value: str) -> None:
    text = f'[channels.on-call]\nkind = "{kind}"\n{key} = "{value}"'
    [line] = wrong(text)
    assert line == (
        f'checks.toml:3: channels.on-call.{key}: {SECRET} {key}_secret = "ON_CALL_{key.upper()}"'
    )


def test_a_secret_in_place_of_its_setting_is_not_shown() -> None:
    [line] = wrong('[channels.a]\nkind = "pd"\nkey_secret = "e3b0c44298fc1c149afbf4c8996fb924"')
    assert line == (
        "checks.toml:3: channels.a.key_secret: is no name of a setting; write it like"
        " SLACK_WEBHOOK_URL, and the secret itself into that variable or file"
    )


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


def test_all_that_is_wrong_is_said_in_the_order_of_the_lines() -> None:
    text = """\
[tiers.1]
level = "x"
[checks.b]
grace = "5s"
every = "1s"
# [checks.a] in a comment is none
description = '''
[checks.a]
grace = "in a text"
'''
[checks."a"]  # a comment
  "grace" = "6s"
every = "5m"
"""
    assert wrong(text) == [
        (
            'checks.toml:2: tiers.1.level: "x" is no level; it is one of info, warning, critical,'
            " emergency"
        ),
        f'checks.toml:4: checks.b.grace: "5s" {LEAST}',
        f'checks.toml:12: checks.a.grace: "6s" {LEAST}',
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[checks]\na.every = "5m"\na.grace = "6s"',
        '[checks.a]\nevery = "5m"\n"grace" = "6s"',
        "[checks.a]\nevery = '5m'\n grace='6s'",
        '[ checks . "a" ]\n\ngrace = "6s"\nevery = "5m"',
        'checks.a.every = "5m"\n\nchecks."a".grace = "6s"',
    ],
)
def test_lines_are_found_however_it_is_written(text: str) -> None:
    assert wrong(text) == [f'checks.toml:3: checks.a.grace: "6s" {LEAST}']


def test_the_nearest_line_where_there_is_none_of_its_own() -> None:
    assert wrong('\n[checks]\na = {every = "5m", grace = "6s"}') == [
        f'checks.toml:3: checks.a.grace: "6s" {LEAST}'
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"[checks.a\n",
            (
                "checks.toml:1: Expected ']' at the end of a table declaration;"
                " text goes in quotes, lists in [ ]; see https://toml.io"
            ),
        ),
        (b"a = 1\na = 2\n", "checks.toml:2: this key is there twice; leave one of them"),
        (b"a = 1\na = 2", "checks.toml:2: this key is there twice; leave one of them"),
        (
            b'[checks."a b"]\n[checks."a b"]\n',
            'checks.toml:2: [checks."a b"] is there twice; make one of them',
        ),
        (b"a = " + b"9" * 5000, "checks.toml: has a number that is too long"),
        (b"a = " + b"[" * 100_000, "checks.toml: is nested too deeply"),
        (b"\x7fELF\xff\xfe\x00", "checks.toml: is not UTF-8 text; save it as UTF-8"),
        (
            b"a\0b",
            (
                "checks.toml:1: Expected '=' after a key in a key/value pair;"
                " text goes in quotes, lists in [ ]; see https://toml.io"
            ),
        ),
    ],
)
def test_what_is_no_toml(data: bytes, said: str) -> None:
    Path("checks.toml").write_bytes(data)
    with pytest.raises(CatalogError) as caught:
        catalog.load("checks.toml")
    assert str(caught.value) == said


def test_a_byte_order_mark_is_passed_over() -> None:
    Path("checks.toml").write_bytes(b'\xef\xbb\xbf[checks.a]\nevery = "5m"')
    assert len(catalog.load("checks.toml").checks) == 1


def test_files_that_cannot_be_read() -> None:
    Path("directory").mkdir()
    for path, said in (
        ("none.toml", "none.toml: No such file or directory; hcctl init makes one"),
        ("directory", "directory: Is a directory"),
        ("/dev/zero", "/dev/zero: is longer than 16 million characters"),
    ):
        with pytest.raises(CatalogError) as caught:
            catalog.load(path)
        assert str(caught.value) == said


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
PLACES = [
    *(("defaults", key) for key in ("tier", "environment", "zone", "user", "tags", "options")),
    *(("tiers", "1", key) for key in ("level", "channels", "grace", "slo")),
    *(("environments", "staging", key) for key in ("zone", "user", "channels")),
    *(("channels", "mail", key) for key in ("kind", "to", "x_secret")),
    *(
        ("checks", "redis", key)
        for key in (
            *("name", "description", "logs", "tags", "tier", "environment", "every", "cron"),
            *("calendar", "zone", "grace", "timeout", "command", "options", "user", "slo"),
            *("channels", "else"),
        )
    ),
    *((top,) for top in ("defaults", "tiers", "environments", "channels", "checks", "else")),
    *((top, "x") for top in ("tiers", "environments", "channels", "checks")),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
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
