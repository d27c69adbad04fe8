"""What is written about the probes: docs/probes.md and each --help."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from hcrun.run.options import parse
from hcrun.settings import Settings
from probes.check_all import KNOWN
from probes.framework.options import Source
from scripts.docs.probe_pages import examples, page, scripts, variables
from tests.servers.process import Command

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "probes.md").read_text()
SCRIPTS = {script.name: script for script in scripts()}


def row(name: str, text: str) -> list[str]:
    """The cells of the line that begins with the name."""
    (line,) = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_pages_are_the_ones_that_are_rendered() -> None:
    assert page() == PAGE, "run: make docs"


def test_every_probe_is_known() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        named = tomllib.load(file)["project"]["scripts"]
    assert {name for name in named if name.startswith("probe-")} == set(SCRIPTS), "install it again"


@pytest.mark.parametrize("name", SCRIPTS)
def test_rows(name: str) -> None:
    probe = SCRIPTS[name].probe
    _, about, defaults, named, crontab = row(name, PAGE)
    assert about.endswith((".", "?"))
    ranges = list(filter(None, defaults.split("; ")))
    assert probe is None or len(ranges) == len(probe.thresholds)
    assert probe is None or named.count("`") == 2 * len(variables(probe))
    match = re.fullmatch(r"`([*/\d]+ ){5}app (hcrun .*)`", crontab)
    assert match
    job = parse(shlex.split(match[2])[1:])
    assert (job.check, list(job.command)) == (name.removeprefix("probe-"), [name])


@pytest.mark.parametrize("name", [name for name in SCRIPTS if examples(name)])
def test_examples(name: str) -> None:
    """The variables and the options of each example are those of its probe."""
    probe = SCRIPTS[name].probe
    assert probe
    known = {*variables(probe), "HEALTHCHECKS_CHECK_TIMEOUT"}
    known |= {str(each.envvar) for item in probe.thresholds for each in item.options(probe.name)}
    text = examples(name)
    for variable in re.findall(r"^([A-Z][A-Z0-9_]*)=", text, re.MULTILINE):
        assert variable.removesuffix("_FILE") in known or variable.startswith("AWS_"), variable
    lines = re.findall(r"^(?:\S+ ){5}app hcrun .*", text, re.MULTILINE)
    assert len(lines) >= 3, "the usual, the managed service, the cluster"
    for line in lines:
        job = parse(shlex.split(line)[7:])
        assert job.command[0] == name
        probe.prepare(job.command[1:], Source(Settings({}, {})))


def test_help_of_probe_all(tmp_path: Path) -> None:
    """Those of the others are in test_conformance.py."""
    ran = Command("probe-all", tmp_path).run("--help", COLUMNS="200")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []
    wanted = ["hcrun all -- probe-all", "HEALTHCHECKS_CHECK_TIMEOUT", "0  OK", "3  UNKNOWN"]
    wanted += [variable for known in KNOWN.values() for variable in known.variables]
    assert [word for word in wanted if word not in ran.stdout] == []
