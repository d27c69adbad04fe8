"""Completion by Tab: what is offered, and what bash makes of it."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.docs.completion import FILE, lines
from tests.support.command import HCCTL, PATIENCE, environment, run_hcrun

CATALOGUE = """
[defaults]
environment = "production"
[environments.production]
[environments.staging]
inherits = "production"
suffix = "-staging"
[ tiers . 1 ]
level = "critical"
[tiers."night shift"]
[checks.redis]  # the broker
tags = ["cache", "broker"]
every = "1m"
[checks."postgres"]
every = "1m"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a catalogue, and a journal."""
    tmp_path = tmp_path_factory.mktemp("home")
    (tmp_path / "checks.toml").write_text(CATALOGUE)
    run_hcrun(tmp_path, "nightly-dump", "--", "true")
    return tmp_path


@pytest.fixture(scope="module")
def script() -> str:
    words = [HCCTL, "completion", "bash"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def offered(script: str, home: Path, line: str, **env: str) -> list[str]:
    """The words before the tabs; what the shell completes itself is all behind one."""
    line = line.replace("@catalogue", f"--catalog {home}/checks.toml")
    done = subprocess.run(
        ["bash", "-c", f'{script}\nsh -c "$_hcrun_offers" sh "$line"'],
        env=environment(home) | {"line": line} | env,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return [offer.split("\t")[0] or offer for offer in done.stdout.splitlines()]


def test_the_table_is_the_present_one() -> None:
    """`make docs` writes it."""
    assert FILE.read_text() == "".join(lines())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hcrun --over", "--overlap"),
        ("hcrun --overlap ", "allow skip wait"),
        ("hcrun --overlap=s", "--overlap=skip"),
        ("hcrun --period 1", "1m 15m 1h 1d 1w"),
        ("hcrun --timeout 5m ni", "nightly-dump"),
        ("hcrun --needs other,ni", "other,nightly-dump"),
        ("hcrun job -- l", "\tcommand"),
        ("hcrun job ls ", "\tcommand"),
        ("hcctl sta", "status"),
        ("/opt/hcrun/bin/hcctl sta", "status"),
        ("hcctl channels b", "bootstrap"),
        ("hcctl sync --env-file ", "\tfiles"),
        ("hcctl status --json --ti", "--tier"),
        ("hcctl status @catalogue --tier ", "1 night shift"),
        ("hcctl status @catalogue --tier=1", "--tier=1"),
        ("hcctl status @catalogue --environment ", "production staging"),
        ("hcctl status @catalogue --tag ", "broker cache env:production env:staging tier:1"),
        ("hcctl pause @catalogue re", "redis redis-staging"),
        ("hcctl pause @catalogue --for 2h other p", "postgres postgres-staging"),
        ("hcctl history n", "nightly-dump"),
        ("hcctl report ", "day week month"),
        ("hcctl report week --format m", "markdown"),
        ("hcctl docs runb", "runbook"),
        ("hcctl docs runbook kaf", "kafka kafka-lag"),
        ("probe-redis --latency-w", "--latency-warning"),
        ("probe-redis --expect ", "primary replica any"),
        ("probe-redis --tls-ca ", "\tfiles"),
        ("probe-all --only red", ""),
        ("probe-all kaf", "kafka kafka-lag"),
        ("hcctl nonsense --", "--version --help"),
        ("another --", ""),
        ("", ""),
    ],
)
def test_offers(line: str, expected: str, script: str, home: Path) -> None:
    found = offered(script, home, line)
    assert set(expected.split() if "\t" not in expected else [expected]) <= set(
        " ".join(found).split() if "\t" not in expected else found
    )
    if not line.endswith(" ") and "\t" not in expected:
        assert " ".join(found) == expected


def test_names_in_the_settings(script: str, home: Path) -> None:
    env = {"HC_CHECK_FROM_SETTINGS": "x", "HC_CHECK_IN_FILE_FILE": "/nowhere"}
    found = offered(script, home, "hcctl history ", **env)
    assert sorted(found) == ["from-settings", "in-file", "nightly-dump"]


def test_without_anything_to_read(script: str, tmp_path: Path) -> None:
    assert offered(script, tmp_path, "hcctl history ") == []
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.db").write_bytes(b"nonsense")
    assert offered(script, tmp_path, "hcctl history ") == []
    assert (tmp_path / "state" / "journal.db").read_bytes() == b"nonsense"


@pytest.mark.parametrize(
    "line", ["hcctl history ", "probe-redis --", "hcctl status @catalogue --tier "]
)
def test_it_is_quick(line: str, script: str, home: Path) -> None:
    """It loads nothing of hcrun: a handful of interpreter starts are far below 100 ms."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    bare = least(lambda: subprocess.run([sys.executable, "-ISc", ""], check=True))
    assert least(lambda: offered(script, home, line, PATH=path)) < 8 * bare


def least(work: Callable[[], object]) -> float:
    """The least CPU time of five times, children included."""
    used = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(used)


def in_bash(script: str, home: Path, line: str) -> list[str]:
    asked = f"""{script}
COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({line.replace("=", " = ")}) COMP_CWORD=9
_hcrun hcctl 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"; complete -p hcrun hcctl probe-all probe-vault-key"""
    done = subprocess.run(
        ["bash", "-c", asked],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    *found, _, _, _, last = done.stdout.splitlines()
    assert last == "complete -F _hcrun probe-vault-key"
    return found


def test_bash_replaces_what_follows_a_colon(script: str, home: Path) -> None:
    catalog = f"--catalog {home}/checks.toml"
    assert in_bash(script, home, f"hcctl status {catalog} --tag tier:") == ["1", "night shift"]
    assert in_bash(script, home, f"hcctl status {catalog} --environment=st") == ["staging"]
    assert in_bash(script, home, "hcctl histo") == ["history"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_of_that_shell(shell: str) -> None:
    done = subprocess.run([HCCTL, "completion", shell], capture_output=True, text=True, check=True)
    assert "probe-redis\t--latency-warning\t" in done.stdout
    assert " probe-vault-key" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)
