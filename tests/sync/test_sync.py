"""What has to change on the server, for tables of catalogues and servers; no server here."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import MARKER, Check
from hcrun.catalog.schedule import Calendar, Cron, Every
from hcrun.catalog.timezones import same_zone
from hcrun.sync.plan import Change, compare, differing, wanted
from tests.support.catalogs import a_check

IDS = {"email": "11111111-aaaa", "slack": "22222222-bbbb"}


def remote(fields: dict[str, Any], **more: Any) -> RemoteCheck:
    """What the server has after it was sent these fields."""
    said = {"uuid": f"uuid-of-{fields['slug']}", "status": "new", "started": False, "n_pings": 0}
    said |= {"last_ping": None, "next_ping": None, "methods": "", "manual_resume": False}
    return replace(RemoteCheck.from_json(said | fields), **more)


def made(check: Check, **more: Any) -> RemoteCheck:
    return remote(wanted(check, IDS), **more)


def test_what_is_sent() -> None:
    check = a_check(
        "redis",
        name="Redis",
        schedule=Every(30),
        grace=120,
        tags=("db", "tier:1", MARKER),
        description="Cache.\n\nLogs: journalctl",
        channels=("slack", "email"),
    )
    assert wanted(check, IDS) == {
        "name": "Redis",
        "slug": "redis",
        "tags": "db tier:1 managed:hcrun",
        "desc": "Cache.\n\nLogs: journalctl",
        "grace": 120,
        "channels": "11111111-aaaa,22222222-bbbb",
        "timeout": 60,  # the server takes no shorter one
    }
    for schedule in (Cron("*/5 * * * *"), Calendar("Mon 10:00")):
        sent = wanted(replace(check, schedule=schedule, zone="Europe/Riga", channels=()), IDS)
        assert (sent["schedule"], sent["tz"]) == (schedule.expression, "Europe/Riga")
        assert (sent["channels"], "timeout" in sent) == ("", False)


SIMPLE = a_check(channels=("email",))
CRON = a_check(schedule=Cron("0 3 * * *"), zone="Europe/Kyiv")
NOT_CRON = {"timeout": 300, "schedule": "", "zone": ""}


@pytest.mark.parametrize(
    ("check", "more", "sent"),
    [
        (SIMPLE, {"name": "other"}, {"name": "job"}),
        (SIMPLE, {"tags": (MARKER, "more")}, {"tags": MARKER}),
        (SIMPLE, {"tags": ()}, {"tags": MARKER}),
        (SIMPLE, {"description": "words"}, {"desc": ""}),
        (SIMPLE, {"grace": 60}, {"grace": 600}),
        (SIMPLE, {"timeout": 60}, {"timeout": 300}),
        (SIMPLE, {"timeout": None, "schedule": "* * * * *", "zone": "UTC"}, {"timeout": 300}),
        (SIMPLE, {"channels": ("22222222-bbbb",)}, {"channels": "11111111-aaaa"}),
        (SIMPLE, {"channels": ()}, {"channels": "11111111-aaaa"}),
        (SIMPLE, {"channels": ("11111111-aaaa", "3")}, {"channels": "11111111-aaaa"}),
        # The catalogue does not say what people set on the server, and what happens there.
        (SIMPLE, {"manual_resume": True}, {}),
        (SIMPLE, {"status": "paused", "pings": 7, "last_ping": 1.0, "started": True}, {}),
        (CRON, {"zone": "Europe/Kiev"}, {}),
        (CRON, {"zone": "Europe/Berlin"}, {"tz": "Europe/Kyiv"}),
        (CRON, {"schedule": "0 4 * * *"}, {"schedule": "0 3 * * *"}),
        (CRON, NOT_CRON, {"schedule": "0 3 * * *", "tz": "Europe/Kyiv"}),
    ],
)
def test_what_differs(check: Check, more: dict[str, Any], sent: dict[str, Any]) -> None:
    assert differing(wanted(check, IDS), made(check, **more)) == sent


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Europe/Kiev", "Europe/Kyiv", True),
        ("UTC", "Etc/UTC", True),
        ("Zulu", "UTC", True),
        ("US/Eastern", "America/New_York", True),
        # What a server on v4.3 makes of names without a place.
        ("CET", "Europe/Brussels", True),
        ("EST", "America/Panama", True),
        ("PST8PDT", "America/Los_Angeles", True),
        ("WET", "Europe/Lisbon", True),
        ("EST", "America/New_York", False),
        ("CET", "Europe/Athens", False),
        ("Europe/Riga", "Europe/Vilnius", False),
        ("", "UTC", False),
        ("../../etc/passwd", "UTC", False),
        ("Mars/Olympus", "Mars/Olympus", True),
        ("Mars/Olympus", "Mars/Hellas", False),
    ],
)
def test_names_of_zones(one: str, other: str, same: bool) -> None:
    assert same_zone(one, other) is same


def test_a_plan() -> None:
    checks = [a_check(slug) for slug in ("new", "same", "changed", "found", "twice")]
    by_hand = a_check("by-hand", tags=())
    there = [
        made(checks[1]),
        made(checks[2], grace=60),
        made(checks[3], tags=("old",), name="Found"),
        made(checks[4]),
        made(checks[4]),
        made(a_check("gone")),
        made(by_hand),
        made(a_check("elsewhere")),
    ]
    plan = compare(checks, there, IDS, known=[a_check("elsewhere")])
    assert [(change.action, change.slug) for change in plan.changes] == [
        ("create", "new"),
        ("update", "changed"),
        ("adopt", "found"),
    ]
    create, update, adopt = plan.changes
    assert (create.uuid, create.fields) == ("", wanted(checks[0], IDS))
    assert update == Change(
        "update", "changed", "uuid-of-changed", {"grace": 600}, (("grace", "1 min", "10 min"),)
    )
    assert adopt.fields == {"name": "found", "tags": MARKER}
    assert adopt.differences == (("name", "Found", "found"), ("tags", "old", MARKER))
    assert (plan.unchanged, list(plan.ambiguous)) == (1, ["twice"])
    assert [one.slug for one in plan.extra] == ["gone"]
    assert plan.uuids == {slug: f"uuid-of-{slug}" for slug in ("same", "changed", "found")}
    pruned = compare(checks, there, IDS, known=[a_check("elsewhere")], prune=True)
    assert pruned.changes == (*plan.changes, Change("delete", "gone", "uuid-of-gone"))
    assert pruned.extra == ()


def test_differences_are_said_in_one_line() -> None:
    check = a_check(channels=("email",), description="a\nb", schedule=Cron("0 3 * * *"))
    before = made(check, channels=("22222222-bbbb", "33333333-cccc"), description="", timeout=90)
    before = replace(before, schedule="", zone="", grace=90)
    (change,) = compare([check], [before], IDS).changes
    assert change.differences == (
        ("description", "none", "a\nb"),
        ("grace", "1 min 30 s", "10 min"),
        ("channels", "33333333 slack", "email"),
        ("schedule", "none", "0 3 * * *"),
        ("zone", "none", "UTC"),
        ("every", "1 min 30 s", "none"),
    )


CHECKS = st.builds(
    a_check,
    slug=st.sampled_from(["a", "b", "c", "d"]),
    name=st.text(st.characters().filter(str.isprintable), max_size=5),  # as the catalogue demands
    schedule=st.sampled_from([Every(30), Every(90), Cron("0 3 * * *"), Calendar("daily")]),
    zone=st.sampled_from(["UTC", "Europe/Kiev", "Europe/Kyiv", "Europe/Riga"]),
    grace=st.integers(60, 100),
    channels=st.lists(st.sampled_from(sorted(IDS)), unique=True).map(tuple),
    tags=st.sampled_from([(MARKER,), ("x", MARKER), ("x", "y", MARKER)]),
    description=st.sampled_from(["", "words"]),
)
CATALOGS = st.lists(CHECKS, unique_by=lambda check: check.slug)


@settings(deadline=None)
@given(before=CATALOGS, after=CATALOGS)
def test_a_second_sync_has_nothing_to_do(before: list[Check], after: list[Check]) -> None:
    """From any catalogue to any other, whatever part of the first was carried out."""
    there = {check.slug: wanted(check, IDS) for check in before}
    plan = compare(after, [remote(said) for said in there.values()], IDS, prune=True)
    for change in plan.changes:
        if change.action == "delete":
            del there[change.slug]
        else:
            old = there.get(change.slug, {})
            kinds = {"timeout": ("schedule", "tz"), "schedule": ("timeout",)}
            replaced = [name for field in change.fields for name in kinds.get(field, ())]
            kept = {name: value for name, value in old.items() if name not in replaced}
            there[change.slug] = {**kept, **change.fields}
    again = compare(after, [remote(said) for said in there.values()], IDS, prune=True)
    assert (again.changes, again.unchanged, again.extra) == ((), len(after), ())
    assert set(there) == {check.slug for check in after}
