"""Several environments in one catalogue: each with a project of its own, or all in one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hcrun.catalog import load
from hcrun.errors import CatalogError
from hcrun.settings import Settings
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcctl

CATALOGUE = """
[defaults]
environment = "production"
[environments.production]
zone = "Europe/Riga"
[environments.staging]
inherits = "production"
channels = ["mail"]
every = "5m"
env_file = "@directory@/staging.env"
[environments.staging.tiers.2]
level = "info"
grace = "1h"
[environments.staging.checks.backup]
cron = "0 5 * * *"
[environments.staging.checks.redis]
tier = "2"
[environments.development]
inherits = "production"
suffix = "-dev"
[environments.development.tiers.1]
channels = ["mail"]
[environments.development.checks.redis]
every = "2m"
[channels.mail]
kind = "email"
[channels.phone]
kind = "call"
[tiers.1]
level = "critical"
channels = ["phone"]
[tiers.2]
level = "warning"
channels = ["mail"]
[checks.redis]
tier = "1"
every = "1m"
command = "probe-redis"
[checks.api]
tier = "1"
every = "10m"
needs = ["redis"]
channels = ["phone", "mail"]
[checks.backup]
tier = "2"
cron = "0 3 * * *"
"""
# By slug: the period or the schedule, the grace, the channels, some tags.
PRODUCTION = {
    "redis": (60, 120, "phone", "severity:critical tier:1 env:production"),
    "api": (600, 1200, "mail phone", "severity:critical tier:1 env:production needs:redis"),
    "backup": ("0 3 * * *", 172800, "mail", "severity:warning tier:2 env:production"),
}
STAGING = {
    "redis": (300, 3600, "mail", "severity:info tier:2 env:staging"),
    "api": (600, 1200, "mail", "severity:critical tier:1 env:staging needs:redis"),
    "backup": ("0 5 * * *", 3600, "mail", "severity:info tier:2 env:staging"),
}
DEVELOPMENT = {
    "redis-dev": (120, 240, "mail", "severity:critical tier:1 env:development"),
    "api-dev": (
        *(600, 1200, "mail phone"),
        "severity:critical tier:1 env:development needs:redis-dev",
    ),
    "backup-dev": ("0 3 * * *", 172800, "mail", "severity:warning tier:2 env:development"),
}


class Company:
    """Production's project, which the settings are for, and staging's."""

    def __init__(self, path: Path, production: HealthchecksStub, staging: HealthchecksStub) -> None:
        self.path, self.production, self.staging = path, production, staging
        for stub in (production, staging):
            stub.add_channel("mail")
            stub.add_channel("phone", "call")
        self.write(CATALOGUE)
        (path / "staging.env").write_text(
            f"HEALTHCHECKS_API_URL={staging.api_url}\nHEALTHCHECKS_API_KEY={staging.api_key}\n"
        )

    def write(self, text: str) -> None:
        text = text.replace("@directory@", str(self.path))
        (self.path / "checks.toml").write_text(text)

    def run(self, *words: str, **env: str) -> tuple[int, str, str]:
        given = ("--catalog", str(self.path / "checks.toml"))
        done = run_hcctl(self.path, *words, *given, stub=self.production, env=env)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def company(tmp_path: Path, stub: HealthchecksStub) -> Iterator[Company]:
    with HealthchecksStub() as staging:
        yield Company(tmp_path, stub, staging)


def checks(stub: HealthchecksStub) -> dict[str, tuple[object, ...]]:
    names = {channel.id: channel.name for channel in stub.channels}
    return {
        check.slug: (
            check.schedule or check.timeout,
            check.grace,
            " ".join(sorted(names[one] for one in check.channels)),
            check.tags.removesuffix(" managed:hcrun"),
        )
        for check in stub.checks
    }


def test_a_project_for_each(company: Company) -> None:
    """--environment takes the keys of that environment, whatever the environment variables say."""
    company.write(CATALOGUE.replace('suffix = "-dev"\n', ""))
    assert company.run("sync", "--environment", "staging")[::2] == (0, "")
    assert (checks(company.staging), checks(company.production)) == (STAGING, {})
    assert company.run("sync", "--environment", "production")[::2] == (0, "")
    assert (checks(company.staging), checks(company.production)) == (STAGING, PRODUCTION)
    _, out, _ = company.run("sync", "--plan", "--prune", "--environment", "staging")
    assert out.startswith("3 unchanged (")
    assert company.run("sync", "--plan")[1].startswith("3 unchanged (")
    zones = {check.slug: check.tz for check in company.staging.checks if check.schedule}
    assert zones == {"backup": "Europe/Riga"}


def test_a_suffix_for_all_in_one(company: Company) -> None:
    assert company.run("sync")[::2] == (0, "")
    assert checks(company.production) == PRODUCTION | DEVELOPMENT
    assert company.production.by_slug("redis-dev").name == "[critical development] redis"
    out = company.run("sync", "--prune", "--environment", "development")[1]
    assert out == "3 unchanged (1 call)\n"


def test_status_and_report_select(company: Company) -> None:
    company.run("sync")
    company.run("sync", "--environment", "staging")
    for environment, slugs in (
        ("staging", set(STAGING)),
        ("development", set(DEVELOPMENT)),
        ("production", set(PRODUCTION)),
    ):
        server = company.staging if environment == "staging" else company.production
        report = [["report", "day", "--format", "json"]] if environment == "staging" else []
        for words in (["status", "--json"], *report):
            _, out, error = company.run(*words, "--environment", environment)
            said = json.loads(out)
            assert (said["server"], error) == (server.api_url, "")
            assert {check["slug"] for check in said["checks"]} == slugs
            assert {check["environment"] for check in said["checks"]} == {environment}


def test_the_jobs_of_a_host(company: Company) -> None:
    for environment, when, words in (
        ("production", "* * * * *", "redis -- probe-redis"),
        ("staging", "*/5 * * * *", "redis -- probe-redis"),
        ("development", "*/2 * * * *", "redis-dev -- probe-redis"),
    ):
        _, out, error = company.run("render", "crontab", "--environment", environment)
        lines = [line for line in out.splitlines() if " -- " in line]
        assert len(lines) == 1, error
        assert lines[0].startswith(f"{when}  ")
        assert lines[0].endswith(words)


def test_the_settings_of_a_host_name_its_environment(company: Company) -> None:
    env = {
        "HEALTHCHECKS_ENVIRONMENT": "staging",
        "HEALTHCHECKS_API_URL": company.staging.api_url,
        "HEALTHCHECKS_API_KEY": company.staging.api_key,
    }
    for words in ([], ["--environment", "staging"]):
        assert company.run("sync", *words, **env)[::2] == (0, "")
        assert (checks(company.staging), checks(company.production)) == (STAGING, {})
    code, _, error = company.run("sync", HEALTHCHECKS_ENVIRONMENT="stagin")
    assert code == 1
    assert "HEALTHCHECKS_ENVIRONMENT: " in error
    assert "no environment stagin; choose one of production, staging, development" in error


def test_the_keys_of_another_environment(company: Company) -> None:
    """They would make one environment's checks those of another."""
    company.run("sync", "--environment", "production")
    company.write(CATALOGUE.replace("env_file", "#"))
    before = checks(company.production)
    code, out, error = company.run("sync", "--environment", "staging", "--prune", "--yes")
    assert (code, out, checks(company.production)) == (1, "", before)
    assert "redis on this server is a check of production, not of staging; set env_file" in error
    code, _, error = company.run("sync", "--environment", "staging", "--plan")
    assert (code, "sync would refuse this: redis on this server" in error) == (2, True)


def test_what_cannot_be_used(company: Company) -> None:
    code, _, error = company.run("status", "--environment", "staging", "--environment=production")
    assert code == 2
    assert "--environment: staging has a project of its own; name one" in error
    (company.path / "staging.env").unlink()
    code, _, error = company.run("sync", "--environment", "staging")
    assert (code, company.staging.requests) == (1, [])
    assert f"{company.path}/staging.env: no such file" in error
    code, _, error = company.run("sync", "--environment", "stagin")
    assert code == 2
    assert "'stagin' is not in the catalogue; did you mean \"staging\"?" in error


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'inherits = "production"',
            'inherits = "produktion"',
            "environments.staging.inherits: there is no environment produktion; did you mean",
        ),
        (
            "[environments.production]\n",
            '[environments.production]\ninherits = "development"\n',
            "environments.development.inherits: it inherits, too",
        ),
        (
            "[environments.production]\n",
            '[environments.production]\nsuffix = "-x"\n',
            "environments.production.suffix: is for an environment that inherits; add inherits",
        ),
        (
            "[environments.staging.checks.redis]",
            "[environments.staging.checks.reds]",
            'checks.reds: there is no reds among the inherited checks; did you mean "redis"?',
        ),
        (
            "[environments.staging.tiers.2]",
            "[environments.staging.tiers.3]",
            "environments.staging.tiers.3: there is no 3 among the inherited tiers;",
        ),
        ('grace = "1h"', 'grcae = "1h"', 'unknown key "grcae" in [environments.staging.tiers.2]'),
        ('cron = "0 5 * * *"', 'cron = "0 5 * *"', "environments.staging.checks.backup.cron: "),
        ('suffix = "-dev"', 'suffix = "/dev"', '"redis/dev" is not a valid slug'),
        (
            'suffix = "-dev"',
            'suffix = "-dev"\nenv_file = "dev.env"',
            "environments.development.env_file: is not an absolute path; begin it with /",
        ),
        (
            "[checks.backup]",
            '[checks.redis-dev]\nevery = "1h"\n[checks.backup]',
            "with the suffix of development, it has the slug of checks.redis-dev; rename",
        ),
    ],
)
def test_mistakes(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in CATALOGUE
    path = tmp_path / "checks.toml"
    path.write_text(CATALOGUE.replace("@directory@", "").replace(old, new, 1))
    with pytest.raises(CatalogError) as caught:
        load(str(path), Settings({}, {}))
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")
