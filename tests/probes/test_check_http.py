"""probe-http, through its command line, on a real gunicorn and on what only looks like a server."""

import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.check_http import PROBE, Series, evaluate_series
from probes.framework.verdict import Status
from tests.servers.certificates import Authority
from tests.servers.flask import THREADS, gunicorn
from tests.servers.process import Command, Like, certificate, listening, once
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"
SERIES = "p95=#s;2;;0 errors=0%;0;10;0;100"
# What a loaded machine needs; the limits themselves are tested with their own flags.
CALM = ["--latency-warning", "off", "--p95-warning", "off"]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with gunicorn(tmp_path_factory.mktemp("flask")) as port:
        yield port


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-http", tmp_path)


@pytest.fixture
def flask(probe: Command, port: int) -> Command:
    """The probe of the Flask API."""
    probe.environ["API_PORT"] = str(port)
    return probe


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


OK = answer(b'{"status": "ok"}')


class TestHealth:
    def test_healthy(self, flask: Command, port: int) -> None:
        ran = flask()
        target = f"http://127.0.0.1:{port}/health"
        assert ran.line == Like(
            f"HTTP OK - {target} answers in #T, status is ok, p95 #T of 20 requests | "
            f"{LATENCY} {SERIES}"
        )

    @pytest.mark.parametrize(
        ("path", "field", "status", "text"),
        [
            ("/health", "checks.db=true", 0, ""),
            ("/health", "checks.queue=ok,fine", 2, "checks.queue is slow, not ok or fine"),
            ("/health", "checks.cache=ok", 2, "the answer has no checks.cache; if that is right"),
            ("/plain", "status=ok", 2, "the answer is not JSON but text/html; charset=utf-8; if"),
            ("/plain", "off", 0, ""),
            ("/big", "status=ok", 2, "the answer has over 1.0 MB; if that is right, add --field"),
            ("/big", "off", 0, ""),
            ("/down", "status=ok", 2, "the health page answers 503 Service Unavailable, status is"),
            ("/nowhere", "status=ok", 2, "the health page answers 404 Not Found"),
            ("/moved", "status=ok", 2, "the health page answers 301 Moved Permanently: redirects"),
            (
                "/moved-with-password",
                "off",
                2,
                "the health page answers 302 Found: redirects to http://host/health; check",
            ),
            ("/often", "status=ok", 3, "the health page answers 429 Too Many Requests; run the"),
        ],
    )
    def test_answers(
        self, flask: Command, port: int, path: str, field: str, status: int, text: str
    ) -> None:
        ran = flask("--requests", 1, "--path", path, "--field", field, *CALM)
        assert ran.status == status
        text = text or f"http://127.0.0.1:{port}{path} answers in "
        assert ran.line.partition(" - ")[2].startswith(text)
        assert f"http://127.0.0.1:{port}{path} answers in " in ran.line

    def test_version(self, flask: Command, port: int) -> None:
        ran = flask("--requests", 1, "--path", "/versioned", *CALM)
        target = f"http://127.0.0.1:{port}/versioned"
        assert ran.line.partition(" | ")[0] == Like(
            f"HTTP OK - {target} answers in #T, status is ok, version 4.2.1"
        )


class TestCredentials:
    @pytest.mark.parametrize(
        ("path", "token", "words"),
        [
            ("/private", "", "401 Unauthorized; set API_TOKEN, or the password in API_URL"),
            ("/private", "wr0ng", "401 Unauthorized; check API_TOKEN, or the password in API_URL"),
            ("/admin", "", "403 Forbidden; set API_TOKEN, or the password in API_URL"),
            (
                "/admin",
                "wr0ng",
                "403 Forbidden; API_TOKEN, or the password in API_URL may lack a permission",
            ),
        ],
    )
    def test_not_let_in(self, flask: Command, port: int, path: str, token: str, words: str) -> None:
        ran = flask("--path", path, *CALM, API_TOKEN=token)
        assert ran.line == Like(
            f"HTTP UNKNOWN - the health page answers {words}, "
            f"http://127.0.0.1:{port}{path} answers in #T | latency=#s;;;0"
        )

    @pytest.mark.parametrize("url", ["", "http://me:pa%2Fss@127.0.0.1:PORT"])
    def test_let_in(self, flask: Command, port: int, url: str) -> None:
        environ = {"API_URL": url.replace("PORT", str(port))} if url else {"API_TOKEN": "t0k3n"}
        ran = flask("--path", "/private", *CALM, **environ)
        assert ran.status == 0, ran.line

    def test_password_goes_nowhere_else(self, flask: Command, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        ran = flask("--url", url, "--path", "/private", API_URL="http://me:pa%2Fss@api.example.com")
        assert ran.status == 3
        assert "set API_TOKEN" in ran.line

    def test_secrets_stay_secret(self, flask: Command) -> None:
        for token in ("s3cr3t\nX-More: 1", "s3cr3t€"):
            ran = flask.run("--verbose", API_TOKEN=token)
            assert ran.stdout == (
                "HTTP UNKNOWN - API_TOKEN: has characters that a header cannot have\n"
            )
            assert "cr3t" not in ran.stdout + ran.stderr
        ran = flask.run("--path", "/nowhere?token=s3cr3t", "--endpoint", "/down?token=s3cr3t")
        assert ran.returncode == 2
        assert "cr3t" not in ran.stdout + ran.stderr


class TestThresholds:
    @pytest.mark.parametrize(
        ("flags", "status", "words"),
        [
            (["--latency-warning", "0"], 1, "TARGET answers in #T (over 0 s), "),
            (["--p95-critical", "0"], 2, "p95 #T of 20 requests (over 0 s), "),
        ],
    )
    def test_times(
        self, flask: Command, port: int, flags: list[str], status: int, words: str
    ) -> None:
        ran = flask(*flags)
        start = ran.line[: ran.line.index(", ") + 2]
        words = words.replace("TARGET", f"http://127.0.0.1:{port}/health")
        assert start == Like(f"HTTP {Status(status).name} - {words}")
        assert flask(flags[0], "off", *CALM).status == 0

    def test_errors(self, flask: Command) -> None:
        ran = flask("--path", "/flaky", *CALM)
        assert ran.status == 2
        start = "HTTP CRITICAL - 4 of 20 requests failed: answers 502 Bad Gateway (over 10%), "
        assert ran.line.startswith(start)
        assert "p95 " in ran.line
        assert " of 16 requests" in ran.line
        assert flask("--path", "/flaky", *CALM, "--errors-critical", "30%").status == 1

    def test_series_ends_before_the_deadline(self, flask: Command) -> None:
        ran = flask("--path", "/slow?seconds=0.3", "--timeout", "2s", *CALM)
        assert ran.status == 0
        assert re.search(r" of [345] requests \| ", ran.line)
        assert ran.seconds < 8


class TestEndpoints:
    def test_all_well(self, flask: Command, port: int) -> None:
        ran = flask(*CALM, API_ENDPOINTS="/private,status=401 /moved,status=301 /plain")
        assert ran.line == Like(
            f"HTTP OK - http://127.0.0.1:{port}/health answers in #T, status is ok, "
            "3 of 3 endpoints as expected, p95 #T of 20 requests | latency=#s "
            "/private=#s /moved=#s /plain=#s p95=#s errors=0%;0;10;0;100".replace("=#s", "=#s;;;0")
        )

    def test_any_status_below_500_is_an_answer(self, flask: Command, port: int) -> None:
        flags = [*CALM, "--requests", 1]
        ran = flask(*flags, API_ENDPOINTS="/private /admin /nowhere?t=s3cr3t /often /moved /plain")
        assert ran.status == 0
        assert ran.line.partition(" | ")[0] == Like(
            f"HTTP OK - http://127.0.0.1:{port}/health answers in #T, status is ok, "
            "/private answers 401 Unauthorized, /admin answers 403 Forbidden, "
            "/nowhere answers 404 Not Found, /often answers 429 Too Many Requests, "
            "/moved answers 301 Moved Permanently, 6 of 6 endpoints as expected"
        )
        assert flask(*flags, "--endpoint", "/nowhere,status=200").line.startswith(
            "HTTP CRITICAL - /nowhere answers 404 Not Found, not 200, "
        )

    def test_each_trouble_is_named(self, flask: Command, port: int) -> None:
        endpoints = [
            "/slow?seconds=9",
            "/down",
            "/plain,status=204",
            "/private,status=200",
            "/slow?seconds=0.1,critical=off,warning=50ms",
            "/big,critical=0",
            "/health",
        ]
        flags = [word for path in endpoints for word in ("--endpoint", path)]
        ran = flask(*flags, "--requests", 1, "--timeout", "8s", *CALM)
        assert ran.line == Like(
            "HTTP CRITICAL - no answer from /slow within #T, "
            "/down answers 503 Service Unavailable, "
            "/plain answers 200 OK, not 204, "
            "/big answers in #T for its first 1.0 MB (over 0 s), "
            "/private answers 401 Unauthorized, not 200; set API_TOKEN, or the password in API_URL,"
            " /slow answers in #T (over 50 ms), "
            f"http://127.0.0.1:{port}/health answers in #T, status is ok, "
            "1 of 7 endpoints as expected | latency=#s;;;0 /slow=#s;0.05;;0 /big=#s;;0;0 "
            "/health=#s;;;0"
        )
        assert ran.seconds < 8

    def test_health_has_the_whole_time(self, flask: Command) -> None:
        """Its half, which it had beside one endpoint, would not be enough."""
        flags = ["--path", "/slow?seconds=2.5", "--requests", 1, "--timeout", "4s", *CALM]
        assert flask(*flags, "--endpoint", "/plain").status == 0
        flags[1] = "/slow?seconds=9"
        ran = flask(*flags, "--endpoint", "/plain")
        assert ran.line == (
            f"HTTP CRITICAL - no answer from http://127.0.0.1:{flask.environ['API_PORT']}/slow "
            "within 4 s"
        )

    def test_no_time_left_for_an_endpoint(self, flask: Command) -> None:
        """Nobody knows whether it would have answered."""
        flags = ["--endpoint", "/slow?seconds=9", "--timeout", "1s", "--requests", 1, *CALM]
        ran = flask(*flags)
        assert ran.line.startswith("HTTP UNKNOWN - no answer from /slow within ")
        assert "; raise --timeout, http://127.0.0.1:" in ran.line

    def test_dropped(self, probe: Command) -> None:
        def serve(connection: socket.socket) -> None:
            while request := connection.recv(4096):
                if b"/drop" in request:
                    return
                connection.sendall(OK)

        with listening(serve) as port:
            ran = probe("--endpoint", "/drop", "--requests", 1, *CALM, API_PORT=port)
        assert ran.line == Like(
            "HTTP CRITICAL - /drop: closes the connection without an answer, "
            f"http://127.0.0.1:{port}/health answers in #T, status is ok | latency=#s;;;0"
        )


class TestNoService:
    def test_body_that_never_ends(self, probe: Command) -> None:
        def serve(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)

        with listening(serve) as port:
            ran = probe("--port", port, "--timeout", "1s")
        assert ran.line == (
            f"HTTP CRITICAL - no answer from http://127.0.0.1:{port}/health within 1 s"
        )
        assert ran.seconds < 8

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            (b"+PONG\r\n", "answers something that is not HTTP: +PONG"),
            (b"HTTP/1.1 two hundred\r\n\r\n", "answers something that is not HTTP: HTTP/1.1 two h"),
            (b"", "closes the connection without an answer"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
                "closes the connection in the middle of ",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                "closes the connection in the middle of its answer",
            ),
            (
                b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
                "answers with broken HTTP: got more than 100 headers",
            ),
        ],
    )
    def test_nonsense(self, probe: Command, said: bytes, words: str) -> None:
        with listening(once(said)) as port:
            ran = probe("--port", port)
        assert ran.line.startswith(f"HTTP CRITICAL - http://127.0.0.1:{port}/health: {words}")

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "the answer is empty"),
            (b"{", "the answer is not JSON but of unknown type"),
            (b"[" * 100_000, "the answer is not JSON but of unknown type"),
            (b"[1]", "the answer has no status"),
            (b"\xff\xfe", "the answer is not JSON but of unknown type"),
            (b'{"status": {"deep": "x"}}', 'status is {"deep": "x"}, not ok or healthy or up or'),
            (b'{"status": "o\\nk|"}', "status is o k/, not ok or healthy or up or pass"),
            (b'{"status": ""}', 'status is "", not ok or healthy or up or pass'),
        ],
    )
    def test_nonsense_in_http(self, probe: Command, body: bytes, words: str) -> None:
        with listening(once(answer(body))) as port:
            ran = probe("--port", port, *CALM)
        assert ran.line.startswith(f"HTTP CRITICAL - {words}")

    def test_kept_connection_that_breaks(self, probe: Command) -> None:
        """A server may hang up on what it kept, without having said so."""
        with listening(once(OK)) as port:
            ran = probe("--port", port, "--requests", 3, *CALM)
        assert ran.status == 0, ran.line

    def test_failures_in_the_series(self, probe: Command) -> None:
        asked = 0

        def serve(connection: socket.socket) -> None:
            nonlocal asked
            while connection.recv(4096):
                asked += 1
                if asked > 5:
                    return
                connection.sendall(OK)

        with listening(serve) as port:
            ran = probe("--port", port, *CALM)
        assert ran.status == 2
        assert (
            "16 of 20 requests failed: closes the connection without an answer (over 10%)"
            in ran.line
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of the Flask API behind TLS, and its certificate."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = certificate(directory, days=2)
    with gunicorn(directory, cert=cert, key=key) as port:
        yield port, cert


class TestHost:
    FLAGS = ("--path", "/virtual", "--requests", 1, *CALM)

    def test_header(self, flask: Command) -> None:
        assert flask(*self.FLAGS).status == 2
        assert flask(*self.FLAGS, "--host-header", "api.example.com").status == 0

    @pytest.mark.parametrize(("host", "status"), [("api.example.com", 0), ("api.example.org", 2)])
    def test_name_in_the_certificate(
        self, probe: Command, tmp_path: Path, host: str, status: int
    ) -> None:
        """A node behind a load balancer, by its address."""
        authority = Authority(tmp_path / "ca")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("api", "DNS:api.example.com"))
        asked: list[str | None] = []
        context.sni_callback = lambda _socket, name, _context: asked.append(name)

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as tls:
                while tls.recv(4096):
                    tls.sendall(OK)

        with listening(serve) as port:
            url = f"https://127.0.0.1:{port}"
            flags = ["--url", url, "--tls-ca", authority.file, "--requests", 1, *CALM]
            ran = probe(*flags, API_HOST_HEADER=host)
            assert (ran.status, asked) == (status, [host])
            assert ("Hostname mismatch" in ran.line) == bool(status)
            assert "IP address mismatch" in probe(*flags).line


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Unix socket of the Flask API."""
    directory = tmp_path_factory.mktemp("unix")
    path = directory / "api.sock"
    with gunicorn(directory, *THREADS, "--bind", f"unix:{path}"):
        yield path


class TestUnixSocket:
    @pytest.mark.parametrize("end", ["", ":", ":/"])
    def test_healthy(self, probe: Command, path: Path, end: str) -> None:
        ran = probe(*CALM, API_URL=f"http://unix:{path}{end}", API_ENDPOINTS="/plain,status=200")
        assert ran.status == 0, ran.line
        assert f"HTTP OK - http://unix:{path}:/health answers in " in ran.line
        assert "1 of 1 endpoint as expected, p95 " in ran.line

    def test_user_and_host(self, probe: Command, path: Path) -> None:
        ran = probe("--path", "/private", *CALM, API_URL=f"http://me:pa%2Fss@unix:{path}")
        assert ran.status == 0, ran.line
        url = f"http://unix:{path}"
        assert probe(*TestHost.FLAGS, "--url", url, "--host-header", "api.example.com").status == 0
        assert probe(*TestHost.FLAGS, "--url", url).status == 2

    def test_no_server(self, probe: Command, tmp_path: Path) -> None:
        path = tmp_path / "none.sock"
        assert probe("--url", f"http://unix:{path}").line == (
            f"HTTP CRITICAL - http://unix:{path}:/health: No such file or directory"
        )
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        ran = probe("--url", f"http://unix:{path}")
        assert ran.line == f"HTTP CRITICAL - http://unix:{path}:/health: Connection refused"

    def test_no_permission(self, probe: Command, path: Path) -> None:
        mode = path.stat().st_mode
        path.chmod(0)
        if os.geteuid() == 0:  # who reads everything, but for these two capabilities
            os.chown(path, 65534, 65534)
            probe.prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        ran = probe("--url", f"http://unix:{path}")
        path.chmod(mode)
        assert ran.status == 3
        assert f"http://unix:{path}:/health: Permission denied; let its group" in ran.line


class TestTls:
    def test_certificate(self, probe: Command, server: tuple[int, Path]) -> None:
        port, cert = server
        flags = ["--url", f"https://localhost:{port}", "--tls-ca", cert, *CALM]
        ran = probe(*flags)
        # It is made for two days; within its first second it is not a second younger.
        assert re.sub(r"valid for (2 d|47 h 59 min) ", "valid for 1 d 23 h ", ran.line) == Like(
            "HTTP CRITICAL - certificate valid for 1 d 23 h (under 3 d); check its automatic "
            f"renewal, https://localhost:{port}/health answers in #T, status is ok, p95 #T of "
            "20 requests | latency=#s;;;0 certificate=#s;1209600:;259200: p95=#s;;;0 "
            "errors=0%;0;10;0;100"
        )
        assert probe(*flags, "--certificate-critical", "1h:").status == 1
        flags += ["--certificate-critical", "off", "--certificate-warning", "off"]
        assert probe(*flags).status == 0

    @pytest.mark.parametrize(
        ("expired", "status", "words"),
        [
            (False, 0, "TARGET answers in #T, status is ok, certificate valid for # d"),
            (True, 2, "TARGET: certificate verify failed: certificate has expired"),
        ],
    )
    def test_long_lived_and_expired(
        self, probe: Command, tmp_path: Path, expired: bool, status: int, words: str
    ) -> None:
        authority = Authority(tmp_path / "ca")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("api", "DNS:localhost", expired=expired))

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as tls:
                while tls.recv(4096):
                    tls.sendall(OK)

        with listening(serve) as port:
            url = f"https://localhost:{port}"
            ran = probe("--url", url, "--tls-ca", authority.file, "--requests", 1, *CALM)
        words = words.replace("TARGET", f"{url}/health")
        assert re.match(Like(f"HTTP {Status(status).name} - {words}").pattern, ran.line), ran.line

    def test_not_trusted(self, probe: Command, server: tuple[int, Path]) -> None:
        url = f"https://localhost:{server[0]}"
        ran = probe("--url", url)
        assert ran.line == (
            f"HTTP CRITICAL - {url}/health: certificate verify failed: self-signed certificate"
        )

    def test_wrong_scheme(self, probe: Command, server: tuple[int, Path], port: int) -> None:
        ran = probe("--url", f"https://127.0.0.1:{port}")
        assert ran.line.startswith(f"HTTP CRITICAL - https://127.0.0.1:{port}/health: ")
        ran = probe("--url", f"http://127.0.0.1:{server[0]}")
        assert ran.status == 2


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (
                ["--url", "example.com"],
                "'example.com' does not begin with http:// or https://; write it like https://host:port",
            ),
            (["--url", "http://h:99999"], "is not a URL"),
            (
                ["--url", "http://h/?a=b"],
                "has the parameter a, which the probe does not understand",
            ),
            (["--url", "http://me:pw@h"], "a URL with a password must be in "),
            (["--host-header", "a b"], "'a b' is not a host; write it like api.example.com"),
            (["--port", "0"], "0 is not in the range 1<=x<=65535"),
            (["--path", "health"], "'health' is not a path; write it like /health"),
            (["--path", "/a b"], "'/a b' is not a path"),
            (["--field", "status"], "'status' is not a field; write it like status=ok,healthy"),
            (["--field", "a..b=c"], "'a..b=c' is not a field"),
            (["--endpoint", "login"], "'login' is not a path"),
            (["--endpoint", "/a,status=99"], "'status=99' is not status=, warning= or critical="),
            (["--endpoint", "/a,fast"], "'fast' is not status=, warning= or critical="),
            (["--endpoint", "/a,warning=x"], "'/a,warning=x': 'x' is not a threshold"),
            (["--requests", "0"], "0 is not in the range 1<=x<=1000"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        ran = probe.misused(*flags)
        assert message in ran.line

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("example.com", "does not begin with http:// or https://"),
            ("http://me:s3/cr3t@127.0.0.1", "is not a valid URL"),
            ("http://me:s3cr3t@127.0.0.1:port", "is not a valid URL"),
            ("http://me:s3cr3t@[::1", "is not a valid URL"),
            ("ftp://me:s3cr3t@127.0.0.1", "does not begin with http:// or https://"),
            (
                "http://me:s3cr3t@127.0.0.1/?a=s3cr3t",
                "has the parameter a, which the probe does not understand",
            ),
        ],
    )
    def test_wrong_url(self, probe: Command, url: str, problem: str) -> None:
        ran = probe.run("--verbose", API_URL=url)
        assert ran.stderr == ""
        assert ran.stdout == (
            f"HTTP UNKNOWN - API_URL: {problem}; write it like "
            "https://user:password@host:port, special characters percent-encoded\n"
        )

    def test_wrong_endpoint(self, probe: Command) -> None:
        ran = probe(API_ENDPOINTS="/a,b")
        assert (ran.status, "--endpoint or API_ENDPOINTS" in ran.line) == (3, True)

    def test_broken_ca(self, probe: Command, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nonsense")
        ran = probe("--tls-ca", tmp_path / "ca.pem", "--url", "https://127.0.0.1")
        assert ran.line == (f"HTTP UNKNOWN - {tmp_path}/ca.pem: has no certificates in PEM format")


RANGES = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("seconds", "failures", "words"),
    [
        ([], [], []),
        ([0.1], [], [""]),
        ([0.1] * 19 + [3], [], ["p95 0.1 s of 20 requests", ""]),
        ([0.1] * 18 + [3] * 2, [], ["p95 3 s of 20 requests (over 2 s)", ""]),
        ([0.1] * 5 + [2.6], [], ["p95 2.6 s of 6 requests (over 2 s)", ""]),
        (
            [0.1] * 19,
            ["no answer in time"],
            ["p95 0.1 s of 19 requests", "1 of 20 requests failed: no answer in time (over 0%)"],
        ),
        ([], ["x"], ["1 of 1 request failed: x (over 10%)"]),
    ],
)
def test_evaluate_series(seconds: list[float], failures: list[str], words: list[str]) -> None:
    readings = evaluate_series(Series(seconds, failures), RANGES)
    assert [reading.message() for reading in readings] == words
