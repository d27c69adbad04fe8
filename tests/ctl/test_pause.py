"""`hcctl pause` and `hcctl resume`, on the stub and on a real server."""

import os
import re
import time
from pathlib import Path
from uuid import uuid4

import pytest

from hcrun.journal.journal import Journal
from hcrun.journal.maintenance import Window, begin, between, in_progress
from hcrun.journal.run import user_name
from tests.api.test_contract_management import Server, server
from tests.stub.healthchecks import Fault, HealthchecksStub, answers
from tests.support.catalogs import write
from tests.support.command import HCCTL, hcctl_environment, run_hcctl
from tests.support.ptydriver import Terminal

pytestmark = pytest.mark.slow

__all__ = ["server"]

NEW = "no alerts before the next ping; --ping sends one"
ONCE = {"HEALTHCHECKS_RETRY_COUNT": "1"}


def ran(tmp_path: Path, server: Server, *arguments: str) -> tuple[int, str, str]:
    env = {"HEALTHCHECKS_API_URL": server.url, "HEALTHCHECKS_API_KEY": server.key, "TZ": "UTC"}
    done = run_hcctl(tmp_path, *arguments, env=env | ONCE)
    return done.returncode, done.stdout, done.stderr


def windows(tmp_path: Path) -> list[Window]:
    return between(Journal(str(tmp_path / "state")), 0, 1 << 40, time.time())


def test_a_window(tmp_path: Path, server: Server) -> None:
    slug = f"p-{uuid4()}"
    check = server.add(name="Redis", slug=slug, timeout=3600)
    server.ping(check)
    began = time.time()
    status, out, err = ran(tmp_path, server, "pause", slug, "--for", "2h", "--reason", "upgrade")
    assert (status, err) == (0, "run hcctl resume --due after that: no window ends by itself\n")
    match = re.fullmatch(rf"paused   {slug} until (\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC)\n", out)
    assert match
    (window,) = windows(tmp_path)
    assert (window.name, window.reason, window.ended) == (slug, "upgrade", None)
    assert window.until is not None
    assert began - 1 <= window.until - 7200 <= time.time()
    assert match[1] == time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(window.until))
    # What its job says meanwhile changes nothing.
    for action in ("/fail", "", "/start"):
        server.ping(check, action)
        assert server.now(check).status == "paused"
    assert ran(tmp_path, server, "resume", slug) == (0, f"resumed  {slug}\n", f"{slug}: {NEW}\n")
    after = server.now(check)
    assert (after.status, after.manual_resume, after.next_ping) == ("new", False, None)
    (window,) = windows(tmp_path)
    assert window.ended is not None
    assert began <= window.began <= window.ended <= time.time()


def test_a_ping_starts_the_deadline(tmp_path: Path, server: Server) -> None:
    check = server.add(name=f"Redis {uuid4()}", timeout=3600)
    assert ran(tmp_path, server, "pause", check.uuid)[0] == 0
    status, out, err = ran(tmp_path, server, "resume", check.uuid, "--ping")
    assert (status, out, err) == (0, f"resumed  {check.name}\npinged   {check.name}\n", "")
    after = server.now(check)
    assert (after.status, after.next_ping is not None) == ("up", True)
    assert server.client.list_pings(check.uuid)[-1].body().startswith("Not a run: ")


def test_what_was_paused_before_stays_so(tmp_path: Path, server: Server) -> None:
    tag = f"t{uuid4()}"
    one = server.add(name="one", slug=f"one-{tag}", tags=tag)
    two = server.add(name="two", slug=f"two-{tag}", tags=tag, manual_resume=True)
    server.client.pause_check(one.uuid)
    _, out, _ = ran(tmp_path, server, "pause", "--tag", tag, "--for", "90s")
    until = "[-0-9]{10} [:0-9]{8} UTC"
    assert re.fullmatch(
        f"noted    one-{tag} until {until}; it was already paused and will stay paused\n"
        f"paused   two-{tag} until {until}\n",
        out,
    )
    assert ran(tmp_path, server, "resume", "--tag", tag) == (
        0,
        f"ended    one-{tag}; it was paused before and stays paused\nresumed  two-{tag}\n",
        f"two-{tag}: {NEW}\n",
    )
    after = [server.now(check) for check in (one, two)]
    assert [(c.status, c.manual_resume) for c in after] == [("paused", False), ("new", True)]


@pytest.fixture
def local(stub: HealthchecksStub) -> Server:
    return Server(stub.api_url, stub.api_key, stub.read_key, stub.metrics_key, stub.ping_url)


def test_two_pauses_at_once(tmp_path: Path, server: Server) -> None:
    """Both have a window then, and each ends with the check, which is resumed once."""
    slug = f"p-{uuid4()}"
    check = server.add(name="Redis", slug=slug, timeout=3600)
    assert ran(tmp_path, server, "pause", slug)[0] == 0
    journal = Journal(str(tmp_path / "state"))
    begin(journal, in_progress(journal)[0])
    ended = f"ended    {slug}; it is no longer paused\n"
    status, out, err = ran(tmp_path, server, "resume", slug)
    assert (status, err) == (0, f"{slug}: {NEW}\n")
    assert out == f"resumed  {slug}\n{ended}"
    assert in_progress(journal) == []
    after = server.now(check)
    assert (after.status, after.manual_resume) == ("new", False)


def test_it_is_for_the_user_who_ends_it(
    tmp_path: Path, stub: HealthchecksStub, local: Server
) -> None:
    check = stub.add_check("a")
    ends = 'every = "5m"\ncommand = "hcctl resume --due --ping"\nuser = '
    for user in ("nobody", "no-such-user", user_name()):
        path = write(tmp_path, maintenance=f'{ends}"{user}"')
        status, _, err = ran(tmp_path, local, "pause", "a", "--catalog", path)
        if user == "nobody":
            assert status == 1
            assert err.endswith("; sudo -u nobody -H hcctl pause ...\n")
            assert (check.status, stub.requests) == ("new", [])
        else:
            assert (status, check.status) == (0, "paused")


def test_those_whose_time_has_come(tmp_path: Path, stub: HealthchecksStub, local: Server) -> None:
    for slug in ("soon", "late", "open"):
        stub.add_check(slug)
    ran(tmp_path, local, "pause", "soon", "--for", "1s")
    ran(tmp_path, local, "pause", "late", "--for", "1h")
    ran(tmp_path, local, "pause", "open")
    (soon, *_) = windows(tmp_path)
    assert soon.until is not None
    time.sleep(max(0, soon.until - time.time()))
    assert ran(tmp_path, local, "resume", "--due") == (0, "resumed  soon\n", f"soon: {NEW}\n")
    assert [check.status for check in stub.checks] == ["new", "paused", "paused"]
    stub.requests.clear()
    assert ran(tmp_path, local, "resume", "--due") == (0, "", "")
    assert stub.requests == []  # once a minute, this costs the server nothing


def test_pausing_again_changes_the_end(
    tmp_path: Path, stub: HealthchecksStub, local: Server
) -> None:
    check = stub.add_check("a")
    ran(tmp_path, local, "pause", "a", "--for", "1h", "--reason", "upgrade")
    assert ran(tmp_path, local, "pause", "a") == (0, "extended a until it is resumed\n", "")
    (window,) = windows(tmp_path)
    assert (window.until, window.reason) == (None, "upgrade")
    # Somebody resumes it in between, and it is paused again: two windows.
    check.resume()
    assert ran(tmp_path, local, "pause", "a")[1] == "paused   a until it is resumed\n"
    first, second = windows(tmp_path)
    assert (first.ended is None, second.ended) == (False, None)
    assert first.resumed_by_pings
    assert ran(tmp_path, local, "resume", "a")[0] == 0
    assert (check.status, check.manual_resume) == ("new", False)


def test_what_others_did_meanwhile(tmp_path: Path, stub: HealthchecksStub, local: Server) -> None:
    resumed, gone = stub.add_check("resumed"), stub.add_check("gone")
    ran(tmp_path, local, "pause", "resumed", "gone")
    resumed.resume()
    stub.checks.remove(gone)
    assert ran(tmp_path, local, "resume", "resumed", "gone") == (
        0,
        ("ended    resumed; it is no longer paused\nended    gone; the check no longer exists\n"),
        "",
    )
    assert resumed.manual_resume is False
    assert in_progress(Journal(str(tmp_path / "state"))) == []


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("pause",), 2, "missing CHECK; give checks, or --tag"),
        (("pause", "--for", "1h"), 2, "missing CHECK; give checks, or --tag"),
        (("pause", "x"), 1, "the server has no check named x; hcctl status lists all checks"),
        (("pause", "Twice"), 1, "the server has 2 checks named Twice; give the uuid"),
        (
            ("pause", "--tag", "x", "--tag", "y"),
            1,
            "no check has the tag x and y; see hcctl status",
        ),
        (("resume",), 2, "missing CHECK; give checks or --tag, or --due alone"),
        (("resume", "a", "--due"), 2, "missing CHECK; give checks or --tag, or --due alone"),
        (
            ("resume", "a"),
            1,
            (
                "a was not paused by hcctl pause of this user on this host; resume it in the web"
                " interface, or as the user who paused it"
            ),
        ),
        (("resume", "--tag", "t"), 1, "hcctl pause has not paused such a check; see hcctl status"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...],
    status: int,
    text: str,
    tmp_path: Path,
    stub: HealthchecksStub,
    local: Server,
) -> None:
    stub.add_check("a", tags="t")
    for _ in range(2):
        stub.add_check(name="Twice")
    assert ran(tmp_path, local, *arguments) == (status, "", f"hcctl: {text}\n")
    assert [check.status for check in stub.checks] == ["new"] * 3


@pytest.mark.parametrize("length", ["0", "x", "-1h", "11y", "99999d"])
def test_a_length_that_is_none(
    length: str, tmp_path: Path, stub: HealthchecksStub, local: Server
) -> None:
    stub.add_check("a")
    status, out, err = ran(tmp_path, local, "pause", "a", "--for", length)
    assert (status, out) == (2, "")
    assert "Invalid value for '--for': " in err
    assert stub.requests == []


def test_what_fails_is_named_and_the_rest_goes_on(
    tmp_path: Path, stub: HealthchecksStub, local: Server
) -> None:
    one, two = stub.add_check("one", tags="t"), stub.add_check("two", tags="t")
    stub.fault = Fault(answers(500), only=f"{one.uuid}/")
    status, out, err = ran(tmp_path, local, "pause", "--tag", "t")
    assert (status, out) == (1, "paused   two until it is resumed\n")
    first, last = err.splitlines()
    assert first.startswith(f"failed   one: {stub.api_url}: answers 500; ")
    assert last == "hcctl: 1 of 2 failed; pause them again, or undo it with hcctl resume"
    # The first of the two calls for it was answered, and is taken back.
    assert (one.status, one.manual_resume) == ("new", True)
    stub.fault = Fault(answers(500), only=f"{two.uuid}/")
    status, out, err = ran(tmp_path, local, "resume", "--tag", "t")
    assert (status, out) == (1, "ended    one; it is no longer paused\n")
    assert err.endswith("hcctl: 1 of 2 failed; see above, then run it again\n")
    stub.fault = None
    assert ran(tmp_path, local, "resume", "two")[0] == 0
    assert [(check.status, check.manual_resume) for check in stub.checks] == [("new", False)] * 2
    assert in_progress(Journal(str(tmp_path / "state"))) == []


def test_what_the_server_refuses_leaves_no_window(
    tmp_path: Path, stub: HealthchecksStub, local: Server
) -> None:
    check = stub.add_check("a")
    stub.fault = Fault(answers(403), only=check.uuid)
    assert ran(tmp_path, local, "pause", "a")[0] == 1
    assert in_progress(Journal(str(tmp_path / "state"))) == []


def test_at_a_terminal_it_offers_to_ping(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check("a")
    env = hcctl_environment(tmp_path, stub) | {"TERM": "xterm"}
    for answer, pinged in (("n", 0), ("y", 1)):
        run_hcctl(tmp_path, "pause", "a", stub=stub)
        with Terminal([HCCTL, "resume", "a"], env) as terminal:
            terminal.read_until("a: no alerts before the next ping")
            terminal.read_until(r"Send a ping now\? \[y/N\]: ")
            terminal.type(f"{answer}\n")
            assert terminal.wait() == 0
        assert len(check.pings) == pinged


def test_the_journal_of_windows_has_no_secret(
    tmp_path: Path, stub: HealthchecksStub, local: Server
) -> None:
    check = stub.add_check("a")
    ran(tmp_path, local, "pause", "a")
    state = tmp_path / "state"
    kept = b"".join((state / name).read_bytes() for name in os.listdir(state))
    assert check.uuid.encode() not in kept
    assert stub.api_key.encode() not in kept
