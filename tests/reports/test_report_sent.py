"""A report on its way: mail to a real SMTP server, a message to a webhook."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hcrun.reports.render import slack
from tests.servers.certificates import OPENSSL, Authority
from tests.servers.mail import MailSink, Webhook, free_port
from tests.support.command import run_hcctl
from tests.support.journals import Past
from tests.support.made_up import report

pytestmark = pytest.mark.slow

TO = "ops@example.com"


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


def settings(sink: MailSink, **more: str) -> dict[str, str]:
    return {
        "TZ": "UTC",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(sink.port),
        "EMAIL_USE_TLS": "False",
        "DEFAULT_FROM_EMAIL": "Reports <reports@example.com>",
    } | more


def test_mail_has_text_and_the_page(past: Path) -> None:
    with MailSink() as sink:
        done = run_hcctl(
            past, "report", "day", "--mail", f"{TO}, b@example.com", env=settings(sink)
        )
    assert (done.returncode, done.stdout, done.stderr) == (
        *(0, f"sent to {TO}, b@example.com\n", ""),
    )
    [mail], [envelope] = sink.messages, sink.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("reports@example.com", [TO, "b@example.com"])
    assert mail["From"] == "reports@example.com"
    assert re.fullmatch(
        r"Checks, \d+ \w+ \d{4}: (1|no) (of 1 run failed|runs recorded)", mail["Subject"]
    )
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@example.com>")
    assert mail["Date"]
    assert mail.get_content_type() == "multipart/alternative"
    words, page = mail.iter_parts()
    assert words.get_content_type() == "text/plain"
    assert words.get_content().startswith("Report for ")
    assert page.get_content_type() == "text/html"
    assert page.get_content().startswith("<!doctype html>")


def test_mail_to_whom_the_setting_says(past: Path) -> None:
    with MailSink() as sink:
        env = settings(sink, HEALTHCHECKS_REPORT_EMAIL=TO)
        done = run_hcctl(past, "report", "week", "--mail", env=env)
    assert (done.returncode, done.stdout) == (0, f"sent to {TO}\n")
    assert sink.envelopes[0].rcpt_tos == [TO]


@pytest.mark.parametrize(
    ("tls", "flags"),
    [
        ("starttls", {"EMAIL_USE_TLS": "True"}),
        ("tls", {"EMAIL_USE_TLS": "False", "EMAIL_USE_SSL": "True"}),
    ],
)
def test_mail_with_tls_and_a_password(
    past: Path, authority: Authority, tls: str, flags: dict[str, str]
) -> None:
    certificate = authority.issue(tls, "IP:127.0.0.1")
    secret = past / "password"
    secret.write_text(MailSink.password + "\n")
    with MailSink(tls, certificate, login=tls == "starttls") as sink:
        env = settings(sink, SSL_CERT_FILE=str(authority.file)) | flags
        if tls == "starttls":
            env |= {"EMAIL_HOST_USER": sink.user, "EMAIL_HOST_PASSWORD_FILE": str(secret)}
        done = run_hcctl(past, "report", "day", "--mail", TO, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert sink.encrypted == [True]

        env |= {"SSL_CERT_FILE": "/etc/ssl/certs/none-of-them"}
        done = run_hcctl(past, "report", "day", "--mail", TO, env=env)
        assert done.returncode == 1
        assert done.stderr.startswith(f"hcctl: 127.0.0.1:{sink.port}: untrusted certificate: ")
        assert len(sink.messages) == 1


def test_mail_with_a_wrong_password(past: Path, authority: Authority) -> None:
    certificate = authority.issue("login", "IP:127.0.0.1")
    with MailSink("starttls", certificate, login=True) as sink:
        env = settings(sink, EMAIL_USE_TLS="True", SSL_CERT_FILE=str(authority.file))
        env |= {"EMAIL_HOST_USER": sink.user, "EMAIL_HOST_PASSWORD": "wr0ng-one"}
        done = run_hcctl(past, "report", "day", "--mail", TO, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"hcctl: 127.0.0.1:{sink.port}: did not accept EMAIL_HOST_USER and its password (535);"
        " nothing was sent\n"
    )


def test_mail_that_is_refused(past: Path) -> None:
    with MailSink() as sink:
        sink.refused.add("gone@example.com")
        done = run_hcctl(past, "report", "day", "--mail", "gone@example.com", env=settings(sink))
        assert (done.returncode, done.stderr) == (
            1,
            f"hcctl: 127.0.0.1:{sink.port}: refused gone@example.com; nothing was sent\n",
        )
        both = f"gone@example.com,{TO}"
        done = run_hcctl(past, "report", "day", "--mail", both, env=settings(sink))
        assert (done.returncode, done.stderr) == (
            1,
            f"hcctl: 127.0.0.1:{sink.port}: refused gone@example.com; the others received it\n",
        )
        assert len(sink.messages) == 1
        env = settings(sink, EMAIL_USE_TLS="True")
        done = run_hcctl(past, "report", "day", "--mail", TO, env=env)
        assert done.returncode == 1
        assert done.stderr == (
            f"hcctl: 127.0.0.1:{sink.port}: STARTTLS extension not supported by server;"
            " EMAIL_USE_TLS and EMAIL_HOST_USER need it; nothing was sent\n"
        )


def test_no_mail_server_is_there_and_slack_gets_it_all_the_same(past: Path, hook: Webhook) -> None:
    port = free_port()
    env = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(port), "DEFAULT_FROM_EMAIL": "a@b.example"}
    env |= {"SLACK_WEBHOOK_URL": hook.url}
    done = run_hcctl(past, "report", "day", "--mail", TO, "--slack", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (
        *(1, "sent to Slack\n"),
        f"hcctl: 127.0.0.1:{port}: cannot connect: Connection refused; nothing was sent\n",
    )
    assert len(hook.kept) == 1


@pytest.mark.parametrize(
    ("arguments", "env", "error"),
    [
        (["--mail"], {}, "HEALTHCHECKS_REPORT_EMAIL: not set; set it, or give --mail TO"),
        (["--mail", "ops"], {}, "--mail: 'ops' is not a mail address; write it like a@example.com"),
        (["--mail", "@b.example"], {}, "--mail: '@b.example' is not a mail address; "),
        (["--mail", "a@b.example\nBcc: x@y.example"], {}, "--mail: 'a@b.example\\nBcc: "),
        (["--mail", TO], {"EMAIL_HOST": ""}, "EMAIL_HOST: not set; --mail needs it"),
        (
            ["--mail", TO],
            {"EMAIL_USE_SSL": "True", "EMAIL_USE_TLS": "True"},
            "EMAIL_USE_TLS: true, and EMAIL_USE_SSL as well; set only one of",
        ),
        (["--mail", TO], {"EMAIL_PORT": "smtp"}, "EMAIL_PORT: 'smtp' is not a whole number"),
        (
            ["--mail", TO],
            {"DEFAULT_FROM_EMAIL": "x"},
            "DEFAULT_FROM_EMAIL: 'x' is not a mail address",
        ),
        (["--slack"], {}, "SLACK_WEBHOOK_URL: not set; "),
        (["--slack"], {"SLACK_WEBHOOK_URL": "hooks.example"}, "SLACK_WEBHOOK_URL: not a URL; "),
        (
            ["--slack"],
            {"SLACK_WEBHOOK_URL_FILE": "/none"},
            "SLACK_WEBHOOK_URL_FILE: /none: No such",
        ),
    ],
)
def test_wrong_settings_are_said_before_anything_else(
    past: Path, arguments: list[str], env: dict[str, str], error: str
) -> None:
    given = {"EMAIL_HOST": "127.0.0.1", "DEFAULT_FROM_EMAIL": "a@b.example"} | env
    done = run_hcctl(past, "report", "day", *arguments, env=given)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith(f"hcctl: {error}")
    assert "hooks.example" not in done.stderr


# Slack


def test_slack_gets_what_matters(past: Path, hook: Webhook) -> None:
    secret = past / "webhook"
    secret.write_text(hook.url)
    env = {"SLACK_WEBHOOK_URL_FILE": str(secret), "TZ": "UTC"}
    done = run_hcctl(past, "report", "week", "--slack", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sent to Slack\n", "")
    [kept] = hook.kept
    assert list(kept) == ["text"]
    assert re.match(r"\*Checks, \d+.* \d{4}\* \(UTC\)\n• ", kept["text"])


def test_slack_says_missed_slos_warnings_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    told = slack.text(report())
    assert told.splitlines()[:3] == [
        *("*Checks, 9-15 Nov 2026* (UTC)", "• 3 of 8 SLOs met."),
        "• 1,494 min down in 10 outages.",
    ]
    assert (
        "\n*SLOs missed*\n• `api`: 99.9 % up, was 99.81 %; 28 % of the error budget left\n" in told
    )
    assert "\n• `celery-worker`: flapping: 6 outages\n" in told
    assert "HTTP 503 from &lt;auth.example.com&gt; &amp; no more tries" in told
    assert len(told) < 3500


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(404, "no_service", "answered 404 no_service"), (302, "", "answered 302")],
)
def test_slack_that_refuses(past: Path, hook: Webhook, status: int, body: str, error: str) -> None:
    hook.status, hook.body = status, body
    done = run_hcctl(past, "report", "day", "--slack", env={"SLACK_WEBHOOK_URL": hook.url})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"hcctl: SLACK_WEBHOOK_URL: {error};"
        " nothing was sent; check that the webhook still exists\n"
    )


def test_slack_that_is_not_there(past: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/services/s3cret"
    done = run_hcctl(past, "report", "day", "--slack", env={"SLACK_WEBHOOK_URL": url})
    assert (done.returncode, done.stderr) == (
        1,
        "hcctl: SLACK_WEBHOOK_URL: cannot connect (ConnectionError); nothing was sent\n",
    )
