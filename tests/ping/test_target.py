"""Where a check is pinged, in all the ways to say it."""

from pathlib import Path

import pytest

from hcrun.errors import UsageError
from hcrun.ping.target import Target, lock_name, resolve, validate
from hcrun.settings import HOSTED, Settings
from tests.support.command import last_run, run_hcrun

UUID = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
KEY = "aBcDeFgHiJkLmNoPqRsTuV"
BASE = "https://hc.example.com/ping"
HOW = (
    "to the check's UUID or ping URL, or HEALTHCHECKS_PING_KEY"
    " (HEALTHCHECKS_ENABLED=false hides this message)"
)


def target(check: str, **environ: str) -> Target:
    return resolve(check, settings(environ))


def created(check: str, **environ: str) -> str:
    return resolve(check, settings(environ), create=True).address("")


def settings(environ: dict[str, str]) -> Settings:
    return Settings({"HEALTHCHECKS_PING_URL": BASE} | environ, {})


class TestUrl:
    @pytest.mark.parametrize(
        ("check", "url", "label"),
        [
            (UUID, f"{BASE}/{UUID}", "0a1b2c3d"),
            (UUID.upper(), f"{BASE}/{UUID}", "0a1b2c3d"),
            (f"{UUID}/", f"{BASE}/{UUID}", "0a1b2c3d"),
            (f"{BASE}/{UUID}", f"{BASE}/{UUID}", "0a1b2c3d"),
            (f"{BASE}/{UUID.upper()}", f"{BASE}/{UUID}", "0a1b2c3d"),
            (f"{BASE}/{UUID}//", f"{BASE}/{UUID}", "0a1b2c3d"),
            (f"{BASE}/{UUID}?rid=1#x", f"{BASE}/{UUID}", "0a1b2c3d"),
            (f"https://hc-ping.com/{UUID}", f"https://hc-ping.com/{UUID}", "0a1b2c3d"),
            (f"http://[::1]:8000/ping/{UUID}", f"http://[::1]:8000/ping/{UUID}", "0a1b2c3d"),
            (f"https://hc.bücher.example/{UUID}", f"https://hc.bücher.example/{UUID}", "0a1b2c3d"),
            (f"{BASE}/{KEY}/db-1", f"{BASE}/{KEY}/db-1", "db-1"),
            (f"{BASE}/{KEY}/DB_1/", f"{BASE}/{KEY}/db_1", "db_1"),
        ],
    )
    def test_good(self, check: str, url: str, label: str) -> None:
        validate(check)
        found = target(check)
        assert (found.url, found.label, found.why) == (url, label, "")
        by_name = target("name", HC_CHECK_NAME=check)
        assert (by_name.url, by_name.label, by_name.why) == (url, "name", "")

    @pytest.mark.parametrize(
        "check",
        [
            "https://",
            "https:///ping/x",
            "https://hc.example.com",
            "https://hc.example.com/",
            "https://hc.example.com/ping",
            f"ftp://hc.example.com/ping/{UUID}",
            f"://hc.example.com/ping/{UUID}",
            f"{BASE}/{KEY}/a b",
            f"{BASE}/{KEY}/sl.ug",
            f"{BASE}/{KEY}/{'a' * 101}",
            f"https://hc.example.com/pïng/{UUID}",
            f"https://hc.example.com\r\nX: y/{UUID}",
        ],
    )
    def test_bad(self, check: str) -> None:
        scheme = check.partition("://")[0]
        words = f"{scheme}://...: this is not a ping URL; write it like https://hc.example.com/ping/UUID"
        with pytest.raises(UsageError) as caught:
            validate(check)
        assert str(caught.value) == words
        assert target("name", HC_CHECK_NAME=check).why == (
            "name is not pinged: HC_CHECK_NAME: this is not a ping URL; write it like"
            " https://hc.example.com/ping/UUID"
        )

    @pytest.mark.parametrize("action", ["fail", "start", "log", "3"])
    def test_action(self, action: str) -> None:
        with pytest.raises(UsageError) as caught:
            validate(f"{BASE}/{UUID}/{action}")
        assert str(caught.value) == (
            f"https://...: /{action} after the UUID is not part of a ping URL; leave it out"
        )


class TestServer:
    def test_good(self) -> None:
        assert resolve(UUID, Settings({}, {})).url == f"{HOSTED}/{UUID}"
        assert target(UUID, HEALTHCHECKS_PING_URL=f"{BASE}/").url == f"{BASE}/{UUID}"
        assert target(f"{BASE}/{UUID}", HEALTHCHECKS_PING_URL="nonsense").url == f"{BASE}/{UUID}"

    @pytest.mark.parametrize(
        "base",
        [
            "hc.example.com",
            "ftp://x/ping",
            "https://",
            "/ping",
            "http://a\udcff/p",
            "http://a\nb/p",
        ],
    )
    @pytest.mark.parametrize("check", [UUID, "backup"])
    def test_bad(self, base: str, check: str) -> None:
        found = target(check, HEALTHCHECKS_PING_URL=base, HEALTHCHECKS_PING_KEY="a-ping-key")
        assert (found.url, found.label) == ("", check.lower().partition("-")[0])
        why = "HEALTHCHECKS_PING_URL: is not a URL; write https://hc.example.com/ping"
        assert found.why == f"{found.label} is not pinged: {why}"


class TestName:
    @pytest.mark.parametrize(
        ("check", "variable"),
        [
            ("backup", "HC_CHECK_BACKUP"),
            ("db-backup-1", "HC_CHECK_DB_BACKUP_1"),
            ("DB_Backup", "HC_CHECK_DB_BACKUP"),
        ],
    )
    def test_variable(self, check: str, variable: str) -> None:
        found = target(check, HEALTHCHECKS_PING_KEY=KEY, **{variable: UUID})
        assert (found.url, found.label) == (f"{BASE}/{UUID}", check)

    def test_slug(self) -> None:
        found = target("DB-Backup_1", HEALTHCHECKS_PING_KEY=KEY)
        assert (found.url, found.label) == (f"{BASE}/{KEY}/db-backup_1", "DB-Backup_1")

    def test_create(self) -> None:
        slug, uuid = f"{BASE}/{KEY}/backup", f"{BASE}/{UUID}"
        assert created("backup", HEALTHCHECKS_PING_KEY=KEY) == f"{slug}?create=1"
        assert created(slug) == f"{slug}?create=1"
        assert created("x", HC_CHECK_X=slug) == f"{slug}?create=1"
        assert created(uuid) == uuid
        assert created("x", HC_CHECK_X=UUID) == uuid

    def test_address(self) -> None:
        found = target("backup", HEALTHCHECKS_PING_KEY=KEY)
        assert found.address("/3") == f"{BASE}/{KEY}/backup/3"
        assert found.address("/start", "R") == f"{BASE}/{KEY}/backup/start?rid=R"
        found.create = True
        assert found.address("", "R") == f"{BASE}/{KEY}/backup?create=1&rid=R"

    def test_no_way_to_ping(self) -> None:
        found = target("db-backup")
        assert (found.url, found.label) == ("", "db-backup")
        assert found.why == f"db-backup is not pinged: set HC_CHECK_DB_BACKUP {HOW}"

    @pytest.mark.parametrize("value", ["backup", UUID[:-1], f"{UUID}0", UUID.replace("a", "g")])
    def test_variable_without_uuid(self, value: str) -> None:
        found = target("x", HC_CHECK_X=value, HEALTHCHECKS_PING_KEY=KEY)
        assert found.url == ""
        assert found.why == (
            "x is not pinged: HC_CHECK_X: is neither a UUID nor a ping URL; copy it from the"
            " check's page"
        )

    def test_key_that_is_none(self) -> None:
        assert target("x", HEALTHCHECKS_PING_KEY=f"{BASE}/{KEY}").why == (
            "x is not pinged: HEALTHCHECKS_PING_KEY: is not a ping key; copy it from the"
            " project's page"
        )

    def test_secret_that_cannot_be_read(self, tmp_path: Path) -> None:
        found = target("x", HEALTHCHECKS_PING_KEY_FILE=f"{tmp_path}/key")
        assert found.why == (
            f"x is not pinged: HEALTHCHECKS_PING_KEY_FILE: {tmp_path}/key: No such file or"
            " directory;"
            " check the path and who may read it"
        )

    def test_switched_off(self) -> None:
        found = target("x", HEALTHCHECKS_ENABLED="false", HC_CHECK_X=UUID)
        assert (found.label, found.url, found.why) == ("x", "", "")

    @pytest.mark.parametrize("check", ["a", "a" * 100, "0", "_", "Ab-1_"])
    def test_good(self, check: str) -> None:
        validate(check)

    @pytest.mark.parametrize(
        ("check", "words"),
        [
            ("", "the name of the check is empty"),
            ("my check", "'my check' is not a check"),
            ("naïve", "'naïve' is not a check"),
            ("a.b", "'a.b' is not a check"),
            ("a" * 101, f"'{'a' * 101}' is not a check"),
            ("İ", "'İ' is not a check"),
        ],
    )
    def test_bad(self, check: str, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            validate(check)
        hint = "give a name of letters, digits, - and _, a UUID, or a ping URL"
        assert str(caught.value) == f"{words}; {hint}"

    def test_url_without_scheme_is_not_repeated(self) -> None:
        with pytest.raises(UsageError) as caught:
            validate(f"hc.example.com/ping/{UUID}")
        assert str(caught.value) == (
            "the name of a check has no /; a ping URL begins with https:// or http://"
        )


def test_what_is_secret() -> None:
    assert UUID in target(UUID.upper()).secrets
    assert UUID.upper() in target(UUID.upper()).secrets
    assert KEY in target("x", HEALTHCHECKS_PING_KEY=KEY).secrets
    assert KEY in target(f"{BASE}/{KEY}/x").secrets


def test_lock_name() -> None:
    names = {lock_name(check) for check in (UUID, f"{BASE}/{UUID}", "backup", "back-up", "a" * 100)}
    assert len(names) == 5
    assert lock_name("backup") == "backup-32afa6df" == lock_name("Backup/")
    assert not [name for name in names if UUID in name or "/" in name or len(name) > 60]


def test_a_run_that_is_not_pinged(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "db", "--", "echo", "ran", env={"HEALTHCHECKS_ENABLED": ""})
    line = f"hcrun: db is not pinged: set HC_CHECK_DB {HOW}\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (0, b"ran\n", line)
    assert last_run(tmp_path).check == "db"
