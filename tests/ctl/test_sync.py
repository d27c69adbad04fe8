"""`hcctl sync`: what it prints, what the server has afterwards, and what it asks of the server."""

import json
import os
import stat
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from hcrun.catalog import MARKER
from tests.stub.healthchecks import (
    Check,
    Exchange,
    Fault,
    HealthchecksStub,
    answers,
    hangs,
    hangs_up,
)
from tests.support.catalogs import CHANNELS, write
from tests.support.client import client_of
from tests.support.command import (
    HCCTL,
    PATIENCE,
    hcctl_environment,
    run_hcctl,
    run_hcrun,
    wait_until,
)
from tests.support.journals import Past
from tests.support.ptydriver import Terminal
from tests.support.real import setting, settings

pytestmark = pytest.mark.slow

ONCE = {"HEALTHCHECKS_RETRY_COUNT": "1"}
WITH_CHANNELS = f'{CHANNELS}[tiers.1]\nchannels = ["email", "slack"]\n[defaults]\ntier = "1"\n'
OWN = "Runbook: hcctl docs runbook job"  # of a check that has no other description
Sync = Callable[..., tuple[int, str, str]]


class Nth(Fault):
    """Strikes the nth request from now on, and no other."""

    def __init__(self, n: int, answer: Callable[[Exchange], None], accepted: bool = False) -> None:
        super().__init__(answer, accepted=accepted)
        self.left = n

    def take(self, target: str | None) -> bool:
        if target is None:
            return False
        self.left -= 1
        return self.left == 0


@pytest.fixture
def sync(tmp_path: Path, stub: HealthchecksStub) -> Sync:
    """Exit status, stdout up to the next steps, and stderr of `hcctl sync` in tmp_path."""

    def run(*arguments: str, **env: str) -> tuple[int, str, str]:
        path = str(tmp_path / "checks.toml")
        done = run_hcctl(tmp_path, "sync", "--catalog", path, *arguments, stub=stub, env=ONCE | env)
        return done.returncode, done.stdout.partition("next steps:\n")[0], done.stderr

    return run


def failed(err: str) -> list[str]:
    """The slugs of each line about a failure."""
    lines = [line.removeprefix("failed   ") for line in err.splitlines()[:-1]]
    return [line.partition(":")[0] for line in lines]


def asked(stub: HealthchecksStub) -> list[str]:
    """What was asked of the server since the last look."""
    seen = [f"{r.method} {r.path.removeprefix('/api/v3/')}" for r in stub.requests]
    stub.requests.clear()
    return seen


def test_from_nothing_to_all_and_then_nothing(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    more = 'name = "Nightly"\ncron = "0 3 * * *"\nzone = "Europe/Kiev"\ntags = ["db"]\ngrace = "1h"'
    write(tmp_path, "redis", nightly=more)
    plan = (
        "create   redis: grace 10 min, channels none, every 5 min\n"
        "create   nightly: grace 1 h, channels none, schedule 0 3 * * *, zone Europe/Kiev\n"
    )
    assert sync("--plan") == (2, f"{plan}2 to create, 0 unchanged (1 call)\n", "")
    assert stub.checks == []
    assert not (tmp_path / "state").exists()
    done = plan.replace("create ", "created")
    assert sync() == (0, f"{done}2 created, 0 unchanged (4 calls)\n", "")
    redis, nightly = stub.checks
    assert (redis.slug, redis.name, redis.timeout, redis.grace) == ("redis", "redis", 300, 600)
    assert (nightly.slug, nightly.name, nightly.tags) == ("nightly", "Nightly", f"db {MARKER}")
    # The server gave it its new name: no reason to send the old one again.
    assert (nightly.schedule, nightly.tz) == ("0 3 * * *", "Europe/Kyiv")
    nightly.tags = f"{MARKER}  db"
    asked(stub)
    assert sync("--dry-run") == (0, "2 unchanged (1 call)\n", "")
    assert sync() == (0, "2 unchanged (1 call)\n", "")
    assert asked(stub) == ["GET checks/"] * 2


def test_what_people_changed_is_put_right_and_the_rest_is_theirs(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    write(tmp_path, "redis", "api")
    sync()
    redis, api = stub.checks
    redis.name, redis.methods, redis.grace = "Old", "POST", 90
    api.pause()
    api.desc, api.manual_resume = "notes", True
    asked(stub)
    assert sync("--plan")[0] == 2
    expected = (
        "updated  redis: name Old -> redis, grace 1 min 30 s -> 10 min\n"
        f"updated  api: description notes -> {OWN}\n"
        "2 updated, 0 unchanged (3 calls)\n"
    )
    assert sync()[:2] == (0, expected)
    sent = [json.loads(r.body) for r in stub.requests if r.method == "POST"]
    assert sent == [{"name": "redis", "grace": 600}, {"desc": OWN}]
    assert (redis.name, redis.grace, redis.methods) == ("redis", 600, "POST")
    assert (api.status, api.desc, api.manual_resume) == ("paused", OWN, True)


def test_a_check_with_the_slug_is_adopted(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    there = stub.add_check("redis", name="redis", tags="mine", desc=OWN, timeout=300, grace=600)
    uuid = there.uuid
    write(tmp_path, "redis")
    adopted = f"adopted  redis: tags mine -> {MARKER}\n1 adopted, 0 unchanged (2 calls)\n"
    assert sync() == (0, adopted, "")
    assert [(check.uuid, check.tags) for check in stub.checks] == [(uuid, MARKER)]
    assert sync() == (0, "1 unchanged (1 call)\n", "")


def test_prune_deletes_what_sync_made_and_nothing_else(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    write(tmp_path, "kept", "gone", "gone-too")
    sync()
    stub.add_check("by-hand", tags="mine")
    write(tmp_path, "kept")
    extra = (
        "extra    gone: no longer in the catalogue; --prune deletes it\n"
        "extra    gone-too: no longer in the catalogue; --prune deletes it\n"
    )
    assert sync() == (0, f"{extra}1 unchanged (1 call)\n", "")
    plan = "delete   gone\ndelete   gone-too\n2 to delete, 1 unchanged (1 call)\n"
    assert sync("--plan", "--prune") == (2, plan, "")
    names = "gone, gone-too with its history"
    expected = f"hcctl: not a terminal: add --yes to delete {names} without asking\n"
    assert sync("--prune") == (2, "", expected)
    assert [check.slug for check in stub.checks] == ["kept", "gone", "gone-too", "by-hand"]
    status, out, _ = sync("--prune", "--yes")
    assert (status, out.splitlines()[-1]) == (0, "2 deleted, 1 unchanged (3 calls)")
    assert [check.slug for check in stub.checks] == ["kept", "by-hand"]
    assert sync("--prune") == (0, "1 unchanged (1 call)\n", "")
    for number in range(1000):
        stub.add_check(f"old-{number:03}", tags=MARKER)
    # However it is asked: a catalogue that was emptied by mistake must not delete them all.
    refusal = (
        "--prune would delete 1000 checks, more than 10: old-000, old-001, old-002, old-003,"
        " old-004 and 995 more; if that is right, add --prune-max 1000"
    )
    expected = f"hcctl: {refusal}. Nothing was changed\n"
    assert sync("--prune", "--yes") == (1, "", expected)
    status, _, err = sync("--prune", "--plan")
    assert (status, err) == (2, f"hcctl: sync would refuse this: {refusal}\n")
    del stub.checks[-990:]
    status, out, _ = sync("--prune", "--yes", "--prune-max", "9")
    assert (status, len(stub.checks)) == (1, 12)
    assert sync("--prune", "--yes")[1].endswith("10 deleted, 1 unchanged (11 calls)\n")


def test_some_checks_only(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, one='every = "5m"\ntags = ["x"]', two='every = "5m"')
    assert sync("--tag", "x")[0] == 0
    assert [check.slug for check in stub.checks] == ["one"]
    stub.add_check("two", tags=MARKER)
    # It is in the catalogue, if not among those that were chosen.
    assert sync("--tag", "x", "--prune", "--yes") == (0, "1 unchanged (1 call)\n", "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--environment", "prodution"],
            "--environment: 'prodution' is not in the catalogue; did you mean \"production\"?",
        ),
        (["--tier", "1", "--tier", "9"], "--tier: '9' is not in the catalogue; it has 1, 2"),
        (
            ["--tag", "y"],
            "--tag: 'y' is not in the catalogue; it has managed:hcrun, severity:info, tier:1, x",
        ),
    ],
)
def test_what_chooses_nothing_is_refused(
    arguments: list[str], why: str, tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    """To have done nothing would look as if all were well."""
    path = Path(write(tmp_path, one='every = "5m"\ntags = ["x"]\ntier = "1"'))
    path.write_text("[tiers.1]\n[tiers.2]\n[environments.production]\n" + path.read_text())
    assert sync(*arguments) == (2, "", f"hcctl: {why}\n")
    assert stub.requests == []


def at_terminal(tmp_path: Path, stub: HealthchecksStub, *arguments: str) -> Terminal:
    env = hcctl_environment(tmp_path, stub) | {"TERM": "xterm"}
    path = str(tmp_path / "checks.toml")
    return Terminal([HCCTL, "sync", "--catalog", path, *arguments], env)


def test_at_a_terminal_it_asks_and_shows_how_far_it_is(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    write(tmp_path, "kept", "gone")
    with at_terminal(tmp_path, stub) as terminal:
        terminal.read_until(r"hcctl sync  \[.*100%")
        terminal.read_until("2 created, 0 unchanged")
        assert terminal.wait() == 0
    write(tmp_path, "kept")
    for answer, left in (("n", 2), ("y", 1)):
        with at_terminal(tmp_path, stub, "--prune") as terminal:
            terminal.read_until(r"Delete gone with its history\? \[y/N\]: ")
            terminal.type(f"{answer}\n")
            assert terminal.wait() == (1 if answer == "n" else 0)
        assert len(stub.checks) == left


# Channels


def test_channels_go_by_name(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    email, slack = stub.add_channel("email"), stub.add_channel("slack", "slack")
    write(tmp_path, "redis", head=WITH_CHANNELS)
    expected = (
        "created  redis: grace 10 min, channels email slack, every 5 min\n"
        "1 created, 0 unchanged (4 calls)\n"
    )
    assert sync()[:2] == (0, expected)
    assert asked(stub) == ["GET checks/", "GET channels/", "POST checks/", "GET checks/"]
    assert stub.checks[0].channels == {email.id, slack.id}
    assert sync() == (0, "1 unchanged (1 call)\n", "")
    # Somebody makes the channel anew: it has another id, and the checks have lost it.
    stub.channels.remove(slack)
    stub.checks[0].channels = {email.id}
    again = stub.add_channel("slack", "slack")
    updated = "updated  redis: channels email -> email slack\n1 updated, 0 unchanged (3 calls)\n"
    assert sync() == (0, updated, "")
    assert stub.checks[0].channels == {email.id, again.id}


def test_a_channel_that_cannot_be_used(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    """A plan shows what it would be; sync makes no check whose alerts reach nobody."""
    stub.add_channel("email")
    write(tmp_path, "redis", head=WITH_CHANNELS)
    why = (
        "the server has no channel slack (slack); create it in the web interface, or with hcctl"
        ' channels bootstrap, or use channels = "*", all channels of the project'
    )
    created = "create   redis: grace 10 min, channels email slack, every 5 min\n"
    expected = f"{created}1 to create, 0 unchanged (2 calls)\n"
    assert sync("--plan") == (2, expected, f"hcctl: sync would refuse this: {why}\n")
    assert sync() == (1, "", f"hcctl: {why}. Nothing was changed\n")
    assert stub.checks == []


def test_all_channels_of_the_project(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    """What a new project has: its default channel, whose name the catalogue need not know."""
    head = '[tiers.1]\nchannels = "*"\n[defaults]\ntier = "1"\n'
    write(tmp_path, "redis", head=head)
    refusal = "the project has no channels, so alerts reach nobody; "
    assert sync("--plan")[2].startswith(f"hcctl: sync would refuse this: {refusal}")
    default = stub.add_channel("")
    status, out, err = sync("--plan")
    assert (status, out.splitlines()[-1], err) == (2, "1 to create, 0 unchanged (2 calls)", "")
    assert sync()[0] == 0
    assert stub.checks[0].channels == {default.id}
    assert sync()[1] == "1 unchanged (2 calls)\n"
    slack = stub.add_channel("slack", "slack")
    assert sync()[0] == 0
    assert stub.checks[0].channels == {default.id, slack.id}


# Adopting and renaming


def test_adopting_shows_every_value_that_is_lost(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    """Also the schedule of another kind, channels of other names, and all of a description."""
    pager = stub.add_channel("on call", "pd")
    text = "Call Ann.\nThen " + "look " * 40
    job = stub.add_check("job", name="Job", desc=text, schedule="0 3 * * *", tz="Europe/Riga")
    job.channels = {pager.id}
    stub.add_check("often", name="often", tags=MARKER, desc=OWN, timeout=7200, grace=600)
    write(tmp_path, "job", often='cron = "0 4 * * *"\ngrace = "10m"')
    status, out, _ = sync()
    assert status == 0
    adopted, updated, _ = out.splitlines()
    for lost in (
        "name Job -> job",
        f"description Call Ann. Then {'look ' * 40}".strip() + f" -> {OWN}",
        "channels on call -> none",
        "every none -> 5 min",
        "schedule 0 3 * * * -> none",
        "zone Europe/Riga -> none",
        "grace 1 h -> 10 min",
    ):
        assert lost in adopted
    assert updated == (
        "updated  often: schedule none -> 0 4 * * *, zone none -> UTC, every 2 h -> none"
    )
    assert sync()[1] == "2 unchanged (1 call)\n"


def test_a_new_slug_keeps_the_history(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    """The check on the server, and the runs and undelivered results in the journal."""
    past = Past(tmp_path)
    write(tmp_path, "old-name", "other")
    sync()
    there = stub.by_slug("old-name")
    env = {"HEALTHCHECKS_PING_URL": stub.ping_url, "HEALTHCHECKS_PING_KEY": stub.ping_key}
    env |= {"HEALTHCHECKS_ENABLED": "true"}
    past.run("old-name", time.time() - 7200)
    assert run_hcrun(tmp_path, "old-name", "--", "true", env=env | ONCE).returncode == 0
    stub.go_down()
    run_hcrun(tmp_path, "old-name", "--", "false", env=env | ONCE)
    stub.come_back()
    write(tmp_path, "other", new='every = "5m"\nwas = "old-name"')
    renamed = "new: name old-name -> new, slug old-name -> new\n"
    assert sync("--plan", "--prune")[1].startswith(f"rename   {renamed}")
    # Not extra, although this check is not selected.
    assert sync("--tag", MARKER, "--plan", "--prune")[1].count("delete") == 0
    assert sync(**env)[1] == f"renamed  {renamed}1 renamed, 1 unchanged (2 calls)\n"
    assert stub.by_slug("new").uuid == there.uuid
    assert sync()[1] == "2 unchanged (1 call)\n"
    names = [run["check"] for run in json.loads(run_hcctl(tmp_path, "history", "--json").stdout)]
    assert names == ["new"] * 3
    done = run_hcctl(tmp_path, "flush", env=env | ONCE)
    assert (done.returncode, "new, " in done.stdout, there.status) == (0, True, "down")
    # Another user's journal follows at the next look.
    path = str(tmp_path / "checks.toml")
    past.run("old-name", time.time() - 5400)
    exported = run_hcctl(tmp_path, "metrics", "--catalog", path, env=env).stdout
    assert ('check="new"' in exported, "old-name" in exported) == (True, False)
    past.run("old-name", time.time() - 3600)
    shown = run_hcctl(tmp_path, "status", "--local", "--catalog", path, "--json", env=env).stdout
    assert [check["slug"] for check in json.loads(shown)["checks"]] == ["new"]
    assert len(json.loads(run_hcctl(tmp_path, "history", "new", "--json").stdout)) == 5


def test_both_slugs_are_there(tmp_path: Path, sync: Sync) -> None:
    write(tmp_path, "old", "new")
    sync()
    write(tmp_path, new='every = "5m"\nwas = "old"')
    extra = "extra    old: no longer in the catalogue; --prune deletes it\n"
    assert sync()[1] == f"{extra}1 unchanged (1 call)\n"


def test_the_built_in_catalogue_is_an_example(tmp_path: Path, stub: HealthchecksStub) -> None:
    why = (
        "hcctl: /etc/hcrun/checks.toml: this host has no catalogue; write one with hcctl init, or"
        " give --catalog FILE; the built-in one is an example\n"
    )
    for command in (["sync"], ["sync", "--plan"], ["install", "crontab", "--yes"]):
        done = run_hcctl(tmp_path, *command, stub=stub)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", why)
    assert stub.requests == []


# Failures


def test_two_checks_with_one_slug(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    for _ in range(2):
        stub.add_check("redis")
    write(tmp_path, "redis", "api")
    message = (
        "failed   redis: 2 checks of the server have this slug, so its pings answer 409; give all"
        " but one another slug\n"
        "hcctl: 1 of 2 failed; see above, and sync again\n"
    )
    assert sync("--plan")[::2] == (1, message)
    status, out, err = sync()
    assert (status, err) == (1, message)
    assert out.splitlines()[-1] == "1 created, 0 unchanged, 1 failed (3 calls)"
    assert [check.name for check in stub.checks] == ["", "", "api"]


def test_what_fails_is_named_and_the_rest_goes_on(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    write(tmp_path, "one", "two", "three")
    sync()
    for check in stub.checks:
        check.grace = 60
    stub.fault = Fault(answers(500), only=stub.by_slug("two").uuid)
    status, out, err = sync()
    assert (status, failed(err)) == (1, ["two"])
    assert out.splitlines()[-1] == "2 updated, 0 unchanged, 1 failed (4 calls)"
    assert [check.grace for check in stub.checks] == [600, 60, 600]
    stub.fault = None
    assert sync()[0] == 0


def test_the_limit_of_the_project_is_said_once(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    stub.check_limit = 2
    stub.add_check("d", tags=MARKER)
    write(tmp_path, "a", "b", "c", "d")
    status, out, err = sync()
    assert (status, failed(err)) == (1, ["b, c"])
    assert out.splitlines()[-1] == "1 created, 1 updated, 0 unchanged, 2 failed (5 calls)"
    assert {check.slug for check in stub.checks} == {"a", "d"}


def test_a_server_that_goes_away(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, "a", "b", "c")
    stub.fault = Nth(3, lambda _: stub.go_down(), accepted=True)
    status, out, err = sync()
    assert (status, failed(err)) == (1, ["b"])
    assert out == "1 created, 0 unchanged, 1 failed, 1 not tried (4 calls)\n"
    assert err.endswith(
        "hcctl: the server takes no more changes: 1 of 3 changes are done, 2 are not: b, c; run"
        " hcctl sync again: it makes only those that are missing\n"
    )
    status, out, err = sync()
    assert (status, out, "Connection refused" in err) == (1, "", True)
    stub.come_back()
    assert sync()[0] == 0
    assert sorted(check.slug for check in stub.checks) == ["a", "b", "c"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_stays_busy(
    status: int, tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    """Each change is tried several times, which for a thousand of them would take an hour."""
    slugs = [f"check-{number}" for number in range(8)]
    write(tmp_path, *slugs)
    assert sync()[0] == 0
    write(tmp_path, **dict.fromkeys(slugs, 'every = "6m"'))
    asked(stub)
    ill = {check.uuid for check in stub.checks if check.slug not in ("check-2", "check-7")}

    class Busy(Fault):
        def take(self, target: str | None) -> bool:
            return (target or "").rpartition("/")[2] in ill

    stub.fault = Busy(answers(status))
    exit_status, out, err = sync()
    assert exit_status == 1
    assert out == "1 updated, 0 unchanged, 5 failed, 2 not tried (7 calls)\n"
    assert failed(err) == ["check-0, check-1, check-3, check-4, check-5"]
    left = "check-0, check-1, check-3, check-4, check-5 and 2 more"
    assert f": 1 of 8 changes are done, 7 are not: {left}; run hcctl sync again" in err


def test_an_answer_that_is_lost_makes_no_duplicate(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    write(tmp_path, "a", "b")
    stub.fault = Nth(2, hangs_up, accepted=True)
    status, out, err = sync()
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "2 created, 0 unchanged (6 calls)"
    assert [check.slug for check in stub.checks] == ["a", "b"]
    stub.checks.clear()
    stub.fault = Nth(2, answers(502))
    status, _, err = sync()
    assert (status, failed(err)) == (1, ["a"])
    assert sync()[0] == 0
    assert sorted(check.slug for check in stub.checks) == ["a", "b"]


def test_two_hosts_at_once_are_seen(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, "a", "b")

    def meanwhile(x: Exchange) -> None:
        stub.add_check("a")
        x.conn.sendall(x.reply())

    stub.fault = Nth(2, meanwhile)
    expected = (
        "failed   a: another host created this check at the same time; delete one of the two,"
        " and sync from one host only\nhcctl: 1 of 2 failed; see above, and sync again\n"
    )
    assert sync()[::2] == (1, expected)


def reached(stub: HealthchecksStub, n: int, process: subprocess.Popen[bytes]) -> bool:
    return len(stub.requests) >= n or process.poll() is not None


@pytest.mark.parametrize("taken", [False, True])
def test_killed_at_any_call_it_is_run_again(
    taken: bool, tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    stub.add_channel("email")
    stub.add_channel("slack", "slack")
    env = hcctl_environment(tmp_path, stub)
    path = write(tmp_path, "a", "b", "changed", head=WITH_CHANNELS)
    file = tmp_path / "healthchecks.env"
    command = [HCCTL, "sync", "--catalog", path, "--prune", "--yes", "--env-file", str(file)]
    for n in range(1, 9):  # the request at which it is killed
        (tmp_path / "state" / "channels.json").unlink(missing_ok=True)
        stub.checks[:] = [Check("changed", tags=MARKER), Check("gone", tags=MARKER)]
        stub.requests.clear()
        stub.fault = Nth(n, hangs, taken)
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
            wait_until(partial(reached, stub, n, process), f"request {n}")
            process.kill()
        stub.fault = None
        if process.returncode == 0:
            break
        assert sync("--prune", "--yes", "--env-file", str(file))[0] == 0
        assert sorted(check.slug for check in stub.checks) == ["a", "b", "changed"]
        assert len(file.read_text().splitlines()) == 4
        file.unlink()
    # checks/, channels/, two created, one updated, one deleted, and checks/ again.
    assert n == 8
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".hcrun-")] == []


def test_ctrl_c_says_what_is_done_and_what_is_not(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    slugs = [f"check-{number:03}" for number in range(400)]
    write(tmp_path, *slugs)
    stub.fault = Nth(4, hangs)
    with at_terminal(tmp_path, stub) as terminal:
        stub.wait_for_requests(4, PATIENCE)
        terminal.type("\x03")
        terminal.read_until("it makes only those that are missing")
        assert terminal.wait() == 130
        printed = " ".join(terminal.screen.split())
    assert "2 created, 0 unchanged, 398 not tried (4 calls)" in printed
    left = "check-002, check-003, check-004, check-005, check-006 and 393 more"
    assert f"interrupted: 2 of 400 changes are done, 398 are not: {left}; run" in printed
    assert len(printed) < 2000
    stub.fault = None
    assert sync()[1].splitlines()[-1] == "398 created, 2 unchanged (400 calls)"


def test_one_at_a_time(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, "a")
    stub.fault = Nth(1, hangs)
    with at_terminal(tmp_path, stub) as first:
        stub.wait_for_requests(1, PATIENCE)
        lock = f"{tmp_path}/state/sync.lock"
        message = f"hcctl: {lock}: another sync is running; wait until it ends\n"
        assert sync() == (1, "", message)
        assert sync("--plan")[0] == 2  # looks only
        first.program.kill()
    assert sync()[0] == 0


def test_no_place_for_the_lock(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, "a")
    status, _, err = sync(STATE_DIRECTORY="/dev/null/x")
    assert status == 1
    assert err.startswith("hcctl: /dev/null/x/sync.lock: Not a directory; set STATE_DIRECTORY")
    assert stub.requests == []


# The next steps, and the env file


@pytest.mark.parametrize(
    ("arguments", "env", "first"),
    [
        ("", {}, "hcctl sync --catalog {} --env-file healthchecks.env "),
        ("", {"HEALTHCHECKS_PING_KEY": "k"}, "hcctl channels test"),
        ("--env-file {}.env", {}, "cat {}.env >> /etc/hcrun/hcrun.env "),
    ],
)
def test_next_steps(
    arguments: str, env: dict[str, str], first: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """Of a sync that has created checks."""
    path = write(tmp_path, "redis")
    words = ["sync", "--catalog", path, *arguments.format(path).split()]
    outputs = [run_hcctl(tmp_path, *words, stub=stub, env=env).stdout for _ in range(2)]
    before, _, steps = outputs[0].partition("next steps:\n")
    lines = [line.strip() for line in steps.splitlines()]
    assert lines[0].startswith(first.format(path))
    names = [line.split()[1] for line in lines[-3:]]
    assert names == ["channels", "install", "doctor"]
    assert "1 created, 0 unchanged" in before
    assert (f"HC_CHECK_<SLUG> of 1 check: {path}.env\n" in before) == bool(arguments)
    assert "next steps" not in outputs[1]


def test_env_file(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, "redis", "clean-up_all")
    file = tmp_path / "healthchecks.env"
    assert sync("--plan", "--env-file", str(file))[0] == 2
    assert not file.exists()
    assert sync("--env-file", str(file))[0] == 0
    uuids = {check.slug: check.uuid for check in stub.checks}
    expected = (
        "# Written by hcctl sync. NAME is the check's slug in upper case, with _ for -.\n"
        f"HC_CHECK_CLEAN_UP_ALL={uuids['clean-up_all']}\nHC_CHECK_REDIS={uuids['redis']}\n"
    )
    assert file.read_text() == expected
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    link = tmp_path / "link.env"
    link.symlink_to(file)
    file.write_text("HC_CHECK_OLD=x\n")
    written = f"HC_CHECK_<SLUG> of 2 checks: {link}\n"
    assert sync("--env-file", str(link)) == (0, f"2 unchanged (1 call)\n{written}", "")
    assert (file.read_text(), link.is_symlink()) == (expected, True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_env_file_that_must_not_be_written(
    tmp_path: Path, stub: HealthchecksStub, sync: Sync
) -> None:
    write(tmp_path, "redis")
    settings = tmp_path / "hcrun.env"
    settings.write_text("# mine\nHC_CHECK_A=b\nHEALTHCHECKS_PING_KEY=secret\n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    missing = f"{tmp_path}/none/healthchecks.env"
    for path, text in (
        (
            str(settings),
            (
                f"{settings}: contains other lines than HC_CHECK_*, which would be lost; give a"
                " file of its own, for example healthchecks.env"
            ),
        ),
        (str(binary), f"{binary}: not a text file; give another --env-file"),
        (str(tmp_path), f"{tmp_path}: not a regular file; give the path of one"),
        ("/dev/null", "/dev/null: not a regular file; give the path of one"),
        (str(pipe), f"{pipe}: not a regular file; give the path of one"),
        (missing, f"{tmp_path}/none: not a directory; create it, or give another --env-file"),
    ):
        assert sync("--env-file", path) == (1, "", f"hcctl: {text}\n")
    assert stub.requests == []
    assert "secret" in settings.read_text()


def test_env_file_on_a_full_disk(tmp_path: Path, stub: HealthchecksStub) -> None:
    path = write(tmp_path, "redis")
    file = tmp_path / "healthchecks.env"
    file.write_text("HC_CHECK_REDIS=old\n")
    command = [HCCTL, "sync", "--catalog", path, "--env-file", str(file)]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command],
        env=hcctl_environment(tmp_path, stub),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"hcctl: {file}: cannot be written: File too large\n"
    assert done.stdout.endswith("\n1 created, 0 unchanged (3 calls)\n")  # what was done is said
    assert file.read_text() == "HC_CHECK_REDIS=old\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


# For programs, and at scale


def test_json(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    write(tmp_path, "new", "same", "twice")
    stub.add_check("gone", tags=MARKER)
    stub.add_check("same", name="same", tags=MARKER, desc=OWN, timeout=300, grace=60)
    for _ in range(2):
        stub.add_check("twice")
    status, out, _ = sync("--json", "--plan")
    found = json.loads(out)
    failed = found.pop("failed")
    assert status == 1
    assert set(failed) == {"twice"}
    assert found == {
        "create": {
            "new": {
                "name": ["none", "new"],
                "tags": ["none", MARKER],
                "description": ["none", OWN],
                "grace": ["none", "10 min"],
                "channels": ["none", "none"],
                "every": ["none", "5 min"],
            }
        },
        "update": {"same": {"grace": ["1 min", "10 min"]}},
        "adopt": {},
        "rename": {},
        "delete": {},
        "left": [],
        "extra": ["gone"],
        "unchanged": 0,
        "calls": 1,
    }


def test_300_checks(tmp_path: Path, stub: HealthchecksStub, sync: Sync) -> None:
    stub.add_channel("email")
    stub.add_channel("slack", "slack")
    slugs = [f"check-{number}" for number in range(300)]
    write(tmp_path, *slugs, head=WITH_CHANNELS)
    status, out, err = sync()
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "300 created, 0 unchanged (303 calls)"
    assert len(asked(stub)) == 303
    assert [check.slug for check in stub.checks] == slugs
    assert sync() == (0, "300 unchanged (1 call)\n", "")
    assert asked(stub) == ["GET checks/"]
    stub.checks[7].name = "x"
    assert sync()[1].splitlines()[-1] == "1 updated, 299 unchanged (2 calls)"


@pytest.mark.real
def test_a_real_server(tmp_path: Path) -> None:
    real = client_of(setting("API_URL"), setting("API_KEY"))
    one, two, three = (f"s-{uuid4()}" for _ in range(3))
    odd = '\nname = "Größe \\"x\\" / <b>"\ndescription = "a\\n\\tb"\ncalendar = "Mon..Fri 10:00"'
    path = write(tmp_path, one, two, **{three: f'zone = "Europe/Kiev"{odd}'})
    env = settings("API_URL", "API_KEY")

    def sync(*arguments: str) -> tuple[int, str]:
        done = run_hcctl(tmp_path, "sync", "--catalog", path, *arguments, env=env)
        assert done.stderr == ""
        lines = [line for line in done.stdout.splitlines() if not line.startswith("extra")]
        (totals,) = (line for line in lines if line.endswith((" call)", " calls)")))
        return done.returncode, totals

    try:
        assert sync("--plan") == (2, "3 to create, 0 unchanged (1 call)")
        assert sync() == (0, "3 created, 0 unchanged (5 calls)")
        assert sync("--plan") == (0, "3 unchanged (1 call)")
        check = real.get_check(one)
        assert check
        real.pause_check(check.uuid)
        real.update_check(check.uuid, name=f"other {one}", tags="x", schedule="0 3 * * *")
        assert sync() == (0, "1 adopted, 2 unchanged (2 calls)")
        after = real.get_check(one)
        assert after
        assert (after.uuid, after.status) == (check.uuid, "paused")
        assert (after.name, after.timeout, after.tags) == (one, 300, (MARKER,))
        assert sync() == (0, "3 unchanged (1 call)")
    finally:
        for slug in (one, two, three):
            if found := real.get_check(slug):
                real.delete_check(found.uuid)


@pytest.mark.real
def test_a_real_server_renames_adopts_and_has_a_default_channel(tmp_path: Path) -> None:
    real = client_of(setting("API_URL"), setting("API_KEY"))
    old, new, cron = (f"s-{uuid4()}" for _ in range(3))
    head = '[tiers.1]\nchannels = "*"\n[defaults]\ntier = "1"\n'
    env = settings("API_URL", "API_KEY")

    def sync(*arguments: str) -> list[str]:
        path = str(tmp_path / "checks.toml")
        done = run_hcctl(tmp_path, "sync", "--catalog", path, *arguments, env=env)
        assert (done.returncode, done.stderr) == (2 if arguments else 0, "")
        return [line for line in done.stdout.splitlines() if not line.startswith("extra")]

    try:
        write(tmp_path, old, head=head)
        assert sync("--plan")[-1] == "1 to create, 0 unchanged (2 calls)"
        sync()
        check = real.get_check(old)
        assert check
        assert set(check.channels) == {channel.id for channel in real.list_channels()} != set()
        requests.post(check.ping_url, timeout=PATIENCE)
        real.create_with({"name": cron, "slug": cron, "schedule": "0 3 * * *", "tz": "Europe/Riga"})
        write(tmp_path, cron, head=head, **{new: f'every = "5m"\nwas = "{old}"'})
        adopted, renamed, totals = sync()
        assert f"slug {old} -> {new}" in renamed
        for lost in ("schedule 0 3 * * * -> none", "zone Europe/Riga -> none"):
            assert lost in adopted
        assert totals == "1 adopted, 1 renamed, 0 unchanged (4 calls)"
        after, adopted_one = real.get_check(new), real.get_check(cron)
        assert after
        assert adopted_one
        assert (after.uuid, after.pings, after.status) == (check.uuid, 1, "up")
        assert (adopted_one.timeout, adopted_one.schedule) == (300, "")
        assert sync()[-1] == "2 unchanged (2 calls)"
    finally:
        for slug in (old, new, cron):
            if found := real.get_check(slug):
                real.delete_check(found.uuid)
