"""findings.toml has the findings of the code, and no others."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_finding_of_the_table_is_made() -> None:
    table = tomllib.loads((ROOT / "hcrun/doctor/findings.toml").read_text("utf-8"))
    paths = [*(ROOT / "hcrun/doctor").glob("*.py"), ROOT / "hcrun/ctl/commands/doctor.py"]
    source = "".join(path.read_text("utf-8") for path in paths)
    named = set(re.findall(r'"([a-z-]+)"', source))
    assert table.keys() <= named
    assert set(re.findall(r'(?:finding|any_of)\(\s*"([a-z-]+)"', source)) <= table.keys()
    for fields in table.values():
        assert {"severity", "what"} <= fields.keys() <= {"severity", "what", "why", "fix"}
