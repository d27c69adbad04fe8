"""`hcctl import crontab`: the checks that it makes of existing jobs."""

import os
import pty
import re
import subprocess
import tomllib
from collections.abc import Collection
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
from hcrun.schedulers.import_sources import read_crontab, read_timer
from hcrun.schedulers.unit_files import UnitFiles
from hcrun.settings import Settings
from tests.support.command import HCCTL, environment

UUID = "0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
PING_REMOVED = (
    "hcrun replaces the ping in it; to keep the existing check and its history, set its slug on the"
    " server"
)
PROJECT = Path(__file__).parents[2]


def nobody(_job: ScheduledJob, _taken: Collection[str]) -> str:
    """There is no terminal to ask at."""
    return ""


def imported(text: str, zone: str = "") -> tuple[str, list[str]]:
    """What becomes of a user's crontab, and the notes."""
    jobs, notes = read_crontab(entries(text, system=False), "app", zone)
    toml, more = import_jobs(jobs, nobody)
    return toml, notes + more


def shell(line: str) -> list[str]:
    return ["sh", "-c", line]


NIGHTLY = {"options": "--overlap skip", "timeout": "10m", "command": "/opt/n.sh"}
STDIN = r"printf 'Dear root,\n100%% full\n' | { mail root; }"


@pytest.mark.parametrize(
    ("line", "slug", "expected"),
    [
        ("/usr/local/bin/clean_up.sh -v", "clean-up", "/usr/local/bin/clean_up.sh -v"),
        ("a.py -v 'a b'", "a", ["a.py", "-v", "a b"]),
        ("backup  >/dev/null 2>&1", "backup", "backup"),
        ("backup | gzip >> /x 2>&1", "backup", shell("backup | gzip >> /x 2>&1")),
        (r'x "$(date +\%F)"', "x", shell('x "$(date +%F)"')),
        (r"mail root%Dear root,%100\% full", "mail", shell(STDIN)),
        ("hcrun --timeout 10m --overlap skip nightly -- /opt/n.sh > /dev/null", "nightly", NIGHTLY),
        ("/b/hcrun --timeout=2h x -- b $A", "x", {"timeout": "2h", "command": shell("b $A")}),
        (f"hcrun {UUID} -- b -c", "b", "b -c"),
        ("hcrun my_job -- a | b", "my_job", shell("a | b")),
        ("cd /srv && hcrun job -- ./run --now", "job", shell("cd /srv && ./run --now")),
    ],
)
def test_a_line(line: str, slug: str, expected: object) -> None:
    keys = expected if isinstance(expected, dict) else {"command": expected}
    toml, notes = imported(f"*/5 * * * * {line}\n")
    common = {"cron": "*/5 * * * *", "user": "app"}
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


@pytest.mark.parametrize(
    "line",
    [
        "cd /srv && python3 manage.py clearsessions",
        "python3.11 -u /srv/app/clean_up.py",
        "flock -n /tmp/l /opt/x",
        "docker compose exec -T db pg_dump app",
        "sudo -u www-data rsync -a a b",
        "FOO=1 /x/y.sh",
        "test -x /a || b",
        "/usr/bin/env x",
        "a 'b",
        "ü",
        "x" * 200,
    ],
)
def test_a_job_that_does_not_say_its_name(line: str) -> None:
    """The catalogue refuses the placeholder; nothing else is wrong with the check."""
    toml, notes = imported(f"*/5 * * * * a\n*/5 * * * * {line}\n")
    assert list(tomllib.loads(toml)["checks"]) == ["a", "NAME-1"]
    assert notes == ["line 2: hcctl cannot name this job: replace NAME-1 in the output"]
    source = Source("checks.toml", toml)
    catalog(source, 2)
    assert [problem.where for _, problem in source.problems] == ["checks.toml:6: checks.NAME-1"]
    catalog(fixed := Source("checks.toml", toml.replace("NAME-1", "b")), 2)
    assert fixed.problems == []


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (f"/x/job.sh && curl -fsS -m 10 https://hc-ping.com/{UUID} > /dev/null", "/x/job.sh"),
        (f"curl https://hc/ping/{UUID}/start; /x/job.sh; curl https://hc/ping/1/$?", "/x/job.sh"),
        ('m=$(/x/job.sh 2>&1); curl --data-raw "$m" https://hc-ping.com/key/x/$?', "/x/job.sh"),
        ("/x/job.sh && wget $HC_URL -O /dev/null || curl $HC_URL/fail", "/x/job.sh"),
        ("/x/job.sh | curl --data-binary @- $PING_URL", "/x/job.sh"),
        ("/x/job.sh; curl ${HEALTHCHECK}", "/x/job.sh"),
        ("job -a && /x/b.sh && curl $PING", shell("job -a && /x/b.sh")),
    ],
)
def test_pings_are_removed(line: str, command: object) -> None:
    toml, notes = imported(f"*/5 * * * * {line}\n")
    assert tomllib.loads(toml)["checks"]["job"]["command"] == command
    assert notes == [f"line 1, job: {PING_REMOVED} to job"]


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
    assert re.sub(r"^line 1(, \w+)?: ", "", notes[-1]).startswith(note)


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
    ]


def test_half_minutes_are_one_job() -> None:
    lines = ["probe", "sleep 30; probe", "sleep 20; other", "third", "sleep 15; third"]
    toml, notes = imported("".join(f"* * * * * {line}\n" for line in lines))
    tables = tomllib.loads(toml)["checks"]
    assert len(notes) == 2  # two jobs without a name: `sleep` says nothing
    assert tables["probe"] == {"every": "30s", "user": "app", "command": "probe"}
    every_minute = "* * * * *"
    assert {slug: table.get("cron") for slug, table in tables.items()} == {
        "probe": None,
        "NAME-1": every_minute,
        "third": every_minute,
        "NAME-2": every_minute,
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
        [HCCTL, "import", "crontab", *arguments],
        env=environment(tmp_path),
        cwd=tmp_path,
        input=given,
        capture_output=True,
        check=False,
    )
    without_zone = re.sub(r'zone = "[^"]+"\n', "", done.stdout.decode())
    return done.returncode, without_zone, done.stderr.decode()


def test_a_user_s_crontab_on_stdin(tmp_path: Path) -> None:
    table = '[checks.a]  # line 1\ncron = "0 1 * * *"\n{}grace = "1h"\ncommand = "a"\n'
    named = table.format('user = "bob"\n')
    assert run(tmp_path, "-", "--user", "bob", given=b"0 1 * * * a\n") == (0, named, "")


def test_a_system_s_crontab(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_text("0 1 * * * root a -x\n0 2 * * *\tnobody\tb\nbad line\n")
    status, output, errors = run(tmp_path, "--system", "job")
    assert (status, errors.count("\n"), errors[:8]) == (0, 1, "line 3: ")
    users = {slug: check["user"] for slug, check in tomllib.loads(output)["checks"].items()}
    assert users == {"a": "root", "b": "nobody"}


def test_a_name_is_asked_for_at_a_terminal(tmp_path: Path) -> None:
    """Until it is one that can be taken."""
    (tmp_path / "jobs").write_text("* * * * * a\n* * * * * sh b.sh\n")
    master, terminal = pty.openpty()
    os.write(master, b"A B\na\nb\n")
    done = subprocess.run(
        [HCCTL, "import", "crontab", "jobs", "--user", "app"],
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
    assert asked.count("line 2 runs sh b.sh") == 3


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
    line = "cd '/srv/my app' && /usr/bin/pg_dump --file '/b/%d x.sql' '$DATABASE'"
    status, output, errors = run(tmp_path, "backup.timer")
    assert (status, tomllib.loads(output)["checks"]) == (
        0,
        {
            "backup": {
                "calendar": "*-*-* 03:15 UTC",
                "user": "postgres",
                "timeout": "90m",
                "grace": "90m",
                "command": ["env", "A=1", "B=two words", *shell(line)],
            }
        },
    )
    assert errors == (
        "backup.timer: only the first of several OnCalendar= is imported\n"
        "backup.timer: EnvironmentFile= is not imported\n"
        "backup.timer: systemd replaces $DATABASE: write its value instead\n"
        "backup.timer: API_TOKEN looks secret and is not imported:"
        " let the command read it from a file\n"
    )


def test_a_timer_of_a_template(tmp_path: Path) -> None:
    """Drop-ins of the template and of the instance are read in the order of their names."""
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
    (tmp_path / "job@mail.timer").write_text("[Timer]\nOnUnitActiveSec=5min 30\n")
    status, output, errors = run(tmp_path, "job@mail.timer")
    assert (status, errors) == (0, "")
    common = {"every": "330s", "user": "c", "options": "--no-start", "command": "run-mail"}
    assert tomllib.loads(output)["checks"] == {"mail": common}


def test_what_hcrun_renders_comes_back(tmp_path: Path) -> None:
    """Every job of the shipped crontab and units, with its name, command, time-out and user."""
    shipped = [check for check in load(SHIPPED, Settings({}, {})).checks if check.command]
    path = str(PROJECT / "crontab/hcrun")
    status, output, errors = run(tmp_path, "--system", path)
    assert (status, errors) == (0, "")
    found = catalog(Source("checks.toml", output), 2).checks
    assert {check.slug: (check.command[2:], check.timeout, check.user) for check in found} == {
        check.slug: (check.command, check.timeout, check.user) for check in shipped
    }
    units = UnitFiles([str(PROJECT / "systemd")])
    for check in shipped:
        [name] = [name for name in units.paths if name.endswith(f"@{check.slug}.timer")]
        job, _ = read_timer(name, units.read)
        assert job
        output, _ = import_jobs([job], nobody)
        [one] = catalog(Source("checks.toml", output), 2).checks
        assert (one.slug, one.timeout) == (check.slug, check.timeout)
        assert one.command[-len(check.command) :] == check.command


UNKNOWN = (
    "hcctl: FILE: the user of its jobs is unknown;"
    " give --user NAME, or --system if the lines name users\n"
)
DYNAMIC = "x.timer: DynamicUser= is not imported\n"


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
    expected = f'[checks.x]  # x.timer\nevery = "5m"\nuser = "{user}"\ncommand = "/bin/x"\n'
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
        ("OnUnitInactiveSec=1h", "a %n", "", ["the command has a specifier such as %n"]),
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
        ("OnCalendar=daily", "", "a.service has no ExecStart=: not imported"),
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
        (["none.timer"], b"", "none.timer: No such file or directory"),
        (["."], b"", ".: Is a directory"),
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
    toml, _ = import_jobs([job] if job else [], nobody)
    catalog(source := Source("checks.toml", toml.replace("NAME-", "name-")), 2)
    assert source.problems == []
    assert job or notes
