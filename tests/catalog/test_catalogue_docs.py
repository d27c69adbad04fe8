"""docs/catalogue.md: its keys exist, its example works, its table is that of the catalogue."""

import re
from pathlib import Path

import pytest

from hcrun.catalog import SHIPPED, Check, load
from hcrun.catalog.schedule import Cron, Every
from hcrun.errors import CatalogError
from hcrun.settings import Settings
from hcrun.units import span

PAGE = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
NONE = Settings({}, {})


def documented(heading: str) -> set[str]:
    """The keys in the first table after these words."""
    table = re.search(r"\n\|(?: key).*?\n\n", PAGE[PAGE.index(heading) :], re.S)
    assert table
    cells = re.findall(r"^\| ([^|]+) \|", table[0], re.M)[1:]
    return set(re.findall(r"`(\w+)`", " ".join(cells)))


def there_are(tmp_path: Path, table: str) -> set[str]:
    """The keys that the catalogue names when it is given one that is not there."""
    path = tmp_path / "checks.toml"
    every = 'every = "1m"' if "checks" in table else ""
    path.write_text(f"{table}\n{every}\nqqqqqq = 1")
    with pytest.raises(CatalogError) as caught:
        load(str(path), NONE)
    errors = caught.value.problems or (caught.value,)
    [hint] = [error.hint for error in errors if "qqqqqq" in error.what]
    return set(hint.removeprefix("the keys are ").split(", "))


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("`[checks.SLUG]`", "[checks.a]"),
        ("`[tiers.NAME]`\n", "[tiers.a]"),
        ("`[environments.NAME]`\n", "[environments.a]"),
        ("`[defaults]`\n", "[defaults]"),
    ],
)
def test_all_keys_are_in_it_and_no_others(heading: str, table: str, tmp_path: Path) -> None:
    assert documented(heading) == there_are(tmp_path, table)


def test_its_example_is_right(tmp_path: Path) -> None:
    example, environments = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    path = tmp_path / "checks.toml"
    email = "[channels.email]\nkind = 'email'\n"
    path.write_text(email + environments + "[checks.backup]\ncron = '0 3 * * *'\n")
    found = load(str(path), NONE)
    assert [check.slug for check in found.checks] == ["backup", "backup-dev"]
    (staging,) = found.projects["staging"]
    assert (staging.schedule, staging.zone) == (Cron("0 5 * * *"), "Europe/Riga")
    path.write_text(example)
    redis, backup, tokens = load(str(path), NONE).checks
    assert (redis.grace, redis.user, redis.channels) == (120, "app", ("ops",))
    assert (backup.user, backup.channels) == ("postgres", ())
    assert tokens.command == ()


def row(check: Check) -> str:
    when = check.schedule
    words = f"every {span(when.seconds)}" if isinstance(when, Every) else f"`{when.expression}`"
    probe = f"`{check.command[0]}`" if check.command else "the application pings it"
    timeout = span(check.timeout) if check.timeout else ""
    return f"| {check.tier} `{check.slug}` | {words} | {timeout} | {span(check.grace)} | {probe} |"


def test_its_table_is_the_plan() -> None:
    rows = [row(check) for check in load(SHIPPED, NONE).checks]
    assert re.findall(r"^\| \w+ `.*\|$", PAGE, re.M) == rows


def test_what_is_commented_in_the_catalogue_is_right(tmp_path: Path) -> None:
    text = Path(str(SHIPPED)).read_text()
    path = tmp_path / "checks.toml"
    path.write_text(re.sub(r"^#(?=\S|    )", "", text, flags=re.M))
    more = {check.slug for check in load(str(path), NONE).checks}
    shipped = {check.slug for check in load(str(SHIPPED), NONE).checks}
    fleet = {"ship", "fleet", "fleet-prune"}
    assert more - shipped == {"data-freshness", "new-documents", "key-age"} | fleet
    assert all(f"`{slug}`" in PAGE for slug in more)
