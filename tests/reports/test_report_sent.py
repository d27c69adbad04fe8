"""A report on its way: mail to a real SMTP server, a message to a webhook."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hcrun.reports.render import slack
from tests.servers.certificates import OPENSSL, Authority
from tests.servers.mail import MailSink, Webhook
from tests.servers.process import free_port
from tests.servers.stored import Flip
from tests.stub.healthchecks import HealthchecksStub
from tests.support.catalogs import write
from tests.support.command import run_hcctl
from tests.support.journals import Past
from tests.support.made_up import report

pytestmark = pytest.mark.slow

TO = "ops@example.com"
NEED_IT = "HEALTHCHECKS_EMAIL_USE_TLS and HEALTHCHECKS_EMAIL_HOST_USER need it"


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """A journal with one run, of yesterday."""
    Past(tmp_path).run("job", time.time() - 86400, 2.0, "fail", "exit status 1: <b>no</b> & never")
    return tmp_path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if not OPENSSL:
        pytest.skip("no openssl here")
    return Authority(tmp_path_factory.mktemp("mail") / "ca")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


def send(past: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a report that is sent."""
    done = run_hcctl(past, "report", "day", *arguments, env={"TZ": "UTC"} | env)
    return done.returncode, done.stdout, done.stderr


def mail(past: Path, sink: MailSink, *to: str, **more: str) -> tuple[int, str, str]:
    env = {
        "HEALTHCHECKS_EMAIL_HOST": "127.0.0.1",
        "HEALTHCHECKS_EMAIL_PORT": str(sink.port),
        "HEALTHCHECKS_EMAIL_USE_TLS": "False",
        "HEALTHCHECKS_DEFAULT_FROM_EMAIL": "Reports <reports@example.com>",
    }
    return send(past, "--mail", *to, **env | more)


def test_mail_has_text_and_the_page(past: Path) -> None:
    both = f"{TO}, b@example.com"
    with MailSink() as sink:
        assert mail(past, sink, both) == (0, f"sent to {both}\n", "")
    [message], [envelope] = sink.messages, sink.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("reports@example.com", [TO, "b@example.com"])
    assert message["From"] == "reports@example.com"
    subject = r"Checks, \d+ \w+ \d{4}: (1|no) (of 1 run failed|runs recorded)"
    assert re.fullmatch(subject, message["Subject"])
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"]
    assert message.get_content_type() == "multipart/alternative"
    words, page = message.iter_parts()
    assert words.get_content_type() == "text/plain"
    assert words.get_content().startswith("Report for ")
    assert page.get_content_type() == "text/html"
    assert page.get_content().startswith("<!doctype html>")


def test_mail_to_the_address_in_the_setting(past: Path) -> None:
    with MailSink() as sink:
        assert mail(past, sink, HEALTHCHECKS_REPORT_EMAIL=TO) == (0, f"sent to {TO}\n", "")
    assert sink.envelopes[0].rcpt_tos == [TO]


@pytest.mark.parametrize(
    ("tls", "flags"),
    [
        ("starttls", {"HEALTHCHECKS_EMAIL_USE_TLS": "True"}),
        ("tls", {"HEALTHCHECKS_EMAIL_USE_TLS": "False", "HEALTHCHECKS_EMAIL_USE_SSL": "True"}),
    ],
)
def test_mail_with_tls_and_a_password(
    past: Path, authority: Authority, tls: str, flags: dict[str, str]
) -> None:
    certificate = authority.issue(tls, "IP:127.0.0.1")
    secret = past / "password"
    secret.write_text(MailSink.password + "\n")
    with MailSink(tls, certificate, login=tls == "starttls") as sink:
        env = flags | {"SSL_CERT_FILE": str(authority.file)}
        if tls == "starttls":
            env |= {
                "HEALTHCHECKS_EMAIL_HOST_USER": sink.user,
                "HEALTHCHECKS_EMAIL_HOST_PASSWORD_FILE": str(secret),
            }
        assert mail(past, sink, TO, **env) == (0, f"sent to {TO}\n", "")
        assert sink.encrypted == [True]
        env |= {"SSL_CERT_FILE": "/etc/ssl/certs/none-of-them"}
        status, _, error = mail(past, sink, TO, **env)
        assert status == 1
        assert error.startswith(f"hcctl: 127.0.0.1:{sink.port}: untrusted certificate: ")
        assert len(sink.messages) == 1


def test_mail_with_a_wrong_password(past: Path, authority: Authority) -> None:
    with MailSink("starttls", authority.issue("login", "IP:127.0.0.1"), login=True) as sink:
        env = {"HEALTHCHECKS_EMAIL_USE_TLS": "True", "SSL_CERT_FILE": str(authority.file)}
        env |= {
            "HEALTHCHECKS_EMAIL_HOST_USER": sink.user,
            "HEALTHCHECKS_EMAIL_HOST_PASSWORD": "wr0ng-one",
        }
        error = (
            "did not accept HEALTHCHECKS_EMAIL_HOST_USER and its password (535); nothing was sent"
        )
        done = mail(past, sink, TO, **env)
        assert done == (1, "", f"hcctl: 127.0.0.1:{sink.port}: {error}\n")


@pytest.mark.parametrize(
    ("to", "starttls", "error"),
    [
        ("gone@example.com", "False", "refused gone@example.com; nothing was sent"),
        (f"gone@example.com,{TO}", "False", "refused gone@example.com; the others received it"),
        (TO, "True", f"STARTTLS extension not supported by server; {NEED_IT}; nothing was sent"),
    ],
)
def test_mail_that_is_refused(past: Path, to: str, starttls: str, error: str) -> None:
    with MailSink() as sink:
        sink.refused.add("gone@example.com")
        where = f"127.0.0.1:{sink.port}"
        done = mail(past, sink, to, HEALTHCHECKS_EMAIL_USE_TLS=starttls)
        assert done == (1, "", f"hcctl: {where}: {error}\n")
        assert len(sink.messages) == (1 if "," in to else 0)


def test_without_a_mail_server_slack_gets_the_report_nevertheless(
    past: Path, hook: Webhook
) -> None:
    port = free_port()
    env = {
        "HEALTHCHECKS_EMAIL_HOST": "127.0.0.1",
        "HEALTHCHECKS_EMAIL_PORT": str(port),
        "HEALTHCHECKS_DEFAULT_FROM_EMAIL": "a@b.example",
    }
    assert send(past, "--mail", TO, "--slack", HEALTHCHECKS_SLACK_WEBHOOK=hook.url, **env) == (
        1,
        "sent to Slack\n",
        f"hcctl: 127.0.0.1:{port}: cannot connect: Connection refused; nothing was sent\n",
    )
    assert len(hook.kept) == 1


@pytest.mark.parametrize(
    ("arguments", "env", "error"),
    [
        ("--mail", {}, "HEALTHCHECKS_REPORT_EMAIL: not set; set it, or give --mail TO"),
        ("--mail ops", {}, "--mail: 'ops' is not a mail address; write it like a@example.com"),
        ("--mail @b.example", {}, "--mail: '@b.example' is not a mail address; "),
        ("--mail a@b.example\nBcc:x@y.example", {}, "--mail: 'a@b.example\\nBcc:"),
        (
            f"--mail {TO}",
            {"HEALTHCHECKS_EMAIL_HOST": ""},
            "HEALTHCHECKS_EMAIL_HOST: not set; --mail needs it",
        ),
        (
            f"--mail {TO}",
            {"HEALTHCHECKS_EMAIL_USE_SSL": "True", "HEALTHCHECKS_EMAIL_USE_TLS": "True"},
            "HEALTHCHECKS_EMAIL_USE_TLS: true, and HEALTHCHECKS_EMAIL_USE_SSL as well; set only",
        ),
        (
            f"--mail {TO}",
            {"HEALTHCHECKS_EMAIL_PORT": "smtp"},
            "HEALTHCHECKS_EMAIL_PORT: 'smtp' is not a whole number",
        ),
        (
            f"--mail {TO}",
            {"HEALTHCHECKS_DEFAULT_FROM_EMAIL": "x"},
            "HEALTHCHECKS_DEFAULT_FROM_EMAIL: 'x' is not a mail ",
        ),
        (
            "--slack",
            {},
            "HEALTHCHECKS_SLACK_WEBHOOK: not set; --slack needs it; set HEALTHCHECKS_SLACK_",
        ),
        (
            "--slack",
            {"HEALTHCHECKS_SLACK_WEBHOOK": "hooks.example"},
            "HEALTHCHECKS_SLACK_WEBHOOK: not a URL; ",
        ),
        (
            "--slack",
            {"HEALTHCHECKS_SLACK_WEBHOOK_FILE": "/none"},
            "HEALTHCHECKS_SLACK_WEBHOOK_FILE: /none: No such",
        ),
    ],
)
def test_wrong_settings_are_reported_first(
    past: Path, arguments: str, env: dict[str, str], error: str
) -> None:
    given = {
        "HEALTHCHECKS_EMAIL_HOST": "127.0.0.1",
        "HEALTHCHECKS_DEFAULT_FROM_EMAIL": "a@b.example",
    } | env
    status, printed, errors = send(past, *arguments.split(" "), **given)
    assert status in (1, 2)
    assert printed == ""
    assert errors.startswith(f"hcctl: {error}")
    assert "hooks.example" not in errors


# Slack


def test_slack_gets_a_summary(past: Path, hook: Webhook) -> None:
    secret = past / "webhook"
    secret.write_text(hook.url)
    done = send(past, "--slack", HEALTHCHECKS_SLACK_WEBHOOK_FILE=str(secret))
    assert done == (0, "sent to Slack\n", "")
    [kept] = map(json.loads, (post.body for post in hook.kept))
    assert list(kept) == ["text"]
    assert re.match(r"\*Checks, \d+.* \d{4}\* \(UTC\)\n• ", kept["text"])


@pytest.mark.usefixtures("utc")
def test_slack_lists_missed_slos_warnings_and_failures() -> None:
    message = slack.text(report())
    head = "*Checks, 9-15 Nov 2026* (UTC)\n• 3 of 8 SLOs met.\n• 24 h 54 min down in 10 outages.\n"
    assert message.startswith(head)
    assert "\n*To look at*\n• `api`: SLO missed: 99.9 % up, was 99.81 %\n" in message
    assert "\n• `celery-worker`: flapping: 6 outages\n" in message
    assert "HTTP 503 from &lt;auth.example.com&gt; &amp; no more tries" in message
    assert len(message) < 3500


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(404, b"no_service", "answered 404 no_service"), (302, b"", "answered 302")],
)
def test_slack_that_refuses(
    past: Path, hook: Webhook, status: int, body: bytes, error: str
) -> None:
    hook.status, hook.body = status, body
    hint = "nothing was sent; check that the webhook still exists"
    done = send(past, "--slack", HEALTHCHECKS_SLACK_WEBHOOK=hook.url)
    assert done == (1, "", f"hcctl: HEALTHCHECKS_SLACK_WEBHOOK: {error}; {hint}\n")


def test_slack_that_cannot_be_reached(past: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/services/s3cret"
    error = "cannot connect (ConnectionError); nothing was sent"
    done = send(past, "--slack", HEALTHCHECKS_SLACK_WEBHOOK=url)
    assert done == (1, "", f"hcctl: HEALTHCHECKS_SLACK_WEBHOOK: {error}\n")


# A mail that is not cut


@pytest.mark.parametrize(("checks", "pictures"), [(1, True), (30, False), (300, False)])
def test_mail_is_below_100_kb(
    tmp_path: Path, stub: HealthchecksStub, checks: int, pictures: bool
) -> None:
    """However many checks there are, and however much there is to say about each of them."""
    name = "n" * 80
    for n in range(checks):
        check = stub.add_check(f"{name}-{n:03}", tags="t" * 100)
        day = time.time() - 86400
        check.flips = [Flip("up", day - 86400 * 20), Flip("down", day - 3600), Flip("up", day)]
    slo = 'every = "1m"\nslo = { availability = 99.9 }'
    path = write(tmp_path, **{f"{name}-{n:03}": slo for n in range(checks)})
    env = {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_READ_KEY": stub.read_key}
    with MailSink() as sink:
        done = mail(tmp_path, sink, TO, "--catalog", path, **env)
        assert done == (0, f"sent to {TO}\n", "")
    [envelope], [message] = sink.envelopes, sink.messages
    assert len(envelope.original_content or b"") < 100_000
    words, page = (part.get_content() for part in message.iter_parts())
    assert ("<svg" in page) is pictures
    assert page.index("To look at") < page.index("Availability")
    for text in (words, page):
        assert f"{name}-000" in text
        assert (re.search(r"Availability, \d+ of 300", text) is not None) is (checks == 300)
