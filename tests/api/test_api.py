"""The client of the Management API when something goes wrong.

test_contract_management.py tests that it understands the server.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import responses

from hcrun.api.answer import KEY_HINT, URL_HINT
from hcrun.api.client import HealthchecksClient
from hcrun.api.transport import api_url
from hcrun.errors import ApiError, SettingsError
from hcrun.settings import Settings
from tests.servers.certificates import Authority
from tests.servers.proxy import Proxy
from tests.stub.healthchecks import (
    GARBAGE,
    Exchange,
    Fault,
    HealthchecksStub,
    answers,
    cuts,
    hangs,
    hangs_up,
    redirects,
    resets,
    sends,
)
from tests.support.client import client_of

CHECK_SERVER = "check HEALTHCHECKS_API_URL, and that the server runs"


@pytest.fixture
def client(stub: HealthchecksStub) -> HealthchecksClient:
    return client_of(stub.api_url, stub.api_key, timeout=5, delay="10ms")


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as caught:
        call()
    return str(caught.value)


# Where and who


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://hc.example.com", "https://hc.example.com/api/v3"),
        ("https://hc.example.com/", "https://hc.example.com/api/v3"),
        ("https://hc.example.com/api", "https://hc.example.com/api/v3"),
        ("https://hc.example.com/api/v1", "https://hc.example.com/api/v3"),
        ("https://hc.example.com/api/v1/", "https://hc.example.com/api/v3"),
        ("HTTP://hc.example.com:8000/api/v3//", "http://hc.example.com:8000/api/v3"),
        ("https://example.com/hc/api/v2", "https://example.com/hc/api/v3"),
        ("https://example.com/hc", "https://example.com/hc/api/v3"),
        (" https://u:p@example.com ", "https://u:p@example.com/api/v3"),
        ("http://[::1]:8000", "http://[::1]:8000/api/v3"),
    ],
)
def test_the_address(given: str, url: str) -> None:
    assert api_url(given) == url


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("", "not an http(s) URL"),
        ("hc.example.com", "not an http(s) URL"),
        ("ftp://hc.example.com", "not an http(s) URL"),
        ("https:///api/v3", "not an http(s) URL"),
        ("https://hc.example.com:x", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://hc.example.com/ping", "this is the URL for pings"),
        ("https://hc.example.com/ping/", "this is the URL for pings"),
        ("https://hc-ping.com", "this is the URL for pings"),
    ],
)
def test_no_address(given: str, what: str) -> None:
    hint = "set it to a URL like https://hc.example.com/api/v3"
    assert message(lambda: api_url(given)) == f"HEALTHCHECKS_API_URL: {what}; {hint}"


def test_from_settings(tmp_path: Path, stub: HealthchecksStub) -> None:
    key = tmp_path / "key"
    key.write_text(f"{stub.read_key}\n")
    given = {"HEALTHCHECKS_API_URL": stub.site_root, "HEALTHCHECKS_API_KEY": stub.api_key}
    settings = Settings(given, {})
    for read_only in (False, True):
        HealthchecksClient(read_only=read_only, _settings=settings).list_checks()
    settings = Settings(given | {"HEALTHCHECKS_READ_KEY_FILE": str(key)}, {})
    HealthchecksClient(read_only=True, _settings=settings).list_checks()
    sent = [request.headers["x-api-key"] for request in stub.requests]
    assert sent == [stub.api_key, stub.api_key, stub.read_key]
    for read_only, name in ((False, "API"), (True, "READ")):
        with pytest.raises(SettingsError) as caught:
            HealthchecksClient(read_only=read_only, _settings=Settings({}, {})).connect()
        name = f"HEALTHCHECKS_{name}_KEY"
        assert str(caught.value) == f"{name}: no API key is set; set it or {name}_FILE"
    assert HealthchecksClient(_settings=Settings({"HEALTHCHECKS_API_KEY": "x"}, {})).api_url == (
        "https://healthchecks.io/api/v3"
    )


# What is sent


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": "cron"}, "unknown field kind; the fields are "),
        ({"unique": ["name"]}, "unknown field unique; the fields are "),
        ({"timeout": "60"}, "timeout must be int, not str"),
        ({"timeout": 60.0}, "timeout must be int, not float"),
        ({"timeout": True}, "timeout must be int, not bool"),
        ({"manual_resume": 1}, "manual_resume must be bool, not int"),
        ({"tags": ["a"]}, "tags must be str, not list"),
        ({"name": None}, "name must be str, not NoneType"),
        ({"name": "a\0b"}, "name contains a NUL or half a character, which databases reject"),
        ({"desc": "\udcff"}, "desc contains a NUL or half a character"),
        ({"tags": "x" * 501}, "the tags exceed 500 characters; use fewer"),
    ],
)
def test_what_the_server_would_refuse_or_ignore_is_not_sent(
    fields: dict[str, Any], text: str, client: HealthchecksClient, stub: HealthchecksStub
) -> None:
    assert message(lambda: client.create_with(fields)).startswith(text)
    assert message(lambda: client.update_check(str(uuid4()), **fields)).startswith(text)
    assert stub.requests == []


@pytest.mark.parametrize("given", ["", "/", "../checks", "no check", f"{UUID(int=0)}/pause"])
def test_what_is_no_check_is_not_sent(
    given: str, client: HealthchecksClient, stub: HealthchecksStub
) -> None:
    """An update of "" would create a check, and its slug would be that of all checks."""
    for call in (client.get_check, client.delete_check, client.pause_check, client.list_pings):
        assert message(partial(call, given)).startswith("check_id: ")
    assert message(lambda: client.update_check(given, name="x")).startswith("check_id: ")
    assert stub.requests == []


def test_a_check_by_uuid_name_or_url(
    stub: HealthchecksStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = HealthchecksClient(api_url=stub.api_url, api_key=stub.api_key)
    check, other = stub.add_check("redis"), stub.add_check()
    monkeypatch.setenv("HC_CHECK_CACHE", other.uuid)
    for given in (
        check.uuid,
        check.uuid.upper(),
        "redis",
        "Redis",
        f"{stub.ping_url}/{check.uuid}",
    ):
        found = client.get_check(given)
        assert found
        assert found.uuid == check.uuid
        assert client.pause_check(given).status == "paused"
        assert client.resume_check(given).status == "new"
    assert client.update_check("cache", name="x").uuid == other.uuid
    for missing in ("nginx", str(uuid4()), "0" * 40):
        assert client.get_check(missing) is None
    unknown = f"{stub.api_url}: has no check with the slug nginx"
    assert message(lambda: client.pause_check("nginx")) == unknown


# Errors


def test_keys(stub: HealthchecksStub) -> None:
    def message_for(key: str) -> str:
        return message(lambda: client_of(stub.api_url, key).list_channels())

    wanted = f"HEALTHCHECKS_API_KEY {KEY_HINT}"
    refused = f"{stub.api_url}: does not accept the API key"
    assert message_for("k" * 32) == f"{refused}; {wanted} (read-write)"
    assert message_for("tooshort") == (
        f"{refused}; {wanted} (read-write); it has 8 characters instead of 32"
    )
    assert message_for(stub.read_key) == (
        f"{refused}; the key is read-only; set HEALTHCHECKS_API_KEY to a read-write key"
    )
    for key in ("two words", "line\nbreak", "schlüssel"):
        assert message_for(key) == f"the API key contains invalid characters; {wanted}"


@pytest.mark.parametrize(
    ("answer", "text", "status"),
    [
        (
            answers(400),
            "answers 400 Bad Request; add this host to ALLOWED_HOSTS of the server",
            400,
        ),
        (answers(400, '{"error": "name is odd"}'), "rejects the request: name is odd", 400),
        (
            answers(403),
            "does not allow this; the check belongs to another project than the API key",
            403,
        ),
        (
            answers(404, "<h1>Not Found</h1>"),
            f"has no such check; the check was deleted, or the URL is wrong: {URL_HINT}",
            404,
        ),
        (answers(404), f"answers 404; the check was deleted, or the URL is wrong: {URL_HINT}", 404),
        (answers(405), f"answers 405; {URL_HINT}", 405),
        (answers(409, "check is not paused"), "check is not paused", 409),
        (answers(500), "answers 500; try again later; see the log of the server", 500),
        (
            redirects("https://u:p@hc.example.com/api/v3/", 301),
            (
                "redirects to https://hc.example.com/api/v3/; redirects are not followed, because"
                f" the key would be sent along; {URL_HINT}"
            ),
            301,
        ),
        (answers(200, "<html>Sign in"), f"answers with an HTML page; {URL_HINT}", 200),
        (answers(200, ""), f"answers with something other than JSON; {URL_HINT}", 200),
        (answers(200, "[1]"), f"answers with something other than JSON; {URL_HINT}", 200),
        (hangs_up, "closed the connection before a complete answer; UP?", 0),
        (
            sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
            "closed the connection before a complete answer; UP?",
            0,
        ),
        (cuts(8), "does not speak HTTP on this port; UP?", 0),
        (resets(), "closed the connection before a complete answer; UP?", 0),
        (sends(GARBAGE), "does not speak HTTP on this port; UP?", 0),
    ],
)
def test_what_an_answer_means(
    answer: Callable[[Exchange], None],
    text: str,
    status: int,
    client: HealthchecksClient,
    stub: HealthchecksStub,
) -> None:
    stub.fault = Fault(answer)
    with pytest.raises(ApiError) as caught:
        client.pause_check(str(uuid4()))
    text = text.replace("UP?", CHECK_SERVER)
    assert (str(caught.value), caught.value.status) == (f"{stub.api_url}: {text}", status)
    assert client.calls == (3 if CHECK_SERVER in text or status >= 500 else 1)
    assert stub.api_key not in str(caught.value)


def test_a_check_limit_and_duplicates(client: HealthchecksClient, stub: HealthchecksStub) -> None:
    for _ in range(2):
        stub.add_check("twice")
    stub.check_limit = 2
    assert message(lambda: client.create_with({"name": "x"})).startswith(
        f"{stub.api_url}: the project has reached its limit of checks; delete some, or raise"
    )
    assert message(lambda: client.get_check("twice")) == (
        f"{stub.api_url}: 2 checks have the slug twice, and its pings answer 409; give all but"
        " one another slug"
    )


def test_servers_that_are_not_there(stub: HealthchecksStub) -> None:
    stub.go_down()
    for url, text in (
        (stub.api_url, "cannot be reached: Connection refused"),
        ("http://no-such-host.invalid/api/v3", "cannot be reached: its host name does not resolve"),
    ):
        client = client_of(url, stub.api_key, tries=2, delay="10ms")
        assert message(client.list_checks) == f"{url}: {text}; {CHECK_SERVER}"
        assert client.calls == 2


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = Authority(tmp_path / "ca")
    certificate, key = ca.issue("good", "IP:127.0.0.1")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with HealthchecksStub(certfile=certificate, keyfile=key) as stub:
        client = client_of(stub.api_url, stub.api_key)
        assert message(client.list_checks) == (
            f"{stub.api_url}: has an untrusted certificate: unable to get local issuer certificate;"
            f" {CHECK_SERVER}"
        )
        assert client.calls == 1
        for variable, path in (
            ("SSL_CERT_FILE", ca.file),
            ("SSL_CERT_DIR", ca.hashed),
            ("REQUESTS_CA_BUNDLE", ca.file),
        ):
            with monkeypatch.context() as patch:
                patch.setenv(variable, str(path))
                assert client_of(stub.api_url, stub.api_key).list_checks() == []


def test_a_proxy(stub: HealthchecksStub, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(stub.api_url, stub.api_key, tries=1)
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert client.list_checks() == []
        assert len(proxy.lines) == 1
    assert message(client.list_checks) == (
        f"{stub.api_url}: cannot be reached through the proxy of the environment; {CHECK_SERVER}"
    )
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("REQUEST_METHOD", "GET")  # in a CGI script it is a header of the request
    assert client.list_checks() == []


def test_no_tls_there(stub: HealthchecksStub) -> None:
    url = stub.api_url.replace("http:", "https:")
    stub.fault = Fault(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), on_accept=True)
    assert message(client_of(url, stub.api_key).list_checks).startswith(
        f"{url}: does not speak TLS on this port; "
    )


# Trying again


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(
    status: int, client: HealthchecksClient, stub: HealthchecksStub
) -> None:
    check = stub.add_check("redis")
    stub.fault = Fault(answers(status), times=2)
    assert client.update_check(check.uuid, name="x").name == "x"
    assert len(stub.requests) == 3


def test_it_waits_as_long_as_it_is_told(stub: HealthchecksStub) -> None:
    client = client_of(stub.api_url, stub.api_key, timeout=5, delay="10ms")
    stub.fault = Fault(answers(429, retry_after=1), times=1)
    client.list_checks()
    first, second = stub.requests
    assert second.received - first.received >= 1
    stub.fault = Fault(answers(429, retry_after=3600))
    began = time.monotonic()
    assert message(client.list_checks).startswith(
        f"{stub.api_url}: is asked too often (429); wait a minute"
    )
    assert time.monotonic() - began < 5  # it does not wait for what is after its deadline


def test_a_hung_server_costs_three_time_outs(stub: HealthchecksStub) -> None:
    client = client_of(stub.api_url, stub.api_key, timeout=0.2, tries=9, delay="10ms")
    stub.fault = Fault(hangs)
    began = time.monotonic()
    assert message(client.list_checks).startswith(f"{stub.api_url}: did not answer in time; ")
    assert 0.4 < time.monotonic() - began < 5
    assert 3 <= len(stub.requests) <= 4


def test_an_answer_that_trickles_has_an_end(stub: HealthchecksStub) -> None:
    def trickle(x: Exchange) -> None:
        x.conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not x.closing.wait(0.05):
            x.conn.sendall(b" ")

    client = client_of(stub.api_url, stub.api_key, timeout=0.2, tries=1)
    stub.fault = Fault(trickle)
    began = time.monotonic()
    assert "did not answer in time" in message(client.list_checks)
    assert time.monotonic() - began < 5


def test_a_create_is_never_sent_twice_when_it_may_have_worked(
    client: HealthchecksClient, stub: HealthchecksStub
) -> None:
    fields = {"name": "Redis", "slug": "redis"}
    for answer in (hangs_up, answers(500), answers(502), answers(503, retry_after=0)):
        for accepted in (True, False):
            stub.checks.clear()
            stub.fault = Fault(answer, times=1, accepted=accepted)
            if accepted:
                assert client.create_with(fields).name == "Redis"
            else:
                text = f"{stub.api_url}: the check may or may not have been created: "
                assert message(lambda: client.create_with(fields)).startswith(text)
            assert len(stub.checks) == accepted
    # Without a slug there is nothing to look for.
    stub.fault = Fault(hangs_up, times=1, accepted=True)
    assert "may or may not" in message(lambda: client.create_with({"name": "Redis"}))


def test_a_create_that_cannot_have_worked_is(
    client: HealthchecksClient, stub: HealthchecksStub
) -> None:
    stub.fault = Fault(answers(429), times=2)
    assert client.create_with({"name": "Redis"}).name == "Redis"
    assert len(stub.checks) == 1


def test_what_the_first_try_has_done_is_done(
    client: HealthchecksClient, stub: HealthchecksStub
) -> None:
    check = stub.add_check("redis", paused=True)
    stub.fault = Fault(hangs_up, times=1, accepted=True)
    assert client.resume_check(check.uuid).status == "new"
    stub.fault = Fault(hangs_up, times=1, accepted=True)
    client.delete_check(check.uuid)
    assert (stub.checks, len(stub.requests)) == ([], 5)
    assert "has no such check" in message(lambda: client.delete_check(check.uuid))
    assert client.resume_check(stub.add_check("a").uuid).status == "new"  # it was not paused


def test_no_connection_is_used_twice(client: HealthchecksClient, stub: HealthchecksStub) -> None:
    """The server hangs up after each answer without having said so."""
    for _ in range(3):
        client.list_checks()
    assert stub.connections == 3
    assert {request.headers["connection"] for request in stub.requests} == {"close"}


# Odd answers


GOOD: dict[str, Any] = {"name": "x", "slug": "", "tags": "", "desc": "", "status": "new"}
GOOD |= {"last_ping": None, "next_ping": None, "n_pings": 0, "grace": 60, "started": False}
GOOD |= {"manual_resume": False}
DEEP = "[" * 100_000
ESCAPE = "\x1b]0;x\x07"
NO_TIME = "not a time with its zone"


@responses.activate
@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({}, "checks is missing or null, not a list"),
        ({"checks": {"a": 1}}, "checks is an object, not a list"),
        ({"checks": [GOOD, 1]}, "checks[1] is 1, not an object"),
        ({"checks": [{}]}, "checks[0].name is missing or null, not text"),
        ({"checks": [GOOD | {"name": 3}]}, "checks[0].name is 3, not text"),
        ({"checks": [GOOD | {"tags": None}]}, "checks[0].tags is missing or null, not text"),
        ({"checks": [GOOD | {"last_ping": "soon"}]}, f"checks[0].last_ping is 'soon', {NO_TIME}"),
        ({"checks": [GOOD | {"last_ping": 3}]}, f"checks[0].last_ping is 3, {NO_TIME}"),
        (
            {"checks": [GOOD | {"last_ping": "2026-11-30T03:00:00"}]},
            f"checks[0].last_ping is '2026-11-30T03:00:00', {NO_TIME}",
        ),
        (
            {"checks": [GOOD | {"grace": 10**30}]},
            f"checks[0].grace is 1{'0' * 30}, not a whole number from 0 to 10,000,000,000",
        ),
        ({"checks": [GOOD | {"started": "no"}]}, "checks[0].started is 'no', not true or false"),
        (
            {"checks": [GOOD | {"status": ESCAPE}]},
            r"checks[0].status is '\x1b]0;x\x07', not one of new, up, grace, down, paused",
        ),
        ({"checks": [GOOD | {"uuid": "a\nB=c"}]}, r"checks[0].uuid is 'a\nB=c', not a uuid"),
        (
            {"checks": [GOOD | {"ping_url": "http://["}]},
            "checks[0].ping_url is 'http://[', not a URL",
        ),
    ],
)
def test_a_wrong_member_is_named(members: Any, what: str) -> None:
    responses.get("https://hc.example.com/api/v3/checks/", body=json.dumps(members))
    client = client_of("https://hc.example.com", "k" * 32, tries=1)
    assert (
        message(client.list_checks) == f"https://hc.example.com/api/v3/checks/: {what}; {URL_HINT}"
    )


@responses.activate
def test_an_address_with_a_uuid_is_cut() -> None:
    """It is a secret: who knows it can ping the check."""
    uuid = str(uuid4())
    responses.get(f"https://hc.example.com/api/v3/checks/{uuid}/flips/", json={"flips": [[]]})
    client = client_of("https://hc.example.com", "k" * 32, tries=1)
    assert message(lambda: client.list_flips(uuid)).startswith(
        f"https://hc.example.com/api/v3/checks/{uuid[:8]}.../flips/: flips[0] is a list, not an"
    )


@responses.activate
@pytest.mark.parametrize("body", [DEEP, DEEP.replace("[", '{"":'), '{"checks": NaN}', "9" * 5000])
def test_what_is_no_json_for_us(body: str) -> None:
    responses.get("https://hc.example.com/api/v3/checks/", body=body)
    responses.get("https://hc.example.com/api/v3/channels/", body=body, status=400)
    client = client_of("https://hc.example.com", "k" * 32, tries=1)
    assert "answers with something other than JSON" in message(client.list_checks)
    assert "answers 400 Bad Request" in message(client.list_channels)


@responses.activate
def test_texts_are_printable() -> None:
    text = f"{ESCAPE}\ud800\u202e\x9bm"
    members = {"checks": [GOOD | {"name": text, "desc": f"a\n\t{text}", "news": 1, "uuid": "u"}]}
    responses.get("https://hc.example.com/api/v3/checks/", body=json.dumps(members))
    (check,) = client_of("https://hc.example.com", "k" * 32, tries=1).list_checks()
    assert (check.uuid, check.raw) == ("u", members["checks"][0])
    assert (check.name, check.description) == ("?]0;x????m", "a\n\t?]0;x????m")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (redirects("http://[", 301), "redirects to http://[; redirects are not followed"),
        (redirects("http://a:b@c/\xff\xfe", 302), "redirects to http://c/"),
        (redirects(ESCAPE, 308), "redirects to ]0;x; redirects are not followed"),
        (redirects("x" * 9999, 307), f"redirects to {'x' * 200}; redirects are not followed"),
        (answers(409, f"{ESCAPE}no"), "]0;x no"),
        (answers(400, json.dumps({"error": f"{ESCAPE}no\ud800"})), "rejects the request: ]0;x no"),
    ],
)
def test_answers_that_are_not_printable(
    answer: Callable[[Exchange], None],
    text: str,
    client: HealthchecksClient,
    stub: HealthchecksStub,
) -> None:
    stub.fault = Fault(answer)
    assert message(client.list_checks).startswith(f"{stub.api_url}: {text}")


def test_a_key_goes_to_no_server_but_its_own(stub: HealthchecksStub) -> None:
    """Only a host that pings the hosted server asks it; test_from_settings."""
    own = {"HEALTHCHECKS_API_KEY": stub.api_key, "HEALTHCHECKS_PING_URL": f"{stub.ping_url}/"}
    stub.add_check("there")
    (check,) = HealthchecksClient(_settings=Settings(own, {})).list_checks()
    assert check.slug == "there"
