"""`hcctl import crontab`: what it makes of the jobs that there are, all of it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hcrun.catalog import SHIPPED, load
from hcrun.catalog.parse import catalog
from hcrun.catalog.toml_source import Source
from hcrun.formats import shell
from hcrun.formats.crontab import entries
from hcrun.schedulers import import_names
from hcrun.schedulers.import_jobs import propose
from hcrun.schedulers.import_sources import from_crontab, from_timer
from hcrun.settings import Settings
from tests.support.command import HCCTL, environment, run_hcctl

UUID = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
PINGED = (
    "it pings by itself, which hcrun now does; to keep that check and its history, give it the"
    " slug job on the server"
)


def proposed(text: str, zone: str = "") -> tuple[str, list[str]]:
    """Of a user's crontab: the tables, and the notes."""
    found, notes = from_crontab(entries(text, system=False), "app", zone)
    proposals = propose(found)
    toml = "\n".join(proposal.toml for proposal in proposals)
    return toml, notes + [note for proposal in proposals for note in proposal.notes]


def one(line: str) -> dict[str, object]:
    """The table for one line, less the user."""
    toml, notes = proposed(line + "\n")
    assert notes == []
    [(slug, table)] = tomllib.loads(toml)["checks"].items()
    assert table.pop("user") == "app"
    return {"slug": slug, **table}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "*/5 * * * * /usr/local/bin/clean-up.sh -v 'a b'",
            {
                "slug": "clean-up",
                "cron": "*/5 * * * *",
                "command": ["/usr/local/bin/clean-up.sh", "-v", "a b"],
            },
        ),
        (
            "@daily  backup  >/dev/null 2>&1",
            {"slug": "backup", "cron": "0 0 * * *", "grace": "1h", "command": "backup"},
        ),
        (
            "0 3 * * 1 cd /srv && python3 manage.py clearsessions >> /var/log/x 2>&1",
            {
                "slug": "clearsessions",
                "cron": "0 3 * * 1",
                "grace": "1h",
                "command": [
                    *("sh", "-c"),
                    "cd /srv && python3 manage.py clearsessions >> /var/log/x 2>&1",
                ],
            },
        ),
        (
            r'*/5 * * * * echo "$(date +\%F)"',
            {"slug": "sh", "cron": "*/5 * * * *", "command": ["sh", "-c", 'echo "$(date +%F)"']},
        ),
        (
            r"*/5 * * * * mail root%Dear root,%100\% full",
            {
                "slug": "mail",
                "cron": "*/5 * * * *",
                "command": ["sh", "-c", r"printf 'Dear root,\n100%% full\n' | { mail root; }"],
            },
        ),
        (
            "*/5 * * * * hcrun --timeout 10m --overlap skip nightly -- /opt/n.sh > /dev/null",
            {
                "slug": "nightly",
                "cron": "*/5 * * * *",
                "timeout": "10m",
                "options": "--overlap skip",
                "command": "/opt/n.sh",
            },
        ),
        (
            "0 3 * * * /opt/bin/hcrun --timeout=2h backup pg_dump app",
            {
                "slug": "backup",
                "cron": "0 3 * * *",
                "timeout": "2h",
                "grace": "2h",
                "command": "pg_dump app",
            },
        ),
        (
            f"*/5 * * * * hcrun {UUID} -- sh -c 'a | b'",
            {"slug": "a", "cron": "*/5 * * * *", "command": ["sh", "-c", "a | b"]},
        ),
        (
            "*/5 * * * * hcrun job -- a | b",
            {"slug": "job", "cron": "*/5 * * * *", "command": ["sh", "-c", "a | b"]},
        ),
        (
            "*/5 * * * * cd /srv && hcrun --quiet job -- ./run --now",
            {
                "slug": "job",
                "cron": "*/5 * * * *",
                "options": "--quiet",
                "command": ["sh", "-c", "cd /srv && ./run --now"],
            },
        ),
    ],
)
def test_a_line(line: str, expected: dict[str, object]) -> None:
    assert one(line) == expected


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (f"/x/job.sh && curl -fsS -m 10 https://hc-ping.com/{UUID} > /dev/null", "/x/job.sh"),
        (
            f"curl https://hc/ping/{UUID}/start; /x/job.sh; curl https://hc/ping/{UUID}/$?",
            "/x/job.sh",
        ),
        ('m=$(/x/job.sh 2>&1); curl --data-raw "$m" https://hc-ping.com/key/x/$?', "/x/job.sh"),
        ("/x/job.sh && wget $HC_URL -O /dev/null || curl $HC_URL/fail", "/x/job.sh"),
        ("/x/job.sh | curl --data-binary @- $PING_URL", "/x/job.sh"),
        ("/x/job.sh; curl ${HEALTHCHECK}", "/x/job.sh"),
        ("cd /x && ./job.sh && curl $PING", ["sh", "-c", "cd /x && ./job.sh"]),
    ],
)
def test_pings_are_taken_out(line: str, command: object) -> None:
    toml, notes = proposed(f"*/5 * * * * {line}\n")
    assert tomllib.loads(toml)["checks"]["job"]["command"] == command
    assert notes == [f"line 1, job: {PINGED}"]


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("(/x/job.sh; curl $PING_URL)", "there is still a ping in it; take that out"),
        ("flock /l hcrun x -- /x/job.sh", "hcrun is somewhere in it; take that out"),
        ("curl $PING_URL", "there is still a ping in it; take that out"),
        (
            "/x/job.sh --password=hunter2hunter2",
            "there seems to be a secret in it, and all may read the catalogue",
        ),
    ],
)
def test_what_deserves_a_second_look(line: str, note: str) -> None:
    _, notes = proposed(f"*/5 * * * * {line}\n")
    assert [re.sub(r"^line 1, \w+: ", "", each) for each in notes][-1] == note


def test_settings_of_a_crontab() -> None:
    text = """\
SHELL=/bin/bash
MAILTO=""
PATH=/opt/bin:/bin
API_TOKEN=abcdefgh12345
HC_CHECK_A=0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11
CRON_TZ=Europe/Riga
*/5 * * * * a; b
*/5 * * * * c
"""
    toml, notes = proposed(text)
    assert toml == (
        "[checks.a]  # line 7\n"
        'cron = "*/5 * * * *"\n'
        'user = "app"\n'
        'command = ["env", "PATH=/opt/bin:/bin", "/bin/bash", "-c", "a; b"]\n'
        "\n"
        "[checks.c]  # line 8\n"
        'cron = "*/5 * * * *"\n'
        'user = "app"\n'
        'command = "env PATH=/opt/bin:/bin c"\n'
    )
    assert notes == [
        "line 7: Debian's cron takes no notice of CRON_TZ",
        "API_TOKEN is left out, as it looks secret: let the command read it from a file",
        "HC_CHECK_A is left out: put it into /etc/hcrun/hcrun.env",
        "line 8: Debian's cron takes no notice of CRON_TZ",
    ]


def test_half_minutes_are_one_job() -> None:
    lines = ["probe", "sleep 30; probe", "sleep 20; other", "third", "sleep 15; third"]
    toml, notes = proposed("".join(f"* * * * * {line}\n" for line in lines))
    tables = tomllib.loads(toml)["checks"]
    assert notes == []
    assert tables["probe"] == {"every": "30s", "user": "app", "command": "probe"}
    assert {slug: table.get("cron") for slug, table in tables.items()} == {
        "probe": None,
        "other": "* * * * *",
        "third": "* * * * *",
        "third-2": "* * * * *",
    }


def test_what_is_left_out_is_said() -> None:
    toml, notes = proposed("@reboot a\n* * * * * b\n")
    assert list(tomllib.loads(toml)["checks"]) == ["b"]
    assert notes == ["line 1: @reboot is no schedule; it is left out"]


def test_what_the_catalogue_does_not_take_is_a_comment() -> None:
    toml, notes = proposed("* * * * * a \x07\n")
    assert toml.startswith("# [checks.a]")
    assert tomllib.loads(toml) == {}
    assert notes == [
        r'line 1, a: "\x07" has control characters in it; put that into a script',
        "line 1, a: so it is a comment",
    ]


def test_the_host_s_zone_is_in_it() -> None:
    toml, _ = proposed("@daily a\n", zone="Europe/Riga")
    assert tomllib.loads(toml)["checks"]["a"]["zone"] == "Europe/Riga"


@pytest.mark.parametrize(
    ("line", "slug"),
    [
        ("/usr/local/bin/backup.sh", "backup"),
        ("python3 -u /srv/app/clean_up.py -v", "clean-up"),
        ("python3 -m app.jobs.clean", "app-jobs-clean"),
        ("python3 -m", "python3"),
        ("nice -n 10 ionice -c3 /opt/x/Backup_DB.pl", "backup-db"),
        ("flock -n /tmp/l php /var/www/artisan schedule:run", "schedule-run"),
        ("docker compose exec -T db pg_dump app", "pg-dump"),
        ("docker exec -t -u x db pg_dump app", "pg-dump"),
        ("sudo -u www-data timeout 5m rsync -a a b", "rsync"),
        ("FOO=1 /x/y.sh", "y"),
        ("test -x /a || ( cd / && run-parts --report /etc/cron.daily )", "run-parts"),
        ("[ -x /a ] && if [ ! -d /b ]; then /usr/lib/php/sessionclean; fi", "sessionclean"),
        ("/usr/bin/env python3 x.py", "x"),
        ("certbot -q renew", "certbot"),
        (UUID, f"job-{UUID}"),
        ("a 'b", "a"),
        ("''", "job"),
        ("ü", "job"),
        ("x" * 200, "x" * 60),
    ],
)
def test_names(line: str, slug: str) -> None:
    assert import_names.slug(shell.words(line)) == slug


# Through the command line.


def run(tmp_path: Path, *arguments: str, given: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [HCCTL, "import", "crontab", *arguments],
        env=environment(tmp_path),
        cwd=tmp_path,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    zone = r'zone = "[^"]+"\n'
    return done.returncode, re.sub(zone, "", done.stdout), done.stderr


def test_a_user_s_crontab_on_stdin(tmp_path: Path) -> None:
    table = '[checks.a]  # line 1\ncron = "0 1 * * *"\n{}grace = "1h"\ncommand = "a"\n\n'
    assert run(tmp_path, "-", "--user", "bob", given="0 1 * * * a\n") == (
        0,
        table.format('user = "bob"\n'),
        "",
    )
    assert run(tmp_path, "-", given="0 1 * * * a\n") == (
        0,
        table.format(""),
        "whose jobs these are is not known: give --user, or --system\n",
    )


def test_what_is_no_text_on_stdin(tmp_path: Path) -> None:
    done = subprocess.run(
        [HCCTL, "import", "crontab", "-"],
        env=environment(tmp_path),
        input=b"* * * * * a \xff\n",
        capture_output=True,
        check=False,
    )
    said = b"hcctl: -: is not UTF-8 text\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", said)


def test_a_system_s_crontab_is_known_by_its_users(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_text("0 1 * * * root a -x\n0 2 * * *\tnobody\tb\nbad line\n")
    assert run(tmp_path, "job") == (
        0,
        (
            '[checks.a]  # line 1\ncron = "0 1 * * *"\nuser = "root"\ngrace = "1h"\n'
            'command = "a -x"\n\n'
            '[checks.b]  # line 2\ncron = "0 2 * * *"\nuser = "nobody"\ngrace = "1h"\n'
            'command = "b"\n\n'
        ),
        "line 3: 1 fields instead of 5\n",
    )


TIMER = """\
[Unit]
Description=x

[Timer]
OnCalendar=
OnCalendar=*-*-* 03:15 UTC
OnCalendar=Mon 12:00
Persistent=true
"""
SERVICE = """\
[Service]
User=postgres
WorkingDirectory=-/srv/my app
Environment=A=1 "B=two words" API_TOKEN=abcdefgh12345
EnvironmentFile=/etc/x
# ExecStart=/not/this
ExecStart=-/usr/bin/pg_dump --file "/b/%%d x.sql" \\
    $DATABASE
TimeoutStartSec=1h 30min
"""


def test_a_timer(tmp_path: Path) -> None:
    (tmp_path / "backup.timer").write_text(TIMER)
    (tmp_path / "backup.service").write_text(SERVICE)
    assert run(tmp_path, "backup.timer") == (
        0,
        (
            "[checks.backup]  # backup.timer\n"
            'calendar = "*-*-* 03:15 UTC"\n'
            'user = "postgres"\n'
            'timeout = "90m"\n'
            'grace = "90m"\n'
            'command = ["env", "A=1", "B=two words", "sh", "-c",'
            " \"cd '/srv/my app' && /usr/bin/pg_dump --file '/b/%d x.sql' '$DATABASE'\"]\n\n"
        ),
        (
            "backup.timer: it has several OnCalendar=, and only the first is taken over\n"
            "backup.timer: EnvironmentFile of the service is not taken over\n"
            "backup.timer: systemd fills in $DATABASE; write out what it stands for\n"
            "backup.timer: API_TOKEN is left out, as it looks secret: let the command read it from"
            " a file\n"
        ),
    )


def test_a_timer_of_a_template(tmp_path: Path) -> None:
    (tmp_path / "job@.service").write_text("[Service]\nExecStart=hcrun --no-start %i -- run-%i\n")
    (tmp_path / "job@mail.timer").write_text("[Timer]\nOnUnitActiveSec=5min 30\n")
    assert run(tmp_path, "job@mail.timer") == (
        0,
        (
            '[checks.mail]  # job@mail.timer\nevery = "330s"\nuser = "root"\n'
            'options = "--no-start"\ncommand = "run-mail"\n\n'
        ),
        "",
    )


def test_units_that_hcrun_renders_come_back(tmp_path: Path) -> None:
    """A template, and what its drop-in has instead."""
    units = Path(__file__).parents[2] / "systemd"
    for check in load(SHIPPED, Settings({}, {})).checks:
        if not check.command:
            continue
        [timer] = units.glob(f"hcrun-*@{check.slug}.timer")
        status, output, _ = run(tmp_path, str(timer))
        assert status == 0
        [found] = catalog(Source("checks.toml", output), 2).checks
        assert (found.slug, found.timeout) == (check.slug, check.timeout)
        assert found.command[-len(check.command) :] == check.command


@pytest.mark.parametrize(
    ("place", "arguments", "service", "user", "note"),
    [
        ("systemd/system", [], "", "root", ""),  # whatever the catalogue's default is
        ("systemd/system", [], "User=app\n", "app", ""),
        ("systemd/system", [], "DynamicUser=no\n", "root", ""),
        (
            "systemd/system",
            [],
            "DynamicUser=yes\n",
            "",
            "x.timer: DynamicUser of the service is not taken over\n",
        ),
        ("systemd/user", [], "", "", "whose jobs these are is not known: give --user\n"),
        ("systemd/user", ["--user", "me"], "", "me", ""),
    ],
)
def test_user_of_a_timer(
    place: str, arguments: list[str], service: str, user: str, note: str, tmp_path: Path
) -> None:
    units = tmp_path / place
    units.mkdir(parents=True)
    (units / "x.timer").write_text("[Timer]\nOnUnitActiveSec=5min\n")
    (units / "x.service").write_text(f"[Service]\n{service}ExecStart=/bin/x\n")
    line = f'user = "{user}"\n' if user else ""
    expected = f'[checks.x]  # x.timer\nevery = "5m"\n{line}command = "/bin/x"\n\n'
    assert run(tmp_path, f"{place}/x.timer", *arguments) == (0, expected, note)


@pytest.mark.parametrize(
    ("timer", "start", "zone", "notes"),
    [
        ("OnCalendar=daily", "a", "Europe/Riga", []),
        ("OnCalendar=Mon 03:00 America/New_York", "a 100%%", "", []),
        ("OnUnitActiveSec=5min", "a", "", []),
        (
            "OnUnitInactiveSec=1h",
            "a %n",
            "",
            ["a.timer: there is a specifier such as %n in it; write out what it stands for"],
        ),
    ],
)
def test_zone_and_specifiers_of_a_timer(
    timer: str, start: str, zone: str, notes: list[str]
) -> None:
    units = {"a.timer": f"[Timer]\n{timer}", "a.service": f"[Service]\nExecStart={start}"}
    [found], said = from_timer("a.timer", units.get, "Europe/Riga")
    assert (found.zone, found.line, said) == (zone, start.replace("%%", "%"), notes)


@pytest.mark.parametrize(
    ("timer", "service", "note"),
    [
        ("[Timer]\n", SERVICE, "it has neither OnCalendar nor OnUnitActiveSec; it is left out"),
        (
            "[Timer]\nOnCalendar=Funday\n",
            SERVICE,
            "'Funday' is no schedule: Bad day-of-week; see systemd.time(7); it is left out",
        ),
        (TIMER.replace("Mon", "Tue"), None, "there is no a.service beside it; it is left out"),
        (
            "[Timer]\nOnCalendar=daily\nUnit=b.service",
            SERVICE,
            "there is no b.service beside it; it is left out",
        ),
        ("[Timer]\nOnCalendar=daily", "[Unit]", "a.service has no ExecStart; it is left out"),
    ],
)
def test_a_timer_of_nothing(timer: str, service: str | None, note: str, tmp_path: Path) -> None:
    (tmp_path / "a.timer").write_text(timer)
    if service is not None:
        (tmp_path / "a.service").write_text(service)
    status, output, errors = run(tmp_path, "a.timer")
    assert (status, output) == (1, "")
    assert errors.endswith(f"a.timer: {note}\nhcctl: a.timer: no job is found in it\n")


def test_what_hcrun_renders_comes_back(tmp_path: Path) -> None:
    """Every job of the shipped crontab, with its name, command, time-out and user."""
    path = str(Path(__file__).parents[2] / "crontab" / "hcrun")
    status, output, errors = run(tmp_path, "--system", path)
    assert (status, errors) == (0, "")
    found = {
        check.slug: (check.command[2:], check.timeout, check.user)
        for check in catalog(Source("checks.toml", output), 2).checks
    }
    assert found == {
        check.slug: (check.command, check.timeout, check.user)
        for check in load(SHIPPED, Settings({}, {})).checks
        if check.command
    }
    status, _, errors = run(tmp_path, "--system", "--user", "x", path)
    assert status == 2
    assert errors == "hcctl: --user and --system; give one: whose crontab is it?\n"


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for arguments, said in (
        (["none"], "none: No such file or directory"),
        (["none.timer"], "none.timer: No such file or directory"),
        (["."], ".: Is a directory"),
        (["binary"], "binary: is not UTF-8 text"),
        (["/dev/zero"], "/dev/zero: is longer than a million bytes"),
        (["-"], "-: no job is found in it"),
    ):
        assert run(tmp_path, *arguments) == (1, "", f"hcctl: {said}\n")


def test_debian_s_own_crontab_makes_a_catalogue(tmp_path: Path) -> None:
    path = Path("/etc/crontab")
    if not path.exists():
        pytest.skip("no /etc/crontab here")
    before = path.read_bytes()
    done = run_hcctl(tmp_path, "import", "crontab", str(path))
    assert done.returncode == 0
    (tmp_path / "checks.toml").write_text(done.stdout)
    checked = run_hcctl(tmp_path, "check", "--catalog", str(tmp_path / "checks.toml"))
    assert checked.returncode == 0
    assert path.read_bytes() == before


COMMANDS = st.lists(
    st.sampled_from(
        [
            *("curl $PING_URL", "hcrun", "x", "--", "&&", ";", "|", "||", "'", '"', "$(", ")", "`"),
            *(">/dev/null", "2>&1", "sleep 30;", "%", "\\", "(", "{", "}", "cd", "python3", "-m"),
            *(
                "-c",
                "--timeout",
                "5m",
                "A=1",
                "sh",
                "docker",
                "exec",
                "-u",
                "é",
                "\t",
                "#",
                "m=$(a)",
            ),
        ]
    ),
    min_size=1,
    max_size=8,
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(COMMANDS, min_size=1, max_size=4))
@example(["curl a", "hcrun \\ curl b", "hcrun '\"curl\"' c"])  # names that TOML takes for another
def test_whatever_is_in_a_crontab_the_catalogue_takes(commands: list[str]) -> None:
    toml, _ = proposed("".join(f"* * * * * {command}\n" for command in commands))
    source = Source("checks.toml", toml)
    found = catalog(source, 2).checks
    assert source.problems == []
    assert len(found) <= len(commands)
    assert os.linesep not in "".join(check.slug for check in found)


UNIT_LINES = st.lists(
    st.sampled_from(
        [
            *("[Timer]", "[Service]", "[", "OnCalendar=daily", "OnCalendar=x", "OnCalendar="),
            *("OnUnitActiveSec=5min", "OnUnitActiveSec=999999999999d", "OnUnitActiveSec=1.2.3s"),
            *("Unit=x.service", "Unit=", "=", "ExecStart=a %i %n", "ExecStart=-'a", "ExecStart="),
            *("ExecStart=@/b $$x ${Y} \\", "ExecStart=hcrun job -- c", "User=bob", "User=no body"),
            *("Environment=A=1 B", "Environment='", "TimeoutStartSec=infinity", "# comment"),
            *("TimeoutStartSec=400d", "WorkingDirectory=~", "\x00", "OnCalendar=*:0/5 UTC"),
        ]
    ),
    max_size=8,
).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(UNIT_LINES, st.none() | UNIT_LINES)
def test_whatever_is_in_units_the_catalogue_takes(timer: str, service: str | None) -> None:
    texts = {"x@y.timer": "[Timer]\n" + timer, "x@y.service": service and "[Service]\n" + service}
    found, notes = from_timer("x@y.timer", texts.get)
    toml = "\n".join(proposal.toml for proposal in propose(found))
    source = Source("checks.toml", toml)
    catalog(source, 2)
    assert source.problems == []
    assert found or notes
