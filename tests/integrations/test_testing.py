"""`hcrun.testing`, and settings that change between the tests of an application."""

import subprocess
import sys
from pathlib import Path

from hcrun import flush, monitor_endpoint, monitor_task
from hcrun.testing import Recorded, recording
from tests.stub.healthchecks import HealthchecksStub
from tests.support.application import App, kinds, python
from tests.support.command import environment

SUITE = """
    import pytest
    from hcrun import current_run, monitor_task

    @monitor_task("cleanup", validate=lambda rows: rows > 0)
    def cleanup():
        current_run().set(tenants=3)
        return 0

    def test_it(hcrun_pings):
        cleanup()
        assert [p.action for p in hcrun_pings if p.check == "cleanup"] == ["start", "fail"]
        assert "returned 0: tenants=3" in hcrun_pings[-1].text

    def test_it_again(hcrun_pings):
        assert hcrun_pings == []
"""


def test_the_fixture(tmp_path: Path, stub: HealthchecksStub) -> None:
    """pytest finds it without a word in the suite; nothing is sent or recorded."""
    (tmp_path / "test_it.py").write_text(SUITE.replace("\n    ", "\n"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        env=environment(tmp_path, stub),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "state").exists()
    assert stub.requests == []


def test_recording() -> None:
    import flask

    app = flask.Flask(__name__)

    @app.get("/")
    @monitor_endpoint("view")
    def view() -> str:
        return "fine"

    with recording() as pings:
        with recording() as inner:
            assert app.test_client().get("/").text == "fine"
        with monitor_task("job", auto_start=False):
            pass
    assert [(ping.check, ping.action) for ping in inner] == [("view", "success")]
    assert [(ping.check, ping.action) for ping in pings] == [("job", "success")]
    assert pings[0].text.startswith("OK: done after ")
    assert Recorded("job", "start").text == ""
    assert flush(0)


def test_without_pytest(tmp_path: Path) -> None:
    script = """
        import sys
        sys.modules["pytest"] = None
        from hcrun.testing import recording
        from hcrun import monitor_task
        with recording() as pings, monitor_task("job"):
            pass
        print(len(pings))
    """
    assert python(tmp_path, script).stdout == "2\n"


def test_settings_that_change(app: App) -> None:
    """In the environment and in code: each run follows those of its time."""
    other = app.stub.add_check()
    script = """
        import os
        from hcrun import configure, flush
        def run():
            with monitor_task("job"):
                pass

        run()
        assert flush(60)
        os.environ["HC_CHECK_JOB"] = OTHER
        run()
        assert flush(60)
        os.environ["STATE_DIRECTORY"] += "-2"
        run()
        assert flush(60)
        configure(journal=None)
        run()
        configure(enabled=False, journal=os.environ["HOME"] + "/third")
        run()
        configure()
        run()
        print("fine")
    """
    app.fine(script.replace("OTHER", repr(other.uuid)))
    assert kinds(app.job) == ["start", "success"]
    assert kinds(other) == ["start", "success"] * 4
    found = {
        name: App.journal_of(app.path, "SELECT delivery FROM runs", name)
        for name in ("state", "state-2", "third")
    }
    assert found == {"state": [("sent",)] * 2, "state-2": [("sent",)] * 2, "third": [(None,)]}
