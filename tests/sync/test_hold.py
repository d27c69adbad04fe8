"""`hcctl hold`: which grace time each check should have, and that it gets it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hcrun.api.models import Check as RemoteCheck
from hcrun.api.models import Flip
from hcrun.catalog import Catalog, Check
from hcrun.catalog.schedule import Calendar, Cron, Every
from hcrun.sync.hold import Leases
from tests.stub.healthchecks import Check as Stored
from tests.stub.healthchecks import Fault, HealthchecksStub, answers
from tests.support.catalogs import a_check, write
from tests.support.command import run_hcctl, wait_until

NOW = 1_800_000_000.0
REDIS = a_check("redis", schedule=Every(30), timeout=5, command=("probe-redis",))
APP = a_check("app", schedule=Every(60), grace=60, needs=("redis",))
HOLD = a_check("hold", schedule=Every(30), command=("hcctl", "hold"))


def iso(at: float | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))


def remote(slug: str, ago: float | None = 10, every: int = 60, **fields: Any) -> RemoteCheck:
    """A check whose last ping was so many seconds ago."""
    last = None if ago is None else NOW - ago
    given: dict[str, Any] = {
        "name": slug,
        "slug": slug,
        "tags": "managed:hcrun",
        "status": "up",
        "desc": "",
    }
    given |= {"started": False, "grace": 60, "n_pings": 1, "manual_resume": False, "methods": ""}
    given |= {"last_ping": iso(last), "next_ping": iso(last and last + every), "uuid": slug}
    return RemoteCheck.from_json(given | fields)


def grace(
    *remotes: RemoteCheck, app: Check = APP, root: Check = REDIS, flips: Sequence[Flip] = ()
) -> int:
    catalog = Catalog("checks.toml", (root, app, HOLD), {}, {}, {})
    return Leases(catalog, remotes, lambda *_: list(flips), NOW).grace(app)


DOWN = remote("redis", status="down", next_ping=None)


@pytest.mark.parametrize(
    ("root", "app", "expected"),
    [
        (remote("redis"), remote("app", 50), 60),
        (DOWN, remote("app", 50), 290),  # until five minutes from now
        (DOWN, remote("app", 119, status="grace"), 359),
        (DOWN, remote("app", 50, grace=300), 300),  # there is time yet
        (DOWN, remote("app", 50, grace=180), 290),
        (remote("redis", 59), remote("app", 50), 60),
        (remote("redis", 61), remote("app", 50), 290),  # late by half a period and its longest run
        (remote("redis", 61, status="grace"), remote("app", 50), 290),
        (remote("redis", None, status="new"), remote("app", 50), 60),
        (remote("redis", 999, status="paused", next_ping=None), remote("app", 50), 60),
        (DOWN, remote("app", 50, status="down", next_ping=None, grace=300), 60),
        (DOWN, remote("app", 50, status="paused", next_ping=None), 60),
        (DOWN, remote("app", None, status="new"), 60),
        (DOWN, remote("app", 50, tags=""), 60),  # sync has not adopted it
        (remote("redis", status="down", tags=""), remote("app", 50), 60),
    ],
)
def test_a_need_is_down(root: RemoteCheck, app: RemoteCheck, expected: int) -> None:
    assert grace(root, app) == expected


@pytest.mark.parametrize(
    ("up", "ago", "settle", "expected"),
    [
        (10, 100, 0, 150),  # its next run, with its grace, counted from the recovery
        (10, 100, 30, 180),
        (10, 9, 0, 60),  # it has run since
        (None, 100, 0, 60),
    ],
)
def test_a_need_has_recovered(up: float | None, ago: float, settle: int, expected: int) -> None:
    flips = [Flip(NOW - 5, up=False), Flip(NOW - 999, up=True)]
    flips += [Flip(NOW - up, up=True)] if up else []
    app = a_check("app", schedule=Every(60), grace=60, needs=("redis",), settle=settle)
    assert grace(remote("redis"), remote("app", ago, grace=300), app=app, flips=flips) == expected


def test_a_need_with_a_schedule_is_late_after_its_next_time() -> None:
    """The last run was on Friday, 08:00 UTC; it is Friday 08:00:00 in NOW's week."""
    root = a_check("redis", schedule=Cron("0 8 * * 1-5"))
    assert time.gmtime(NOW)[6:7] == (4,)
    assert grace(remote("redis", 3600), remote("app", 50), root=root) == 60
    assert grace(remote("redis", 3 * 86400), remote("app", 50), root=root) == 290
    root = a_check("redis", schedule=Calendar("2020-01-01 00:00"))
    assert grace(remote("redis", 3 * 86400), remote("app", 50), root=root) == 60


def test_needs_of_needs_count() -> None:
    api = a_check("api", schedule=Every(60), needs=("redis",))
    app = a_check("app", schedule=Every(60), grace=60, needs=("api",))
    catalog = Catalog("checks.toml", (REDIS, api, app), {}, {}, {})
    leases = Leases(catalog, [DOWN, remote("api"), remote("app", 50)], lambda *_: [], NOW)
    assert leases.grace(app) == 290


@pytest.mark.parametrize(
    ("tag", "expected"), [(NOW + 900, 890), (NOW + 60, 60), (NOW - 1, 60), ("soon", 60), ("", 60)]
)
def test_a_lease_of_all_checks(tag: float | str, expected: int) -> None:
    word = f"{tag:.0f}" if isinstance(tag, float) else tag
    assert grace(remote("hold", tags=f"managed:hcrun hold-until:{word}"), remote("app", 50)) == (
        expected
    )


# The command

TEXT = {
    "redis": 'every = "30s"\ncommand = "true"\nchannels = []',
    "app": 'every = "1m"\ngrace = "1m"\nneeds = ["redis"]\nchannels = []',
    "other": 'every = "1h"\ngrace = "5m"\nchannels = []',
    "hold": 'every = "30s"\ncommand = "hcctl hold"\nchannels = []',
}


class Project:
    """A project with the checks of TEXT, all up."""

    def __init__(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        self.tmp_path, self.stub = tmp_path, stub
        self.catalog = write(tmp_path, **TEXT)
        self.ran("sync")
        for check in stub.checks:
            self.ping(check.slug)

    def ran(self, *words: str) -> str:
        done = run_hcctl(self.tmp_path, *words, "--catalog", self.catalog, stub=self.stub)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def check(self, slug: str) -> Stored:
        [found] = [check for check in self.stub.checks if check.slug == slug]
        return found

    def ping(self, slug: str, kind: str = "success") -> None:
        done = run_hcctl(self.tmp_path, "ping", self.check(slug).uuid, kind, stub=self.stub)
        assert done.returncode == 0, done.stderr

    def graces(self) -> dict[str, float]:
        return {check.slug: check.grace for check in self.stub.checks}


@pytest.fixture
def project(tmp_path: Path, stub: HealthchecksStub) -> Project:
    return Project(tmp_path, stub)


def test_an_outage(project: Project) -> None:
    own, began = project.graces(), int(time.time())
    assert project.ran("hold") == ""
    project.ping("redis", "fail")
    assert project.ran("hold").startswith("app: grace 1 min -> ")
    held = project.graces()
    assert 200 <= held.pop("app") <= 260
    assert held == {slug: seconds for slug, seconds in own.items() if slug != "app"}
    assert project.ran("hold") == ""
    assert "4 unchanged" in project.ran("sync")
    wait_until(lambda: time.time() >= began + 1, "app has not run since, in the server's seconds")
    project.ping("redis")
    project.ran("hold")
    assert 60 < project.graces()["app"] <= 260  # it has one period for its next run
    project.ping("app")
    project.ran("hold")
    assert project.graces() == own


def test_a_restart_of_the_server(project: Project) -> None:
    own = project.graces()
    project.ran("hold", "--all", "--for", "15m")
    held = project.graces()
    assert 790 <= held["app"] <= 860
    assert held["other"] == own["other"]  # it is expected later
    assert project.ran("hold") == ""
    assert "4 unchanged" in project.ran("sync", "--plan")
    hold = project.check("hold")
    hold.tags = " ".join(
        "hold-until:5" if tag.startswith("hold-until:") else tag for tag in hold.tags.split()
    )
    assert "app: grace" in project.ran("hold")
    assert project.graces() == own
    assert hold.tags == "managed:hcrun"


def test_nobody_ends_it(project: Project) -> None:
    project.stub.checks.remove(project.check("hold"))
    words = project.ran("hold", "--all", "--for", "15m")
    assert words.endswith("hcctl: no check runs hcctl hold: afterwards, run hcctl sync\n")
    assert "app: grace" in words
    project.stub.add_check("hold", tags="managed:hcrun", timeout=60, grace=60)
    assert "updated  app: grace" in project.ran("sync")


def test_a_call_that_fails(project: Project) -> None:
    project.ping("redis", "fail")
    project.stub.fault = Fault(answers(400), only=f"/checks/{project.check('app').uuid}")
    done = run_hcctl(project.tmp_path, "hold", "--catalog", project.catalog, stub=project.stub)
    assert done.returncode == 1
    assert done.stderr.startswith("hcctl: app: ")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--all",), "--all and --for belong together; hcctl hold --all --for 15m"),
        (("--for", "15m"), "--all and --for belong together"),
        (("--all", "--for", "0s"), "must be at least 1s"),
        (("--all", "--for", "soon"), "'soon' is not a duration"),
    ],
)
def test_usage(words: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    done = run_hcctl(tmp_path, "hold", *words)
    assert done.returncode == 2
    assert problem in done.stderr
