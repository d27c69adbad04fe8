"""docs/jobs.md: each form of the four jobs reports success, and a failure without an error."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hcrun.formats import systemd_unit
from tests.support.application import App, kinds
from tests.support.command import environment
from tests.support.scheduled_jobs import BLOCKS, DIRECTORY, FAILS, WORKS

BIN = Path(sys.executable).parent
CRONTAB, UNITS, TASKS = (BLOCKS[kind] for kind in ("", "ini", "python"))
CASES = [(name, works, True) for name, works in WORKS.items()]
CASES += [(name, broken, False) for name, scripts in FAILS.items() for broken in scripts]


def crontab_command(job: str) -> str:
    """What cron gives to sh."""
    (line,) = (line for line in CRONTAB.splitlines() if line.endswith(job))
    return line.split(maxsplit=6)[6]


def unit_command(job: str) -> list[str]:
    """What systemd runs: `\\\\` is a backslash there, `$$` a dollar sign."""
    (text,) = re.findall(rf"^ExecStart=.*{job}$", UNITS, re.MULTILINE)
    unit = systemd_unit.parse(f"[Service]\n{text}\n")
    words = systemd_unit.split_words(systemd_unit.last(unit["Service"], "ExecStart"))
    return [word.replace("\\\\", "\\") for word in words]


@pytest.mark.parametrize("form", ["crontab", "systemd"])
@pytest.mark.parametrize(("job", "script", "good"), CASES)
def test_lines(form: str, job: str, script: str, good: bool, app: App) -> None:
    app.stub.add_check(slug := job.replace("_", "-"))
    program = app.path / job
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    words = [crontab_command(job)] if form == "crontab" else unit_command(job)
    words = [word.replace("/opt/hcrun/bin", str(BIN)) for word in words]
    words = [word.replace(DIRECTORY, f"{app.path}/") for word in words]
    env = environment(app.path, app.stub) | {"HEALTHCHECKS_PING_KEY": app.stub.ping_key}
    argv = ["/bin/sh", "-c", *words] if form == "crontab" else words
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert kinds(app.stub.by_slug(slug)) == ["start", "success" if good else "fail"], done


def test_units_are_valid(tmp_path: Path) -> None:
    names = re.findall(r"^# (\S+)$", UNITS, re.MULTILINE)
    texts = re.split(r"^# \S+$", UNITS, flags=re.MULTILINE)[1:]
    assert [name.partition(".")[2] for name in names] == ["service", "timer"] * 4
    for name, text in zip(names, texts, strict=True):
        text = text.replace("/opt/hcrun/bin/hcrun", "/bin/true").replace("User=hcrun\n", "")
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in names]
    done = subprocess.run(
        ["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


APPLICATION = """\
class services:
    health = staticmethod(lambda: RESULT)
class tokens:
    refresh = delete_expired = staticmethod(lambda: RESULT)
class keys:
    versions = iter(RESULT if isinstance(RESULT, tuple) else ())
    version = classmethod(lambda cls: next(cls.versions))
    rotate = staticmethod(lambda: None)
"""
RESULTS = [
    ("refresh_expiring_tokens", "7", ""),
    ("refresh_expiring_tokens", "1 / 0", "raised ZeroDivisionError"),
    ("health_check", "{'status': 'healthy'}", ""),
    ("health_check", "{'status': 'unhealthy'}", "the status is unhealthy"),
    ("health_check", "{}", "KeyError"),
    ("cleanup_expired_tokens", "42", ""),
    ("cleanup_expired_tokens", "0", "deleted 0 rows"),
    ("rotate_encryption_keys", "(7, 8)", ""),
    ("rotate_encryption_keys", "(8, 8)", "the version is still 8"),
]


@pytest.mark.parametrize(("job", "result", "why"), RESULTS)
def test_tasks(job: str, result: str, why: str, app: App) -> None:
    application = APPLICATION.replace("RESULT", f"({result})")
    run = f"app.conf.task_always_eager = True\n{job}.delay()\nprint('fine')\n"
    check = app.job
    known = {job: check}
    app.fine(TASKS + application + run, **known)
    assert kinds(check) == ["start", "fail" if why else "success"]
    assert why in check.pings[1].body.decode()
