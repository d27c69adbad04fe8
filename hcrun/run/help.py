"""--help and --version."""

from _collections_abc import Sequence
from textwrap import wrap

from hcrun import __version__
from hcrun.run.options import GROUPS, USAGE
from hcrun.variables import RUN_VARIABLES

_WIDTH = 80

ABOUT = """\
Runs COMMAND and reports to Healthchecks how it went. Output, signals and exit
status pass through unchanged. If the server cannot be reached, the result is
kept on this host and delivered later.

CHECK is the name of a check, its UUID or its ping URL. For a name, set
HC_CHECK_<NAME> to the UUID or ping URL, or set HEALTHCHECKS_PING_KEY to use the
name as slug. DUR is a duration such as 30s, 5m or 1h30m. Options come before
CHECK: what follows CHECK is the command."""
EXAMPLES = """\
Examples:
  hcrun redis -- probe-redis
  hcrun --timeout 1h --overlap skip backup -- pg_dump -f /backup/app.sql app
  hcrun --quiet --expect 'deleted [0-9]+ rows' cleanup -- ./cleanup.sh
  hcrun --on-exit 1=log --fail-after 3 api -- curl -fsS https://api.example.com
  hcrun --dry-run --create nightly -- ./nightly.sh"""
STATUSES = (
    ("of the command", "unchanged; 128+n if signal n ended it"),
    ("75", "not run: --overlap skip, and the previous run is still in progress"),
    ("124", "ended by --timeout or --idle-timeout"),
    ("125", "not run: the command line of hcrun is wrong"),
    ("126", "the command cannot be executed"),
    ("127", "the command was not found"),
)
SECRETS = "A secret can also be in the file $NAME_FILE or $CREDENTIALS_DIRECTORY/name."


def show(flag: str) -> int:
    """Print the answer to --help or --version; always returns 0."""
    print(f"hcrun {__version__}" if flag == "--version" else text())
    return 0


def text() -> str:
    """Return the whole help."""
    groups = [
        _table(title, [(f"{o.flag} {o.metavar}".rstrip(), o.help) for o in options])
        for title, options in GROUPS
    ]
    statuses = _table("Exit status", STATUSES)
    environment = _table("Environment", variables()) + f"\n  {SECRETS}"
    return "\n\n".join([USAGE, ABOUT, EXAMPLES, *groups, statuses, environment])


def variables() -> list[tuple[str, str]]:
    """Return the names and descriptions of the variables that hcrun itself reads."""
    return [
        (one.name, f"{one.text}; default {one.default}" if one.default else one.text)
        for one in RUN_VARIABLES
    ]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    column = max(26, *(len(left) + 4 for left, _ in rows))
    lines = [f"{title}:"]
    for left, right in rows:
        first, *more = wrap(right, _WIDTH - column, break_on_hyphens=False)
        lines.append(f"  {left:<{column - 2}}{first}")
        lines += [" " * column + line for line in more]
    return "\n".join(lines)
