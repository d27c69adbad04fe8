"""`hcctl import`: the checks that it makes of existing jobs."""

import os
import pty
import re
import subprocess
import tomllib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hcrun.catalog import SHIPPED, load
from hcrun.catalog.parse import parse_catalog as catalog
from hcrun.catalog.toml_source import Source
from hcrun.formats.crontab import entries
from hcrun.formats.systemd_unit import parse
from hcrun.schedulers.import_jobs import ScheduledJob, import_jobs
from hcrun.schedulers.import_names import names
from hcrun.schedulers.import_sources import names_users, read_crontab
from hcrun.schedulers.import_timers import read_timer
from hcrun.schedulers.unit_files import UnitFiles
from hcrun.settings import Settings
from tests.support.command import HCCTL, environment

UUID = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
PING_REMOVED = (
    "hcrun replaces the ping in it; to keep the existing check and its history, set its slug on the"
    " server"
)
MAILED = 'cron mailed the output to the user; to keep that, add mailto = "ADDRESS"'
PROJECT = Path(__file__).parents[2]


def nobody(_job: ScheduledJob, _taken: Collection[str]) -> str:
    """There is no terminal to ask at."""
    return ""


def imported(text: str, zone: str = "") -> tuple[str, list[str]]:
    """What becomes of a user's crontab without mails, and the notes."""
    lines = entries(f'MAILTO=""\n{text}', system=False)
    jobs, notes = read_crontab((replace(e, line=e.line - 1) for e in lines), "app", zone)
    toml, more = written(jobs)
    return toml, notes + more


def written(jobs: list[ScheduledJob]) -> tuple[str, list[str]]:
    found = import_jobs(jobs, nobody)
    return "\n".join(each.text for each in found), [n for each in found for n in each.notes]


def shell(line: str) -> list[str]:
    return ["sh", "-c", line]


NIGHTLY = {"options": "--overlap skip", "timeout": "10m", "command": "/opt/n.sh"}
STDIN = r"printf 'Dear root,\n100%% full\n' | mail root"


@pytest.mark.parametrize(
    ("line", "slug", "expected"),
    [
        ("/usr/local/bin/clean_up.sh -v", "clean-up", "/usr/local/bin/clean_up.sh -v"),
        ("a.py -v 'a b'", "a", ["a.py", "-v", "a b"]),
        ("backup  >/dev/null 2>&1", "backup", "backup"),
        (". ./env && backup >> /x 2>&1", "backup", shell(". ./env && backup >> /x 2>&1")),
        (". /srv/fill.sh", "fill", shell(". /srv/fill.sh")),
        (r'x "$(date +\%F)"', "x", shell('x "$(date +%F)"')),
        ("hcrun --timeout 10m --overlap skip nightly -- /opt/n.sh > /dev/null", "nightly", NIGHTLY),
        ("/b/hcrun --timeout=2h x -- b $A", "x", {"timeout": "2h", "command": shell("b $A")}),
        (f"hcrun {UUID} -- b -c", "b", "b -c"),
        ("hcrun my_job -- a && b", "my_job", shell("a && b")),
        ("cd /srv && hcrun job -- ./run --now", "job", shell("cd /srv && ./run --now")),
    ],
)
def test_a_line(line: str, slug: str, expected: object) -> None:
    keys = expected if isinstance(expected, dict) else {"command": expected}
    toml, notes = imported(f"*/5 * * * * {line}\n")
    common = {"cron": "*/5 * * * *", "user": "app", "channels": "*"}
    assert (tomllib.loads(toml)["checks"], notes) == ({slug: common | keys}, [])


@pytest.mark.parametrize(
    ("schedule", "cron", "grace"),
    [
        ("@daily", "0 0 * * *", "1h"),
        ("0 3 * * 1", "0 3 * * 1", "1h"),
        ("*/30 * * * *", "*/30 * * * *", None),
    ],
)
def test_a_schedule(schedule: str, cron: str, grace: str | None) -> None:
    toml, _ = imported(f"{schedule} a\n", zone="Europe/Riga")
    check = tomllib.loads(toml)["checks"]["a"]
    assert (check["cron"], check.get("grace"), check["zone"]) == (cron, grace, "Europe/Riga")


TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/usr/local/bin/clean_up.sh -v", "clean-up"),
        ("cd /srv && python3 manage.py clearsessions", "clearsessions"),
        ("python3.11 -u /srv/app/clean_up.py", "clean-up"),
        ("/usr/bin/python3 -m acme.nightly --full", "acme-nightly"),
        ("flock -n /tmp/l /opt/fill", "fill"),
        ("flock -w 10 /tmp/l -c '/opt/acme/run.sh >> /log'", "acme-run"),
        ("docker compose exec -T -u app db pg_dump app", "pg-dump-app"),
        ("docker run --rm -v /a:/b acme/report", "acme-report"),
        ("sudo -u www-data nice -n 10 ionice -c3 rsync -a a b", "rsync"),
        ("FOO=1 /x/y.sh", "y"),
        ("test -x /a || b", "b"),
        (
            "test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )",
            "cron-daily",
        ),
        ("su - app -c 'cd /srv && bundle exec rake db:sessions:trim'", "db-sessions-trim"),
        ("php /srv/shop/bin/magento indexer:reindex", "magento-indexer-reindex"),
        ("/opt/acme/run.sh", "acme-run"),
        ("cd /opt/acme/bin && ./job.sh", "acme-job"),
        (f"TOKEN=$(cat /x) /opt/send --token {TOKEN}", "send"),
        (f"/opt/{TOKEN}/run.sh", None),
        (f"/opt/fetch-{TOKEN}.sh", "fetch"),
        ("curl -u me:hunter2hunter2 https://a.example/x?k=hunter2", "curl-a-example"),
        ("mysqldump -u me -phunter2 shop", "mysqldump"),
        ("/home/script.sh", None),
        ("test", None),
        ("echo hello >> /log", None),
        ("/usr/bin/env", None),
        ("ü", None),
        ("", None),
    ],
)
def test_names_say_what_the_job_does_and_no_secret(line: str, expected: str | None) -> None:
    assert next(names(line), None) == expected


@pytest.mark.parametrize(
    "line", ["sh -c '$JOB'", "/home/run.sh", "test -d /a", "ü", "a" * 200, f"/opt/{TOKEN}/run.sh"]
)
def test_a_job_that_does_not_say_its_name(line: str) -> None:
    """The catalogue refuses the placeholder; nothing else is wrong with the check."""
    toml, notes = imported(f"*/5 * * * * a\n*/5 * * * * {line}\n")
    assert list(tomllib.loads(toml)["checks"]) == ["a", "NAME-1"]
    assert "line 2: hcctl cannot name this job: replace NAME-1 in the output" in notes
    source = Source("checks.toml", toml)
    catalog(source, 2)
    assert [problem.where for _, problem in source.problems] == ["checks.toml:7: checks.NAME-1"]
    catalog(fixed := Source("checks.toml", toml.replace("NAME-1", "b")), 2)
    assert fixed.problems == []


def test_jobs_of_the_same_program() -> None:
    lines = [
        "5 3 * * * /a/send x",
        "30 19 * * * /a/send",
        "*/7 * * * * /a/send",
        "* * * * * a send",
    ]
    toml, _ = imported("".join(f"{line}\n" for line in lines))
    assert list(tomllib.loads(toml)["checks"]) == ["send", "send-1930", "send-2", "a"]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (f"/x/fill.sh && curl -fsS -m 10 https://hc-ping.com/{UUID} > /dev/null", "/x/fill.sh"),
        (f"curl https://hc/ping/{UUID}/start; /x/fill.sh; curl https://hc/ping/1/$?", "/x/fill.sh"),
        ('m=$(/x/fill.sh 2>&1); curl --data-raw "$m" https://hc-ping.com/key/x/$?', "/x/fill.sh"),
        ("/x/fill.sh && wget $HC_URL -O /dev/null || curl $HC_URL/fail", "/x/fill.sh"),
        ("/x/fill.sh | curl --data-binary @- $PING_URL", "/x/fill.sh"),
        ("/x/fill.sh; curl ${HEALTHCHECK}", "/x/fill.sh"),
        ("fill -a && /x/b.sh && curl $PING", shell("fill -a && /x/b.sh")),
    ],
)
def test_pings_are_removed(line: str, command: object) -> None:
    toml, notes = imported(f"*/5 * * * * {line}\n")
    assert tomllib.loads(toml)["checks"]["fill"]["command"] == command
    assert f"line 1, fill: {PING_REMOVED} to fill" in notes


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("(/x/job.sh; curl $PING_URL)", "the command still sends a ping: remove that"),
        ("flock /l hcrun x -- /x/job.sh", "the command still calls hcrun: remove that"),
        ("hcrun x /x/job.sh", "the command still calls hcrun: remove that"),
        (UUID, "the command still sends a ping: remove that"),
        ("curl $PING_URL", "the command still sends a ping: remove that"),
        ("j -pw=hunter2hunter2 --token=abcdefgh12345", "the command seems to have a secret in it"),
    ],
)
def test_what_deserves_a_second_look(line: str, note: str) -> None:
    _, notes = imported(f"*/5 * * * * {line}\n")
    assert re.sub(r"^line 1(, [\w-]+)?: ", "", notes[-1]).startswith(note)


SYSTEMD = "it tests /run/systemd/system: where systemd runs, it does nothing and the check is up"
BACKGROUND = "what runs in the background cannot fail the check: remove the &, or write &&"


@pytest.mark.parametrize(
    ("line", "note", "command"),
    [
        ("fill >/log 2>&1 &", "the & at its end is removed", shell("fill >/log 2>&1")),
        ("fill >/dev/null 2>&1 &", "the & at its end is removed", "fill"),
        ("fill & other", BACKGROUND, None),
        ("[ -d /run/systemd/system ] || fill", SYSTEMD, None),
        ("if [ ! -d /run/systemd/system ]; then fill; fi", SYSTEMD, None),
        ("test -x /a || fill", "when `test -x /a` ends it, the check is up although", None),
        ("[ -x /a ] && fill", "when `[ -x /a ]` ends it, the check is down although", None),
        ("fill || true", "`|| true` hides its failures: remove it", None),
        ("fill || mail -s failed root", "`|| mail -s failed root` hides its failures", None),
        ("fill || { date; exit 1; }", "", None),
        ("(fill; exit 0)", "`; exit 0)` hides its failures: remove it", None),
        (
            "fill | gzip > /x",
            "only the last command of the pipe can fail the check: gzip > /x",
            None,
        ),
        ("set -o pipefail; fill | gzip > /x", "", None),
        ("fill; other", "only its last command can fail the check: other; write && for ;", None),
        ("cd /srv; fill", "", None),
        ("A=1; export A; fill", "", None),
        ("{ cd / && fill; }", "", None),
    ],
)
def test_what_hides_a_result(line: str, note: str, command: object) -> None:
    toml, notes = imported(f"*/5 * * * * {line}\n")
    [check] = tomllib.loads(toml)["checks"].values()
    assert check["command"] == (command or shell(line))
    assert [n.partition(", fill: ")[2].startswith(note) for n in notes] == [True] * bool(note)


def test_a_bare_percent() -> None:
    toml, notes = imported(r"*/5 * * * * mail root%Dear root,%100\% full" + "\n")
    assert tomllib.loads(toml)["checks"]["mail-root"]["command"] == shell(STDIN)
    bare = r"line 1: a bare % ends the command, the rest is its standard input; \% is a %"
    assert notes == [bare]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["/opt/a"], False),
        (["a -x", "./b"], False),
        (["root /opt/a", "acmejobs /opt/b --full"], True),
        (["root cd / && a", "root\tb"], True),
        (["acmejobs /opt/b --full"], None),
        (["acmejobs cd /x"], None),
        (["root /opt/a", "/opt/b"], None),
        (["php /srv/a.php", "acmejobs /opt/b"], False),
        (["certbot renew"], False),
        ([], False),
    ],
)
def test_lines_that_name_users(lines: list[str], expected: bool | None) -> None:
    text = "".join(f"* * * * * {line}\n" for line in lines)
    assert names_users(entries(text, system=False), ["root", "mail"]) is expected


def test_settings_of_a_crontab() -> None:
    text = f"""\
SHELL=/bin/bash
MAILTO=""
PATH=/opt/bin:/bin
API_TOKEN=abcdefgh12345
HC_CHECK_A={UUID}
CRON_TZ=Europe/Riga
*/5 * * * * a; b
*/5 * * * * c
"""
    toml, notes = imported(text)
    checks = tomllib.loads(toml)["checks"]
    assert checks["a"]["command"] == ["env", "PATH=/opt/bin:/bin", "/bin/bash", "-c", "a; b"]
    assert checks["c"]["command"] == "env PATH=/opt/bin:/bin c"
    assert notes == [
        "line 7: Debian's cron ignores CRON_TZ",
        "API_TOKEN looks secret and is not imported: let the command read it from a file",
        "HC_CHECK_A is not imported: set it in /etc/hcrun/hcrun.env",
        "line 8: Debian's cron ignores CRON_TZ",
        "line 7, a: only its last command can fail the check: b; write && for ;",
    ]


def test_the_home_of_a_crontab_is_where_cron_starts() -> None:
    toml, _ = imported("HOME=/srv\n*/5 * * * * ./a\n")
    assert tomllib.loads(toml)["checks"]["a"]["command"] == "env -C /srv HOME=/srv ./a"


def test_half_minutes_are_one_job() -> None:
    lines = ["probe", "sleep 30; probe", "sleep 20; other", "third", "sleep 15; third"]
    toml, notes = imported("".join(f"* * * * * {line}\n" for line in lines))
    tables = tomllib.loads(toml)["checks"]
    assert notes == []
    common = {"user": "app", "channels": "*"}
    assert tables["probe"] == {"every": "30s", "command": "probe"} | common
    every_minute = "* * * * *"
    assert {slug: table.get("cron") for slug, table in tables.items()} == {
        "probe": None,
        "other": every_minute,
        "third": every_minute,
        "third-2": every_minute,
    }


def test_what_is_not_imported() -> None:
    toml, notes = imported("@reboot a\n* * * * * b\n")
    assert list(tomllib.loads(toml)["checks"]) == ["b"]
    assert notes == ["line 1: @reboot is not a schedule: not imported"]


def test_what_the_catalogue_refuses_is_commented_out() -> None:
    toml, [note] = imported("* * * * * a \x07\n")
    assert toml.startswith("# [checks.a]")
    assert tomllib.loads(toml) == {}
    assert re.fullmatch(r"line 1, a: .*control characters.*: commented out", note)


# Through the command line.


def run(tmp_path: Path, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run(
        [HCCTL, "import", *arguments],
        env=environment(tmp_path),
        cwd=tmp_path,
        input=given,
        capture_output=True,
        check=False,
    )
    without_zone = re.sub(r'zone = "[^"]+"\n', "", done.stdout.decode())
    return done.returncode, without_zone, done.stderr.decode()


def test_a_user_s_crontab_on_stdin(tmp_path: Path) -> None:
    """Its mail, and the line that takes its place."""
    text = f"MAILTO=ops@example.org\n0 1 * * * fill --token {TOKEN} > /dev/null\n"
    status, output, errors = run(tmp_path, "-", "--user", "bob", given=text.encode())
    assert status == 0
    assert output == (
        '[checks.fill]  # line 2\ncron = "0 1 * * *"\nuser = "bob"\ngrace = "1h"\n'
        'mailto = "ops@example.org"\nchannels = "*"\n'
        f'command = ["sh", "-c", "fill --token {TOKEN} > /dev/null"]\n'
    )
    assert errors == (
        "line 2, fill: the command seems to have a secret in it,"
        " and everyone can read checks.toml\n"
        "-0 1 * * * fill --token [redacted] > /dev/null\n"
        '+MAILTO="ops@example.org"\n'
        f"+0 1 * * *  bob  {HCCTL[:-3]}run fill -- sh -c 'fill --token [redacted] > /dev/null'\n"
        '+MAILTO=""\n'
    )


def test_a_system_s_crontab(tmp_path: Path) -> None:
    text = "*/5 * * * * root a -x\n0 2 * * *\tacmejobs\tb\nbad line\n0 2 * * * a/b c\n"
    (tmp_path / "job").write_text(text)
    status, output, errors = run(tmp_path, "--system", "job")
    users = {slug: check["user"] for slug, check in tomllib.loads(output)["checks"].items()}
    assert (status, users) == (0, {"a": "root", "b": "acmejobs"})
    notes = [line for line in errors.splitlines() if line[0] not in "-+"]
    assert notes == [
        "line 3: expected 5 fields, found 1",
        "because of that, cron ignores the whole file",
        "line 2: there is no user acmejobs on this host",
        'line 4: "a/b" is not a valid user name; see adduser(8): not imported',
        f"line 1 and others: {MAILED}",
    ]


def test_a_crontab_that_may_name_users(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("0 1 * * * acmejobs /opt/acme/nightly\n")
    status, output, errors = run(tmp_path, "job")
    assert (status, output) == (1, "")
    assert errors == (
        "hcctl: job: its lines may begin with users or with commands;"
        " give --user NAME, or --system if the lines name users\n"
    )


def test_several_files(tmp_path: Path) -> None:
    """Their checks have different names."""
    (tmp_path / "one").write_text("* * * * * root fill\n@reboot root x\n")
    (tmp_path / "two").write_text("* * * * * root fill\n")
    (tmp_path / "fill.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (tmp_path / "fill.service").write_text("[Service]\nExecStart=fill\n")
    status, output, errors = run(tmp_path, "one", "two", "fill.timer")
    assert (status, list(tomllib.loads(output)["checks"])) == (0, ["fill", "fill-2", "fill-3"])
    assert "[checks.fill-2]  # two line 1\n" in output
    assert "one line 2: @reboot is not a schedule: not imported\n" in errors


def test_a_name_is_asked_for_at_a_terminal(tmp_path: Path) -> None:
    """Until it is one that can be taken."""
    (tmp_path / "jobs").write_text("* * * * * a\n* * * * * sh -c '$B'\n")
    master, terminal = pty.openpty()
    os.write(master, b"A B\na\nb\n")
    done = subprocess.run(
        [HCCTL, "import", "jobs", "--user", "app"],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=True,
        timeout=60,
    )
    asked = os.read(master, 10_000).decode()
    os.close(master)
    os.close(terminal)
    assert list(tomllib.loads(done.stdout.decode())["checks"]) == ["a", "b"]
    assert asked.count("line 2 runs sh -c") == 3


TIMER = """\
[Unit]
Description=x

[Timer]
OnCalendar=
OnCalendar=*-*-* 03:15 UTC
OnCalendar=Mon 12:00
RandomizedDelaySec=6h
Persistent=true
"""
SERVICE = """\
[Unit]
ConditionACPower=true
After=network.target

[Service]
Type=oneshot
User=postgres
Nice=10
SuccessExitStatus=3 4
WorkingDirectory=-/srv/my app
Environment=A=1 "B=two words" API_TOKEN=abcdefgh12345
EnvironmentFile=/etc/x
# ExecStart=/not/this
ExecStart=-/usr/bin/pg_dump --file "/b/%%d x.sql" \\
    $B $DATABASE
TimeoutStartSec=1h 30min
"""


def test_a_timer(tmp_path: Path) -> None:
    (tmp_path / "backup.timer").write_text(TIMER)
    (tmp_path / "backup.service").write_text(SERVICE)
    line = "cd '/srv/my app' && /usr/bin/pg_dump --file '/b/%d x.sql' two words '$DATABASE'"
    status, output, errors = run(tmp_path, "backup.timer")
    assert (status, tomllib.loads(output)["checks"]) == (
        0,
        {
            "backup": {
                "calendar": "*-*-* 03:15 UTC",
                "user": "postgres",
                "timeout": "90m",
                "grace": "90m",
                "channels": "*",
                "options": "--on-exit 3,4=success",
                "command": ["env", "A=1", "B=two words", *shell(line)],
            }
        },
    )
    assert errors == (
        "backup.timer: API_TOKEN looks secret and is not imported:"
        " let the command read it from a file\n"
        "backup.timer: systemd replaces $DATABASE: write its value instead\n"
        "backup.timer: `-`: systemd ignored a failure of /usr/bin/pg_dump\n"
        "backup.timer: not kept: ConditionACPower=true, RandomizedDelaySec=6h, Nice=,"
        " EnvironmentFile=, all OnCalendar= but the first\n"
    )


def test_a_timer_of_a_service_that_is_no_oneshot(tmp_path: Path) -> None:
    """TimeoutStartSec= limits its start, not its run; a comment may stand within a command."""
    (tmp_path / "acme.timer").write_text("[Timer]\nOnCalendar=02:00\nRandomizedDelaySec=12h\n")
    (tmp_path / "acme.service").write_text(
        "[Service]\nType=exec\nTimeoutStartSec=5min\nUser=acme\nEnvironment=KEEP=3\n"
        "ExecStart=-/usr/bin/acme \\\n# keep three\n  --keep $KEEP --name ${KEEP}x $$KEEP\n"
    )
    status, output, errors = run(tmp_path, "acme.timer")
    [check] = tomllib.loads(output)["checks"].values()
    assert (status, check.get("timeout")) == (0, None)
    words = ["env", "KEEP=3", "/usr/bin/acme", "--keep", "3", "--name", "3x", "$KEEP"]
    assert check["command"] == words
    assert errors == (
        "acme.timer: `-`: systemd ignored a failure of /usr/bin/acme\n"
        "acme.timer: not kept: RandomizedDelaySec=12h\n"
    )


@pytest.mark.parametrize(
    ("service", "command", "notes"),
    [
        ("Type=oneshot\nExecStart=/a 'b c' ; /d \\; \"e ; f\"", "/a 'b c' && /d ';' 'e ; f'", []),
        ("Type=oneshot\nExecStart=-/a\nExecStart=/b", "{ /a || true; } && /b", ["`-`"]),
        ("ExecStart=/a 'x\\x20y' \\t", "/a 'x y' '\t'", []),
        ("ExecStart=@/a name b", "/a b", ["`@`"]),
        ("ExecStart=+/a", "/a", ["`+`"]),
        ("ExecStart=:/a $HOME ${B}", "/a '$HOME' '${B}'", []),
        ("ExecStart=/a $B x$B\n; y", "/a '$B' 'x$B'", ["systemd replaces $B"]),
        ("ExecStart=/a %S/x %% %h", "/a /var/lib/x % %h", ["ExecStart= has the specifier %h"]),
        ("Type=forking\nExecStart=/a", "/a", ["Type=forking"]),
        ("SuccessExitStatus=3 SIGTERM\nExecStart=/a", "/a", ["SuccessExitStatus=3 SIGTERM"]),
        ("Type=oneshot\nTimeoutStartSec=1month\nExecStart=/a", "/a", ["its time limit"]),
        ("RemainAfterExit=yes\nRestart=no\nExecStart=/a", "/a", ["not kept"]),
    ],
)
def test_commands_of_a_service(service: str, command: str, notes: list[str]) -> None:
    job, found = timer("a.timer", timer="OnCalendar=daily", service=service)
    assert job
    assert job.command == command
    assert [note.startswith(f"a.timer: {n}") for note, n in zip(found, notes, strict=True)] == [
        True
    ] * len(notes)


def test_a_timer_of_a_template(tmp_path: Path) -> None:
    """Drop-ins of the template and of the instance are read in the order of their names.

    An instance needs no file of its own.
    """
    for name, text in {
        "job@.service": "ExecStart=hcrun --no-start %i -- run-%I\nUser=a",
        "job@.service.d/1.conf": "User=b",
        "job@.service.d/3.conf": "User=no",
        "job@mail.service.d/2.conf": "User=c",
        "job@mail.service.d/3.conf": "Group=d",
        "job@mail.service.d/4.txt": "User=no",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"[Service]\n{text}\n")
    (tmp_path / "job@.timer").write_text("[Timer]\nOnUnitActiveSec=5min 30\n")
    status, output, errors = run(tmp_path, "job@mail.timer")
    assert (status, errors) == (0, "job@mail.timer: not kept: Group=\n")
    common = {"every": "330s", "user": "c", "options": "--no-start", "command": "run-mail"}
    assert tomllib.loads(output)["checks"] == {"mail": common | {"channels": "*"}}
    assert run(tmp_path, "job@.timer")[2] == (
        "job@.timer: a template: import an instance, as job@NAME.timer: not imported\n"
        "hcctl: job@.timer: no jobs found\n"
    )


def test_what_hcrun_renders_comes_back(tmp_path: Path) -> None:
    """Every job of the shipped crontab and units, with its name, command, time-out and user."""
    shipped = [check for check in load(SHIPPED, Settings({}, {})).checks if check.command]
    path = str(PROJECT / "crontab/hcrun")
    status, output, _ = run(tmp_path, "--system", path)
    assert status == 0
    found = catalog(Source("checks.toml", output), 2).checks
    assert {check.slug: (check.command[2:], check.timeout, check.user) for check in found} == {
        check.slug: (check.command, check.timeout, check.user) for check in shipped
    }
    units = UnitFiles([str(PROJECT / "systemd")])
    for check in shipped:
        [name] = [name for name in units.paths if name.endswith(f"@{check.slug}.timer")]
        job, _ = read_timer(name, units.read)
        assert job
        output, _ = written([job])
        [one] = catalog(Source("checks.toml", output), 2).checks
        assert (one.slug, one.timeout) == (check.slug, check.timeout)
        assert one.command[-len(check.command) :] == check.command


UNKNOWN = "hcctl: FILE: the user of its jobs is unknown; give --user NAME\n"
DYNAMIC = "x.timer: not kept: DynamicUser=\n"


@pytest.mark.parametrize(
    ("place", "arguments", "service", "user", "said"),
    [
        ("systemd/system", [], "", "root", ""),  # whatever the catalogue's default is
        ("systemd/system", [], "User=app\n", "app", ""),
        ("systemd/system", [], "DynamicUser=no\n", "root", ""),
        ("systemd/system", [], "DynamicUser=yes\n", "", UNKNOWN),
        ("systemd/system", ["--user", "me"], "DynamicUser=yes\n", "me", DYNAMIC),
        ("systemd/user", ["--user", "me"], "", "me", ""),
    ],
)
def test_user_of_a_timer(
    place: str, arguments: list[str], service: str, user: str, said: str, tmp_path: Path
) -> None:
    units = tmp_path / place
    units.mkdir(parents=True)
    (units / "x.timer").write_text("[Timer]\nOnUnitActiveSec=5min\n")
    (units / "x.service").write_text(f"[Service]\n{service}ExecStart=/bin/x\n")
    expected = f'[checks.x]  # x.timer\nevery = "5m"\nuser = "{user}"\n'
    expected += 'channels = "*"\ncommand = "/bin/x"\n'
    status, output, errors = run(tmp_path, f"{place}/x.timer", *arguments)
    assert (status, output) == ((0, expected) if user else (1, ""))
    assert errors.replace(f"{place}/x.timer", "FILE") == said


def timer(name: str, **texts: str) -> tuple[ScheduledJob | None, list[str]]:
    """Of units with these sections; each has one."""
    units = {f"a.{kind}": f"[{kind.title()}]\n{text}" for kind, text in texts.items()}
    return read_timer(
        name, lambda unit: parse(units[unit]) if unit in units else None, "Europe/Riga"
    )


@pytest.mark.parametrize(
    ("when", "start", "zone", "notes"),
    [
        ("OnCalendar=daily", "a", "Europe/Riga", []),
        ("OnCalendar=Mon 03:00 America/New_York", "a 100%%", "", []),
        ("OnUnitActiveSec=5min", "a", "", []),
        ("OnUnitInactiveSec=1h", "a %n", "", ["ExecStart= has the specifier %n"]),
    ],
)
def test_zone_and_specifiers_of_a_timer(when: str, start: str, zone: str, notes: list[str]) -> None:
    job, found = timer("a.timer", timer=when, service=f"ExecStart={start}")
    assert job
    assert (job.zone, job.command) == (zone, start.replace("%%", "%"))
    assert [note.split(": ")[1] for note in found] == notes


@pytest.mark.parametrize(
    ("when", "service", "note"),
    [
        ("", "ExecStart=a", "there is neither OnCalendar= nor OnUnitActiveSec="),
        ("OnUnitActiveSec=infinity", "ExecStart=a", "there is neither OnCalendar= nor OnUnitAc"),
        ("OnUnitActiveSec=1y", "ExecStart=a", "there is neither OnCalendar= nor OnUnitActiveSec="),
        ("OnCalendar=Funday", "ExecStart=a", "'Funday' is not a schedule: Bad day-of-week; see"),
        ("OnCalendar=daily", "", "its service has no ExecStart=: not imported"),
        ("OnCalendar=daily\nUnit=b.service", "ExecStart=a", "there is no b.service in the same"),
    ],
)
def test_a_timer_of_nothing(when: str, service: str, note: str) -> None:
    job, [found] = timer("a.timer", timer=when, service=service)
    assert job is None
    assert found.startswith(f"a.timer: {note}")


def test_files_that_have_no_jobs(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "a.timer").write_text("[Timer]\nOnCalendar=daily\n")
    for arguments, data, message in (
        (["none"], b"", "none: No such file or directory"),
        (["a.service"], b"", "a.service: not a timer; give the .timer that starts it"),
        (["none.timer"], b"", "none.timer: No such file or directory"),
        (["."], b"", ".: Is a directory"),
        (["a@b.timer"], b"", "a@b.timer: No such file or directory"),
        (["binary"], b"", "binary: not UTF-8 text"),
        (["-"], b"* * * * * a \xff\n", "-: not UTF-8 text"),
        (["/dev/zero"], b"", "/dev/zero: longer than a million bytes"),
        (["-"], b"", "-: no jobs found"),
        (["a.timer"], b"", "a.timer: no jobs found"),
    ):
        status, output, errors = run(tmp_path, *arguments, given=data)
        assert (status, output, errors.splitlines()[-1]) == (1, "", f"hcctl: {message}")
    status, _, errors = run(tmp_path, "--system", "--user", "x", "-")
    assert (status, errors) == (
        2,
        "hcctl: --user and --system exclude each other; remove one of them\n",
    )


WORDS = r"""curl $PING_URL hcrun x -- && ; | || ' " $( ) ` >/dev/null 2>&1 sleep 30; % \ ( { }
    cd python3 -m -c --timeout 5m A=1 sh docker exec -u é # m=$(a)"""
COMMANDS = st.lists(
    st.sampled_from([*WORDS.split(), "curl $PING_URL", "sleep 30;", "\t"]), min_size=1, max_size=8
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(COMMANDS, min_size=1, max_size=4))
@example(["curl a", "hcrun \\ curl b", "hcrun '\"curl\"' c"])  # names that TOML takes for another
def test_whatever_is_in_a_crontab_the_catalogue_takes(commands: list[str]) -> None:
    toml, _ = imported("".join(f"* * * * * {command}\n" for command in commands))
    source = Source("checks.toml", toml.replace("NAME-", "name-"))
    found = catalog(source, 2).checks
    assert source.problems == []
    assert len(found) <= len(commands)
    assert os.linesep not in "".join(check.slug for check in found)


UNITS = """[Timer]; [Service]; [; OnCalendar=daily; OnCalendar=x; OnCalendar=; OnUnitActiveSec=5min
    OnUnitActiveSec=999999999999d; OnUnitActiveSec=1.2.3s; Unit=x.service; Unit=; =; ExecStart=a %i
    ExecStart=a %n
    ExecStart=-'a; ExecStart=; ExecStart=@/b $$x ${Y} \\; ExecStart=hcrun job -- c; User=bob
    User=no body; Environment=A=1 B; Environment='; TimeoutStartSec=infinity; TimeoutStartSec=400d
    # comment; WorkingDirectory=~; \0; OnCalendar=*:0/5 UTC"""
UNIT_LINES = st.lists(st.sampled_from(re.split(r"; |\n *", UNITS)), max_size=8).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(UNIT_LINES, UNIT_LINES)
def test_whatever_is_in_units_the_catalogue_takes(when: str, service: str) -> None:
    job, notes = timer("a.timer", timer=when, service=service)
    toml, _ = written([job] if job else [])
    catalog(source := Source("checks.toml", toml.replace("NAME-", "name-")), 2)
    assert source.problems == []
    assert job or notes
