"""Alerts of a real Healthchecks server, received by a mail server and by a webhook of the test.

The server needs EMAIL_HOST=127.0.0.1, EMAIL_USE_TLS=False, INTEGRATIONS_ALLOW_PRIVATE_IPS=True and
no TWILIO_*. The tests delete the channels and checks that they make, and its reminders stay hourly.
"""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import requests

from hcrun.api.models import Check as RemoteCheck
from tests.servers.mail import MailSink, Webhook
from tests.servers.process import Command
from tests.support.catalogs import write
from tests.support.client import client_of
from tests.support.command import run_hcctl, wait_until
from tests.support.real import setting, settings

pytestmark = pytest.mark.real("HC_REAL_MANAGE", "HC_REAL_SMTP_PORT", "HC_REAL_DATABASE_URL")


def manage(*arguments: str) -> str:
    command = [*shlex.split(setting("MANAGE")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


class Alerts:
    """A catalogue with an e-mail channel of two addresses, a webhook and a call."""

    def __init__(self, tmp_path: Path, mail: MailSink, webhook: Webhook) -> None:
        self.tmp_path, self.mail, self.webhook = tmp_path, mail, webhook
        self.name = f"real-{uuid4().hex[:8]}"
        self.to = [f"{one}@{self.name}.example.org" for one in ("a", "b")]
        self.client = client_of(setting("API_URL"), setting("API_KEY"))
        channels = {
            "mail": f'kind = "email"\naddress = "{", ".join(self.to)}"',
            "hook": f'kind = "webhook"\nurl = "{webhook.url}"\nbody = "$NAME is $STATUS"',
            "call": 'kind = "call"\nnumber = "+37120000000"',
        }
        head = "".join(f"[channels.{self.name}-{n}]\n{text}\n" for n, text in channels.items())
        check = f'every = "1d"\nchannels = ["{self.name}-mail", "{self.name}-hook"]'
        self.catalog = write(tmp_path, head=head, **{self.name: check})
        self.env = settings() | {"HEALTHCHECKS_MANAGE": setting("MANAGE")}

    def hcctl(self, *arguments: str) -> tuple[int, list[str]]:
        done = run_hcctl(self.tmp_path, *arguments, env=self.env)
        return done.returncode, done.stdout.splitlines()

    def received(self) -> set[tuple[str, str]]:
        """Recipient and subject of each mail."""
        pairs = zip(self.mail.envelopes, self.mail.messages, strict=False)
        return {(one.rcpt_tos[0], str(message["Subject"])) for one, message in pairs}

    def check(self) -> RemoteCheck:
        assert self.hcctl("sync", "--catalog", self.catalog)[0] == 0
        check = self.client.get_check(self.name)
        assert check
        return check


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    port = int(setting("SMTP_PORT"))
    with MailSink(port=port) as mail, Webhook() as webhook:
        made = Alerts(tmp_path_factory.mktemp("alerts"), mail, webhook)
        code = "from hc.accounts.models import *; Profile.objects.update(nag_period=NO_NAG)"
        manage("shell", "-v", "0", "-c", code)
        status, lines = made.hcctl("channels", "bootstrap", "--run", "--catalog", made.catalog)
        refused = "first set TWILIO_ACCOUNT, TWILIO_AUTH, TWILIO_FROM on the server"
        assert (status, lines[:-1]) == (
            1,
            [
                f"{made.name}-mail (email): created",
                f"{made.name}-mail ({made.to[1]}) (email): created",
                f"{made.name}-hook (webhook): created",
                f"{made.name}-call (call): refused: {refused}",
            ],
        )
        try:
            yield made
        finally:
            for check in made.client.list_checks():
                if check.slug == made.name:
                    made.client.delete_check(check.uuid)
            code = "from hc.api.models import Channel; Channel.objects"
            manage(
                "shell", "-v", "0", "-c", f"{code}.filter(name__startswith='{made.name}').delete()"
            )


def test_a_test_alert_arrives_through_each_channel(alerts: Alerts) -> None:
    names = [f"{alerts.name}-mail", f"{alerts.name}-mail ({alerts.to[1]})", f"{alerts.name}-hook"]
    kinds = ["email", "email", "webhook"]
    before = alerts.client.list_checks()
    status, lines = alerts.hcctl("channels", "test", *names)
    expected = [f"{name} ({kind}): sent" for name, kind in zip(names, kinds, strict=True)]
    assert (status, lines) == (0, expected)
    assert alerts.received() >= {
        (to, f"{state} | TEST of {name}")
        for to, name in zip(alerts.to, names, strict=False)
        for state in ("DOWN", "UP")
    }
    bodies = [post.body.decode() for post in alerts.webhook.kept[-2:]]
    assert bodies == [f"TEST of {names[2]} is {state}" for state in ("down", "up")]
    assert alerts.client.list_checks() == before
    _, lines = alerts.hcctl("channels", "--json", "--catalog", alerts.catalog)
    mail, hook, call = json.loads("\n".join(lines))
    assert [one["state"] for one in (mail, hook, call)] == ["there", "there", "missing"]
    assert min(mail["sent"], hook["sent"]) > "2026"
    assert max(mail["sent"], hook["sent"]) < "never"


def test_a_channel_that_fails(alerts: Alerts) -> None:
    alerts.webhook.status = 404
    status, lines = alerts.hcctl("channels", "test", f"{alerts.name}-hook")
    failed = "failed: Received status code 404"
    assert (status, lines) == (1, [f"{alerts.name}-hook (webhook): {failed}"])
    _, lines = alerts.hcctl("doctor", "--json")
    found = json.loads("\n".join(lines))["findings"]
    whats = [one["what"] for one in found if one["severity"] == "error"]
    assert f"channel {alerts.name}-hook {failed}" in whats
    alerts.webhook.status = 200
    assert alerts.hcctl("channels", "test", f"{alerts.name}-hook")[0] == 0


def test_a_failure_reaches_each_address_and_is_repeated(alerts: Alerts) -> None:
    """The reminder goes to the account, hourly; the test turns its clock on."""
    check = alerts.check()
    assert len(check.channels) == 3
    requests.post(f"{check.ping_url}/fail", timeout=10).raise_for_status()
    down = {(to, f"DOWN | {alerts.name}") for to in alerts.to}
    wait_until(lambda: down <= alerts.received(), "both addresses got the alert")
    wait_until(lambda: len(alerts.webhook.kept) > 4, "and the webhook")
    plain = [message.get_body(("plain",)) for message in alerts.mail.messages]
    texts = [text.get_content() for text in plain if text]
    assert any("Runbook: hcctl docs runbook job" in text.splitlines() for text in texts)
    code = "from hc.accounts.models import *; from hc.api.models import *; from datetime import *; "
    code += f"p = Profile.objects.get(user=Check.objects.get(slug='{alerts.name}').project.owner); "
    code += "print(p.nag_period, p.next_nag_date is not None); "
    code += "p.next_nag_date = datetime.now(UTC) - timedelta(1); p.save(); print(p.user.email)"
    period, owner = manage("shell", "-v", "0", "-c", code).splitlines()[-2:]
    assert period == "1:00:00 True"
    manage("sendreports")
    subjects = {subject for to, subject in alerts.received() if to == owner}
    assert any(subject.startswith("Reminder: ") for subject in subjects), subjects
    requests.post(check.ping_url, timeout=10).raise_for_status()


def test_flips_that_nobody_sends(alerts: Alerts, tmp_path: Path) -> None:
    """The test holds a lock that sendalerts needs."""
    check = alerts.check()
    unsent = "SELECT f.id FROM api_flip f JOIN api_check c ON c.id = f.owner_id WHERE c.code = %s"
    with psycopg.connect(setting("DATABASE_URL")) as database:
        for action in ("/fail", "", "/fail", "", "/fail"):
            requests.post(check.ping_url + action, timeout=10).raise_for_status()
            query = f"{unsent} AND f.processed IS NULL FOR UPDATE OF f SKIP LOCKED"
            if database.execute(query, (check.uuid,)).fetchall():
                break
            database.rollback()
        probe = Command("probe-healthchecks", tmp_path)
        probe.environ |= alerts.env
        probe.environ["STATE_DIRECTORY"] = str(tmp_path)
        ran = probe()
        assert (ran.status, "unsent=0s;10;60;0" in ran.line) == (0, True)
        ran = probe("--unsent-critical", "0.01s")
        assert (ran.status, " without a notification for " in ran.line) == (2, True)
    down = {(to, f"DOWN | {alerts.name}") for to in alerts.to}
    wait_until(lambda: down <= alerts.received(), "it is sent after all")
    requests.post(check.ping_url, timeout=10).raise_for_status()
