"""--verbose: one line at the end of every run; without it, only what is wrong is said."""

import re

import pytest

from tests.support.command import last_run
from tests.support.host import Host

DOWN = {"HEALTHCHECKS_PING_URL": "http://127.0.0.1:1", "HEALTHCHECKS_RETRY_COUNT": "1"}
OFF = {"HEALTHCHECKS_ENABLED": "false"}


@pytest.mark.parametrize(
    ("options", "script", "env", "expected"),
    [
        ("-v", "true", {}, "success: exit status 0 after TIME; reported to SERVER"),
        ("--verbose", "exit 3", {}, "fail: exit status 3 after TIME; reported to SERVER"),
        ("-v", "exit 3", OFF, "fail: exit status 3 after TIME; recorded on this host only"),
        ("-v", "true", DOWN, "success: exit status 0 after TIME; not delivered yet to SERVER"),
        (
            "-v --fail-after 2",
            "exit 1",
            {},
            "held: exit status 1 after TIME (failure 1 of 2 before an alert); reported to SERVER",
        ),
    ],
)
def test_the_last_line(
    options: str, script: str, env: dict[str, str], expected: str, host: Host
) -> None:
    check = host.stub.add_check()
    given = {"HC_CHECK_JOB": check.uuid} | env
    words = ("job", "--", "sh", "-c", f"echo out; {script}")
    done = host.run(*options.split(), *words, **given)
    assert done.stdout == b"out\n"
    *others, last = done.stderr.decode().splitlines()
    assert len(others) == (env == DOWN)
    run = last_run(host.path).run_id[:8]
    server = given.get("HEALTHCHECKS_PING_URL", host.stub.ping_url.rpartition("/ping")[0])
    said = re.sub(r"after [\d.]+ m?s", "after TIME", last).replace(server, "SERVER")
    see = f"to see its output, run hcctl history --output {run}"
    assert said == f"hcrun: job: {expected}; {see}"
    silent = host.run(*options.split()[1:], *words, **given).stderr
    assert bool(silent) == (env == DOWN)


def test_what_is_refused(host: Host) -> None:
    done = host.run("-v", "absent", "--", "true", HEALTHCHECKS_PING_KEY=host.stub.ping_key)
    why, last = done.stderr.decode().splitlines()
    assert why.startswith("hcrun: not pinged: ")
    assert "success: exit status 0" in last
    assert "; refused by http" in last


def test_a_new_check_as_wanted(host: Host) -> None:
    key = {"HEALTHCHECKS_PING_KEY": host.stub.ping_key}
    key |= {"HEALTHCHECKS_API_URL": host.stub.api_url, "HEALTHCHECKS_API_KEY": host.stub.api_key}
    words = ("-v", "--create", "--period", "10m", "--grace=90", "new", "--", "true")
    created, last = host.run(*words, **key).stderr.decode().splitlines()
    assert created == "hcrun: created the check new: period 10 min, grace 1 min 30 s"
    assert last.startswith("hcrun: new: success: ")
