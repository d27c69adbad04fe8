"""The launcher of /opt/hcrun does what hcrun/bin/hcrun does, without sh."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import last_run

ROOT = Path(__file__).parents[2]
LAUNCHER = (ROOT / "scripts/packaging/launcher").read_text()
ADDED = {b"HCRUN_CHECK", b"HCRUN_RUN_ID"}


@pytest.fixture
def opt(tmp_path: Path) -> Path:
    """As /opt/hcrun, with hcrun of this checkout and the Python of the tests."""
    opt = tmp_path / "opt"
    (opt / "bin").mkdir(parents=True)
    (opt / "bin/python3").symlink_to(sys.executable)
    (opt / "bin/probe-redis").write_text("#!/bin/sh\necho the probe\n")
    site = opt / "lib/python3.x/site-packages"
    site.mkdir(parents=True)
    (site / "hcrun").symlink_to(ROOT / "hcrun")
    launcher = opt / "bin/hcrun"
    launcher.write_text(LAUNCHER.replace("/opt/hcrun", str(opt)).replace("@version@", "3.x"))
    for program in ("hcrun", "probe-redis"):
        (opt / "bin" / program).chmod(0o755)
    return opt


def run(
    opt: Path, *words: str, env: dict[bytes, bytes] | None = None, program: str = "bin/hcrun"
) -> subprocess.CompletedProcess[bytes]:
    given = {b"STATE_DIRECTORY": bytes(opt.parent / "state"), b"HEALTHCHECKS_ENABLED": b"false"}
    return subprocess.run(
        [opt / program, *words], env=given | (env or {}), capture_output=True, check=False
    )


def test_the_environment_is_whole(opt: Path) -> None:
    """Also what sh would drop, add or change, and what Python would obey."""
    odd = {b"node.name": b"a", b"BASH_FUNC_f%%": b"() { :; }", b"\xff": b"", b"BYTES": b"\xff\xfe"}
    odd |= {b"PYTHONHOME": b"/x", b"PYTHONPATH": b"/x", b"LC_CTYPE": b"C", b"PWD": b"/y"}
    done = run(opt, "job", "--", "/usr/bin/env", "-0", env=odd)
    assert (done.returncode, done.stderr) == (0, b"")
    seen = dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)
    given = {name: value for name, value in seen.items() if name not in ADDED}
    assert odd.items() <= given.items()
    assert given.keys() - odd.keys() == {b"STATE_DIRECTORY", b"HEALTHCHECKS_ENABLED"}


def test_a_link_to_it_finds_the_probes_beside_it(opt: Path, tmp_path: Path) -> None:
    (tmp_path / "hcrun").symlink_to(opt / "bin/hcrun")
    done = run(opt, "redis", "--", "probe-redis", program="../hcrun", env={b"PATH": b"/nowhere"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"the probe\n", b"")
    assert last_run(tmp_path).check == "redis"


def test_half_an_installation_is_no_failure_of_the_command(opt: Path) -> None:
    (opt / "lib/python3.x/site-packages/hcrun").unlink()
    done = run(opt, "job", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith(b"hcrun: the command was not run: ")
