"""hcctl ship: each run arrives once, whatever happens."""

import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hcrun.journal import ends, maintenance
from hcrun.journal.journal import Journal
from hcrun.journal.maintenance import Window
from tests.servers.fleet import Fleet, aged
from tests.support import forks
from tests.support.command import HCCTL, PATIENCE, environment, run_hcrun
from tests.support.journals import Past

NOW = time.time()
PERFDATA = "REDIS OK - well | latency=0.25s;0.5;1;0 usage=40%;80;90;0;100\n"
# The rollups are what the runs add up to.
SUMS = (
    "SELECT check_id, count(*) FILTER (WHERE result = 's')::int,"
    " count(*) FILTER (WHERE result = 'f')::int, count(seconds)::int,"
    " round(sum(seconds::float8)::numeric, 3) FROM hcrun.run GROUP BY 1 ORDER BY 1"
)
ROLLUPS = (
    "SELECT check_id, sum(s)::int, sum(f)::int, sum(timed)::int, round(sum(seconds)::numeric, 3)"
    " FROM hcrun.rollup WHERE span = '{}' GROUP BY 1 ORDER BY 1"
)
SKETCHES = (
    "SELECT check_id, (SELECT sum(x) FROM unnest(array_agg(q.n)) x)::int FROM"
    " (SELECT check_id, unnest(n) AS n FROM hcrun.day) q GROUP BY 1 ORDER BY 1"
)


def ship(
    tmp_path: Path, fleet: Fleet, *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    env = environment(tmp_path) | {"HCRUN_FLEET_URL": fleet.url("web1"), "TZ": "UTC"} | more
    return forks.hcctl([HCCTL, "ship", *words], env, PATIENCE)


def shipped(fleet: Fleet) -> list[str]:
    """The ids of the runs that are there, those twice that are there twice."""
    return [str(row) for (row,) in fleet.ask("SELECT run_id FROM hcrun.run ORDER BY 1")]


def sound(fleet: Fleet) -> None:
    """The sums by hour, by day and of all time are those of the runs."""
    runs = fleet.ask(SUMS)
    for span in "hda":
        assert fleet.ask(ROLLUPS.format(span)) == runs
    assert fleet.ask(SKETCHES) == [(row[0], row[3]) for row in runs]


def some(past: Past, number: int, since: float = NOW - 7200) -> list[str]:
    draw = random.Random(number)
    return sorted(
        past.run(
            f"check{at % 3}",
            since + at * 3600 / number,
            0.1 + draw.random() * 5,
            draw.choice(["success"] * 9 + ["fail"]),
            output=PERFDATA,
        ).run_id
        for at in range(number)
    )


def test_runs_and_readings(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    ids = some(past, 50)
    done = ship(tmp_path, fleet)
    assert done.stdout.startswith("50 runs and 100 readings: fleet://127.0.0.1:"), done.stderr
    assert shipped(fleet) == ids
    sound(fleet)
    assert fleet.ask(
        "SELECT DISTINCT probe, label, unit, warning, maximum FROM hcrun.series ORDER BY 2"
    ) == [("redis", "latency", "seconds", 0.5, None), ("redis", "usage", "ratio", 0.8, 1.0)]
    assert fleet.ask("SELECT DISTINCT value FROM hcrun.reading ORDER BY 1") == [(0.25,), (0.4,)]
    assert ship(tmp_path, fleet).stdout.startswith("nothing to ship")
    [(host, user)] = fleet.ask("SELECT host, os_user FROM hcrun.source")
    assert host == os.uname().nodename
    assert user


def test_a_real_run_after_the_first_shipping(tmp_path: Path, fleet: Fleet) -> None:
    ship(tmp_path, fleet)
    run_hcrun(tmp_path, "backup", "--", "sh", "-c", "exit 3")
    assert ship(tmp_path, fleet).stdout.startswith("1 run and 0 readings")
    [(name, result, status, why, command)] = fleet.ask(
        "SELECT k.name, r.result::text, r.status, w.text, c.text FROM hcrun.run r"
        " JOIN hcrun.checks k ON k.id = check_id JOIN hcrun.texts w ON w.id = why"
        " JOIN hcrun.texts c ON c.id = command"
    )
    assert (name, result, status, command) == ("backup", "f", 3, "sh -c 'exit 3'")
    assert why.startswith("exit status 3 after ")


def test_the_order_of_ends_counts(tmp_path: Path, fleet: Fleet) -> None:
    """A long run that began first ends last, and the clock is set back meanwhile."""
    journal = Past(tmp_path).journal
    past = Past.__new__(Past)
    past.journal = journal
    ship(tmp_path, fleet)
    long = _begun(journal, "long", NOW - 5000)
    first = past.run("short", NOW - 4000).run_id
    assert ship(tmp_path, fleet).stdout.startswith("1 run ")
    _finish(journal, *long, ended=NOW - 6000)
    assert ship(tmp_path, fleet).stdout.startswith("1 run ")
    assert shipped(fleet) == sorted([first, long[1].run_id])


def test_a_result_that_changes_replaces_itself(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    lost = past.run("backup", NOW - 3000, None, "lost", "hcrun vanished")
    ship(tmp_path, fleet)
    row = past.journal.query("SELECT id FROM runs")[0][0]
    lost.ended, lost.duration, lost.result, lost.status = NOW - 2000, 1000.0, "success", 0
    past.journal.finish(row, lost)
    assert ship(tmp_path, fleet).stdout.startswith("1 run ")
    assert fleet.ask("SELECT result::text, seconds FROM hcrun.run") == [("s", 1000.0)]
    sound(fleet)
    assert fleet.ask("SELECT kind::text, result::text FROM hcrun.last ORDER BY 1") == [
        ("d", "s"), ("e", "s"), ("g", "s"),
    ]  # fmt: skip
    assert fleet.ask("SELECT good FROM hcrun.change") == [(True,)]


def test_two_shippers_and_batches(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    ids = some(past, 3500)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: ship(tmp_path, fleet), range(4)))
    assert [each.returncode for each in done] == [0] * 4, [each.stderr for each in done]
    assert shipped(fleet) == ids
    assert len(fleet.ask("SELECT 1 FROM hcrun.reading")) == 2 * len(ids)
    sound(fleet)


def test_killed_shippers(tmp_path: Path, fleet: Fleet) -> None:
    ids = some(Past(tmp_path), 4000)
    env = environment(tmp_path) | {"HCRUN_FLEET_URL": fleet.url("web1")}
    for attempt in range(6):
        process = subprocess.Popen([HCCTL, "ship"], env=env, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        before = len(shipped(fleet))
        while process.poll() is None and time.monotonic() < deadline:
            if len(shipped(fleet)) > before or attempt % 2:
                break
        time.sleep(0.02 * attempt)  # somewhere in the next batch
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = shipped(fleet)
        assert len(set(found)) == len(found)
    assert ship(tmp_path, fleet).returncode == 0
    assert shipped(fleet) == ids
    sound(fleet)


def test_a_server_that_stops_at_once(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    ids = some(past, 2500)
    env = environment(tmp_path) | {"HCRUN_FLEET_URL": fleet.url("web1")}
    from tests.servers.postgres import SETTINGS

    process = subprocess.Popen(
        [HCCTL, "ship"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while not shipped(fleet) and time.monotonic() < deadline:
        pass
    fleet.cluster.stop()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "the fleet database" in errors) in {(1, True), (0, False)}
    away = ship(tmp_path, fleet)
    assert away.returncode == 1
    assert "the fleet database: " in away.stderr
    assert "is it up, and reachable from here?" in away.stderr
    ids = sorted([*ids, *some(past, 30)])  # commands run on
    fleet.cluster.start({**SETTINGS, "max_connections": 30})
    assert ship(tmp_path, fleet).returncode == 0
    assert shipped(fleet) == ids
    sound(fleet)


def restored(tmp_path: Path, copy: bytes) -> Past:
    """The journal as it was."""
    database = tmp_path / "state" / "journal.db"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    database.write_bytes(copy)
    return Past(tmp_path)


def copied(past: Past) -> bytes:
    past.journal.query("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(past.journal.path).read_bytes()


def test_a_journal_that_was_restored_from_a_copy(tmp_path: Path, fleet: Fleet) -> None:
    """It has made more runs since than are compared in one step."""
    past = Past(tmp_path)
    some(past, 10)
    ship(tmp_path, fleet)
    copy = copied(past)
    some(past, 5, NOW - 3000)
    ship(tmp_path, fleet)
    del past
    before = shipped(fleet)
    new = some(restored(tmp_path, copy), 2100, NOW - 3600)
    assert ship(tmp_path, fleet).stdout.startswith("2,100 runs ")
    assert shipped(fleet) == sorted([*before, *new])
    assert ship(tmp_path, fleet).stdout.startswith("nothing to ship")
    sound(fleet)


def test_a_restored_journal_after_the_runs_were_pruned(tmp_path: Path, fleet: Fleet) -> None:
    """Runs that the fleet no longer has are not counted twice, nor is a damaged one in the way."""
    past = Past(tmp_path)
    some(past, 10, NOW - 20 * 86400)
    ship(tmp_path, fleet)
    aged(fleet, 20)
    copy = copied(past)
    some(past, 5, NOW - 3000)
    ship(tmp_path, fleet)
    fleet.ask("SELECT hcrun.prune()")
    del past
    before = shipped(fleet)
    assert len(before) == 5
    past = restored(tmp_path, copy)
    new = some(past, 3, NOW - 3600)
    past.journal.change("UPDATE runs SET run_id = 'x', ended = 'y' WHERE id = 2")
    assert ship(tmp_path, fleet).stdout.startswith("3 runs ")
    assert shipped(fleet) == sorted([*before, *new])
    [(all_time,)] = fleet.ask("SELECT sum(s + f) FROM hcrun.life")
    assert all_time == 18


def test_an_older_dump_of_the_fleet_gets_what_it_lacks(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    first = some(past, 10)
    ship(tmp_path, fleet)
    fleet.cluster.ask(f"CREATE DATABASE {fleet.name}_copy TEMPLATE {fleet.name}")
    more = some(past, 10, NOW - 3000)
    ship(tmp_path, fleet)
    fleet.name += "_copy"
    assert shipped(fleet) == first
    ship(tmp_path, fleet)
    assert shipped(fleet) == sorted([*first, *more])
    sound(fleet)


def test_a_journal_that_was_set_aside_is_a_new_one(tmp_path: Path, fleet: Fleet) -> None:
    ids = some(Past(tmp_path), 10)
    ship(tmp_path, fleet)
    (tmp_path / "state" / "journal.db").rename(tmp_path / "gone")
    for suffix in ("-wal", "-shm"):
        (tmp_path / "state" / f"journal.db{suffix}").unlink(missing_ok=True)
    ids += some(Past(tmp_path), 5, NOW - 3000)
    ship(tmp_path, fleet)
    assert shipped(fleet) == sorted(ids)
    assert fleet.ask("SELECT count(*), count(DISTINCT host) FROM hcrun.source") == [(2, 1)]
    assert fleet.ask("SELECT DISTINCT shown FROM hcrun.named ORDER BY 1") == [
        ("check0",), ("check1",), ("check2",),
    ]  # fmt: skip


def test_odd_times_and_texts(tmp_path: Path, fleet: Fleet) -> None:
    """No run blocks those after it."""
    past = Past(tmp_path)
    past.run("old", 1000.0)
    past.run("ahead", NOW + 4e9)
    past.run(
        "odd", NOW - 60, why="\x00\x07 \u2028'", output="X OK - | 'a\x00b'=1 c=1e300 d=1e-300\n"
    )
    past.run("long", NOW - 50, why="y" * 5000, output=f"X OK - | {'z' * 500}=1\n")
    past.run(
        "many", NOW - 40, output="X OK - | " + " ".join(f"l{n}={n}" for n in range(500)) + "\n"
    )
    past.run("huge", NOW - 35, output="X OK - | a=1e308TiB b=1TiB;1e308;2;0;1e308\n")
    past.journal.change("UPDATE runs SET memory = -9e15 WHERE id = 1")
    past.run("next", NOW - 30)
    done = ship(tmp_path, fleet)
    assert done.stdout.startswith("7 runs "), done.stderr
    [(oldest, newest)] = fleet.ask(
        "SELECT min(started) > now() - interval '1 hour',"
        " max(started) < now() + interval '1 hour' FROM hcrun.run"
    )
    assert oldest
    assert newest
    assert fleet.ask(
        "SELECT count(*) FROM hcrun.series s JOIN hcrun.checks k ON k.id = check_id"
        " WHERE name = 'many'"
    ) == [(100,)]


def test_damaged_records_are_left_out(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    ids = [past.run("backup", NOW - 60 - at).run_id for at in range(4)]
    past.journal.change("UPDATE runs SET cpu_user = 'x' WHERE run_id = ?", (ids[1],))
    past.journal.change("UPDATE runs SET run_id = '{,}' WHERE run_id = ?", (ids.pop(),))
    assert ship(tmp_path, fleet).stdout.startswith("2 runs ")
    assert shipped(fleet) == sorted([ids[0], ids[2]])


def test_a_full_disk(tmp_path: Path, fleet: Fleet) -> None:
    ids = some(Past(tmp_path), 5)
    [(definition,)] = fleet.ask("SELECT pg_get_functiondef('hcrun.take_1'::regproc)")
    fleet.ask(
        "CREATE OR REPLACE FUNCTION hcrun.take_1(j uuid, was bigint, becomes bigint, batch jsonb)"
        " RETURNS bigint LANGUAGE plpgsql AS $$BEGIN"
        " RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$"
    )
    done = ship(tmp_path, fleet)
    assert done.returncode == 1
    assert "No space left on device; free space on its disk" in done.stderr
    fleet.ask(definition)
    assert ship(tmp_path, fleet).returncode == 0
    assert shipped(fleet) == ids


def test_a_host_that_is_renamed(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    some(past, 5)
    ship(tmp_path, fleet)
    fleet.ask("UPDATE hcrun.source SET host = 'before'")
    some(past, 5, NOW - 3600)
    ship(tmp_path, fleet)
    assert fleet.ask("SELECT host FROM hcrun.source") == [(os.uname().nodename,)]
    assert fleet.ask("SELECT count(*) FROM hcrun.run JOIN hcrun.checks ON id = check_id") == [(10,)]


def test_maintenance_follows(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    window = Window(0, "key", "redis", NOW - 600, NOW + 600, None, "disk", "ops", True, False)
    number = maintenance.begin(past.journal, window)
    ship(tmp_path, fleet)
    odd = Window(0, "key", "redis", NOW - 600, float("inf"), None, "x", "ops", True, False)
    maintenance.begin(past.journal, odd)
    ship(tmp_path, fleet)
    state = "SELECT name, reason, ended IS NULL FROM hcrun.maintenance"
    assert fleet.ask(state) == [("redis", "disk", True)]
    maintenance.end(past.journal, number, NOW)
    ship(tmp_path, fleet)
    assert fleet.ask(state) == [("redis", "disk", False)]


REFUSED = {
    "no setting": ({"HCRUN_FLEET_URL": ""}, "HCRUN_FLEET_URL: no fleet database"),
    "no URL": ({"HCRUN_FLEET_URL": "mysql://x/y"}, "HCRUN_FLEET_URL: is not a URL of PostgreSQL"),
    "password": ({"password": "wr0ng"}, "check user and password"),
    "reader": ({"role": "viewer"}, "shippers need the role hcrun_writer"),
    "no database": ({"suffix": "x"}, "create it, see docs/fleet.md"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str, tmp_path: Path, fleet: Fleet) -> None:
    given, expected = REFUSED[name]
    url = fleet.url(given.get("role", "web1"), given.get("password", "sup3r-s3cr3t"))
    url = url.replace("?", given.get("suffix", "") + "?")
    done = ship(
        tmp_path,
        fleet,
        **{"HCRUN_FLEET_URL": url, **{k: v for k, v in given.items() if k.isupper()}},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert expected in done.stderr
    assert "sup3r-s3cr3t" not in done.stderr
    assert "wr0ng" not in done.stderr


def test_no_schema(tmp_path: Path, cluster: Any) -> None:
    done = ship(tmp_path, Fleet(cluster))
    assert done.returncode == 1
    assert "run hcctl fleet init" in done.stderr


def test_the_url_may_be_in_a_file(tmp_path: Path, fleet: Fleet) -> None:
    secret = tmp_path / "url"
    secret.write_text(fleet.url("web1") + "\n")
    done = ship(tmp_path, fleet, HCRUN_FLEET_URL="", HCRUN_FLEET_URL_FILE=str(secret))
    assert done.stdout.startswith("nothing to ship"), done.stderr


def test_pruned_runs_leave_no_ends(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    some(past, 20)
    ship(tmp_path, fleet)
    past.journal.change("DELETE FROM runs WHERE id <= 15")
    past.journal.change("DELETE FROM outputs WHERE id <= 15")
    ship(tmp_path, fleet)
    assert past.journal.query("SELECT count(*) FROM ends") == [(5,)]
    assert past.journal.query(ends.WAITING) == [(0, None)]
    state = ends.shipping(past.journal)
    assert state
    assert state.cursor == 20


def _begun(journal: Journal, check: str, started: float) -> tuple[int, Any]:
    from uuid import uuid4

    from hcrun.journal.run import Run

    run = Run(str(uuid4()), started)
    run.check, run.command, run.user = check, "true", "app"
    return journal.begin(run, os.getpid(), sum(check.encode()), "", ""), run


def _finish(journal: Journal, row: int, run: Any, ended: float) -> None:
    run.ended, run.duration, run.result, run.why = ended, 10.0, "success", "exit status 0"
    journal.finish(row, run)
