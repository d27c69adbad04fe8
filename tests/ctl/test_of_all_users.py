"""Root's status, history and report show the runs of the users whose jobs run on this host."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import HCCTL, HCRUN, PATIENCE

USERS = {"daemon": 1, "games": 5}  # of every Debian
# A system with these crontabs only, and no journal of root.
OWN = 'mount --bind "$1" /etc/cron.d && mount -t tmpfs tmpfs /var/lib && shift && exec "$@"'


def possible() -> bool:
    if os.geteuid():
        return False
    tried = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/var/lib"]
    return not subprocess.run(tried, capture_output=True, check=False).returncode


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not possible(), reason="needs root, and a mount namespace"),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Two users, each with a journal and a crontab."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "cron.d").mkdir()
        for user, uid in USERS.items():
            state = path / user
            state.mkdir(mode=0o700)
            words = [HCRUN, "backup", "--", "sh", "-c", f"echo of {user}; exit {uid - 1}"]
            env = {"STATE_DIRECTORY": str(state), "HEALTHCHECKS_ENABLED": "false"}
            subprocess.run(words, env=env, capture_output=True, check=False, timeout=PATIENCE)
            for file in (state, *state.iterdir()):
                os.chown(file, uid, uid)
            (path / "cron.d" / user).write_text(
                f"STATE_DIRECTORY={state}\n* * * * * {user} hcrun backup -- true\n"
            )
        yield path


def hcctl(place: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", OWN, "sh", str(place / "cron.d"), HCCTL, *words],
        env={"PATH": os.environ["PATH"], "HEALTHCHECKS_ENABLED": "false", "TZ": "UTC0"} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE,
    )


def test_status(place: Path) -> None:
    """A check that two users run is one, with the runs of both."""
    said = json.loads(hcctl(place, "status", "--json").stdout)
    assert set(said["journal"].split(", ")) == {f"{place}/{user}/journal.db" for user in USERS}
    (check,) = said["checks"]
    assert (check["slug"], check["error_count_24h"], check["success_rate_7d"]) == ("backup", 1, 0.5)
    assert check["last_failure"]["said"] == "of games"


def test_report(place: Path) -> None:
    today = re.sub(r"T.*", "", json.loads(hcctl(place, "status", "--json").stdout)["at"])
    done = hcctl(place, "report", f"{today}..{today}", "--format", "json")
    (check,) = json.loads(done.stdout)["checks"]
    assert check["now"]["runs"] == {"success": 1, "fail": 1}


def test_history(place: Path) -> None:
    lines = hcctl(place, "history").stdout.splitlines()
    assert len(lines) == 2
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  \w+ +backup  ", one) for one in lines)
    first, last = (line.split()[-1] for line in lines)
    assert hcctl(place, "history", "--output", first).stdout == "of daemon\n"
    assert hcctl(place, "history", "--output", last).stdout == "of games\n"
    assert len(json.loads(hcctl(place, "history", "--failed", "--json").stdout)) == 1


def test_one_of_its_own(place: Path) -> None:
    """STATE_DIRECTORY names one; without any, there is nothing to show."""
    state = str(place / "daemon")
    (run,) = json.loads(hcctl(place, "history", "--json", STATE_DIRECTORY=state).stdout)
    assert run["output"]["head"] == "of daemon\n"
    done = hcctl(place, "history", STATE_DIRECTORY="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "/nowhere/journal.db: there is no journal" in done.stderr


def test_one_that_cannot_be_read(place: Path) -> None:
    """It is said, and those of the others are shown."""
    broken = place / "games" / "journal.db"
    kept = broken.read_bytes()
    try:
        broken.write_bytes(b"nonsense" * 1000)
        for file in place.glob("games/journal.db-*"):
            shutil.move(file, place / file.name)
        done = hcctl(place, "status")
        assert re.search(r"^backup +up ", done.stdout, re.M)
        assert done.stderr.startswith(f"hcctl: {broken}: ")
        assert done.returncode == 1
        done = hcctl(place, "history")
        assert len(done.stdout.splitlines()) == 1
        assert done.stderr.startswith(f"hcctl: {broken}: ")
    finally:
        broken.write_bytes(kept)
        for file in place.glob("journal.db-*"):
            shutil.move(file, place / "games" / file.name)
