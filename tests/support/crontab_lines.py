"""The crontab lines that the pages show: for /etc/cron.d with a user, for `crontab -e` without."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
USERS = ("root", "hcrun")
_FIELD = r"[\d*/,-]+"
_LINE = re.compile(rf"^[ |`]*(?P<schedule>(?:{_FIELD} +){{5}})(?P<rest>\S.*?)`?(?: \|)?$")


class Line(NamedTuple):
    """One line, as it stands."""

    page: str
    schedule: str
    user: str  # "": a line of the crontab of a user
    command: str  # what cron runs; \% is a %

    @property
    def words(self) -> list[str]:
        """What the shell makes of it."""
        return shlex.split(self.command.replace(r"\%", "%"))

    @property
    def slug(self) -> str:
        """The check: what precedes the `--`."""
        return self.words[self.words.index("--") - 1] if "--" in self.words else ""

    @property
    def job(self) -> list[str]:
        """The command that is watched."""
        return self.words[self.words.index("--") + 1 :] if "--" in self.words else []


def documented() -> list[Line]:
    """Each line once."""
    found = {}
    for page in PAGES:
        for text in page.read_text().splitlines():
            cells = text.split(" | ")  # the last cell of a table may have one
            if match := _LINE.match(cells[-1] if text.startswith("| `probe-") else text):
                rest = match["rest"]
                user, _, command = rest.partition(" ")
                if user not in USERS:
                    user, command = "", rest
                line = Line(page.name, match["schedule"].strip(), user, command.strip())
                found[line[2:]] = line
    return list(found.values())
