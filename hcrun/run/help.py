"""--help and --version; the manual page and the completion of shells use help.toml as well."""

import tomllib
from _collections_abc import Iterable
from textwrap import wrap
from typing import NamedTuple

from hcrun import __version__, variables
from hcrun.run.options import USAGE

_WIDTH = 80

with open(f"{__file__.rpartition('/')[0]}/help.toml", "rb") as _file:
    _TEXTS = tomllib.load(_file)
ABOUT: str = _TEXTS["about"]
EXAMPLES: str = _TEXTS["examples"]
SECRETS: str = _TEXTS["secrets"]
STATUSES: dict[str, str] = _TEXTS["statuses"]


class Option(NamedTuple):
    flag: str
    metavar: str  # the name of its value; "" if it takes none
    help: str


GROUPS: dict[str, list[Option]] = {
    title: [Option(use.partition(" ")[0], use.partition(" ")[2], options[use]) for use in options]
    for title, options in _TEXTS["options"].items()
}


def show(flag: str) -> int:
    """Print the answer to --help or --version; always returns 0."""
    print(f"hcrun {__version__}" if flag == "--version" else text())
    return 0


def text() -> str:
    """The whole help."""
    groups = [_table(title, options.items()) for title, options in _TEXTS["options"].items()]
    statuses = _table("Exit status", STATUSES.items())
    environment = _table("Environment", run_variables()) + f"\n  {SECRETS}"
    return "\n\n".join([EXAMPLES, USAGE, ABOUT, *groups, statuses, environment])


def run_variables() -> list[tuple[str, str]]:
    """The names and descriptions of the variables that hcrun itself reads."""
    return [
        (one.name, f"{one.text}; default {one.default}" if one.default else one.text)
        for one in variables.load()
        if one.run
    ]


def _table(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = list(pairs)
    column = max(26, *(len(left) + 4 for left, _ in rows))
    lines = [f"{title}:"]
    for left, right in rows:
        first, *more = wrap(right, _WIDTH - column, break_on_hyphens=False)
        lines.append(f"  {left:<{column - 2}}{first}")
        lines += [" " * column + line for line in more]
    return "\n".join(lines)
