"""probe-minio, through its command line, on a real S3 server behind MinIO's own paths."""

import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from probes.check_minio import PROBE, evaluate_error, evaluate_quota
from probes.clients.http import Answer
from probes.clients.minio import evaluate_metrics, evaluate_quorum
from probes.clients.s3 import S3Error
from probes.framework.verdict import Range, Status
from tests.servers.minio import KEYS, METRICS, Minio, Seaweed, minio, seaweed, tls_minio
from tests.servers.process import Command, Like, certificate, listening
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

__all__ = ["minio", "seaweed", "tls_minio"]

LATENCY = "latency=#s;8;;0"
OFFLINE = "drives_offline=0;0;;0;8 nodes_offline=0;0;;0;2"
USAGE = f"{OFFLINE} usage=40%;80;90;0;100"
NO_BUCKET = "no bucket is checked"
CANARY = "canary=#s;8;;0"
SERVER_STATUS = "x-minio-server-status"
QUORUM = {"X-Minio-Write-Quorum": "3"}
NOT_MINIO = "S3_ENDPOINT_URL has no bucket in it; if it is not MinIO, add --plain-s3"
KEYS_HINT = "check S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    """The probe with the keys of `admin`."""
    command = Command("probe-minio", tmp_path)
    command.environ |= {"S3_ACCESS_KEY_ID": "admin", "S3_SECRET_ACCESS_KEY": KEYS["admin"][0]}
    return command


def at(minio: Minio) -> str:
    return f"127.0.0.1:{minio.port}"


def url(minio: Minio) -> str:
    return f"http://{at(minio)}"


def test_healthy(probe: Command, minio: Minio) -> None:
    ran = probe(S3_ENDPOINT_URL=url(minio))
    assert ran.line == Like(
        f"MINIO OK - {at(minio)} answers in #T, write quorum, 40% of 1.0 TB used, "
        f"{NO_BUCKET} | {LATENCY} {USAGE}"
    )


def test_healthy_bucket(probe: Command, minio: Minio) -> None:
    ran = probe("--endpoint", url(minio), "--canary", S3_BUCKET_NAME="pictures")
    assert ran.line == Like(
        f"MINIO OK - {at(minio)} answers in #T, write quorum, 40% of 1.0 TB used, "
        f"bucket pictures exists | {LATENCY} {USAGE} {CANARY}"
    )
    assert minio.seaweed.names("pictures/.probe-minio") == []


def test_canary_in_a_bucket_with_versions(probe: Command, minio: Minio) -> None:
    ran = probe("--endpoint", url(minio), "--canary", "--bucket", "versions")
    assert ran.status == 0, ran.line
    assert minio.seaweed.names("versions/.probe-minio") == []


class TestHealth:
    @pytest.mark.parametrize(
        ("path", "status", "headers", "exit_status", "text"),
        [
            # The status alone would be OK.
            ("live", 200, {SERVER_STATUS: "offline"}, 2, "MinIO reports that it is offline"),
            ("live", 503, {}, 2, "/minio/health/live answers 503; see the server's log"),
            ("live", 429, {}, 2, "/minio/health/live answers 429; see the server's log"),
            ("live", 301, {}, 3, f"/minio/health/live answers 301; {NOT_MINIO}"),
            ("live", 404, {}, 3, f"/minio/health/live answers 404; {NOT_MINIO}"),
            ("cluster", 503, QUORUM, 2, "no write quorum of 3 drives; see mc admin info ALIAS"),
            (
                "cluster",
                503,
                QUORUM | {"X-Minio-Healing-Drives": "2"},
                2,
                "no write quorum of 3 drives, healing drives: 2; see mc admin info ALIAS",
            ),
            ("cluster", 503, {SERVER_STATUS: "iam"}, 2, "MinIO reports that it is iam"),
            ("cluster", 403, {}, 3, f"/minio/health/cluster answers 403; {NOT_MINIO}"),
        ],
    )
    def test_bad(
        self,
        probe: Command,
        minio: Minio,
        path: str,
        status: int,
        headers: dict[str, str],
        exit_status: int,
        text: str,
    ) -> None:
        minio.answers[f"/minio/health/{path}"] = (status, headers, "")
        ran = probe("--endpoint", url(minio))
        assert ran.line == Like(
            f"MINIO {Status(exit_status).name} - {text}, {at(minio)} answers in #T, {NO_BUCKET} | "
            f"{LATENCY}"
        )

    def test_healing(self, probe: Command, minio: Minio) -> None:
        headers = {"X-Minio-Write-Quorum": "3", "X-Minio-Healing-Drives": "1"}
        minio.answers["/minio/health/cluster"] = (200, headers, "")
        ran = probe("--endpoint", url(minio))
        assert ran.status == 0
        assert ", write quorum, healing drives: 1, " in ran.line

    def test_what_answers_everything_with_200(self, probe: Command) -> None:
        """As the port of MinIO's console does, and many a front."""

        def serve(connection: socket.socket) -> None:
            while connection.recv(4096):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")

        with listening(serve) as port:
            target = f"127.0.0.1:{port}"
            ran = probe("--endpoint", f"http://{target}")
            bucket = probe("--endpoint", f"http://{target}", "--bucket", "b", "--plain-s3")
        assert ran.status == bucket.status == 3
        assert ran.line == Like(
            "MINIO UNKNOWN - /minio/health/cluster is not the answer of MinIO; check "
            "S3_ENDPOINT_URL: the port of the console is another one, "
            f"{target} answers in #T, {NO_BUCKET} | {LATENCY}"
        )
        assert bucket.line == Like(
            "MINIO UNKNOWN - bucket b: the answer (200) is not from an S3 server; "
            "check S3_ENDPOINT_URL, "
            f"{target} answers in #T | {LATENCY}"
        )


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "status", "words"),
        [
            (["--usage-warning", "30%"], 1, "40% of 1.0 TB used (over 30%)"),
            (["--canary-critical", "0", "--canary"], 2, "canary #T (over 0 s)"),
        ],
    )
    def test_over_a_threshold(
        self, probe: Command, minio: Minio, flags: list[str], status: int, words: str
    ) -> None:
        more = ["--endpoint", url(minio), "--bucket", "pictures"]
        ran = probe(*more, *flags)
        worst = ran.line.partition(", ")[0]
        assert worst == Like(f"MINIO {Status(status).name} - {words}")
        assert probe(*more, flags[0], "off").status == 0

    def test_whose_metrics_token(self, probe: Command, minio: Minio) -> None:
        minio.metrics_token = "t0ken"
        probe.environ |= {"S3_ENDPOINT_URL": url(minio), "S3_ACCESS_KEY_ID": "reader"}
        probe.environ["S3_SECRET_ACCESS_KEY"] = KEYS["reader"][0]
        refused = probe()
        assert refused.line == Like(
            "MINIO UNKNOWN - MinIO's metrics are forbidden: drives are not checked; set "
            "MINIO_METRICS_TOKEN to the bearer_token of: mc admin prometheus generate ALIAS, "
            f"{at(minio)} answers in #T, write quorum, {NO_BUCKET} | {LATENCY}"
        )
        no_usage = ["--usage-warning", "off", "--usage-critical", "off"]
        for flags in (no_usage, ["--bucket", "pictures", "--quota", "10kB"]):
            without = probe(*flags)
            assert without.status == 0
            assert ", MinIO's metrics are forbidden: drives are not checked, " in without.line
        no_drives = ["--drives-offline-warning", "off", "--nodes-offline-warning", "off"]
        off = probe(*no_usage, *no_drives)
        assert off.line == Like(
            f"MINIO OK - {at(minio)} answers in #T, write quorum, {NO_BUCKET} | {LATENCY}"
        )
        assert probe(MINIO_METRICS_TOKEN="wr0ng").status == 3
        assert probe(MINIO_METRICS_TOKEN="t0ken").status == 0
        minio.metrics_token = "public"
        assert probe(S3_ACCESS_KEY_ID="", S3_SECRET_ACCESS_KEY="").status == 0

    @pytest.mark.parametrize(
        ("kind", "state", "flags", "status", "words"),
        [
            ("drive", (1, 7), [], 1, "1 of 8 drives offline (over 0); see mc admin info ALIAS"),
            ("drive", (1, 7), ["--drives-offline-warning", "1"], 0, ", 1 of 8 drives offline, "),
            ("drive", (4, 4), ["--drives-offline-critical", "25%"], 2, "4 of 8 drives offline (ov"),
            # So it was called until 2023.
            ("disk", (2, 2), [], 1, "2 of 4 drives offline (over 0); see mc admin info ALIAS"),
            ("nodes", (1, 3), [], 1, "1 of 4 nodes offline (over 0); see mc admin info ALIAS"),
            (
                "nodes",
                (1, 3),
                ["--nodes-offline-critical", "0"],
                2,
                "1 of 4 nodes offline (over 0)",
            ),
            ("disks", (0, 0), [], 0, ", MinIO's metrics have no number of drives offline, "),
        ],
    )
    def test_offline(
        self,
        probe: Command,
        minio: Minio,
        kind: str,
        state: tuple[int, int],
        flags: list[str],
        status: int,
        words: str,
    ) -> None:
        offline, online = state
        metrics = re.sub("(?m)^minio_cluster_(drive|nodes)_.*\\n", "", METRICS)
        metrics += f'minio_cluster_{kind}_offline_total{{server="a"}} {offline}\n'
        metrics += f'minio_cluster_{kind}_online_total{{server="a"}} {online}\n'
        minio.answers["/minio/v2/metrics/cluster"] = 200, {}, metrics
        quota = ["--bucket", "pictures", "--quota", "10kB"]  # instead of the metrics' usage
        for more in ([], quota):
            ran = probe("--endpoint", url(minio), *more, *flags)
            assert ran.status == status, ran.line
            assert words in ran.line

    def test_quota(self, probe: Command, minio: Minio) -> None:
        def look(quota: str, *flags: str) -> tuple[int, str]:
            more = ["--endpoint", url(minio), "--bucket", "pictures", "--quota", quota]
            ran = probe(*more, *flags)
            return ran.status, ran.line.partition(" - ")[2].partition(", ")[0]

        assert look("10kB")[0] == 0
        assert look("2.4kB") == (1, "83% of quota 2.4 kB used (over 80%)")
        assert look("2kB") == (2, "100% of quota 2.0 kB used (over 90%)")
        assert look("1kB", "--max-objects", "1") == (
            2,
            "at least 100% of quota 1.0 kB used by the first 1 object (over 90%)",
        )
        assert look("10kB", "--max-objects", "1") == (
            3,
            (
                "at least 10% of quota 10.0 kB used by the first 1 object; "
                "raise --max-objects and --max-listing"
            ),
        )
        assert look("10kB", "--max-objects", "2")[0] == 0

    @pytest.mark.slow
    def test_quota_of_several_pages(self, probe: Command, minio: Minio, seaweed: Seaweed) -> None:
        seaweed.shell("s3.bucket.create -name many")
        with requests.Session() as session:
            for number in range(1005):
                seaweed.put(f"many/a&b {number}", 100, session)
        more = ["--endpoint", url(minio), "--bucket", "many", "--quota", "201kB", "--plain-s3"]
        ran = probe(*more)
        assert ran.line == Like(
            f"MINIO OK - {at(minio)} answers in #T, bucket many exists, "
            f"50% of quota 201.0 kB used | {LATENCY} usage=50%;80;90;0"
        )
        assert probe(*more, "--max-objects", "1004").status == 3
        assert probe(*more, "--max-objects", "1005").status == 0
        late = probe(*more, "--max-listing", "1ms")
        assert late.status == 3
        assert " by the first 1,000 objects; raise --max-objects and --max-listing" in late.line


class TestBucket:
    @pytest.fixture(autouse=True)
    def endpoint(self, probe: Command, minio: Minio) -> None:
        probe.environ |= {"S3_ENDPOINT_URL": url(minio), "PROBE_MINIO_PLAIN_S3": "1"}

    @pytest.mark.parametrize(
        ("bucket", "key", "secret", "status", "text"),
        [
            (
                "nowhere",
                "admin",
                "",
                2,
                "NoSuchBucket; check S3_BUCKET_NAME; a new bucket would be empty",
            ),
            ("versions", "reader", "", 3, "AccessDenied; allow s3:ListBucket"),
            ("pictures", "admin", "wr0ng", 3, f"SignatureDoesNotMatch; {KEYS_HINT}"),
            ("pictures", "nobody", "wr0ng", 3, f"InvalidAccessKeyId; {KEYS_HINT}"),
            ("pictures", "", "", 3, f"AccessDenied; {KEYS_HINT.replace('check', 'set')}"),
        ],
    )
    def test_refused(
        self,
        probe: Command,
        minio: Minio,
        bucket: str,
        key: str,
        secret: str,
        status: int,
        text: str,
    ) -> None:
        secret = secret or (KEYS[key][0] if key else "")
        ran = probe("--bucket", bucket, S3_ACCESS_KEY_ID=key, S3_SECRET_ACCESS_KEY=secret)
        word, answers = Status(status).name, f"{at(minio)} answers in #T"
        assert ran.line == Like(f"MINIO {word} - bucket {bucket}: {text}, {answers} | {LATENCY}")

    def test_configuration_of_the_user_is_not_read(self, probe: Command, tmp_path: Path) -> None:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/config").write_text("nonsense")
        probe.environ |= {"AWS_PROFILE": "nobody", "HTTP_PROXY": "http://127.0.0.1:9"}
        probe.environ |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_CA_BUNDLE": "/nowhere"}
        assert probe("--bucket", "pictures").status == 0

    @pytest.mark.parametrize(
        ("method", "played", "status", "words"),
        [
            (
                "PUT",
                (403, {}, "<Error><Code>AccessDenied</Code></Error>"),
                3,
                "putting an object: AccessDenied; allow s3:PutObject, ",
            ),
            (
                "PUT",
                (507, {}, "<Error><Code>XMinioStorageFull</Code></Error>"),
                2,
                "putting an object: XMinioStorageFull; see the server's log, ",
            ),
            (
                "DELETE",
                (403, {}, "<Error><Code>AccessDenied</Code></Error>"),
                3,
                "deleting /pictures/.probe-minio/KEY: AccessDenied; allow s3:DeleteObject, ",
            ),
        ],
    )
    def test_canary_goes_wrong(
        self, probe: Command, minio: Minio, method: str, played: Any, status: int, words: str
    ) -> None:
        minio.answers[method] = played
        ran = probe("--bucket", "pictures", "--canary")
        line = re.sub(r"[0-9a-f]{16}", "KEY", ran.line)
        assert line.startswith(f"MINIO {Status(status).name} - {words}")
        minio.answers.clear()
        for name in minio.seaweed.names("pictures/.probe-minio"):
            requests.delete(f"{minio.seaweed.filer}/pictures/.probe-minio/{name}", timeout=10)

    @pytest.mark.parametrize(
        "played",
        [
            (200, {}, "<ListBucketResult><Name>pictures</Name></ListBucketResult>"),
            (404, {}, "<Error><Code>NoSuchKey</Code></Error>"),
        ],
    )
    def test_canary_does_not_come_back(self, probe: Command, minio: Minio, played: Any) -> None:
        minio.answers["GET"] = played
        ran = probe("--bucket", "pictures", "--canary")
        assert ran.line.startswith(
            "MINIO CRITICAL - an object is missing or changed right after it was put; see mc "
        )
        assert minio.seaweed.names("pictures/.probe-minio") == []

    def test_canary_is_deleted_when_it_cannot_be_got(self, probe: Command, minio: Minio) -> None:
        minio.answers["/pictures"] = (
            200,
            {},
            "<ListBucketResult><Name>pictures</Name></ListBucketResult>",
        )
        minio.answers["GET"] = 200, {"Transfer-Encoding": "chunked"}, "nonsense\r\n"
        ran = probe("--bucket", "pictures", "--canary")
        assert ran.status == 2
        assert "closes the connection in the middle of its answer" in ran.line
        assert minio.seaweed.names("pictures/.probe-minio") == []


class TestTls:
    @pytest.fixture
    def tls_context(self, tmp_path: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(tmp_path))
        return context

    def test_bucket_behind_tls(self, probe: Command, tls_minio: Minio, tmp_path: Path) -> None:
        flags = ["--endpoint", f"https://localhost:{tls_minio.port}", "--bucket", "pictures"]
        ran = probe(*flags, "--tls-ca", tmp_path / "server.crt")
        assert ran.status == 0, ran.line


class TestUsageErrors:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--quota", "much"], "'much' is not a size"),
            (["--quota", "0"], "'0' is not above 0"),
            (["--max-objects", "0"], "0 is not in the range"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        assert message in probe.misused(*flags).line

    def test_no_bucket(self, probe: Command) -> None:
        ran = probe("--canary")
        assert ran.line == (
            "MINIO UNKNOWN - --quota and --canary need a bucket; set S3_BUCKET_NAME"
        )
        ran = probe("--plain-s3")
        assert ran.line == ("MINIO UNKNOWN - --plain-s3 needs a bucket; set S3_BUCKET_NAME")

    def test_library_is_only_for_buckets(
        self, probe: Command, minio: Minio, tmp_path: Path
    ) -> None:
        (tmp_path / "boto3.py").write_text("raise ModuleNotFoundError(\"No module named 'boto3'\")")
        assert probe("--endpoint", url(minio), PYTHONPATH=tmp_path).status == 0


def answer(status: int, headers: dict[str, str], text: str = "") -> Answer:
    return Answer(status, CaseInsensitiveDict(headers), text.encode())


RANGES = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"server": "MinIO"}, Status.OK),  # a single drive of old had no quorum
        ({"server": "MinIO/RELEASE.2020-01-03T19-12-21Z"}, Status.OK),
        ({"server": "nginx", "x-minio-write-quorum": "1"}, Status.OK),
        ({"server": "MinIO Console"}, Status.UNKNOWN),
        ({}, Status.UNKNOWN),
    ],
)
def test_evaluate_quorum(headers: dict[str, str], expected: Status) -> None:
    assert evaluate_quorum(answer(200, headers)).status is expected


FREE, TOTAL = (f"minio_cluster_capacity_usable_{kind}_bytes" for kind in ("free", "total"))


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        (f"{FREE} 15\n{TOTAL} 100", Status.WARNING, "85% of 100 B used (over 80%)"),
        (
            f'{FREE}{{a="}}"}} 5e+09\n{TOTAL}{{b="c"}} 1.0e+11',
            Status.CRITICAL,
            "95% of 100.0 GB used (over 90%)",
        ),
        (f"{FREE} 0\n{TOTAL} 0", Status.UNKNOWN, ""),
        (f"{FREE} e\n{TOTAL} 1", Status.UNKNOWN, ""),
        (f"{TOTAL} 1", Status.UNKNOWN, ""),
        ("", Status.UNKNOWN, ""),
    ],
)
def test_evaluate_metrics(text: str, expected: Status, words: str) -> None:
    *_, reading = evaluate_metrics(answer(200, {}, text), RANGES, wants_usage=True)
    nothing = "/minio/v2/metrics/cluster has no usable capacity"
    assert (reading.status, reading.message()) == (expected, words or nothing)


@pytest.mark.parametrize(
    ("status", "code", "expected", "hint"),
    [
        (403, "RequestTimeTooSkewed", Status.UNKNOWN, "set the clock of this host"),
        (400, "AuthorizationHeaderMalformed", Status.UNKNOWN, "check S3_REGION"),
        (301, "PermanentRedirect", Status.UNKNOWN, "check S3_REGION"),
        (404, "NoSuchKey", Status.UNKNOWN, ""),
        (404, "NoSuchBucket", Status.CRITICAL, "check S3_BUCKET_NAME; a new bucket would be empty"),
        (503, "XMinioServerNotInitialized", Status.CRITICAL, "see the server's log"),
    ],
)
def test_evaluate_bucket(status: int, code: str, expected: Status, hint: str) -> None:
    reading = evaluate_error("bucket", "b", S3Error(status, code), "s3:ListBucket", signed=True)
    assert (reading.status, reading.hint) == (expected, hint)


@pytest.mark.parametrize(
    ("used", "more", "warning", "expected"),
    [
        (79, False, "80", Status.OK),
        (81, False, "80", Status.WARNING),
        (81, True, "80", Status.WARNING),
        (91, True, "80", Status.CRITICAL),
        (5, True, "80", Status.UNKNOWN),
        (5, False, "10:80", Status.WARNING),
        (5, True, "10:80", Status.UNKNOWN),  # there is more, so it may well be 10
        (50, True, "@40:60", Status.UNKNOWN),
    ],
)
def test_evaluate_quota(used: int, more: bool, warning: str, expected: Status) -> None:
    ranges = {"usage": (Range.parse(warning, "%"), Range.parse("90", "%"))}
    assert evaluate_quota(used, 3, more, 100, ranges).status is expected
