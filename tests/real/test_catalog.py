"""What the catalogue lets pass, a real Healthchecks server takes: its limits are the same.

The tests delete what they create there.
"""

import re
from pathlib import Path

import pytest

from hcrun.catalog import SHIPPED
from tests.support.client import client_of
from tests.support.command import run_hcctl
from tests.support.real import settings

pytestmark = pytest.mark.real

EXTREMES = f"""\
[checks.{"s" * 100}]
name = "{"ü" * 100}"
description = '''
{"☃ <b>&amp;" * 500}'''
tags = ["{"t" * 242}", "{"ö" * 243}"]
every = "365d"
grace = "365d"

[checks._]
every = "1s"
grace = "1m"

[checks.often]
every = "60s"

[checks.long-cron]
cron = "{",".join(str(minute) for minute in range(0, 60, 2))} 0-5,06-23 * * *"

[checks.names]
cron = "*/5 0-23/2 1-31/3 jan-dec MON-FRI"

[checks.sunday]
cron = "0 0 * * 0,7"

[checks.leap]
cron = "0 0 29 2 *"

[checks.in-its-own-zone]
calendar = "Mon..Fri *-*-* 03:15:30 Europe/Riga"

[checks.last-of-a-month]
calendar = "*-*~1 00/6:0/15"

[checks.special]
calendar = "quarterly"

[checks.old-zone]
cron = "0 0 * * *"
zone = "Europe/Kiev"

[checks.zulu]
cron = "0 0 * * *"
zone = "Zulu"

[checks.offset]
cron = "0 0 * * *"
zone = "Etc/GMT+12"
"""


@pytest.mark.parametrize("text", [EXTREMES, Path(SHIPPED).read_text()], ids=["extremes", "shipped"])
def test_the_server_takes_it(text: str, tmp_path: Path) -> None:
    """And has nothing to change afterwards."""
    lines = text.splitlines()
    text = "\n".join(line for line in lines if not line.startswith("channels = "))  # it has none
    (tmp_path / "checks.toml").write_text(text)
    env = settings("API_URL", "API_KEY")
    arguments = ["sync", "--catalog", str(tmp_path / "checks.toml")]
    slugs = re.findall(r"^\[checks\.(.+)\]$", text, re.M)
    try:
        done = run_hcctl(tmp_path, *arguments, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        done = run_hcctl(tmp_path, *arguments, "--plan", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == f"{len(slugs)} unchanged (1 call)"
    finally:
        client = client_of(*env.values())
        for check in client.list_checks():
            if check.slug in slugs:
                client.delete_check(check.uuid)
