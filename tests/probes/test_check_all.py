"""probe-all, through its command line: real servers, dead ones, and ones that hang."""

import importlib
import json
import os
import pty
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hcrun.excerpt import Excerpt
from hcrun.formats.perfdata import read
from probes.check_all import KNOWN, check_all, is_configured
from probes.framework.probe import Context, Probe
from probes.framework.report import Report, Result
from probes.framework.table import Table
from probes.framework.verdict import Reading, Status, Verdict, state_reading
from tests.servers.minio import KEYS, Minio, minio, seaweed
from tests.servers.postgres import PASSWORD, Cluster, primary, template
from tests.servers.process import Command, Like, free_port, hang, listening
from tests.servers.redis import StartRedis, start_redis
from tests.support.catalogs import write

pytestmark = pytest.mark.slow

__all__ = ["minio", "primary", "seaweed", "start_redis", "template"]


class All(Command):
    """probe-all, which may print several lines on stdout and nothing on stderr."""

    def lines(self, *arguments: object, **environ: object) -> tuple[int, list[str]]:
        ran = self.run(*arguments, **environ)
        assert ran.stderr == ""
        assert ran.stdout.endswith("\n")
        return ran.returncode, ran.stdout.splitlines()

    def report(self, *arguments: object, **environ: object) -> dict[str, Any]:
        status, (line,) = self.lines("--json", *arguments, **environ)
        report: dict[str, Any] = json.loads(line)
        assert Status[report["status"]] == status
        return report


@pytest.fixture
def probe(tmp_path: Path) -> All:
    return All("probe-all", tmp_path)


@pytest.fixture
def services(probe: All, start_redis: StartRedis, primary: Cluster, minio: Minio) -> dict[str, str]:
    """The variables of three real servers."""
    probe.environ |= {
        "REDIS_URL": f"redis://127.0.0.1:{start_redis().port}/0",
        "DATABASE_URL": f"postgresql://looker:{PASSWORD}@127.0.0.1:{primary.port}/postgres",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{minio.port}",
        "S3_ACCESS_KEY_ID": "admin",
        "S3_SECRET_ACCESS_KEY": KEYS["admin"][0],
    }
    return probe.environ


def head(status: str, health: str, ran: int, counts: str, *configured: str) -> Like:
    """The first line of a run of the probes that are `configured`."""
    missing = [name for name in KNOWN if name not in configured]
    words = "" if health == status.lower() else f"{health}, "
    text = f"ALL {status} - {words}{ran} of {len(KNOWN)} ran in #TIME: {counts}"
    text += f"; not configured: {', '.join(missing)}" if missing else ""
    like = Like(text.replace("#TIME", "# s"))
    like.pattern = like.pattern.replace(r"\ s:", r"\ m?s:")
    return like


THREE = ("minio", "postgres", "redis")


@pytest.mark.usefixtures("services")
def test_all_is_well(probe: All) -> None:
    status, lines = probe.lines()
    assert status == 0, lines
    assert lines[0] == head("OK", "healthy", 3, "3 OK", *THREE)
    assert [line.partition(" - ")[0] for line in lines[1:4]] == [
        "MINIO OK",
        "POSTGRES OK",
        "REDIS OK",
    ]
    for line in lines[1:4]:
        assert " - 127.0.0.1:" in line
        assert "|" not in line
    assert lines[4] == Like(
        "| all::time=#s;;;0 all::ok=3 all::warning=0 all::critical=0 all::unknown=0"
    )
    assert [line.partition("=")[0] for line in lines[5:]] == [
        "minio::latency",
        "postgres::latency",
        "redis::latency",
    ]
    values = {(value.probe, value.label) for value in read(Excerpt("\n".join(lines)))}
    assert {("all", "time"), ("postgres", "connections"), ("redis", "clients")} <= values


@pytest.mark.usefixtures("services")
def test_json(probe: All) -> None:
    report = probe.report()
    assert (report["status"], report["health"], report["problem"]) == ("OK", "healthy", "")
    assert (report["ran"], report["known"]) == (3, len(KNOWN))
    assert list(report["not_configured"]) == [name for name in KNOWN if name not in THREE]
    assert [each["probe"] for each in report["probes"]] == list(THREE)
    slowest = max(each["seconds"] for each in report["probes"])
    assert report["seconds"] - report["import_seconds"] >= slowest
    for each in report["probes"]:
        assert each["status"] == "OK"
        assert 0 < each["seconds"] < report["seconds"]
        assert each["readings"][0]["label"] == "latency"
        assert each["target"].startswith("127.0.0.1:")


def test_the_worst_first(probe: All, services: dict[str, str], minio: Minio) -> None:
    services["DATABASE_URL"] = services["DATABASE_URL"].replace(PASSWORD, "wr0ng")
    services["PROBE_REDIS_CLIENTS_WARNING"] = "0"
    minio.answers["/minio/health/live"] = (503, {}, "")
    status, lines = probe.lines()
    assert status == 2
    counts = "1 CRITICAL (minio), 1 UNKNOWN (postgres), 1 WARNING (redis)"
    assert lines[0] == head("CRITICAL", "critical", 3, counts, *THREE)
    assert [line.partition(" - ")[0] for line in lines[1:4]] == [
        "MINIO CRITICAL",
        "POSTGRES UNKNOWN",
        "REDIS WARNING",
    ]


class TestConfigured:
    def test_nothing(self, probe: All) -> None:
        hint = "set the variables of one, or name it: see probe-all --help"
        assert probe.lines() == (3, [f"ALL UNKNOWN - no probe is configured; {hint}"])
        report = probe.report()
        assert (report["ran"], report["health"]) == (0, "unknown")
        assert report["problem"].startswith("no probe is configured; ")

    def test_by_name(self, probe: All) -> None:
        status, lines = probe.lines("redis", REDIS_PORT=free_port())
        assert status == 2
        assert lines[0] == head("CRITICAL", "critical", 1, "1 CRITICAL (redis)", "redis")
        assert lines[1].startswith("REDIS CRITICAL - 127.0.0.1:")
        status, lines = probe.lines("redis", S3_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
        counts = "2 CRITICAL (minio, redis)"
        assert lines[0] == head("CRITICAL", "critical", 2, counts, "minio", "redis")

    def test_by_env_file(self, probe: All, tmp_path: Path) -> None:
        env_file = tmp_path / "hcrun.env"
        env_file.write_text(f"REDIS_URL=redis://127.0.0.1:{free_port()}/0\n")
        status, lines = probe.lines(HCRUN_ENV_FILE=env_file)
        assert status == 2
        assert lines[0] == head("CRITICAL", "critical", 1, "1 CRITICAL (redis)", "redis")

    def test_wrong_usage(self, probe: All) -> None:
        for arguments, message in (
            (["nonsense"], "'nonsense' is not one of 'celery', "),
            (["--nonsense"], "No such option"),
            (["--timeout", "0"], "Invalid value for --timeout or HEALTHCHECKS_CHECK_TIMEOUT: '0' "),
        ):
            status, (line,) = probe.lines(*arguments)
            assert status == 3
            assert line.startswith("ALL UNKNOWN - ")
            assert message in line
            assert line.endswith("; see probe-all --help")

    def test_env_file_that_cannot_be_read(self, probe: All) -> None:
        status, (line,) = probe.lines("redis", HCRUN_ENV_FILE="/nowhere")
        assert status == 3
        assert line.startswith("ALL UNKNOWN - HCRUN_ENV_FILE: /nowhere: no such file; ")

    def test_wrong_settings_of_one(self, probe: All) -> None:
        port = free_port()
        wrong = {"PGPORT": "x", "PGHOST": "127.0.0.1"}
        status, lines = probe.lines(REDIS_URL=f"redis://127.0.0.1:{port}", **wrong)
        assert status == 2
        counts = "1 CRITICAL (redis), 1 UNKNOWN (postgres)"
        assert lines[0] == head("CRITICAL", "critical", 2, counts, "postgres", "redis")
        assert lines[2].startswith("POSTGRES UNKNOWN - Invalid value for --port or PGPORT: ")
        assert lines[2].endswith("; see probe-postgres --help")

    def test_probe_that_cannot_be_imported(self, probe: All, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import sys; sys.modules['probes.check_redis'] = None"
        )
        minio_url = f"http://127.0.0.1:{free_port()}"
        status, lines = probe.lines("redis", PYTHONPATH=tmp_path, S3_ENDPOINT_URL=minio_url)
        assert status == 2
        assert lines[1].startswith("MINIO CRITICAL - ")
        assert lines[2].startswith("REDIS UNKNOWN - unexpected ModuleNotFoundError: ")


@pytest.fixture
def hung(probe: All) -> Iterator[None]:
    with ExitStack() as stack:
        ports = [stack.enter_context(listening(hang)) for _ in THREE]
        probe.environ |= {
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(ports[1]),
            "REDIS_URL": f"redis://127.0.0.1:{ports[2]}/0",
        }
        yield


def test_no_more_threads(probe: All, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import threading\n"
        'def start(_): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = start\n"
    )
    probe.environ["PYTHONPATH"] = str(tmp_path)
    report = probe.report("redis", "zookeeper")
    assert (report["status"], report["health"]) == ("UNKNOWN", "degraded")
    assert [found["message"] for found in report["probes"]] == [
        "cannot start a thread; see ulimit -u"
    ] * 2


@pytest.mark.usefixtures("hung")
class TestHung:
    def test_at_the_same_time(self, probe: All) -> None:
        report = probe.report("--timeout", "1s")
        assert report["status"] == "CRITICAL"
        assert report["ran"] == 3
        for each in report["probes"]:
            assert each["message"].startswith("no answer from 127.0.0.1:")
            assert 0.8 < each["seconds"] < 1.5
        # One after the other it would be three.
        assert report["seconds"] - report["import_seconds"] < 2

    def test_progress_on_a_terminal(self, probe: All) -> None:
        ours, theirs = pty.openpty()
        environ = probe.environ | {"HEALTHCHECKS_CHECK_TIMEOUT": "1s", "COLUMNS": "200"}
        with subprocess.Popen(
            [str(probe.script), "--json"], env=environ, stdout=subprocess.PIPE, stderr=theirs
        ) as process:
            os.close(theirs)
            assert process.stdout
            report = json.loads(process.stdout.read())
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        os.close(ours)
        steps = shown.decode().split("\r\x1b[K")
        assert steps[1:4] == ["importing minio", "importing postgres", "importing redis"]
        assert steps[4] == "0 of 3 done, waiting for minio, postgres, redis"
        assert steps[-1] == ""  # all is wiped away
        assert len(steps) == 8
        assert report["ran"] == 3


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: the other end is closed
        return b""


class TestKnown:
    @pytest.mark.parametrize("name", sorted(KNOWN))
    def test_is_true(self, name: str) -> None:
        module = importlib.import_module(f"probes.check_{name.replace('-', '_')}")
        probe: Probe = module.PROBE
        assert probe.name == name
        source = Path(str(module.__file__)).read_text() + probe.table.summary
        variables = {option.envvar for option in probe.table.options}
        variables |= {probe.url.variable} if probe.url else set()
        for variable in KNOWN[name].variables:
            assert variable in variables or variable in source or variable.startswith("PG")

    @pytest.mark.parametrize(
        "library", sorted({library for known in KNOWN.values() for library in known.libraries})
    )
    def test_libraries_exist(self, library: str) -> None:
        importlib.import_module(library)


def verdict(name: str, *statuses: Status) -> Result:
    result = Verdict(name, "here")
    for status in statuses:
        result.add(state_reading("look", status, f"{name} is {status.name}"))
    return Result(result, 0.25)


OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN


@pytest.mark.parametrize(
    ("statuses", "status", "health"),
    [
        ([OK, OK], OK, "healthy"),
        ([OK, WARNING], WARNING, "degraded"),
        ([UNKNOWN, WARNING], UNKNOWN, "degraded"),
        ([CRITICAL, UNKNOWN], CRITICAL, "critical"),
        ([], UNKNOWN, "unknown"),
    ],
)
def test_report(statuses: list[Status], status: Status, health: str) -> None:
    report = Report([verdict(each.name, each) for each in statuses], {})
    assert (report.status, report.health) == (status, health)


def test_report_in_words() -> None:
    results = [verdict("redis", OK), verdict("kafka", WARNING, OK), verdict("vault", UNKNOWN)]
    results[0].verdict.add(Reading("clients", 3), Reading("keys db0", 2))
    report = Report(results, {"minio": ("S3_ENDPOINT_URL",)}, 1.5, left_out=["http"])
    assert list(report.lines()) == [
        (
            "ALL UNKNOWN - degraded, 3 of 4 ran in 1.5 s: "
            "1 UNKNOWN (vault), 1 WARNING (kafka), 1 OK; not configured: minio; left out: http"
        ),
        "VAULT UNKNOWN - vault is UNKNOWN",
        "KAFKA WARNING - kafka is WARNING, kafka is OK",
        "REDIS OK - redis is OK",
        (
            "| all::time=1.5s;;;0 all::ok=1 all::warning=1 all::critical=0 all::unknown=1\n"
            "redis::clients=3 'redis::keys db0'=2"
        ),
    ]
    values = [value[:3] for value in read(Excerpt("\n".join(report.lines())))]
    assert values[-2:] == [("redis", "clients", 3), ("redis", "keys db0", 2)]


class TestChosen:
    def test_only(self, probe: All) -> None:
        port = free_port()
        status, lines = probe.lines("--only", "redis", REDIS_PORT=port, VAULT_ADDR="http://x")
        assert status == 2
        assert lines[0] == Like("ALL CRITICAL - 1 of 1 ran in #T: 1 CRITICAL (redis)")

    def test_skip(self, probe: All) -> None:
        environ = {"REDIS_PORT": free_port(), "REDIS_HOST": "127.0.0.1", "VAULT_ADDR": "http://x"}
        report = probe.report("--skip", "vault,vault-key", "--skip", "http", **environ)
        assert [each["probe"] for each in report["probes"]] == ["redis"]
        assert report["left_out"] == ["vault", "vault-key", "http"]
        assert not {"vault", "http"} & set(report["not_configured"])
        assert report["known"] == len(KNOWN) - 3

    def test_all_are_left_out(self, probe: All) -> None:
        status, (line,) = probe.lines("redis", "--skip", "redis")
        assert (status, line[:45]) == (3, "ALL UNKNOWN - no probe is configured; set the")

    def test_no_such_probe(self, probe: All) -> None:
        for option in ("--only", "--skip"):
            status, (line,) = probe.lines(option, "redis,nonsense")
            assert status == 3
            assert f"Invalid value for '{option}': 'nonsense' is not one of celery, " in line


class TestThresholdsOfTheCatalogue:
    @pytest.fixture
    def redis(self, start_redis: StartRedis) -> str:
        return f"redis://127.0.0.1:{start_redis().port}/0"

    @pytest.mark.parametrize(
        ("commands", "warning", "critical"),
        [
            (["probe-redis --clients-warning 0 --timeout 9s"], "0", "90%"),
            (["/opt/hcrun/bin/probe-redis --clients-warning=0"], "0", "90%"),
            (["probe-redis --clients-warning off", "probe-redis --clients-warning 0"], "0", "90%"),
            (["probe-redis --clients-warning 0", "probe-redis --clients-warning off"], "0", "90%"),
            (["probe-redis --clients-warning 7", "probe-redis --clients-warning 0"], "0", "90%"),
            (["probe-redis --clients-warning 0 --clients-critical off"], "0", "off"),
            # another server, another probe, and a mistake
            (["probe-redis --host other --clients-warning 0"], "5", "90%"),
            (["probe-postgres --connections-warning 0"], "5", "90%"),
            (["probe-redis --nonsense --clients-warning 0"], "5", "90%"),
        ],
    )
    def test_apply(
        self,
        probe: All,
        redis: str,
        tmp_path: Path,
        commands: list[str],
        warning: str,
        critical: str,
    ) -> None:
        path = write(
            tmp_path,
            **{
                f"c{number}": f'every = "1m"\ncommand = "{command}"'
                for number, command in enumerate(commands)
            },
        )
        environ = {"REDIS_URL": redis, "PROBE_REDIS_CLIENTS_WARNING": "5"}
        (found,) = probe.report("--catalog", path, **environ)["probes"]
        (clients,) = [each for each in found["readings"] if each["label"] == "clients"]
        most = clients["max"]
        shown = {"off": None, "90%": f"{most * 0.9:g}"}
        assert clients["warning"] == warning
        assert clients["critical"] == shown[critical]
        assert found["status"] == ("WARNING" if warning == "0" else "OK")

    def test_without_a_catalogue_the_variables_apply(self, probe: All, redis: str) -> None:
        (found,) = probe.report(REDIS_URL=redis, PROBE_REDIS_MEMORY_WARNING="1kB")["probes"]
        assert found["status"] == "WARNING"

    def test_catalogue_that_cannot_be_read(self, probe: All, redis: str, tmp_path: Path) -> None:
        status, lines = probe.lines("--catalog", tmp_path / "none.toml", REDIS_URL=redis)
        assert status == 3
        assert lines[1].startswith(f"CATALOGUE UNKNOWN - {tmp_path}/none.toml: ")
        assert lines[2].startswith("REDIS OK - ")


class TestSideBySide:
    """Two probes that compute at the same time would measure each other."""

    def run(self, *checks: Callable[[Context], None]) -> list[Result]:
        probes = {f"p{n}": Probe(f"p{n}", Table(""), check) for n, check in enumerate(checks)}
        return check_all(probes, {name: ["--timeout", "20s"] for name in probes})

    def test_a_probe_that_computes_is_waited_for(self) -> None:
        times = []

        def compute(_context: Context) -> None:
            until = time.thread_time() + 0.3
            while time.thread_time() < until:
                pass
            times.append(time.monotonic())

        self.run(compute, lambda _context: times.append(time.monotonic()))
        assert times == sorted(times)

    def test_a_probe_that_waits_is_not(self) -> None:
        second = threading.Event()
        waited = []
        self.run(lambda _context: waited.append(second.wait(15)), lambda _context: second.set())
        assert waited == [True]


def test_is_configured(tmp_path: Path) -> None:
    from hcrun.settings import Settings

    (tmp_path / "redis_url").touch()
    for environ, from_file, expected in (
        ({}, {}, False),
        ({"REDIS_URL": " "}, {}, False),
        ({"REDIS_URL": "x"}, {}, True),
        ({}, {"REDIS_HOST": "x"}, True),
        ({"REDIS_URL_FILE": "x"}, {}, True),
        ({"CREDENTIALS_DIRECTORY": str(tmp_path)}, {}, True),
        ({"CREDENTIALS_DIRECTORY": "/nowhere"}, {}, False),
        ({"PROBE_REDIS_MEMORY_WARNING": "1"}, {}, False),
    ):
        settings = Settings(environ, from_file)
        assert is_configured(settings, ("REDIS_URL", "REDIS_HOST")) is expected
