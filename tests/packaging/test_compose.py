"""compose.yaml, .env.example and docs/server.md against the real docker-compose and the settings
that the server has.

The names of the settings are facts of Healthchecks v4.3; with HC_REAL_SOURCE, a directory with its
source, they are compared with it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.catalog.schedule import Cron
from hcrun.settings import Settings, parse_env_file
from probes.framework.options import Source
from probes.framework.probe import Probe
from scripts.docs.probe_pages import scripts, variables
from tests.support import real

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).parent / "docker-compose"
EXAMPLE = (ROOT / ".env.example").read_text()
PAGE = (ROOT / "docs" / "server.md").read_text()


def words(text: str) -> set[str]:
    return set(text.split())


BOOLEANS = words(
    """APPRISE_ENABLED DEBUG EMAIL_USE_SSL EMAIL_USE_TLS EMAIL_USE_VERIFICATION
    INTEGRATIONS_ALLOW_PRIVATE_IPS MATTERMOST_ENABLED MSTEAMS_ENABLED OPSGENIE_ENABLED
    PAGERTREE_ENABLED PD_ENABLED PROMETHEUS_ENABLED REGISTRATION_OPEN ROCKETCHAT_ENABLED S3_SECURE
    SHELL_ENABLED SLACK_ENABLED SPIKE_ENABLED TWILIO_USE_WHATSAPP USE_GZIP_MIDDLEWARE USE_PAYMENTS
    VICTOROPS_ENABLED WEBHOOKS_ENABLED ZULIP_ENABLED"""
)
NUMBERS = words("DB_CONN_MAX_AGE EMAIL_PORT PING_BODY_LIMIT S3_TIMEOUT")
# These, and no others, may be given as NAME_FILE.
SECRETS = words(
    """DB_PASSWORD DISCORD_CLIENT_SECRET EMAIL_HOST_PASSWORD GITHUB_CLIENT_SECRET
    GITHUB_PRIVATE_KEY MATRIX_ACCESS_TOKEN NTFY_SH_TOKEN PUSHBULLET_CLIENT_SECRET
    PUSHOVER_API_TOKEN S3_SECRET_KEY SECRET_KEY SLACK_CLIENT_SECRET TELEGRAM_TOKEN TRELLO_APP_KEY
    TWILIO_AUTH"""
)
WORDS = words(
    """ADMINS ALLOWED_HOSTS DB DB_HOST DB_NAME DB_PORT DB_SSLMODE DB_TARGET_SESSION_ATTRS DB_USER
    DEFAULT_FROM_EMAIL DISCORD_CLIENT_ID EMAIL_HOST EMAIL_HOST_USER EMAIL_MAIL_FROM_TMPL
    GITHUB_CLIENT_ID GITHUB_PUBLIC_LINK MASTER_BADGE_LABEL MATRIX_HOMESERVER MATRIX_USER_ID
    METRICS_KEY PD_APP_ID PING_EMAIL_DOMAIN PING_ENDPOINT PUSHBULLET_CLIENT_ID
    PUSHOVER_EMERGENCY_EXPIRATION PUSHOVER_EMERGENCY_RETRY_DELAY PUSHOVER_SUBSCRIPTION_URL
    REMOTE_USER_HEADER RP_ID S3_ACCESS_KEY S3_BUCKET S3_ENDPOINT S3_REGION SECURE_PROXY_SSL_HEADER
    SIGNAL_CLI_SOCKET SITE_LOGO_URL SITE_NAME SITE_ROOT SLACK_CLIENT_ID STATSD_HOST SUPPORT_EMAIL
    TELEGRAM_BOT_NAME TWILIO_ACCOUNT TWILIO_FROM TWILIO_MESSAGING_SERVICE_SID
    WHATSAPP_DOWN_CONTENT_SID WHATSAPP_UP_CONTENT_SID"""
)
SETTINGS = BOOLEANS | NUMBERS | SECRETS | WORDS
# Read by the image's uwsgi and its configuration, not by the server's settings.
SWITCHES = {"HEALTHCHECKS_SLACK_ENABLED", "HEALTHCHECKS_PAGERDUTY_ENABLED"}  # local_settings
IMAGE = {"UWSGI_LISTEN", "UWSGI_DISABLE_LOGGING", "SMTPD_PORT"}


def config(directory: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """`docker compose config`, in a directory with nothing but our files."""
    if not COMPOSE.exists():
        pytest.skip("no docker-compose for this machine on PyPI")
    shutil.copy(ROOT / "compose.yaml", directory)
    return subprocess.run(
        [COMPOSE, "config", "--format", "json"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)} | values,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of it, as docker-compose understands it, with the example's values."""
    directory = tmp_path_factory.mktemp("compose")
    shutil.copy(ROOT / ".env.example", directory / ".env")
    done = config(directory)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def services(composed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = composed["services"]
    return found


def test_nothing_starts_without_an_address(tmp_path: Path) -> None:
    done = config(tmp_path)
    assert done.returncode != 0
    assert "HEALTHCHECKS_HOST is missing a value: https://hc.example.com" in done.stderr
    assert (
        "HEALTHCHECKS_ALLOWED_HOSTS is missing a value: the host of HEALTHCHECKS_HOST; see"
        in done.stderr
    )


def test_images_are_pinned(services: dict[str, Any]) -> None:
    assert {name: service["image"] for name, service in services.items()} == {
        "healthchecks": "healthchecks/healthchecks:v4.3",
        "healthchecks-db": "postgres:17.10",
    }


def test_ports_are_on_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service["ports"]]
    assert sorted((p["host_ip"], p["published"], p["target"]) for p in ports) == [
        ("127.0.0.1", "2525", 2525),
        ("127.0.0.1", "5433", 5432),
        ("127.0.0.1", "8000", 8000),
    ]


def test_applications_reach_the_server(tmp_path: Path) -> None:
    """By its own network, or by one that exists; the database is in neither."""
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    cases: tuple[tuple[dict[str, str], str, bool | None], ...] = (
        ({}, "healthchecks_apps", None),
        ({"APPS_NETWORK": "shop_default", "APPS_NETWORK_EXTERNAL": "true"}, "shop_default", True),
    )
    for given, name, is_external in cases:
        done = config(tmp_path, **given)
        found = json.loads(done.stdout)
        network = found["networks"]["apps"]
        assert (network["name"], network.get("external")) == (name, is_external)
        assert set(found["services"]["healthchecks"]["networks"]) == {"default", "apps"}
        assert set(found["services"]["healthchecks-db"]["networks"]) == {"default"}


def test_services_are_looked_after(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["restart"] == "unless-stopped"
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
        assert int(service["mem_limit"]) >= 512 * 1024**2
        assert service["healthcheck"]["test"][0] == "CMD"
        assert "curl" not in str(service["healthcheck"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert (
        services["healthchecks"]["depends_on"]["healthchecks-db"]["condition"] == "service_healthy"
    )
    (volume,) = services["healthchecks-db"]["volumes"]
    assert (volume["type"], volume["target"]) == ("volume", "/var/lib/postgresql/data")


def test_load_settings(services: dict[str, Any]) -> None:
    """Measured: without them half of 1,000 pings of the same instant are lost."""
    server = services["healthchecks"]
    assert server["environment"]["DB_CONN_MAX_AGE"] == "60"
    listen = server["environment"]["UWSGI_LISTEN"]
    assert server["sysctls"]["net.core.somaxconn"] == listen == "1024"


def test_secrets_are_files(composed: dict[str, Any], services: dict[str, Any]) -> None:
    by_setting = {
        "secret_key": "HEALTHCHECKS_SECRET_KEY",
        "db_password": "HEALTHCHECKS_DB_PASSWORD",
    }
    for name, secret in composed["secrets"].items():
        setting = by_setting.get(name)
        assert secret.get("environment") == setting
        assert setting or secret["file"].endswith(f"/secrets/{name}")
    for service in services.values():
        files = [*service["secrets"], *service.get("configs", ())]
        mounted = {secret["target"] for secret in files}
        for name, value in service["environment"].items():
            assert name not in SECRETS | {"METRICS_KEY", "POSTGRES_PASSWORD"}
            if name.endswith("_FILE"):
                assert value in mounted


def test_local_settings(
    composed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics_key").write_text("k3y\n")
    code = composed["configs"]["local_settings"]["content"]
    names: dict[str, object] = {}
    monkeypatch.setenv("HEALTHCHECKS_SLACK_ENABLED", "True")
    monkeypatch.setenv("HEALTHCHECKS_PAGERDUTY_ENABLED", "false")
    exec(code.replace("/run/secrets", str(tmp_path)), names)  # noqa: S102 - as Django does
    public = {name: value for name, value in names.items() if not name.startswith("_")}
    assert public == {"METRICS_KEY": "k3y", "SLACK_ENABLED": True, "PD_ENABLED": False}


def test_every_variable_is_one_of_the_server(services: dict[str, Any]) -> None:
    for name, value in services["healthchecks"]["environment"].items():
        if name.endswith("_FILE"):
            assert name.removesuffix("_FILE") in SECRETS
            continue
        assert name in SETTINGS | IMAGE | SWITCHES
        if name in BOOLEANS:
            assert value in {"True", "False"}
        if name in NUMBERS:
            assert value.isdigit()


def test_every_variable_of_compose_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)|\{environment: (\w+)", (ROOT / "compose.yaml").read_text()))
    server, _, _ = EXAMPLE.partition("# Settings of the hosts")
    assert set(re.findall(r"^#?([A-Z_]+)=", server, re.MULTILINE)) == {
        one or other for one, other in used
    }


def test_defaults_in_the_example_are_those_of_compose(tmp_path: Path) -> None:
    """What is commented out has the value shown."""
    hosts = ("https://hc.example.com", "hc.example.com")
    required = dict(zip(("HEALTHCHECKS_HOST", "HEALTHCHECKS_ALLOWED_HOSTS"), hosts, strict=True))
    server, _, _ = EXAMPLE.partition("# Settings of the hosts")
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)$", server, re.MULTILINE))
    bare, full = config(tmp_path, **required), config(tmp_path, **required, **shown)
    assert len(shown) > 5
    assert bare.stdout == full.stdout
    assert bare.returncode == 0


def shown_to_hosts() -> dict[str, str]:
    """The settings of the hosts in the example, with the values shown."""
    hosts = EXAMPLE[EXAMPLE.index("# Settings of the hosts") :]
    text = re.sub(r"^#(?=[A-Z_0-9]+=)", "", hosts, flags=re.MULTILINE)
    values, wrong = parse_env_file(text, ".env.example")
    assert wrong == []
    assert len(values) == len(re.findall(r"^[A-Z_0-9]+=", text, re.MULTILINE))
    return values


PROBES = [script.probe for script in scripts() if script.probe]


def test_every_variable_of_the_hosts_is_read() -> None:
    files = [*(ROOT / "hcrun").rglob("*.py"), ROOT / "hcrun" / "variables.toml"]
    source = "".join(path.read_text() for path in files)
    known = set(re.findall(r"(?:HEALTHCHECKS|HCRUN)_[A-Z_0-9]+", source))
    known |= set(re.findall(r'_secret = "(\w+)"', (ROOT / "hcrun" / "checks.toml").read_text()))
    known |= {name for probe in PROBES for name in variables(probe)}
    for name in shown_to_hosts():
        assert {name, name.removesuffix("_FILE")} & known or name.startswith("HC_CHECK_")


def options_of(probe: Probe, file: Path) -> Mapping[str, Any]:
    """Of a probe that has the values shown, with `file` for each file in them."""
    file.write_text("secret")
    shown = {name: each for name, each in shown_to_hosts().items() if "_URL_" not in name}
    files = re.compile(
        r".*_FILE|.*_(CERT|CERTFILE|CA|CAFILE|BUNDLE|CACERT|ROOTCERT|KEYFILE|TLS_KEY)"
    )
    values = {name: str(file) if files.fullmatch(name) else each for name, each in shown.items()}
    return probe.prepare([], Source(Settings({}, values), probe.url)).options


@pytest.mark.parametrize("probe", PROBES, ids=[probe.name for probe in PROBES])
def test_every_variable_of_a_probe_is_shown(probe: Probe, tmp_path: Path) -> None:
    """And the probe accepts the values."""
    names = {each for name in shown_to_hosts() for each in (name, name.removesuffix("_FILE"))}
    missing = [name for name in variables(probe) if name not in names | {"HC_CHECK_TENANT_NAME"}]
    assert not missing, "add them to the end of .env.example"
    options_of(probe, tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("http", "port", 4999),
        ("http", "path", "/health"),
        ("redis", "db", (0, 2, 3, 4)),
        ("redis", "port", 6379),
        ("celery", "expect", ("sso",)),
        ("celery", "queues", ("celery", "sso", "maintenance")),
        ("celery-beat", "schedule", "/tmp/celerybeat-schedule"),
        ("kafka", "bootstrap_servers", ("127.0.0.1:9092",)),
        ("kafka", "topics", ("tenant.created", "document.uploaded", "file.process")),
        ("minio", "endpoint", "http://127.0.0.1:9000"),
        ("minio", "bucket", "saas-documents"),
        ("vault", "url", "http://127.0.0.1:8201"),
        ("zookeeper", "hosts", ("127.0.0.1:2181",)),
    ],
)
def test_the_services_are_those_of_the_catalogue(
    name: str, option: str, value: object, tmp_path: Path
) -> None:
    [probe] = [probe for probe in PROBES if probe.name == name]
    assert options_of(probe, tmp_path / "file")[option] == value


def test_the_api_is_that_of_the_catalogue(tmp_path: Path) -> None:
    [http] = [probe for probe in PROBES if probe.name == "http"]
    assert http.prepare([], Source(Settings({}, {}))).options["port"] == 4999
    paths = [endpoint.path for endpoint in options_of(http, tmp_path / "file")["endpoint"]]
    assert paths == ["/api/auth/health", "/api/tenants/health", "/api/users/health"]


def test_page_does_not_deny_what_exists() -> None:
    table = PAGE.partition("## Settings that do not exist")[2].partition("\n## ")[0]
    settings = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)[2:]
    assert len(settings) > 8
    for setting in settings:
        for name in re.findall(r"`([A-Z_]{3,})`", setting):
            assert name not in SETTINGS
            assert name.removesuffix("_FILE") not in SECRETS
    for name in re.findall(r"`(DB(?:_[A-Z]+)?|[A-Z]+_KEY|EMAIL_[A-Z_]+)`", PAGE):
        assert name in SETTINGS or f"`{name}`" in table


@pytest.mark.real("HC_REAL_SOURCE")
def test_settings_are_those_of_the_source() -> None:
    source = real.setting("SOURCE")
    text = (Path(source) / "hc" / "settings.py").read_text()

    def read_by(function: str) -> set[str]:
        return set(re.findall(rf'\b{function}\(\s*"([A-Z0-9_]+)"', text))

    assert read_by("envbool") == BOOLEANS
    assert read_by("envint") == NUMBERS
    assert read_by("envsecret") == SECRETS
    assert read_by("getenv") == WORDS
    docker = Path(source) / "docker"
    assert not re.search(r"\bcurl\b", (docker / "Dockerfile").read_text())
    assert "if-env = SMTPD_PORT" in (docker / "uwsgi.ini").read_text()


def test_scripts_of_the_page_are_scripts() -> None:
    scripts = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(scripts) > 5
    for script in scripts:
        done = subprocess.run(
            ["sh", "-n"], input=script, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), script


def test_the_backup_of_the_page_is_that_of_the_catalogue() -> None:
    (check,) = [one for one in load(SHIPPED).checks if one.slug == "healthchecks-backup"]
    line = check.command[-1]
    section = PAGE.partition("## Backup\n")[2].partition("\n## ")[0]
    assert check.user in section
    assert isinstance(check.schedule, Cron)
    minute, hour, *_ = check.schedule.expression.split()
    assert f"at {hour:0>2}:{minute} {check.zone}" in section
    for words in ("/srv/healthchecks", "/var/backups/healthchecks", "pg_restore --list"):
        assert words in line
        assert words in section
    (dump,) = re.findall(r"exec -T healthchecks-db (pg_dump .*) > hc.dump", section)
    assert dump in line
