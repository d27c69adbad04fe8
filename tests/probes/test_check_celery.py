"""probe-celery, through its command line, on real workers with a real Redis."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from probes.check_celery import PROBE, evaluate_active, evaluate_queues, evaluate_workers
from probes.framework.verdict import Status
from tests.servers.celery import broker, send, worker
from tests.servers.process import (
    Command,
    Like,
    certificate,
    free_port,
    hang,
    listening,
    running,
    speak_http,
    trickle,
    until,
)
from tests.servers.ranges import default_ranges
from tests.servers.redis import Server, StartRedis

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"
CALM = "silent=0;0;;0 active=0s;600;3600;0"


class Celery(Command):
    """probe-celery with the broker of a server."""

    def on(self, server: Server, *arguments: object, **environ: object) -> Any:
        return self(*arguments, CELERY_BROKER_URL=broker(server), **environ)


@pytest.fixture
def probe(tmp_path: Path) -> Celery:
    return Celery("probe-celery", tmp_path)


@pytest.fixture
def server(start_redis: StartRedis) -> Server:
    return start_redis()


class TestWorkers:
    """Workers take seconds to start, so each test asks a lot of its own."""

    @pytest.fixture
    def workers(self, server: Server, tmp_path: Path) -> Iterator[ExitStack]:
        with ExitStack() as stack:
            self.one = stack.enter_context(worker(server, tmp_path))
            yield stack
            self.one.send_signal(signal.SIGQUIT)  # its tasks are not waited for

    @pytest.mark.slow
    @pytest.mark.usefixtures("workers")
    def test_one(self, probe: Celery, server: Server) -> None:
        before = set(server.client.keys())
        ran = probe.on(server)
        target = f"127.0.0.1:{server.port}"
        assert ran.line == Like(
            f"CELERY OK - {target} answers in #T, 1 worker | {LATENCY} workers=1;;1:;0 {CALM} "
            "queue_celery=0;1000;10000;0 unacked=0;1000;10000;0"
        )
        assert set(server.client.keys()) == before  # it leaves nothing behind
        assert ran.seconds < 8  # it does not wait for workers that are not there
        assert probe.on(server, "--expect", "one", "--queues", "celery").status == 0
        assert probe.on(server, CELERY_EXPECT="one@test").status == 0
        assert probe.on(server, "--expect", "one,two", "--min-workers", 2).line.startswith(
            "CELERY CRITICAL - 1 worker (under 2); start workers, and check their logs, "
            f"worker two does not answer, {target} answers in "
        )
        assert probe.on(server, "--queues", "mail").line.startswith(
            "CELERY WARNING - no worker consumes mail; start a worker with -Q mail, "
        )

        send(server, [("wait", [60])] * 6)
        send(server, [("wait", [60])] * 3, priority=9)
        send(server, [("wait", [60])], queue="mail")

        def taken() -> bool:
            _, readings = probe.json(CELERY_BROKER_URL=broker(server))
            return bool(readings["unacked"]["value"] == 2 and readings["active"]["value"])

        until(taken, "the worker has taken what it may")
        busy = probe.on(server, "--active-warning", "10ms")
        assert busy.line.startswith(
            "CELERY CRITICAL - no worker consumes mail, which has 1 task (over 0); "
            "start a worker with -Q mail, wait running for "
        )
        assert "; check task " in busy.line
        assert " on one@test, " in busy.line
        assert ", 7 tasks in celery, 1 task in mail, 2 tasks taken and not finished | " in busy.line
        flags = ["--unconsumed-critical", "off"]
        assert probe.on(server, *flags).status == 0
        for flag, words in {
            "--queue-critical": "7 tasks in celery (over 1)",
            "--unacked-critical": "2 tasks taken and not finished (over 1)",
        }.items():
            over = probe.on(server, *flags, flag, 1)
            assert over.status == 2
            assert f"CELERY CRITICAL - {words}, " in over.line
        late = probe.on(server, *flags, "--active-critical", "10ms")
        assert late.line.startswith("CELERY CRITICAL - wait running for ")

    @pytest.mark.slow
    def test_two_of_which_one_hangs(
        self, probe: Celery, server: Server, workers: ExitStack, tmp_path: Path
    ) -> None:
        workers.enter_context(worker(server, tmp_path, "two", "celery,mail"))
        ran = probe.on(server, "--queues", "mail", "--min-workers", 2)
        assert ran.status == 0, ran.line
        assert ", 2 workers | " in ran.line
        self.one.send_signal(signal.SIGSTOP)
        hung = probe.on(server, "--timeout", "4s")
        self.one.send_signal(signal.SIGCONT)
        assert hung.line == Like(
            "CELERY WARNING - 1 of 2 workers silent (over 0); is it stopped or hung? If a task "
            "keeps its only thread (--pool solo), set --busy, "
            f"127.0.0.1:{server.port} answers in #T, 1 worker | {LATENCY} workers=1;;1:;0 "
            "silent=1;0;;0 active=0s;600;3600;0 queue_celery=0;1000;10000;0 "
            "queue_mail=0;1000;10000;0 unacked=0;1000;10000;0"
        )

    def test_busy_and_with_a_prefix(self, probe: Celery, server: Server, tmp_path: Path) -> None:
        """A worker with --pool solo cannot answer while it runs a task."""
        options = {"CELERY_BROKER_TRANSPORT_OPTIONS": '{"global_keyprefix": "app:"}'}
        with worker(server, tmp_path, pool="solo", env=options) as process:
            assert "- no worker listens (under 1)" in probe.on(server).line
            ran = probe.on(server, "--busy", "10m", "--expect", "one", **options)
            assert (ran.status, ", 1 worker | " in ran.line) == (0, True), ran.line
            assert "queue_celery=0;" in ran.line

            send(server, [("wait", [60])], transport={"global_keyprefix": "app:"})
            until(lambda: server.client.hlen("app:unacked"), "the worker runs a task")
            assert probe.on(server, "--timeout", "4s", **options).line.startswith(
                "CELERY CRITICAL - no worker answers (under 1); start workers, and check their "
                "logs, 1 of 1 worker silent (over 0); is it stopped or hung? If a task keeps its "
                "only thread (--pool solo), set --busy, "
            )
            flags = ["--expect", "one", "--timeout", "4s"]
            busy = probe.on(server, "--busy", "10m", *flags, **options)
            assert busy.status == 0, busy.line
            assert re.search(", 1 worker, one@test silent for .*s, 1 task taken", busy.line)
            assert (
                probe.on(server, "--busy", "1ms", *flags, **options).status == 2
            )  # and forgets it
            assert probe.on(server, "--busy", "10m", *flags, **options).status == 2
            readonly = probe.on(server, "--busy", "10m", STATE_DIRECTORY="/proc/none", **options)
            assert "cannot keep when workers answered: /proc/none" in readonly.line
            process.kill()  # it would first finish its task
        gone = probe.on(server, "--busy", "10m", **options)
        assert "- no worker listens (under 1)" in gone.line


class TestNoWorker:
    def test_none(self, probe: Celery, server: Server) -> None:
        assert probe.on(server).line == Like(
            "CELERY CRITICAL - no worker listens (under 1); start workers, and check their logs, "
            f"127.0.0.1:{server.port} answers in #T | {LATENCY} workers=0;;1:;0 {CALM} "
            "unacked=0;1000;10000;0"
        )
        assert probe.on(server, "--min-workers", 0).status == 0
        assert probe.on(server, "--min-workers", 0, "--queues", "mail").line.startswith(
            "CELERY WARNING - no worker consumes mail; start a worker with -Q mail, "
        )

    def test_tasks_wait_though_no_worker_is_needed(self, probe: Celery, server: Server) -> None:
        send(server, [("wait", [1])])
        assert probe.on(server, "--min-workers", 0).line.startswith(
            "CELERY CRITICAL - no worker consumes celery, which has 1 task (over 0); "
            "start a worker with -Q celery, "
        )

    def test_tasks_of_all_priorities_wait(self, probe: Celery, server: Server) -> None:
        send(server, [("wait", [1])] * 3)
        send(server, [("wait", [1])] * 2, priority=3)
        none_needed = ["--min-workers", 0, "--unconsumed-critical", "off"]
        ran = probe.on(server, *none_needed, "--queue-warning", 4)
        assert ran.line.startswith("CELERY WARNING - 5 tasks in celery (over 4), ")
        assert probe.on(server, *none_needed, "--queue-critical", "4").status == 2
        assert probe.on(server, *none_needed, "--queue-warning", "off").status == 0

    def test_latency(self, probe: Celery, server: Server) -> None:
        ran = probe.on(server, "--min-workers", 0, "--latency-critical", "10s:")
        assert ran.line.startswith(f"CELERY CRITICAL - 127.0.0.1:{server.port} answers in ")

    def test_database_too_big_to_be_searched(self, probe: Celery, server: Server) -> None:
        send(server, [("wait", [1])], queue="mail")
        with server.client.pipeline(transaction=False) as pipeline:
            pipeline.mset({f"key{number}": 1 for number in range(100_001)})
            pipeline.execute()
        flags = ["--min-workers", 0]
        assert "mail" not in probe.on(server, *flags).line
        assert "1 task in mail" in probe.on(server, *flags, CELERY_QUEUES="mail").line

    def test_another_kind_of_broker(self, probe: Celery) -> None:
        assert probe(CELERY_BROKER_URL="memory://", CELERY_QUEUES="mail").line == Like(
            "CELERY CRITICAL - no worker answers (under 1); start workers, and check their logs, "
            f"memory answers in #T | {LATENCY} workers=0;;1:;0 active=0s;600;3600;0 "
            "queue_mail=0;1000;10000;0"
        )

    def test_amqp_with_tls(self, probe: Celery) -> None:
        url = f"amqp://127.0.0.1:{free_port()}/?ssl=true"
        ran = probe(CELERY_BROKER_URL=url)
        assert (ran.status, ran.line.endswith("Connection refused")) == (2, True)


class TestKindsOfRedis:
    def test_tls(self, probe: Celery, start_redis: StartRedis, tmp_path: Path) -> None:
        cert, key = certificate(tmp_path)
        files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"]
        client = {"ssl": True, "ssl_ca_certs": cert}
        port = start_redis("--port", "0", "--tls-port", "PORT", *files, **client).port
        address = f"127.0.0.1:{port}/0"
        for query in ("", f"?ssl_cert_reqs=required&ssl_ca_certs={cert}"):
            flags = ["--min-workers", 0, "--latency-warning", "off"]
            ran = probe(*flags, CELERY_BROKER_URL=f"rediss://{address}{query}")
            assert ran.status == 0, ran
            assert ", no worker listens | " in ran.line
        certain = probe(
            CELERY_BROKER_URL=f"rediss://{address}?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={cert}"
        )
        assert "certificate=" in certain.line
        untrusted = probe(CELERY_BROKER_URL=f"rediss://{address}?ssl_cert_reqs=required")
        assert untrusted.status == 2
        assert "certificate verify failed" in untrusted.line
        assert probe(CELERY_BROKER_URL=f"redis://{address}").line == (
            f"CELERY CRITICAL - 127.0.0.1:{port}: the port speaks TLS; use rediss://"
        )
        wrong = probe(CELERY_BROKER_URL=f"rediss://{address}?ssl_ca_certs={key}")
        assert wrong.line == f"CELERY UNKNOWN - {key}: has no certificates in PEM format"

    def test_the_password_never_goes_without_tls(self, probe: Celery) -> None:
        sent: list[bytes] = []

        def serve(connection: socket.socket) -> None:
            sent.append(connection.recv(4096))

        with listening(serve) as port:
            probe("--timeout", "3s", CELERY_BROKER_URL=f"rediss://me:s3cr3t@127.0.0.1:{port}/0")
        # The beginning of a TLS handshake, and the question whether the port has none.
        assert {data[:2] for data in sent} == {b"\x16\x03", b"PI"}
        assert b"s3cr3t" not in b"".join(sent)

    def test_socket(self, probe: Celery, start_redis: StartRedis, tmp_path: Path) -> None:
        path = tmp_path / "redis.sock"
        server = start_redis("--unixsocket", path)
        send(server, [("wait", [1])])
        assert probe(CELERY_BROKER_URL=f"redis+socket://{path}").line == Like(
            "CELERY CRITICAL - no worker listens (under 1); start workers, and check their logs, "
            f"{path} answers in #T, 1 task in celery | {LATENCY} workers=0;;1:;0 {CALM} "
            "queue_celery=1;1000;10000;0 unacked=0;1000;10000;0"
        )
        wrong = probe(CELERY_BROKER_URL=f"redis+socket://me:s3cr3t@{path}")
        assert wrong.line.startswith(f"CELERY UNKNOWN - {path}: ")
        assert "s3cr3t" not in wrong.line

    def test_no_tls(self, probe: Celery, server: Server) -> None:
        assert probe(CELERY_BROKER_URL=f"rediss://127.0.0.1:{server.port}").line == (
            f"CELERY CRITICAL - 127.0.0.1:{server.port}: the port does not speak TLS; use redis://"
        )

    def test_parameters_of_the_application(self, probe: Celery, server: Server) -> None:
        url = f"{broker(server)}?socket_timeout=3&visibility_timeout=3600&max_connections=1"
        options = '{"visibility_timeout": 9, "socket_timeout": 0.001, "max_retries": 3}'
        variables = {"CELERY_BROKER_URL": url, "CELERY_BROKER_TRANSPORT_OPTIONS": options}
        assert probe("--min-workers", 0, **variables).status == 0


class TestSentinel:
    @pytest.fixture
    def sentinel(self, start_redis: StartRedis, tmp_path: Path) -> Iterator[int]:
        """The port of a Sentinel, whose primary has a replica."""
        self.primary = start_redis("--requirepass", "pw", password="pw")
        more = ["--replicaof", f"127.0.0.1 {self.primary.port}", "--masterauth", "pw"]
        start_redis(*more, "--requirepass", "pw", password="pw")
        config, port = tmp_path / "sentinel.conf", free_port()
        config.write_text(
            f"port {port}\ndir {tmp_path}\nrequirepass spw\n"
            f"sentinel monitor main 127.0.0.1 {self.primary.port} 1\nsentinel auth-pass main pw\n"
        )
        with running(["redis-server", str(config), "--sentinel"], tmp_path / "sentinel.log"):
            until(lambda: "+monitor" in (tmp_path / "sentinel.log").read_text(), "it listens")
            yield port

    def test_sentinel(self, probe: Celery, sentinel: int) -> None:
        own = '"sentinel_kwargs": {"password": "spw"}'
        named = f'{{"master_name": "main", {own}}}'
        for url, options in (
            (f"sentinel://:pw@127.0.0.1:1;sentinel://127.0.0.1:{sentinel}", named),
            (f"sentinel://:pw@127.0.0.1:{sentinel}/2", named),
            (f"redis+sentinel://:pw@127.0.0.1:1,127.0.0.1:{sentinel}/main/2", f"{{{own}}}"),
            (f"redis+sentinel://:pw@127.0.0.1:{sentinel}/2?master_name=main", f"{{{own}}}"),
        ):
            variables = {"CELERY_BROKER_URL": url, "CELERY_BROKER_TRANSPORT_OPTIONS": options}
            assert probe("--min-workers", 0, **variables).line.startswith(
                f"CELERY OK - 127.0.0.1:{self.primary.port} answers in "
            )
        url = f"redis+sentinel://:pw@127.0.0.1:{sentinel}"
        assert probe(CELERY_BROKER_URL=f"{url}/main").line == (
            f"CELERY UNKNOWN - 127.0.0.1:{sentinel}: No master found for 'main' : "
            "auth:AuthenticationError; set sentinel_kwargs in CELERY_BROKER_TRANSPORT_OPTIONS"
        )
        given = {"CELERY_BROKER_TRANSPORT_OPTIONS": f"{{{own}}}"}
        assert probe(CELERY_BROKER_URL=f"{url}/other", **given).line == (
            f"CELERY CRITICAL - 127.0.0.1:{sentinel}: No master found for 'other'; "
            "SENTINEL MASTERS lists the names"
        )
        assert probe(CELERY_BROKER_URL=url, **given).line == (
            "CELERY UNKNOWN - CELERY_BROKER_URL: has no name of a primary; add it as in "
            "redis+sentinel://host:26379/mymaster/0, or to CELERY_BROKER_TRANSPORT_OPTIONS"
        )


class TestSeveralBrokers:
    def test_first_refuses(self, probe: Celery, server: Server) -> None:
        url = f"redis://127.0.0.1:{free_port()}/0;{broker(server)}"
        ran = probe("--min-workers", 0, CELERY_BROKER_URL=url)
        assert ran.status == 1
        assert "Connection refused; the next broker answers, 127.0.0.1:" in ran.line

    def test_first_is_silent(self, probe: Celery, server: Server) -> None:
        with listening(hang) as port:
            url = f"redis://127.0.0.1:{port}/0;{broker(server)}"
            ran = probe("--min-workers", 0, "--timeout", "3s", CELERY_BROKER_URL=url)
        assert ran.line.startswith(
            f"CELERY WARNING - 127.0.0.1:{port}: no answer; the next broker answers, "
            f"127.0.0.1:{server.port} answers in "
        )

    def test_none_answers(self, probe: Celery) -> None:
        first, second = free_port(), free_port()
        url = f"amqp://127.0.0.1:{first};amqp://me:s3cr3t@127.0.0.1:{second}//"
        assert probe(CELERY_BROKER_URL=url).line == (
            f"CELERY CRITICAL - 127.0.0.1:{first}: [Errno 111] Connection refused; "
            f"127.0.0.1:{second}: [Errno 111] Connection refused"
        )


class TestCredentials:
    def test_password(self, probe: Celery, start_redis: StartRedis) -> None:
        port = start_redis("--requirepass", "s3cr/t", password="s3cr/t").port
        for url in (f"redis://127.0.0.1:{port}/0", f"redis://:wr0ng@127.0.0.1:{port}/0"):
            ran = probe(CELERY_BROKER_URL=url)
            assert ran.line.startswith(f"CELERY UNKNOWN - 127.0.0.1:{port}: ")
            assert ran.line.endswith("; check user and password in CELERY_BROKER_URL")
            assert ran.seconds < 8
        url = f"redis://:s3cr%2Ft@127.0.0.1:{port}/0"
        assert probe("--min-workers", 0, CELERY_BROKER_URL=url).status == 0

    def test_missing_right(self, probe: Celery, server: Server) -> None:
        server.client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "+ping")
        ran = probe(CELERY_BROKER_URL=f"redis://looker:pw@127.0.0.1:{server.port}/0")
        assert ran.status == 3
        assert "no permissions to run the " in ran.line
        assert "; give the user the rights of a worker" in ran.line


class TestNoService:
    @pytest.mark.parametrize("serve", [hang, trickle, speak_http, None])
    def test_amqp(self, probe: Celery, serve: Any) -> None:
        """The suite for all probes has the same faults of Redis."""
        with listening(serve or hang) as port:
            url = f"amqp://127.0.0.1:{port if serve else free_port()}//"
            ran = probe("--timeout", "3s", CELERY_BROKER_URL=url)
        assert ran.line.startswith("CELERY CRITICAL - ")
        assert ran.seconds < 8

    def test_no_answer_after_the_first(self, probe: Celery, server: Server) -> None:
        def serve(client: socket.socket) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as upstream:
                while (data := client.recv(65536)) and b"PUBLISH" not in data:
                    upstream.sendall(data)
                    client.sendall(upstream.recv(65536))
                hang(client)

        with listening(serve) as port:
            ran = probe("--timeout", "3s", CELERY_BROKER_URL=f"redis://127.0.0.1:{port}/0")
        assert ran.line.startswith(f"CELERY CRITICAL - no answer from 127.0.0.1:{port} within 3 s")
        assert ran.seconds < 8


WRONG_URLS = (
    "nonsense://host",
    "127.0.0.1",
    "redis://host:port/0",
    "redis://host/0;nonsense://host",
    "redis://host/0;redis://me:s3/cr3t@host",
    "rediss://host?ssl_cert_reqs=maybe",
)


class TestUsage:
    @pytest.mark.parametrize("url", WRONG_URLS)
    def test_wrong_url(self, probe: Celery, url: str) -> None:
        assert probe(CELERY_BROKER_URL=url).line == (
            "CELERY UNKNOWN - CELERY_BROKER_URL: is not a valid URL; write it like "
            "redis://user:password@host:6379/0, special characters percent-encoded"
        )

    def test_unknown_parameter(self, probe: Celery) -> None:
        assert probe(CELERY_BROKER_URL="rediss://host?ssl_ca_cert=/ca").line == (
            "CELERY UNKNOWN - CELERY_BROKER_URL: unknown parameter ssl_ca_cert; it may have "
            "ssl_ca_certs, ssl_cert_reqs, ssl_certfile, ssl_check_hostname, ssl_keyfile"
        )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ("{", 'is not a JSON object; write it like {"global_keyprefix": "app:"}'),
            ("[]", 'is not a JSON object; write it like {"global_keyprefix": "app:"}'),
            ('{"global_keyprefix": 1}', "global_keyprefix has the wrong type"),
            ('{"sentinel_kwargs": "s3cr3t"}', "sentinel_kwargs has the wrong type"),
        ],
    )
    def test_wrong_options(self, probe: Celery, options: str, words: str) -> None:
        ran = probe(CELERY_BROKER_TRANSPORT_OPTIONS=options)
        assert ran.line == f"CELERY UNKNOWN - CELERY_BROKER_TRANSPORT_OPTIONS: {words}"


LIMITS = default_ranges(PROBE)


def task(start: float | None, name: str = "t") -> dict[str, Any]:
    return {"id": name.upper(), "name": name, "time_start": start}


@pytest.mark.parametrize(
    ("tasks", "status", "words"),
    [
        ([], Status.OK, ""),
        ([task(None)], Status.OK, ""),
        ([task(401)], Status.OK, ""),
        ([task(1060)], Status.OK, ""),  # the worker's clock is ahead
        (
            [task(399), task(300, "u")],
            Status.WARNING,
            "u and 1 other task running for 11 min 40 s (over 10 min); check task U on w",
        ),
        ([task(-2601)], Status.CRITICAL, "t running for 1 h (over 1 h); check task T on w"),
    ],
)
def test_evaluate_active(tasks: list[dict[str, Any]], status: Status, words: str) -> None:
    (reading,) = evaluate_active({"w": tasks}, 1000, LIMITS)
    assert (reading.status, reading.message()) == (status, words)


@pytest.mark.parametrize(
    ("names", "listening", "quiet", "expected", "minimum", "words"),
    [
        (["a@h"], None, {}, [], 1, ["1 worker"]),
        ([], None, {}, [], 0, ["no worker answers"]),
        (["a@h", "b@h"], 2, {}, ["a", "b@h"], 2, ["2 workers", ""]),
        (["a@h"], 0, {}, [], 1, ["1 worker", ""]),  # it has left since
        (["a@h"], 1, {}, ["h"], 1, ["1 worker", "", "worker h does not answer"]),
        (["a@h"], 2, {"b@h": 9}, ["b"], 2, ["2 workers, b@h silent for 9 s", ""]),
    ],
)
def test_evaluate_workers(
    names: list[str],
    listening: int | None,
    quiet: dict[str, float],
    expected: list[str],
    minimum: int,
    words: list[str],
) -> None:
    active: dict[str, list[Any]] = {name: [] for name in names}
    readings = list(evaluate_workers(active, listening, quiet, expected, minimum, LIMITS))
    assert [reading.message() for reading in readings] == words


def test_evaluate_queues() -> None:
    sizes = {"a": 5, "b": 0, "c": 0, "d": 1001}
    readings = list(evaluate_queues(sizes, {"a", "d"}, ["c"], LIMITS))
    assert {reading.label: reading.status for reading in readings if reading.status} == {
        "unconsumed_c": Status.WARNING,
        "queue_d": Status.WARNING,
    }
    nobody = list(evaluate_queues(sizes, None, ["c"], LIMITS))
    assert [reading.label for reading in nobody if reading.status] == ["queue_d"]
    off = LIMITS | {"unconsumed": (None, None)}
    assert [reading.status for reading in evaluate_queues({"a": 5}, set(), ["a"], off)] == [
        Status.OK
    ]
