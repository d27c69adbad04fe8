"""What is written about the probes: docs/probes.md and each --help."""

import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from hcrun.run.options import parse
from hcrun.settings import Settings
from probes.check_all import KNOWN, _command
from probes.framework.options import Source
from probes.framework.probe import Probe
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
    assert probe is None or len(ranges) == len(probe.table.thresholds)
    assert probe is None or named.count("`") == 2 * len(variables(probe))
    match = re.fullmatch(r"`([*/\d]+ ){5}(?:hcrun|root) (/opt/hcrun/bin/hcrun .*)`", crontab)
    assert match
    job = parse(shlex.split(match[2])[1:])
    assert (job.check, list(job.command)) == (name.removeprefix("probe-"), [name])


@pytest.mark.parametrize("name", SCRIPTS)
def test_examples(name: str) -> None:
    """Each probe has the three; their variables and options are those of the probe."""
    probe = SCRIPTS[name].probe
    known = {"HEALTHCHECKS_CHECK_TIMEOUT", "HC_CHECK_HEALTHCHECKS"}
    for each in [probe] if probe else (script.probe for script in SCRIPTS.values()):
        known |= {*variables(each), *thresholds(each)} if each else set()
    text = examples(name)
    assert re.findall(r"^The (usual|managed service|cluster):", text, re.MULTILINE) == [
        *("usual", "managed service", "cluster")
    ]
    for variable in re.findall(r"^([A-Z][A-Z0-9_]*)=", text, re.MULTILINE):
        assert variable.removesuffix("_FILE") in known or variable.startswith("AWS_"), variable
    for block in text.split("\nThe "):
        crontab = r"^(?:\S+ ){5}(?:hcrun|root) (?:[A-Z_]+=\S+ )?(/opt/hcrun/bin/hcrun .*)"
        lines = re.findall(crontab, block.replace(r"\%", "%"), re.MULTILINE)
        assert lines, block
        given = dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)", block, re.MULTILINE))
        given = {name: value for name, value in given.items() if not value.startswith("/etc/")}
        for line in lines:
            job = parse(shlex.split(line)[1:])
            assert job.command[0] == name
            prepare = probe.prepare if probe else probe_all
            prepare(job.command[1:], Source(Settings(given, {}), probe.url if probe else None))


def thresholds(probe: Probe) -> list[str]:
    """The variables of its thresholds."""
    return [
        str(option.envvar) for item in probe.table.thresholds for option in item.options(probe.name)
    ]


def probe_all(arguments: Sequence[str], source: Source) -> None:
    _command().make_context("probe-all", list(arguments), obj=source)


def test_help_of_probe_all(tmp_path: Path) -> None:
    """Those of the others are in test_conformance.py."""
    ran = Command("probe-all", tmp_path).run("--help", COLUMNS="200")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []
    wanted = ["hcrun all -- probe-all", "HEALTHCHECKS_CHECK_TIMEOUT", "0  OK", "3  UNKNOWN"]
    wanted += [variable for known in KNOWN.values() for variable in known.variables]
    assert [word for word in wanted if word not in ran.stdout] == []
