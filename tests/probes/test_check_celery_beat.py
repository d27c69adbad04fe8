"""probe-celery-beat, through its command line, on a real beat and a real worker."""

import os
import re
import time
from pathlib import Path

import pytest

from probes.check_celery_beat import PROBE, evaluate_heartbeat, evaluate_schedule
from probes.framework.verdict import Status
from tests.servers.celery import broker, celery, worker
from tests.servers.process import Command, Like, until
from tests.servers.ranges import default_ranges
from tests.servers.redis import Server, StartRedis

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"


@pytest.fixture
def server(start_redis: StartRedis) -> Server:
    return start_redis()


def _without_age(line: str) -> str:
    return re.sub(r"(under )?[\d.]+ m?s ago", "AGO", line)


@pytest.mark.slow
def test_beat_and_worker(probe: Command, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "schedule"
    key = ["--heartbeat-key", "celery-beat-heartbeat"]
    probe.environ["CELERY_BROKER_URL"] = broker(server)
    with worker(server, tmp_path), celery(server, tmp_path, "beat", "-s", path):
        until(
            lambda: server.client.exists("celery-beat-heartbeat"),
            "beat has sent, and the worker has done",
            30,
        )
        by_file = probe("--schedule", path)
        by_key = probe(*key, "--age-warning", "10s")
    assert by_file.status == 0
    assert _without_age(by_file.line) == Like(
        f"CELERY-BEAT OK - schedule {path} written AGO | schedule_age=#s;600;1200;0"
    )
    assert by_key.status == 0
    assert _without_age(by_key.line) == Like(
        f"CELERY-BEAT OK - 127.0.0.1:{server.port} answers in #T, heartbeat celery-beat-heartbeat "
        f"written AGO | {LATENCY} heartbeat_age=#s;10;1200;0"
    )
    ended = probe(*key, "--age-critical", "1ms")
    assert ended.line.startswith("CELERY-BEAT CRITICAL - heartbeat celery-beat-heartbeat written ")
    assert "; check that beat runs, and a worker for its task, 127.0.0.1:" in ended.line


class TestSchedule:
    def test_age(self, probe: Command, tmp_path: Path) -> None:
        path = tmp_path / "schedule"
        path.touch()
        for minutes, words in {
            9: f"OK - schedule {path} written 9 min ago",
            11: f"WARNING - schedule {path} written 11 min ago (over 10 min)",
            21: f"CRITICAL - schedule {path} written 21 min ago (over 20 min)",
        }.items():
            then = time.time() - 60 * minutes
            os.utime(path, (then, then))
            line = re.sub(r" \d+ s ago", " ago", probe(CELERY_BEAT_SCHEDULE=path).line)
            assert line.startswith(f"CELERY-BEAT {words}")
        off = ["--age-warning", "off", "--age-critical", "off"]
        assert probe("--schedule", path, *off).status == 0

    @pytest.mark.parametrize("form", ["", ".db", ".dat", ".dir", ".pag", ".bak", "-wal"])
    def test_newest_of_its_forms(self, probe: Command, tmp_path: Path, form: str) -> None:
        for name in ("schedule.dat", "schedule.bak", "schedule"):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (1e9, 1e9))
        assert probe("--schedule", tmp_path / "schedule").status == 2
        (tmp_path / f"schedule{form}").touch()
        assert probe("--schedule", tmp_path / "schedule").status == 0

    def test_none(self, probe: Command, tmp_path: Path) -> None:
        assert probe("--schedule", tmp_path / "schedule").line == (
            f"CELERY-BEAT UNKNOWN - there is no schedule {tmp_path}/schedule; set --schedule "
            "to the value of beat's -s, or use --heartbeat-key"
        )

    def test_directory(self, probe: Command, tmp_path: Path) -> None:
        ran = probe("--schedule", tmp_path)
        assert ran.line.startswith(f"CELERY-BEAT UNKNOWN - there is no schedule {tmp_path}; ")

    def test_in_the_future(self, probe: Command, tmp_path: Path) -> None:
        path = tmp_path / "schedule"
        path.touch()
        os.utime(path, (4e9, 4e9))
        ran = probe("--schedule", path)
        assert ran.line.startswith(f"CELERY-BEAT UNKNOWN - schedule {path} was written ")
        assert ran.line.endswith(" in the future; was the clock of this host set back?")

    def test_default_path(self, probe: Command, tmp_path: Path) -> None:
        """It does not depend on the directory in which cron starts the probe."""
        probe.prefix = ["env", f"--chdir={tmp_path}"]
        (tmp_path / "celerybeat-schedule").touch()
        assert "/tmp/celerybeat-schedule" in probe().line

    def test_unreadable(self, probe: Command, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        ran = probe("--schedule", tmp_path / "file/schedule")
        assert ran.line == f"CELERY-BEAT UNKNOWN - {tmp_path}/file/schedule: Not a directory"


class TestHeartbeat:
    def test_values(self, probe: Command, server: Server) -> None:
        probe.environ |= {"CELERY_BROKER_URL": broker(server), "CELERY_BEAT_HEARTBEAT_KEY": "hb"}
        assert probe().line == Like(
            "CELERY-BEAT CRITICAL - there is no heartbeat hb; check that beat runs, and a "
            f"worker for its task, 127.0.0.1:{server.port} answers in #T | {LATENCY}"
        )
        server.client.set("hb", time.time() - 700)
        assert probe().status == 1
        assert probe("--age-warning", "15m").status == 0
        server.client.set("hb", time.time() - 1300)
        assert probe().status == 2
        server.client.set("hb", "alive", ex=90)
        assert "heartbeat hb expires in 1 min " in probe().line
        server.client.set("hb", "alive")
        assert probe().status == 3
        server.client.delete("hb")
        server.client.lpush("hb", 1)
        ran = probe()
        assert ran.line.startswith("CELERY-BEAT UNKNOWN - heartbeat hb is a list, not a string, ")

    def test_prefix(self, probe: Command, server: Server) -> None:
        probe.environ |= {"CELERY_BROKER_URL": broker(server)}
        probe.environ["CELERY_BROKER_TRANSPORT_OPTIONS"] = '{"global_keyprefix": "app:"}'
        server.client.set("app:hb", time.time())
        for key in ("hb", "app:hb"):
            assert probe("--heartbeat-key", key).line.startswith("CELERY-BEAT OK - 127.0.0.1:")

    def test_latency(self, probe: Command, server: Server) -> None:
        server.client.set("hb", time.time())
        flags = ["--heartbeat-key", "hb", "--latency-critical", "10s:"]
        assert probe(*flags, CELERY_BROKER_URL=broker(server)).status == 2

    def test_another_kind_of_broker(self, probe: Command) -> None:
        ran = probe("--heartbeat-key", "hb", CELERY_BROKER_URL="memory://")
        assert ran.status == 3
        assert "--heartbeat-key needs a Redis broker" in ran.line


LIMITS = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("value", "expires", "status", "words"),
    [
        ("1800000000", -1, Status.OK, "heartbeat k written 0 s ago"),
        ("1799999300.5", -1, Status.WARNING, "heartbeat k written 11 min 40 s ago (over 10 min)"),
        ("2027-01-15T08:00:00+00:00", -1, Status.OK, "heartbeat k written 0 s ago"),
        ("2027-01-15T07:30:00", -1, Status.CRITICAL, "heartbeat k written 30 min ago"),
        ("2027-01-15T09:30:00+02:00", -1, Status.CRITICAL, "heartbeat k written 30 min ago"),
        ("1800000030", -1, Status.OK, "heartbeat k written 0 s ago"),
        ("1800000120", -1, Status.UNKNOWN, "heartbeat k is 2 min in the future"),
        ("12", 5, Status.OK, "heartbeat k expires in 5 s"),
        ("12", -1, Status.UNKNOWN, "heartbeat k is not a time, and never expires"),
        ("", 9, Status.OK, "heartbeat k expires in 9 s"),
        ("inf", -1, Status.UNKNOWN, "heartbeat k is not a time, and never expires"),
        ("nan", -1, Status.UNKNOWN, "heartbeat k is not a time, and never expires"),
        (None, -2, Status.CRITICAL, "there is no heartbeat k"),
    ],
)
def test_evaluate_heartbeat(value: str | None, expires: int, status: Status, words: str) -> None:
    reading = evaluate_heartbeat("k", value, expires, 1_800_000_000, LIMITS)
    assert reading.status == status
    assert reading.message().startswith(words)


def test_evaluate_schedule() -> None:
    assert evaluate_schedule("/s", -5, LIMITS).message() == "schedule /s written 0 s ago"
    assert evaluate_schedule("/s", 601, LIMITS).message() == (
        "schedule /s written 10 min 1 s ago (over 10 min); is beat running, and is this its "
        "schedule?"
    )
