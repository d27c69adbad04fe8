"""What is built installs, with each extra alone, in a bare virtual environment.

Each extra is tried with the newest versions of what it needs, and with the oldest that
pyproject.toml allows.
"""

import os
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.probes.test_conformance import PROBES, Row
from tests.support.command import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXTRAS = ("", "celery", "kafka", "otel", "postgres", "redis", "report", "s3", "vault", "all")
PORT = 1  # nothing listens there

IMPORT_ALL_COMMANDS = """
from importlib import import_module
from hcrun.ctl.main import COMMANDS
for place, _ in COMMANDS.values():
    module, _, function = place.partition(":")
    getattr(import_module(f"hcrun.ctl.commands.{module}"), function)
"""


REMOTE = [row for row in PROBES if row.is_remote]


def extra_of(row: Row) -> str:
    """Return the extra that a probe needs, or ""."""
    extra = row.probe.extra or row.name
    return extra if extra in EXTRAS else ""


class Installed:
    """A virtual environment with hcrun, and a place for its journal."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "venv" / "bin"
        self._environ = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(directory),
            "STATE_DIRECTORY": str(directory),
            "HCRUN_ENV_FILE": "/dev/null",
            "HEALTHCHECKS_ENABLED": "false",
        }

    def run(self, name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / name, *arguments],
            env={**self._environ, **env},
            cwd=self._environ["HOME"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def probe(self, row: Row) -> subprocess.CompletedProcess[str]:
        """Run a probe whose service refuses the connection."""
        return self.run(f"probe-{row.name}", HEALTHCHECKS_ENABLED="true", **row.at(PORT))


def uv(*arguments: str | Path) -> str:
    done = subprocess.run(
        [find_uv_bin(), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the sdist, and of the wheel that is built from it."""
    directory = tmp_path_factory.mktemp("built")
    uv("build", "--quiet", "--out-dir", directory)
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the newest and the oldest versions, all of which are then in uv's cache."""

    def pin(versions: str, resolution: str) -> Path:
        directory = tmp_path_factory.mktemp(versions)
        file = directory / "pins.txt"
        options = ("--all-extras", "--resolution", resolution, "--python", sys.executable)
        file.write_text(uv("pip", "compile", "pyproject.toml", "--quiet", *options))
        install(directory, "--requirement", file)
        return file

    with ThreadPoolExecutor() as threads:
        newest = threads.submit(pin, "newest", "highest")
        oldest = threads.submit(pin, "oldest", "lowest-direct")
        return {"newest": newest.result(), "oldest": oldest.result()}


def install(directory: Path, *packages: str | Path) -> None:
    """Install packages into a new virtual environment."""
    uv("venv", "--quiet", "--python", sys.executable, directory / "venv")
    into = ("--python", directory / "venv" / "bin" / "python")
    uv("pip", "install", "--quiet", *into, *packages)
    uv("pip", "check", "--quiet", *into)


@pytest.fixture(
    scope="module",
    params=[(extra, versions) for extra in EXTRAS for versions in ("newest", "oldest")],
    ids=lambda param: f"{param[0] or 'none'}-{param[1]}",
)
def installed(
    request: pytest.FixtureRequest,
    wheel: Path,
    pins: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Installed]:
    extra, versions = request.param
    directory = tmp_path_factory.mktemp("installed")
    name = f"hcrun[{extra}] @ file://{wheel}" if extra else f"hcrun @ file://{wheel}"
    install(directory, "--offline", "--constraint", pins[versions], name)
    return extra, Installed(directory)


def test_everything_starts(installed: tuple[str, Installed]) -> None:
    extra, environment = installed
    assert environment.run("hcrun", "--version").returncode == 0
    assert environment.run("hcrun", "job", "--", "sh", "-c", "exit 7").returncode == 7
    assert environment.run("hcctl", "history").returncode == 0
    for row in REMOTE:
        if extra_of(row) == extra:
            done = environment.probe(row)
            assert (done.returncode, done.stderr) == (row.status("refused"), ""), done.stdout
            assert "refused" in done.stdout
    if extra == "":
        for command in ("check", "render crontab", "metrics", "report day --local"):
            done = environment.run("hcctl", *command.split())
            assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        assert environment.run("hcctl", "docs", "probes").stdout.startswith("# Probes\n")
        assert environment.run("python", "-c", IMPORT_ALL_COMMANDS).stderr == ""
        for name in ("all", "log-rate", "trend"):
            done = environment.run(f"probe-{name}")
            assert (done.returncode, "unexpected" in done.stdout) == (3, False), done.stdout
    if extra == "report":
        environment.run("hcrun", "job", "--", "true")  # creates the journal
        page = environment.run("hcctl", "report", "day", "--local", "--format", "html").stdout
        assert page.startswith("<!doctype html>\n")
    if extra == "otel":
        done = environment.run("hcctl", "metrics", "--otlp", f"http://127.0.0.1:{PORT}")
        assert "nothing was exported" in done.stderr


@pytest.mark.parametrize("installed", [("", "newest")], indirect=True)
def test_a_probe_names_the_extra_that_it_lacks(installed: tuple[str, Installed]) -> None:
    _, environment = installed
    for row in REMOTE:
        if extra_of(row):
            done = environment.probe(row)
            assert done.returncode == 3, done.stdout
            assert f"pip install 'hcrun[{extra_of(row)}]'" in done.stdout
    environment.run("hcrun", "job", "--", "true")  # creates the journal
    done = environment.run("hcctl", "metrics", "--otlp", f"http://127.0.0.1:{PORT}")
    assert "pip install 'hcrun[otel]'" in done.stderr


def test_what_the_wheel_and_the_sdist_contain(built: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        in_wheel = file.namelist()
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        in_sdist = {name.partition("/")[2] for name in file.getnames()}
    assert {name.partition("/")[0] for name in in_wheel if "dist-info" not in name} == {
        "hcrun",
        "probes",
        "hcrun-0.1.0.data",
    }
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)
    for page in (ROOT / "docs").glob("*.md"):
        assert f"hcrun/docs/{page.name}" in in_wheel
    share = {name.partition(".data/data/share/")[2] for name in in_wheel}
    assert {"man/man1/hcrun.1", "man/man1/hcctl.1"} <= share
    assert {
        "bash-completion/completions/hcrun",
        "fish/vendor_completions.d/hcrun.fish",
        "zsh/site-functions/_hcrun",
    } <= share
    assert {"LICENSE", "README.md", "CONTRIBUTING.md", "SECURITY.md"} <= in_sdist
    assert not {name.partition("/")[0] for name in in_sdist} & {"tests", "benchmarks", ".ci"}
    assert os.path.getsize(archive) < 1_000_000


def test_hcrun_starts_wherever_it_lies(tmp_path: Path, wheel: Path) -> None:
    """Outside of a virtual environment, through links, by a relative name, without a PATH."""
    base = Path(sys.base_prefix) / "bin" / Path(sys.executable).name
    uv("pip", "install", "-q", "--no-deps", "--python", base, "--prefix", tmp_path / "usr", wheel)
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/-h").symlink_to("../second")
    (tmp_path / "second").symlink_to("usr/bin/hcrun")
    env = {"HEALTHCHECKS_ENABLED": "false", "STATE_DIRECTORY": str(tmp_path), "PYTHONHOME": "/x"}
    for name in ("usr/bin/hcrun", "second", "a b/-h", str(tmp_path / "second")):
        for path in ({}, {"PATH": "."}):
            done = subprocess.run(
                [f"./{name}" if name[0] != "/" else name, "x", "--", "/bin/sh", "-c", "exit 3"],
                env=env | path,
                cwd=tmp_path,
                capture_output=True,
                check=False,
            )
            assert (done.returncode, done.stdout, done.stderr) == (3, b"", b""), (name, path)
