"""--create, --period and --grace: what a new check expects; and hcctl set."""

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcctl
from tests.support.host import Host

DEFAULTS = "created the check new with a period of 1 day and a grace time of 1 hour"


def key_of(stub: HealthchecksStub) -> dict[str, str]:
    return {"HEALTHCHECKS_PING_KEY": stub.ping_key}


def api_of(stub: HealthchecksStub) -> dict[str, str]:
    api = {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_API_KEY": stub.api_key}
    return key_of(stub) | api


@pytest.mark.parametrize("options", [(), ("--no-start",)])
def test_a_new_check_says_what_it_got(options: tuple[str, ...], host: Host) -> None:
    """Once: at the ping that creates it."""
    argv = ("--create", *options, "New", "--", "sh", "-c", "exit 3")
    done = host.run(*argv, **key_of(host.stub))
    change = "to change them, run hcctl set new --period 1d --grace 1h"
    assert (done.returncode, done.stderr.decode()) == (3, f"hcrun: {DEFAULTS}; {change}\n")
    check = host.stub.by_slug("new")
    assert (check.timeout, check.grace) == (86400, 3600)
    assert host.run(*argv, **key_of(host.stub)).stderr == b""
    words = change.partition("hcctl ")[2].replace("1d", "90m").split()
    changed = run_hcctl(host.path, *words, stub=host.stub)
    assert (changed.returncode, changed.stdout) == (0, "new: period 1 h 30 min, grace 1 h\n")
    assert (check.timeout, check.grace) == (5400, 3600)


def test_period_and_grace(host: Host) -> None:
    argv = ("--create", "--period", "10m", "--grace=90", "new", "--", "true")
    assert host.run(*argv, **api_of(host.stub)).stderr == b""
    check = host.stub.by_slug("new")
    assert (check.timeout, check.grace, len(check.pings)) == (600, 90, 2)
    run_hcctl(host.path, "set", "new", "--grace", "2m", stub=host.stub)
    done = host.run(*argv, **api_of(host.stub))
    assert (done.stderr, check.timeout, check.grace) == (b"", 600, 120)


def test_without_an_api_key(host: Host) -> None:
    done = host.run("--create", "--period", "10m", "new", "--", "true", **key_of(host.stub))
    assert done.returncode == 0
    assert done.stderr.decode() == (
        f"hcrun: {DEFAULTS}: hcctl: HEALTHCHECKS_API_KEY: no API key is set; set it or"
        " HEALTHCHECKS_API_KEY_FILE; then run hcctl set new --period=600s\n"
    )
    assert len(host.stub.by_slug("new").pings) == 2


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("set job", 2, "nothing to set; give --period, --grace or --like"),
        ("set job --grace 59s", 2, "give 1m to 365d"),
        ("set job --grace 366d", 2, "give 1m to 365d"),
        ("set job --grace 1h --like job", 2, "--like sets period and grace time, too; leave"),
        ("set new --grace 1h --create", 2, "--create needs --like; add --like CHECK"),
        ("set new --like absent --create", 1, "the server has no check named absent; hcctl"),
        ("set new --like job", 1, "the server has no check named new; hcctl status lists"),
        ("set absent --grace 1h", 1, "the server has no check named absent; hcctl status lists"),
        ("set job --period 1h", 1, "job has the schedule '5 4 * * *', not a period; change it"),
    ],
)
def test_what_set_refuses(words: str, status: int, message: str, host: Host) -> None:
    check = host.stub.add_check(slug="job", schedule="5 4 * * *", grace=600)
    done = run_hcctl(host.path, *words.split(), stub=host.stub)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    done = run_hcctl(host.path, "set", "job", "--grace", "1h", stub=host.stub)
    assert (done.returncode, done.stdout) == (0, "job: 5 4 * * *, grace 1 h\n")
    assert (check.schedule, check.grace) == ("5 4 * * *", 3600)


def test_like_another(host: Host) -> None:
    """Existing checks are changed, missing ones created; none becomes one of sync's own."""
    mail = host.stub.add_channel("mail")
    host.stub.add_channel("phone", "call")
    tags = "tier:4 managed:hcrun tenants"
    host.stub.add_check(slug="model", timeout=1800, grace=600, tags=tags, channels={mail.id})
    old = host.stub.add_check(slug="tenant-a", timeout=86400)
    words = ("set", "tenant-a", "tenant-b", "--like", "model")
    assert run_hcctl(host.path, *words, stub=host.stub).returncode == 1
    assert old.timeout == 86400
    done = run_hcctl(host.path, *words, "--create", stub=host.stub)
    assert done.stdout.splitlines() == [
        "tenant-a: period 30 min, grace 10 min",
        "tenant-b: period 30 min, grace 10 min",
    ]
    for check in (old, host.stub.by_slug("tenant-b")):
        assert (check.timeout, check.grace, check.channels) == (1800, 600, {mail.id})
        assert check.tags == "tier:4 tenants"


def test_only_for_a_new_check(host: Host) -> None:
    for option in ("--period", "--grace"):
        done = host.run(option, "1h", "new", "--", "true")
        assert (done.returncode, host.stub.requests) == (125, [])
        assert done.stderr == b"hcrun: --period and --grace are for a new check; add --create\n"
