"""--help and --version of hcrun."""

from __future__ import annotations

from textwrap import wrap

from hcrun import __version__
from hcrun.run.options import GROUPS
from hcrun.settings import VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 84

USAGE = "Usage: hcrun [OPTIONS] CHECK [--] COMMAND [ARG...]"
ABOUT = """\
Run COMMAND, tell Healthchecks how it went, and never harm the command. Its
output, exit status and signals pass through as they are. What could not be
delivered is kept and sent later.

CHECK is a name (its UUID or URL in HC_CHECK_<NAME>, or HEALTHCHECKS_PING_KEY and
the name as slug), a UUID, or a full ping URL. DUR is written like 30s, 5m, 1h30m.
Options go before CHECK: what follows it is the command, and never looked at."""
EXAMPLES = """\
Examples:
  hcrun redis -- probe-redis
  hcrun --timeout 1h --overlap skip backup -- pg_dump -f /backup/app.sql app
  hcrun --quiet --expect 'deleted [0-9]+ rows' cleanup -- ./cleanup.sh
  hcrun --on-exit 1=log --fail-after 3 api -- curl -fsS https://api.example.com
  hcrun --dry-run --create nightly -- ./nightly.sh"""
STATUSES = (
    ("the command's", "as it is; 128+n when signal n killed it"),
    ("126, 127", "the command is not executable, was not found"),
    ("124", "--timeout or --idle-timeout ended it"),
    ("75", "--overlap skip: another run is still going"),
    ("125", "hcrun was misused; nothing was run"),
)
SECRETS = "Secrets may be given as NAME_FILE or as a file in $CREDENTIALS_DIRECTORY."


def show(flag: str) -> int:
    """Print the answer to --help or --version; always 0."""
    print(f"hcrun {__version__}" if flag == "--version" else text())
    return 0


def text() -> str:
    """The whole help."""
    groups = [
        _table(title, [(f"{o.flag} {o.metavar}".rstrip(), o.help) for o in options])
        for title, options in GROUPS
    ]
    statuses = _table("Exit status", STATUSES)
    environment = _table("Environment", variables()) + f"\n  {SECRETS}"
    return "\n\n".join([USAGE, ABOUT, EXAMPLES, *groups, statuses, environment])


def variables() -> list[tuple[str, str]]:
    """The variables that hcrun itself reads, and what they are."""
    return [(variable.name, variable.text) for variable in VARIABLES if variable.for_runs]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    column = max(26, *(len(left) + 4 for left, _ in rows))
    lines = [f"{title}:"]
    for left, right in rows:
        first, *more = wrap(right, _WIDTH - column, break_on_hyphens=False)
        lines.append(f"  {left:<{column - 2}}{first}")
        lines += [" " * column + line for line in more]
    return "\n".join(lines)
