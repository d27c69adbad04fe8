"""Documentation that fails the build when it is wrong."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import click
import pytest

from hcrun.catalog import load
from hcrun.ctl.main import main
from hcrun.run.help import GROUPS, text
from hcrun.run.options import parse
from hcrun.settings import Settings
from scripts.docs import hcctl_pages as hcctl_page
from scripts.docs.man_page import page
from scripts.docs.probe_pages import scripts
from scripts.docs.settings_page import PAGE, table

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
README = (ROOT / "README.md").read_text()
HCRUN_PAGES = README + (ROOT / "docs" / "hcrun.md").read_text()


def test_the_page_of_hcrun_has_its_help() -> None:
    page = (ROOT / "docs" / "hcrun.md").read_text()
    assert f"```\n$ hcrun --help\n{text()}\n```" in page


def test_man_page_is_the_one_that_is_rendered() -> None:
    assert (ROOT / "docs" / "hcrun.1").read_text() == page()


@pytest.mark.parametrize("kind", ["crontab", "systemd"])
def test_shipped_jobs_are_those_of_the_catalogue(kind: str, tmp_path: Path) -> None:
    """`make docs` renders them."""
    catalog, hcrun = ROOT / "hcrun/checks.toml", "/opt/hcrun/bin/hcrun"
    options = ["--catalog", str(catalog), "--hcrun", hcrun, kind, "--output", str(tmp_path)]
    subprocess.run([BIN / "hcctl", "render", *options], check=True, cwd=ROOT, capture_output=True)
    files = [
        {path.relative_to(root): path.read_text() for path in root.rglob("*") if path.is_file()}
        for root in (ROOT / kind, tmp_path)
    ]
    assert files[0] == files[1]


def test_settings_page_has_every_variable() -> None:
    assert (ROOT / PAGE).read_text().endswith(table())


@pytest.mark.parametrize("page_of", ["hcrun", "hcctl"])
def test_man_page_reads_well(page_of: str) -> None:
    done = (
        subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", str(ROOT / "docs" / f"{page_of}.1")],
            env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if Path("/usr/bin/man").exists()
        else pytest.skip("no man(1) here")
    )
    assert (done.returncode, done.stderr) == (0, "")
    if page_of == "hcrun":
        known = [option.flag for options in GROUPS.values() for option in options]
    else:
        known = [path for path, _, _ in hcctl_page.commands()]
    for word in known:
        assert word in done.stdout


@pytest.mark.parametrize(
    "line", sorted(set(re.findall(r"\bhcrun ((?:--?[\w-]+ )*[\w]+ -- [^`|\n]+)", HCRUN_PAGES)))
)
def test_every_hcrun_line_parses(line: str) -> None:
    job = parse(shlex.split(line.strip()))
    assert job.command


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def hcctl_lines() -> list[str]:
    """Every `hcctl ...` that a page tells people to type, once."""
    spelled = r"^(?:\$ |# )?(?:sudo )?(hcctl \w[^#|>&;`\\\n…]*)|`(hcctl \w[^`\n…]*)`"
    found: set[str] = set()
    for path in PAGES:
        if path.name != "hcctl.md":  # which is the help itself
            for line, word in re.findall(spelled, path.read_text(), re.MULTILINE):
                found.add((line or word).strip())
    return sorted(found)


@pytest.mark.parametrize("line", hcctl_lines())
def test_every_hcctl_line_of_the_pages_is_understood(line: str) -> None:
    command: click.Command = main
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0].partition("|")[0])
        if not found:
            break
        words, command = words[1:], found
    assert command is not main
    known = {flag for parameter in command.params for flag in parameter.opts} | {"--help", "-h"}
    flags = {word.strip("[]").partition("=")[0] for word in words}
    assert {flag for flag in flags if re.match("--?[a-z]", flag)} <= known


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_blocks_of_a_page_can_be_pasted(path: Path, tmp_path: Path) -> None:
    """The shell understands its commands, and hcrun its catalogues."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", path.read_text(), re.MULTILINE | re.DOTALL)
    for kind, block in blocks:
        if kind == "sh":
            checked = subprocess.run(
                ["bash", "-n"], input=block, capture_output=True, text=True, check=False
            )
            assert checked.stderr == "", block
        elif kind == "toml" and "[checks." in block:
            (tmp_path / "checks.toml").write_text(textwrap.dedent(block))
            assert load(str(tmp_path / "checks.toml"), Settings({}, {})).checks


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in link:
            assert (path.parent / link).exists(), link


def test_demo_is_a_tour(tmp_path: Path) -> None:
    """Prints each command before it runs it, and leaves nothing behind."""
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "demo.sh")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    at = lines.index("$ hcrun redis -- probe-redis")
    assert lines[at + 1].startswith("REDIS OK - 127.0.0.1:")
    assert "(exit status 3)" in lines
    at = lines.index("$ hcctl history backup --failed --output last")
    assert lines[at + 1 : at + 3] == ["dumping tenant_7", "permission denied"]
    assert ": 35 checks" in lines[lines.index("$ hcctl check") + 1]
    assert (
        "redis -- probe-redis"
        in lines[lines.index("$ hcctl render crontab --tier 1 | grep redis") + 1]
    )
    at = lines.index("$ hcctl status --local --tier 1")
    assert [line.split()[1] for line in lines[at:] if line.startswith("redis ")] == ["up"]
    assert list(tmp_path.iterdir()) == []


def test_make_refuses_a_place_where_hcrun_could_not_start(tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.mkdir()
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "venv.sh"), sys.executable],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"make: the path '{place}' contains a space, and the #! line of .venv/bin/hcrun cannot;"
        " rename the directory\n"
    )
    assert list(place.iterdir()) == []


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh_loads_its_completion_by_itself(tmp_path: Path) -> None:
    """With a terminal of zsh's own: TAB completes both programs."""
    functions = ROOT / "docs/completion/zsh/site-functions"
    setup = f"fpath=({functions} $fpath); autoload -U compinit; compinit -u -d {tmp_path}/dump"
    script = f"""
        zmodload zsh/zpty
        zpty z 'PATH={BIN}:$PATH TERM=dumb zsh -f -i'
        zpty -w z {shlex.quote(setup)}
        for line in 'hcrun --over' 'hcctl complet'; do
            zpty -n -w z $line$'\\t'
            zpty -r z seen '*(overlap|completion) *'
            print -r -- $seen
            zpty -n -w z $'\\x15'
        done
    """
    done = subprocess.run(
        ["zsh", "-f", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert "hcrun --overlap " in done.stdout
    assert "hcctl completion " in done.stdout


def test_hcctl_reference_is_the_commands_own_help() -> None:
    assert (ROOT / "docs" / "hcctl.md").read_text() == hcctl_page.markdown()
    assert (ROOT / "docs" / "hcctl.1").read_text() == hcctl_page.man()


@pytest.mark.parametrize("name", ["README.md", "docs/python-app.md"])
def test_the_python_of_a_page_is_right(name: str) -> None:
    """That of docs/python.md is run in tests/integrations."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), {"__name__": "page"})  # noqa: S102 - it is ours


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def test_architecture_names_files_that_exist() -> None:
    named = re.findall(r"`((?:hcrun|probes|tests|scripts|benchmarks)/[\w./-]*)", ARCHITECTURE)
    assert len(named) > 20
    for path in named:
        assert "NAME" in path or (ROOT / path).exists() or path == "probes/check_", path


def test_architecture_has_the_rules_that_are_checked() -> None:
    (block,) = re.findall(r"```\n(celery_tasks\n.*?)```", ARCHITECTURE, re.DOTALL)
    rows = [{*re.findall(r"\w+", row)} for row in block.replace(" > ", "\n").splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    checked = [{*re.findall(r"hcrun\.(\w+)", layer)} for layer in layers]
    assert [row - {"kernel"} for row in rows] == checked


RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def test_hcctl_docs_lists_and_shows_the_pages() -> None:
    listed = hcctl("docs").stdout.splitlines()
    assert [line.split()[0] for line in listed[:3]] == ["readme", "first-alert", "crontab"]
    assert {line.split()[0] for line in listed} == {path.stem.lower() for path in PAGES} | {
        "changelog"
    }
    assert len(listed) < 40  # a screen
    for name in ("sync", "docs/sync.md", "Sync"):
        assert hcctl("docs", name).stdout == (ROOT / "docs" / "sync.md").read_text()


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        ("runbook redis", "## probe-redis", "correct the address."),
        ("runbook probe-redis", "## probe-redis", "correct the address."),
        ("runbook PROBE-ZOOKEEPER", "## probe-zookeeper", "garbage collection of Java."),
        ("hcrun Delayed results", "## Delayed results", "[the journal](journal.md)."),
        ("hcctl status", "## hcctl status", "```"),
        ("reports json", "### JSON", "."),  # one inside of another
        ("probes redis", "## probe-redis", "```"),  # with comments in its code
    ],
)
def test_hcctl_docs_shows_one_section(words: str, first: str, last: str) -> None:
    done = hcctl("docs", *words.split())
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == first
    assert lines[-1].endswith(last)
    assert [line for line in lines[1:] if re.match(f"{first.split()[0]} ", line)] == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("runbok", "no page named 'runbok'; did you mean \"runbook\"?"),
        ("runbook redsi", "no section 'redsi' in the page runbook; did you mean \"redis\"?"),
        ("incident zzz", "no section 'zzz' in the page incident; it has no sections"),
    ],
)
def test_hcctl_docs_suggests(words: str, problem: str) -> None:
    done = hcctl("docs", *words.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"hcctl: {problem}\n")
    done = hcctl("docs", "zzz")
    assert done.stderr.startswith("hcctl: no page named 'zzz'; it has readme, first-alert, ")


def test_the_runbook_has_every_probe() -> None:
    """What its result means, where to look, what to do: on one screen."""
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
    assert {*sections} == {"job", *(script.name for script in scripts())}
    for name, section in sections.items():
        parts = re.findall(r"^\*\*(\w+)\.\*\* \S", section, re.MULTILINE)
        assert parts == ["Meaning", "Look", "Do"], name
        assert section.count("\n") < 20, name


GUIDES = README.partition("| guide |")[2].partition("\n\n")[0]


@pytest.mark.parametrize("name", re.findall(r"\(docs/(\S+\.md)\)", GUIDES))
def test_a_guide_is_a_screen(name: str) -> None:
    """The page, or each of its sections."""
    sections = (ROOT / "docs" / name).read_text().split("\n## ")
    assert max(section.count("\n") for section in sections) < 50


def test_hcctl_docs_uses_a_pager_on_a_terminal() -> None:
    """`script` gives it a terminal."""
    done = subprocess.run(
        ["script", "-qec", f"{BIN}/hcctl docs journal", "/dev/null"],
        env={"PATH": os.environ["PATH"], "PAGER": "sed s/^/paged:/", "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("paged:# ")


def hcctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / "hcctl", *arguments], capture_output=True, text=True, check=False)
