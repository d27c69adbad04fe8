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
    health = staticmethod(lambda: result())
class tokens:
    refresh = delete_expired = staticmethod(lambda: result())
class keys:
    version = staticmethod(lambda: versions.pop(0))
    rotate = staticmethod(lambda: versions.append(result()))
app.conf.task_always_eager = True
for name, result in RESULTS:
    versions = [7]
    app.tasks[name].delay()
"""
# What a task works with, and why its run is a failure.
RESULTS = {
    "refresh_expiring_tokens": [("7", ""), ("1 / 0", "raised ZeroDivisionError")],
    "health_check": [
        ("{'status': 'healthy'}", ""),
        ("{'status': 'unhealthy'}", "the status is unhealthy"),
        ("{}", "KeyError"),
    ],
    "cleanup_expired_tokens": [("42", ""), ("0", "deleted 0 rows")],
    "rotate_encryption_keys": [("8", ""), ("7", "the version is still 7")],
}


def test_tasks(app: App) -> None:
    checks = {name: app.stub.add_check() for name in RESULTS}
    cases = [(name, result) for name, results in RESULTS.items() for result, _ in results]
    results = ", ".join(f"({name!r}, lambda: {result})" for name, result in cases)
    script = TASKS + APPLICATION.replace("RESULTS", f"[{results}]") + "print('fine')\n"
    app.fine(script, None, True, **checks)
    for name, expected in RESULTS.items():
        ends = [ping for ping in checks[name].pings if ping.kind != "start"]
        assert [ping.kind for ping in ends] == ["fail" if why else "success" for _, why in expected]
        for ping, (_, why) in zip(ends, expected, strict=True):
            assert why in ping.body.decode()
