"""The catalogue as systemd units. `systemd-analyze` needs no running systemd."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st
from oncalendar import OnCalendar

from hcrun.catalog import Check
from hcrun.catalog.schedule import Calendar, Cron
from hcrun.formats.crontab import bad_schedule
from hcrun.schedulers import oncalendar
from hcrun.schedulers.systemd import render
from tests.support.scheduled import catalog, check

HCRUN = "/opt/hcrun/bin/hcrun"
STATE = "StateDirectory=\nStateDirectory={0}\nEnvironment=STATE_DIRECTORY=%S/{0}\n"
SHARED = {"hcrun-probe@.service", "hcrun-job@.service", "hcrun-failed@.service", "hcrun.target"}


def rendered(*checks: Check) -> dict[str, str]:
    return render(catalog(*checks), HCRUN).files


def timer(unit: Check) -> list[str]:
    """What [Timer] says."""
    (name,) = (name for name in rendered(unit) if name.endswith(".timer"))
    return rendered(unit)[name].partition("[Timer]\n")[2].splitlines()


def drop_in(unit: Check) -> str:
    (name,) = (name for name in rendered(unit) if name.endswith("job.conf"))
    return rendered(unit)[name]


def test_a_probe_and_a_job() -> None:
    redis = check("redis", 30, "probe-redis", name="Redis 100%", timeout=10)
    backup = check(
        "backup",
        Calendar("*-*-* 01:30"),
        *("sh", "-c", 'pg_dump "$DB" > $(date +%F).sql', "", "ä;'\\"),
        zone="Europe/Riga",
        grace=3600,
        timeout=1800,
        user="postgres",
    )
    files = rendered(redis, backup, check("tokens", 900))
    assert set(files) - SHARED == {
        "hcrun-probe@redis.timer",
        "hcrun-probe@redis.service.d/job.conf",
        "hcrun-job@backup.timer",
        "hcrun-job@backup.service.d/job.conf",
    }
    assert files["hcrun-probe@redis.timer"] == (
        "[Unit]\nDescription=Timer of Redis 100%%\nPartOf=hcrun.target\n\n"
        "[Timer]\nOnCalendar=*:*:0/30\nAccuracySec=1s\nRandomizedDelaySec=10\n"
        "FixedRandomDelay=yes\n"
    )
    assert files["hcrun-probe@redis.service.d/job.conf"] == (
        "[Unit]\nDescription=Redis 100%%\n\n"
        "[Service]\nExecStart=\n"
        "ExecStart=/opt/hcrun/bin/hcrun --timeout 10s --no-start redis -- probe-redis\n"
        "TimeoutStartSec=70\n"
    )
    assert files["hcrun-job@backup.timer"] == (
        "[Unit]\nDescription=Timer of Backup\nPartOf=hcrun.target\n\n"
        "[Timer]\nOnCalendar=*-*-* 01:30 Europe/Riga\nAccuracySec=1s\nPersistent=yes\n"
    )
    assert files["hcrun-job@backup.service.d/job.conf"] == (
        "[Unit]\nDescription=Backup\n\n"
        "[Service]\nExecStart=\n"
        "ExecStart=/opt/hcrun/bin/hcrun --timeout 30m backup --"
        ' sh -c "pg_dump \\"$$DB\\" > $$(date +%%F).sql" "" "ä;\'\\\\"\n'
        "TimeoutStartSec=1860\nUser=postgres\n"
    )
    assert files["hcrun.target"] == (
        "[Unit]\nDescription=Timers of hcrun\nWants=hcrun-probe@redis.timer\n"
        "Wants=hcrun-job@backup.timer\n\n[Install]\nWantedBy=timers.target\n"
    )


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (15, ["OnCalendar=*:*:0/15"]),
        (60, ["OnCalendar=*:0/1"]),
        (300, ["OnCalendar=*:0/5"]),
        (3600, ["OnCalendar=0/1:00"]),
        (8 * 3600, ["OnCalendar=0/8:00"]),
        (86400, ["OnCalendar=*-*-* 00:00"]),
        (7 * 86400, ["OnCalendar=Mon *-*-* 00:00"]),
        (420, ["OnActiveSec=0", "OnUnitActiveSec=420", "AccuracySec=1s"]),
        (90, ["OnActiveSec=0", "OnUnitActiveSec=90", "AccuracySec=1s"]),
        (Calendar("Mon..Fri 07:00"), ["OnCalendar=Mon..Fri 07:00 UTC"]),
        (Cron("*/15 3 * * *"), ["OnCalendar=*-*-* 03:0/15 UTC"]),
        (Cron("0 7 * * 1-5"), ["OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 07:00 UTC"]),
        (Cron("0 0 13 * 5"), ["OnCalendar=*-*-13 00:00 UTC", "OnCalendar=Fri *-*-* 00:00 UTC"]),
    ],
)
def test_when(schedule: int | Cron | Calendar, expected: list[str]) -> None:
    lines = timer(check("a", schedule, "true"))
    assert lines[: len(expected)] == expected
    spread = isinstance(schedule, int) and expected[0].startswith("OnCalendar=")
    assert ("FixedRandomDelay=yes" in lines) == spread


def test_mail_is_of_cron() -> None:
    made = render(catalog(check("a", 300, "true", mailto="ops")), HCRUN)
    assert made.notes == ["a: systemd mails no output, so mailto has no effect"]


@pytest.mark.parametrize("period", [3600, 86399])
def test_only_what_is_rare_is_made_up_for(period: int) -> None:
    assert "Persistent=yes" not in timer(check("a", period, "true"))
    assert "Persistent=yes" in timer(check("a", 86400, "true"))


def test_cron_is_left_out_where_clocks_change() -> None:
    riga = check("a", Cron("30 3 * * *"), "true", zone="Europe/Riga")
    found = render(catalog(riga), HCRUN)
    assert set(found.files) == SHARED
    [note] = found.notes
    assert note == (
        "a is left out: systemd does not run '30 3 * * *' like cron when the clocks of Europe/Riga"
        " change, so the server would send an alert; write calendar = '*-*-* 03:30'"
    )
    kolkata = check("a", Cron("30 3 * * *"), "true", zone="Asia/Kolkata")
    assert timer(kolkata)[0] == "OnCalendar=*-*-* 03:30 Asia/Kolkata"


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """Everything that cron takes: `*`, `*/7`, `3`, `3-9`, `3-9/2`, `1,3-9`."""
    number = st.integers(low, high)
    ends = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.one_of(st.just(""), st.integers(1, high).map(lambda n: f"/{n}"))
    stepped = st.tuples(st.one_of(st.just("*"), ends), step).map("".join)
    part = st.one_of(number.map(str), stepped)
    return st.one_of(part, st.lists(part, min_size=1, max_size=3).map(",".join))


FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))


@settings(max_examples=200, deadline=None)
@given(FIELDS.map(" ".join))
def test_cron_and_its_calendars_are_the_same_moments(expression: str) -> None:
    assert not bad_schedule(expression)
    start = datetime(2026, 2, 27, 12, tzinfo=UTC)
    try:
        expected = list(islice(CronSim(expression, start), 5))
    except CronSimError:  # 30 February
        return
    together: set[datetime] = set()
    for calendar in oncalendar.of_cron(Cron(expression)):
        together |= set(islice(OnCalendar(calendar, start), 5))
    assert sorted(together)[:5] == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"timeout": 60}, "TimeoutStartSec=120\n"),
        ({"timeout": 60, "options": ("--retries", "2", "--retry-delay", "5s")}, "=270\n"),
        ({"timeout": 60, "options": ("--kill-after", "1s", "--deadline", "5s")}, "=96\n"),
        ({"options": ("--timeout", "1.5s")}, "TimeoutStartSec=62\n"),
        ({"timeout": 60, "needs": ("b",)}, "=140\n"),  # a failed run may ask b
    ],
)
def test_systemd_waits_for_hcrun(more: dict[str, object], expected: str) -> None:
    assert drop_in(check("a", 300, "true", **more)).endswith(expected)
    assert "TimeoutStartSec" not in drop_in(check("a", 300, "true"))


@pytest.mark.parametrize(
    ("command", "user", "expected"),
    [
        ("probe-x", "", ""),
        ("probe-x", "hcrun", ""),
        ("probe-x", "app", "User=app\n" + STATE.format("hcrun-app")),
        ("probe-x", "root", "User=root\n" + STATE.format("hcrun")),
        ("x", "", ""),
        ("x", "root", ""),
        ("x", "app", "User=app\n"),
    ],
)
def test_users(command: str, user: str, expected: str) -> None:
    assert drop_in(check("a", 300, command, user=user)).partition(f"{command}\n")[2] == expected


# What systemd itself says


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with the committed units, and what they run."""
    root = tmp_path_factory.mktemp("root")
    units = root / "etc/systemd/system"
    shutil.copytree(Path(__file__).parents[2] / "systemd", units)
    for program in ("opt/hcrun/bin/hcrun", "bin/sh"):
        (root / program).parent.mkdir(parents=True)
        shutil.copy("/bin/true", root / program)
    for name in ("timers.target", "network-online.target", "basic.target", "sysinit.target"):
        (units / name).write_text("[Unit]\nDescription=-\n")
    return root


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="no systemd-analyze here (Debian: systemd)"
)


@needs_systemd
def test_verify_has_nothing_to_say(root: Path) -> None:
    """Its exit status is 0 for an unknown key."""
    units = root / "etc/systemd/system"
    names = sorted(path.name for path in units.iterdir() if path.name.startswith("hcrun"))
    instances = [name.replace("@.", "@some.") for name in names if not name.endswith(".d")]
    instances += [name.removesuffix(".d") for name in names if name.endswith(".d")]
    done = analyze("verify", f"--root={root}", *instances)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.parametrize("unit", ["hcrun-probe@redis.service", "hcrun-failed@redis.service"])
def test_sandbox(root: Path, unit: str) -> None:
    done = analyze("security", f"--root={root}", "--offline=yes", "--no-pager", unit)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+) ", done.stdout)
    assert score, done.stdout + done.stderr
    assert float(score[1]) < 3.0


@needs_systemd
def test_systemd_takes_all_calendars(root: Path) -> None:
    texts = [path.read_text() for path in root.glob("etc/systemd/system/*.timer")]
    calendars = sorted(set(re.findall(r"^OnCalendar=(.*)", "\n".join(texts), re.M)))
    assert len(calendars) > 5
    done = analyze("calendar", *calendars)
    assert (done.returncode, done.stderr) == (0, "")
