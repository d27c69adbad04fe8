"""The way to the server: TLS, IPv6, proxies, redirects, resolvers; through the command line."""

import shutil
import socket
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from tests.servers.certificates import OPENSSL, Authority
from tests.servers.proxy import Proxy
from tests.stub.healthchecks import (
    Check,
    Fault,
    HealthchecksStub,
    bound,
    hangs,
    redirects,
    reply,
    sends,
)
from tests.support.command import HCRUN, PATIENCE, environment, run_hcctl, run_hcrun

pytestmark = pytest.mark.slow

LATER = "a later run or `hcctl flush` delivers it"
ONCE = {"HEALTHCHECKS_RETRY_COUNT": "1"}
TRUSTED: dict[str, str] = {}  # the CA, once there is one


def ping(tmp_path: Path, stub: HealthchecksStub, *options: str, **env: str) -> str:
    """One run with start and end; returns what hcrun printed on stderr."""
    env = ONCE | TRUSTED | env
    done = run_hcrun(tmp_path, *options, "--", "echo", "hello", stub=stub, env=env)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    return done.stderr.decode()


def delivery(tmp_path: Path) -> str:
    return Journal(str(tmp_path / "state")).runs()[0][1]


def unreached(why: str) -> str:
    return f"hcrun: result not delivered: cannot reach the server: {why}; {LATER}\n"


def netloc(stub: HealthchecksStub) -> str:
    return stub.ping_url.split("/")[2]


def kinds(check: Check) -> list[str]:
    return [ping.kind for ping in check.pings]


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    if not OPENSSL:
        pytest.skip("openssl is not installed")
    authority = Authority(tmp_path_factory.mktemp("tls") / "here")
    TRUSTED["SSL_CERT_FILE"] = str(authority.file)
    yield authority
    TRUSTED.clear()


@pytest.fixture(scope="module")
def good(authority: Authority) -> tuple[str, str]:
    return authority.issue("good", "IP:127.0.0.1", "IP:::1", "DNS:localhost")


@pytest.fixture(params=["127.0.0.1"])
def safe(request: pytest.FixtureRequest, good: tuple[str, str]) -> Iterator[HealthchecksStub]:
    """A server with TLS."""
    with HealthchecksStub(host=request.param, certfile=good[0], keyfile=good[1]) as stub:
        yield stub


@pytest.mark.parametrize("safe", ["127.0.0.1", "::1"], indirect=True)
def test_https(safe: HealthchecksStub, tmp_path: Path) -> None:
    check = safe.add_check()
    by_name = safe.ping_url.replace("127.0.0.1", "localhost")
    for url in (safe.ping_url, by_name):
        assert url.startswith("https://")
        assert ping(tmp_path, safe, check.uuid, HEALTHCHECKS_PING_URL=url) == ""
    assert kinds(check) == ["start", "success"] * 2


def test_https_with_a_directory_of_cas(
    authority: Authority, safe: HealthchecksStub, tmp_path: Path
) -> None:
    check = safe.add_check()
    env = {"SSL_CERT_DIR": str(authority.hashed)}
    done = run_hcrun(tmp_path, check.uuid, "--", "true", stub=safe, env=env)
    assert (done.stderr, kinds(check)) == (b"", ["start", "success"])


@pytest.mark.parametrize(
    ("host", "expired", "trusted", "why"),
    [
        ("IP:127.0.0.1", True, True, "certificate has expired"),
        (
            "DNS:hc.example.com,IP:192.0.2.1",
            False,
            True,
            "IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
        ("IP:127.0.0.1", False, False, "unable to get local issuer certificate"),
    ],
    ids=["expired", "another host's", "unknown CA"],
)
def test_rejected_certificates(
    host: str, expired: bool, trusted: bool, why: str, good: tuple[str, str], tmp_path: Path
) -> None:
    """Nothing is sent, one line says why, and the result is kept until the server is repaired."""
    bad = Authority(tmp_path / "ca")
    certificate, key = bad.issue("bad", *host.split(","), expired=expired)
    env = {"SSL_CERT_FILE": str(bad.file)} if trusted else {}
    with HealthchecksStub(certfile=certificate, keyfile=key) as stub:
        check = stub.add_check()
        errors = ping(tmp_path, stub, check.uuid, **env)
        assert errors == unreached(f"127.0.0.1: its certificate was rejected: {why}")
        assert (stub.requests, delivery(tmp_path)) == ([], "pending")
        stub._tls.load_cert_chain(*good)  # type: ignore[union-attr]
        done = run_hcctl(tmp_path, "flush", env=TRUSTED)
        assert (done.returncode, done.stderr, kinds(check)) == (0, "", ["success"])


def test_no_tls_where_tls_is_expected(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    url = stub.ping_url.replace("http:", "https:")
    stub.fault = Fault(sends(reply(400, "plain http")), on_accept=True)
    errors = ping(tmp_path, stub, check.uuid, HEALTHCHECKS_PING_URL=url)
    assert errors == unreached("127.0.0.1: TLS failed: wrong version number")


# Addresses


def test_ipv6(tmp_path: Path) -> None:
    with HealthchecksStub(host="::1") as stub:
        check = stub.add_check()
        assert ping(tmp_path, stub, check.uuid) == ""
        assert kinds(check) == ["start", "success"]
        assert stub.requests[0].headers["host"] == netloc(stub)
        assert netloc(stub).startswith("[::1]:")


def can_unshare() -> bool:
    """Whether this user may have a namespace of mounts and networks of its own."""
    done = subprocess.run(
        ["unshare", "-r", "-n", "-m", "true"], capture_output=True, check=False, timeout=60
    )
    return done.returncode == 0


needs_unshare = pytest.mark.skipif(
    not shutil.which("unshare") or not can_unshare(), reason="no namespaces for this user"
)
# The files of the resolver, replaced for one process. In a network of its own, a name server
# that never answers: a socket that this process goes on to own.
RESOLVER = """
import fcntl, os, socket, struct, subprocess, sys
network, hosts, resolv, *command = sys.argv[1:]
for source, there in ((hosts, "/etc/hosts"), (resolv, "/etc/resolv.conf")):
    subprocess.run(["mount", "--bind", source, os.path.realpath(there)], check=True)
if network:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(silent, 0x8914, struct.pack("16sh22x", b"lo", 0x49))  # SIOCSIFFLAGS: up
    silent.bind(("127.0.0.1", 53))
    silent.set_inheritable(True)
os.execvp(command[0], command)
"""


def resolving(
    tmp_path: Path, stub: HealthchecksStub, url: str, *arguments: str, hosts: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """hcrun with these /etc/hosts; without any, with a name server that does not answer."""
    for name, text in (("hosts", hosts), ("resolv.conf", "nameserver 127.0.0.1\n")):
        (tmp_path / name).write_text(text)
    unshare = ["unshare", "-r", "-m", *([] if hosts else ["-n"]), sys.executable, "-c", RESOLVER]
    files = [str(tmp_path / "hosts"), str(tmp_path / "resolv.conf")]
    return subprocess.run(
        [*unshare, "" if hosts else "network", *files, HCRUN, *arguments],
        env=environment(tmp_path, stub) | {"HEALTHCHECKS_PING_URL": url} | ONCE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )


TWO_ADDRESSES = "::1 twice\n127.0.0.1 twice\n"


@needs_unshare
@pytest.mark.parametrize("up", [True, False])
def test_first_address_refuses(
    up: bool, check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    stub.allowed_hosts.add("twice")
    if not up:
        stub.go_down()
    url = stub.ping_url.replace("127.0.0.1", "twice")
    done = resolving(tmp_path, stub, url, check.uuid, "--", "true", hosts=TWO_ADDRESSES)
    errors = unreached(f"twice:{netloc(stub).partition(':')[2]}: Connection refused")
    assert (done.returncode, done.stderr.decode()) == (0, "" if up else errors)
    assert kinds(check) == (["start", "success"] if up else [])


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """Connecting there neither works nor fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener, ExitStack() as stack:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            connection = stack.enter_context(socket.socket(family))
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield


@needs_unshare
def test_first_address_is_a_black_hole(
    check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    """Half of the time is left for the second."""
    stub.allowed_hosts.add("twice")
    url = stub.ping_url.replace("127.0.0.1", "twice")
    options = ("--no-start", "--deadline", "6s", check.uuid, "--", "true")
    with black_hole("::1", int(netloc(stub).partition(":")[2])):
        done = resolving(tmp_path, stub, url, *options, hosts=TWO_ADDRESSES)
    assert (done.returncode, done.stderr, kinds(check)) == (0, b"", ["success"])


@needs_unshare
def test_resolver_that_hangs(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    """The C library asks for 10 s; nobody can interrupt it, and hcrun does not wait for it."""
    options = ("--deadline", "1s", check.uuid, "--", "echo", "hello")
    done = resolving(tmp_path, stub, "http://hc.example.com/ping", *options)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert done.stderr.decode() == f"hcrun: result not delivered: no answer in time; {LATER}\n"


@pytest.mark.parametrize(
    ("url", "errors"),
    [
        (
            "http://name.invalid/ping",
            {
                "name.invalid: Name or service not known",
                "name.invalid: No address associated with hostname",
                "name.invalid: Temporary failure in name resolution",
            },
        ),
        *(
            (
                f"http://127.0.0.1:{port}/ping",
                {"the ping URL: the port must be a number from 1 to 65535"},
            )
            for port in ("0", "65536", "99999", "80a", "-1")
        ),
        # No message contains the URL.
        ("http://monitor:secret@127.0.0.1:1/ping", {"127.0.0.1:1: Connection refused"}),
        ("https://monitor:secret@127.0.0.1:1/ping", {"127.0.0.1:1: Connection refused"}),
    ],
)
def test_unreachable_urls(
    url: str, errors: set[str], check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    assert ping(tmp_path, stub, check.uuid, HEALTHCHECKS_PING_URL=url) in map(unreached, errors)


# URLs


@pytest.mark.parametrize("base", ["", "/a/b/ping"])
def test_base_path(base: str, tmp_path: Path) -> None:
    with HealthchecksStub(base_path=base) as stub:
        check = stub.add_check()
        url = stub.ping_url + "/"
        assert ping(tmp_path, stub, check.uuid, HEALTHCHECKS_PING_URL=url) == ""
        assert [request.path for request in stub.requests] == [
            f"{base}/{check.uuid}/start",
            f"{base}/{check.uuid}",
        ]


SECRET = "p%40ss%3Aw0rd-xyz"  # p@ss:w0rd-xyz
BASIC = f"Basic {b64encode(b'monitor:p@ss:w0rd-xyz').decode()}"


def with_password(stub: HealthchecksStub) -> dict[str, str]:
    url = stub.ping_url.replace("http://", f"http://monitor:{SECRET}@")
    return {"HEALTHCHECKS_PING_URL": url}


def test_user_and_password(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    assert ping(tmp_path, stub, check.uuid, **with_password(stub)) == ""
    assert [r.headers["authorization"] for r in stub.requests] == [BASIC, BASIC]
    assert {r.headers["host"] for r in stub.requests} == {netloc(stub)}


def test_password_stays_here(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    """Neither in messages nor, once it is not needed any more, in the journal."""
    env = with_password(stub)
    command = ("sh", "-c", "echo $HEALTHCHECKS_PING_URL")
    stub.go_down()
    done = run_hcrun(tmp_path, check.uuid, "--", *command, stub=stub, env=ONCE | env)
    assert done.stderr.decode() == unreached(f"{netloc(stub)}: Connection refused")
    stub.come_back()
    assert run_hcctl(tmp_path, "flush").returncode == 0
    done = run_hcrun(tmp_path, check.uuid, "--", *command, stub=stub, env=ONCE | env)
    assert (done.returncode, done.stderr) == (0, b"")
    with sqlite3.connect(tmp_path / "state" / "journal.db") as db:
        kept = "\n".join(db.iterdump()).encode()
    assert kept.count(b"INSERT INTO") > 4
    for place in (kept, *(p.body for p in check.pings)):
        for secret in (SECRET, "p@ss:w0rd-xyz", check.uuid):
            assert secret.encode() not in place


# Redirects


@pytest.mark.parametrize(
    ("location", "status"),
    [
        *(("/ping/{uuid}", status) for status in (301, 302, 303, 307, 308)),
        ("{uuid}", 302),
        ("../ping/{uuid}", 302),
        ("//{netloc}/ping/{uuid}", 302),
    ],
)
def test_redirect_keeps_method_and_body(
    location: str, status: int, check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    target = location.format(uuid=check.uuid, netloc=netloc(stub))
    stub.fault = Fault(redirects(target, status), only="/elsewhere")
    assert ping(tmp_path, stub, "--no-start", stub.ping_url + "/elsewhere") == ""
    assert kinds(check) == ["success"]
    first, second = stub.requests
    assert (first.method, second.method) == ("POST", "POST")
    assert first.body == second.body != b""


def test_only_the_same_server_gets_password_and_output(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    with HealthchecksStub() as other:
        check, there = stub.add_check(), other.add_check()
        env = with_password(stub)
        stub.fault = Fault(redirects(f"/ping/{check.uuid}"), only="/start")
        ping(tmp_path, stub, check.uuid, **env)
        assert [r.headers.get("authorization") for r in stub.requests] == [BASIC] * 3
        stub.fault = Fault(redirects(f"{other.ping_url}/{there.uuid}"))
        assert ping(tmp_path, stub, check.uuid, **env) == (
            f"hcrun: the output was not sent: http://{netloc(stub)} redirects to"
            f" http://{netloc(other)}; correct HEALTHCHECKS_PING_URL\n"
        )
        assert kinds(there) == ["success"] * 2
        assert delivery(tmp_path) == "sent"
        assert [r.headers.get("authorization") for r in other.requests] == [None] * 2
        assert [r.body for r in other.requests] == [b""] * 2
        # Nor does it get the output by sending it back.
        other.fault = Fault(redirects(f"{stub.ping_url}/{check.uuid}"))
        stub.fault = Fault(redirects(f"{other.ping_url}/{there.uuid}"), times=1)
        ping(tmp_path, stub, "--no-start", check.uuid)
        assert check.pings[-1].body == b""


def test_a_redirect_to_another_name_of_the_host(
    check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    """A subdomain is another server."""
    url = f"{stub.ping_url.replace('127.0.0.1', 'localhost')}/{check.uuid}"
    stub.fault = Fault(redirects(url), times=1)
    ping(tmp_path, stub, "--no-start", check.uuid)
    assert [r.body == b"" for r in stub.requests] == [False, True]


@pytest.mark.parametrize(
    ("location", "why", "requests"),
    [
        ("/ping/{uuid}", "without end", 6),
        ("ftp://127.0.0.1/x", "to a URL that is not http or https", 1),
        ("http://127.0.0.1:x/", "to a bad URL: the port must be a number from 1 to 65535", 1),
        ("http://[::1/", "to a bad URL: Invalid IPv6 URL", 1),
    ],
)
def test_bad_redirects(
    location: str, why: str, requests: int, check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    stub.fault = Fault(redirects(location.format(uuid=check.uuid)))
    errors = ping(tmp_path, stub, "--no-start", check.uuid)
    assert errors == unreached(f"the server redirects {why}")
    assert (len(stub.requests), delivery(tmp_path)) == (requests, "pending")


def test_redirect_away_from_https(
    check: Check, stub: HealthchecksStub, safe: HealthchecksStub, tmp_path: Path
) -> None:
    safe.fault = Fault(redirects(f"{stub.ping_url}/{check.uuid}"))
    errors = ping(tmp_path, safe, "--no-start", safe.add_check().uuid)
    assert errors == unreached("the server redirects from https to http")
    assert (stub.connections, delivery(tmp_path)) == (0, "pending")


def test_redirect_to_https(stub: HealthchecksStub, safe: HealthchecksStub, tmp_path: Path) -> None:
    """As servers do that send everybody from port 80 to 443."""
    check = safe.add_check()
    stub.fault = Fault(redirects(f"{safe.ping_url}/{check.uuid}", 301))
    assert ping(tmp_path, stub, "--no-start", check.uuid) == ""
    assert kinds(check) == ["success"]
    assert check.pings[0].body == stub.requests[0].body != b""


# Proxies


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_http_proxy(name: str, check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    with Proxy() as proxy:
        assert ping(tmp_path, stub, check.uuid, **{name: proxy.url}) == ""
    assert [line.partition("?")[0] for line in proxy.lines] == [
        f"POST {stub.ping_url}/{check.uuid}/start",
        f"POST {stub.ping_url}/{check.uuid}",
    ]
    assert kinds(check) == ["start", "success"]
    assert b"hello" in check.pings[1].body


@pytest.mark.parametrize(
    ("name", "used"),
    [("HTTP_PROXY", False), ("http_proxy", True), ("all_proxy", True), ("ALL_PROXY", True)],
)
def test_proxy_in_a_cgi_script(
    name: str, used: bool, check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    """There HTTP_PROXY is what the browser sent as a header."""
    with Proxy() as proxy:
        env = {name: proxy.url, "REQUEST_METHOD": "GET"}
        assert ping(tmp_path, stub, "--no-start", check.uuid, **env) == ""
    assert (kinds(check), len(proxy.lines)) == (["success"], int(used))


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_https_proxy(name: str, safe: HealthchecksStub, tmp_path: Path) -> None:
    """The proxy sees the host and nothing of the ping."""
    check = safe.add_check()
    with Proxy() as proxy:
        assert ping(tmp_path, safe, check.uuid, **{name: proxy.url}) == ""
        assert proxy.lines == [f"CONNECT {netloc(safe)} HTTP/1.1"] * 2
    assert kinds(check) == ["start", "success"]


def test_https_proxy_does_not_vouch_for_the_server(safe: HealthchecksStub, tmp_path: Path) -> None:
    env = {"SSL_CERT_FILE": str(Authority(tmp_path / "ca").file)}
    check = safe.add_check()
    with Proxy() as proxy:
        errors = ping(tmp_path, safe, check.uuid, HTTPS_PROXY=proxy.url, **env)
    why = "its certificate was rejected: unable to get local issuer certificate"
    assert errors == unreached(f"127.0.0.1: {why}")


def test_proxy_without_a_scheme_and_with_a_password(
    check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    with Proxy(credentials=BASIC) as proxy:
        right = f"monitor:{SECRET}@127.0.0.1:{proxy.port}"
        assert ping(tmp_path, stub, check.uuid, HTTP_PROXY=right) == ""
        assert kinds(check) == ["start", "success"]
        assert all("proxy-authorization" not in r.headers for r in stub.requests)
        wrong = right.replace("monitor", "another")
        assert ping(tmp_path, stub, check.uuid, HTTP_PROXY=wrong) == unreached(
            f"the proxy 127.0.0.1:{proxy.port}: 407 Proxy Authentication Required"
        )
    assert delivery(tmp_path) == "pending"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_forbids(
    scheme: str, check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    """The answer is not the server's: the result is kept."""
    url = stub.ping_url.replace("http", scheme, 1)
    with Proxy(refuses="403 Forbidden") as proxy:
        env = {f"{scheme}_proxy": proxy.url, "HEALTHCHECKS_PING_URL": url}
        errors = ping(tmp_path, stub, check.uuid, **env)
    assert errors == unreached(f"the proxy 127.0.0.1:{proxy.port}: 403 Forbidden")
    assert delivery(tmp_path) == "pending"


def test_dead_proxy(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    with bound("127.0.0.1") as nobody:  # does not listen
        port = nobody.getsockname()[1]
        errors = ping(tmp_path, stub, check.uuid, HTTP_PROXY=f"http://u:{SECRET}@127.0.0.1:{port}")
    assert errors == unreached(f"the proxy 127.0.0.1:{port}: Connection refused")
    assert (stub.connections, delivery(tmp_path)) == (0, "pending")


def test_proxy_that_hangs(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    with HealthchecksStub() as proxy:
        proxy.fault = Fault(hangs)
        env = {"HTTP_PROXY": f"http://{netloc(proxy)}"}
        errors = ping(tmp_path, stub, "--deadline", "1s", check.uuid, **env)
    assert errors.startswith("hcrun: result not delivered: ")
    assert errors.endswith(f"no answer in time; {LATER}\n")


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://:1", "h:x"]
)
def test_proxy_of_another_kind(
    proxy: str, check: Check, stub: HealthchecksStub, tmp_path: Path
) -> None:
    assert ping(tmp_path, stub, check.uuid, ALL_PROXY=proxy) == unreached(
        f"{netloc(stub)}: the proxy in the environment must be like http://HOST:PORT"
    )


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("127.0.0.1", "*", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "example.com, 127.0.0.1", True),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("127.0.0.1", "{netloc}", True),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1:1", False),
        ("127.0.0.1", "7.0.0.1", False),
        ("127.0.0.1", "10.0.0.0/8,example.com/8,::/0", False),
        ("localhost", "localhost", True),
        ("localhost", ".localhost", True),
        ("localhost", "*.localhost", True),
        ("localhost", "LOCALHOST", True),
        ("localhost", "host", False),
        ("localhost", "a.localhost", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy(
    name: str,
    host: str,
    no_proxy: str,
    direct: bool,
    check: Check,
    stub: HealthchecksStub,
    tmp_path: Path,
) -> None:
    env = {"HEALTHCHECKS_PING_URL": stub.ping_url.replace("127.0.0.1", host)}
    with Proxy() as proxy:
        env |= {"http_proxy": proxy.url, name: no_proxy.format(netloc=netloc(stub))}
        assert ping(tmp_path, stub, "--no-start", check.uuid, **env) == ""
    assert (kinds(check), proxy.lines == []) == (["success"], direct)


def test_redirect_through_a_proxy(check: Check, stub: HealthchecksStub, tmp_path: Path) -> None:
    stub.fault = Fault(redirects(f"/ping/{check.uuid}"), times=1)
    with Proxy() as proxy:
        assert ping(tmp_path, stub, "--no-start", check.uuid, HTTP_PROXY=proxy.url) == ""
    assert (kinds(check), len(proxy.lines)) == (["success"], 2)


# Several servers


def test_a_server_gone_for_good_does_not_keep_others_from_their_results(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """The address of an old server stays with the results it never got."""
    with HealthchecksStub() as old:
        moved, check = old.add_check(), stub.add_check()
        old.go_down()
        stub.go_down()
        ping(tmp_path, old, "--no-start", moved.uuid)
        ping(tmp_path, stub, "--no-start", check.uuid)
        stub.come_back()
        other = stub.add_check()
        assert ping(tmp_path, stub, "--no-start", other.uuid) == ""
        assert kinds(check) == ["success"]
        done = run_hcctl(tmp_path, "flush")
        assert done.returncode == 1
        assert done.stderr.splitlines()[0].endswith(f": {netloc(old)}: Connection refused")
