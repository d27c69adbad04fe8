"""docs/python.md: its examples run, in its order, against the stub; or a real server."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import hcrun
from hcrun.settings import Settings
from tests.stub.healthchecks import HealthchecksStub
from tests.support.application import python
from tests.support.client import client_of
from tests.support.command import run_hcctl
from tests.support.real import setting

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SLUGS = ("refresh-tokens", "export-invoices", "cleanup", "critical-api", "backup", "reports")
NAMES = ("PING_URL", "PING_KEY", "API_URL", "API_KEY")


class Project:
    """A project of a server: the stub's, or a real one."""

    def __init__(self, tmp_path: Path, *settings: str) -> None:
        self.tmp_path = tmp_path
        self.env = {
            f"HEALTHCHECKS_{name}": value for name, value in zip(NAMES, settings, strict=True)
        }
        self.env["HEALTHCHECKS_ENABLED"] = "true"
        self.client = client_of(settings[2], settings[3])

    def run(self, number: int, more: str = "") -> subprocess.CompletedProcess[str]:
        """Run an example, followed by `more`."""
        return python(self.tmp_path, EXAMPLES[number] + more, env=self.env)

    def told(self, slug: str) -> list[str]:
        check = self.client.get_check(slug)
        assert check
        return [ping.type for ping in reversed(self.client.list_pings(check.uuid))]

    def clear(self) -> None:
        for check in self.client.list_checks():
            if check.slug in SLUGS:
                self.client.delete_check(check.uuid)


@pytest.fixture(params=["stub", pytest.param("real", marks=pytest.mark.real)])
def project(
    request: pytest.FixtureRequest, tmp_path: Path, stub: HealthchecksStub
) -> Iterator[Project]:
    if request.param == "stub":
        settings = [stub.ping_url, stub.ping_key, stub.api_url, stub.api_key]
    else:
        settings = [setting(name) for name in NAMES]
    project = Project(tmp_path, *settings)
    project.clear()
    yield project
    project.clear()


def fine(done: subprocess.CompletedProcess[str], said: str = "") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_the_env_file(tmp_path: Path) -> None:
    """Nobody else may read it, and its directory need not be there."""
    steps = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    script = steps.partition("\n")[2]
    assert steps.startswith("pip install ")
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    fine(subprocess.run(["sh", "-ec", script], env=env, capture_output=True, text=True, check=True))
    settings = Settings.load(env)
    assert settings.path == f"{tmp_path}/.config/hcrun/hcrun.env"
    assert Path(settings.path).stat().st_mode & 0o777 == 0o600
    assert settings.get("HEALTHCHECKS_API_URL") == "https://hc.example.com/api/v3"


def test_the_examples(project: Project) -> None:
    fine(project.run(0), "refresh-tokens new\n")
    failed = project.run(1)
    assert failed.returncode == 1
    assert failed.stderr.endswith("\nRuntimeError: no tenants in the vault\n")
    check = project.client.get_check("refresh-tokens")
    assert check
    assert check.status == "down"
    assert project.told("refresh-tokens") == ["start", "fail"]
    body = project.client.list_pings(check.uuid)[0].body()
    shown = run_hcctl(project.tmp_path, "history", "--output", "last")
    assert shown.stdout.startswith("Traceback (most recent call last):\n")
    assert shown.stdout.strip() in body
    pattern = r"FAILED: raised RuntimeError after .+: no tenants in the vault"
    assert re.fullmatch(pattern, body.splitlines()[0])
    assert re.search(f"^{pattern}$", PAGE, re.MULTILINE)

    for slug in SLUGS[1:5]:
        project.client.create_with({"name": slug, "slug": slug})
    fine(project.run(2), "cleaning up\n")
    assert project.told("refresh-tokens")[2:] == ["start", "success"]
    assert project.told("export-invoices") == ["start", "success"]
    assert project.told("cleanup") == ["success"]

    fine(project.run(3))
    assert project.told("cleanup") == ["success", "start", "success"]

    eager = "app.conf.task_always_eager = True\nrefresh_tokens.delay('a')\ncleanup.delay()\n"
    fine(project.run(4, eager))
    assert project.told("refresh-tokens")[4:] == ["start", "success"]
    assert project.told("cleanup")[3:] == ["start", "success"]

    fine(
        project.run(
            5, "app.loader.import_default_modules()\nassert 'monitoring.check_redis' in app.tasks"
        )
    )

    get = "assert app.test_client().get('/api/critical').json == {'status': 'ok'}\n"
    fine(project.run(6, get))
    assert project.told("critical-api") == ["success"]

    done = project.run(7, "print(app.test_client().get('/health').text)\n")
    assert json.loads(done.stdout)["status"] == "healthy"

    fine(project.run(8))
    assert project.told("backup") == ["success", "fail", "fail", "start", "success"]

    done = project.run(9)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Reports new None of the month\n[Flip(when=")
    assert project.client.get_check("reports") is None

    fine(project.run(10))


def test_there_is_no_other_example() -> None:
    assert len(EXAMPLES) == 11


@pytest.mark.parametrize("name", hcrun.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE
    assert getattr(hcrun, name).__doc__


NO_FLASK = "import sys; sys.modules['flask'] = None\n"


@pytest.mark.parametrize("first", ["", NO_FLASK])
def test_help_shows_the_public_names_only(first: str, tmp_path: Path) -> None:
    """Also where Flask is not installed."""
    script = "import hcrun, pydoc, rlcompleter\nprint(pydoc.plain(pydoc.render_doc(hcrun)))\n"
    script += "import hcrun.run.cli, hcrun.paths\nprint('completes')\n"
    script += "complete = rlcompleter.Completer({'hcrun': hcrun}).attr_matches\n"
    script += "print(*complete('hcrun.'), sep='\\n')\n"
    done = python(tmp_path, first + script)
    assert (done.returncode, done.stderr) == (0, "")
    help_text, _, completed = done.stdout.partition("completes\n")
    flask = ("healthcheck_blueprint", "monitor_endpoint") if first else ()
    names = {name for name in hcrun.__all__ if name not in flask}
    shown = {re.sub(r"\W", "", line.removeprefix("hcrun.")) for line in completed.splitlines()}
    assert {name for name in shown if not name.startswith("_")} == names
    for name in names:
        assert re.search(rf"\b{name}\b", help_text), name
    contents = help_text.partition("PACKAGE CONTENTS\n")[2].partition("\n\n")[0]
    assert contents.split() == ["celery_tasks", "testing"]


def test_switched_off(tmp_path: Path) -> None:
    """As the page says, the examples do no harm then."""
    env = {"HEALTHCHECKS_ENABLED": "false"}
    fine(python(tmp_path, EXAMPLES[0], env=env))
    fine(python(tmp_path, EXAMPLES[2], env=env), "cleaning up\n")
    done = python(tmp_path, EXAMPLES[8], env=env)
    fine(done)
    fine(python(tmp_path, EXAMPLES[9], env=env))
