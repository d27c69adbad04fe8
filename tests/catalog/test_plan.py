"""The fourteen checks of docs/plan.md are in the shipped catalogue as they are there."""

from pathlib import Path

import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.errors import SettingsError
from hcrun.settings import Settings
from hcrun.sync.plan import wanted

# slug, name, tags, seconds or cron, grace in seconds, description
PLAN = (Path(__file__).parent / "plan.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", PLAN.splitlines(), ids=lambda line: line.partition("|")[0])
def test_a_check_of_the_plan(line: str) -> None:
    slug, name, tags, when, grace, description = line.split("|")
    catalog = load(SHIPPED, Settings({}, {}))
    (check,) = (one for one in catalog.checks if one.slug == slug)
    sent = wanted(check, {channel: channel for channel in catalog.channels})
    # The server adds no severity to an alert, so the name has it; it accepts 60 s and more.
    assert sent["name"] == f"[{check.severity} production] {name}"
    assert set(tags.split()) <= set(sent["tags"].split())
    assert f"\n\n{description}\n\n" in sent["desc"]
    assert sent["grace"] == int(grace)
    expected = {"timeout": max(60, int(when))} if when.isdigit() else {"schedule": when}
    assert expected.items() <= sent.items()
    if when.isdigit():
        assert check.schedule.seconds == int(when)  # type: ignore[union-attr]


NIGHTLY = """
[channels.chat]
kind = "slack"
url_secret = "HEALTHCHECKS_SLACK_WEBHOOK"
[channels.mail]
kind = "email"
address = "ops@example.com"
[tiers.1]
channels = ["mail", "chat"]
[checks.nightly]
tier = "1"
cron = "0 2 * * *"
grace = "1h"
"""


def test_settings_that_the_catalogue_obeys(tmp_path: Path) -> None:
    path = tmp_path / "checks.toml"
    path.write_text(NIGHTLY)

    def nightly(**environ: str) -> tuple[str, tuple[str, ...], list[str]]:
        names = {f"HEALTHCHECKS_{name}": value for name, value in environ.items()}
        catalog = load(str(path), Settings(names, {}))
        (check,) = catalog.checks
        return check.zone, check.channels, [*catalog.channels]

    assert nightly() == ("UTC", ("mail", "chat"), ["chat", "mail"])
    assert nightly(TIMEZONE="Europe/Riga", PAGERDUTY_ENABLED="false")[:2] == (
        "Europe/Riga",
        ("mail", "chat"),
    )
    assert nightly(SLACK_ENABLED="false  # no") == ("UTC", ("mail",), ["mail"])
    with pytest.raises(SettingsError, match=r'^HEALTHCHECKS_TIMEZONE: "Riga" is not a time zone; '):
        nightly(TIMEZONE="Riga")
