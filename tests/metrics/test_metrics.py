"""`hcctl metrics`, read by Prometheus's own parser and by OpenTelemetry's own messages."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from hcrun import __version__
from hcrun.journal.pruning import prune
from hcrun.metrics.otlp import endpoint
from tests.servers.mail import Webhook
from tests.servers.process import free_port
from tests.support.catalogs import write
from tests.support.command import environment, run_hcctl, run_hcrun, runs, start_hcrun, wait_until
from tests.support.journals import Past

pytestmark = pytest.mark.slow

Labels = dict[str, str]
ROUND = 1e-3
DAY = 86400.0


def export(tmp_path: Path, *arguments: str) -> dict[str, list[tuple[Labels, float]]]:
    """Name -> its samples, as Prometheus reads what the command prints."""
    done = run_hcctl(tmp_path, "metrics", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(done.stdout):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            assert sample.timestamp is None
            labels = dict(sample.labels)
            assert labels.pop("journal") == os.path.realpath(tmp_path / "state")
            found.setdefault(sample.name, []).append((labels, sample.value))
    return found


def one(found: dict[str, list[tuple[Labels, float]]], name: str, **labels: str) -> float:
    """The value of the only sample with these labels among its own."""
    (value,) = [v for given, v in found[name] if labels.items() <= given.items()]
    return value


def of_check(found: dict[str, list[tuple[Labels, float]]], check: str) -> dict[str, float]:
    """The values that have no other label than this check."""
    return {name: v for name, all_ in found.items() for lab, v in all_ if lab == {"check": check}}


def test_runs_as_they_happened(tmp_path: Path) -> None:
    before = time.time()
    run_hcrun(tmp_path, "backup", "--", "true")
    run_hcrun(tmp_path, "backup", "--", "sh", "-c", "exit 3")
    run_hcrun(tmp_path, "--fail-after", "2", "other", "--", "false")
    run_hcrun(tmp_path, "other", "--", "true")
    third, _, failed, good = (run for run in runs(tmp_path))
    found = export(tmp_path)
    expected = {
        "hcrun_up": 0,
        "hcrun_last_run_timestamp_seconds": failed.ended,
        "hcrun_last_run_duration_seconds": failed.duration,
        "hcrun_last_run_exit_status": 3,
        "hcrun_last_success_timestamp_seconds": good.ended,
        "hcrun_runs_in_progress": 0,
        "hcrun_undelivered_pings": 0,
    }
    assert of_check(found, "backup") == pytest.approx(expected, abs=ROUND)
    other = of_check(found, "other")
    assert other["hcrun_up"] == 1
    assert other["hcrun_last_run_timestamp_seconds"] == pytest.approx(third.ended, abs=ROUND)
    counts = {(lab["check"], lab["result"]): v for lab, v in found["hcrun_runs_total"] if v}
    assert counts == {
        ("backup", "success"): 1,
        ("backup", "fail"): 1,
        ("other", "held"): 1,
        ("other", "success"): 1,
    }
    assert ({"check": "backup", "result": "lost"}, 0) in found["hcrun_runs_total"]
    assert one(found, "hcrun_build_info", version=__version__) == 1
    assert before <= one(found, "hcrun_exported_timestamp_seconds") <= time.time()
    name = "hcrun_journal_oldest_run_timestamp_seconds"
    assert one(found, name) == pytest.approx(good.started, abs=ROUND)


def test_a_run_of_a_clock_that_was_ahead_hides_nothing(tmp_path: Path) -> None:
    """Else no alert would come until that time does."""
    past, now = Past(tmp_path), time.time()
    good = past.run("api", now - 700)
    past.run("api", now + 3650 * DAY)
    bad = past.run("api", now - 100, result="fail")
    found = of_check(export(tmp_path), "api")
    assert (found["hcrun_up"], found["hcrun_last_run_exit_status"]) == (0, 1)
    assert found["hcrun_last_run_timestamp_seconds"] == pytest.approx(bad.ended, abs=ROUND)
    assert found["hcrun_last_success_timestamp_seconds"] == pytest.approx(good.ended, abs=ROUND)


def test_perfdata_in_base_units(tmp_path: Path) -> None:
    line = (
        "REDIS WARNING - much | latency=12.5ms;500;1000;0 memory=2kB;;;0;4000 used=91%;80;90;0;100"
        ' clients=3 seen=7c "odd\\label"=1'
    )
    run_hcrun(tmp_path, "cache", "sh", "-c", f"echo old; echo '{line}'; exit 1")
    found = export(tmp_path)
    labels = {"check": "cache", "probe": "redis"}
    assert found["hcrun_probe_reading_seconds"] == [({**labels, "reading": "latency"}, 0.0125)]
    assert found["hcrun_probe_reading_bytes"] == [({**labels, "reading": "memory"}, 2000)]
    assert found["hcrun_probe_reading_ratio"] == [({**labels, "reading": "used"}, 0.91)]
    assert found["hcrun_probe_reading"] == [
        ({**labels, "reading": "clients"}, 3),
        ({**labels, "reading": '"odd\\label"'}, 1),
    ]
    assert found["hcrun_probe_reading_total"] == [({**labels, "reading": "seen"}, 7)]


def test_tenants_have_a_label(tmp_path: Path) -> None:
    line = "TENANTS OK - 2 | tenants=2 tenant_up/acme=1 tenant_time/acme=20ms 'tenant_up/a b'=0"
    run_hcrun(tmp_path, "figures", "echo", line)
    run_hcrun(tmp_path, "other", "echo", "APP OK | tenant_up/acme=1")
    found = export(tmp_path)
    acme = {"check": "figures", "tenant": "acme"}
    assert found["hcrun_tenant_up"] == [(acme, 1), (acme | {"tenant": "a b"}, 0)]
    assert found["hcrun_tenant_answer_seconds"] == [(acme, 0.02)]
    assert [labels["reading"] for labels, _ in found["hcrun_probe_reading"]] == [
        "tenants",
        "tenant_up/acme",
    ]


def test_an_item_that_is_not_read_is_shown(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "app", "echo", "APP OK | a=1, b=2")
    run_hcrun(tmp_path, "job", "echo", "ps aux | grep=1,")
    found = export(tmp_path)
    assert found["hcrun_probe_reading"] == [({"check": "app", "probe": "app", "reading": "b"}, 2)]
    assert found["hcrun_perfdata_refused_items"] == [({"check": "app"}, 1), ({"check": "job"}, 0)]
    done = run_hcctl(tmp_path, "doctor", "--json", env={"HEALTHCHECKS_ENABLED": "false"})
    report = json.loads(done.stdout)
    what = [finding["what"] for finding in report["findings"]]
    assert "not read in the perfdata of app: a=1," in what
    assert not any("perfdata of job" in text for text in what)


def test_totals_outlive_their_runs(tmp_path: Path) -> None:
    """A counter that goes down would be a restart to Prometheus, and all its rates wrong."""
    past, now = Past(tmp_path), time.time()
    for age in (200, 150, 100, 50, 1):
        past.run("job", now - age * DAY, result="success" if age > 100 else "fail")
    prune(past.journal, now)
    assert len(past.journal.runs()) == 2
    found = export(tmp_path)
    assert one(found, "hcrun_runs_total", check="job", result="success") == 2
    assert one(found, "hcrun_runs_total", check="job", result="fail") == 3


def test_a_run_that_vanished_and_one_that_is_not_delivered(tmp_path: Path) -> None:
    past, now = Past(tmp_path), time.time()
    past.run("job", now - 10, pending=True)
    past.run("job", now - 5, None, "lost", pending=True)
    past.run("other", now - 5)
    found = export(tmp_path)
    assert one(found, "hcrun_up", check="job") == 0
    assert [labels["check"] for labels, _ in found["hcrun_last_run_exit_status"]] == ["other"]
    assert one(found, "hcrun_undelivered_pings", check="job") == 2
    assert one(found, "hcrun_undelivered_pings", check="other") == 0


def test_a_killed_run_is_counted_when_it_is_found(tmp_path: Path) -> None:
    with start_hcrun(tmp_path, "job", "--", "sleep", "60") as hcrun:
        wait_until(lambda: (tmp_path / "state").exists() and runs(tmp_path), "it is recorded")
        found = export(tmp_path)
        assert set(found) & {"hcrun_up", "hcrun_runs_total"} == set()  # none has ended
        assert found["hcrun_runs_in_progress"] == [({"check": "job"}, 1)]
        hcrun.kill()
    assert "hcrun_runs_in_progress" not in export(tmp_path)
    run_hcctl(tmp_path, "flush")
    found = export(tmp_path)
    assert one(found, "hcrun_runs_total", check="job", result="lost") == 1
    assert one(found, "hcrun_up", check="job") == 0


CATALOG = """every = "5m"
grace = "10m"
tier = "1"
slo = { availability = 99 }
"""


def test_slos_of_the_catalogue(tmp_path: Path) -> None:
    """Ten hours of runs each five minutes, of which the last 6 minutes were down."""
    past, now = Past(tmp_path), time.time()
    past.every("api", 300, now - 36000, now - 400)
    past.run("api", now - 361, result="fail")
    past.run("stranger", now - 60)
    head = "[tiers.1]\nlevel = 'critical'\nchannels = []\n"
    path = write(tmp_path, head=head, api=CATALOG, elsewhere=CATALOG)
    found = export(tmp_path, "--catalog", path)
    (info,) = found["hcrun_check_info"]
    assert info == ({"check": "api", "name": "api", "tier": "1", "environment": ""}, 1)
    assert found["hcrun_slo_ratio"] == [({"check": "api", "kind": "availability"}, 0.99)]
    left = one(found, "hcrun_error_budget_left_ratio", check="api")
    assert left == pytest.approx(1 - 361 / (30 * 86400 * 0.01), abs=0.002)  # not of the ten hours
    success = one(found, "hcrun_last_success_timestamp_seconds", check="api")
    due = one(found, "hcrun_success_due_timestamp_seconds", check="api")
    assert due == pytest.approx(success + 300 + 600, abs=ROUND)


def test_slo_for_success(tmp_path: Path) -> None:
    past, now = Past(tmp_path), time.time()
    for number in range(20):
        past.run("job", now - 86400 + number * 3600, result="fail" if number == 7 else "success")
    path = write(tmp_path, job='cron = "0 * * * *"\ngrace = "1h"\nslo = { success = 90 }\n')
    found = export(tmp_path, "--catalog", path)
    assert found["hcrun_slo_ratio"] == [({"check": "job", "kind": "success"}, 0.9)]
    # Of the 720 runs of 30 days, 72 may fail.
    assert one(found, "hcrun_error_budget_left_ratio") == pytest.approx(1 - 1 / 72)


# --textfile


def test_textfile_is_what_is_printed(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    target = tmp_path / "collector"
    target.mkdir()
    old = os.umask(0o077)
    try:
        for _ in range(2):  # the second replaces the first
            done = run_hcctl(tmp_path, "metrics", "--textfile", str(target))
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    finally:
        os.umask(old)
    (path,) = target.iterdir()
    escaped = str(tmp_path / "state").strip("/").replace("-", "%2D").replace("/", "-")
    assert path.name == f"hcrun-{escaped}.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    printed = run_hcctl(tmp_path, "metrics").stdout
    stamp = "hcrun_exported_timestamp_seconds{"
    written = path.read_text()
    assert written.count(f"\n{stamp}") == 1
    assert [line for line in written.splitlines() if not line.startswith(stamp)] == [
        line for line in printed.splitlines() if not line.startswith(stamp)
    ]


def test_users_of_a_host_have_a_file_each(tmp_path: Path) -> None:
    """With the same check: node_exporter refuses all files if two have the same series."""
    target = tmp_path / "collector"
    target.mkdir()
    for user in ("one", "two", "o-ne"):
        home = tmp_path / user
        home.mkdir()
        run_hcrun(home, "job", "--", "true")
        assert run_hcctl(home, "metrics", "--textfile", str(target)).returncode == 0
    files = [path.read_text() for path in target.iterdir()]
    assert len(files) == 3
    series = [
        line.rpartition(" ")[0]
        for text in files
        for line in text.splitlines()
        if not line.startswith("#")
    ]
    assert len(set(series)) == len(series) > 30


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read another user's journal")
def test_root_exports_another_users_journal(tmp_path: Path) -> None:
    """With the run that is in progress there."""
    with start_hcrun(tmp_path, "job", "--", "sleep", "60") as hcrun:
        wait_until(lambda: (tmp_path / "state").exists() and runs(tmp_path), "it is recorded")
        with tempfile.TemporaryDirectory(dir="/tmp") as open_to_all:
            Path(open_to_all).chmod(0o755)
            moved = Path(open_to_all) / "state"
            (tmp_path / "state").rename(moved)
            for path in (moved, *moved.iterdir()):
                os.chown(path, 12345, 12345)
            done = run_hcctl(tmp_path, "metrics", env={"STATE_DIRECTORY": str(moved)})
        hcrun.kill()
    assert done.stderr == ""
    assert f'hcrun_runs_in_progress{{check="job",journal="{moved}"}} 1.0\n' in done.stdout


def test_textfile_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    done = run_hcctl(tmp_path, "metrics", "--textfile", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"hcctl: --textfile {tmp_path}/none: no such directory\n"
    done = run_hcctl(tmp_path, "metrics", "--textfile", "/proc")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"hcctl: /proc/hcrun-\S+\.prom: cannot be written: .*\n", done.stderr)


def test_no_journal_no_figures(tmp_path: Path) -> None:
    """Nothing is written that says "all is well": the alert on stale figures is for this."""
    done = run_hcctl(tmp_path, "metrics", "--textfile", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"hcctl: {tmp_path}/state/journal.db: there is no journal;")
    assert list(tmp_path.iterdir()) == []


def test_empty_journal(tmp_path: Path) -> None:
    Past(tmp_path)
    assert set(export(tmp_path)) == {"hcrun_build_info", "hcrun_exported_timestamp_seconds"}


# --otlp


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Webhook]:
    """An OpenTelemetry collector, and a journal with one run of a probe."""
    run_hcrun(tmp_path, "cache", "echo", "REDIS OK - well | latency=0.5s memory=7B used=50%")
    with Webhook() as server:
        server.body = b""
        yield server


def send(tmp_path: Path, url: str, **env: str) -> tuple[int, str, str]:
    done = run_hcctl(tmp_path, "metrics", "--otlp", url, env=env)
    return done.returncode, done.stdout, done.stderr


def test_otlp_has_all_that_the_text_has(tmp_path: Path, collector: Webhook) -> None:
    headers = "authorization=Bearer%20s3cret, x-scope = a"
    created = runs(tmp_path)[0].started
    before = time.time()
    assert send(tmp_path, collector.url, OTEL_EXPORTER_OTLP_HEADERS=headers) == (0, "", "")
    [post] = collector.kept
    assert (post.path, post.headers["content-type"]) == ("/v1/metrics", "application/x-protobuf")
    assert (post.headers["authorization"], post.headers["x-scope"]) == ("Bearer s3cret", "a")
    (resource,) = ExportMetricsServiceRequest.FromString(post.body).resource_metrics
    about = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert about == {
        "service.name": "hcrun",
        "service.version": __version__,
        "host.name": os.uname().nodename,
    }
    (scope,) = resource.scope_metrics
    found: dict[str, list[tuple[Labels, float]]] = {}
    for metric in scope.metrics:
        assert metric.description
        data: Any = metric.sum if metric.name.endswith("_total") else metric.gauge
        is_sum = metric.name.endswith("_total")
        if is_sum:
            assert (data.is_monotonic, data.aggregation_temporality) == (True, 2)
        for point in data.data_points:
            start = point.start_time_unix_nano / 1e9
            assert created - 1 < start <= before if is_sum else not start
            assert before <= point.time_unix_nano / 1e9 <= time.time()
            labels = {each.key: each.value.string_value for each in point.attributes}
            assert labels.pop("journal") == str(tmp_path / "state")
            found.setdefault(metric.name, []).append((labels, point.as_double))
    printed = export(tmp_path)
    for each in (found, printed):
        each.pop("hcrun_exported_timestamp_seconds")
    assert found == printed
    units = {metric.name: metric.unit for metric in scope.metrics}
    assert units["hcrun_probe_reading_seconds"] == "s"
    assert units["hcrun_probe_reading_bytes"] == "By"
    assert units["hcrun_probe_reading_ratio"] == "1"


def test_otlp_sums_start_with_the_journal(tmp_path: Path, collector: Webhook) -> None:
    """Also when the first runs are pruned: another start would be a reset."""
    starts = set()
    for age in (200, 100):
        past, now = Past(tmp_path), time.time()
        past.run("job", now - age * DAY)
        prune(past.journal, now)
        past.run("job", now + 10)
        assert send(tmp_path, collector.url)[0] == 0
        message = ExportMetricsServiceRequest.FromString(collector.kept[-1].body)
        for metric in message.resource_metrics[0].scope_metrics[0].metrics:
            starts |= {point.start_time_unix_nano for point in metric.sum.data_points}
    (start,) = starts
    assert 0 <= time.time() - start / 1e9 < 60


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "check OTEL_EXPORTER_OTLP_HEADERS"),
        (302, "see the collector's log"),
        (503, "see the collector's log"),
    ],
)
def test_otlp_that_is_refused(status: int, hint: str, tmp_path: Path, collector: Webhook) -> None:
    collector.status = status
    done = send(tmp_path, f"{collector.url}/own/path")
    error = f"{collector.url.removeprefix('http://')}: the collector answered {status}; {hint}"
    assert done == (1, "", f"hcctl: {error}\n")
    assert [post.path for post in collector.kept] == ["/own/path"]


def test_otlp_that_is_accepted_in_part(tmp_path: Path, collector: Webhook) -> None:
    reply = ExportMetricsServiceResponse()
    reply.partial_success.rejected_data_points = 3
    reply.partial_success.error_message = "too many"
    collector.body = reply.SerializeToString()
    status, _, error = send(tmp_path, collector.url)
    assert status == 1
    assert error.endswith(": the collector rejected 3 data points: too many\n")
    collector.body = b"<html>fine</html>"
    assert send(tmp_path, collector.url) == (0, "", "")


def send_traces(tmp_path: Path, url: str) -> tuple[int, str, str]:
    done = run_hcctl(tmp_path, "metrics", "--traces", url)
    return done.returncode, done.stdout, done.stderr


def test_each_run_is_a_span_once(tmp_path: Path, collector: Webhook) -> None:
    """And the command can make its own spans below that of its run."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    command = ("sh", "-c", "echo $TRACEPARENT; exit 3")
    done = run_hcrun(tmp_path, "job", "--", *command, env=endpoint)
    parent = done.stdout.decode().split("-")
    assert send_traces(tmp_path, collector.url) == (0, "", "")
    assert send_traces(tmp_path, collector.url) == (0, "", "")
    [post] = collector.kept
    assert post.path == "/v1/traces"
    (resource,) = ExportTraceServiceRequest.FromString(post.body).resource_spans
    first, span = resource.scope_spans[0].spans
    assert (first.name, first.status.code, first.status.message) == ("hcrun cache", 1, "")
    assert [parent[0], span.trace_id.hex(), span.span_id.hex(), "01\n"] == parent
    (run, _) = runs(tmp_path)
    assert span.start_time_unix_nano == int(run.started * 1e9)
    assert span.end_time_unix_nano - span.start_time_unix_nano >= (run.duration or 0) * 0.9e9
    found = {each.key: each.value.string_value for each in span.attributes}
    assert (
        found.items()
        >= {
            "hcrun.check": "job",
            "hcrun.result": "fail",
            "hcrun.rid": run.run_id,
            "process.command_line": "sh -c 'echo $TRACEPARENT; exit 3'",
        }.items()
    )
    assert (span.status.code, span.status.message) == (2, run.why)
    mine = {**endpoint, "TRACEPARENT": "00-1-2-01"}
    done = run_hcrun(tmp_path, "job", "--", "printenv", "TRACEPARENT", env=mine)
    assert done.stdout == b"00-1-2-01\n"
    assert run_hcrun(tmp_path, "job", "--", "printenv", "TRACEPARENT").returncode == 1
    collector.status = 503  # then they are sent the next time
    assert send_traces(tmp_path, collector.url)[0] == 1
    collector.status = 200
    assert send_traces(tmp_path, collector.url)[0] == 0
    message = ExportTraceServiceRequest.FromString(collector.kept[-1].body)
    assert len(message.resource_spans[0].scope_spans[0].spans) == 2


def test_the_output_of_each_run_is_a_log_record_once(tmp_path: Path, collector: Webhook) -> None:
    """It is sent only when asked for, redacted, with the ids of the run's span."""
    run_hcrun(tmp_path, "job", "--", "sh", "-c", "echo token=s3cretvalue; echo end; exit 3")
    assert send_traces(tmp_path, collector.url)[0] == 0
    for _ in range(2):
        assert run_hcctl(tmp_path, "metrics", "--logs", collector.url).returncode == 0
    traces, logs = collector.kept
    assert (traces.path, logs.path) == ("/v1/traces", "/v1/logs")
    (resource,) = ExportTraceServiceRequest.FromString(traces.body).resource_spans
    (kept,) = ExportLogsServiceRequest.FromString(logs.body).resource_logs
    span, record = resource.scope_spans[0].spans[-1], kept.scope_logs[0].log_records[-1]
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert record.body.string_value == "token=[redacted]\nend"
    assert (record.severity_text, record.severity_number) == ("ERROR", 17)
    assert record.time_unix_nano == span.end_time_unix_nano
    assert list(record.attributes) == list(span.attributes)


def test_otlp_without_a_collector_and_with_wrong_settings(tmp_path: Path) -> None:
    run_hcrun(tmp_path, "job", "--", "true")
    host = f"127.0.0.1:{free_port()}"
    error = f"hcctl: {host}: cannot connect; nothing was exported\n"
    assert send(tmp_path, f"http://me:s3cret@{host}") == (1, "", error)
    error = "not NAME=VALUE; write it like authorization=Bearer%20..."
    done = send(tmp_path, f"http://{host}", OTEL_EXPORTER_OTLP_HEADERS="s3cret")
    assert done == (1, "", f"hcctl: OTEL_EXPORTER_OTLP_HEADERS: {error}\n")
    error = "hcctl: --otlp needs a URL; write it like http://127.0.0.1:4318\n"
    for bad in ("collector:4318", "ftp://x", "http://", "http://x:99999"):
        assert send(tmp_path, bad) == (2, "", error)


@pytest.mark.parametrize(
    ("path", "address"),
    [("", "/v1/metrics"), ("/", "/v1/metrics"), ("/own/v1/metrics?a=1", "/own/v1/metrics?a=1")],
)
def test_endpoint(path: str, address: str) -> None:
    assert endpoint(f"https://c:4318{path}", "/v1/metrics", "--otlp") == f"https://c:4318{address}"


# its cost


def test_import_costs_no_requests(tmp_path: Path) -> None:
    """Once a minute, on every host."""
    run_hcrun(tmp_path, "job", "--", "true")
    script = (
        "import sys; from hcrun.ctl.main import main\n"
        "try: main(['metrics'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'requests', 'google.protobuf'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "[]\n"
