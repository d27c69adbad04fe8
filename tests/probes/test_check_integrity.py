"""probe-integrity, through its command line, on files that change."""

import os
import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.check_integrity import expand
from tests.servers.process import Command, Ran

pytestmark = pytest.mark.slow

Probe = Callable[..., Ran]


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "sudoers.d").mkdir(parents=True)
    (etc / "sudoers").write_text("root ALL=(ALL) ALL\n")
    (etc / "sudoers.d" / "app").write_text("app ALL=(root) NOPASSWD: /bin/true\n")
    (etc / "cron.hourly").mkdir()
    return etc


@pytest.fixture
def probe(etc: Path, tmp_path: Path) -> Probe:
    command = Command("probe-integrity", tmp_path)
    command.environ["PROBE_INTEGRITY_PATHS"] = f"{etc}/sudoers,{etc}/sudoers.d,{etc}/cron.*"
    command.environ["STATE_DIRECTORY"] = str(tmp_path / "state")
    assert command().line == (
        "INTEGRITY OK - first run, 2 files recorded | changed=0;0;;0 files=2;;;0"
    )
    assert command().line == "INTEGRITY OK - 2 files as before | changed=0;0;;0 files=2;;;0"
    return command


def append(etc: Path) -> str:
    with (etc / "sudoers").open("a") as file:
        file.write("eve ALL=(ALL) NOPASSWD: ALL\n")
    return "/etc/sudoers changed at "


def add(etc: Path) -> str:
    (etc / "cron.hourly" / "x").write_text("#!/bin/sh\n")
    return "/etc/cron.hourly/x is new (changed at "


def remove(etc: Path) -> str:
    (etc / "sudoers.d" / "app").unlink()
    return "/etc/sudoers.d/app was removed before "


def chmod(etc: Path) -> str:
    (etc / "sudoers.d" / "app").chmod(0o666)
    return "/etc/sudoers.d/app changed at "


def link(etc: Path) -> str:
    (etc / "sudoers.d" / "app").unlink()
    (etc / "sudoers.d" / "app").symlink_to("/dev/zero")
    return "/etc/sudoers.d/app changed at "


def same_size_and_time(etc: Path) -> str:
    path = etc / "sudoers.d" / "app"
    before = path.stat()
    path.write_text(path.read_text().replace("/bin/true", "/bin/dash"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return "/etc/sudoers.d/app changed at "


@pytest.mark.parametrize("change", [append, add, remove, chmod, link, same_size_and_time])
def test_a_change_is_named_for_an_hour(
    change: Callable[[Path], str], probe: Probe, etc: Path
) -> None:
    words = change(etc)
    for _ in range(2):
        ran = probe()
        assert ran.status == 1
        assert words in ran.line
        assert " | changed=1;0;;0 " in ran.line
    assert probe("--changed-critical", "0").status == 2


def test_it_ends_after_an_hour(probe: Probe, etc: Path, tmp_path: Path) -> None:
    append(etc)
    assert probe().status == 1
    (state,) = tmp_path.glob("state/**/integrity-*.json")
    text = state.read_text()
    at = text.index('"changes": [[') + len('"changes": [[')
    seen = float(text[at : text.index(",", at)])
    state.write_text(text.replace(str(seen), str(seen - 3601)))
    assert probe().status == 0


def test_nothing_to_report_on_many_runs(probe: Probe, etc: Path) -> None:
    """As root reads them all day, with files that are read, linked to and touched beside them."""
    for _ in range(20):
        (etc / "sudoers").read_text()
        (etc / f"other-{random.random()}").write_text("x")
        assert probe().status == 0


def test_a_user_who_may_not_read(tmp_path: Path) -> None:
    """UNKNOWN, and neither a false word now nor one when it can be read again."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        home = Path(directory)
        for name, mode in (("keys", 0o755), ("state", 0o777), ("", 0o755)):
            (home / name).mkdir(exist_ok=True)
            (home / name).chmod(mode)
        (home / "keys" / "authorized_keys").write_text("ssh-ed25519 AAAA me\n")

        def run() -> Ran:
            command = Command("probe-integrity", tmp_path)
            environ = {
                "PROBE_INTEGRITY_PATHS": f"{home}/keys/*",
                "STATE_DIRECTORY": f"{home}/state",
            }
            user = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--clear-groups"]
            done = subprocess.run(
                [*user, command.script],
                env=command.environ | environ,
                capture_output=True,
                text=True,
                check=False,
            )
            return Ran(done.returncode, done.stdout.strip(), 0.0)

        assert run().status == 0
        for unreadable, mode in (("keys/authorized_keys", 0), ("keys", 0)):
            (home / unreadable).chmod(mode)
            ran = run()
            assert ran.status == 3, ran
            assert f"cannot read {home}/{unreadable}; run it as root" in ran.line
            (home / unreadable).chmod(0o755)
            assert "mode or owner of" in run().line or unreadable == "keys"


def test_expand_says_what_it_cannot_see(monkeypatch: pytest.MonkeyPatch, etc: Path) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    unreadable: set[str] = set()
    monkeypatch.setattr(os, "listdir", refuse)
    assert list(expand(f"{etc}/*/authorized_keys", unreadable)) == []
    assert unreadable == {str(etc)}


def test_a_state_that_is_no_state(probe: Probe, tmp_path: Path) -> None:
    (state,) = tmp_path.glob("state/**/integrity-*.json")
    for text in ("", "[]", '{"files": 1, "changes": []}', '{"files": {}, "changes": [1]}'):
        state.write_text(text)
        assert "first run, 2 files recorded" in probe().line
