"""The way to the server: TLS, IPv6, proxies, redirects, resolvers; through the command line."""

from __future__ import annotations

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
needs_openssl = pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")


def ping(tmp_path: Path, stub: HealthchecksStub, *options: str, **env: str) -> str:
    """One run with start and end; what hcrun said."""
    done = run_hcrun(tmp_path, *options, "--", "echo", "hello", stub=stub, env=ONCE | env)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    return done.stderr.decode()


def delivery(tmp_path: Path) -> str:
    return Journal(str(tmp_path / "state")).runs()[0][1]


def unreached(why: str) -> str:
    return f"hcrun: result not delivered: cannot reach the server: {why}; {LATER}\n"


def netloc(stub: HealthchecksStub) -> str:
    return stub.ping_url.split("/")[2]


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "here")


@pytest.fixture(scope="module")
def good(authority: Authority) -> tuple[str, str]:
    return authority.issue("good", "IP:127.0.0.1", "IP:::1", "DNS:localhost")


@needs_openssl
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_https(name: str, authority: Authority, good: tuple[str, str], tmp_path: Path) -> None:
    trusted = authority.file if name == "SSL_CERT_FILE" else authority.hashed
    with HealthchecksStub(certfile=good[0], keyfile=good[1]) as stub:
        check = stub.add_check()
        assert stub.ping_url.startswith("https://")
        assert ping(tmp_path, stub, check.uuid, **{name: str(trusted)}) == ""
        assert [p.kind for p in check.pings] == ["start", "success"]


@needs_openssl
def test_https_by_name(authority: Authority, good: tuple[str, str], tmp_path: Path) -> None:
    with HealthchecksStub(certfile=good[0], keyfile=good[1]) as stub:
        check = stub.add_check()
        url = stub.ping_url.replace("127.0.0.1", "localhost")
        env = {"SSL_CERT_FILE": str(authority.file), "HEALTHCHECKS_PING_URL": url}
        assert ping(tmp_path, stub, check.uuid, **env) == ""
        assert [p.kind for p in check.pings] == ["start", "success"]


@needs_openssl
@pytest.mark.parametrize(
    ("hosts", "expired", "trusted", "why"),
    [
        (
            ["IP:127.0.0.1"],
            True,
            True,
            "its certificate was rejected: certificate has expired",
        ),
        (
            ["DNS:hc.example.com", "IP:192.0.2.1"],
            False,
            True,
            (
                "its certificate was rejected: IP address mismatch, certificate is not valid for"
                " '127.0.0.1'."
            ),
        ),
        (
            ["IP:127.0.0.1"],
            False,
            False,
            "its certificate was rejected: unable to get local issuer certificate",
        ),
    ],
    ids=["expired", "another host's", "unknown CA"],
)
def test_certificates_that_are_refused(
    hosts: list[str],
    expired: bool,
    trusted: bool,
    why: str,
    authority: Authority,
    good: tuple[str, str],
    tmp_path: Path,
) -> None:
    """Nothing is sent, one line says why, and the result is kept for when it is put right."""
    bad = Authority(tmp_path / "ca")
    certificate, key = bad.issue("bad", *hosts, expired=expired)
    ca = bad.file if trusted else authority.file
    with HealthchecksStub(certfile=certificate, keyfile=key) as stub:
        check = stub.add_check()
        said = ping(tmp_path, stub, check.uuid, SSL_CERT_FILE=str(ca))
        assert said == unreached(f"127.0.0.1: {why}")
        assert stub.requests == []
        assert delivery(tmp_path) == "pending"
        stub._tls.load_cert_chain(*good)  # type: ignore[union-attr]  # the operator renews it
        done = run_hcctl(tmp_path, "flush", env={"SSL_CERT_FILE": str(authority.file)})
        assert (done.returncode, done.stderr) == (0, "")
        assert [p.kind for p in check.pings] == ["success"]


@needs_openssl
def test_no_tls_where_tls_is_expected(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    env = {"HEALTHCHECKS_PING_URL": stub.ping_url.replace("http:", "https:")}
    stub.fault = Fault(sends(reply(400, "plain http")), on_accept=True)
    assert ping(tmp_path, stub, check.uuid, **env) == unreached(
        "127.0.0.1: TLS failed: wrong version number"
    )


# Addresses


def test_ipv6(tmp_path: Path) -> None:
    with HealthchecksStub(host="::1") as stub:
        check = stub.add_check()
        assert ping(tmp_path, stub, check.uuid) == ""
        assert [p.kind for p in check.pings] == ["start", "success"]
        assert stub.requests[0].headers["host"] == netloc(stub)
        assert netloc(stub).startswith("[::1]:")


@needs_openssl
def test_ipv6_with_tls(authority: Authority, good: tuple[str, str], tmp_path: Path) -> None:
    with HealthchecksStub(host="::1", certfile=good[0], keyfile=good[1]) as stub:
        check = stub.add_check()
        assert ping(tmp_path, stub, check.uuid, SSL_CERT_FILE=str(authority.file)) == ""
        assert [p.kind for p in check.pings] == ["start", "success"]


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
def test_first_address_refuses(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.allowed_hosts.add("twice")
    url = stub.ping_url.replace("127.0.0.1", "twice")
    done = resolving(tmp_path, stub, url, check.uuid, "--", "true", hosts=TWO_ADDRESSES)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [p.kind for p in check.pings] == ["start", "success"]


@needs_unshare
def test_no_address_answers(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.go_down()
    url = stub.ping_url.replace("127.0.0.1", "twice")
    done = resolving(tmp_path, stub, url, check.uuid, "--", "true", hosts=TWO_ADDRESSES)
    port = netloc(stub).partition(":")[2]
    assert done.returncode == 0
    assert done.stderr.decode() == unreached(f"twice:{port}: Connection refused")


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
def test_first_address_is_a_black_hole(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Half of the time is left for the second."""
    check = stub.add_check()
    stub.allowed_hosts.add("twice")
    url = stub.ping_url.replace("127.0.0.1", "twice")
    options = ("--no-start", "--deadline", "6s", check.uuid, "--", "true")
    with black_hole("::1", int(netloc(stub).partition(":")[2])):
        done = resolving(tmp_path, stub, url, *options, hosts=TWO_ADDRESSES)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [p.kind for p in check.pings] == ["success"]


@needs_unshare
def test_resolver_that_hangs(tmp_path: Path, stub: HealthchecksStub) -> None:
    """The C library asks for 10 s; nobody can interrupt it, and hcrun does not wait for it."""
    check = stub.add_check()
    options = ("--deadline", "1s", check.uuid, "--", "echo", "hello")
    url = "http://hc.example.com/ping"
    done = resolving(tmp_path, stub, url, *options)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert done.stderr.decode() == f"hcrun: result not delivered: no answer in time; {LATER}\n"


def test_name_that_does_not_exist(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    said = ping(tmp_path, stub, check.uuid, HEALTHCHECKS_PING_URL="http://name.invalid/ping")
    words = (
        "Name or service not known",
        "No address associated with hostname",
        "Temporary failure in name resolution",
    )
    assert said in {unreached(f"name.invalid: {why}") for why in words}


@pytest.mark.parametrize("port", ["0", "65536", "99999", "80a", "-1"])
def test_port_that_is_none(port: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    url = f"http://127.0.0.1:{port}/ping"
    assert ping(tmp_path, stub, check.uuid, HEALTHCHECKS_PING_URL=url) == unreached(
        "the ping URL: the port must be a number from 1 to 65535"
    )


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


def test_user_and_password(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    assert ping(tmp_path, stub, check.uuid, **with_password(stub)) == ""
    assert [r.headers["authorization"] for r in stub.requests] == [BASIC, BASIC]
    assert {r.headers["host"] for r in stub.requests} == {netloc(stub)}


def test_password_stays_here(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Neither in what is said nor, once it is not needed any more, in the journal."""
    check = stub.add_check()
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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_keeps_method_and_body(
    status: int, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    elsewhere = stub.ping_url + "/elsewhere"
    stub.fault = Fault(redirects(f"/ping/{check.uuid}", status), only="/elsewhere")
    assert ping(tmp_path, stub, "--no-start", elsewhere) == ""
    assert [p.kind for p in check.pings] == ["success"]
    first, second = stub.requests
    assert (first.method, second.method) == ("POST", "POST")
    assert first.body == second.body != b""


@pytest.mark.parametrize("location", ["{uuid}", "../ping/{uuid}", "//{netloc}/ping/{uuid}"])
def test_relative_redirects(location: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    there = location.format(uuid=check.uuid, netloc=netloc(stub))
    stub.fault = Fault(redirects(there), only="/elsewhere")
    assert ping(tmp_path, stub, "--no-start", stub.ping_url + "/elsewhere") == ""
    assert [p.kind for p in check.pings] == ["success"]


def test_password_goes_to_the_same_host_only(tmp_path: Path, stub: HealthchecksStub) -> None:
    with HealthchecksStub() as other:
        check, there = stub.add_check(), other.add_check()
        env = with_password(stub)
        stub.fault = Fault(redirects(f"/ping/{check.uuid}"), only="/start")
        ping(tmp_path, stub, check.uuid, **env)
        assert [r.headers.get("authorization") for r in stub.requests] == [BASIC] * 3
        stub.fault = Fault(redirects(f"{other.ping_url}/{there.uuid}"))
        assert ping(tmp_path, stub, "--no-start", check.uuid, **env) == ""
        assert [p.kind for p in there.pings] == ["success"]
        assert [r.headers.get("authorization") for r in other.requests] == [None]


def test_redirect_without_end(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(redirects(f"/ping/{check.uuid}"))
    said = ping(tmp_path, stub, "--no-start", check.uuid)
    assert said == unreached("the server redirects without end")
    assert len(stub.requests) == 6
    assert delivery(tmp_path) == "pending"


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("ftp://127.0.0.1/x", "to a URL that is not http or https"),
        ("http://127.0.0.1:x/", "to a bad URL: the port must be a number from 1 to 65535"),
        ("http://[::1/", "to a bad URL: Invalid IPv6 URL"),
    ],
)
def test_redirect_to_nowhere(
    location: str, why: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.fault = Fault(redirects(location))
    said = ping(tmp_path, stub, "--no-start", check.uuid)
    assert said == unreached(f"the server redirects {why}")


@needs_openssl
def test_redirect_away_from_https(
    authority: Authority, good: tuple[str, str], tmp_path: Path, stub: HealthchecksStub
) -> None:
    there = stub.add_check()
    with HealthchecksStub(certfile=good[0], keyfile=good[1]) as safe:
        check = safe.add_check()
        safe.fault = Fault(redirects(f"{stub.ping_url}/{there.uuid}"))
        said = ping(tmp_path, safe, "--no-start", check.uuid, SSL_CERT_FILE=str(authority.file))
    assert said == unreached("the server redirects from https to http")
    assert stub.connections == 0
    assert delivery(tmp_path) == "pending"


@needs_openssl
def test_redirect_to_https(
    authority: Authority, good: tuple[str, str], tmp_path: Path, stub: HealthchecksStub
) -> None:
    """As servers do that send everybody from port 80 to 443."""
    with HealthchecksStub(certfile=good[0], keyfile=good[1]) as safe:
        check = safe.add_check()
        stub.fault = Fault(redirects(f"{safe.ping_url}/{check.uuid}", 301))
        env = {"SSL_CERT_FILE": str(authority.file)}
        assert ping(tmp_path, stub, "--no-start", check.uuid, **env) == ""
        assert [p.kind for p in check.pings] == ["success"]


# Proxies


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_http_proxy(name: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with Proxy() as proxy:
        assert ping(tmp_path, stub, check.uuid, **{name: proxy.url}) == ""
    assert [line.partition("?")[0] for line in proxy.lines] == [
        f"POST {stub.ping_url}/{check.uuid}/start",
        f"POST {stub.ping_url}/{check.uuid}",
    ]
    assert [p.kind for p in check.pings] == ["start", "success"]
    assert b"hello" in check.pings[1].body


@needs_openssl
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_https_proxy(
    name: str, authority: Authority, good: tuple[str, str], tmp_path: Path
) -> None:
    """The proxy sees the host and nothing of the ping."""
    with HealthchecksStub(certfile=good[0], keyfile=good[1]) as stub, Proxy() as proxy:
        check = stub.add_check()
        env = {name: proxy.url, "SSL_CERT_FILE": str(authority.file)}
        assert ping(tmp_path, stub, check.uuid, **env) == ""
        assert proxy.lines == [f"CONNECT {netloc(stub)} HTTP/1.1"] * 2
        assert [p.kind for p in check.pings] == ["start", "success"]


@needs_openssl
def test_https_proxy_does_not_vouch_for_the_server(good: tuple[str, str], tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "ca")
    with HealthchecksStub(certfile=good[0], keyfile=good[1]) as stub, Proxy() as proxy:
        check = stub.add_check()
        env = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(stranger.file)}
        assert ping(tmp_path, stub, check.uuid, **env) == unreached(
            "127.0.0.1: its certificate was rejected: unable to get local issuer certificate"
        )


def test_proxy_without_a_scheme_and_with_a_password(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with Proxy(credentials=BASIC) as proxy:
        right = f"monitor:{SECRET}@127.0.0.1:{proxy.port}"
        assert ping(tmp_path, stub, check.uuid, HTTP_PROXY=right) == ""
        assert [p.kind for p in check.pings] == ["start", "success"]
        assert all("proxy-authorization" not in r.headers for r in stub.requests)
        wrong = right.replace("monitor", "another")
        assert ping(tmp_path, stub, check.uuid, HTTP_PROXY=wrong) == unreached(
            f"the proxy 127.0.0.1:{proxy.port}: 407 Proxy Authentication Required"
        )
    assert delivery(tmp_path) == "pending"


def test_proxy_that_forbids_http(tmp_path: Path, stub: HealthchecksStub) -> None:
    """It is not the server that says no: the result is kept."""
    check = stub.add_check()
    with Proxy(refuses="403 Forbidden") as proxy:
        said = ping(tmp_path, stub, check.uuid, HTTP_PROXY=proxy.url)
    assert said == unreached(f"the proxy 127.0.0.1:{proxy.port}: 403 Forbidden")
    assert delivery(tmp_path) == "pending"


def test_proxy_that_forbids_https(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    url = stub.ping_url.replace("http:", "https:")
    with Proxy(refuses="403 Forbidden") as proxy:
        env = {"HTTPS_PROXY": proxy.url, "HEALTHCHECKS_PING_URL": url}
        said = ping(tmp_path, stub, check.uuid, **env)
    assert said == unreached(f"the proxy 127.0.0.1:{proxy.port}: 403 Forbidden")


def test_dead_proxy(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with bound("127.0.0.1") as nobody:  # does not listen
        port = nobody.getsockname()[1]
        said = ping(tmp_path, stub, check.uuid, HTTP_PROXY=f"http://u:{SECRET}@127.0.0.1:{port}")
    assert said == unreached(f"the proxy 127.0.0.1:{port}: Connection refused")
    assert stub.connections == 0
    assert delivery(tmp_path) == "pending"


def test_proxy_that_hangs(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with HealthchecksStub() as proxy:
        proxy.fault = Fault(hangs)
        env = {"HTTP_PROXY": f"http://{netloc(proxy)}"}
        said = ping(tmp_path, stub, "--deadline", "1s", check.uuid, **env)
    assert said.startswith("hcrun: result not delivered: ")
    assert said.endswith(f"no answer in time; {LATER}\n")


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://:1", "h:x"]
)
def test_proxy_of_another_kind(proxy: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    assert ping(tmp_path, stub, check.uuid, ALL_PROXY=proxy) == unreached(
        f"{netloc(stub)}: the proxy in the environment must be like http://HOST:PORT"
    )


@pytest.mark.parametrize(
    ("listed", "direct"),
    [
        ("*", True),
        ("127.0.0.1", True),
        ("example.com, 127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("{netloc}", True),
        ("", False),
        ("127.0.0.1:1", False),
        ("7.0.0.1", False),
        ("10.0.0.0/8,example.com/8,::/0", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy(
    name: str, listed: str, direct: bool, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    with Proxy() as proxy:
        env = {"http_proxy": proxy.url, name: listed.format(netloc=netloc(stub))}
        assert ping(tmp_path, stub, "--no-start", check.uuid, **env) == ""
    assert [p.kind for p in check.pings] == ["success"]
    assert (proxy.lines == []) == direct


@pytest.mark.parametrize(
    ("listed", "direct"),
    [
        ("localhost", True),
        (".localhost", True),
        ("*.localhost", True),
        ("LOCALHOST", True),
        ("host", False),
        ("a.localhost", False),
    ],
)
def test_no_proxy_by_name(
    listed: str, direct: bool, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    url = stub.ping_url.replace("127.0.0.1", "localhost")
    with Proxy() as proxy:
        env = {"http_proxy": proxy.url, "NO_PROXY": listed, "HEALTHCHECKS_PING_URL": url}
        assert ping(tmp_path, stub, "--no-start", check.uuid, **env) == ""
    assert (proxy.lines == []) == direct


def test_redirect_through_a_proxy(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(redirects(f"/ping/{check.uuid}"), times=1)
    with Proxy() as proxy:
        assert ping(tmp_path, stub, "--no-start", check.uuid, HTTP_PROXY=proxy.url) == ""
    assert [p.kind for p in check.pings] == ["success"]
    assert len(proxy.lines) == 2


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
        assert [p.kind for p in check.pings] == ["success"]
        done = run_hcctl(tmp_path, "flush")
        assert done.returncode == 1
        assert done.stderr.splitlines()[0].endswith(f": {netloc(old)}: Connection refused")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_message_contains_the_url(scheme: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    url = f"{scheme}://monitor:{SECRET}@127.0.0.1:1/ping"
    said = ping(tmp_path, stub, check.uuid, HEALTHCHECKS_PING_URL=url)
    assert said == unreached("127.0.0.1:1: Connection refused")
