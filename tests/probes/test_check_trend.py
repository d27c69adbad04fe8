"""probe-trend, through its command line, on journals with a past."""

import time
from pathlib import Path

import pytest

from hcrun.reports.forecast import Series
from hcrun.reports.statistics import DAY
from probes.check_trend import choose, evaluate, limit_of
from probes.framework.probe import UnknownError
from probes.framework.verdict import Status
from tests.servers.process import Command, Like
from tests.support.journals import Past

pytestmark = pytest.mark.slow


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    command = Command("probe-trend", tmp_path)
    command.environ["STATE_DIRECTORY"] = str(tmp_path / "state")
    return command


def add(past: Past, check: str, line: str, days: int = 30, end: float = 0) -> None:
    """Runs every six hours until a minute ago; `line` is formatted with the day's number."""
    now = time.time() - 60 - end
    for number in range(days * 4 + 1):
        day = number / 4
        past.run(check, now - 1 - days * DAY + day * DAY, output=line.format(day=day, gb=day * 1e9))


def test_full_in_so_many_days(probe: Command, tmp_path: Path) -> None:
    past = Past(tmp_path)
    add(past, "s3", "MINIO OK - up | usage={day:.2f}%;80;90;0;53 size={gb:.0f}B\n")
    assert probe("s3", "usage", "--full-in", "14d").line == Like(
        "TREND OK - minio usage 30% of 53%, full in 23 days (# to #) at 1% a day,"
        " measured over # days | usage=30%;;;;53 left=#s;;1209600:;0"
    )
    assert probe("s3", "minio usage", "--full-in", "30d").line == Like(
        "TREND CRITICAL - full in 23 days (# to #) at 1% a day, measured over # days (under 30 d),"
        " minio usage 30% of 53% | usage=30%;;;;53 left=#s;;2592000:;0"
    )
    assert probe("s3", "size", "--limit", "40GB").line == Like(
        "TREND CRITICAL - full in 10 days (# to #) at 1.0 GB a day, measured over # days"
        " (under 14 d), minio size 30.0 GB of 40.0 GB"
        " | size=30000000000B;;;;40000000000 left=#s;;1209600:;0"
    )


def test_variables_are_enough(probe: Command, tmp_path: Path) -> None:
    add(Past(tmp_path), "disk", "/ | root=7;;;0;10\n")
    env = {"PROBE_TREND_CHECK": "disk", "PROBE_TREND_METRIC": "root"}
    ran = probe(**env)
    words = "TREND OK - root 7 of 10, no trend towards the limit | root=7;;;;10"
    assert (ran.status, ran.line) == (0, words)
    ran = probe(**env, PROBE_TREND_LIMIT="5")
    words = "TREND CRITICAL - full (under 14 d), root 7 of 5 | root=7;;;;5 left=0s;;1209600:;0"
    assert (ran.status, ran.line) == (2, words)


def test_too_few_to_tell(probe: Command, tmp_path: Path) -> None:
    """Nobody is woken up on the first day."""
    add(Past(tmp_path), "s3", "MINIO OK - up | usage={day:.2f}%;80;90;0;53\n", days=2)
    assert probe("s3", "usage").line == (
        "TREND OK - minio usage 2% of 53%, too few runs for a trend: 9 of 12, over 2 days"
        " | usage=2%;;;;53"
    )


def test_anomaly(probe: Command, tmp_path: Path) -> None:
    """It warns for a day, once, and of what nobody printed it says nothing."""
    past, now = Past(tmp_path), time.time()
    for number in range(30 * 24):
        at = now - 60 - (30 * 24 - number) * 3600
        past.run("db", at, output=f"POSTGRES OK - | connections={40 + number * 7 % 5};;;0\n")
    usual = "TREND OK - postgres connections is as in 720 successful runs before"
    assert probe("db", "connections", "--anomaly").line == usual
    assert probe("db", "duration", "--anomaly").status == 0
    unknown = "TREND UNKNOWN - db has no metric load; choose one of duration, postgres connections"
    assert probe("db", "load", "--anomaly").line == unknown
    past.run("db", now - 60, output="POSTGRES OK - | connections=95;;;0\n")
    ran = probe("db", "connections", "--anomaly")
    words = "postgres connections 95, never above 44.22 at this hour in 30 days"
    assert (ran.status, ran.line) == (1, f"TREND WARNING - {words}; see hcctl history db")
    assert probe("db", "connections", "--anomaly").line == ran.line


SILENT = "in 30 days printed perfdata; see its output: hcctl history; items not read: hcctl doctor"


def test_what_cannot_be_known(probe: Command, tmp_path: Path) -> None:
    missing = probe("s3", "usage")
    path = tmp_path / "state" / "journal.db"
    assert (missing.status, missing.line) == (
        3,
        f"TREND UNKNOWN - {path}: there is no journal; run as the user who runs s3 under hcrun",
    )
    past = Past(tmp_path)
    add(past, "s3", "MINIO OK - up | usage={day:.2f}% size=1B;;;0;9\n")
    add(past, "old", "MINIO OK - up | usage={day:.2f}%;;;0;53\n", end=5 * DAY)
    add(past, "two", "A OK - up | n=1;;;0;9\nB OK - up | n=2;;;0;9\n")
    add(past, "none", "all is well\n")
    for words, message in (
        (["s3", "usage"], "minio usage has no maximum; set --limit"),
        (["s3", "used"], "s3 has no metric used; choose one of minio usage, minio size"),
        (["s3", "usage", "--limit", "9B"], "invalid --limit 9B for minio usage; write it like 80%"),
        (["s3", "size", "--limit", "x"], "invalid --limit x for minio size; write it like 200GB"),
        (["old", "usage"], "minio usage was not printed for 5 days; see its output: hcctl history"),
        (["two", "n"], "two has several metrics named n; choose one of 'a n', 'b n'"),
        (["none", "n"], f"no run of none {SILENT}"),
        (["nobody", "n"], f"no run of nobody {SILENT}"),
        ([], "Missing argument CHECK or PROBE_TREND_CHECK; see probe-trend --help"),
        (["s3"], "Missing argument METRIC or PROBE_TREND_METRIC; see probe-trend --help"),
    ):  # fmt: skip
        ran = probe(*words)
        assert (ran.status, ran.line) == (3, f"TREND UNKNOWN - {message}")
    assert probe("two", "b n").status == 0
    ran = probe("s3", "usage", "--full-in", "soon")
    assert ran.status == 3
    assert "'soon' is not a duration" in ran.line


def test_it_looks_while_others_write(probe: Command, tmp_path: Path) -> None:
    past = Past(tmp_path)
    add(past, "s3", "MINIO OK - up | usage={day:.2f}%;80;90;0;53\n")
    past.journal._db.execute("BEGIN IMMEDIATE")
    try:
        assert probe("s3", "usage").status == 0
    finally:
        past.journal._db.execute("ROLLBACK")


def a_series(unit: str = "", maximum: float | None = None, days: int = 30) -> Series:
    return Series([(at * DAY, float(at)) for at in range(days + 1)], unit, maximum)


@pytest.mark.parametrize(
    ("unit", "given", "limit"),
    [
        ("", "", 7.0),
        ("", "1000", 1000.0),
        ("", "1.5", 1.5),
        ("seconds", "1m30s", 90.0),
        ("bytes", "2GiB", 2.0 * 2**30),
        ("ratio", "80%", 0.8),
        ("ratio", "0.8", 0.8),
    ],
)
def test_limits(unit: str, given: str, limit: float) -> None:
    assert limit_of(a_series(unit, 7.0), given, "x") == limit


def test_choose() -> None:
    found = {"minio usage": a_series(), "disk usage": a_series(), "n": a_series()}
    assert choose(found, "disk usage", "s3") == "disk usage"
    assert choose(found, "n", "s3") == "n"
    with pytest.raises(UnknownError, match="several"):
        choose(found, "usage", "s3")


@pytest.mark.parametrize(
    ("limit", "now", "status"),
    [
        (43.0, 30.0, Status.CRITICAL),  # 13 days left
        (45.0, 30.0, Status.OK),
        (45.0, 31.5, Status.CRITICAL),  # time goes on
        (30.0, 30.0, Status.CRITICAL),  # full
        (20.0, 30.0, Status.CRITICAL),
        (45.0, 33.0, Status.UNKNOWN),  # two days without a word
    ],
)
def test_evaluate(limit: float, now: float, status: Status) -> None:
    readings = evaluate("x", a_series(), limit, 14 * DAY, now * DAY)
    assert max(reading.status.severity for reading in readings) == status.severity
