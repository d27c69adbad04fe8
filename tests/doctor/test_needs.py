"""What `hcctl doctor` says of needs."""

from typing import Any

import pytest

from hcrun.catalog import SHIPPED, Catalog, Check, load
from hcrun.catalog.schedule import Every
from hcrun.doctor.needs import evaluate
from hcrun.settings import Settings
from tests.support.catalogs import a_check
from tests.sync.test_hold import NOW, remote

WELL = "ok: hold holds back the alerts of 1 check with needs"
NEED: dict[str, Any] = {"schedule": Every(30), "timeout": 5, "command": ("probe-redis",)}
APP: dict[str, Any] = {"needs": ("redis",), "grace": 120, "command": ("probe-app",)}


def found(need: Check, app: Check, **fields: Any) -> list[str]:
    hold = a_check("hold", schedule=Every(30), command=("hcctl", "hold"))
    catalog = Catalog("checks.toml", (need, app, hold), {}, {}, {})
    remotes = [remote("redis"), remote("app", **{"grace": 120} | fields), remote("hold")]
    return [f"{each.severity}: {each.what}" for each in evaluate(catalog, remotes, NOW)]


UNTOLD = "alerts by channels that the need does not have"
STRANGE = "a need of another user, or without a command"
EARLY = "less grace than an outage of the need takes to be known"
WAITING = "needs, and a start ping or manual resume"
LONGER = "more grace than in the catalogue, although all is well"


@pytest.mark.parametrize(
    ("need", "app", "fields", "expected"),
    [
        ({}, {}, {}, ""),
        ({"channels": ("chat",)}, {"channels": ("chat", "phone")}, {}, f"{UNTOLD}: app (redis)"),
        ({"channels": ("chat", "phone")}, {"channels": ("chat",)}, {}, ""),
        ({"channels": ("*",)}, {"channels": ("chat",)}, {}, ""),
        ({"user": "redis"}, {}, {}, f"{STRANGE}: app (redis)"),
        ({"command": ()}, {}, {}, f"{STRANGE}: app (redis)"),
        ({"command": ()}, {"command": ()}, {}, ""),  # the application pings both
        ({"options": ("--fail-after", "2")}, {}, {}, ""),  # known after 105 s
        ({"options": ("--fail-after", "3")}, {}, {}, f"{EARLY}: app (redis)"),
        ({}, {}, {"started": True}, f"{WAITING}: app"),
        ({}, {}, {"manual_resume": True}, f"{WAITING}: app"),
        ({}, {}, {"grace": 300}, f"{LONGER}: app"),
    ],
)
def test_each_finding(
    need: dict[str, Any], app: dict[str, Any], fields: dict[str, Any], expected: str
) -> None:
    need_, app_ = a_check("redis", **NEED | need), a_check("app", **APP | app)
    more = [f"warning: {expected}"] if expected else []
    assert found(need_, app_, **fields) == [WELL, *more]


def test_nobody_holds() -> None:
    catalog = Catalog("checks.toml", (a_check("redis"), a_check("app", **APP)), {}, {}, {})
    first, *_ = evaluate(catalog, [], NOW)
    assert (first.severity, first.what) == (
        "error",
        "1 check with needs, but nothing runs hcctl hold",
    )
    hold = a_check("hold", command=("hcctl", "hold"))
    catalog = Catalog("checks.toml", (*catalog.checks, hold), {}, {}, {})
    first, *_ = evaluate(catalog, [remote("hold", status="down", next_ping=None)], NOW)
    assert (first.severity, first.what) == ("error", "1 check with needs, but hold is down")
    assert list(evaluate(Catalog("checks.toml", (hold,), {}, {}, {}), [], NOW)) == []


def test_the_shipped_catalogue_is_well() -> None:
    catalog = load(SHIPPED, Settings({}, {}))
    remotes = [remote(check.slug, grace=check.grace) for check in catalog.checks]
    assert [each.severity for each in evaluate(catalog, remotes, NOW)] == ["ok"]
